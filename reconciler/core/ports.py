"""What the engine needs from outside, as protocols: a clock, randomness. Real ones are in `reconciler/clock.py`."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol


class Clock(Protocol):
    """Wall clock for display, monotonic clock for waiting. Nothing else in the program knows the time."""

    def now(self) -> datetime:
        """The wall clock in UTC, aware."""
        ...

    def monotonic(self) -> float:
        """Seconds that never go back."""
        ...

    def sleep(self, seconds: float) -> None:
        """Wait; the only way anything in this program waits."""
        ...


class Random(Protocol):
    """Jitter and nonces."""

    def uniform(self, low: float, high: float) -> float: ...

    def nonce(self) -> str:
        """32 lower-case hex characters, never repeated."""
        ...
