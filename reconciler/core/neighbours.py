"""Keys that mean something only together: limit and window, hours and days, an effect and its other spellings …

`judge_key` asks each group whether a key is one of its own, and otherwise leaves it to `direction.py`. All fields of a
group get the direction of the whole group (semantics.md B, E.3).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from reconciler.core.canonical import Schema, entry_schema, key_schema, properties_of
from reconciler.core.direction import by_growth, direction_of, entries_of, growth_of, join, level_of
from reconciler.core.minutes import growth_of_minutes, week_set
from reconciler.core.model import MISSING, Json, Risk, Side
from reconciler.core.pairs import Pair, Version
from reconciler.core.rates import (
    BURST_KEYS,
    LIMIT_KEYS,
    PER,
    Limit,
    growth_of_limits,
    growth_of_tiers,
    has_limit,
    limit_of,
    magnitude,
    override_risk,
)
from reconciler.core.sets import ALL, Growth

_EVERY_DAY: Final[Json] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
_EVERY_MINUTE: Final = (1 << 7 * 24 * 60) - 1
#: Filters that decide which events a condition on previous values has seen (semantics.md E.3, B.11).
_HISTORY: Final = frozenset(
    {"resources", "actions", "resource_types", "except_actors", "except_resources", "except_ips"}
)


def judge_key(pair: Pair, key: str, entry: str | None = None) -> Risk:
    """Return the direction of one key of an object (or one entry of a map or keyed list), with its neighbours."""
    for group in _GROUPS:
        verdict = group(pair, key, entry)
        if verdict is not None:
            return verdict
    schema = key_schema(pair.schema, key)
    old, new = pair.sides(key)
    if schema.get("x-direction") == "pointwise":
        return _pointwise(schema, key, pair, entry)
    return direction_of(schema, key, old, new)


def _pointwise(schema: Schema, key: str, pair: Pair, entry: str | None) -> Risk:
    old, new = ({} if side is MISSING else side for side in pair.sides(key))
    entries = entry_schema(schema)
    if entries is None or not isinstance(old, dict) or not isinstance(new, dict):
        return Risk.UNKNOWN
    names = {entry} if entry is not None else old.keys() | new.keys()
    return join({direction_of(entries, key, old.get(name, MISSING), new.get(name, MISSING)) for name in names})


# --------------------------------------------------------------------------------------------------- effect


def _effect(pair: Pair, key: str, _entry: str | None) -> Risk | None:
    """`actions.on_violation`, AIM's `enforcement_action` and `auto_disable` say one thing (semantics.md B.3, B.7)."""
    if key not in ("on_violation", "enforcement_action", "auto_disable"):
        return None
    top = pair.top
    named = key_schema(key_schema(top.schema, "actions"), "on_violation")
    direction = named.get("x-direction")
    levels = direction.get("order") if isinstance(direction, dict) else None
    if not isinstance(levels, list):
        return None
    old, new = _effect_of(top.old, levels, named), _effect_of(top.new, levels, named)
    if old is None or new is None:
        return Risk.UNKNOWN
    return Risk.NEUTRAL if old == new else Risk.TIGHTENS if new > old else Risk.WEAKENS


def _effect_of(policy: Version, levels: list[Json], named: Schema) -> int | None:
    """The level of what a violation leads to; None when two keys contradict each other, or one is odd."""
    written = _object(policy.get("actions")).get("on_violation")
    action = policy.keys.get("enforcement_action")
    level = level_of(levels, written if written is not None else action if action is not None else named.get("default"))
    if level is None:
        return None
    if written is not None and action is not None:
        blocking = level_of(levels, "block_and_alert")
        if level_of(levels, action) != (level if blocking is None else min(level, blocking)):
            return None
    disables = _object(policy.get("conditions")).get("auto_disable")
    if disables is not None and not isinstance(disables, bool):
        return None
    return len(levels) - 1 if disables else level


# ---------------------------------------------------------------------------------------------------- hours


def _hours(pair: Pair, key: str, _entry: str | None) -> Risk | None:
    """Start, end, days and zone are one set of minutes; the policy's own zone counts where conditions have none."""
    if "x-time" not in key_schema(pair.schema, key):
        return None
    if pair.policy is None:
        children = [pair.child(name) for name, named in properties_of(pair.schema).items() if _role(named, "start")]
        if children and not _role(pair.schema, "start"):
            return join({_growth_of_hours(child) for child in children})
    return _growth_of_hours(pair) if _role(pair.schema, "start") or _role(pair.schema, "days") else Risk.NEUTRAL


