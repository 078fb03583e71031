"""OpenA2A's documented calls and replies, over a real socket."""

from __future__ import annotations

import re
from typing import Any

import httpx
import pytest

from tests.support.servers import RunningServer

SHA = "0123456789abcdef0123456789abcdef01234567"
ALLOWLIST: dict[str, Any] = {
    "name": "IP Allowlist Policy",
    "description": "Only allow agents from approved IP ranges",
    "policy_type": "ip_allowlist",
    "enabled": True,
    "severity": "critical",
    "conditions": {"allowed_ips": ["192.168.1.0/24", "10.0.0.0/8", "172.16.0.0/12"], "block_vpn": True},
    "actions": {"on_violation": "block_request", "notify_admins": True, "log_violation": True},
}
POLICIES = "/security-policies"


def make(client: httpx.Client, **changes: Any) -> dict[str, Any]:
    policy: dict[str, Any] = client.post(POLICIES, json={**ALLOWLIST, **changes}).json()["policy"]
    return policy


def trail(client: httpx.Client) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = client.get("/audit-logs").json()["logs"]
    return entries


def test_an_empty_list_has_its_envelope(opena2a: httpx.Client) -> None:
    reply = opena2a.get(POLICIES)

    assert (reply.status_code, reply.json()) == (200, {"policies": [], "total": 0})
    assert reply.headers["x-total-count"] == "0"
    assert reply.headers["content-length"] == str(len(reply.content))


