"""What enforcement remembers: evaluated events, findings, suspensions, notices on their way, and what a page hears of.

`events` has the columns of the event schema (semantics.md C) and what was decided; one row is one evaluation. It only
grows. All instants named `ts_us` are microseconds since 1970, UTC.
"""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa

from reconciler.server.tables import metadata
from reconciler.server.trail.door import keep_rows

#: Columns of semantics.md C by how they are stored. Texts are as long as `semantics/columns.py` lets them be.
NAMES: Final = (
    *("actor_type", "tenant", "resource_type", "requested_capability", "mcp_server", "mcp_domain", "purpose"),
    *("decision_source", "public_key_fp", "mfa_method", "tunnel_status", "tunnel_protocol", "session_id"),
)
LISTS: Final = ("actor_roles", "granted_capabilities", "capabilities", "mcp_capabilities", "data_types")
FLAGS: Final = (
    *("is_vpn", "success", "mcp_verified", "approved", "encrypted", "secure_delete", "public_key_changed"),
    *("key_rotation_approved", "mfa_verified", "identity_verified", "session_recorded"),
)
SCORES: Final = ("trust_score", "mcp_trust_score", "mcp_confidence_score")
WHOLES: Final = ("mcp_attestations", "mcp_registered_at", "records", "bytes", "client_ts")


def _json() -> sa.JSON:
    return sa.JSON(none_as_null=True)


events = sa.Table(
    "events",
    metadata,
    # Which event: `seq` counts the arrivals of an organization, without a gap where every event is recorded.
    sa.Column("organization", sa.String(255), primary_key=True),
    sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("event_id", sa.String(512), nullable=False),
    sa.Column("ts_us", sa.BigInteger, nullable=False),
    sa.Column("actor_id", sa.String(512), nullable=False),
    sa.Column("action", sa.String(512), nullable=False),
    sa.Column("resource", sa.Text, nullable=False),
    # What else was recorded of it.
    *(sa.Column(name, sa.String(512)) for name in NAMES),
    sa.Column("source_ip", sa.String(64)),
    sa.Column("country", sa.String(2)),
    sa.Column("mcp_url", sa.Text),
    *(sa.Column(name, _json()) for name in LISTS),
    *(sa.Column(name, sa.Boolean) for name in FLAGS),
    *(sa.Column(name, sa.Double) for name in SCORES),
    *(sa.Column(name, sa.BigInteger) for name in WHOLES),
    sa.Column("extra", sa.Text),
    # What was decided, under which policies.
    sa.Column("decision", sa.String(10), nullable=False),
    sa.Column("policy_revision", sa.String(512)),
    sa.Column("mode", sa.String(20), nullable=False),
    sa.Column("would_block", sa.Boolean, nullable=False),
    sa.Column("label", sa.String(20)),
    sa.Column("status", sa.Integer, nullable=False),
    sa.Column("retry_after", sa.BigInteger),
    sa.Column("primary_policy", sa.String(255)),
    sa.Column("outcomes", sa.JSON, nullable=False),
    sa.Column("violations", sa.JSON, nullable=False),
    sa.Column("suspended", sa.JSON, nullable=False),
    # Who asked, and a digest of what, so that the same id is not taken for another event.
    sa.Column("caller", sa.String(40), nullable=False),
    sa.Column("fingerprint", sa.String(64), nullable=False),
    # Its place in the trail: rows are inserted by `trail/records.py` only.
    sa.Column("chain", sa.String(20), nullable=False),
    sa.Column("link", sa.BigInteger, nullable=False),
    sa.Column("prev", sa.String(64), nullable=False),
    sa.Column("hash", sa.String(64), nullable=False),
    sa.UniqueConstraint("organization", "event_id"),
    sa.UniqueConstraint("organization", "chain", "link"),
    sa.Index(None, "organization", "ts_us"),
    # Few of them, and asked for by day.
    sa.Index(
        "ix_events_stopped",
        *("organization", "decision", "ts_us"),
        sqlite_where=sa.text("would_block = 1"),
        postgresql_where=sa.text("would_block"),
    ),
)
keep_rows(events, "link", "OLD.chain")

