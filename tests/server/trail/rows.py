"""Entries and evaluation records for these tests: everything a row needs, so that a test names what it is about."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa

from reconciler.server.store import Store
from reconciler.server.trail.entries import add_own
from reconciler.server.trail.records import add_records
from tests.support.clocks import FakeClock

ORGANIZATION = "default"


def add_entries(store: Store, count: int, *, organization: str = ORGANIZATION, action: str = "toggle_policy") -> None:
    with store.write() as connection:
        for number in range(count):
            details = f"Policy {'disabled' if number % 2 == 0 else 'enabled'}"
            add_own(connection, store, organization, action=action, resource=f"policy:pol-{number}", details=details)


def make_record(seq: int, at: datetime, **columns: Any) -> dict[str, Any]:
    """A row of `events` as the engine makes it; *columns* are those that the test is about."""
    event = {"seq": seq, "event_id": f"ev-{seq}", "ts_us": int(at.timestamp() * 1_000_000), "actor_id": "agent-1"}
    asked = {"action": "read_file", "resource": "crm/customers", "caller": "user-1", "fingerprint": "0" * 64}
    decided = {"decision": "allow", "mode": "monitoring", "would_block": False, "status": 200}
    return {**event, **asked, **decided, "outcomes": [], "violations": [], "suspended": [], **columns}


def add_events(store: Store, clock: FakeClock, *rows: dict[str, Any], organization: str = ORGANIZATION) -> None:
    """Evaluation records made now, one for each of *rows*."""
    with store.write() as connection:
        from reconciler.server.enforcement.tables import events

        newest = sa.select(sa.func.max(events.c.seq)).where(events.c.organization == organization)
        first = 1 + (connection.execute(newest).scalar() or 0)
        made = [make_record(first + offset, clock.now(), **row) for offset, row in enumerate(rows)]
        add_records(connection, organization, made)
