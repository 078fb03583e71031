"""What the last change of a policy did, field by field, with the direction of risk: the rows that a plan has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from reconciler.core.diff import diff_policy
from reconciler.core.model import MISSING, Json, Risk, Side
from reconciler.core.risk import field_label, policy_risk
from reconciler.core.schema import load_schemas
from reconciler.reports.view import value_text
from reconciler.server.pages.facts import NEOSC, Entry
from reconciler.server.pages.states import State


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One field; None is "absent"."""

    pointer: str
    before: str | None
    after: str | None
    risk: str


@dataclass(frozen=True, slots=True)
class Difference:
    """What one audited change did."""

    audit_id: str
    at: str
    actor: str
    details: str
    fields: tuple[FieldChange, ...]


def last_difference(system: str, states: Sequence[State], entries: Sequence[Entry]) -> Difference | None:
    """The newest change that moved a field, where both states are known; None where there is none.

    A state whose audit entry is not among *entries* belongs to nothing that can be shown.
    """
    known = {entry.audit_id: entry for entry in entries}
    for after, before in pairwise(states):
        entry = known.get(after.audit_id)
        if entry is None or before.body is None or after.body is None:
            continue
        fields = compare(system, before.body, after.body)
        if fields:
            return Difference(entry.audit_id, entry.at, entry.actor, entry.details, fields)
    return None


def compare(system: str, before: Mapping[str, Json], after: Mapping[str, Json]) -> tuple[FieldChange, ...]:
    """Return the fields in which *after* departs from *before*, each with where it moves the protection."""
    kind = after.get("type" if system == NEOSC else "policy_type")
    schema = load_schemas().policy_schema(system, kind if isinstance(kind, str) else None)
    diffs = diff_policy(after, before, before, schema)
    pointers = [diff.pointer for diff in diffs if diff.pointer != "/enabled"]
    risks = policy_risk(schema, before, after, pointers)
    return tuple(
        FieldChange(
            diff.pointer,
            _text(diff.live),
            _text(diff.desired),
            _switch_risk(after) if diff.pointer == "/enabled" else field_label(risks[diff.pointer]).value,
        )
        for diff in diffs
    )


def _switch_risk(after: Mapping[str, Json]) -> str:
    return (Risk.TIGHTENS if after.get("enabled") else Risk.WEAKENS).value


def _text(value: Side) -> str | None:
    return None if value is MISSING else value_text(value)
