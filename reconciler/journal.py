"""The journal: what a run was about to do, on disk before it was done.

One JSON object per line in `.git/reconciler/<target>.jsonl`; an intent is on disk (fsync) before its request leaves.
Nothing is decided from the journal alone: the next run reads the live system. It is there for people, and to say which
request was in flight when a run died.
"""

from __future__ import annotations

import errno
import json
import os
import threading
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from reconciler.core.model import Json
from reconciler.errors import ReconcilerError


class JournalError(ReconcilerError):
    """An intent cannot be put on disk, so nothing may be sent."""

    code = "journal"


class Disk:
    """The few calls that a journal makes; each raises `OSError`."""

    def open(self, path: Path) -> int:
        path.parent.mkdir(parents=True, exist_ok=True)
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)

    def write(self, descriptor: int, data: bytes) -> int:
        return os.write(descriptor, data)

    def sync(self, descriptor: int) -> None:
        os.fsync(descriptor)

    def close(self, descriptor: int) -> None:
        os.close(descriptor)


@dataclass(slots=True)
class _Waiting:
    """Lines that are to go to the disk, and what became of them."""

    lines: bytes
    is_done: bool = False
    error: OSError | None = None


class Journal:
    """An append-only file held open for one run. Threads that append at once wait for the disk together."""

    def __init__(self, path: Path, disk: Disk | None = None) -> None:
        self.path = path
        self._disk = disk or Disk()
        self._may_be_torn = True
        self._waiting: deque[_Waiting] = deque()
        self._turn = threading.Lock()
        try:
            self._descriptor = self._disk.open(path)
        except OSError as error:
            raise self._error(error) from error

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._disk.close(self._descriptor)

    def append(self, records: Iterable[Mapping[str, Json]]) -> None:
        """Write *records* and wait until the disk has them; raise `JournalError` if it does not take them."""
        lines = b"".join(json.dumps(record, sort_keys=True).encode("ascii") + b"\n" for record in records)
        if not lines:
            return
        mine = _Waiting(lines)
        self._waiting.append(mine)
        with self._turn:
            if not mine.is_done:
                self._write_all()
        if mine.error is not None:
            raise self._error(mine.error) from mine.error

    def _write_all(self) -> None:
        """Write the lines of all who wait by now, and wait for the disk once."""
        together = []
        while self._waiting:
            together.append(self._waiting.popleft())
        error: OSError | None = InterruptedError(errno.EINTR, "interrupted")
        try:
            error = self._write(b"".join(waiting.lines for waiting in together))
        finally:
            for waiting in together:
                waiting.error, waiting.is_done = error, True

    def _write(self, lines: bytes) -> OSError | None:
        # Whatever stands before may be torn: by a crash of the last run, or by a full disk just now.
        if self._may_be_torn:
            lines = b"\n" + lines
        self._may_be_torn = True
        try:
            written = 0
            while written < len(lines):
                written += self._disk.write(self._descriptor, lines[written:])
            self._disk.sync(self._descriptor)
            self._may_be_torn = False
        except OSError as error:
            return error
        return None

    def _error(self, error: OSError) -> JournalError:
        return JournalError(
            f"the journal cannot be written ({error.strerror or type(error).__name__}), so nothing more is sent",
            where=str(self.path),
            fix="make room on the disk or mend the permissions, then run apply again",
        )


def read_open_intents(path: Path) -> tuple[Mapping[str, Json], ...]:
    """Return the intents of the last run that have no outcome; a torn or foreign line is left out."""
    try:
        lines = path.read_bytes().splitlines(keepends=True)
    except OSError:
        return ()
    waiting: dict[tuple[object, object], Mapping[str, Json]] = {}
    for line in lines:
        if not line.endswith(b"\n"):
            continue
        try:
            record = json.loads(line)
        except ValueError:
            continue
        if not isinstance(record, dict):
            continue
        if record.get("event") == "run":
            waiting.clear()
        elif record.get("event") == "intent":
            waiting[record.get("key"), record.get("operation")] = record
        elif record.get("event") == "outcome":
            waiting = {name: intent for name, intent in waiting.items() if name[0] != record.get("key")}
    return tuple(waiting.values())
