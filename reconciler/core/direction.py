"""The direction of one key by its own schema: `x-direction` and the words beside it (semantics.md E.3)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import Final

from reconciler.core.canonical import Schema, canonical, canonical_json, json_equal
from reconciler.core.model import MISSING, Json, Risk, Side
from reconciler.core.rates import magnitude
from reconciler.core.sets import ALL, Entries, Growth, growth

#: Filters that look away from newcomers: without the key nobody is new (semantics.md B.9, E.3).
_ABSENT_IS_ZERO: Final = frozenset({"min_agent_age", "min_events"})
#: A value that decides per condition, so that it lies between the two that decide for all (semantics.md B.3).
_BETWEEN: Final = {"on_missing": "default"}


def direction_of(schema: Schema, key: str, old: Side, new: Side) -> Risk:
    """Return the direction of *key* from *old* to *new*; sides have their defaults already.

    Absent is the loosest value of a condition, unless the schema says that it stands for everything or for no end.
    What the schema does not rank, or a value it does not expect, is unknown.
    """
    if _same(schema, old, new):
        return Risk.NEUTRAL
    direction = schema.get("x-direction")
    if direction == "neutral":
        return Risk.NEUTRAL
    if direction in ("lower-tightens", "higher-tightens"):
        return _by_number(schema, key, old, new, lower=direction == "lower-tightens")
    if direction in ("true-tightens", "false-tightens"):
        return _by_truth(schema, old, new, true=direction == "true-tightens")
    if direction in ("growing-tightens", "growing-loosens"):
        tightens = direction == "growing-tightens"
        if isinstance(old, dict) or isinstance(new, dict):
            here = Growth.GREW if old is MISSING else Growth.SHRANK if new is MISSING else Growth.UNSURE
            return by_growth(here, tightens=tightens)
        return by_growth(growth_of(schema, old, new), tightens=tightens)
    if isinstance(direction, dict):
        return _by_order(direction.get("order"), key, old, new)
    return Risk.UNKNOWN


def join(risks: Iterable[Risk]) -> Risk:
    """Return the direction of several changes together.

    Both directions are mixed. One direction beside something unknown is unknown: nobody has proven that it goes only
    that way.
    """
    found = set(risks) - {Risk.NEUTRAL}
    if Risk.MIXED in found or {Risk.WEAKENS, Risk.TIGHTENS} <= found:
        return Risk.MIXED
    if Risk.UNKNOWN in found:
        return Risk.UNKNOWN
    return found.pop() if found else Risk.NEUTRAL


def by_growth(grown: Growth, *, tightens: bool) -> Risk:
    """Return the risk of a set that grew, where growing tightens or loosens."""
    if grown is Growth.SAME:
        return Risk.NEUTRAL
    if grown is Growth.CROSSED:
        return Risk.MIXED
    if grown is Growth.UNSURE:
        return Risk.UNKNOWN
    return Risk.TIGHTENS if (grown is Growth.GREW) is tightens else Risk.WEAKENS


def growth_of(schema: Schema, old: Side, new: Side, *, absent_old: bool = True, absent_new: bool = True) -> Growth:
    """Return how a set grew. An absent one is everything if the schema says so (and *absent_…* lets it), else empty."""
    before, after = entries_of(schema, old, everything=absent_old), entries_of(schema, new, everything=absent_new)
    if before is None or after is None:
        return Growth.UNSURE
    return growth(
        before,
        after,
        kind=str(schema.get("x-set", "plain")),
        resource=schema.get("x-glob") == "resource",
        fold=schema.get("x-case") == "insensitive",
    )


def entries_of(schema: Schema, side: Side, *, everything: bool = True) -> Entries | None:
    """Return the entries of a set; None when it is no set of texts, or empty where the schema wants an entry."""
    if side is MISSING:
        return ALL if everything and schema.get("x-absent") == "all" else ()
    if isinstance(side, str):
        return (side,)
    if not isinstance(side, list) or (not side and schema.get("minItems", 0)):
        return None
    if schema.get("x-set", "plain") == "plain":
        return [entry if isinstance(entry, str) else canonical_json(entry) for entry in side]
    texts = [entry for entry in side if isinstance(entry, str)]
    return texts if len(texts) == len(side) else None


def _same(schema: Schema, old: Side, new: Side) -> bool:
    if old is MISSING or new is MISSING:
        return old is new
    return json_equal(old, new) or json_equal(canonical(old, schema), canonical(new, schema))


def _by_number(schema: Schema, key: str, old: Side, new: Side, *, lower: bool) -> Risk:
    before, after = (_rank(schema, key, side, lower=lower) for side in (old, new))
    if before is None or after is None:
        return Risk.UNKNOWN
    if before == after:
        return Risk.NEUTRAL
    return Risk.TIGHTENS if (after < before) is lower else Risk.WEAKENS


def _rank(schema: Schema, key: str, side: Side, *, lower: bool) -> tuple[int, Fraction] | None:
    """A number to compare by; the first part is 1 for no end, -1 for less than any."""
    endless, nothing = (1, Fraction(0)), (-1, Fraction(0))
    if side is MISSING:
        if key in _ABSENT_IS_ZERO:
            return 0, Fraction(0)
        return endless if lower or schema.get("x-null") == "infinite" else nothing
    number = magnitude(side, key)
    if number is None:
        return None
    return endless if number == 0 and schema.get("x-zero") == "unlimited" else (0, number)


def _by_truth(schema: Schema, old: Side, new: Side, *, true: bool) -> Risk:
    absent = "x-switches" in schema  # without the key, the keys it switches count
    before, after = (absent if side is MISSING else side for side in (old, new))
    if not isinstance(before, bool) or not isinstance(after, bool):
        return Risk.UNKNOWN
    if before is after:
        return Risk.NEUTRAL
    return Risk.TIGHTENS if after is true else Risk.WEAKENS


def _by_order(order: Json, key: str, old: Side, new: Side) -> Risk:
    levels = list(order) if isinstance(order, list) else []
    if key in _BETWEEN and len(levels) == 2 and _BETWEEN[key] not in levels:
        levels.insert(1, _BETWEEN[key])
    before, after = level_of(levels, old), level_of(levels, new)
    if before is None or after is None:
        return Risk.UNKNOWN
    if before == after:
        return Risk.NEUTRAL
    return Risk.TIGHTENS if after > before else Risk.WEAKENS


def level_of(levels: Sequence[Json], side: Side) -> int | None:
    """The place of a value in an order, where entries of an inner list share one; None when it is not listed."""
    if side is MISSING:
        return None
    for at, level in enumerate(levels):
        if any(json_equal(side, each) for each in (level if isinstance(level, list) else [level])):
            return at
    return None
