"""What the pages remember: why somebody broke the glass, and how each policy stood after its last changes."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa

from reconciler.server.tables import metadata
from reconciler.server.trail.tables import audit_entries

#: How many states of a policy are kept: enough for a page's history; the audit trail itself keeps everything.
KEPT_STATES: Final = 50

#: A switch flipped by hand although git manages the policy: who, why, until when. The flip is in the audit trail.
break_glass = sa.Table(
    "break_glass",
    metadata,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("organization", sa.String(255), nullable=False),
    sa.Column("system", sa.String(20), nullable=False),
    sa.Column("policy_id", sa.String(128), nullable=False),
    sa.Column("policy_name", sa.String(255), nullable=False),
    sa.Column("enabled", sa.Boolean, nullable=False),  # what the switch was set to
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("started_by", sa.String(255), nullable=False),
    sa.Column("started_at", sa.String(32), nullable=False),
    sa.Column("ends_at", sa.Float, nullable=False),  # a promise: nothing happens by itself
    sa.Column("audit_id", sa.String(40), nullable=False),
    sa.Column("ended_by", sa.String(255)),
    sa.Column("ended_at", sa.String(32)),
    sa.Index(None, "organization", "system", "policy_id"),
    sqlite_autoincrement=True,
)

#: A policy as a change left it, in the words of its API; null where the change removed it.
policy_states = sa.Table(
    "policy_states",
    metadata,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("organization", sa.String(255), nullable=False),
    sa.Column("system", sa.String(20), nullable=False),
    sa.Column("policy_id", sa.String(128), nullable=False),
    sa.Column("audit_id", sa.String(40), nullable=False),
    sa.Column("body", sa.JSON(none_as_null=True)),
    sa.Index(None, "organization", "system", "policy_id"),
    sqlite_autoincrement=True,
)

#: Whose the present state of each policy is, is read for every page; with this, from an index alone.
sa.Index(
    "ix_audit_entries_of_policies",
    audit_entries.c.organization,
    audit_entries.c.system,
    audit_entries.c.resource,
    audit_entries.c.seq,
    audit_entries.c.annotation,
    audit_entries.c.success,
)
