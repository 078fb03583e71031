"""One thing at a time in made-up time: a heap of events, and actors that hand a baton to each other.

Whoever waits runs the events that are due until one of them is its own turn; if the turn is another task's, that task
gets the baton. Nothing ever runs beside anything else, and the same seed gives the same order to the last step. Tasks
are greenlets: handing over costs nothing, where threads waited for a busy machine at every step.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from greenlet import GreenletExit, getcurrent, greenlet

START = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)

#: No story has more events than this; one that does goes round in circles.
LIMIT = 50_000


class Crashed(BaseException):
    """The process this runs in has just been killed: nothing it does any more has an effect."""


@dataclass(eq=False)
class Process:
    """A process of the world; several tasks (its threads) may belong to it. Time on its wall clock is *skew* off."""

    name: str
    skew: float = 0.0
    dead: bool = False
    tasks: int = 0


@dataclass(eq=False)
class Task:
    """One thread of a process, waiting for the baton."""

    process: Process
    greenlet: greenlet


@dataclass(order=True)
class _Event:
    at: float
    number: int
    what: Task | Callable[[], None] = field(compare=False)


class World:
    """The heap and the baton. Who makes a world has the baton first."""

    def __init__(self) -> None:
        self.now = 0.0
        self.broken: list[BaseException] = []
        self._events: list[_Event] = []
        self._number = 0
        self._main = getcurrent()
        self._running = Task(Process("main"), self._main)

    def at(self, time: float, what: Task | Callable[[], None]) -> None:
        """Let *what* happen at *time*; what is due at one moment happens in the order it was asked for."""
        self._number += 1
        heapq.heappush(self._events, _Event(max(time, self.now), self._number, what))

    def after(self, seconds: float, what: Callable[[], None]) -> None:
        self.at(self.now + seconds, what)

    def pause(self, seconds: float) -> None:
        """Wait; the only way anything in this world takes time. Raises `Crashed` when one's process died meanwhile."""
        task = self._running
        if task.process.dead:
            raise Crashed
        self.at(self.now + seconds, task)
        self._wait(task)

    def start(self, process: Process, run: Callable[[], None], then: Callable[[], None] = lambda: None) -> None:
        """Run *run* as a task of *process*, from now on; *then* is called when it has ended, however it did."""

        def body(*_: object) -> None:
            try:
                if not process.dead:
                    run()
            except Crashed:
                pass
            except GreenletExit:
                return  # the world is over
            except BaseException as error:  # noqa: BLE001 - a defect of the program or of the simulation: shown as one
                self.broken.append(error)
            process.tasks -= 1
            then()
            self._wait(None)

        process.tasks += 1
        self.at(self.now, Task(process, greenlet(body, parent=self._main)))

    def spread(self, jobs: Sequence[Callable[[], None]]) -> None:
        """Run *jobs* as tasks of the running process and wait for all (`executor.Spread`)."""
        task = self._running
        if len(jobs) == 1:
            jobs[0]()
            return
        left = len(jobs)

        def one_less() -> None:
            nonlocal left
            left -= 1
            if left == 0:
                self.at(self.now, task)

        for job in jobs:
            self.start(task.process, job, one_less)
        self._wait(task)

    @property
    def is_alone(self) -> bool:
        """Whether the running process has no other task, so that it may hold real locks while it waits."""
        return self._running.process.tasks <= 1

    def _wait(self, task: Task | None) -> None:
        """Run what is due until it is *task*'s turn; None: hand over the baton for good."""
        while True:
            if self._number > LIMIT and task is not None and task.process.name != "main":
                raise RuntimeError("it goes on for ever")
            event = heapq.heappop(self._events)
            self.now = event.at
            what = event.what
            if not isinstance(what, Task):
                try:
                    what()
                except BaseException as error:  # noqa: BLE001 - it must not surface in whichever task ran it
                    self.broken.append(error)
                continue
            self._running = what
            if task is None:
                getcurrent().parent = what.greenlet  # where an ended greenlet goes on
                return
            if what is not task:
                what.greenlet.switch()
            break
        if task.process.dead:
            raise Crashed


class SimClock:
    """`core.ports.Clock` of one process."""

    def __init__(self, world: World, process: Process) -> None:
        self._world, self._process = world, process

    def now(self) -> datetime:
        return START + timedelta(seconds=self._world.now + self._process.skew)

    def monotonic(self) -> float:
        return self._world.now

    def sleep(self, seconds: float) -> None:
        self._world.pause(seconds)
