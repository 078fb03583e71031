"""The audit trail's tables: the entries, where each chain ends, and what was let go at its beginning."""

from __future__ import annotations

import sqlalchemy as sa

from reconciler.server.tables import metadata
from reconciler.server.trail.door import keep_record, keep_rows

audit_entries = sa.Table(
    "audit_entries",
    metadata,
    sa.Column("organization", sa.String(255), primary_key=True),
    sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),  # from 1 in each organization, no gaps
    sa.Column("id", sa.String(40), nullable=False, unique=True),
    sa.Column("system", sa.String(20), nullable=False),
    sa.Column("user_id", sa.String(40), nullable=False),
    sa.Column("user_email", sa.String(255), nullable=False),
    sa.Column("action", sa.String(50), nullable=False),
    sa.Column("resource", sa.String(255), nullable=False),
    sa.Column("details", sa.Text, nullable=False),
    sa.Column("timestamp", sa.String(32), nullable=False),
    sa.Column("success", sa.Boolean, nullable=False),
    sa.Column("user_agent", sa.Text),
    sa.Column("annotation", sa.String(40)),
    sa.Column("prev", sa.String(64), nullable=False),
    sa.Column("hash", sa.String(64), nullable=False),
    sa.Index(None, "organization", "system", "seq"),
    sa.Index(None, "organization", "timestamp", "seq"),
)
keep_rows(audit_entries, "seq", "'audit'")

trail_heads = sa.Table(
    "trail_heads",
    metadata,
    sa.Column("organization", sa.String(255), primary_key=True),
    sa.Column("chain", sa.String(20), primary_key=True),
    sa.Column("number", sa.BigInteger, nullable=False),
    sa.Column("hash", sa.String(64), nullable=False),
)
keep_record(trail_heads)

#: One row for each stretch that the retention job removed from the beginning of a chain, from one number to
#: another, and the hash of the last row, so that what is left can still be checked. `audit_id` and `audit_seq` are the
#: entry that tells of it.
trail_anchors = sa.Table(
    "trail_anchors",
    metadata,
    sa.Column("organization", sa.String(255), primary_key=True),
    sa.Column("chain", sa.String(20), primary_key=True),
    sa.Column("to_number", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("from_number", sa.BigInteger, nullable=False),
    sa.Column("hash", sa.String(64), nullable=False),
    sa.Column("oldest", sa.String(32), nullable=False),
    sa.Column("newest", sa.String(32), nullable=False),
    sa.Column("days", sa.Integer, nullable=False),
    sa.Column("pruned_at", sa.String(32), nullable=False),
    sa.Column("pruned_by", sa.String(255), nullable=False),
    sa.Column("audit_id", sa.String(40), nullable=False),
    sa.Column("audit_seq", sa.BigInteger, nullable=False),
)
keep_record(trail_anchors)