#: A violated policy, or a suspended actor that goes on asking; what is loud enough is an alert. People settle them.
findings = sa.Table(
    "findings",
    metadata,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("id", sa.String(40), nullable=False, unique=True),
    sa.Column("organization", sa.String(255), nullable=False),
    sa.Column("kind", sa.String(20), nullable=False),  # violation | suspension
    sa.Column("is_alert", sa.Boolean, nullable=False),
    sa.Column("seq", sa.BigInteger, nullable=False),
    sa.Column("event_id", sa.String(512), nullable=False),
    sa.Column("ts_us", sa.BigInteger, nullable=False),
    sa.Column("actor_id", sa.String(512), nullable=False),
    sa.Column("action", sa.String(512), nullable=False),
    sa.Column("resource", sa.Text, nullable=False),
    sa.Column("system", sa.String(20), nullable=False),
    sa.Column("policy_id", sa.String(128), nullable=False),
    sa.Column("policy_name", sa.String(255), nullable=False),
    sa.Column("policy_type", sa.String(50), nullable=False),
    sa.Column("revision", sa.String(40)),
    sa.Column("severity", sa.String(20), nullable=False),
    sa.Column("effect", sa.String(20), nullable=False),
    sa.Column("notify_admins", sa.Boolean, nullable=False),
    sa.Column("clauses", sa.JSON, nullable=False),
    sa.Column("decision", sa.String(10), nullable=False),
    sa.Column("mode", sa.String(20), nullable=False),
    sa.Column("status", sa.String(20), nullable=False),  # open | acknowledged | resolved
    sa.Column("acknowledged_by", sa.String(255)),
    sa.Column("acknowledged_at", sa.String(32)),
    sa.Column("resolved_by", sa.String(255)),
    sa.Column("resolved_at", sa.String(32)),
    sa.Column("reason", sa.Text),
    sa.Index(None, "organization", "is_alert", "status"),
    sa.Index(None, "organization", "system", "policy_id"),
    sa.Index(None, "organization", "actor_id"),
    sa.Index(None, "organization", "ts_us"),
    sqlite_autoincrement=True,
)

#: Who is suspended by which policy. It outlasts every window, so it is kept and not replayed (semantics.md B.5).
suspensions = sa.Table(
    "suspensions",
    metadata,
    sa.Column("organization", sa.String(255), primary_key=True),
    sa.Column("actor_id", sa.String(512), primary_key=True),
    sa.Column("policy", sa.String(160), primary_key=True),  # system/id
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),  # a policy can suspend in several ways
    sa.Column("duration_us", sa.BigInteger),
    sa.Column("reset", sa.JSON, nullable=False),
    sa.Column("since_us", sa.BigInteger, nullable=False),
    sa.Column("last_us", sa.BigInteger, nullable=False),
    sa.Column("is_told", sa.Boolean, nullable=False),
)

#: How far an organization is: `policies` moves with every change of a policy, the others with every event.
progress = sa.Table(
    "enforcement_progress",
    metadata,
    sa.Column("organization", sa.String(255), primary_key=True),
    sa.Column("policies", sa.BigInteger, nullable=False),
    sa.Column("seq", sa.BigInteger, nullable=False),
    sa.Column("ts_us", sa.BigInteger, nullable=False),
    sa.Column("suspensions", sa.BigInteger, nullable=False),
)

#: The last change of each policy, and the commit it named.
policy_changes = sa.Table(
    "policy_changes",
    metadata,
    sa.Column("system", sa.String(20), primary_key=True),
    sa.Column("policy_id", sa.String(128), primary_key=True),
    sa.Column("organization", sa.String(255), nullable=False),  # "" where all organizations share the policy
    sa.Column("number", sa.BigInteger, nullable=False),  # later changes have larger ones
    sa.Column("revision", sa.String(40)),
    sa.Column("changed_by", sa.String(255), nullable=False),
    sa.Column("changed_at", sa.String(32), nullable=False),
    sa.Index(None, "system", "organization", "number"),
)

#: Signed notices on their way to the address of `--alert-webhook`.
deliveries = sa.Table(
    "deliveries",
    metadata,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("organization", sa.String(255), nullable=False),
    sa.Column("finding_id", sa.String(40), nullable=False),
    sa.Column("notice", sa.JSON, nullable=False),
    sa.Column("state", sa.String(20), nullable=False),  # waiting | delivered | given-up
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("due_at", sa.Float, nullable=False),
    sa.Column("why", sa.String(500)),
    sa.Index(None, "state", "due_at"),
    sqlite_autoincrement=True,
)

#: What the real-time stream says; `number` is what `Last-Event-ID` counts.
messages = sa.Table(
    "stream_messages",
    metadata,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("organization", sa.String(255), nullable=False),
    sa.Column("name", sa.String(20), nullable=False),  # alert | violation | mode | policy
    sa.Column("data", sa.JSON, nullable=False),
    sa.Index(None, "organization", "number"),
    sqlite_autoincrement=True,
)
