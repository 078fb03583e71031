"""The program with a clock that jumps where it would wait: back-off, quiescence and locks cost a test no time.

Both its clocks go on by what was slept, so whatever counts on a wait having passed finds that it has. What others take
(a slow server, git) is as real as ever.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

from reconciler.cli.main import main
from reconciler.clock import SystemClock

slept = 0.0


def sleep(self: SystemClock, seconds: float) -> None:
    global slept
    slept += max(0.0, seconds)
    time.sleep(0)


SystemClock.sleep = sleep  # type: ignore[method-assign]
SystemClock.now = lambda self: datetime.now(UTC) + timedelta(seconds=slept)  # type: ignore[method-assign]
SystemClock.monotonic = lambda self: time.monotonic() + slept  # type: ignore[method-assign]

if __name__ == "__main__":
    main()
