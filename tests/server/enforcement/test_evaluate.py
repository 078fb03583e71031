"""`POST /v1/evaluate`: what may be sent, who may send it, and that an id counts once."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from reconciler.server.enforcement.tables import events, findings
from tests.support.evaluations import Agency, agency
from tests.support.servers import RunningServer

EVENT: dict[str, Any] = {"event_id": "e", "actor_id": "a", "action": "read", "resource": "db/1"}


def recorded(agents: Agency) -> list[Any]:
    with agents.store.read() as connection:
        own = events.c.organization == agents.organization
        return list(connection.execute(sa.select(events).where(own).order_by(events.c.seq)))


def refused(response: httpx.Response, status: int) -> str:
    """The sentence of a refusal in the dialect's shape."""
    assert response.status_code == status, response.text
    assert list(response.json()) == ["error"]
    return str(response.json()["error"])


@pytest.mark.parametrize(
    ("columns", "sentence"),
    [
        ({"trust_score": "high"}, "trust_score is not a number (write a number, or null for not recorded)"),
        ({"trust_score": True}, "trust_score is not a number"),
        ({"trust_score": 101}, "trust_score is not from 0 to 100"),
        ({"actor_id": None}, "actor_id is not there (every event has it)"),
        ({"actor_id": ""}, "actor_id is empty"),
        ({"event_id": ""}, "event_id is empty"),
        ({"event_id": 7}, "event_id is not text"),
        ({"event_id": False}, "event_id is not text"),
        ({"sourceip": "10.0.0.1"}, "sourceip is no key of this object (write source_ip)"),
        ({"seq": 3}, "seq is set by the server"),
        ({"decision": "allow"}, "decision is set by the server"),
        ({"policy_revision": "x"}, "policy_revision is set by the server"),
        ({"ts_us": -1}, "ts_us is not from 0"),
        ({"ts_us": "now"}, "ts_us is not a whole number"),
        ({"actor_roles": "admin"}, "actor_roles is not a list"),
        ({"actor_roles": [1]}, "actor_roles has an entry that is not text"),
        ({"success": 1}, "success is not true or false"),
        ({"bytes": 1.5}, "bytes is not a whole number"),
        ({"a": 1, "b": 1, "c": 1, "d": 1, "e": 1, "f": 1}, "and 1 more"),
    ],
    ids=str,
)
def test_an_event_that_is_none_is_refused_with_what_is_wrong(
    columns: dict[str, Any], sentence: str, agents: Agency
) -> None:
    response = agents.http.post("/v1/evaluate", json={**EVENT, **columns})

    assert sentence in refused(response, 400)
    assert recorded(agents) == []


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"a": 1, "a": 1}', b"null", b'{"actor_id": "\\ud800"}'])
def test_a_body_that_is_no_object_is_refused(body: bytes, agents: Agency) -> None:
    headers = {"Content-Type": "application/json"}

    refused(agents.http.post("/v1/evaluate", content=body, headers=headers), 400)


def test_only_a_token_that_may_ask_for_decisions_gets_one(enforcing: RunningServer, agents: Agency) -> None:
    where = {"organization": agents.organization}
    reader = enforcing.store.add_token("reader@example.com", "user", **where)
    agent = enforcing.store.add_token("agent@example.com", "user", scopes=["evaluate"], **where)

    statuses = {}
    for name, token in (("reader", reader), ("agent", agent), ("nobody", "wrong")):
        headers = {"Authorization": f"Bearer {token}"}
        statuses[name] = agents.http.post("/v1/evaluate", json=EVENT, headers=headers).status_code

    assert statuses == {"reader": 403, "agent": 200, "nobody": 401}
    assert len(recorded(agents)) == 1


@pytest.mark.parametrize("query", ["http=yes", "http=", "http=true&http=true", "http=TRUE"])
def test_how_the_reply_is_wanted_is_read_strictly(query: str, agents: Agency) -> None:
    assert "http must be" in refused(agents.http.post(f"/v1/evaluate?{query}", json=EVENT), 400)


