"""Tables of the AIM server: policies in nine fields and what its database adds, and its own audit log.

Entries are not part of the hash-chained trail: that a change leaves none is what is reproduced here.
"""

from __future__ import annotations

import sqlalchemy as sa

from reconciler.server.tables import metadata

aim_policies = sa.Table(
    "aim_policies",
    metadata,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("organization", sa.String(255), nullable=False),
    sa.Column("name", sa.String(255), nullable=False),
    sa.Column("description", sa.Text, nullable=False),
    sa.Column("policy_type", sa.String(50), nullable=False),
    sa.Column("enforcement_action", sa.String(50), nullable=False),
    sa.Column("severity_threshold", sa.String(50), nullable=False),
    sa.Column("rules", sa.JSON(none_as_null=True)),
    sa.Column("applies_to", sa.Text, nullable=False),
    sa.Column("is_enabled", sa.Boolean, nullable=False),
    sa.Column("priority", sa.Integer, nullable=False),
    sa.Column("created_at", sa.String(32), nullable=False),
    sa.Column("updated_at", sa.String(32), nullable=False),
    sa.Column("created_by", sa.String(40), nullable=False),
    sa.UniqueConstraint("organization", "name"),
)

aim_entries = sa.Table(
    "aim_entries",
    metadata,
    sa.Column("seq", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("id", sa.String(36), nullable=False, unique=True),
    sa.Column("organization", sa.String(255), nullable=False, index=True),
    sa.Column("user_id", sa.String(40), nullable=False),
    sa.Column("action", sa.String(50), nullable=False),
    sa.Column("resource_type", sa.String(50), nullable=False),
    sa.Column("resource_id", sa.String(36), nullable=False),
    sa.Column("ip_address", sa.String(64), nullable=False),
    sa.Column("user_agent", sa.Text, nullable=False),
    sa.Column("metadata", sa.JSON, nullable=False),
    sa.Column("timestamp", sa.String(32), nullable=False),
    sqlite_autoincrement=True,
)
