"""The program on a disk that kills it: `DIE="torn 3"` at its third append to the journal, half written.

`written`: all of it, not yet on the disk for good; `synced`: just after that.
"""

from __future__ import annotations

import os
import signal

from reconciler.cli.main import main
from reconciler.journal import Disk

moment, number = os.environ["DIE"].split()
appends = 0
write, sync = Disk.write, Disk.sync


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def write_and_die(self: Disk, descriptor: int, data: bytes) -> int:
    global appends
    appends += 1
    last = appends == int(number)
    if last and moment == "torn":
        write(self, descriptor, data[: len(data) // 2])
        die()
    written = write(self, descriptor, data)
    if last and moment == "written":
        die()
    return written


def sync_and_die(self: Disk, descriptor: int) -> None:
    sync(self, descriptor)
    if appends == int(number) and moment == "synced":
        die()


Disk.write = write_and_die  # type: ignore[method-assign]
Disk.sync = sync_and_die  # type: ignore[method-assign]
main()