def _growth_of_hours(pair: Pair) -> Risk:
    (old, old_zone), (new, new_zone) = hours_of(pair)
    if old is None or new is None:
        return Risk.UNKNOWN
    return by_growth(growth_of_minutes(old, old_zone, new, new_zone), tightens=False)


def hours_of(pair: Pair) -> tuple[tuple[int | None, str], tuple[int | None, str]]:
    """Return the allowed minutes of the local week and their zone, of the old and of the new object."""
    return (
        (_minutes(pair, pair.old), _zone(pair, pair.old, pair.top.old)),
        (_minutes(pair, pair.new), _zone(pair, pair.new, pair.top.new)),
    )


def _minutes(pair: Pair, version: Version) -> int | None:
    roles = {role: _role(pair.schema, role) for role in ("start", "end", "days")}
    if any(name in version.off for name in roles.values()):
        return _EVERY_MINUTE
    start, end, days = (version.keys.get(name or "", None) for name in roles.values())
    return week_set(0 if start is None else start, 24 if end is None else end, _EVERY_DAY if days is None else days)


def _zone(pair: Pair, version: Version, policy: Version) -> str:
    own = version.keys.get(_role(pair.schema, "zone") or "")
    zone = policy.keys.get(_role(pair.top.schema, "zone") or "") if own is None else own
    return zone if isinstance(zone, str) else "UTC"


def _role(schema: Schema, role: str) -> str | None:
    return next((key for key, named in properties_of(schema).items() if named.get("x-time") == role), None)


# --------------------------------------------------------------------------------------------------- limits


def _limit(pair: Pair, key: str, _entry: str | None) -> Risk | None:
    """How many requests in how long, however the two are spelled."""
    if key not in LIMIT_KEYS or not any(name in properties_of(pair.schema) for name in (*PER, "max_requests")):
        return None
    stated = has_limit(pair.old.keys), has_limit(pair.new.keys)
    if not all(stated):
        return None if not any(stated) else Risk.TIGHTENS if stated[1] else Risk.WEAKENS
    old, new = limit_of(pair.old.keys), limit_of(pair.new.keys)
    if old is None or new is None:
        return _same_window(pair, key)
    if old.window != new.window and (
        _both(pair, "adaptive") or (_either(pair, "overrides") and 0 in (old.count, new.count))
    ):
        return Risk.UNKNOWN
    return by_growth(growth_of_limits(old, new), tightens=True)


def _same_window(pair: Pair, key: str) -> Risk | None:
    """Without a window on either side only the number can be compared."""
    if any("window_size" in version.keys for version in (pair.old, pair.new)):
        return Risk.UNKNOWN
    return None if key == "max_requests" else Risk.UNKNOWN


def _burst(pair: Pair, key: str, _entry: str | None) -> Risk | None:
    if key not in BURST_KEYS or "burst_limit" not in pair.old.keys or "burst_limit" not in pair.new.keys:
        return None
    limits = [
        Limit(count, window)
        for version in (pair.old, pair.new)
        if (count := magnitude(version.keys["burst_limit"], "burst_limit")) is not None
        and (window := magnitude(version.keys.get("burst_window", "1s"), "burst_window"))
    ]
    return by_growth(growth_of_limits(*limits), tightens=True) if len(limits) == 2 else Risk.UNKNOWN


def _overrides(pair: Pair, key: str, entry: str | None) -> Risk | None:
    if key != "overrides" or not any(name in properties_of(pair.schema) for name in PER):
        return None
    old, new = (_object(side) for side in pair.sides(key))
    limits = limit_of(pair.old.keys), limit_of(pair.new.keys)
    base = tuple(None if limit is None else float(limit.count) for limit in limits)
    if limits[0] is not None and limits[1] is not None and limits[0].window != limits[1].window:
        base = None, None
    names = (
        {entry} if entry is not None else {name for name in old.keys() | new.keys() if old.get(name) != new.get(name)}
    )
    return join({override_risk(name, old, new, base[0], base[1]) for name in names})


def _tiers(pair: Pair, key: str, _entry: str | None) -> Risk | None:
    if key != "trust_tiers":
        return None
    old, new = (None if side is MISSING else side for side in pair.sides(key))
    return by_growth(growth_of_tiers(old, new), tightens=False)


# ---------------------------------------------------------------------------------------------------- sets