def test_a_create_answers_201_with_the_policy_in_its_envelope(opena2a: httpx.Client) -> None:
    reply = opena2a.post(POLICIES, json=ALLOWLIST)

    policy = reply.json()["policy"]
    assert reply.status_code == 201
    assert list(reply.json()) == ["policy"]
    assert list(policy) == ["id", *ALLOWLIST, "created_at", "updated_at"]
    assert {key: policy[key] for key in ALLOWLIST} == ALLOWLIST
    assert re.fullmatch("policy_[0-9a-f]{16}", policy["id"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", policy["created_at"])


def test_get_and_list_show_what_was_created(opena2a: httpx.Client) -> None:
    first, second = make(opena2a), make(opena2a, name="Second")

    one, listed = opena2a.get(f"{POLICIES}/{first['id']}"), opena2a.get(POLICIES)

    assert (one.status_code, one.json()) == (200, {"policy": first})
    assert listed.json() == {"policies": [first, second], "total": 2}
    assert listed.headers["x-total-count"] == "2"


def test_a_policy_of_two_fields_is_enabled_and_has_no_others(opena2a: httpx.Client) -> None:
    reply = opena2a.post(POLICIES, json={"name": "Minimum Trust Score", "policy_type": "trust_score"})

    assert set(reply.json()["policy"]) == {"id", "name", "policy_type", "enabled", "created_at", "updated_at"}
    assert reply.json()["policy"]["enabled"] is True


def test_the_documented_update_keeps_the_fields_left_out(opena2a: httpx.Client) -> None:
    before = make(opena2a)
    body = {
        "name": "Updated IP Allowlist Policy",
        "description": "Updated to include additional IP ranges",
        "conditions": {"allowed_ips": ["203.0.113.0/24"], "block_vpn": False},
    }

    reply = opena2a.put(f"{POLICIES}/{before['id']}", json=body)

    assert reply.status_code == 200
    assert reply.json() == {"policy": {**before, **body, "updated_at": reply.json()["policy"]["updated_at"]}}
    assert opena2a.get(f"{POLICIES}/{before['id']}").json() == reply.json()
    entry = trail(opena2a)[0]
    assert entry["action"] == "update_policy"
    assert entry["details"] == "Policy updated: conditions, description, name"


def test_an_update_replaces_conditions_whole_and_null_removes_a_field(opena2a: httpx.Client) -> None:
    before = make(opena2a)

    reply = opena2a.put(f"{POLICIES}/{before['id']}", json={"conditions": {"block_vpn": True}, "actions": None})

    assert reply.json()["policy"]["conditions"] == {"block_vpn": True}
    assert "actions" not in reply.json()["policy"]


def test_one_is_not_true_to_an_update_or_its_entry(opena2a: httpx.Client) -> None:
    before = make(opena2a, conditions={"limit": 1})

    reply = opena2a.put(f"{POLICIES}/{before['id']}", json={"conditions": {"limit": True}})

    assert reply.json()["policy"]["conditions"]["limit"] is True
    assert trail(opena2a)[0]["details"] == "Policy updated: conditions"


def test_what_was_read_can_be_written_back(opena2a: httpx.Client) -> None:
    before = make(opena2a)

    reply = opena2a.put(f"{POLICIES}/{before['id']}", json=before)

    assert reply.status_code == 200
    assert {**reply.json()["policy"], "updated_at": ""} == {**before, "updated_at": ""}


@pytest.mark.parametrize(("enabled", "word"), [(False, "disabled"), (True, "enabled")])
def test_a_toggle_sets_and_answers_in_the_documented_shape(opena2a: httpx.Client, enabled: bool, word: str) -> None:
    policy = make(opena2a)

    replies = [opena2a.patch(f"{POLICIES}/{policy['id']}/toggle", json={"enabled": enabled}) for _ in range(2)]

    for reply in replies:
        shown = reply.json()["policy"]
        assert reply.status_code == 200
        assert reply.json()["message"] == f"Policy {word} successfully"
        assert list(shown) == ["id", "name", "enabled", "updated_at"]
        assert (shown["id"], shown["name"], shown["enabled"]) == (policy["id"], policy["name"], enabled)
    assert opena2a.get(f"{POLICIES}/{policy['id']}").json()["policy"]["enabled"] is enabled
    assert [entry["details"] for entry in trail(opena2a)[:2]] == [f"Policy {word}"] * 2


def test_a_delete_answers_in_the_documented_shape_and_a_second_one_404(opena2a: httpx.Client) -> None:
    policy = make(opena2a)

    first, second = (opena2a.delete(f"{POLICIES}/{policy['id']}") for _ in range(2))

    done = {"message": "Security policy deleted successfully", "policy_id": policy["id"]}
    assert (first.status_code, first.json()) == (200, done)
    assert (second.status_code, second.json()) == (404, {"error": "Policy not found"})
    assert opena2a.get(POLICIES).json()["total"] == 0
    assert [entry["action"] for entry in trail(opena2a)] == ["delete_policy", "create_policy"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", f"{POLICIES}/policy_none"),
        ("PUT", f"{POLICIES}/policy_none"),
        ("PATCH", f"{POLICIES}/policy_none/toggle"),
        ("DELETE", f"{POLICIES}/policy_none"),
    ],
)
def test_a_policy_that_is_not_there_is_404_and_leaves_no_entry(opena2a: httpx.Client, method: str, path: str) -> None:
    reply = opena2a.request(method, path, json={"enabled": True})

    assert (reply.status_code, reply.json()) == (404, {"error": "Policy not found"})
    assert trail(opena2a) == []


def test_a_name_that_is_taken_is_409_on_create_and_on_rename(opena2a: httpx.Client) -> None:
    make(opena2a)
    other = make(opena2a, name="Other")

    created = opena2a.post(POLICIES, json=ALLOWLIST)
    renamed = opena2a.put(f"{POLICIES}/{other['id']}", json={"name": ALLOWLIST["name"]})

    for reply in (created, renamed):
        assert (reply.status_code, reply.json()) == (409, {"error": "A policy with this name already exists"})
    assert [policy["name"] for policy in opena2a.get(POLICIES).json()["policies"]] == [ALLOWLIST["name"], "Other"]
    assert len(trail(opena2a)) == 2


def test_an_entry_has_neoscs_fields_and_the_commit(opena2a: httpx.Client) -> None:
    baggage = f"userId=alice, vcs.ref.head.revision={SHA};p=1"

    made = opena2a.post(POLICIES, json=ALLOWLIST, headers={"baggage": baggage}).json()["policy"]

    reply = opena2a.get("/audit-logs")
    (entry,) = reply.json()["logs"]
    assert reply.json()["total"] == 1
    assert reply.headers["x-total-count"] == "1"
    assert (entry["resource"], entry["action"], entry["annotation"]) == (f"policy:{made['id']}", "create_policy", SHA)
    assert (entry["user_email"], entry["success"]) == ("gitops@example.com", True)
    assert entry["user_agent"].startswith("python-httpx/")


def test_the_two_systems_keep_separate_trails(
    server: RunningServer, neosc: httpx.Client, opena2a: httpx.Client
) -> None:
    neosc.get("/policies")
    neosc.patch("/policies/pol-mfa-required")
    make(opena2a)

    assert [entry["action"] for entry in neosc.get("/audit-logs").json()] == ["toggle_policy"]
    assert [entry["action"] for entry in trail(opena2a)] == ["create_policy"]


def test_the_global_mode_is_monitoring_until_somebody_sets_it(opena2a: httpx.Client) -> None:
    before = opena2a.get("/enforcement-settings").json()

    replies = [
        opena2a.put("/enforcement-settings", json={"enforcementMode": mode}) for mode in ("strict", "monitoring")
    ]

    assert set(before) == {"enforcementMode", "description", "explanation", "impact"}
    assert before["enforcementMode"] == "monitoring"
    assert [reply.json()["enforcementMode"] for reply in replies] == ["strict", "monitoring"]
    assert opena2a.get("/enforcement-settings").json() == before
    assert [entry["details"] for entry in trail(opena2a)] == [
        "Enforcement mode set to monitoring",
        "Enforcement mode set to strict",
    ]


@pytest.mark.parametrize("mode", ["STRICT", "off", "", None, True, ["strict"], {}])
def test_no_other_mode_is_taken(opena2a: httpx.Client, mode: Any) -> None:
    reply = opena2a.put("/enforcement-settings", json={"enforcementMode": mode})

    sentence = "Invalid enforcement mode. Must be 'strict' or 'monitoring'"
    assert (reply.status_code, reply.json()) == (400, {"error": sentence})
    assert opena2a.get("/enforcement-settings").json()["enforcementMode"] == "monitoring"


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"name": None}, "name must be a string of 1 to 255 characters"),
        ({"name": "x" * 256}, "name must be a string of 1 to 255 characters"),
        ({"name": ["x"]}, "name must be a string of 1 to 255 characters"),
        ({"policy_type": ""}, "policy_type must be a string of 1 to 50 characters"),
        ({"enabled": "true"}, "enabled must be true or false"),
        ({"enabled": 1}, "enabled must be true or false"),
        ({"enabled": None}, "enabled must be true or false"),
        ({"severity": "urgent"}, "severity must be one of low, medium, high, critical"),
        ({"conditions": []}, "conditions must be an object"),
        ({"actions": "block"}, "actions must be an object"),
        ({"priority": True}, "priority must be a whole number"),
        ({"applies_to": [1]}, "applies_to must be a string or a list of strings"),
        ({"metadata": {}}, "Unknown field: metadata"),
        ({"is_admin": True}, "Unknown field: is_admin"),
    ],
)
def test_a_wrong_field_is_400_with_its_name_and_nothing_changes(
    opena2a: httpx.Client, changes: dict[str, Any], sentence: str
) -> None:
    there = make(opena2a, name="There")

    created = opena2a.post(POLICIES, json={**ALLOWLIST, **changes})
    updated = opena2a.put(f"{POLICIES}/{there['id']}", json=changes)

    for reply in (created, updated):
        assert (reply.status_code, reply.json()) == (400, {"error": sentence})
    assert opena2a.get(POLICIES).json() == {"policies": [there], "total": 1}
    assert len(trail(opena2a)) == 1


def test_what_the_server_owns_cannot_be_written(opena2a: httpx.Client) -> None:
    there = make(opena2a)

    created = opena2a.post(POLICIES, json={**ALLOWLIST, "name": "x", "id": "policy_mine"})
    updated = opena2a.put(f"{POLICIES}/{there['id']}", json={"created_at": "1999-01-01T00:00:00Z"})

    assert (created.status_code, created.json()) == (400, {"error": "Unknown field: id"})
    assert (updated.status_code, updated.json()) == (400, {"error": "created_at is set by the server"})
    assert opena2a.get(POLICIES).json()["policies"] == [there]


def test_unknown_routes_and_methods_have_opena2as_error_shape(opena2a: httpx.Client) -> None:
    nowhere, wrong = opena2a.get("/nowhere"), opena2a.post(f"{POLICIES}/policy_1")

    assert (nowhere.status_code, nowhere.json()) == (404, {"error": "Not Found"})
    assert (wrong.status_code, wrong.json()) == (405, {"error": "Method Not Allowed"})
    assert wrong.headers["allow"] == "DELETE, GET, PUT"
