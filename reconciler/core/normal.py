"""Fields in which the live system keeps something else than it was sent (reliability.md F39).

A server that trims, rounds or rewrites what it is given can never show what git says. What it made of our own write is
remembered in the ledger (`Applied.kept`), and the same again is no difference: it would be sent for ever, to no effect.
Only what leaves nobody weaker than git asks for is accepted so; everything else stays a change.
"""

from __future__ import annotations

from collections.abc import Iterable

from reconciler.core.canonical import Schema, json_equal
from reconciler.core.diff import FieldDiff, merge_for_put
from reconciler.core.model import MISSING, Applied, Body, Json, Risk, Side
from reconciler.core.risk import policy_risk

_FINE = (Risk.NEUTRAL, Risk.TIGHTENS)


def is_no_weaker(desired: Body, live: Body, pointers: Iterable[str], schema: Schema) -> bool:
    """Whether *live* protects at least as well as *desired* in these fields; what nobody can judge does not."""
    asked = merge_for_put(desired, live, MISSING, schema)
    return all(risk in _FINE for risk in policy_risk(schema, asked, live, pointers).values())


def kept_fields(diffs: Iterable[FieldDiff]) -> dict[str, Json]:
    """Return what live has at each of *diffs*, by pointer, for the ledger; null where it has nothing.

    >>> kept_fields([])
    {}
    """
    return {diff.pointer: None if diff.live is MISSING else diff.live for diff in diffs}


def find_kept(
    diffs: Iterable[FieldDiff], applied: Applied | None, desired: Body, live: Body, schema: Schema
) -> tuple[str, ...]:
    """Return the pointers of *diffs* that are no more than what our last write became.

    Git still says what was sent then, live still shows what was kept then, and it protects as well. The ledger is not
    believed in the last: anybody who can push may have forged it.
    """
    if applied is None or not applied.kept:
        return ()
    found = [
        diff.pointer
        for diff in diffs
        if diff.pointer in applied.kept
        and _is_same(diff.live, applied.kept[diff.pointer])
        and diff.last_applied is not MISSING
        and _is_same(diff.desired, diff.last_applied)
    ]
    return tuple(pointer for pointer in found if is_no_weaker(desired, live, [pointer], schema))


def _is_same(side: Side, value: Json) -> bool:
    return value is None if side is MISSING else json_equal(side, value)
