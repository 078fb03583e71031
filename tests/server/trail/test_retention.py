"""Rows go when their time is over, never silently, and what is left can still be checked."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa

from reconciler.errors import ConfigError
from reconciler.server.enforcement.tables import events
from reconciler.server.store import Store
from reconciler.server.trail import retention
from reconciler.server.trail.anchors import describe_anchor
from reconciler.server.trail.chain import AUDIT
from reconciler.server.trail.records import EVENTS, SESSIONS
from reconciler.server.trail.retention import DEFAULTS, describe_rules, keeping, parse_rules, prune
from reconciler.server.trail.tables import audit_entries
from reconciler.server.trail.verifying import verify
from tests.server.trail.rows import ORGANIZATION, add_entries, add_events
from tests.support.clocks import FakeClock

DAY = 86_400.0


def details(store: Store, action: str) -> list[str]:
    query = sa.select(audit_entries.c.details).where(audit_entries.c.action == action).order_by(audit_entries.c.seq)
    with store.read() as connection:
        return list(connection.execute(query).scalars())


def left(store: Store) -> list[int]:
    with store.read() as connection:
        return list(connection.execute(sa.select(events.c.seq).order_by(events.c.seq)).scalars())


def test_sessions_go_after_30_days_and_nothing_else_does(store: Store, clock: FakeClock) -> None:
    add_entries(store, 2)
    add_events(store, clock, {"resource": "session:s-1"}, {}, {"resource": "session:s-2"})
    clock.passed += 29 * DAY
    add_events(store, clock, {"resource": "session:s-3"})
    clock.passed += 2 * DAY

    removed = prune(store, DEFAULTS)

    assert [(each.chain, each.from_number, each.to_number) for each in removed] == [("sessions", 1, 2)]
    assert left(store) == [2, 4]
    assert verify(store, AUDIT, ORGANIZATION).entries == 3


def test_a_row_is_kept_until_its_time_is_over_to_the_second(store: Store, clock: FakeClock) -> None:
    add_events(store, clock, {"resource": "session:s-1"})

    clock.passed += 30 * DAY
    on_time = prune(store, DEFAULTS)
    clock.passed += 1
    after = prune(store, DEFAULTS)

    assert (len(on_time), len(after)) == (0, 1)


def test_the_trail_says_what_went_and_the_check_goes_on_from_there(store: Store, clock: FakeClock) -> None:
    add_events(store, clock, *({"resource": f"session:s-{number}"} for number in range(3)))
    clock.passed += 31 * DAY
    add_events(store, clock, {"resource": "session:s-9"})

    (anchor,) = prune(store, DEFAULTS)

    verdict: Any = verify(store, SESSIONS, ORGANIZATION).to_wire()
    assert details(store, "prune_trail") == [describe_anchor(anchor)]
    assert "3 rows of sessions removed: 1 to 3, made from 2026-11-20T09:00:00.000Z" in describe_anchor(anchor)
    assert verdict["ok"] is True
    assert verdict["entries"] == 1
    assert verdict["pruned"]["entries"] == 3
    (newest,) = verdict["pruned"]["newest"]
    assert (newest["pruned_at"], newest["pruned_by"]) == ("2026-12-21T09:00:00.000Z", "reconciler-server")
    assert (newest["from_number"], newest["to_number"], newest["days"]) == (1, 3, 30)


def test_a_run_that_finds_nothing_writes_nothing(store: Store, clock: FakeClock) -> None:
    add_events(store, clock, {"resource": "session:s-1"}, {})

    removed = prune(store, parse_rules(["events=1", "audit=1"]))

    assert removed == ()
    assert verify(store, AUDIT, ORGANIZATION).entries == 0


def test_the_trail_itself_can_have_a_time(store: Store, clock: FakeClock) -> None:
    add_entries(store, 3)
    clock.passed += 100 * DAY
    rules = parse_rules(["audit=90"])

    first = prune(store, rules)
    clock.passed += 100 * DAY
    second = prune(store, rules)

    verdict = verify(store, AUDIT, ORGANIZATION)
    assert [(each.from_number, each.to_number) for each in (*first, *second)] == [(1, 3), (4, 4)]
    assert (verdict.broken, verdict.entries) == (None, 1)
    assert len(details(store, "prune_trail")) == 1


def test_a_chain_that_is_all_gone_goes_on_where_it_ended(store: Store, clock: FakeClock) -> None:
    add_events(store, clock, {"resource": "session:s-1"})
    clock.passed += 31 * DAY
    prune(store, DEFAULTS)

    add_events(store, clock, {"resource": "session:s-2"})

    with store.read() as connection:
        links = connection.execute(sa.select(events.c.link)).scalars().all()
    assert list(links) == [2]
    assert verify(store, SESSIONS, ORGANIZATION).broken is None


def test_many_rows_go_in_several_removals(store: Store, clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "BATCH", 2)
    add_events(store, clock, *({} for _ in range(5)))
    clock.passed += 2 * DAY

    removed = prune(store, parse_rules(["events=1"]))

    assert [(each.from_number, each.to_number) for each in removed] == [(1, 2), (3, 4), (5, 5)]
    assert len(details(store, "prune_trail")) == 3
    assert verify(store, EVENTS, ORGANIZATION).broken is None


def test_a_run_that_is_stopped_leaves_the_rest_for_the_next(
    store: Store, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "BATCH", 2)
    add_events(store, clock, *({} for _ in range(5)))
    clock.passed += 2 * DAY
    answers = iter((False, True, True))

    stopped = prune(store, parse_rules(["events=1"]), lambda: next(answers))
    rest = prune(store, parse_rules(["events=1"]))

    assert [(each.from_number, each.to_number) for each in (*stopped, *rest)] == [(1, 2), (3, 4), (5, 5)]
    assert len(stopped) == 1


def test_a_clock_that_went_back_keeps_what_came_after(store: Store, clock: FakeClock) -> None:
    add_entries(store, 1)
    clock.skew = 10 * DAY
    add_entries(store, 1)
    clock.skew = 0
    add_entries(store, 1)
    clock.passed += 5 * DAY

    removed = prune(store, parse_rules(["audit=3"]))

    assert [(each.from_number, each.to_number) for each in removed] == [(1, 1)]


def test_every_organization_has_its_own_removals(store: Store, clock: FakeClock) -> None:
    for organization in ("one", "two"):
        add_events(store, clock, {"resource": "session:s-1"}, organization=organization)
    clock.passed += 31 * DAY

    removed = prune(store, DEFAULTS)

    assert [each.organization for each in removed] == ["one", "two"]
    assert all(verify(store, chain, name).broken is None for chain in (AUDIT, SESSIONS) for name in ("one", "two"))


def test_rows_that_go_during_a_check_do_not_break_it(
    store: Store, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "BATCH", 7)
    add_events(store, clock, *({} for _ in range(60)))
    clock.passed += 2 * DAY
    stop = threading.Event()
    verdicts = []

    def check() -> None:
        while not stop.is_set():
            verdicts.append(verify(store, EVENTS, ORGANIZATION))

    checker = threading.Thread(target=check)
    checker.start()
    prune(store, parse_rules(["events=1"]))
    stop.set()
    checker.join()

    assert [verdict.broken for verdict in verdicts] == [None] * len(verdicts)
    assert verify(store, EVENTS, ORGANIZATION).entries == 0


def test_the_job_starts_with_a_run_and_ends_with_its_block(store: Store, clock: FakeClock) -> None:
    add_events(store, clock, {"resource": "session:s-1"})
    clock.passed += 31 * DAY
    before = set(threading.enumerate())

    with keeping(store, DEFAULTS):
        _until(lambda: left(store) == [])

    assert set(threading.enumerate()) == before


def test_a_job_that_fails_says_so_and_lives(
    store: Store, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries = []

    def fail(*_: object) -> tuple[()]:
        tries.append(1)
        raise sa.exc.OperationalError("x", {}, OSError("disk full"))

    monkeypatch.setattr(retention, "prune", fail)
    monkeypatch.setattr(retention, "EVERY_SECONDS", 0.001)

    with keeping(store, DEFAULTS):
        _until(lambda: len(tries) > 1)

    assert "retention job failed" in caplog.text


@pytest.mark.parametrize(
    ("texts", "rules"),
    [
        ([], {"sessions": 30}),
        (["sessions=7"], {"sessions": 7}),
        (["sessions=forever"], {}),
        (["audit=365", "events=90"], {"sessions": 30, "audit": 365, "events": 90}),
        (["events=9", "events=8"], {"sessions": 30, "events": 8}),
    ],
)
def test_rules_are_the_defaults_and_what_is_asked_for(texts: list[str], rules: dict[str, int]) -> None:
    assert parse_rules(texts) == rules


@pytest.mark.parametrize(
    "text", ["", "events", "events=", "events=0", "events=-1", "events=1.5", "x=1", "events=100000"]
)
def test_a_rule_that_cannot_be_read_is_an_error_with_a_way_out(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_rules([text])

    assert caught.value.where == "--retain"
    assert "audit, events, sessions" in caught.value.fix


@pytest.mark.parametrize(
    ("rules", "line"),
    [
        ({"sessions": 30}, "kept for ever: audit, events; removed when older: sessions (30 days)"),
        ({}, "kept for ever: audit, events, sessions"),
        (
            {"sessions": 30, "events": 90, "audit": 1},
            "removed when older: audit (1 day), events (90 days), sessions (30 days)",
        ),
    ],
)
def test_the_rules_are_told_in_a_line(rules: dict[str, int], line: str) -> None:
    assert describe_rules(rules) == line


def _until(is_so: Callable[[], bool]) -> None:
    """Wait for another thread; the suite's own limit ends a wait that never would."""
    turn = threading.Event()
    while not is_so():
        turn.wait(0.005)
