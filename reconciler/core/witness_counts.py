"""How many requests tell two limits apart, and how they lie in time: count N + 1 (semantics.md B.8, B.9, B.12, E.2)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from reconciler.core.model import Json
from reconciler.core.pairs import Version
from reconciler.core.rates import BURST_KEYS, LIMIT_KEYS, Limit, limit_of, magnitude

_TIMES: Final = ("time_window_minutes", "time_window")
#: Keys whose meaning is a count of events.
KEYS: Final = frozenset(
    {*LIMIT_KEYS, *BURST_KEYS, *_TIMES, "api_rate_threshold", "unusual_pattern_threshold", "max_attempts"}
)


@dataclass(frozen=True, slots=True)
class Count:
    """So many, all at one instant, or the first so long before the others."""

    number: int
    of: str
    span_ms: int = 0


def count_of(key: str, passes: Version, violates: Version) -> Count | None:
    """Return the fewest events that *passes* lets through and *violates* does not; None where that is not so plain."""
    if key in (*LIMIT_KEYS, *BURST_KEYS):
        return (_burst if key in BURST_KEYS else _limit)(passes.keys, violates.keys)
    if "max_attempts" in violates.keys:
        return _attempts(passes.keys, violates.keys)
    if key == "unusual_pattern_threshold":
        return _kinds(passes.keys, violates.keys)
    return _activity(passes.keys, violates.keys)


_Keys = Mapping[str, Json]


def _limit(passes: _Keys, violates: _Keys) -> Count | None:
    """More than the lower limit at once; of equal limits, so many that only the longer window still sees the first."""
    if any(key in side for side in (passes, violates) for key in ("adaptive", "trust_tiers", "burst_limit")):
        return None
    if any(_fits_all(side.get("overrides")) for side in (passes, violates)):
        return None
    mild, strict = limit_of(passes), limit_of(violates)
    if mild is None or strict is None or not _is_whole(mild, strict):
        return None
    number = int(strict.count) + 1
    if number <= mild.count:
        return Count(number, "requests")
    is_longer = not mild.tumbling and not strict.tumbling and strict.window > mild.window
    if strict.count == mild.count > 0 and is_longer and mild.window.denominator == 1:
        return Count(number, "requests", int(mild.window))
    return None


def _is_whole(*limits: Limit) -> bool:
    return all(limit.count.denominator == 1 and limit.count >= 0 for limit in limits)


def _fits_all(overrides: Json) -> bool:
    """Whether somebody overrides everybody's limit; nobody else's is changed by what is not for all."""
    if overrides is None:
        return False
    return not isinstance(overrides, dict) or any(not pattern.strip("*?") for pattern in overrides)


def _burst(passes: _Keys, violates: _Keys) -> Count | None:
    burst, before = _whole(violates.get("burst_limit")), _whole(passes.get("burst_limit"))
    limit = limit_of(passes)
    if (
        burst is None
        or limit is None
        or any("adaptive" in side or "trust_tiers" in side for side in (passes, violates))
    ):
        return None
    if any(_fits_all(side.get("overrides")) for side in (passes, violates)):
        return None
    lets = ("burst_limit" not in passes or (before is not None and burst < before)) and burst < limit.count
    return Count(burst + 1, "requests") if lets else None


def _attempts(passes: _Keys, violates: _Keys) -> Count | None:
    """From the maximum on is a violation (semantics.md B.12)."""
    mild, strict = _whole(passes.get("max_attempts")), _whole(violates.get("max_attempts"))
    return _windowed("failed logins", mild, strict, passes, violates, "time_window", inclusive=True)


def _activity(passes: _Keys, violates: _Keys) -> Count | None:
    mild, strict = _whole(passes.get("api_rate_threshold")), _whole(violates.get("api_rate_threshold"))
    if "api_rate_threshold" not in passes and strict is not None:
        return Count(strict + 1, "requests")
    return _windowed("requests", mild, strict, passes, violates, "time_window_minutes", inclusive=False)


def _windowed(
    of: str, mild: int | None, strict: int | None, passes: _Keys, violates: _Keys, window: str, *, inclusive: bool
) -> Count | None:
    if mild is None or strict is None or strict > mild:
        return None
    number = strict if inclusive else strict + 1
    if strict < mild:
        return Count(number, of)
    spans = [_span(side, window) for side in (passes, violates)]
    if spans[0] is None or spans[1] is None or spans[0] >= spans[1] or number < 2:
        return None
    return Count(number, of, spans[0])


def _kinds(passes: _Keys, violates: _Keys) -> Count | None:
    sides = passes, violates
    if any(side.get("check_unusual_patterns") is not True or "api_rate_threshold" in side for side in sides):
        return None
    mild, strict = (_whole(side.get("unusual_pattern_threshold")) for side in sides)
    return Count(strict + 1, "resource types") if mild is not None and strict is not None and strict < mild else None


def _span(keys: _Keys, key: str) -> int | None:
    span = magnitude(keys.get(key), key)
    return int(span) if span is not None and span.denominator == 1 and span > 0 else None


def _whole(value: Json) -> int | None:
    number: Fraction | None = None if isinstance(value, str) else magnitude(value, "")
    return int(number) if number is not None and number.denominator == 1 and number >= 0 else None
