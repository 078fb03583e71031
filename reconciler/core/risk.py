"""Which way protection goes when a policy changes (design.md 6 "Risk", semantics.md E).

Decided key by key from the schema's `x-direction`; keys that mean something only together are judged together in
`neighbours.py`. Whether a policy is switched on is no part of a field's risk. Nothing here decides what is a change.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from reconciler.core import rules
from reconciler.core.canonical import (
    Schema,
    entry_schema,
    item_schema,
    json_equal,
    key_field,
    key_schema,
    properties_of,
    spelling_of,
)
from reconciler.core.direction import join as join
from reconciler.core.model import MISSING, Action, Body, Json, Risk, Side
from reconciler.core.neighbours import judge_key
from reconciler.core.pairs import Pair, make_pair


def policy_risk(
    schema: Schema,
    old: Body,
    new: Body,
    pointers: Iterable[str],
    *,
    old_checks: Body | None = None,
    new_checks: Body | None = None,
) -> dict[str, Risk]:
    """Return the direction of each changed field on the way from *old* to *new*, judged with its neighbours.

    *new* is the body as it will be live, with the fields that are not ours (`diff.merge_for_put`). The checks are
    `metadata.checks` of last-applied and of git. `Risk.MIXED` means that both directions are proven; plans show it on
    a change, and on a field as unknown (`field_label`).
    """
    if json_equal(dict(old), dict(new)):
        return dict.fromkeys(pointers, Risk.NEUTRAL)
    pair = make_pair(schema, old, new, old_checks, new_checks)
    return {pointer: _walk(pair, _segments(pointer)) for pointer in pointers}


def field_risk(schema: Schema, pointer: str, old: Side, new: Side) -> Risk:
    """Return the direction of one field as if the policy had no other; an absent side is its default, or nothing."""
    return policy_risk(schema, _nested(schema, pointer, old), _nested(schema, pointer, new), [pointer])[pointer]


def change_risk(action: Action, fields: Iterable[Risk], *, was_enabled: bool, enabled: bool) -> Risk:
    """Return the direction of a whole change: of its toggle, of its fields joined, or of coming and going.

    Creating or deleting a policy that is switched off is neutral. *fields* of an update hold the risk of `/enabled`
    when that changes as well; for all other actions they do not count.
    """
    if action is Action.CREATE:
        return Risk.TIGHTENS if enabled else Risk.NEUTRAL
    if action is Action.DELETE:
        return Risk.WEAKENS if was_enabled else Risk.NEUTRAL
    if action is Action.UPDATE:
        return join(fields)
    return Risk.TIGHTENS if action is Action.ENABLE else Risk.WEAKENS


def whole_field_risk(action: Action, pointer: str, *, was_enabled: bool, enabled: bool) -> Risk:
    """Return the risk of one field of a create or a delete: `/enabled` carries all of it."""
    if pointer != "/enabled":
        return Risk.NEUTRAL
    return change_risk(action, (), was_enabled=was_enabled, enabled=enabled)


def field_label(risk: Risk) -> Risk:
    """Return what a plan says of a single field, where `mixed` has no place (design.md 5): unknown instead."""
    return Risk.UNKNOWN if risk is Risk.MIXED else risk


def rules_risk(
    old: Sequence[str], new: Sequence[str], old_checks: Body | None, new_checks: Body | None, check: Schema
) -> Risk:
    """Return the direction of NeoSC rules, compared by their checks; *check* is the schema of one (see `rules.py`)."""

    def compare(one: rules.Check, other: rules.Check) -> Risk:
        return _all(make_pair(check, one, other))

    return rules.rules_risk(old, new, old_checks, new_checks, compare)


# ------------------------------------------------------------------------------------------------- pointers


def _walk(pair: Pair, path: Sequence[str]) -> Risk:
    """Follow a pointer to the object that its key stands in, and judge the key there."""
    if not path:
        return _all(pair)
    key, rest = path[0], path[1:]
    named, sides = key_schema(pair.schema, key), pair.sides(key)
    check = _check_schema(pair.schema) if key == "rules" and pair.policy is None else None
    if check is not None:
        return _rules(pair, check)
    is_object = bool(properties_of(named)) and all(side is MISSING or isinstance(side, dict) for side in sides)
    if is_object and (rest or "x-direction" not in named or MISSING not in sides):
        return _walk(pair.child(key), rest)
    return judge_key(pair, spelling_of(pair.schema, key), rest[0] if rest else None)


def _all(pair: Pair) -> Risk:
    """The direction of an object: of every key that differs, together."""
    keys = {*pair.old.keys, *pair.new.keys}
    return join({_walk(pair, [key]) for key in keys if _differs(*pair.sides(key))})


def _differs(old: Side, new: Side) -> bool:
    if old is MISSING or new is MISSING:
        return old is not new
    return not json_equal(old, new)


def _rules(pair: Pair, check: Schema) -> Risk:
    old, new = pair.sides("rules")
    texts = [
        [each for each in side if isinstance(each, str)] if isinstance(side, list) else None for side in (old, new)
    ]
    if texts[0] is None or texts[1] is None:
        return Risk.UNKNOWN if _differs(old, new) else Risk.NEUTRAL
    return rules_risk(texts[0], texts[1], pair.old_checks, pair.new_checks, check)


def _check_schema(schema: Schema) -> Schema | None:
    """The schema of one of `metadata.checks`; only NeoSC has them."""
    return entry_schema(key_schema(key_schema(schema, "metadata"), "checks"))


def _segments(pointer: str) -> list[str]:
    return [part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:]]


def _nested(schema: Schema, pointer: str, side: Side) -> dict[str, Json]:
    """A body with nothing but the value at *pointer*; an entry of a keyed list stands alone in its list."""
    if side is MISSING:
        return {}
    path = _segments(pointer)
    schemas = [schema]
    for part in path:
        schemas.append(key_schema(schemas[-1], part))
    value: Json = side
    for part, around in zip(reversed(path), reversed(schemas[:-1]), strict=True):
        value = [value] if key_field(around) is not None and item_schema(around) else {part: value}
    return value if isinstance(value, dict) else {}
