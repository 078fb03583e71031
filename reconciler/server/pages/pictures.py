"""Where things stand in the pictures of the pages, pure. Places are shares of the width, so a picture fits any screen.

The pictures are shapes without words: what they show stands in the table or list below them, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from reconciler.server.pages.decisions import DecisionDays
from reconciler.server.pages.views import EntryView


@dataclass(frozen=True, slots=True)
class Dot:
    x: str
    lane: str
    title: str


@dataclass(frozen=True, slots=True)
class Lanes:
    """Moves of policies and of the mode in time: one lane for those that named a commit, one for the others."""

    dots: tuple[Dot, ...]
    first: str | None
    last: str | None
    git: int
    outside: int


@dataclass(frozen=True, slots=True)
class Bar:
    x: str
    y: str
    width: str
    height: str
    title: str
    kind: str = ""


def draw_lanes(entries: Sequence[EntryView]) -> Lanes:
    """Entries whose time cannot be read have no dot; they are counted all the same."""
    moved = [entry for entry in entries if entry.lane in ("git", "outside")]
    placed = [(moment, entry) for entry in moved if (moment := read_time(entry.at)) is not None]
    git = sum(entry.lane == "git" for entry in moved)
    if not placed:
        return Lanes((), None, None, git, len(moved) - git)
    first, last = min(placed, key=lambda each: each[0]), max(placed, key=lambda each: each[0])
    start, span = first[0], (last[0] - first[0]).total_seconds()
    dots = tuple(
        Dot(
            _share(1.5 + 97 * ((moment - start).total_seconds() / span if span else 0.5)),
            entry.lane,
            f"{entry.at} {entry.action} {entry.policy_name or entry.policy_id or ''} {entry.actor}",
        )
        for moment, entry in reversed(placed)
    )
    return Lanes(dots, first[1].at, last[1].at, git, len(moved) - git)


def draw_bars(days: Sequence[str], counts: Sequence[int]) -> tuple[Bar, ...]:
    """One bar for each day that has any; the highest fills the height, and the least can still be seen."""
    highest = max(counts, default=0)
    step = 100 / max(len(counts), 1)
    bars = []
    for index, (day, count) in enumerate(zip(days, counts, strict=True)):
        if count:
            height, title = max(100 * count / highest, 4), f"{day}: {count:,}"
            left, width = _share(index * step + step * 0.12), _share(step * 0.76)
            bars.append(Bar(left, _share(100 - height), width, _share(height), title))
    return tuple(bars)


def draw_decisions(found: DecisionDays) -> tuple[Bar, ...]:
    """A bar for each day that had requests: at its foot those that were blocked, then those that would have been.

    A day's bar is as high as it had requests, and what stands for any at all can still be seen.
    """
    highest = max(found.requests, default=0)
    step = 100 / max(len(found.days), 1)
    bars = []
    for index, (day, requests) in enumerate(zip(found.days, found.requests, strict=True)):
        if not requests:
            continue
        blocked, would = found.blocked[index], found.would_block[index]
        title = f"{day}: {requests:,} requests, {blocked:,} blocked, {would:,} would be"
        left, width = _share(index * step + step * 0.12), _share(step * 0.76)
        floor = 100.0
        for kind, count in (("blocked", blocked), ("would", would), ("", max(0, requests - blocked - would))):
            if count:
                height = min(max(100 * count / highest, 3), floor)
                floor -= height
                bars.append(Bar(left, _share(floor), width, _share(height), title, kind))
    return tuple(bars)


def read_time(text: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found


def _share(value: float) -> str:
    return f"{value:.2f}%"
