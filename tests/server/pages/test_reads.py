"""What the pages read that no page shows whole: violations by day, open alerts by policy, states of a policy."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from reconciler.server.enforcement.tables import findings
from reconciler.server.pages.findings import count_by_day, count_open_alerts, open_alerts, policies_with_findings
from reconciler.server.pages.states import keep_state, read_states
from reconciler.server.pages.tables import KEPT_STATES
from reconciler.server.store import Store, open_store
from reconciler.server.tables import neosc_policies

NOW = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
HOUR = 3_600_000_000
TODAY = 1_795_132_800_000_000  # 2026-11-20, midnight


@pytest.fixture
def store(db: str) -> Iterator[Store]:
    store = open_store(db)
    yield store
    store.close()


def add_findings(store: Store, *rows: dict[str, Any]) -> None:
    usual: dict[str, Any] = {
        **{"organization": "default", "kind": "violation", "is_alert": True, "seq": 1, "event_id": "e", "ts_us": TODAY},
        **{"actor_id": "agent", "action": "read", "resource": "x", "system": "neosc", "policy_id": "p"},
        **{"policy_name": "P", "policy_type": "access", "severity": "high", "effect": "block", "notify_admins": True},
        **{"clauses": [], "decision": "block", "mode": "strict", "status": "open"},
    }
    with store.write() as connection:
        for number, row in enumerate(rows):
            connection.execute(findings.insert().values(**{**usual, "id": f"find-{number}", **row}))


def test_violations_are_counted_by_the_day_they_happened_on(store: Store) -> None:
    days = [TODAY, TODAY + 23 * HOUR, TODAY - 1, TODAY - 24 * HOUR, TODAY - 24 * HOUR - 1, TODAY - 48 * HOUR]
    add_findings(
        store,
        *({"ts_us": day} for day in days),
        {"policy_id": "q", "policy_name": "Q"},
        {"kind": "suspension"},
        {"organization": "other"},
        {"ts_us": TODAY + 24 * HOUR},
        {"policy_id": "old", "ts_us": TODAY - 72 * HOUR},
    )

    with store.read() as connection:
        found = count_by_day(connection, "default", NOW, days=2)
        one = count_by_day(connection, "default", NOW, days=2, policy=("neosc", "q"))

    assert found.days == ("2026-11-19", "2026-11-20")
    assert [(row.policy_name, row.counts, row.total) for row in found.rows] == [("P", (2, 2), 4), ("Q", (0, 1), 1)]
    assert [(row.policy_name, row.counts) for row in one.rows] == [("Q", (0, 1))]


def test_open_alerts_are_told_by_policy_with_their_worst_and_their_newest(store: Store) -> None:
    add_findings(
        store,
        {"severity": "critical", "actor_id": "first"},
        {"severity": "low", "actor_id": "newest"},
        {"policy_id": "q", "policy_name": "Q", "severity": "medium"},
        {"policy_id": "q", "status": "resolved", "severity": "critical"},
        {"is_alert": False, "severity": "critical"},
        {"organization": "other"},
    )

    with store.read() as connection:
        found = open_alerts(connection, "default")
        count, choices = count_open_alerts(connection, "default"), policies_with_findings(connection, "default")

    assert [(each.policy_name, each.severity, each.count, each.actor) for each in found] == [
        ("P", "critical", 2, "newest"),
        ("Q", "medium", 1, "agent"),
    ]
    assert count == 3
    assert [each["value"] for each in choices] == ["neosc/p", "neosc/q"]


def test_the_newest_states_of_a_policy_are_kept(store: Store) -> None:
    fields = {"description": "", "type": "access", "rules": [], "enabled": True, "created_at": ""}
    entry = {"system": "neosc", "resource": "policy:p", "success": True}
    with store.write() as connection:
        connection.execute(neosc_policies.insert().values(id="p", name="P", **fields))
        for number in range(KEPT_STATES + 5):
            keep_state(connection, "default", entry, f"log-{number}")
        for other in ({"resource": "policy:q"}, {"resource": "user:p"}, {"success": False}, {"system": "server"}):
            keep_state(connection, "default", {**entry, **other}, "log-other")
        connection.execute(neosc_policies.delete())
        keep_state(connection, "default", entry, "log-gone")
        states = read_states(connection, "default", "neosc", "p")
        others = read_states(connection, "default", "neosc", "q")

    assert [state.audit_id for state in states] == ["log-gone", *(f"log-{n}" for n in range(KEPT_STATES + 4, 5, -1))]
    assert (states[0].body, states[1].body) == (None, {"name": "P", **{k: fields[k] for k in list(fields)[:4]}})
    assert [state.body for state in others] == [None]
