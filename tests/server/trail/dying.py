"""Run by `test_killed.py`: `write DB` adds entries and records from four threads until it is killed, and prints each
number it was told; `prune FOLDER` lets the retention job die before each of its statements and commits, over a copy of
one database, and prints what is left of each trial.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import threading
from pathlib import Path

import sqlalchemy as sa

from reconciler.server.enforcement.tables import events
from reconciler.server.store import open_store
from reconciler.server.trail.entries import add_own
from reconciler.server.trail.records import AUDIT, SESSIONS
from reconciler.server.trail.retention import DEFAULTS, prune
from reconciler.server.trail.verifying import verify
from tests.server.trail.rows import ORGANIZATION, add_entries, add_events
from tests.support.clocks import FakeClock

MONTHS = 100 * 86_400.0


def write(db: str) -> None:
    store = open_store(db)

    def work() -> None:
        while True:
            with store.write() as connection:
                made = add_own(connection, store, ORGANIZATION, action="try", resource="lock:x", details="x")
            print(made.seq, flush=True)

    for _ in range(4):
        threading.Thread(target=work).start()


def make(path: Path) -> None:
    clock = FakeClock()
    store = open_store(str(path), clock=clock)
    add_entries(store, 2)
    add_events(store, clock, *({"resource": f"session:s-{number}"} for number in range(3)))
    store.close()


def die(path: Path, point: int) -> None:
    """The trial, in a process of its own; comes back only when the job was done before the *point*."""
    clock = FakeClock()
    clock.passed = MONTHS
    store = open_store(str(path), clock=clock)
    passed = 0

    def step(*_: object) -> None:
        nonlocal passed
        passed += 1
        if passed == point:
            os.kill(os.getpid(), signal.SIGKILL)

    sa.event.listen(sa.Engine, "before_cursor_execute", step)
    sa.event.listen(sa.Engine, "commit", step)
    prune(store, DEFAULTS)


def look(path: Path) -> dict[str, object]:
    store = open_store(str(path))
    verdicts = [verify(store, chain, ORGANIZATION) for chain in (AUDIT, SESSIONS)]
    with store.read() as connection:
        rows = connection.execute(sa.select(sa.func.count()).select_from(events)).scalar_one()
    store.close()
    whole = all(verdict.broken is None for verdict in verdicts)
    return {"whole": whole, "entries": verdicts[0].entries, "rows": rows, "anchors": len(verdicts[1].anchors)}


def main(folder: Path) -> None:
    template, trial = folder / "template.db", folder / "trial.db"
    make(template)
    point, killed = 0, True
    while killed:
        point += 1
        shutil.copyfile(template, trial)
        child = os.fork()
        if child == 0:
            die(trial, point)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        killed = os.WIFSIGNALED(status)
        print(json.dumps({"point": point, "killed": killed, **look(trial)}), flush=True)
        for left in folder.glob("trial.db*"):
            left.unlink()


if __name__ == "__main__":
    write(sys.argv[2]) if sys.argv[1] == "write" else main(Path(sys.argv[2]))