def _scale(pair: Pair, key: str, _entry: str | None) -> Risk | None:
    """`trust_scale` says how the minimum is written: the minimum is compared in percent (semantics.md B.2)."""
    if key not in ("trust_scale", "min_trust_score") or "trust_scale" not in properties_of(pair.schema):
        return None
    if not _both(pair, "min_trust_score"):
        return None
    ranks = []
    for version in (pair.old, pair.new):
        score, scale = magnitude(version.keys["min_trust_score"], ""), version.keys.get("trust_scale", "percent")
        if score is None or scale not in ("percent", "unit"):
            return Risk.UNKNOWN
        ranks.append(score * 100 if scale == "unit" else score)
    return Risk.NEUTRAL if ranks[0] == ranks[1] else Risk.TIGHTENS if ranks[1] > ranks[0] else Risk.WEAKENS


def _matching(pair: Pair, key: str, _entry: str | None) -> Risk | None:
    """`resource_match: contains` compiles each entry x to `**x**` (semantics.md B.7)."""
    lists = ("restricted_resources", "allowed_resources")
    if "resource_match" not in properties_of(pair.schema) or key not in (*lists, "resource_match"):
        return None
    modes = [version.keys.get("resource_match") for version in (pair.old, pair.new)]
    if modes == ["glob", "glob"]:
        return None if key in lists else Risk.NEUTRAL
    risks: set[Risk] = set()
    for name in lists if key == "resource_match" else (key,):
        named = key_schema(pair.schema, name)
        sides = [
            contains(side) if mode == "contains" else side for mode, side in zip(modes, pair.sides(name), strict=True)
        ]
        grown = growth_of(named, sides[0], sides[1])
        risks.add(by_growth(grown, tightens=named.get("x-direction") == "growing-tightens"))
    return join(risks)


def contains(side: Side) -> Side:
    return [f"**{each}**" for each in side if isinstance(each, str)] if isinstance(side, list) else side


def _required(pair: Pair, key: str, _entry: str | None) -> Risk | None:
    """`required_capabilities`: all of them, or (unless the flag is true) any of them; none at all is off."""
    named = properties_of(pair.schema)
    name = next(
        (each for each, schema in named.items() if "x-any-unless" in schema and "x-alias-of" not in schema), None
    )
    if name is None or key not in (name, named[name]["x-any-unless"]):
        return None
    schema, flag = named[name], named[name]["x-any-unless"]
    every = [version.keys.get(flag) is True for version in (pair.old, pair.new)]
    if key == flag and name not in pair.old.keys and name not in pair.new.keys:
        return None
    lists = [entries_of({**schema, "minItems": 0}, side) for side in pair.sides(name)]
    old, new = lists
    if old is None or new is None or old is ALL or new is ALL:
        return Risk.UNKNOWN
    if not old or not new:
        return Risk.NEUTRAL if not old and not new else Risk.TIGHTENS if new else Risk.WEAKENS
    grown = growth_of(schema, pair.old.get(name), pair.new.get(name))
    if every[0] is every[1]:
        return by_growth(grown, tightens=every[0])
    if grown is Growth.SAME and len(set(old)) == 1:
        return Risk.NEUTRAL
    if set(old) & set(new):
        return Risk.TIGHTENS if every[1] else Risk.WEAKENS
    return Risk.UNKNOWN


def _union(pair: Pair, key: str, _entry: str | None) -> Risk | None:
    """`allowed_domains` and `allowed_names` list servers together: the second key adds, the first one restricts."""
    name = key_schema(pair.schema, key).get("x-union")
    if name is None:
        return None
    named = key_schema(pair.schema, key)
    others = [
        each for each, schema in properties_of(pair.schema).items() if schema.get("x-union") == name and each != key
    ]
    alone = [not any(each in version.keys for each in others) for version in (pair.old, pair.new)]
    grown = growth_of(named, *pair.sides(key), absent_old=alone[0], absent_new=alone[1])
    return by_growth(grown, tightens=named.get("x-direction") == "growing-tightens")


def _history(pair: Pair, key: str, _entry: str | None) -> Risk | None:
    """Another filter shows another history to a condition on previous values: nothing is proven (semantics.md E.3)."""
    if key not in _HISTORY or "check_capability_changes" not in properties_of(pair.schema):
        return None
    return None if direction_of(key_schema(pair.schema, key), key, *pair.sides(key)) is Risk.NEUTRAL else Risk.UNKNOWN


def _both(pair: Pair, key: str) -> bool:
    return key in pair.old.keys and key in pair.new.keys


def _either(pair: Pair, key: str) -> bool:
    return key in pair.old.keys or key in pair.new.keys


def _object(side: object) -> Mapping[str, Json]:
    return side if isinstance(side, dict) else {}


_GROUPS: Final[tuple[Callable[[Pair, str, str | None], Risk | None], ...]] = (
    _effect,
    _hours,
    _limit,
    _burst,
    _overrides,
    _tiers,
    _scale,
    _matching,
    _required,
    _union,
    _history,
)
