"""Alerts and violations: in lists, filtered, in parts, settled by people, each organization's own."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.evaluations import Agency, agency
from tests.support.servers import RunningServer

BLOCK = {"on_violation": "block"}


def found(agents: Agency, path: str = "alerts", **query: str | int) -> list[dict[str, Any]]:
    return list(agents.get(f"/v1/admin/{path}", **query)[path])


def post(agents: Agency, path: str, **body: Any) -> Any:
    return agents.http.post(f"/v1/admin/{path}", json=body)


def audited(agents: Agency) -> list[tuple[str, str, str]]:
    """What the trail says of alerts and violations, oldest first."""
    entries = agents.get("/v1/admin/audit-logs", system="server")["logs"]
    mine = [entry for entry in entries if entry["resource"].startswith(("alert:", "violation:"))]
    return [(entry["action"], entry["resource"], entry["details"]) for entry in reversed(mine)]


@pytest.fixture
def raised(agents: Agency) -> list[dict[str, Any]]:
    """Five alerts of two policies and two actors, oldest first, a minute apart."""
    agents.policy(name="trust", min_trust_score=60, severity="high", actions=BLOCK)
    agents.policy("unauthorized_access", name="places", restricted_resources=["hr/**"], severity="low")
    agents.ask(actor_id="a", trust_score=1, at=0)
    agents.ask(actor_id="b", trust_score=1, at=1)
    agents.ask(actor_id="a", trust_score=90, resource="hr/1", at=2)
    agents.ask(actor_id="b", trust_score=1, resource="hr/2", at=3)
    return list(reversed(found(agents)))


def test_an_alert_says_who_did_what_and_which_policy_minds(agents: Agency, raised: list[dict[str, Any]]) -> None:
    alert = raised[0]

    assert {key: alert[key] for key in ("actor_id", "action", "resource", "policy_name", "severity", "effect")} == {
        "actor_id": "a",
        "action": "read",
        "resource": "db/1",
        "policy_name": "trust",
        "severity": "high",
        "effect": "block",
    }
    assert (alert["status"], alert["kind"], alert["is_alert"]) == ("open", "violation", True)
    assert (alert["decision"], alert["mode"], alert["clauses"]) == ("allow", "monitoring", ["min_trust_score"])
    assert alert["at"] == "2026-03-02T00:00:00.000000Z"
    assert agents.get(f"/v1/admin/alerts/{alert['id']}") == {"alert": alert}


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ({}, [0, 1, 2, 3, 4]),
        ({"policy": "trust"}, [0, 1, 3]),
        ({"actor": "b"}, [1, 3, 4]),
        ({"agent": "b"}, [1, 3, 4]),
        ({"severity": "low"}, [2, 4]),
        ({"status": "open", "severity": "high"}, [0, 1, 3]),
        ({"status": "resolved"}, []),
        ({"from": "2026-03-02T00:01:00Z"}, [1, 2, 3, 4]),
        ({"to": "2026-03-02T00:01:00Z"}, [0]),
        ({"from": "2026-03-02T00:01:00Z", "to": "2026-03-02T00:02:00Z"}, [1]),
        ({"actor": "' OR 1=1 --"}, []),
    ],
    ids=str,
)
def test_a_list_is_narrowed_by_what_is_asked_for(
    query: dict[str, str], wanted: list[int], agents: Agency, raised: list[dict[str, Any]]
) -> None:
    for path in ("alerts", "violations"):
        shown = agents.get(f"/v1/admin/{path}", **query)

        assert [raised.index(each) for each in reversed(shown[path])] == wanted
        assert (shown["total"], shown["next"]) == (len(wanted), None)


def test_a_policy_is_also_known_by_its_id_and_its_reference(agents: Agency, raised: list[dict[str, Any]]) -> None:
    policy_id = raised[0]["policy_id"]

    by_id, by_reference = found(agents, policy=policy_id), found(agents, policy=f"opena2a/{policy_id}")

    assert len(by_id) == 3
    assert by_id == by_reference
    assert found(agents, policy=f"neosc/{policy_id}") == []


@pytest.mark.parametrize(
    "query", ["severity=awful", "status=OPEN", "from=yesterday", "limit=0", "limit=9999", "cursor=x", "policyy=1"]
)
def test_a_parameter_that_cannot_be_read_is_refused(query: str, agents: Agency) -> None:
    response = agents.http.get(f"/v1/admin/alerts?{query}")

    assert response.status_code == 400
    assert list(response.json()) == ["error"]


def test_parts_of_a_list_miss_nothing_while_alerts_come_in(agents: Agency, raised: list[dict[str, Any]]) -> None:
    first = agents.get("/v1/admin/alerts", limit=2)
    agents.ask(trust_score=1, actor_id="new")

    second = agents.get("/v1/admin/alerts", limit=2, cursor=first["next"])
    third = agents.get("/v1/admin/alerts", limit=2, cursor=second["next"])

    shown = first["alerts"] + second["alerts"] + third["alerts"]
    assert list(reversed(shown)) == raised
    assert (first["total"], second["total"], third["next"]) == (5, 6, None)


def test_what_only_logs_is_a_violation_and_no_alert(agents: Agency) -> None:
    agents.policy(min_trust_score=60, actions={"on_violation": "log"})

    agents.ask(trust_score=1)

    (violation,) = found(agents, "violations")
    assert found(agents) == []
    assert agents.http.get(f"/v1/admin/alerts/{violation['id']}").status_code == 404


def test_a_suspended_actor_that_goes_on_is_an_alert_and_no_violation(agents: Agency) -> None:
    agents.policy(min_trust_score=60, actions={"on_violation": "suspend_agent"})
    agents.ask(trust_score=1)

    agents.ask(trust_score=90)

    assert [each["kind"] for each in found(agents)] == ["suspension", "violation"]
    assert [each["kind"] for each in found(agents, "violations")] == ["violation"]


# --------------------------------------------------------------------------------------------------- settling


def test_an_alert_is_acknowledged_then_resolved_by_somebody_with_a_reason(
    agents: Agency, raised: list[dict[str, Any]]
) -> None:
    alert_id = raised[0]["id"]

    seen = post(agents, f"alerts/{alert_id}/acknowledge", reason="looking").json()["alert"]
    agents.clock.at_us += 60_000_000
    done = post(agents, f"alerts/{alert_id}/resolve", reason="rotated the key").json()["alert"]

    who = f"admin@{agents.organization}.example"
    assert (seen["status"], seen["acknowledged_by"], seen["reason"]) == ("acknowledged", who, "looking")
    assert (done["status"], done["resolved_by"], done["reason"]) == ("resolved", who, "rotated the key")
    assert done["acknowledged_at"] < done["resolved_at"]
    assert audited(agents) == [
        ("acknowledge_alert", f"alert:{alert_id}", "Alert acknowledged: looking"),
        ("resolve_alert", f"alert:{alert_id}", "Alert resolved: rotated the key"),
    ]
    assert len(found(agents, status="open")) == 4
    assert found(agents, "violations", status="resolved") == [done]


def test_settling_twice_is_settling_once(agents: Agency, raised: list[dict[str, Any]]) -> None:
    path = f"violations/{raised[0]['id']}"

    first = agents.http.post(f"/v1/admin/{path}/resolve").json()
    agents.clock.at_us += 60_000_000
    again = agents.http.post(f"/v1/admin/{path}/resolve").json()
    back = agents.http.post(f"/v1/admin/{path}/acknowledge")

    assert first == again
    assert (back.status_code, back.json()) == (409, {"error": "It is resolved already"})
    assert len(audited(agents)) == 1


@pytest.mark.parametrize("body", [{"reason": 1}, {"reason": "x" * 2001}, {"why": "x"}], ids=lambda body: str(body)[:20])
def test_a_reason_is_a_text_of_a_decent_length(
    body: dict[str, Any], agents: Agency, raised: list[dict[str, Any]]
) -> None:
    response = post(agents, f"alerts/{raised[0]['id']}/resolve", **body)

    assert response.status_code == 400
    assert len(found(agents, status="open")) == 5


def test_who_may_only_read_settles_nothing(
    enforcing: RunningServer, agents: Agency, raised: list[dict[str, Any]]
) -> None:
    where = {"organization": agents.organization}
    reader = enforcing.store.add_token("reader@example.com", "admin", scopes=["read"], **where)
    user = enforcing.store.add_token("user@example.com", "user", **where)

    statuses = []
    for token in (reader, user):
        headers = {"Authorization": f"Bearer {token}"}
        statuses.append(agents.http.post(f"/v1/admin/alerts/{raised[0]['id']}/resolve", headers=headers).status_code)
        statuses.append(agents.http.get("/v1/admin/alerts", headers=headers).status_code)

    assert statuses == [403, 200, 403, 200]
    assert len(found(agents, status="open")) == 5


def test_alerts_of_another_organization_are_not_there(
    enforcing: RunningServer, agents: Agency, raised: list[dict[str, Any]]
) -> None:
    path = f"/v1/admin/alerts/{raised[0]['id']}"
    with agency(enforcing, agents.clock, f"{agents.organization}-other") as others:
        shown = found(others)
        statuses = [others.http.get(path).status_code, others.http.post(f"{path}/resolve").status_code]

    assert (shown, statuses) == ([], [404, 404])
    assert len(found(agents, status="open")) == 5


# ----------------------------------------------------------------------------------------------------- status


def test_which_policies_are_enforced_and_why_others_are_not(agents: Agency) -> None:
    on = agents.policy(name="on", min_trust_score=60)
    off = agents.policy(name="off", min_trust_score=60, enabled=False)
    odd = agents.opena2a({"name": "odd", "policy_type": "trust_score", "conditions": {"min_trust": 60}})
    prose = agents.neosc({"id": "prose", "name": "Prose", "type": "access", "rules": ["Be careful"]})

    status = agents.get("/v1/admin/enforcement-status")

    agents.http.delete("/api/policies/prose")
    shown = {each["policy"]: each for each in status["policies"]}
    assert {ref: shown[ref]["enforced"] for ref in (on, off, odd, prose)} == {
        on: True,
        off: False,
        odd: False,
        prose: False,
    }
    assert "min_trust" in shown[odd]["problems"][0]
    assert shown[prose]["not_checked"] == ["Be careful"]
    assert status["mode"] == "monitoring"
