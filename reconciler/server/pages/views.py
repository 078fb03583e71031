"""What was read → what the pages show, pure. Each view is the page and its `.json` alike."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from reconciler.core.model import Json
from reconciler.server.enforcement.changes import SETTINGS
from reconciler.server.pages.facts import OUTSIDE, SWITCHABLE, SYSTEMS, Entry, Policy
from reconciler.server.pages.glass import Glass, glass_of

#: What stands before a policy, by its type; any other type gets a plain shield.
ICONS: Final[Mapping[str, str]] = {
    "access": "key",
    "network": "globe",
    "session": "record",
    "trust_score": "gauge",
    "trust_score_low": "gauge",
    "rate_limit": "timer",
    "rate_limiting": "timer",
    "ip_allowlist": "pin",
    "data_access": "database",
    "data_protection": "database",
    "data_exfiltration": "upload",
    "capability_violation": "shield-alert",
    "unauthorized_access": "shield-alert",
    "access_control": "users",
    "audit_logging": "scroll",
    "unusual_activity": "pulse",
    "config_drift": "sliders",
    "auth_failure": "fingerprint",
}


@dataclass(frozen=True, slots=True)
class EntryView:
    """One audit entry. `policy_name` is None once the policy is gone."""

    audit_id: str
    seq: int
    at: str
    actor: str
    action: str
    details: str
    system: str
    policy_id: str | None
    policy_name: str | None
    commit: str | None
    lane: str


@dataclass(frozen=True, slots=True)
class PolicyView:
    """One policy with its switch. `origin` says whose its state is: `git`, `outside` or `none`."""

    system: str
    system_name: str
    id: str
    key: str
    name: str
    description: str
    type: str
    icon: str
    severity: str | None
    enabled: bool
    rules: tuple[str, ...]
    fields: Mapping[str, Json]
    created_at: str
    origin: str
    locked: bool
    commit: str | None
    commit_at: str | None
    edited_by: str | None
    edited_at: str | None
    edit: str | None
    glass: Glass | None
    needs_id: bool
    switchable: bool


@dataclass(frozen=True, slots=True)
class Cell:
    """One policy in one system; `state` is `absent` where the system has none of that key."""

    state: str
    enabled: bool | None
    commit: str | None
    policy_id: str | None


@dataclass(frozen=True, slots=True)
class MatrixRow:
    key: str
    name: str
    icon: str
    severity: str | None
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class Matrix:
    """Policies by key against the systems of this server."""

    systems: tuple[str, ...]
    names: tuple[str, ...]
    rows: tuple[MatrixRow, ...]


def policy_view(policy: Policy, glasses: tuple[Glass, ...]) -> PolicyView:
    origin = policy.origin
    edit = origin.newest if origin.state == OUTSIDE else None
    return PolicyView(
        system=policy.system,
        system_name=SYSTEMS[policy.system],
        id=policy.id,
        key=policy.key,
        name=policy.name,
        description=policy.description,
        type=policy.kind,
        icon=icon_of(policy.kind),
        severity=policy.severity,
        enabled=policy.enabled,
        rules=policy.rules,
        fields=policy.fields,
        created_at=policy.created_at,
        origin=origin.state,
        locked=origin.git is not None,
        commit=None if origin.git is None else origin.git.commit,
        commit_at=None if origin.git is None else origin.git.at,
        edited_by=None if edit is None else edit.actor,
        edited_at=None if edit is None else edit.at,
        edit=None if edit is None else edit.details,
        glass=glass_of(policy, glasses),
        needs_id=policy.is_critical,
        switchable=policy.system in SWITCHABLE,
    )


def icon_of(kind: str) -> str:
    return ICONS.get(kind) or ("plug" if kind.startswith("mcp_") else "shield")


def entry_view(entry: Entry, policies: Mapping[tuple[str, str], Policy]) -> EntryView:
    policy = None if entry.policy_id is None else policies.get((entry.system, entry.policy_id))
    return EntryView(
        audit_id=entry.audit_id,
        seq=entry.seq,
        at=entry.at,
        actor=entry.actor,
        action=entry.action,
        details=entry.details,
        system=entry.system,
        policy_id=entry.policy_id,
        policy_name=None if policy is None else policy.name,
        commit=entry.commit,
        lane=lane_of(entry),
    )


def lane_of(entry: Entry) -> str:
    """`git` when it names a commit; `outside` for a policy or the mode moved without one; `other` for all else."""
    if entry.commit is not None:
        return "git"
    return "outside" if entry.policy_id is not None or entry.resource == SETTINGS else "other"


def by_place(policies: Iterable[Policy]) -> dict[tuple[str, str], Policy]:
    return {(each.system, each.id): each for each in policies}


def matrix(policies: Sequence[Policy]) -> Matrix:
    """Policies of equal key stand in one row. AIM has a column once it has a policy: it is a rehearsal's choice."""
    there = {policy.system for policy in policies}
    systems = tuple(system for system in SYSTEMS if system in SWITCHABLE or system in there)
    rows: dict[str, dict[str, Policy]] = {}
    for policy in policies:
        rows.setdefault(policy.key, {}).setdefault(policy.system, policy)
    return Matrix(
        systems,
        tuple(SYSTEMS[each] for each in systems),
        tuple(_row(key, found, systems) for key, found in rows.items()),
    )


def commands(policy: PolicyView) -> tuple[str, ...]:
    """What to type for more: who changed it, what differs from git. The target is named as the system is."""
    key, target = shlex.quote(policy.key), shlex.quote(policy.system)
    return (
        f"reconciler blame -t {target} -- {key}",
        f"reconciler drift -t {target}",
        f"reconciler plan -t {target} --only {key}",
    )


def policy_url(system: str, policy_id: str) -> str:
    return f"/policies/{quote(system, safe='')}/{quote(policy_id, safe='')}"


def decision_words(decision: str) -> str:
    """What came of an event, in words."""
    return {"block": "blocked", "allow": "allowed", "pending": "waits for approval"}.get(decision, decision)


def _row(key: str, found: Mapping[str, Policy], systems: Sequence[str]) -> MatrixRow:
    first = next(iter(found.values()))
    cells = tuple(_cell(found.get(system)) for system in systems)
    return MatrixRow(key, first.name, icon_of(first.kind), first.severity, cells)


def _cell(policy: Policy | None) -> Cell:
    if policy is None:
        return Cell("absent", None, None, None)
    git = policy.origin.git
    return Cell(policy.origin.state, policy.enabled, None if git is None else git.commit, policy.id)
