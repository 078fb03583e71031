"""The audit trail: entries, where each chain ends, what was let go; and the triggers of all that is chained."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from reconciler.server.trail import door

revision = "0003_trail"
down_revision = "0002_enforcement"


def upgrade() -> None:
    op.create_table(
        "audit_entries",
        sa.Column("organization", sa.String(length=255), nullable=False),
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("system", sa.String(length=20), nullable=False),
        sa.Column("user_id", sa.String(length=40), nullable=False),
        sa.Column("user_email", sa.String(length=255), nullable=False),
        sa.Column("action", sa.String(length=50), nullable=False),
        sa.Column("resource", sa.String(length=255), nullable=False),
        sa.Column("details", sa.Text(), nullable=False),
        sa.Column("timestamp", sa.String(length=32), nullable=False),
        sa.Column("success", sa.Boolean(), nullable=False),
        sa.Column("user_agent", sa.Text(), nullable=True),
        sa.Column("annotation", sa.String(length=40), nullable=True),
        sa.Column("prev", sa.String(length=64), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("organization", "seq", name=op.f("pk_audit_entries")),
        sa.UniqueConstraint("id", name=op.f("uq_audit_entries_id")),
    )
    for columns in (["organization", "system", "seq"], ["organization", "timestamp", "seq"]):
        op.create_index(op.f(f"ix_audit_entries_{'_'.join(columns)}"), "audit_entries", columns, unique=False)
    op.create_table(
        "trail_anchors",
        sa.Column("organization", sa.String(length=255), nullable=False),
        sa.Column("chain", sa.String(length=20), nullable=False),
        sa.Column("to_number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("from_number", sa.BigInteger(), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.Column("oldest", sa.String(length=32), nullable=False),
        sa.Column("newest", sa.String(length=32), nullable=False),
        sa.Column("days", sa.Integer(), nullable=False),
        sa.Column("pruned_at", sa.String(length=32), nullable=False),
        sa.Column("pruned_by", sa.String(length=255), nullable=False),
        sa.Column("audit_id", sa.String(length=40), nullable=False),
        sa.Column("audit_seq", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("organization", "chain", "to_number", name=op.f("pk_trail_anchors")),
    )
    op.create_table(
        "trail_heads",
        sa.Column("organization", sa.String(length=255), nullable=False),
        sa.Column("chain", sa.String(length=20), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("organization", "chain", name=op.f("pk_trail_heads")),
    )
    dialect = op.get_bind().dialect.name
    for statement in (
        *door.rows("audit_entries", "seq", "'audit'", dialect),
        *door.rows("events", "link", "OLD.chain", dialect),
        *door.heads(dialect),
        *door.anchors(dialect),
    ):
        op.execute(sa.text(statement))
