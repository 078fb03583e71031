"""Does a fresh plan weaken more than the plan that people reviewed?

What binds approval to apply (ux.md 3.2): everything may move after a review but the set of what gets weaker, which may
only shrink. Pure; which plan was reviewed is the caller's matter.
"""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.core.canonical import canonical_json
from reconciler.core.guard import WEAKER
from reconciler.core.model import MISSING, Change, FieldChange, Plan
from reconciler.core.safe import safe

_Claim = tuple[str, str, str, str | None, str | None]


def beyond_review(fresh: Plan, reviewed: Plan) -> tuple[str, ...]:
    """Return what *fresh* weakens and *reviewed* does not, a line per change in the plan's order; empty: go on.

    Compared are policy and action of every change that weakens, is mixed or cannot be judged, and its fields of that
    kind with the value they get. What they were before does not count: the reviewer agreed to where it ends.
    """
    agreed = {claim for change in reviewed.changes for claim in _claims(change)}
    lines = []
    for change in fresh.changes:
        new = [claim for claim in _claims(change) if claim not in agreed]
        fields = [pointer for *_, pointer, _ in new if pointer is not None]
        if new:
            where = f" ({', '.join(safe(pointer) for pointer in fields)})" if fields else ""
            lines.append(f"{change.action.value} {safe(change.key)}{where}")
    return tuple(lines)


def _claims(change: Change) -> Iterator[_Claim]:
    """What one change takes away: that it happens at all, and where each field that weakens ends."""
    if change.risk not in WEAKER:
        return
    name = (change.kind.value, change.key, change.action.value)
    yield (*name, None, None)
    for field in change.fields:
        if field.risk in WEAKER:
            yield (*name, field.pointer, _value(field))


def _value(field: FieldChange) -> str | None:
    return None if field.desired is MISSING else canonical_json(field.desired)
