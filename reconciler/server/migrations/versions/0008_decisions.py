"""Requests that some policy stops, found by day without looking at all the others."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008_decisions"
down_revision = "0007_lists"


def upgrade() -> None:
    op.create_index(
        "ix_events_stopped",
        "events",
        ["organization", "decision", "ts_us"],
        unique=False,
        sqlite_where=sa.text("would_block = 1"),
        postgresql_where=sa.text("would_block"),
    )