# ----------------------------------------------------------------------------------------------- ids and time


def test_an_event_sent_again_is_answered_as_before_and_counts_once(agents: Agency) -> None:
    agents.policy("rate_limit", max_requests_per_minute=2)
    first = agents.ask(event_id="e1", at=0)

    again = [agents.ask(event_id="e1", at=0.1, ts_us=5) for _ in range(5)]
    other = agents.ask(event_id="e2", at=0.2)

    assert again == [first] * 5
    assert list(other["outcomes"].values()) == ["PASS"]
    assert [row.event_id for row in recorded(agents)] == ["e1", "e2"]


def test_a_blocked_event_sent_again_is_the_same_block_and_no_second_alert(agents: Agency) -> None:
    agents.policy(min_trust_score=60, actions={"on_violation": "block"})
    agents.set_mode("strict")

    first, again = (agents.ask(event_id="e", trust_score=1) for _ in range(2))

    assert first == again
    assert first["decision"] == "block"
    assert agents.get("/v1/admin/alerts")["total"] == 1


def test_an_id_cannot_be_used_for_another_event(agents: Agency) -> None:
    agents.policy("unauthorized_access", restricted_actions=["drop"], actions={"on_violation": "block"})
    agents.ask(event_id="e")

    response = agents.http.post("/v1/evaluate", json={**EVENT, "action": "drop"})

    assert "event_id was used for another event" in refused(response, 409)
    assert len(recorded(agents)) == 1


def test_ids_of_one_organization_are_nothing_to_another(enforcing: RunningServer, agents: Agency) -> None:
    agents.policy("rate_limit", max_requests_per_minute=1)
    agents.ask(event_id="e")

    with agency(enforcing, agents.clock, f"{agents.organization}-other") as others:
        theirs = [others.ask(event_id="e", action="write"), others.ask()]

    assert [each["outcomes"] for each in theirs] == [{}, {}]
    assert [each["seq"] for each in theirs] == [1, 2]


def test_an_event_without_an_id_gets_one(agents: Agency) -> None:
    replies = [agents.ask(), agents.ask(event_id=None)]

    assert len({each["event_id"] for each in replies}) == 2


def test_the_order_is_that_of_arrival_whatever_the_callers_clock_says(agents: Agency) -> None:
    agents.ask(ts_us=2_000_000_000_000_000, at=1)
    agents.clock.at_us -= 30_000_000  # and whatever our own does

    agents.ask(ts_us=7)

    rows = recorded(agents)
    assert [row.seq for row in rows] == [1, 2]
    assert rows[0].ts_us == rows[1].ts_us
    assert [row.client_ts for row in rows] == [2_000_000_000_000_000, 7]


def test_what_was_not_understood_counts_as_not_recorded(agents: Agency) -> None:
    ref = agents.policy("ip_allowlist", allowed_ips=["10.0.0.0/8"])

    reply = agents.ask(source_ip="10.0.0.01")

    assert reply["outcomes"] == {ref: "UNKNOWN"}
    assert reply["violations"][0]["clauses"] == ["allowed_ips"]
    assert recorded(agents)[0].source_ip is None


# ------------------------------------------------------------------------------------------------------ batch


def test_a_batch_is_decided_in_its_order(agents: Agency) -> None:
    ref = agents.policy("rate_limit", max_requests_per_minute=2)
    batch = [{**EVENT, "event_id": name} for name in ("a", "b", "a", "c")]

    found = agents.ask_all(batch)

    assert [each["outcomes"][ref] for each in found] == ["PASS", "PASS", "PASS", "VIOLATE"]
    assert found[2] == found[0]
    assert [row.event_id for row in recorded(agents)] == ["a", "b", "c"]


