"""NeoSC's policies: sentences, and the checks that say what they demand (semantics.md B.12).

Nothing is read into a sentence without a check unless it is one of the phrase table. NeoSC has no mode per policy, so
a violation alerts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from reconciler.core.model import Body, Json
from reconciler.core.rules import check_of
from reconciler.semantics.ast import Age, Distinct, Gap, Is, Lift, Not
from reconciler.semantics.drift import failed_logins
from reconciler.semantics.faults import Fault
from reconciler.semantics.keys import MINUTE_US, Keys
from reconciler.semantics.program import Clause, Group, Program
from reconciler.semantics.shared import (
    PLAIN_DATA,
    Data,
    action_clauses,
    country_clauses,
    filters_of,
    ip_clauses,
    lift,
    must_find,
    must_prove,
    resource_clauses,
    role_clauses,
    time_clauses,
    trust_clauses,
)

TYPES: Final = ("access", "network", "session")
#: A session without a word about idling is open for as long as this after its last event.
_OPEN_US: Final = 24 * 60 * MINUTE_US
_SESSION: Final = ("actor_id", "session_id")
_NOTED: Final = ("description", "created_at", "updated_at", "created_by")


def compile_neosc(body: Body, checks: Body | None = None, data: Data = PLAIN_DATA) -> Program | tuple[Fault, ...]:
    """Return the program of a NeoSC policy, or every fault in it.

    *checks* are those of git; without them, those that stand in the policy. A rule that nothing can check is listed in
    `unchecked`; a policy of nothing else is one that never violates.
    """
    keys = Keys(dict(body))
    name = keys.text("name", "")
    key = keys.text("id", name)
    policy_type = keys.choice("type", TYPES, TYPES[0])
    enabled = keys.flag("enabled", default=True)
    rules = keys.texts("rules") or ()
    own, metadata = keys.take("checks"), keys.take("metadata")
    keys.present(_NOTED)
    if not key:
        keys.fault("id", "is not there", "write the policy's id", "missing-key")
    if not keys.has("type"):
        keys.fault("type", "is not there", "write " + ", ".join(TYPES), "missing-key")
    keys.finish()
    if checks is None and isinstance(metadata, dict):
        own = metadata.get("checks", own)
    table = checks if checks is not None else own
    groups: list[Group] = []
    unchecked: list[str] = []
    for rule in rules:
        check = check_of(rule, table if isinstance(table, dict) else None)
        if check is None:
            unchecked.append(rule)
        else:
            groups.append(_group(keys, rule, check, data))
    if keys.faults:
        return tuple(keys.faults)
    return Program(key, policy_type, tuple(groups), enabled=enabled, unchecked=tuple(unchecked))


def _group(parent: Keys, rule: str, check: Mapping[str, Json], data: Data) -> Group:
    keys = Keys(dict(check), f"/checks/{_escaped(rule)}")
    filters = filters_of(keys)
    clauses = (
        *_demands(keys),
        *_session_clauses(keys),
        *_login_clauses(keys),
        *ip_clauses(keys),
        *country_clauses(keys),
        *time_clauses(keys, "UTC"),
        *resource_clauses(keys),
        *action_clauses(keys),
        *role_clauses(keys),
        *trust_clauses(keys, data),
    )
    keys.finish()
    if not clauses and not keys.faults:
        keys.fault("", "can never be violated", "add a key such as require_mfa", "no-active-clause")
    parent.merge(keys)
    return Group(clauses, filters)


def _escaped(rule: str) -> str:
    return rule.replace("~", "~0").replace("/", "~1")


def _demands(keys: Keys) -> list[Clause]:
    clauses = []
    if keys.flag("require_mfa"):
        clauses.append(must_prove("require_mfa", Not(Is("mfa_verified"))))
    if methods := keys.some_texts("allowed_mfa_methods"):
        clauses.append(must_prove("allowed_mfa_methods", Not(lift("one_of", "mfa_method", methods))))
    if keys.flag("require_tunnel"):
        clauses.append(must_prove("require_tunnel", Not(lift("one_of", "tunnel_status", ("encrypted",)))))
    if protocols := keys.some_texts("tunnel_protocols"):
        listed: Lift = lift("one_of", "tunnel_protocol", protocols)
        clauses.append(must_prove("tunnel_protocols", Not(listed)))
    if keys.flag("require_identity_verified"):
        clauses.append(must_prove("require_identity_verified", Not(Is("identity_verified"))))
    if keys.flag("require_recording"):
        clauses.append(must_prove("require_recording", Not(Is("session_recorded"))))
    return clauses


def _session_clauses(keys: Keys) -> list[Clause]:
    """A session runs from its first event; it idles between two; it is open until it has idled for too long.

    Equal to the limit passes. Nothing says that a session ended, so one without a limit on idling or on its length
    counts as open for a day after its last event.
    """
    clauses = []
    longest = keys.whole("max_session_minutes", low=1)
    idle = keys.whole("idle_timeout_minutes", low=1)
    most = keys.whole("max_concurrent_sessions", low=1)
    if longest is not None:
        clauses.append(must_find("max_session_minutes", Age(_SESSION, ">", longest * MINUTE_US)))
    if idle is not None:
        clauses.append(must_find("idle_timeout_minutes", Gap(_SESSION, ">", idle * MINUTE_US)))
    if most is not None:
        minutes = idle or longest
        open_us = minutes * MINUTE_US if minutes else _OPEN_US
        clauses.append(must_find("max_concurrent_sessions", Distinct(("actor_id",), open_us, "session_id", most)))
    return clauses


def _login_clauses(keys: Keys) -> list[Clause]:
    most, window = keys.whole("max_login_attempts", low=1), keys.span("window")
    if keys.has("max_login_attempts") is not keys.has("window"):
        keys.fault("window", "and max_login_attempts are needed together", "write both", "rule-conflict")
    if most is None or window is None:
        return []
    return [must_find("max_login_attempts", failed_logins(most, window))]
