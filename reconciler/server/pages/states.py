"""How a policy stood after each of its last changes, kept in the change's own transaction.

The audit trail says that a policy changed and which fields; what they were and became is here, for the page's diff. The
trail calls `keep_state` for every entry it adds, so no change can be forgotten.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa

from reconciler.core.model import Json
from reconciler.server.pages.tables import KEPT_STATES, policy_states
from reconciler.server.tables import neosc_policies, opena2a_policies


@dataclass(frozen=True, slots=True)
class State:
    """A policy as one audited change left it; without a body the change removed it."""

    audit_id: str
    body: Mapping[str, Json] | None


def keep_state(connection: sa.Connection, organization: str, entry: Mapping[str, Any], audit_id: str) -> None:
    """Keep the policy that *entry* is about as it is now, and forget what is too old; other entries keep nothing."""
    system, resource = entry["system"], str(entry["resource"])
    if not entry["success"] or system not in _BODIES or not resource.startswith("policy:"):
        return
    policy_id = resource.removeprefix("policy:")[:128]
    mine = {"organization": organization, "system": system, "policy_id": policy_id}
    body = _BODIES[system](connection, organization, policy_id)
    connection.execute(policy_states.insert().values(**mine, audit_id=audit_id, body=body))
    newest = sa.select(policy_states.c.number).where(*_own(organization, system, policy_id))
    oldest = connection.execute(newest.order_by(policy_states.c.number.desc()).offset(KEPT_STATES).limit(1)).scalar()
    if oldest is not None:
        too_old = (*_own(organization, system, policy_id), policy_states.c.number <= oldest)
        connection.execute(policy_states.delete().where(*too_old))


def read_states(connection: sa.Connection, organization: str, system: str, policy_id: str) -> tuple[State, ...]:
    """The states that were kept, newest first."""
    kept = sa.select(policy_states.c.audit_id, policy_states.c.body).where(*_own(organization, system, policy_id))
    rows = connection.execute(kept.order_by(policy_states.c.number.desc()))
    return tuple(State(row.audit_id, row.body) for row in rows)


def _own(organization: str, system: str, policy_id: str) -> tuple[sa.ColumnElement[bool], ...]:
    columns = policy_states.c
    return (columns.organization == organization, columns.system == system, columns.policy_id == policy_id)


def _neosc(connection: sa.Connection, organization: str, policy_id: str) -> dict[str, Json] | None:
    row = connection.execute(sa.select(neosc_policies).where(neosc_policies.c.id == policy_id)).first()
    if row is None:
        return None
    fields = {name: getattr(row, name) for name in ("name", "description", "type", "rules", "enabled")}
    return fields if row.checks is None else {**fields, "checks": row.checks}


def _opena2a(connection: sa.Connection, organization: str, policy_id: str) -> dict[str, Json] | None:
    own = (opena2a_policies.c.organization == organization, opena2a_policies.c.id == policy_id)
    row = connection.execute(sa.select(opena2a_policies).where(*own)).first()
    return None if row is None else {"name": row.name, "enabled": row.enabled, **row.body}


#: What each system's policy is in the words of its API, without what the server sets by itself.
_BODIES: Final = {"neosc": _neosc, "opena2a": _opena2a}