def test_a_batch_with_one_wrong_event_counts_nothing(agents: Agency) -> None:
    good = {**EVENT, "event_id": "a"}

    wrong = agents.http.post("/v1/evaluate/batch", json={"events": [good, {**EVENT, "records": "many"}]})
    reused = agents.http.post("/v1/evaluate/batch", json={"events": [good, {**good, "action": "write"}]})

    assert refused(wrong, 400).startswith("events/1/records is not a whole number")
    assert "event_id was used" in refused(reused, 409)
    assert recorded(agents) == []


@pytest.mark.parametrize(
    "body",
    [{}, {"events": []}, {"events": "x"}, {"events": [1]}, {"events": None}, {"events": [EVENT], "mode": "strict"}],
    ids=str,
)
def test_a_batch_that_is_none_is_refused(body: dict[str, Any], agents: Agency) -> None:
    refused(agents.http.post("/v1/evaluate/batch", json=body), 400)


def test_a_batch_has_up_to_a_thousand_events(agents: Agency) -> None:
    batch = [{"actor_id": "a", "action": "read", "resource": f"db/{n}/{'x' * 200}"} for n in range(1001)]
    assert len(json.dumps(batch)) > 250_000

    found = agents.ask_all(batch[:1000])

    assert [each["seq"] for each in found] == list(range(1, 1001))
    assert "1 to 1000" in refused(agents.http.post("/v1/evaluate/batch", json={"events": batch}), 400)


# ---------------------------------------------------------------------------------------------------- records


def test_a_record_has_the_columns_of_the_event_and_what_was_decided(agents: Agency) -> None:
    sha = "5" * 40
    agents.http.headers["User-Agent"] = f"reconciler/1.0 (commit={sha}; key=p)"
    ref = agents.policy(min_trust_score=60, actions={"on_violation": "block"})
    agents.set_mode("strict")

    agents.ask(event_id="e", trust_score=1, actor_roles=["b", "a"], country="de", extra='{"x": 1}')

    (row,) = recorded(agents)
    assert (row.actor_roles, row.country, row.extra, row.trust_score) == (["a", "b"], "DE", '{"x": 1}', 1.0)
    assert (row.decision, row.mode, row.would_block, row.status) == ("block", "strict", True, 403)
    assert (row.primary_policy, row.outcomes, row.policy_revision) == (ref, {ref: "VIOLATE"}, sha)
    assert row.violations[0]["revision"] == sha


def test_what_was_changed_outside_git_is_not_said_to_come_from_it(agents: Agency) -> None:
    agents.http.headers["User-Agent"] = f"reconciler/1.0 (commit={'5' * 40}; key=p)"
    agents.policy(name="untouched", min_trust_score=10)
    ref = agents.policy(min_trust_score=60)
    by_git = agents.ask(trust_score=20)
    agents.http.headers["User-Agent"] = "Mozilla/5.0"
    policy_id = ref.partition("/")[2]
    agents.http.patch(f"/v1/admin/security-policies/{policy_id}/toggle", json={"enabled": True})

    by_hand = agents.ask(trust_score=20)

    assert by_git["policy_revision"] == by_git["violations"][0]["revision"] == "5" * 40
    assert by_hand["policy_revision"] is by_hand["violations"][0]["revision"] is None


def test_a_record_and_its_findings_are_there_together(agents: Agency) -> None:
    agents.policy(min_trust_score=60)

    reply = agents.ask(trust_score=1)

    with agents.store.read() as connection:
        found = connection.execute(sa.select(findings).where(findings.c.id == reply["alerts"][0]["id"])).one()
    assert (found.seq, found.event_id) == (reply["seq"], reply["event_id"])


def test_text_of_an_event_is_data_and_nothing_else(agents: Agency) -> None:
    hostile = "'); DROP TABLE events; --<script>alert(1)</script>\u202e"
    agents.policy(min_trust_score=60, name=f"p {hostile}")

    reply = agents.ask(actor_id=hostile, resource=hostile, extra=hostile, trust_score=1)

    assert recorded(agents)[0].actor_id == hostile
    assert agents.get("/v1/admin/alerts", actor=hostile)["total"] == 1
    assert reply["violations"][0]["policy_name"] == f"p {hostile}"
