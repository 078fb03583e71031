"""What is in the database about policies, read in one transaction: each policy, and whose its present state is.

`git` manages a policy that a request of ours ever changed: such a request names its commit (design.md 6), and the audit
trail has kept it. Edits made since then, by anybody, are "outside git".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa

from reconciler.core import annotation
from reconciler.core.model import Json
from reconciler.server.aim.tables import aim_policies
from reconciler.server.tables import neosc_policies, opena2a_policies
from reconciler.server.trail.tables import audit_entries

NEOSC: Final = "neosc"
OPENA2A: Final = "opena2a"
AIM: Final = "aim"
#: Systems in the order of the pages, with the names that people use.
SYSTEMS: Final[Mapping[str, str]] = {NEOSC: "NeoSC", OPENA2A: "OpenA2A", AIM: "AIM"}

#: Those whose policies can be switched here. AIM leaves no entry of a change anywhere, so only its own API does it.
SWITCHABLE: Final = frozenset({NEOSC, OPENA2A})

GIT: Final = "git"
OUTSIDE: Final = "outside"
UNMANAGED: Final = "none"


@dataclass(frozen=True, slots=True)
class Entry:
    """One audit entry. `commit` and `key` are what a request of ours said of itself."""

    seq: int
    audit_id: str
    system: str
    at: str
    actor: str
    action: str
    resource: str
    details: str
    commit: str | None
    key: str | None

    @property
    def policy_id(self) -> str | None:
        """The policy it is about, None when it is about something else."""
        return self.resource.removeprefix("policy:") if self.resource.startswith("policy:") else None


@dataclass(frozen=True, slots=True)
class Origin:
    """Whose a policy's present state is: `git`, `outside` (git's, edited since by somebody else), or `none`."""

    state: str
    git: Entry | None
    newest: Entry | None


@dataclass(frozen=True, slots=True)
class Policy:
    """A policy of either system in one shape. `severity` is None where the system has none."""

    system: str
    id: str
    key: str
    name: str
    description: str
    kind: str
    severity: str | None
    enabled: bool
    rules: tuple[str, ...]
    fields: Mapping[str, Json]
    created_at: str
    origin: Origin

    @property
    def is_critical(self) -> bool:
        """Whether switching it by hand wants its id typed. Where no severity is known, it may be critical."""
        return self.severity in (None, "critical")


def read_policies(connection: sa.Connection, organization: str) -> tuple[Policy, ...]:
    """Every policy that this organization has or shares, by system, in the order they were made."""
    origins = _read_origins(connection, organization)
    found = [_neosc(row, origins) for row in connection.execute(sa.select(neosc_policies).order_by("seq"))]
    mine = opena2a_policies.c.organization == organization
    for row in connection.execute(sa.select(opena2a_policies).where(mine).order_by("seq")):
        found.append(_opena2a(row, origins))
    own = sa.select(aim_policies).where(aim_policies.c.organization == organization)
    found += [_aim(row) for row in connection.execute(own.order_by(aim_policies.c.created_at, aim_policies.c.id))]
    return tuple(found)


def find_policy(policies: Iterable[Policy], system: str, policy_id: str) -> Policy | None:
    return next((each for each in policies if (each.system, each.id) == (system, policy_id)), None)


def to_entry(row: Any) -> Entry:
    """A row of the audit trail; what its request said of itself is parsed from its `User-Agent`."""
    said = annotation.parse(row.user_agent or "") if row.annotation else None
    return Entry(
        row.seq,
        row.id,
        row.system,
        row.timestamp,
        row.user_email,
        row.action,
        row.resource,
        row.details,
        row.annotation,
        None if said is None else said.key,
    )


def _read_origins(connection: sa.Connection, organization: str) -> dict[tuple[str, str], Origin]:
    """For each policy its newest change, and its newest change that named a commit."""
    about = (
        audit_entries.c.organization == organization,
        audit_entries.c.resource.startswith("policy:", autoescape=True),
        audit_entries.c.success,
    )
    newest = sa.select(sa.func.max(audit_entries.c.seq)).where(*about)
    by_policy = (audit_entries.c.system, audit_entries.c.resource)
    latest = newest.group_by(*by_policy)
    from_git = newest.where(audit_entries.c.annotation.is_not(None)).group_by(*by_policy)
    wanted = sa.select(audit_entries).where(
        audit_entries.c.organization == organization,
        sa.or_(audit_entries.c.seq.in_(latest), audit_entries.c.seq.in_(from_git)),
    )
    found: dict[tuple[str, str], list[Entry]] = {}
    for row in connection.execute(wanted.order_by(audit_entries.c.seq.desc())):
        found.setdefault((row.system, row.resource.removeprefix("policy:")), []).append(to_entry(row))
    return {key: _origin(entries) for key, entries in found.items()}


def _origin(entries: list[Entry]) -> Origin:
    newest, git = entries[0], next((each for each in entries if each.commit is not None), None)
    if git is None or git.action == "delete_policy":
        return Origin(UNMANAGED, None, newest)
    return Origin(GIT if git is newest else OUTSIDE, git, newest)


def _neosc(row: Any, origins: Mapping[tuple[str, str], Origin]) -> Policy:
    return Policy(
        system=NEOSC,
        id=row.id,
        key=row.id,
        name=row.name,
        description=row.description,
        kind=row.type,
        severity=None,
        enabled=row.enabled,
        rules=tuple(map(str, row.rules)),
        fields={} if row.checks is None else {"checks": row.checks},
        created_at=row.created_at,
        origin=origins.get((NEOSC, row.id), _NO_ORIGIN),
    )


def _opena2a(row: Any, origins: Mapping[tuple[str, str], Origin]) -> Policy:
    origin, body = origins.get((OPENA2A, row.id), _NO_ORIGIN), row.body
    key = None if origin.git is None else origin.git.key
    return Policy(
        system=OPENA2A,
        id=row.id,
        key=key or row.name,
        name=row.name,
        description=_text(body.get("description")),
        kind=_text(body.get("policy_type")),
        severity=body.get("severity"),
        enabled=row.enabled,
        rules=(),
        fields={name: value for name, value in body.items() if name not in _SHOWN_APART},
        created_at=row.created_at,
        origin=origin,
    )


def _aim(row: Any) -> Policy:
    """AIM has no trail of changes: the commit that stands on the object is all that is known (systems.md 3.2)."""
    description, commit = annotation.strip_trailer(row.description)
    git = Entry(0, "", AIM, row.updated_at, "", "", f"policy:{row.id}", "", commit, row.name)
    fields = {"rules": row.rules, "applies_to": row.applies_to, "enforcement_action": row.enforcement_action}
    return Policy(
        system=AIM,
        id=row.id,
        key=row.name,
        name=row.name,
        description=description,
        kind=row.policy_type,
        severity=row.severity_threshold or None,
        enabled=row.is_enabled,
        rules=(),
        fields=fields,
        created_at=row.created_at,
        origin=_NO_ORIGIN if commit is None else Origin(GIT, git, git),
    )


_NO_ORIGIN: Final = Origin(UNMANAGED, None, None)
_SHOWN_APART: Final = frozenset({"description", "policy_type", "severity"})


def _text(value: Json) -> str:
    return value if isinstance(value, str) else ""
