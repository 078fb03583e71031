"""Evaluated events, findings, suspensions, notices on their way, the real-time stream."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from reconciler.server import append_only

revision = "0002_enforcement"
down_revision = "0001_first"


def upgrade() -> None:
    op.create_table(
        "deliveries",
        sa.Column("number", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("organization", sa.String(length=255), nullable=False),
        sa.Column("finding_id", sa.String(length=40), nullable=False),
        sa.Column("notice", sa.JSON(), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("due_at", sa.Float(), nullable=False),
        sa.Column("why", sa.String(length=500), nullable=True),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_deliveries")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_deliveries_state_due_at"), "deliveries", ["state", "due_at"], unique=False)
    op.create_table(
        "enforcement_progress",
        sa.Column("organization", sa.String(length=255), nullable=False),
        sa.Column("policies", sa.BigInteger(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("ts_us", sa.BigInteger(), nullable=False),
        sa.Column("suspensions", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("organization", name=op.f("pk_enforcement_progress")),
    )
    op.create_table(
        "events",
        sa.Column("organization", sa.String(length=255), nullable=False),
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("event_id", sa.String(length=512), nullable=False),
        sa.Column("ts_us", sa.BigInteger(), nullable=False),
        sa.Column("actor_id", sa.String(length=512), nullable=False),
        sa.Column("action", sa.String(length=512), nullable=False),
        sa.Column("resource", sa.Text(), nullable=False),
        sa.Column("actor_type", sa.String(length=512), nullable=True),
        sa.Column("tenant", sa.String(length=512), nullable=True),
        sa.Column("resource_type", sa.String(length=512), nullable=True),
        sa.Column("requested_capability", sa.String(length=512), nullable=True),
        sa.Column("mcp_server", sa.String(length=512), nullable=True),
        sa.Column("mcp_domain", sa.String(length=512), nullable=True),
        sa.Column("purpose", sa.String(length=512), nullable=True),
        sa.Column("decision_source", sa.String(length=512), nullable=True),
        sa.Column("public_key_fp", sa.String(length=512), nullable=True),
        sa.Column("mfa_method", sa.String(length=512), nullable=True),
        sa.Column("tunnel_status", sa.String(length=512), nullable=True),
        sa.Column("tunnel_protocol", sa.String(length=512), nullable=True),
        sa.Column("session_id", sa.String(length=512), nullable=True),
        sa.Column("source_ip", sa.String(length=64), nullable=True),
        sa.Column("country", sa.String(length=2), nullable=True),
        sa.Column("mcp_url", sa.Text(), nullable=True),
        sa.Column("actor_roles", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("granted_capabilities", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("capabilities", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("mcp_capabilities", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("data_types", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("is_vpn", sa.Boolean(), nullable=True),
        sa.Column("success", sa.Boolean(), nullable=True),
        sa.Column("mcp_verified", sa.Boolean(), nullable=True),
        sa.Column("approved", sa.Boolean(), nullable=True),
        sa.Column("encrypted", sa.Boolean(), nullable=True),
        sa.Column("secure_delete", sa.Boolean(), nullable=True),
        sa.Column("public_key_changed", sa.Boolean(), nullable=True),
        sa.Column("key_rotation_approved", sa.Boolean(), nullable=True),
        sa.Column("mfa_verified", sa.Boolean(), nullable=True),
        sa.Column("identity_verified", sa.Boolean(), nullable=True),
        sa.Column("session_recorded", sa.Boolean(), nullable=True),
        sa.Column("trust_score", sa.Double(), nullable=True),
        sa.Column("mcp_trust_score", sa.Double(), nullable=True),
        sa.Column("mcp_confidence_score", sa.Double(), nullable=True),
        sa.Column("mcp_attestations", sa.BigInteger(), nullable=True),
        sa.Column("mcp_registered_at", sa.BigInteger(), nullable=True),
        sa.Column("records", sa.BigInteger(), nullable=True),
        sa.Column("bytes", sa.BigInteger(), nullable=True),
        sa.Column("client_ts", sa.BigInteger(), nullable=True),
        sa.Column("extra", sa.Text(), nullable=True),
        sa.Column("decision", sa.String(length=10), nullable=False),
        sa.Column("policy_revision", sa.String(length=512), nullable=True),
        sa.Column("mode", sa.String(length=20), nullable=False),
        sa.Column("would_block", sa.Boolean(), nullable=False),
        sa.Column("label", sa.String(length=20), nullable=True),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("retry_after", sa.BigInteger(), nullable=True),
        sa.Column("primary_policy", sa.String(length=255), nullable=True),
        sa.Column("outcomes", sa.JSON(), nullable=False),
        sa.Column("violations", sa.JSON(), nullable=False),
        sa.Column("suspended", sa.JSON(), nullable=False),
        sa.Column("caller", sa.String(length=40), nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("organization", "seq", name=op.f("pk_events")),
        sa.UniqueConstraint("organization", "event_id", name=op.f("uq_events_organization_event_id")),
    )
    op.create_index(op.f("ix_events_organization_ts_us"), "events", ["organization", "ts_us"], unique=False)
    op.create_table(
        "findings",
        sa.Column("number", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("organization", sa.String(length=255), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("is_alert", sa.Boolean(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("event_id", sa.String(length=512), nullable=False),
        sa.Column("ts_us", sa.BigInteger(), nullable=False),
        sa.Column("actor_id", sa.String(length=512), nullable=False),
        sa.Column("action", sa.String(length=512), nullable=False),
        sa.Column("resource", sa.Text(), nullable=False),
        sa.Column("system", sa.String(length=20), nullable=False),
        sa.Column("policy_id", sa.String(length=128), nullable=False),
        sa.Column("policy_name", sa.String(length=255), nullable=False),
        sa.Column("policy_type", sa.String(length=50), nullable=False),
        sa.Column("revision", sa.String(length=40), nullable=True),
        sa.Column("severity", sa.String(length=20), nullable=False),
        sa.Column("effect", sa.String(length=20), nullable=False),
        sa.Column("notify_admins", sa.Boolean(), nullable=False),
        sa.Column("clauses", sa.JSON(), nullable=False),
        sa.Column("decision", sa.String(length=10), nullable=False),
        sa.Column("mode", sa.String(length=20), nullable=False),
        sa.Column("status", sa.String(length=20), nullable=False),
        sa.Column("acknowledged_by", sa.String(length=255), nullable=True),
        sa.Column("acknowledged_at", sa.String(length=32), nullable=True),
        sa.Column("resolved_by", sa.String(length=255), nullable=True),
        sa.Column("resolved_at", sa.String(length=32), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_findings")),
        sa.UniqueConstraint("id", name=op.f("uq_findings_id")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_findings_organization_actor_id"), "findings", ["organization", "actor_id"], unique=False)
    op.create_index(
        op.f("ix_findings_organization_is_alert_status"),
        "findings",
        ["organization", "is_alert", "status"],
        unique=False,
    )
    op.create_index(
        op.f("ix_findings_organization_system_policy_id"),
        "findings",
        ["organization", "system", "policy_id"],
        unique=False,
    )
    op.create_index(op.f("ix_findings_organization_ts_us"), "findings", ["organization", "ts_us"], unique=False)
    op.create_table(
        "policy_changes",
        sa.Column("system", sa.String(length=20), nullable=False),
        sa.Column("policy_id", sa.String(length=128), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("revision", sa.String(length=40), nullable=True),
        sa.Column("changed_by", sa.String(length=255), nullable=False),
        sa.Column("changed_at", sa.String(length=32), nullable=False),
        sa.PrimaryKeyConstraint("system", "policy_id", name=op.f("pk_policy_changes")),
    )
    op.create_table(
        "stream_messages",
        sa.Column("number", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("organization", sa.String(length=255), nullable=False),
        sa.Column("name", sa.String(length=20), nullable=False),
        sa.Column("data", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_stream_messages")),
        sqlite_autoincrement=True,
    )
    op.create_index(
        op.f("ix_stream_messages_organization_number"), "stream_messages", ["organization", "number"], unique=False
    )
    op.create_table(
        "suspensions",
        sa.Column("organization", sa.String(length=255), nullable=False),
        sa.Column("actor_id", sa.String(length=512), nullable=False),
        sa.Column("policy", sa.String(length=160), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("duration_us", sa.BigInteger(), nullable=True),
        sa.Column("reset", sa.JSON(), nullable=False),
        sa.Column("since_us", sa.BigInteger(), nullable=False),
        sa.Column("last_us", sa.BigInteger(), nullable=False),
        sa.Column("is_told", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("organization", "actor_id", "policy", "number", name=op.f("pk_suspensions")),
    )
    for statement in append_only.statements("events", op.get_bind().dialect.name):
        op.execute(sa.text(statement))
