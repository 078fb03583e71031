"""Data: approval, amounts, encryption, deletion, purpose; what is granted; what the log records (semantics.md B.7)."""

from __future__ import annotations

from typing import Final

from reconciler.semantics.ast import And, Cmp, Is, Node, Not, Null
from reconciler.semantics.columns import COLUMNS
from reconciler.semantics.program import Clause, Effect
from reconciler.semantics.shared import Context, Meaning, lift, must_find, must_prove

#: Actions that delete (semantics.md B.7).
_DELETING: Final = ("delete*", "*_delete", "*:delete", "purge*", "destroy*")


def data_protection(context: Context) -> Meaning:
    """Demands on requests that touch data of some types; how long data is kept is no matter of single requests."""
    keys = context.keys
    clauses: list[Clause] = []
    if keys.flag("requires_approval"):
        clauses.append(must_prove("requires_approval", Not(Is("approved"))))
    most = keys.whole("max_records_per_request")
    if most is not None:
        clauses.append(must_find("max_records_per_request", Cmp("records", ">", most)))
    if keys.flag("require_encryption"):
        clauses.append(must_prove("require_encryption", Not(Is("encrypted"))))
    if keys.flag("require_secure_deletion"):
        deleting = lift("matches", "action_key", _DELETING, "folded")
        clauses.append(must_prove("require_secure_deletion", And((deleting, Not(Is("secure_delete"))))))
    if purposes := keys.some_texts("allowed_purposes"):
        clauses.append(must_prove("allowed_purposes", Not(lift("one_of", "purpose", purposes))))
    keys.whole("retention_days")
    types = keys.some_texts("data_types")
    touched: Node = lift("meets_folded", "data_types", types) if types else Not(lift("is_empty", "data_types"))
    return Meaning(tuple(clauses), applies=touched, not_replayed=keys.present(["retention_days"]))


def capability_violation(context: Context) -> Meaning:
    """No granted capability fits the one that is wanted. Attack patterns describe, and nobody looks at them."""
    context.keys.texts("attack_patterns")
    ungranted = must_prove("granted_capabilities", Not(lift("grants", ("granted_capabilities", "wanted"))))
    return Meaning((ungranted,), not_replayed=context.keys.present(["attack_patterns"]))


def audit_logging(context: Context) -> Meaning:
    """A column that has to be recorded and is not. No gate: its effect is an alert at most."""
    keys = context.keys
    wanted = keys.some_texts("required_fields") or ()
    if not keys.has("required_fields"):
        keys.fault("required_fields", "is not there", "write the columns every event must have", "missing-key")
    for name in wanted:
        if name not in COLUMNS:
            keys.fault("required_fields", f"names {name[:100]}, which is no column", "write columns of the event")
    clauses = tuple(must_find(f"required_fields/{name}", Null(name)) for name in wanted if name in COLUMNS)
    return Meaning(clauses, strongest=Effect.ALERT)
