"""The audit trail's functions under their old name."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from reconciler.server.auth import Asked
from reconciler.server.trail.entries import add_entry, parse_commit, record
from reconciler.server.trail.tables import audit_entries

__all__ = ["add_entry", "parse_commit", "read_entries", "record"]

_FIELDS = (
    *("id", "user_id", "user_email", "action", "resource", "details", "timestamp", "success"),
    *("user_agent", "annotation"),
)


def read_entries(asked: Asked, system: str) -> list[dict[str, Any]]:
    """Every entry of one system in the caller's organization, newest first."""
    query = sa.select(*(audit_entries.c[name] for name in _FIELDS)).where(
        audit_entries.c.organization == asked.caller.organization, audit_entries.c.system == system
    )
    with asked.store.read() as connection:
        rows = connection.execute(query.order_by(audit_entries.c.seq.desc())).mappings()
        return [dict(row) for row in rows]
