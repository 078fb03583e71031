"""The audit trail: one entry per mutation, written in the mutation's own transaction, read newest first.

Entries have the fields of the documents, and two more that carry the reason: `user_agent` and `annotation`.
"""

from __future__ import annotations

import re
from typing import Any, Final

import sqlalchemy as sa
from fastapi import Request

from reconciler.server.auth import Asked
from reconciler.server.store import Caller, Store
from reconciler.server.tables import audit_entries

_MAX_USER_AGENT: Final = 1000
_AGENT = re.compile(r"reconciler/[0-9A-Za-z.+-]+ \(commit=([0-9a-f]{40})(?:; [a-z]+=[^;()\s]*)*\)")
_BAGGAGE_KEY: Final = "vcs.ref.head.revision"
_FIELDS = (
    "id",
    "user_id",
    "user_email",
    "action",
    "resource",
    "details",
    "timestamp",
    "success",
    "user_agent",
    "annotation",
)


def parse_commit(user_agent: str | None, baggage: str | None) -> str | None:
    """The commit a request names (design.md 6): in its `User-Agent`, else in its `baggage`; None for anything else.

    Only the exact grammar counts. A commit in a browser's name, or 39 of its characters, is text like any other.
    """
    if user_agent is not None and (found := _AGENT.fullmatch(user_agent)):
        return found[1]
    for member in (baggage or "").split(","):
        key, _, value = member.partition(";")[0].partition("=")
        if key.strip() == _BAGGAGE_KEY and re.fullmatch("[0-9a-f]{40}", value.strip()):
            return value.strip()
    return None


def record(connection: sa.Connection, asked: Asked, *, system: str, action: str, resource: str, details: str) -> None:
    """Add the entry of a change that *connection*'s transaction makes."""
    add_entry(connection, asked.store, asked.caller, asked.request, system, action, resource, details)


def add_entry(
    connection: sa.Connection,
    store: Store,
    caller: Caller,
    request: Request,
    system: str,
    action: str,
    resource: str,
    details: str,
) -> None:
    """As `record`, for a request that shows no token."""
    agent = request.headers.get("user-agent")
    connection.execute(
        audit_entries.insert().values(
            id=store.make_id("log-"),
            organization=caller.organization,
            system=system,
            user_id=caller.user_id,
            user_email=caller.email,
            action=action,
            resource=resource,
            details=details,
            timestamp=store.timestamp(),
            success=True,
            user_agent=None if agent is None else agent[:_MAX_USER_AGENT],
            annotation=parse_commit(agent, ",".join(request.headers.getlist("baggage"))),
        )
    )


def read_entries(asked: Asked, system: str) -> list[dict[str, Any]]:
    """Every entry of one system in the caller's organization, newest first."""
    query = sa.select(*(audit_entries.c[name] for name in _FIELDS)).where(
        audit_entries.c.organization == asked.caller.organization, audit_entries.c.system == system
    )
    with asked.store.read() as connection:
        rows = connection.execute(query.order_by(audit_entries.c.seq.desc())).mappings()
        return [dict(row) for row in rows]
