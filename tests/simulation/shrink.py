"""Makes a failing schedule small: leaves out mishaps as long as the same violation stays (delta debugging)."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.simulation.scenario import Told, tell

REGRESSIONS = Path(__file__).parents[1] / "regressions"
#: What is tried first: fates of requests, then git and disk, then people, then crashes and runs.
_ORDER = ("http", "git", "disk", "outage", "person", "r0", "r1", "r2")


def kind_of(violation: str) -> str:
    """The invariant a violation breaks, without names and times."""
    return violation.split(" ")[0]


def shrink(seed: int, play: Callable[[int, Sequence[str]], Told] = tell) -> tuple[list[str], Told]:
    """Return the mishaps that *seed* needs to fail as it does, and what it tells with only these."""
    first = play(seed, tuple(tell(seed).happened))
    kinds = {kind_of(violation) for violation in first.violations}
    kept = sorted(first.happened, key=lambda label: _ORDER.index(label.split("/")[0]))
    told = first
    size = max(1, len(kept) // 2)
    while kept:
        for start in range(0, len(kept), size):
            fewer = kept[:start] + kept[start + size :]
            tried = play(seed, fewer)
            if kinds & {kind_of(violation) for violation in tried.violations}:
                kept, told = [label for label in fewer if label in tried.happened], tried
                break
        else:
            if size == 1:
                break
            size = max(1, size // 2)
    return kept, told


def save(seed: int, kept: Sequence[str], told: Told, folder: Path = REGRESSIONS) -> Path:
    """Write a failing schedule where the tests find it from now on."""
    path = folder / f"seed-{seed}.json"
    happened = {label: told.happened[label] for label in kept}
    text = {"seed": seed, "server": told.style, "mishaps": happened, "was": told.violations[0].split(" (at")[0]}
    path.write_text(json.dumps(text, indent=2) + "\n", encoding="utf-8")
    return path
