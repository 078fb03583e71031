"""The published AIM server: each oddity of systems.md 1.2, so that nobody mends one by accident."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from reconciler.server.aim.dialects import BY_QUIRK, dialect_of
from reconciler.server.aim.tokens import Claims
from reconciler.server.aim.wire import bind_policy, bind_toggle, camel, fits
from reconciler.server.tables import second_factors
from tests.support.aim import EMAIL, AimServer, aim_server
from tests.support.clocks import FakeClock

WHOLE = {
    "name": "Low trust score",
    "description": "Below 0.5",
    "policyType": "trust_score_low",
    "enforcementAction": "alert_only",
    "severityThreshold": "high",
    "rules": {"trust_threshold": 0.5},
    "appliesTo": "all",
    "isEnabled": True,
    "priority": 100,
}
POLICIES = "/admin/security-policies"
ABSENT = "0b7e5a1c-0000-4000-8000-000000000009"


@pytest.fixture(params=["aim:a1", pytest.param("aim:a2", marks=pytest.mark.heavy), "aim:a3"])
def aim(request: pytest.FixtureRequest) -> Iterator[AimServer]:
    with aim_server(request.param) as running:
        yield running


@pytest.fixture
def newest(db: str) -> Iterator[AimServer]:
    with aim_server(db=db) as running:
        yield running


def client_of(aim: AimServer, token: str | None = None) -> httpx.Client:
    return httpx.Client(
        base_url=aim.url, headers={"Authorization": f"Bearer {token or aim.token}"}, trust_env=False, timeout=30
    )


def log_in(aim: AimServer, password: str, path: str = "/public/login") -> httpx.Response:
    return httpx.post(aim.url + path, json={"email": EMAIL, "password": password}, trust_env=False, timeout=30)


def snake(value: dict[str, Any]) -> dict[str, Any]:
    return {"".join("_" + c.lower() if c.isupper() else c for c in key): each for key, each in value.items()}


def asked(aim: AimServer, value: dict[str, Any]) -> dict[str, Any]:
    """A body as this generation reads it."""
    return snake(value) if aim.inside.dialect.reads_snake else value


def shown(aim: AimServer, value: dict[str, Any]) -> dict[str, Any]:
    """A reply with its keys in the newest spelling."""
    assert ("policyType" in value) is aim.inside.dialect.writes_camel
    return {camel(key): each for key, each in value.items()}


def test_a_policy_is_made_read_replaced_switched_and_deleted(aim: AimServer) -> None:
    with client_of(aim) as client:
        made = client.post(POLICIES, json=asked(aim, WHOLE))
        policy = shown(aim, made.json())
        one = f"{POLICIES}/{policy['id']}"
        read = client.get(one)
        replaced = client.put(one, json=asked(aim, {**WHOLE, "priority": 5}))
        switched = client.patch(f"{one}/toggle", json={"isEnabled": False})
        listed = client.get(POLICIES)
        deleted = client.delete(one)
        left = client.get(POLICIES)

    assert [each.status_code for each in (made, read, replaced, switched, listed, deleted, left)] == [
        *(201, 200, 200, 200, 200, 204, 200)
    ]
    assert policy.items() >= WHOLE.items()
    assert shown(aim, replaced.json())["priority"] == 5
    assert shown(aim, switched.json())["isEnabled"] is False
    assert [shown(aim, each)["id"] for each in listed.json()] == [policy["id"]]
    assert "x-total-count" not in listed.headers
    assert (deleted.content, left.content) == (b"", b"[]")


def test_times_of_a_write_have_more_digits_than_those_of_a_read(newest: AimServer) -> None:
    with client_of(newest) as client:
        made = client.post(POLICIES, json=WHOLE).json()
        read = client.get(f"{POLICIES}/{made['id']}").json()

    assert made["createdAt"] != read["createdAt"]
    assert made["createdAt"][:26] == read["createdAt"][:26]


def test_what_a_body_leaves_out_is_blank_afterwards(aim: AimServer) -> None:
    policy_id = aim.add("Low trust score")
    with client_of(aim) as client:
        reply = client.put(f"{POLICIES}/{policy_id}", json={"name": "Low trust score"})

    row = aim.policies()["Low trust score"]
    assert reply.status_code == 200
    assert (row["policy_type"], row["applies_to"], row["is_enabled"], row["rules"]) == ("", "", False, None)


def test_what_was_read_and_is_sent_back_blanks_four_fields_and_switches_the_policy_off_where_spellings_differ() -> None:
    with aim_server("aim:a1") as aim, client_of(aim) as client:
        policy_id = aim.add("Low trust score")
        client.put(f"{POLICIES}/{policy_id}", json=client.get(f"{POLICIES}/{policy_id}").json())
        row = aim.policies()["Low trust score"]

    blanked = ("policy_type", "enforcement_action", "severity_threshold", "applies_to")
    assert [row[name] for name in blanked] == [""] * 4
    assert row["is_enabled"] is False
    assert (row["description"], row["priority"], row["rules"]) == ("made by hand", 50, {"trust_threshold": 0.3})


@pytest.mark.parametrize(
    ("body", "enabled"),
    [
        ({"isEnabled": True}, True),
        ({"ISENABLED": True}, True),
        ({"enabled": True}, False),
        ({"is_enabled": True}, False),
        ({}, False),
    ],
)
def test_a_toggle_sets_and_what_it_does_not_find_is_false(aim: AimServer, body: dict[str, Any], enabled: bool) -> None:
    policy_id = aim.add("Low trust score")
    with client_of(aim) as client:
        reply = client.patch(f"{POLICIES}/{policy_id}/toggle", json=body)

    assert reply.status_code == 200
    assert shown(aim, reply.json())["isEnabled"] is enabled


def test_the_list_is_ordered_by_priority_then_by_age_and_is_one_organizations(newest: AimServer) -> None:
    for name, priority, made in (("Old", 5, "2026-01-01"), ("Young", 5, "2026-02-01"), ("High", 9, "2025-01-01")):
        newest.add(name, priority=priority, created_at=f"{made}T00:00:00.000000Z")
    newest.add("Elsewhere", organization="other")
    with client_of(newest) as client:
        names = [policy["name"] for policy in client.get(POLICIES).json()]

    assert names == ["High", "Young", "Old"]


def test_what_is_not_there_has_another_answer_in_each_generation(aim: AimServer) -> None:
    with client_of(aim) as client:
        one = f"{POLICIES}/{ABSENT}"
        codes = {
            "get": client.get(one).status_code,
            "put": client.put(one, json=WHOLE).status_code,
            "toggle": client.patch(f"{one}/toggle", json={"isEnabled": True}).status_code,
            "delete": client.delete(one).status_code,
            "no uuid": client.get(f"{POLICIES}/1").status_code,
        }

    oldest = aim.inside.dialect.name == "a1"
    assert codes == {
        "get": 404,
        "put": 404,
        "toggle": 500 if oldest else 404,
        "delete": 204 if oldest else 404,
        "no uuid": 400,
    }


def test_another_organizations_policy_is_there_for_the_oldest_generation_only(aim: AimServer) -> None:
    policy_id = aim.add("Elsewhere", organization="other")
    with client_of(aim) as client:
        found = client.get(f"{POLICIES}/{policy_id}").status_code

    assert found == (200 if aim.inside.dialect.name == "a1" else 404)


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        ({"name": "Taken"}, 500),
        ({"name": "taken"}, 201),
        ({"name": "x" * 256}, 500),
        ({"policyType": "x" * 51}, 500),
        ({"priority": 2**31}, 500),
        ({"priority": 1.5}, 400),
        ({"priority": "5"}, 400),
        ({"isEnabled": "true"}, 400),
        ({"rules": []}, 400),
        ({"name": 7}, 400),
        ({"rules": {"text": "a\0b"}}, 500),
        ({"policyType": "made_up", "severityThreshold": "urgent"}, 201),
        ({"unknown": {"key": 1}}, 201),
    ],
)  # fmt: skip
def test_nothing_is_validated_but_types_and_what_the_columns_take(
    newest: AimServer, changed: dict[str, Any], status: int
) -> None:
    newest.add("Taken")
    with client_of(newest) as client:
        reply = client.post(POLICIES, json={**WHOLE, **changed})

    assert reply.status_code == status
    assert reply.json().get("error") == {400: "Invalid request body", 500: "Failed to create policy"}.get(status)


def test_an_empty_object_is_a_policy(newest: AimServer) -> None:
    with client_of(newest) as client:
        made = client.post(POLICIES, json={}).json()

    assert (made["name"], made["isEnabled"], made["rules"], made["priority"]) == ("", False, None, 0)


@pytest.mark.parametrize(
    ("sent", "stored"),
    [
        (b'{"n": 1.0}', {"n": 1}),
        (b'{"n": 9007199254740993}', {"n": 2**53}),
        (b'{"a": 1, "a": 2}', {"a": 2}),
        (b"{}", {}),
        (b"null", None),
    ],
)
def test_rules_go_through_float64_and_of_equal_keys_the_last_stays(sent: bytes, stored: Any) -> None:
    found = bind_policy(b'{"rules": ' + sent + b"}", BY_QUIRK["aim"])["rules"]

    assert json.dumps(found) == json.dumps(stored)


@pytest.mark.parametrize(
    "data", [b"", b"[]", b"null", b'{"name": NaN}', b"\xff", b"{" * 5, b"[" * 100_000, b'{"rules": {"n": 1e999}}']
)
def test_a_body_that_go_would_not_bind_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError):
        bind_policy(data, BY_QUIRK["aim"])


def test_keys_are_found_whatever_their_case_but_not_with_an_underscore() -> None:
    found = bind_policy(b'{"NAME": "a", "policytype": "b", "applies_to": "c", "IsEnabled": true}', BY_QUIRK["aim"])

    assert (found["name"], found["policy_type"], found["applies_to"], found["is_enabled"]) == ("a", "b", "", True)
    assert bind_toggle(b'{"isenabled": true, "isEnabled": null}') is True
    assert fits({**found, "name": "x" * 255})


# ------------------------------------------------------------------------------------------ who may, how often


def test_a_login_brings_a_jwt_that_says_who_and_for_how_long(newest: AimServer) -> None:
    password = newest.credentials.partition(":")[2]
    reply, local = log_in(newest, password), log_in(newest, password, "/auth/login/local")
    with client_of(newest, reply.json()["accessToken"]) as client:
        listed = client.get(POLICIES)

    claims = json.loads(base64.urlsafe_b64decode(reply.json()["accessToken"].split(".")[1] + "=="))
    assert claims["exp"] - claims["iat"] == 24 * 3600
    assert (claims["email"], claims["role"]) == (EMAIL, "admin")
    assert (reply.json()["success"], reply.json()["isApproved"], listed.status_code) == (True, True, 200)
    assert local.json().keys() == {"access_token", "refresh_token", "user"}


def test_a_token_ends_after_a_day_and_is_not_refreshed() -> None:
    clock = FakeClock()
    with aim_server(clock=clock) as aim, client_of(aim) as client:
        before = client.get(POLICIES).status_code
        refreshed = client.post("/auth/refresh", json={"refresh_token": "x"}).status_code
        clock.passed += 24 * 3600
        after = client.get(POLICIES)

    assert (before, refreshed, after.status_code) == (200, 401, 401)
    assert after.json() == {"error": "Invalid or expired token"}


def test_without_a_token_of_this_server_nobody_gets_in(newest: AimServer) -> None:
    token, refused = newest.token, []
    with aim_server() as elsewhere:
        other = elsewhere.token
    words = ("Bearer", f"bearer {token}", f"Bearer {token} more", f"Bearer {token}x", "Bearer a.b.c", f"Bearer {other}")
    shown = [{}, {"Cookie": "access_token=a.b.c"}, *({"Authorization": each} for each in words)]
    with httpx.Client(base_url=newest.url, trust_env=False) as client:
        for headers in shown:
            refused.append(client.get(POLICIES, headers=headers))
        cookie = client.get(POLICIES, headers={"Cookie": f"access_token={token}"})

    assert [reply.status_code for reply in refused] == [401] * 8
    assert all(isinstance(reply.json()["error"], str) for reply in refused)
    assert cookie.status_code == 200


def test_the_role_is_the_tokens(newest: AimServer) -> None:
    reader = newest.inside.signer.make(Claims("user-2", "default", "reader@example.com", "user"))
    with client_of(newest, reader) as client:
        reply = client.get(POLICIES)

    assert (reply.status_code, reply.json()) == (403, {"error": "Admin access required"})


def test_a_wrong_password_is_a_401_and_an_account_with_a_second_factor_gets_a_200_without_a_token(
    newest: AimServer,
) -> None:
    password = newest.credentials.partition(":")[2]
    wrong = log_in(newest, password + "x")
    user_id = newest.store.add_user(EMAIL, "admin")
    with newest.store.write() as connection:
        row = {"user_id": user_id, "secret": "JBSWY3DPEHPK3PXP", "confirmed": True, "last_step": 0, "created_at": "now"}
        connection.execute(second_factors.insert().values(**row))
    without = log_in(newest, password)

    assert (wrong.status_code, wrong.json()) == (401, {"error": "Invalid credentials"})
    assert (without.status_code, without.json()["success"]) == (200, False)
    assert "accessToken" not in without.json()


def test_a_hundred_requests_a_minute_then_429_with_nothing_but_retry_after() -> None:
    clock = FakeClock()
    with aim_server(clock=clock) as aim, client_of(aim) as client:
        replies = [client.get(POLICIES) for _ in range(101)]
        clock.passed += 60
        later = client.get(POLICIES)

    assert [reply.status_code for reply in replies] == [200] * 100 + [429]
    told = [reply.headers for reply in (replies[0], replies[99])]
    assert [each["x-ratelimit-remaining"] for each in told] == ["99", "0"]
    assert (told[0]["x-ratelimit-limit"], told[0]["x-ratelimit-reset"]) == ("100", "60")
    assert replies[100].json() == {"error": "Rate limit exceeded. Please try again later."}
    assert replies[100].headers["retry-after"] == "60"
    assert not [name for name in replies[100].headers if name.startswith("x-ratelimit")]
    assert later.status_code == 200


def test_the_framework_speaks_in_a_shape_of_its_own(newest: AimServer) -> None:
    with client_of(newest) as client:
        missing, wrong = client.get("/admin/nothing"), client.patch(POLICIES)

    assert [(each.status_code, each.json()["error"]) for each in (missing, wrong)] == [(404, True), (405, True)]
    assert missing.json().keys() == {"error", "message", "timestamp"}


# -------------------------------------------------------------------------------------------------- the trail


def test_no_change_of_a_policy_is_in_the_audit_log_but_every_look_at_it_is(aim: AimServer) -> None:
    policy_id = aim.add("Low trust score")
    with client_of(aim) as client:
        client.patch(f"{POLICIES}/{policy_id}/toggle", json={"isEnabled": False})
        client.delete(f"{POLICIES}/{policy_id}")
        query = {"entity_type": "security_policy", "entity_id": policy_id, "action": "toggle", "limit": "1"}
        first = client.get("/admin/audit-logs", params=query, headers={"User-Agent": "somebody/1.0"}).json()
        second = client.get("/admin/audit-logs").json()

    [entry] = second["logs"]
    assert (first["logs"], first["total"], first["limit"], first["offset"]) == (None, 0, 1, 0)
    assert ("userAgent" in entry) is aim.inside.dialect.camel_entries
    said = {camel(key): value for key, value in entry.items()}
    assert (said["action"], said["resourceType"], said["userAgent"]) == ("view", "audit_logs", "somebody/1.0")
    assert said["metadata"] == {
        "filter_action": "toggle",
        "filter_resource_type": "security_policy",
        "filter_resource_id": policy_id,
        "filter_user_id": "",
    }
    assert not said["timestamp"].endswith("Z")


def test_filters_count_from_the_second_generation_on(aim: AimServer) -> None:
    with client_of(aim) as client:
        for _ in range(3):
            client.get("/admin/audit-logs")
        found = client.get("/admin/audit-logs", params={"action": "update", "limit": "2"}).json()
        negative = client.get("/admin/audit-logs", params={"limit": "-1"}).status_code

    filters = aim.inside.dialect.filters
    assert (len(found["logs"] or []), found["total"]) == ((0, 0) if filters else (2, 2))
    assert negative == 500


def test_the_mode_is_the_newest_generations_and_its_change_is_in_the_audit_log(aim: AimServer) -> None:
    path = "/admin/enforcement-settings"
    with client_of(aim) as client:
        before = client.get(path)
        wrong = client.put(path, json={"enforcementMode": "STRICT"})
        changed = client.put(path, json={"enforcementMode": "strict"})
        after = client.get(path)

    if not aim.inside.dialect.has_mode:
        assert [each.status_code for each in (before, wrong, changed)] == [404] * 3
        return
    assert [each.json().get("enforcementMode") for each in (before, changed, after)] == [
        "monitoring",
        "strict",
        "strict",
    ]
    assert (wrong.status_code, wrong.json()["error"][:24]) == (400, "Invalid enforcement mode")
    [entry] = aim.entries()
    assert (entry["action"], entry["resource_type"]) == ("update", "enforcement_settings")
    assert entry["metadata"] == {"newEnforcementMode": "strict"}


@pytest.mark.parametrize(
    ("quirks", "name"),
    [(set(), None), ({"neosc"}, None), ({"aim"}, "a3"), ({"aim:a2", "neosc"}, "a2"), ({"aim", "aim:a1"}, "a1")],
)
def test_the_generation_is_the_one_asked_for_the_oldest_of_several(quirks: set[str], name: str | None) -> None:
    found = dialect_of(quirks)

    assert (None if found is None else found.name) == name
