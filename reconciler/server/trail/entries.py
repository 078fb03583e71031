"""Entries of the audit trail: one per mutation, in the mutation's own transaction, so neither is there alone.

An entry has the fields of the documents, two more that carry the reason (`user_agent` and `annotation`), and its place
in the chain of `chain.py`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa
from fastapi import Request

from reconciler.server.auth import Asked
from reconciler.server.enforcement.changes import note
from reconciler.server.pages.states import keep_state
from reconciler.server.store import Caller, Store
from reconciler.server.trail.chain import AUDIT, append

#: The `system` of what belongs to no dialect: accounts, the trail itself. No dialect's own list shows it.
SERVER: Final = "server"
#: The name of the server as an actor, in both fields that have one.
MYSELF: Final = "reconciler-server"

_MAX_USER_AGENT: Final = 1000
_AGENT = re.compile(r"reconciler/[0-9A-Za-z.+-]+ \(commit=([0-9a-f]{40})(?:; [a-z]+=[^;()\s]*)*\)")
_BAGGAGE_KEY: Final = "vcs.ref.head.revision"


@dataclass(frozen=True, slots=True)
class Entry:
    """Where an entry that was just added is: its id, and its number in the organization's chain."""

    id: str
    seq: int


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


def record(
    connection: sa.Connection,
    asked: Asked,
    *,
    system: str,
    action: str,
    resource: str,
    details: str,
    success: bool = True,
) -> Entry:
    """Add the entry of a change that *connection*'s transaction makes."""
    return add_entry(
        connection, asked.store, asked.caller, asked.request, system, action, resource, details, success=success
    )


def add_entry(
    connection: sa.Connection,
    store: Store,
    caller: Caller,
    request: Request,
    system: str,
    action: str,
    resource: str,
    details: str,
    *,
    success: bool = True,
) -> Entry:
    """As `record`, for a request that shows no token."""
    agent = request.headers.get("user-agent")
    row = {
        "system": system,
        "user_id": caller.user_id,
        "user_email": caller.email,
        "action": action,
        "resource": resource,
        "details": details,
        "success": success,
        "user_agent": None if agent is None else agent[:_MAX_USER_AGENT],
        "annotation": parse_commit(agent, ",".join(request.headers.getlist("baggage"))),
    }
    return _add(connection, store, caller.organization, row)


def add_own(
    connection: sa.Connection, store: Store, organization: str, *, action: str, resource: str, details: str
) -> Entry:
    """Add the entry of something the server did by itself."""
    actor = {"system": SERVER, "user_id": MYSELF, "user_email": MYSELF}
    row = {**actor, "action": action, "resource": resource, "details": details, "success": True}
    return _add(connection, store, organization, row)


def _add(connection: sa.Connection, store: Store, organization: str, row: dict[str, object]) -> Entry:
    entry_id, at = store.make_id("log-"), store.timestamp()
    end = append(connection, AUDIT, organization, [{"id": entry_id, "timestamp": at, **row}])
    note(connection, organization, row, at)
    keep_state(connection, organization, row, entry_id)
    return Entry(entry_id, end.number)
