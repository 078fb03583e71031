"""Evaluation records in order of arrival: in parts, each once, with what is not there any more."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from reconciler.semantics.events import Event, parse_event
from reconciler.server.store import Store
from reconciler.server.trail import listing
from reconciler.server.trail.listing import list_events
from reconciler.server.trail.retention import DEFAULTS, prune
from tests.server.trail.rows import ORGANIZATION, add_events
from tests.server.trail.test_exporting import EVERY_COLUMN
from tests.support.clocks import FakeClock
from tests.support.servers import RunningServer, reference_server

DAY = 86_400.0
PATHS = ("/v1/admin/events", "/api/events")


def numbers(store: Store, after: int, limit: int = 1000) -> tuple[list[Any], int | None]:
    with store.read() as connection:
        found = list_events(connection, ORGANIZATION, after=after, limit=limit)
    return [event["seq"] for event in found.events], found.next


def test_parts_hold_every_record_once_whatever_comes_meanwhile(store: Store, clock: FakeClock) -> None:
    add_events(store, clock, {}, {"resource": "session:s-1"}, {})

    first = numbers(store, 0, 2)
    add_events(store, clock, {}, {})
    second = numbers(store, 2, 2)
    last = numbers(store, 4, 2)

    assert (first, second, last) == (([1, 2], 2), ([3, 4], 4), ([5], None))
    assert numbers(store, 5) == ([], None)


def test_a_record_is_listed_as_the_event_it_was(store: Store, clock: FakeClock) -> None:
    add_events(store, clock, EVERY_COLUMN, {})

    with store.read() as connection:
        full, plain = list_events(connection, ORGANIZATION, after=0, limit=10).events

    assert {name: full[name] for name in EVERY_COLUMN} == EVERY_COLUMN
    assert plain.keys() == {"event_id", "ts_us", "seq", "actor_id", "action", "resource", "decision"}
    assert all(isinstance(parse_event(dict(event)), Event) for event in (full, plain))


def test_a_part_of_long_records_is_shorter(store: Store, clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    add_events(store, clock, *({"extra": "x" * 600} for _ in range(4)))
    monkeypatch.setattr(listing, "MOST_BYTES", 1600)

    assert numbers(store, 0) == ([1, 2], 2)
    monkeypatch.setattr(listing, "MOST_BYTES", 1)
    assert numbers(store, 2) == ([3], 3)


def test_what_retention_let_go_is_told(store: Store, clock: FakeClock) -> None:
    add_events(store, clock, {"resource": "session:s-1"})
    removed_at = clock.now()
    clock.passed += 40 * DAY
    add_events(store, clock, {})

    with store.read() as connection:
        before = list_events(connection, ORGANIZATION, after=0, limit=10).removed_until
    prune(store, DEFAULTS)
    with store.read() as connection:
        after = list_events(connection, ORGANIZATION, after=0, limit=10).removed_until

    at = int(removed_at.timestamp() * 1_000_000)
    assert before is None
    assert after is not None
    assert at - 1000 < after <= at
    assert numbers(store, 0) == ([2], None)


@pytest.fixture
def server() -> Iterator[RunningServer]:
    with reference_server() as running:
        yield running


@pytest.mark.parametrize("path", PATHS)
def test_it_is_read_below_both_addresses_by_whoever_may_read(server: RunningServer, path: str) -> None:
    tokens = {role: server.store.add_token(f"{role}@example.com", role) for role in ("user", "admin")}
    other = server.store.add_token("eve@example.com", "admin", organization="elsewhere")
    event = {"actor_id": "agent-1", "action": "read", "resource": "db/1"}
    with httpx.Client(base_url=server.url, trust_env=False, verify=False, timeout=60) as client:

        def read(token: str | None, query: str = "") -> httpx.Response:
            return client.get(path + query, headers={"Authorization": f"Bearer {token}"} if token else {})

        sent = [{**event, "event_id": each} for each in ("a", "b", "c")]
        client.post(
            "/v1/evaluate/batch", json={"events": sent}, headers={"Authorization": f"Bearer {tokens['admin']}"}
        ).raise_for_status()

        part = read(tokens["user"], "?after=1&limit=1").json()
        assert [each["event_id"] for each in part["events"]] == ["b"]
        assert (part["next"], part["removed_until"]) == (2, None)
        assert len(read(tokens["admin"]).json()["events"]) == 3
        assert read(other).json()["events"] == []
        assert read(None).status_code == 401
        refused = [
            read(tokens["user"], f"?{query}") for query in ("after=-1", "after=x", "limit=0", "limit=1001", "a=1")
        ]
        refused += [read(tokens["user"], "?after=1&after=2"), read(tokens["user"], "?after=" + "9" * 400)]
        assert {reply.status_code for reply in refused} == {400 if path.startswith("/v1") else 422}


def test_lists_of_policies_announce_it(server: RunningServer) -> None:
    headers = {"Authorization": f"Bearer {server.token}"}
    with httpx.Client(base_url=server.url, headers=headers, trust_env=False, verify=False) as client:
        replies = [client.get("/api/policies"), client.get("/v1/admin/security-policies")]

    assert all("events" in reply.headers["x-capabilities"].split(", ") for reply in replies)
