"""The table of semantics.md B.4, through the server: what each kind of policy does in each mode."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.evaluations import Agency

#: Name, effect of the policy, columns of the event; then decision, alerts and would_block in monitoring and in strict.
TABLE: list[tuple[str, str, dict[str, Any], tuple[str, int, bool], tuple[str, int, bool]]] = [
    ("any, PASS", "block", {"trust_score": 60}, ("allow", 0, False), ("allow", 0, False)),
    ("any, NA", "block", {"trust_score": 1, "actor_id": "other"}, ("allow", 0, False), ("allow", 0, False)),
    ("Allow, VIOLATE", "allow", {"trust_score": 1}, ("allow", 0, False), ("allow", 0, False)),
    ("Log, VIOLATE", "log", {"trust_score": 1}, ("allow", 0, False), ("allow", 0, False)),
    ("Alert Only, VIOLATE", "alert", {"trust_score": 1}, ("allow", 1, False), ("allow", 1, False)),
    ("Block & Alert, VIOLATE", "block", {"trust_score": 1}, ("allow", 1, True), ("block", 1, True)),
    ("Block & Alert, UNKNOWN", "block", {}, ("allow", 1, True), ("block", 1, True)),
    ("Approval, VIOLATE", "require_approval", {"trust_score": 1}, ("allow", 1, True), ("block", 1, True)),
    ("Throttle, VIOLATE", "throttle", {"trust_score": 1}, ("allow", 1, True), ("block", 1, True)),
    ("Suspend, VIOLATE", "suspend_agent", {"trust_score": 1}, ("allow", 1, True), ("block", 1, True)),
]
MODES = ("monitoring", "strict")


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row[0])
def test_what_a_violation_does_in_each_mode(row: tuple[Any, ...], agents: Agency) -> None:
    _, effect, columns, monitoring, strict = row
    agents.policy(min_trust_score=60, applies_to="agent_id:a*", actions={"on_violation": effect})

    found = {}
    for mode in MODES:
        agents.set_mode(mode)
        reply = agents.ask(**{"actor_id": f"a-{mode}", **columns})
        found[mode] = (reply["decision"], len(reply["alerts"]), reply["would_block"])

    assert found == {"monitoring": monitoring, "strict": strict}
    assert agents.get("/v1/admin/alerts")["total"] == monitoring[1] + strict[1]


def test_a_suspended_actor_is_told_of_once_in_monitoring_and_blocked_in_strict(agents: Agency) -> None:
    agents.policy(min_trust_score=60, actions={"on_violation": "suspend_agent"})
    agents.ask(trust_score=1)

    monitored = [agents.ask(trust_score=90) for _ in range(3)]
    agents.set_mode("strict")
    blocked = agents.ask(trust_score=90)

    assert [(each["decision"], each["would_block"]) for each in monitored] == [("allow", True)] * 3
    assert [[alert["kind"] for alert in each["alerts"]] for each in monitored] == [["suspension"], [], []]
    assert (blocked["decision"], blocked["label"], blocked["status"]) == ("block", "suspended", 403)
    assert blocked["alerts"] == []
    assert agents.get("/v1/admin/alerts")["total"] == 2


def test_monitoring_is_how_a_server_starts(agents: Agency) -> None:
    agents.policy(min_trust_score=60, actions={"on_violation": "block"})

    assert agents.ask(trust_score=1)["mode"] == "monitoring"


@pytest.mark.parametrize(
    ("effect", "status", "code"),
    [
        ("block", 403, "blocked"),
        ("deny", 403, "blocked"),
        ("require_approval", 403, "approval_required"),
        ("suspend_agent", 403, "blocked"),
        ("quarantine", 403, "blocked"),
        ("alert", 200, None),
    ],
)
def test_who_wants_a_status_gets_the_one_of_the_effect(
    effect: str, status: int, code: str | None, agents: Agency
) -> None:
    agents.policy(min_trust_score=60, actions={"on_violation": effect})
    agents.set_mode("strict")
    event = {"actor_id": "a", "action": "read", "resource": "db/1", "trust_score": 1}

    plain = agents.http.post("/v1/evaluate", json=event)
    asked = agents.http.post("/v1/evaluate?http=true", json=event)

    assert (plain.status_code, plain.json()["status"]) == (200, status)
    assert asked.status_code == status
    assert asked.json().get("code") == code
    assert ("error" in asked.json()) is (status != 200)


def test_a_throttled_caller_is_told_when_to_come_back(agents: Agency) -> None:
    agents.policy("rate_limit", max_requests_per_minute=1)
    agents.set_mode("strict")
    event = {"actor_id": "a", "action": "read", "resource": "db/1"}
    agents.ask(at=0)

    agents.clock.at_us += 20_000_000
    refused = agents.http.post("/v1/evaluate?http=true", json=event)

    assert refused.status_code == 429
    assert refused.headers["Retry-After"] == "60"  # the attempt itself counts
    assert refused.json()["error"] == "Too many requests"


def test_a_status_is_given_in_strict_only(agents: Agency) -> None:
    agents.policy(min_trust_score=60, actions={"on_violation": "block"})
    event = {"actor_id": "a", "action": "read", "resource": "db/1", "trust_score": 1}

    assert agents.http.post("/v1/evaluate?http=true", json=event).status_code == 200


def test_a_block_wins_whatever_else_allows_and_the_reason_is_the_most_pressing(agents: Agency) -> None:
    agents.policy(name="lax", min_trust_score=60, priority=9, actions={"on_violation": "allow"})
    agents.policy(name="minor", min_trust_score=60, severity="low", actions={"on_violation": "block"})
    agents.policy(name="major", min_trust_score=60, severity="critical", actions={"on_violation": "block"})
    agents.set_mode("strict")

    reply = agents.ask(trust_score=1)

    assert reply["decision"] == "block"
    assert reply["reason"]["policy_name"] == "major"
    assert {each["policy_name"] for each in reply["violations"]} == {"lax", "minor", "major"}


def test_without_a_policy_everything_is_allowed(agents: Agency) -> None:
    agents.set_mode("strict")

    reply = agents.ask()

    assert (reply["decision"], reply["outcomes"], reply["would_block"]) == ("allow", {}, False)
