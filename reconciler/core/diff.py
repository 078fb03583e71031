"""Desired × last-applied × live → the fields that differ, and who moved them (design.md 3 "Keys", 6).

Bodies are the API's own fields, with `enabled` where the caller wants it compared. Equality is `canonical.py`'s; the
direction of a change is `risk.py`'s.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from reconciler.core.canonical import (
    Schema,
    canonical,
    default_of,
    entry_schema,
    item_schema,
    json_equal,
    key_schema,
    keyed_entries,
    properties_of,
    spelling_of,
)
from reconciler.core.model import MISSING, Body, Json, Missing, Op, Origin, Side

_Object = Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class FieldDiff:
    """One field in which live departs from desired, its values as they are written; `MISSING` where there is none.

    A desired value that only the schema's default gives is that default.
    """

    pointer: str
    op: Op
    live: Side
    desired: Side
    last_applied: Side
    origin: Origin


def diff_policy(
    desired: Body | Missing, live: Body | Missing, applied: Body | Missing, schema: Schema
) -> tuple[FieldDiff, ...]:
    """Return the fields of ours in which *live* departs from *desired*, in schema order, others after it by name.

    A key absent in git counts as its default; without one it is ours only if last-applied had it, and is removed.
    A map (`overrides`) and a keyed list are wholly ours, entry by entry; any other list is one field. A policy that is
    not there on one side has one field per top-level key.
    """
    if desired is MISSING or live is MISSING:
        return _whole(desired, live, applied, schema)
    if json_equal(dict(desired), dict(live)):
        return ()
    leaves = _leaves(desired, live, {} if applied is MISSING else applied, schema, "")
    return tuple(_field(leaf, applied is not MISSING) for leaf in leaves if not leaf.agrees(leaf.desired, leaf.live))


def create_fields(desired: Body, applied: Body | Missing, schema: Schema) -> tuple[FieldDiff, ...]:
    """Return one field per top-level key of a policy that is not live; drift if it is in last-applied."""
    return _whole(desired, MISSING, applied, schema)


def delete_fields(live: Body, applied: Body | Missing, schema: Schema) -> tuple[FieldDiff, ...]:
    """Return one field per top-level key of a live policy that git no longer has."""
    return _whole(MISSING, live, applied, schema)


def policy_origin(desired: Body | Missing, live: Body | Missing, applied: Body | Missing, schema: Schema) -> Origin:
    """Return who moved a policy whose live state is not the desired one: the table of design.md 6.

    Only what is ours is compared. "All different" is `both`, even where no single field is.
    """
    if applied is MISSING:
        return Origin.GIT
    if live is MISSING:
        return Origin.DRIFT
    if desired is MISSING:
        moved = _origin_of(_leaves(applied, live, applied, schema, "")) is not Origin.GIT
        return Origin.BOTH if moved else Origin.GIT
    return _origin_of(_leaves(desired, live, applied, schema, ""))


def unknown_live_keys(desired: Body, live: Body, applied: Body | Missing, schema: Schema) -> tuple[str, ...]:
    """Return pointers of live keys that neither git, last-applied nor the schema knows; they are kept as they are."""
    if live == desired:
        return ()
    return tuple(_unknown(desired, live, {} if applied is MISSING else applied, schema, ""))


def merge_for_put(desired: Body, live: Body, applied: Body | Missing, schema: Schema) -> dict[str, Json]:
    """Return the whole body an update sends: git's fields over what was read.

    What is not ours stays as read, at every level. A default is written only where live is something else. A key that
    goes is null at the top, where leaving it out would keep it, and left out below. `enabled` is always the one read:
    a toggle does the switch (design.md 5).
    """
    merged = _merge(desired, live, {} if applied is MISSING else applied, schema)
    gone = {key: None for key, value in live.items() if value is not None and key not in merged}
    body = {**merged, **gone}
    body.pop("enabled", None)
    return {**body, "enabled": live["enabled"]} if "enabled" in live else body


def pointer_to(parent: str, key: str) -> str:
    """Return the RFC 6901 pointer of a key below *parent*.

    >>> pointer_to("/overrides", "a/b~")
    '/overrides/a~1b~0'
    """
    return parent + "/" + key.replace("~", "~0").replace("/", "~1")


# ---------------------------------------------------------------------------------------------------- leaves


@dataclass(frozen=True, slots=True)
class _Leaf:
    """One field that is ours: its three sides as written, and what each means once defaults are filled in."""

    pointer: str
    schema: Schema
    written: tuple[Side, Side, Side]
    desired: Side
    live: Side
    applied: Side

    def agrees(self, a: Side, b: Side) -> bool:
        if a is MISSING or b is MISSING:
            return a is b
        return json_equal(a, b) or json_equal(canonical(a, self.schema), canonical(b, self.schema))


def _leaves(
    desired: _Object, live: _Object, applied: _Object, schema: Schema, at: str, *, whole: bool = False
) -> Iterator[_Leaf]:
    """Yield every field of an object that is ours; with *whole* all its keys are."""
    for key in _ordered((desired, live, applied), schema):
        if whole or _is_ours(key, desired, applied, schema):
            yield from _leaves_of_key(key, desired, live, applied, schema, pointer_to(at, key))


def _leaves_of_key(
    key: str, desired: _Object, live: _Object, applied: _Object, schema: Schema, at: str
) -> Iterator[_Leaf]:
    named = key_schema(schema, key)
    written = _side(desired, key), _side(live, key), _side(applied, key)
    if _all_equal(*written):
        return
    want = _meant(written[0], schema, key, desired)
    have = _meant(written[1], schema, key, live)
    had = _meant(written[2], schema, key, applied)
    if want is MISSING:
        have, had = _unless_empty(have, named), _unless_empty(had, named)
    if _descends(want, have, named) and (
        want is not MISSING or _merge({}, _object(have), _object(had), named)  # else nothing stays: one removal
    ):
        whole = entry_schema(named) is not None
        yield from _leaves(_object(want), _object(have), _object(had), named, at, whole=whole)
        return
    entries, others = _entries(want, named), _entries(have, named)
    if entries is not None and others is not None:
        before, items = _entries(had, named) or {}, item_schema(named)
        for entry in sorted({*entries, *others, *before}):
            sides = _side(entries, entry), _side(others, entry), _side(before, entry)
            yield _Leaf(pointer_to(at, entry), items, sides, *sides)
        return
    yield _Leaf(at, named, (want if written[0] is MISSING else written[0], written[1], written[2]), want, have, had)


def _entries(side: Side, schema: Schema) -> _Object | None:
    return None if side is MISSING else keyed_entries(side, schema)


def _descends(desired: Side, live: Side, schema: Schema) -> bool:
    """Whether a key is compared key by key: an object that has a direction of its own comes and goes as a whole."""
    if isinstance(desired, dict) and isinstance(live, dict):
        return True
    if not properties_of(schema) or "x-direction" in schema:
        return False
    return all(side is MISSING or isinstance(side, dict) for side in (desired, live))


def _is_ours(key: str, desired: _Object, applied: _Object, schema: Schema) -> bool:
    """A key in git or last-applied, or with a default, in this spelling or another."""
    if desired.get(key) is not None or applied.get(key) is not None:
        return True
    name = spelling_of(schema, key)
    if "default" in key_schema(schema, name):
        return True
    return any(
        value is not None and spelling_of(schema, each) == name
        for side in (desired, applied)
        for each, value in side.items()
    )


def _ordered(sides: Iterable[_Object], schema: Schema) -> list[str]:
    """The keys of any side, in schema order, with the first spelling of each: no other key can differ."""
    named = properties_of(schema)
    present = {key for side in sides for key in side}
    present |= {spelling_of(schema, key) for key in present if key in named}
    return [*(key for key in named if key in present), *sorted(present - named.keys())]


def _all_equal(want: Side, have: Side, had: Side) -> bool:
    if want is MISSING or have is MISSING or had is MISSING:
        return False
    return json_equal(want, have) and json_equal(want, had)


def _side(side: _Object, key: str) -> Side:
    value = side.get(key)
    return MISSING if value is None else value


def _meant(side: Side, schema: Schema, key: str, there: _Object) -> Side:
    if side is not MISSING:
        return side
    default = default_of(schema, key, there)
    return MISSING if default is None else default


def _unless_empty(side: Side, schema: Schema) -> Side:
    """What an API keeps where a key is left out of a full PUT is as good as no key."""
    is_empty = side is not MISSING and "x-empty" in schema and json_equal(side, schema["x-empty"])
    return MISSING if is_empty else side


def _object(side: Side) -> _Object:
    return side if isinstance(side, dict) else {}


# ---------------------------------------------------------------------------------------------------- fields


def _field(leaf: _Leaf, known: bool) -> FieldDiff:
    desired, live, applied = leaf.written
    op = Op.ADD if live is MISSING else Op.REMOVE if desired is MISSING else Op.REPLACE
    return FieldDiff(leaf.pointer, op, live, desired, applied, _origin_of([leaf]) if known else Origin.GIT)


def _origin_of(leaves: Iterable[_Leaf]) -> Origin:
    compared = list(leaves)
    if all(leaf.agrees(leaf.live, leaf.applied) for leaf in compared):
        return Origin.GIT
    if all(leaf.agrees(leaf.desired, leaf.applied) for leaf in compared):
        return Origin.DRIFT
    return Origin.BOTH


def _whole(
    desired: Body | Missing, live: Body | Missing, applied: Body | Missing, schema: Schema
) -> tuple[FieldDiff, ...]:
    want, have, had = ({} if side is MISSING else side for side in (desired, live, applied))
    fields: list[FieldDiff] = []
    for key in _ordered((want, have), schema):
        sides = _side(want, key), _side(have, key), _side(had, key)
        if sides[0] is sides[1]:  # both missing
            continue
        leaf = _Leaf(pointer_to("", key), key_schema(schema, key), sides, *sides)
        moved = live is MISSING or not leaf.agrees(leaf.live, leaf.applied)
        origin = Origin.GIT if applied is MISSING or not moved else Origin.DRIFT if live is MISSING else Origin.BOTH
        op = Op.ADD if live is MISSING else Op.REMOVE
        fields.append(FieldDiff(leaf.pointer, op, sides[1], sides[0], sides[2], origin))
    return tuple(fields)


def _unknown(desired: _Object, live: _Object, applied: _Object, schema: Schema, at: str) -> Iterator[str]:
    named = properties_of(schema)
    if not named:
        return
    for key in sorted(live):
        value = live[key]
        if key not in named:
            if value is not None and desired.get(key) is None and applied.get(key) is None:
                yield pointer_to(at, key)
        elif isinstance(value, dict):
            inner = _object(_side(desired, key)), value, _object(_side(applied, key))
            yield from _unknown(*inner, named[key], pointer_to(at, key))


def _merge(desired: _Object, live: _Object, applied: _Object, schema: Schema) -> dict[str, Json]:
    """Git's keys over live ones; keys of ours that git has no longer are left out."""
    merged: dict[str, Json] = {}
    for key in _ordered((desired, live), schema):
        named, want, have = key_schema(schema, key), _side(desired, key), _side(live, key)
        if want is MISSING and not _is_ours(key, desired, applied, schema):
            if key in live:
                merged[key] = live[key]
        elif isinstance(want, dict) and entry_schema(named) is None:
            merged[key] = _merge(want, _object(have), _object(_side(applied, key)), named)
        elif isinstance(want, dict):
            merged[key] = {entry: value for entry, value in want.items() if value is not None}
        elif want is not MISSING:
            merged[key] = want
        elif isinstance(have, dict) and _descends(want, have, named):
            rest = _merge({}, have, _object(_side(applied, key)), named)
            if rest:
                merged[key] = rest
        elif have is not MISSING:
            default = default_of(schema, key, desired)
            if default is not None:
                merged[key] = have if json_equal(canonical(have, named), canonical(default, named)) else default
    return merged
