"""A policy as data → a program: filters, clauses, effect (semantics.md B.3 to B.12, D.1).

Whatever is wrong is a value, all of it at once: a policy that is not understood, or that can never fire, is not run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from reconciler.core.model import Body
from reconciler.semantics.access import access_control, ip_allowlist, trust_score, unauthorized_access
from reconciler.semantics.activity import data_exfiltration, unusual_activity
from reconciler.semantics.ast import Node
from reconciler.semantics.data import audit_logging, capability_violation, data_protection
from reconciler.semantics.drift import auth_failure, config_drift
from reconciler.semantics.envelope import read_consequence, read_envelope
from reconciler.semantics.faults import Fault
from reconciler.semantics.keys import Keys
from reconciler.semantics.mcp import (
    mcp_allowlist,
    mcp_blocklist,
    mcp_capabilities,
    mcp_high_risk,
    mcp_min_trust,
    mcp_unverified,
)
from reconciler.semantics.neosc import TYPES as NEOSC_TYPES
from reconciler.semantics.neosc import compile_neosc
from reconciler.semantics.nodes import all_of
from reconciler.semantics.program import Clause, Effect, Group, Program, State
from reconciler.semantics.rates import rate_limit
from reconciler.semantics.shared import PLAIN_DATA, Context, Data, Meaning, filters_of

FAMILIES: Final[Mapping[str, Callable[[Context], Meaning]]] = {
    "trust_score": trust_score,
    "trust_score_low": trust_score,
    "rate_limit": rate_limit,
    "ip_allowlist": ip_allowlist,
    "unauthorized_access": unauthorized_access,
    "access_control": access_control,
    "data_access": data_protection,
    "data_protection": data_protection,
    "capability_violation": capability_violation,
    "mcp_min_trust": mcp_min_trust,
    "mcp_capabilities": mcp_capabilities,
    "mcp_allowlist": mcp_allowlist,
    "mcp_blocklist": mcp_blocklist,
    "mcp_high_risk": mcp_high_risk,
    "mcp_unverified": mcp_unverified,
    "audit_logging": audit_logging,
    "unusual_activity": unusual_activity,
    "data_exfiltration": data_exfiltration,
    "config_drift": config_drift,
    "auth_failure": auth_failure,
}
#: Types that are another one under an older name.
ALIASES: Final[Mapping[str, str]] = {"trust_score_low": "trust_score"}


def compile_policy(body: Body, *, checks: Body | None = None, data: Data = PLAIN_DATA) -> Program | tuple[Fault, ...]:
    """Return the program of a policy of either system, or every fault in it.

    NeoSC's policies have `type` and `rules`, all others `policy_type` and `conditions`. *checks* say what NeoSC's rules
    demand.
    """
    if "policy_type" not in body and body.get("type") in NEOSC_TYPES:
        return compile_neosc(body, checks, data)
    keys = Keys(dict(body))
    policy_type = keys.choice("policy_type", FAMILIES, "")
    if not policy_type:
        if not keys.has("policy_type"):
            keys.fault("policy_type", "is not there", "write the kind of policy", "missing-key")
        return tuple(keys.faults)
    envelope = read_envelope(keys, data)
    if not keys.has("conditions"):
        keys.fault("conditions", "is not there", "write conditions, {} where there are none", "missing-key")
    conditions = keys.under("conditions")
    filters = filters_of(conditions)
    meaning = FAMILIES[policy_type](Context(conditions, envelope.zone, data))
    conditions.finish()
    if not meaning.clauses and not meaning.not_replayed and not conditions.faults:
        conditions.fault("", "can never be violated", "add a condition, or remove the policy", "no-active-clause")
    consequence = read_consequence(keys, meaning)
    _check_quarantine(keys, meaning.clauses, consequence.effect)
    keys.merge(conditions)
    keys.finish()
    if keys.faults:
        return tuple(keys.faults)
    looked_at: tuple[Node, ...] = tuple(node for node in (envelope.scope, filters) if node is not None)
    group = Group(meaning.clauses, all_of(looked_at), meaning.applies, meaning.ready)
    suspends = consequence.effect is Effect.SUSPEND
    return Program(
        envelope.name,
        ALIASES.get(policy_type, policy_type),
        (group,) if meaning.clauses else (),
        consequence.effect,
        enabled=envelope.enabled,
        severity=envelope.severity,
        priority=envelope.priority,
        on_missing=envelope.on_missing,
        state=State(consequence.duration_us, data.reinstating) if suspends else None,
        notify_admins=consequence.notify_admins,
        created_us=envelope.created_us,
        not_replayed=meaning.not_replayed,
    )


def _check_quarantine(keys: Keys, clauses: tuple[Clause, ...], effect: Effect) -> None:
    """A clause that suspends by itself contradicts a policy that says aloud that it never blocks."""
    enforced = keys.take("enforcement_action")
    if enforced in ("allow", "alert_only") and any(clause.state is not None for clause in clauses):
        keys.fault("enforcement_action", "contradicts quarantine_until_approved", "keep one", "rule-conflict")
