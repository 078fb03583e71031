"""Which cells of fates × operations × outcomes must be met, and how often; an unmet one is a hole in the tests."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from tests.simulation.scenario import Cell
from tests.simulation.wire import READ_FATES, WRITE_FATES

#: Every reachable cell is met this often in this many seeds.
LEAST = 20
SEEDS = 3000

_DOUBT = ("drop", "reset", "drop-reply", "delay", "500-before", "500-after", "truncate", "garble", "html", "redirect")

#: What each fate of a change may be taken for by its sender. `duplicate` is told apart by what the operation is.
OUTCOMES: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(_DOUBT, ("ambiguous",)),
    "deliver": ("applied",),
    "refuse": ("not-sent",),
    "429": ("rejected",),
    "401": ("rejected",),
    "403": ("rejected",),
}
_DUPLICATE = {
    "toggle": ("applied", "applied-other"),
    "create": ("rejected",),
    "update": ("applied",),
    "delete": ("rejected",),
}
_GIT = (
    *(("push", "deliver", "done"), ("push", "deliver", "stale"), ("push", "git-lost", "unreachable")),
    *(
        ("push", "git-reply-lost", "unreachable"),
        ("list", "git-lost", "unreachable"),
        ("fetch", "git-lost", "unreachable"),
    ),
)


def reachable() -> frozenset[Cell]:
    """Every cell that has to be met."""
    cells: set[Cell] = set(_GIT)
    for operation, doubled in _DUPLICATE.items():
        cells.update((operation, "duplicate", outcome) for outcome in doubled)
        for fate in WRITE_FATES:
            cells.update((operation, fate, outcome) for outcome in OUTCOMES.get(fate, ()))
    for operation in ("list", "one", "trail"):
        cells.add((operation, "deliver", "reply"))
        cells.update((operation, fate, "reply" if fate == "stale" else "no reply") for fate in READ_FATES)
    return frozenset(cells)


def impossible(cells: Mapping[Cell, int]) -> list[Cell]:
    """Cells that nobody may ever meet: a fate that was taken for something it was not."""
    return sorted(
        (operation, fate, outcome)
        for operation, fate, outcome in cells
        if operation in _DUPLICATE and outcome != "no reply" and fate in OUTCOMES and fate != "deliver"
        if outcome not in OUTCOMES[fate]
    )


def missed(cells: Mapping[Cell, int], seeds: int) -> list[Cell]:
    """Reachable cells met too seldom, by the measure of `LEAST` in `SEEDS`."""
    wanted = LEAST * seeds / SEEDS
    return sorted(cell for cell in reachable() if cells.get(cell, 0) < wanted)


def table(cells: Counter[Cell]) -> str:
    """The whole table, for people: one line per operation and fate."""
    lines = [f"{'operation':10}{'fate':16}outcomes"]
    rows: dict[tuple[str, str], list[str]] = {}
    for (operation, fate, outcome), count in sorted(cells.items()):
        rows.setdefault((operation, fate), []).append(f"{outcome} {count}")
    lines += [f"{operation:10}{fate:16}{', '.join(told)}" for (operation, fate), told in rows.items()]
    return "\n".join(lines)
