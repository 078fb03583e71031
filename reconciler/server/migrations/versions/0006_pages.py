"""Tables of the web page."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006_pages"
down_revision = "0005_aim"


def upgrade() -> None:
    op.create_table(
        "break_glass",
        sa.Column("number", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("organization", sa.String(length=255), nullable=False),
        sa.Column("system", sa.String(length=20), nullable=False),
        sa.Column("policy_id", sa.String(length=128), nullable=False),
        sa.Column("policy_name", sa.String(length=255), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("started_by", sa.String(length=255), nullable=False),
        sa.Column("started_at", sa.String(length=32), nullable=False),
        sa.Column("ends_at", sa.Float(), nullable=False),
        sa.Column("audit_id", sa.String(length=40), nullable=False),
        sa.Column("ended_by", sa.String(length=255), nullable=True),
        sa.Column("ended_at", sa.String(length=32), nullable=True),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_break_glass")),
        sqlite_autoincrement=True,
    )
    op.create_index(
        op.f("ix_break_glass_organization_system_policy_id"),
        "break_glass",
        ["organization", "system", "policy_id"],
        unique=False,
    )
    op.create_table(
        "policy_states",
        sa.Column("number", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("organization", sa.String(length=255), nullable=False),
        sa.Column("system", sa.String(length=20), nullable=False),
        sa.Column("policy_id", sa.String(length=128), nullable=False),
        sa.Column("audit_id", sa.String(length=40), nullable=False),
        sa.Column("body", sa.JSON(none_as_null=True), nullable=True),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_policy_states")),
        sqlite_autoincrement=True,
    )
    op.create_index(
        op.f("ix_policy_states_organization_system_policy_id"),
        "policy_states",
        ["organization", "system", "policy_id"],
        unique=False,
    )
    op.create_index(
        "ix_audit_entries_of_policies",
        "audit_entries",
        ["organization", "system", "resource", "seq", "annotation", "success"],
        unique=False,
    )
