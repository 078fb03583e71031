"""The real clock and the real randomness; the one module that sleeps."""

from __future__ import annotations

import time
from datetime import UTC, datetime


class SystemClock:
    """The machine's clocks (`core.ports.Clock`)."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


class SystemRandom:
    """Jitter from a pseudo-random source, nonces from the operating system (`core.ports.Random`)."""

    def uniform(self, low: float, high: float) -> float:
        import random

        return random.uniform(low, high)  # noqa: S311 - jitter, not a secret

    def nonce(self) -> str:
        import secrets

        return secrets.token_hex(16)
