"""Ctrl-C and SIGTERM: the first asks the run to finish the call in flight and stop, the second ends it at once."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from reconciler.errors import ExitCode


@contextmanager
def stop_on_signals() -> Iterator[Callable[[], bool]]:
    """Yield a function that tells whether a person or the system asked to stop."""
    asked = threading.Event()

    def handle(number: int, frame: FrameType | None) -> None:
        if asked.is_set():
            os._exit(ExitCode.INTERRUPTED)
        asked.set()
        with suppress(OSError):  # nobody may be reading any more
            os.write(2, b"stopping after the call in flight; once more ends it at once\n")

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked.is_set
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def pass_signals_to(stop: Callable[[], None]) -> Iterator[None]:
    """Call *stop* for each Ctrl-C or SIGTERM inside the block: whoever runs children passes it on to them."""

    def handle(number: int, frame: FrameType | None) -> None:
        stop()

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
