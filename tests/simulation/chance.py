"""Everything that is left to chance in one simulated world, drawn from its seed.

A draw has a label and depends on nothing but the seed and that label, so that leaving one mishap out changes no other
draw: that is what makes a failing schedule shrink.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import TypeVar

T = TypeVar("T")


@dataclass
class Chance:
    """Draws of one seed. `kept`: the only mishaps that may happen, None for all; `happened` collects their labels."""

    seed: int
    kept: Collection[str] | None = None
    happened: dict[str, str] = field(default_factory=dict)

    def number(self, label: str) -> float:
        """A number in [0, 1) that belongs to *label*."""
        digest = blake2b(f"{self.seed}/{label}".encode(), digest_size=8).digest()
        return int.from_bytes(digest, "big") / 2.0**64

    def between(self, label: str, low: float, high: float) -> float:
        return low + (high - low) * self.number(label)

    def count(self, label: str, low: int, high: int) -> int:
        """A whole number from *low* to *high*, both included."""
        return low + int(self.number(label) * (high - low + 1))

    def is_true(self, label: str, rate: float) -> bool:
        return self.number(label) < rate

    def choose(self, label: str, options: Sequence[T]) -> T:
        return options[int(self.number(label) * len(options))]

    def weighted(self, label: str, weights: Mapping[str, float]) -> str | None:
        """One of *weights*' names with its probability; None with what is left to 1."""
        drawn = self.number(label)
        for name, weight in weights.items():
            if drawn < weight:
                return name
            drawn -= weight
        return None

    def mishap(self, label: str, what: str | None) -> str | None:
        """Let *what* happen under *label* unless it was left out; None is no mishap."""
        if what is None or (self.kept is not None and label not in self.kept):
            return None
        self.happened[label] = what
        return what
