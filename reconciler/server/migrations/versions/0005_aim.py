"""Tables of the published AIM server: policies and its audit log."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005_aim"
down_revision = "0004_preconditions"


def upgrade() -> None:
    op.create_table(
        "aim_policies",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("organization", sa.String(length=255), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("policy_type", sa.String(length=50), nullable=False),
        sa.Column("enforcement_action", sa.String(length=50), nullable=False),
        sa.Column("severity_threshold", sa.String(length=50), nullable=False),
        sa.Column("rules", sa.JSON(), nullable=True),
        sa.Column("applies_to", sa.Text(), nullable=False),
        sa.Column("is_enabled", sa.Boolean(), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.String(length=32), nullable=False),
        sa.Column("updated_at", sa.String(length=32), nullable=False),
        sa.Column("created_by", sa.String(length=40), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_aim_policies")),
        sa.UniqueConstraint("organization", "name", name=op.f("uq_aim_policies_organization_name")),
    )
    op.create_table(
        "aim_entries",
        sa.Column("seq", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("organization", sa.String(length=255), nullable=False),
        sa.Column("user_id", sa.String(length=40), nullable=False),
        sa.Column("action", sa.String(length=50), nullable=False),
        sa.Column("resource_type", sa.String(length=50), nullable=False),
        sa.Column("resource_id", sa.String(length=36), nullable=False),
        sa.Column("ip_address", sa.String(length=64), nullable=False),
        sa.Column("user_agent", sa.Text(), nullable=False),
        sa.Column("metadata", sa.JSON(), nullable=False),
        sa.Column("timestamp", sa.String(length=32), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_aim_entries")),
        sa.UniqueConstraint("id", name=op.f("uq_aim_entries_id")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_aim_entries_organization"), "aim_entries", ["organization"], unique=False)
