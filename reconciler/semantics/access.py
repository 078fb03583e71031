"""Who may do what, from where, when: trust scores, address lists, access control (semantics.md B.7)."""

from __future__ import annotations

from typing import Final

from reconciler.semantics.program import Clause, Effect
from reconciler.semantics.shared import (
    PERCENT,
    UNIT,
    Context,
    Meaning,
    action_clauses,
    country_clauses,
    ip_clauses,
    resource_clauses,
    role_clauses,
    time_clauses,
    trust_clauses,
)

_IP: Final = ("allowed_ips", "denied_ips", "block_vpn")
_TIME: Final = ("allowed_days", "allowed_hours_start", "allowed_hours_end")
_RESOURCE: Final = ("restricted_resources", "allowed_resources")
_ACTION: Final = ("restricted_actions", "allowed_actions")
_FREQUENCIES: Final = ("continuous", "hourly", "daily")


def trust_score(context: Context) -> Meaning:
    """A trust score under the minimum. How often somebody looks is recorded and changes nothing: every event counts."""
    keys = context.keys
    names = ("min_trust_score", "trust_threshold", "threshold")
    scale = keys.choice("trust_scale", (PERCENT, UNIT), PERCENT)
    clauses = trust_clauses(keys, context.data, *names, scale=scale)
    if not keys.has(*names):
        keys.fault(names[0], "is not there", "write the lowest score that passes", "missing-key")
    keys.choice(keys.written("evaluation_frequency", "check_frequency"), _FREQUENCIES, "continuous")
    noted = keys.present(("evaluation_frequency", "check_frequency"))
    demanded = Effect.SUSPEND if keys.flag("auto_disable") else None
    return Meaning(tuple(clauses), demanded=demanded, not_replayed=noted)


def ip_allowlist(context: Context) -> Meaning:
    keys = context.keys
    if not keys.has("allowed_ips"):
        keys.fault("allowed_ips", "is not there", "write the addresses that may call", "missing-key")
    return Meaning(tuple(ip_clauses(keys)))


def unauthorized_access(context: Context) -> Meaning:
    """Addresses, times, resources and actions; each group has a switch that can turn it off."""
    keys = context.keys
    how = "contains" if keys.choice("resource_match", ("glob", "contains"), "glob") == "contains" else "resource"
    groups = (
        ("check_ip_restrictions", _IP, ip_clauses(keys)),
        ("check_time_restrictions", _TIME, time_clauses(keys, context.zone)),
        ("check_resource_access", _RESOURCE, resource_clauses(keys, how)),
        ("check_action_restrictions", _ACTION, action_clauses(keys)),
    )
    clauses: list[Clause] = []
    for switch, names, found in groups:
        if keys.has(switch) and keys.flag(switch) and not keys.has(*names):
            keys.fault(switch, "is true, but no key is there to check", f"write {names[0]}", "rule-conflict")
        if keys.flag(switch, default=True):
            clauses += found
    return Meaning(tuple(clauses))


def access_control(context: Context) -> Meaning:
    """Roles, times, addresses, countries and trust; `resources` and `actions` say of what."""
    keys = context.keys
    return Meaning(
        (
            *role_clauses(keys),
            *time_clauses(keys, context.zone),
            *ip_clauses(keys),
            *country_clauses(keys),
            *trust_clauses(keys, context.data),
        )
    )
