"""`GET /v1/admin/stream`: what happens, told as it happens, to whoever may read it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from reconciler.server.accounts.sessions import COOKIE, open_session
from reconciler.server.app import create_app
from reconciler.server.enforcement.changes import KEPT_MESSAGES
from reconciler.server.enforcement.tables import messages
from reconciler.server.main import running
from reconciler.server.store import open_store
from tests.support.evaluations import NO_TLS, Agency, HandClock, agency
from tests.support.servers import RunningServer, reference_server


@dataclass
class Feed:
    """An open stream; `next` waits for the next event and gives its id, name and data."""

    lines: Iterator[str]

    def next(self) -> tuple[int, str, Any]:
        found: dict[str, str] = {}
        for line in self.lines:
            assert line != ": ", "only a heartbeat came"
            key, _, value = line.partition(": ")
            if line == "" and "event" in found:
                return int(found["id"]), found["event"], json.loads(found["data"])
            if key:
                found[key] = value
        raise EOFError

    def names(self, count: int) -> list[str]:
        return [self.next()[1] for _ in range(count)]


@contextmanager
def feed(http: httpx.Client, **headers: str) -> Iterator[Feed]:
    with http.stream("GET", "/v1/admin/stream", headers=headers, timeout=30) as response:
        assert response.status_code == 200
        assert response.headers["content-type"].startswith("text/event-stream")
        lines = response.iter_lines()
        assert [next(lines), next(lines)] == ["retry: 2000", ": connected"]
        yield Feed(lines)


def test_what_happens_is_told_in_its_order(agents: Agency) -> None:
    with feed(agents.http) as stream:
        ref = agents.policy(min_trust_score=60)
        agents.set_mode("strict")
        reply = agents.ask(trust_score=1)
        alert_id = reply["alerts"][0]["id"]
        agents.http.post(f"/v1/admin/alerts/{alert_id}/acknowledge")

        told = [stream.next() for _ in range(5)]

    assert [name for _, name, _ in told] == ["policy", "mode", "violation", "alert", "alert"]
    data = [each for _, _, each in told]
    assert f"{data[0]['system']}/{data[0]['policy_id']}" == ref
    assert (data[0]["action"], data[1]["details"]) == ("create_policy", "Enforcement mode set to strict")
    assert [each["id"] for each in data[2:]] == [alert_id] * 3
    assert [each["status"] for each in data[2:]] == ["open", "open", "acknowledged"]
    assert data[4] == agents.get(f"/v1/admin/alerts/{alert_id}")["alert"]
    assert sorted(number for number, _, _ in told) == [number for number, _, _ in told]


def test_a_reader_who_comes_back_misses_nothing(agents: Agency) -> None:
    with feed(agents.http) as stream:
        agents.set_mode("strict")
        last, _, _ = stream.next()
    agents.policy(min_trust_score=60)
    agents.ask(trust_score=1)

    with feed(agents.http, **{"Last-Event-ID": str(last)}) as stream:
        assert stream.names(3) == ["policy", "violation", "alert"]


def test_a_reader_who_was_away_for_too_long_is_told_so(agents: Agency) -> None:
    agents.set_mode("strict")
    with agents.store.write() as connection:
        last = connection.execute(sa.select(sa.func.max(messages.c.number))).scalar_one()
        far = {"number": last + KEPT_MESSAGES + 2, "organization": agents.organization, "name": "mode", "data": {}}
        connection.execute(messages.insert().values(**far))
        if connection.dialect.name == "postgresql":
            connection.execute(sa.text(f"SELECT setval('stream_messages_number_seq', {far['number']})"))

    with feed(agents.http, **{"Last-Event-ID": str(last)}) as stream:
        assert stream.names(2) == ["lost", "mode"]


@pytest.mark.parametrize("value", ["x", "-1", "1.5", "9" * 30])
def test_an_id_that_is_none_is_refused(value: str, agents: Agency) -> None:
    response = agents.http.get("/v1/admin/stream", headers={"Last-Event-ID": value})

    assert response.status_code == 400


def test_nobody_hears_of_another_organization(enforcing: RunningServer, agents: Agency) -> None:
    with agency(enforcing, agents.clock, f"{agents.organization}-other") as others, feed(agents.http) as stream:
        others.policy(min_trust_score=60)
        others.ask(trust_score=1)
        agents.set_mode("strict")

        assert stream.next()[1] == "mode"


def test_a_page_reads_it_with_its_session_and_nobody_without(enforcing: RunningServer, agents: Agency) -> None:
    user = enforcing.store.add_user(f"admin@{agents.organization}.example", "admin", organization=agents.organization)
    cookie = open_session(enforcing.store, user)
    with httpx.Client(base_url=enforcing.url, trust_env=False, verify=NO_TLS) as browser:
        stranger = browser.get("/v1/admin/stream").status_code
        with feed(browser, Cookie=f"{COOKIE}={cookie}") as stream:
            agents.set_mode("strict")
            name = stream.next()[1]

    assert (stranger, name) == (401, "mode")


def test_a_text_with_line_breaks_ends_no_event(agents: Agency) -> None:
    agents.policy(min_trust_score=60)
    with feed(agents.http) as stream:
        agents.ask(trust_score=1, actor_id="a\n\nevent: mode\ndata: {}\n\n", resource="r\r\n\u2028x")

        (_, first, data), (_, second, _) = stream.next(), stream.next()

    assert (first, second) == ("violation", "alert")
    assert data["actor_id"] == "a\n\nevent: mode\ndata: {}\n\n"


def test_a_server_that_stops_ends_its_streams() -> None:
    with httpx.Client(trust_env=False, verify=NO_TLS) as browser:
        with reference_server() as server:
            browser.base_url, browser.headers["Authorization"] = httpx.URL(server.url), f"Bearer {server.token}"
            opened = feed(browser)
            stream = opened.__enter__()

        rest = list(stream.lines)  # a stream that was cut off would raise
        opened.__exit__(None, None, None)

    assert rest == [""]


def test_there_are_only_so_many_streams(clock: HandClock) -> None:
    store = open_store(":memory:", clock=clock)
    app = create_app(store)
    app.state.stream_readers.most = 1
    headers = {"Authorization": f"Bearer {store.add_token('a@example.com', 'admin')}"}
    with (
        running(app) as url,
        httpx.Client(base_url=url, headers=headers, trust_env=False, verify=NO_TLS) as first,
        httpx.Client(base_url=url, headers=headers, trust_env=False, verify=NO_TLS) as second,
    ):
        with feed(first):
            refused = second.get("/v1/admin/stream")
        while app.state.stream_readers.count:
            second.get("/v1/admin/enforcement-settings")
        with feed(second):
            pass
    store.close()

    assert (refused.status_code, refused.headers["Retry-After"]) == (503, "10")
