"""Limits over a window of time, and what belongs to them: bursts, overrides, trust tiers (semantics.md B.8, E.3)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from reconciler.core.globs import may_overlap
from reconciler.core.model import Json, Risk
from reconciler.core.sets import Growth, growth_from

#: The keys that say limit and window in one, with the window in milliseconds.
PER: Final[Mapping[str, int]] = {
    "max_requests_per_second": 1_000,
    "max_requests_per_minute": 60_000,
    "max_requests_per_hour": 3_600_000,
    "max_requests_per_day": 86_400_000,
}
LIMIT_KEYS: Final = frozenset({*PER, "max_requests", "window_size", "window_type"})
BURST_KEYS: Final = frozenset({"burst_limit", "burst_window"})

_SPAN: Final = re.compile(r"([1-9][0-9]{0,11})(ms|s|m|h|d|w)")
_UNITS: Final[Mapping[str, int]] = {
    "ms": 1,
    "s": 1_000,
    "m": 60_000,
    "h": 3_600_000,
    "d": 86_400_000,
    "w": 604_800_000,
}
_SUFFIXES: Final[Mapping[str, int]] = {
    "_seconds": 1_000,
    "_minutes": 60_000,
    "_mins": 60_000,
    "_hours": 3_600_000,
    "_days": 86_400_000,
}


def magnitude(value: Json, key: str) -> Fraction | None:
    """Return a number, or a duration in milliseconds, so that both spellings of one key compare; None for neither.

    A number under a key that names a unit is a duration, too.

    >>> magnitude("1h", "time_window_minutes") == magnitude(60, "time_window_minutes")
    True
    """
    if isinstance(value, str):
        span = _SPAN.fullmatch(value)
        return Fraction(int(span[1]) * _UNITS[span[2]]) if span else None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    unit = next((unit for suffix, unit in _SUFFIXES.items() if key.endswith(suffix)), 1)
    return Fraction(str(value)) * unit


@dataclass(frozen=True, slots=True)
class Limit:
    """More than `count` events within `window` milliseconds violate; a tumbling window starts anew at its multiples."""

    count: Fraction
    window: Fraction
    tumbling: bool = False

    def covers(self, other: Limit) -> bool:
        """Whether all that violates *other* violates this one. Exact: where not, some stream of events tells."""
        if self.count == 0 or other.count == 0:
            return self.count == 0
        if self.count > other.count:
            return False
        if self.tumbling:
            return other.tumbling and self.window % other.window == 0
        return self.window >= other.window


def limit_of(keys: Mapping[str, Json]) -> Limit | None:
    """Return the limit that an object's keys state; None when there is none, or not exactly one that can be read."""
    stated = [key for key in (*PER, "max_requests") if key in keys]
    if len(stated) != 1:
        return None
    count = magnitude(keys[stated[0]], stated[0])
    window = Fraction(PER[stated[0]]) if stated[0] in PER else magnitude(keys.get("window_size"), "window_size")
    kind = keys.get("window_type", "sliding")
    if count is None or not window or kind not in ("sliding", "tumbling"):
        return None
    return Limit(count, window, kind == "tumbling")


def has_limit(keys: Mapping[str, Json]) -> bool:
    return any(key in keys for key in (*PER, "max_requests"))


def growth_of_limits(old: Limit, new: Limit) -> Growth:
    """Return how the set of what violates moved."""
    return growth_from(new.covers(old), old.covers(new))


# ------------------------------------------------------------------------------------------------- overrides


def override_risk(pattern: str, old: Mapping[str, Json], new: Mapping[str, Json], before: Json, after: Json) -> Risk:
    """Return the direction of one entry of `overrides`; *before* and *after* are the limits of everybody else.

    Callers of an entry that comes or goes had, or get, the limit of everybody else or of another entry that fits them.
    """
    here, there = old.get(pattern), new.get(pattern)
    if here is not None and there is not None:
        return _by_numbers([here], [there])
    if here is not None:
        return _by_numbers([here], [after, *_others(pattern, new)])
    return _by_numbers([before, *_others(pattern, old)], [there])


def _others(pattern: str, entries: Mapping[str, Json]) -> list[Json]:
    return [limit for each, limit in entries.items() if each != pattern and may_overlap(each, pattern, resource=False)]


def _by_numbers(old: Sequence[Json], new: Sequence[Json]) -> Risk:
    """Lower tightens, whichever of the old numbers was in force and whichever of the new ones will be."""
    before, after = ([magnitude(each, "") for each in side] for side in (old, new))
    pairs = [(a, b) for a in before for b in after]
    if any(a is None or b is None for a, b in pairs):
        return Risk.UNKNOWN
    signs = {(b > a) - (b < a) for a, b in pairs if a is not None and b is not None}
    if signs == {0}:
        return Risk.NEUTRAL
    if 1 not in signs:
        return Risk.TIGHTENS
    return Risk.UNKNOWN if -1 in signs else Risk.WEAKENS


# --------------------------------------------------------------------------------------------------- tiers


def growth_of_tiers(old: Json, new: Json) -> Growth:
    """Return how limits moved over all trust scores: `GREW` when no score gets a lower one; without tiers all get 1."""
    before, after = _tiers(old), _tiers(new)
    if before is None or after is None:
        return Growth.UNSURE
    scores = [None, *sorted({Fraction(-1), *before, *after})]
    pairs = [(_multiplier(before, score), _multiplier(after, score)) for score in scores]
    return growth_from(all(a <= b for a, b in pairs), all(b <= a for a, b in pairs))


def _tiers(value: Json) -> dict[Fraction, Fraction] | None:
    tiers: dict[Fraction, Fraction] = {}
    for tier in value if isinstance(value, list) else [] if value is None else [None]:
        score, factor = (
            magnitude(tier.get(key) if isinstance(tier, dict) else None, key)
            for key in ("min_trust_score", "multiplier")
        )
        if score is None or factor is None or score in tiers:
            return None
        tiers[score] = factor
    return tiers


def _multiplier(tiers: Mapping[Fraction, Fraction], score: Fraction | None) -> Fraction:
    """The factor of the highest tier at or under the score; no score counts as the lowest tier (semantics.md B.8)."""
    reached = [tier for tier in tiers if score is None or tier <= score]
    if not reached:
        return Fraction(1)
    return tiers[min(reached) if score is None else max(reached)]
