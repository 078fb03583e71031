"""A clock that only sleeping moves, and randomness that counts."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta


class FakeClock:
    """`core.ports.Clock` without waiting. `on_sleep` runs after each sleep: what others do meanwhile.

    `skew` moves the wall clock alone.
    """

    def __init__(self, start: datetime = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)) -> None:
        self.start = start
        self.passed = 0.0
        self.skew = 0.0
        self.slept: list[float] = []
        self.on_sleep: Callable[[], object] = lambda: None

    def now(self) -> datetime:
        return self.start + timedelta(seconds=self.passed + self.skew)

    def monotonic(self) -> float:
        return self.passed

    def sleep(self, seconds: float) -> None:
        assert seconds > 0, "a sleep of nothing is a busy loop"
        self.slept.append(seconds)
        self.passed += seconds
        self.on_sleep()


class CountingRandom:
    """`core.ports.Random` with no randomness: nonces count from *start*."""

    def __init__(self, start: int = 1) -> None:
        self._next = start

    def uniform(self, low: float, high: float) -> float:
        return (low + high) / 2

    def nonce(self) -> str:
        self._next += 1
        return f"{self._next - 1:032x}"
