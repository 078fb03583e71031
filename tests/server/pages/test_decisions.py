"""Requests by day: each on its day, blocked or would-be, whatever was sampled or removed."""

from __future__ import annotations

from datetime import timedelta

import pytest
import sqlalchemy as sa

from reconciler.server.enforcement.tables import progress
from reconciler.server.pages.decisions import DecisionDays, count_decisions, stopped_query
from reconciler.server.pages.pictures import draw_decisions
from reconciler.server.store import Store, open_store
from reconciler.server.trail.retention import prune
from tests.server.trail.rows import ORGANIZATION, add_events
from tests.support.clocks import FakeClock

DAY = 86_400.0
WOULD = {"would_block": True}
BLOCKED = {"would_block": True, "decision": "block"}


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def move_on(store: Store, seq: int) -> None:
    """What the engine writes with every event: the number of the last arrival."""
    with store.write() as connection:
        connection.execute(sa.delete(progress))
        row = {"organization": ORGANIZATION, "policies": 0, "seq": seq, "ts_us": 0, "suspensions": 0}
        connection.execute(progress.insert().values(row))


def look(store: Store, clock: FakeClock, days: int = 3) -> DecisionDays:
    with store.read() as connection:
        return count_decisions(connection, ORGANIZATION, clock.now(), days=days)


def test_requests_stand_on_their_day_and_old_ones_nowhere(db: str, clock: FakeClock) -> None:
    store = open_store(db, clock=clock)
    add_events(store, clock, {}, BLOCKED)
    clock.passed += 2 * DAY
    add_events(store, clock, {}, WOULD, BLOCKED)
    clock.passed += DAY
    add_events(store, clock, {})
    clock.passed += DAY
    move_on(store, 9)  # three more that the sample left out

    found = look(store, clock)
    empty = look(open_store(clock=clock), clock)

    first = clock.now() - timedelta(days=2)
    assert found.days == tuple(f"{first + timedelta(days=day):%Y-%m-%d}" for day in range(3))
    assert (found.requests, found.would_block, found.blocked) == ((3, 4, 0), (1, 0, 0), (1, 0, 0))
    assert (empty.total, empty.requests) == (0, (0, 0, 0))
    store.close()


def test_what_retention_removed_is_counted_no_more(db: str, clock: FakeClock) -> None:
    store = open_store(db, clock=clock)
    add_events(store, clock, {}, BLOCKED)
    clock.passed += 2 * DAY
    add_events(store, clock, WOULD)
    move_on(store, 3)

    prune(store, {"events": 1})

    assert (look(store, clock).requests, look(store, clock).blocked) == ((0, 0, 1), (0, 0, 0))
    store.close()


def test_stopped_requests_are_found_by_their_own_index(clock: FakeClock) -> None:
    store = open_store(clock=clock)
    query = stopped_query("x", 1, 2)
    text = query.compile(dialect=store._engine.dialect, compile_kwargs={"literal_binds": True})

    with store.read() as connection:
        plan = [row[-1] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}")]

    assert "ix_events_stopped" in " ".join(plan)
    store.close()


def test_a_bar_has_its_parts_one_above_the_other() -> None:
    found = DecisionDays(("2026-03-01", "2026-03-02"), (100, 0), (10, 0), (30, 0))

    drawn = draw_decisions(found)

    assert [(bar.kind, bar.y, bar.height) for bar in drawn] == [
        ("blocked", "70.00%", "30.00%"),
        ("would", "60.00%", "10.00%"),
        ("", "0.00%", "60.00%"),
    ]
    assert {bar.title for bar in drawn} == {"2026-03-01: 100 requests, 30 blocked, 10 would be"}
