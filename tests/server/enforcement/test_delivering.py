"""`--alert-webhook`: every alert arrives, signed, however long the receiver was away; nobody waits for it."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from reconciler.clock import SystemClock
from reconciler.core.secret import Secret
from reconciler.errors import ConfigError
from reconciler.server.enforcement.delivering import (
    FIRST_PAUSE,
    LAST_PAUSE,
    LEASE_SECONDS,
    MOST_TRIES,
    Receiver,
    deliver_due,
    delivering,
    read_receiver,
)
from reconciler.server.enforcement.tables import deliveries
from tests.support.clocks import CountingRandom
from tests.support.evaluations import Agency, HandClock, agency, wait_until
from tests.support.hooks import Hook, hook
from tests.support.servers import reference_server

SECRET = "alert-secret-0123456789abcdef"


@pytest.fixture
def receiver() -> Iterator[Hook]:
    with hook() as found:
        yield found


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def alerting(db: str, clock: HandClock, receiver: Hook) -> Iterator[Agency]:
    """A server with a receiver, whose notices are delivered when the test says so; and one policy."""
    with reference_server(db=db, clock=clock, alert_webhook=receiver.url) as server, agency(server, clock) as agents:
        agents.policy(min_trust_score=60)
        yield agents


def deliver(agents: Agency, receiver: Hook) -> int:
    return deliver_due(agents.store, Receiver(receiver.url, Secret(SECRET)), agents.clock, CountingRandom())


def waiting(agents: Agency) -> list[Any]:
    with agents.store.read() as connection:
        return list(connection.execute(sa.select(deliveries).order_by(deliveries.c.number)))


def test_an_alert_is_told_signed_and_as_it_is_shown(alerting: Agency, receiver: Hook) -> None:
    alert_id = alerting.ask(trust_score=1)["alerts"][0]["id"]

    count = deliver(alerting, receiver)

    (posted,) = receiver.posted
    notice = posted.json()
    assert (count, posted.method, posted.path) == (1, "POST", "/hooks/policies")
    assert posted.is_signed_with(SECRET)
    assert "authorization" not in posted.headers
    assert notice["format"] == "reconciler.notice/1"
    assert (notice["event"], notice["organization"], notice["id"]) == ("alert", "default", alert_id)
    assert notice["alert"] == alerting.get(f"/v1/admin/alerts/{alert_id}")["alert"]
    assert notice["at"] == "2026-03-02T00:00:00Z"
    assert waiting(alerting) == []


def test_what_alerts_nobody_tells_nobody(alerting: Agency, receiver: Hook) -> None:
    alerting.ask(trust_score=90)

    assert (deliver(alerting, receiver), waiting(alerting)) == (0, [])


def test_a_receiver_that_is_down_is_told_later_with_growing_pauses(alerting: Agency, receiver: Hook) -> None:
    receiver.answers[:] = [503, 404, 500]
    alerting.ask(trust_score=1)

    pauses = []
    while rows := waiting(alerting):
        alerting.clock.at_us = max(alerting.clock.at_us, round(rows[0].due_at * 1_000_000))
        before = alerting.store.seconds()
        deliver(alerting, receiver)
        pauses += [row.due_at - before for row in waiting(alerting)]
        if not pauses[-1:] or len(receiver.posted) == 4:
            break

    bodies = [posted.json() for posted in receiver.posted]
    assert pauses == [FIRST_PAUSE, 2 * FIRST_PAUSE, 4 * FIRST_PAUSE]
    assert len({body["id"] for body in bodies}) == 1
    assert len({body["at"] for body in bodies}) == 4  # a receiver refuses what is old
    assert all(posted.is_signed_with(SECRET) for posted in receiver.posted)
    assert waiting(alerting) == []


def test_nothing_is_tried_before_its_time(alerting: Agency, receiver: Hook) -> None:
    receiver.answers[:] = [500]
    alerting.ask(trust_score=1)
    deliver(alerting, receiver)

    alerting.clock.at_us += round(FIRST_PAUSE * 1_000_000) - 1

    assert deliver(alerting, receiver) == 0
    assert len(receiver.posted) == 1


def test_a_receiver_that_asks_for_time_gets_it(alerting: Agency, receiver: Hook) -> None:
    receiver.answers[:], receiver.headers["Retry-After"] = [429], "120"
    alerting.ask(trust_score=1)

    deliver(alerting, receiver)

    assert waiting(alerting)[0].due_at == alerting.store.seconds() + 120


def test_after_many_tries_it_is_given_up_and_kept(alerting: Agency, receiver: Hook) -> None:
    alerting.ask(trust_score=1)
    with alerting.store.write() as connection:
        connection.execute(deliveries.update().values(attempts=MOST_TRIES - 1))
    receiver.answers[:] = [500]

    deliver(alerting, receiver)
    alerting.clock.at_us += round(2 * LAST_PAUSE * 1_000_000)

    assert deliver(alerting, receiver) == 0
    assert [(row.state, row.why) for row in waiting(alerting)] == [("given-up", "it answers 500")]


def test_what_somebody_took_and_never_sent_is_sent_by_another(alerting: Agency, receiver: Hook) -> None:
    alerting.ask(trust_score=1)
    with alerting.store.write() as connection:  # as a process that died while it was sending
        connection.execute(deliveries.update().values(due_at=alerting.store.seconds() + LEASE_SECONDS, attempts=1))

    early = deliver(alerting, receiver)
    alerting.clock.at_us += round(LEASE_SECONDS * 1_000_000)

    assert (early, deliver(alerting, receiver)) == (0, 1)


def test_alerts_of_before_a_restart_are_delivered_after_it(tmp_path: Path, clock: HandClock, receiver: Hook) -> None:
    options = {"db": str(tmp_path / "policies.db"), "clock": clock, "alert_webhook": receiver.url}
    with reference_server(**options) as server, agency(server, clock) as agents:
        agents.policy(min_trust_score=60)
        agents.ask(trust_score=1)

    with (
        reference_server(**options) as server,
        delivering(server.store, Receiver(receiver.url, Secret(SECRET)), clock, CountingRandom()),
    ):
        later = Agency(agents.http, server.store, clock, "default")
        wait_until(lambda: receiver.posted and not waiting(later))

    assert len(receiver.posted) == 1


def test_a_receiver_that_hangs_keeps_no_evaluation_waiting_and_is_told_by_one_only(
    alerting: Agency, receiver: Hook
) -> None:
    alerting.ask(trust_score=1)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        patient = Receiver(f"http://127.0.0.1:{listener.getsockname()[1]}/x", Secret(SECRET), seconds=60.0)
        with delivering(alerting.store, patient, SystemClock(), CountingRandom()):
            connection, _ = listener.accept()

            reply = alerting.ask(trust_score=1)

            (row, *_) = waiting(alerting)
            deliver(alerting, receiver)
            connection.close()
            listener.close()

    assert reply["alerts"]
    assert (row.attempts, row.why) == (1, None)  # it was still on its way
    assert row.finding_id not in {posted.json()["id"] for posted in receiver.posted}


@pytest.mark.parametrize(
    ("url", "environ", "what"),
    [
        ("http://hooks.example.com/x", {"RECONCILER_ALERT_SECRET": SECRET}, "http"),
        ("https://user:password@hooks.example.com/x", {"RECONCILER_ALERT_SECRET": SECRET}, "address"),
        ("file:///etc/passwd", {"RECONCILER_ALERT_SECRET": SECRET}, "address"),
        ("https://hooks.example.com/x?token=1", {"RECONCILER_ALERT_SECRET": SECRET}, "address"),
        ("https://hooks.example.com/x", {}, "unsigned"),
        ("https://hooks.example.com/x", {"RECONCILER_ALERT_SECRET": ""}, "empty"),
    ],
)
def test_nothing_is_sent_unsigned_or_to_a_place_that_anybody_can_read(
    url: str, environ: dict[str, str], what: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        read_receiver(url, environ)

    assert what in caught.value.what


@pytest.mark.parametrize("url", ["https://hooks.example.com/x", "http://127.0.0.1:9000/a/b", "http://localhost/x"])
def test_a_good_receiver_is_taken_with_its_secret_hidden(url: str) -> None:
    receiver = read_receiver(url, {"RECONCILER_ALERT_SECRET": SECRET})

    assert receiver.url == url
    assert SECRET not in repr(receiver)
