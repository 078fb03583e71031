"""The parts of a plan as JSON values, in the shapes of `reconciler.plan/1` (design.md 5), and its fingerprint.

The whole document is `reports/plan_json.py`'s; the parts stand here because a fingerprint is made of them.
"""

from __future__ import annotations

from collections.abc import Sequence

from reconciler.core.canonical import digest
from reconciler.core.model import MISSING, Change, FieldChange, Json, NotDone, TargetInfo, Witness


def make_fingerprint(
    target: TargetInfo, changes: Sequence[Change], held: Sequence[NotDone], cannot: Sequence[NotDone]
) -> str:
    """Return `sha256:` and the hash of what a reviewer agrees to; no clock value is in it."""
    return digest(
        {
            "target": target_to_json(target),
            "changes": [change_to_json(change) for change in changes],
            "held": [not_done_to_json(entry) for entry in held],
            "cannot": [not_done_to_json(entry) for entry in cannot],
        }
    )


def target_to_json(target: TargetInfo) -> dict[str, Json]:
    return {"name": target.name, "provider": target.provider, "url": target.url, "mode": target.mode}


def not_done_to_json(entry: NotDone) -> dict[str, Json]:
    return {"key": entry.key, "action": entry.action.value, "reason": entry.reason}


def change_to_json(change: Change) -> dict[str, Json]:
    """Return a change as reviewers' programs read it; what only the executor needs is not in it."""
    source, commit, drift = change.source, change.commit, change.drift
    return {
        "kind": change.kind.value,
        "key": change.key,
        "id": change.id,
        "action": change.action.value,
        "origin": change.origin.value,
        "risk": change.risk.value,
        "critical": change.critical,
        "adopts": change.adopts,
        "source": None if source is None else {"path": source.path, "line": source.line},
        "commit": None if commit is None else {"sha": commit.sha, "author": commit.author, "subject": commit.subject},
        "fields": [_field_to_json(field) for field in change.fields],
        "drift": None
        if drift is None
        else {
            "actor": drift.actor,
            "at": drift.at,
            "audit_id": drift.audit_id,
            "confidence": drift.confidence.value,
        },
        "calls": [{"method": call.method, "path": call.path} for call in change.calls],
        "guards": list(change.guards),
    }


def _field_to_json(field: FieldChange) -> dict[str, Json]:
    """A side that is not there has no key: absent and null are two things."""
    value: dict[str, Json] = {"pointer": field.pointer, "op": field.op.value}
    if field.live is not MISSING:
        value["live"] = field.live
    if field.desired is not MISSING:
        value["desired"] = field.desired
    if field.last_applied is not MISSING:
        value["last_applied"] = field.last_applied
    value |= {"risk": field.risk.value, "origin": field.origin.value}
    return value if field.witness is None else {**value, "witness": _witness_to_json(field.witness)}


def _witness_to_json(witness: Witness) -> dict[str, Json]:
    """What does not belong to its kind has no key."""
    more: dict[str, Json] = {"of": witness.of, "span_ms": witness.span_ms, "local": witness.local}
    return {
        "kind": witness.kind.value,
        "value": witness.value,
        **{name: value for name, value in more.items() if value is not None},
        "was": witness.was.value,
        "now": witness.now.value,
    }
