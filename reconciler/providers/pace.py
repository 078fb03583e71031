"""A token bucket filled by the server's own words: slow down before it has to say 429.

Servers tell what is left of a window in `X-RateLimit-Remaining` and when it ends in `X-RateLimit-Reset`; without these
headers nothing here ever waits.
"""

from __future__ import annotations

import math
import re
import threading
from collections.abc import Mapping
from typing import Final

from reconciler.core.ports import Clock
from reconciler.providers.wire import parse_http_date

#: Reads leave so many requests of a window to the writes that were decided from them, but at most a tenth of it.
KEPT_FOR_WRITES: Final = 8
#: Servers tell the end of a window in whole seconds; what they cut off is waited for.
_ROUNDED: Final = 1.0
#: Nobody is believed who asks for a longer wait, in seconds.
MAX_WAIT: Final = 120.0
_EPOCH: Final = 1_000_000_000


class TooSoonError(Exception):
    """The window is used up; the next one begins in `seconds`."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"{seconds:.1f} s")
        self.seconds = seconds


class Pace:
    """What is left of the server's current window; shared by all threads of a run."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._left: int | None = None
        self._most = 0
        self._under_way = 0
        self._ends_at = 0.0

    def enter(self, *, is_write: bool, patience: float = math.inf) -> float:
        """Take a place in the window; when none is left, wait until the next one begins. Return the seconds waited.

        Raises `TooSoonError`, with no place taken, when that would take longer than *patience*.
        """
        waited = 0.0
        while True:
            with self._lock:
                wait = self._wait(0 if is_write else min(KEPT_FOR_WRITES, self._most // 10))
                if wait <= 0:
                    self._under_way += 1
                    if self._left is not None:
                        self._left -= 1
                    return waited
            if wait > patience:
                raise TooSoonError(wait)
            self._clock.sleep(wait)
            waited += wait

    def leave(self, headers: Mapping[str, str]) -> None:
        """Learn from a reply; an exchange without one leaves with no headers."""
        left, seconds = _read(headers)
        with self._lock:
            self._under_way -= 1
            if left is None or seconds is None:
                return
            ends_at = self._clock.monotonic() + seconds + _ROUNDED
            self._most = max(self._most, left + 1)
            # The requests under way may not have been counted yet when this reply was written.
            left -= self._under_way
            same_window = self._left is not None and abs(ends_at - self._ends_at) < 1.5
            self._left = min(self._left, left) if same_window and self._left is not None else left
            self._ends_at = ends_at

    def _wait(self, kept: int) -> float:
        if self._left is None:
            return 0.0
        wait = self._ends_at - self._clock.monotonic()
        if wait <= 0:
            self._left = None
            return 0.0
        return wait if self._left <= kept else 0.0


def _read(headers: Mapping[str, str]) -> tuple[int | None, float | None]:
    """Requests left and seconds to the end of the window; the end may be given as a time of the server's clock."""
    left, reset = headers.get("x-ratelimit-remaining", ""), headers.get("x-ratelimit-reset", "")
    if not re.fullmatch("[0-9]{1,9}", left) or not re.fullmatch(r"[0-9]{1,10}(\.[0-9]{1,6})?", reset):
        return None, None
    seconds = float(reset)
    if seconds >= _EPOCH:
        sent = parse_http_date(headers.get("date", ""))
        if sent is None:
            return None, None
        seconds -= sent.timestamp()
    return int(left), min(max(seconds, 0.0), MAX_WAIT)
