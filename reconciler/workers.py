"""Threads for one run: as many as requests may be under way at once, for as long as somebody may ask them."""

from __future__ import annotations

import threading
import weakref
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from reconciler.core.ports import Job, Spread


def in_threads(limit: int) -> Spread:
    """Return a `Spread` with at most *limit* threads, which end when nobody holds it any more.

    Several threads may ask it at once and share the places; a single job goes before all that wait. A job that asks
    does what it asks for in its own thread: it has a place already. The first error is raised when all have ended.
    """
    return _Workers(limit).spread


@dataclass(slots=True)
class _Batch:
    """The jobs that somebody waits for."""

    left: int
    error: BaseException | None = None
    done: threading.Event = field(default_factory=threading.Event)


@dataclass(slots=True)
class _Places:
    """What the threads know of. Not of whoever asks, so that they end when nobody can ask any more."""

    limit: int
    taken: int = 0
    idle: int = 0
    closed: bool = False
    waiting: deque[tuple[Job, _Batch]] = field(default_factory=deque)
    changed: threading.Condition = field(default_factory=threading.Condition)

    def put(self, jobs: Sequence[Job], batch: _Batch) -> int:
        """Let *jobs* wait for a place, and return how many threads are to be begun for them."""
        with self.changed:
            entries = [(job, batch) for job in jobs]
            if len(entries) == 1:
                self.waiting.appendleft(entries[0])
            else:
                self.waiting.extend(entries)
            self.changed.notify(len(entries))
            begun = max(0, min(len(self.waiting) - self.idle, self.limit - self.taken))
            self.taken += begun
            return begun

    def take(self) -> tuple[Job, _Batch] | None:
        with self.changed:
            self.idle += 1
            while not self.waiting and not self.closed:
                self.changed.wait()
            self.idle -= 1
            return self.waiting.popleft() if self.waiting else None

    def finish(self, batch: _Batch, error: BaseException | None) -> None:
        with self.changed:
            batch.left -= 1
            batch.error = batch.error or error
            if batch.left == 0:
                batch.done.set()

    def forget(self, batch: _Batch) -> None:
        """What has not begun of *batch* does not begin."""
        with self.changed:
            self.waiting = deque(entry for entry in self.waiting if entry[1] is not batch)

    def close(self) -> None:
        with self.changed:
            self.closed = True
            self.changed.notify_all()


#: Whose place the current thread has.
_mine = threading.local()


class _Workers:
    def __init__(self, limit: int) -> None:
        self._places = _Places(limit)
        weakref.finalize(self, self._places.close)

    def spread(self, jobs: Sequence[Job]) -> None:
        if not jobs:
            return
        if getattr(_mine, "places", None) is self._places:
            for job in jobs:
                job()
            return
        batch = _Batch(len(jobs))
        for _ in range(self._places.put(jobs, batch)):
            threading.Thread(target=_work, args=(self._places,), name="worker", daemon=True).start()
        try:
            batch.done.wait()
        except BaseException:
            self._places.forget(batch)
            raise
        if batch.error is not None:
            raise batch.error


def _work(places: _Places) -> None:
    _mine.places = places
    while _did_one(places):
        pass


def _did_one(places: _Places) -> bool:
    """Do the next job; False when there will be none. A frame of its own, so that nothing of it is kept."""
    taken = places.take()
    if taken is None:
        return False
    job, batch = taken
    error: BaseException | None = None
    try:
        job()
    except BaseException as caught:  # noqa: BLE001 - raised again where it is waited for
        error = caught
    places.finish(batch, error)
    return True
