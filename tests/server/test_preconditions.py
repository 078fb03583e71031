"""What the published servers lack: conditions under which a request is carried out, once, or refused with 412."""

from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.support.servers import RunningServer

MFA = "/policies/pol-mfa-required"
POLICIES = "/security-policies"
RATE: dict[str, Any] = {"name": "Rate", "policy_type": "rate_limit", "conditions": {"max_requests_per_hour": 5}}
CHANGED = "Policy has changed since it was read"


@pytest.fixture
def rate(opena2a: httpx.Client) -> str:
    """The path of a policy that is there."""
    return f"{POLICIES}/{opena2a.post(POLICIES, json=RATE).json()['policy']['id']}"


def tags(client: httpx.Client, path: str = "/policies") -> dict[str, str]:
    found = client.get(path, params={"etags": "true"}).json()
    return {policy["id"]: policy["etag"] for policy in (found if isinstance(found, list) else found["policies"])}


# ---------------------------------------------------------------------------------------------- announcement


def test_both_lists_say_what_the_server_can_do(neosc: httpx.Client, opena2a: httpx.Client) -> None:
    for reply in (neosc.get("/policies"), opena2a.get(POLICIES)):
        assert reply.headers["x-capabilities"] == "cursors, etags, events, fencing, idempotency-keys, set-toggle"


# ---------------------------------------------------------------------------------------------- etags


def test_a_tag_is_the_same_wherever_a_policy_is_read(opena2a: httpx.Client, rate: str) -> None:
    one = opena2a.get(rate).headers["etag"]
    written = opena2a.patch(f"{rate}/toggle", json={"enabled": False}).headers["etag"]

    assert re.fullmatch('"[0-9a-f]{32}"', one)
    assert written != one
    assert opena2a.get(rate).headers["etag"] == written == tags(opena2a, POLICIES)[rate.removeprefix(f"{POLICIES}/")]


def test_a_list_shows_tags_only_when_asked_for_them(neosc: httpx.Client) -> None:
    assert "etag" not in neosc.get("/policies").json()[0]
    assert len(set(tags(neosc).values())) == 3


@pytest.mark.parametrize("ask", ["PUT", "PATCH", "DELETE"])
def test_a_policy_that_moved_since_it_was_read_is_left_alone(neosc_crud: httpx.Client, ask: str) -> None:
    read = tags(neosc_crud)["pol-mfa-required"]
    neosc_crud.patch(MFA)
    before = neosc_crud.get("/policies").json(), neosc_crud.get("/audit-logs").json()

    reply = neosc_crud.request(ask, MFA, json={"description": "mine"}, headers={"If-Match": read})

    assert (reply.status_code, reply.json()) == (412, {"detail": CHANGED})
    assert reply.headers["etag"] == tags(neosc_crud)["pol-mfa-required"]
    assert (neosc_crud.get("/policies").json(), neosc_crud.get("/audit-logs").json()) == before


@pytest.mark.parametrize("ask", ["PUT", "PATCH", "DELETE"])
def test_opena2as_policies_have_the_same_condition(opena2a: httpx.Client, rate: str, ask: str) -> None:
    read = opena2a.get(rate).headers["etag"]
    opena2a.patch(f"{rate}/toggle", json={"enabled": False})
    path, body = (f"{rate}/toggle", {"enabled": True}) if ask == "PATCH" else (rate, {"description": "mine"})

    stale = opena2a.request(ask, path, json=body, headers={"If-Match": read})
    fresh = opena2a.request(ask, path, json=body, headers={"If-Match": opena2a.get(rate).headers["etag"]})

    assert (stale.status_code, stale.json()) == (412, {"error": CHANGED})
    assert fresh.status_code == 200


def test_the_mode_has_it_too(opena2a: httpx.Client) -> None:
    path = "/enforcement-settings"
    read = opena2a.get(path).headers["etag"]
    written = opena2a.put(path, json={"enforcementMode": "strict"}, headers={"If-Match": read})

    again = opena2a.put(path, json={"enforcementMode": "monitoring"}, headers={"If-Match": read})

    assert written.headers["etag"] == opena2a.get(path).headers["etag"]
    assert (written.status_code, again.status_code) == (200, 412)


@pytest.mark.parametrize("value", ["*", '"no,such,tag", {tag}', "{tag}"])
def test_a_condition_that_holds_changes_nothing_about_the_reply(neosc: httpx.Client, value: str) -> None:
    tag = tags(neosc)["pol-mfa-required"]

    reply = neosc.patch(MFA, headers={"If-Match": value.replace("{tag}", tag)})

    assert (reply.status_code, reply.json()) == (200, {"message": "Policy disabled", "enabled": False})


@pytest.mark.parametrize(("value", "status"), [("W/{tag}", 412), ("tag", 400), ("{tag},", 400), ('"' * 3000, 400)])
def test_a_weak_tag_never_matches_and_no_tag_is_refused(neosc: httpx.Client, value: str, status: int) -> None:
    tag = tags(neosc)["pol-mfa-required"]

    reply = neosc.patch(MFA, headers={"If-Match": value.replace("{tag}", tag)})

    assert reply.status_code == status
    assert neosc.get("/audit-logs").json() == []


def test_a_create_may_insist_that_nothing_is_there(neosc_crud: httpx.Client, opena2a: httpx.Client) -> None:
    only = {"If-None-Match": "*"}
    for client, path, body in (
        (neosc_crud, "/policies", {"id": "pol-x", "name": "X", "type": "access"}),
        (opena2a, POLICIES, RATE),
    ):
        assert client.post(path, json=body, headers=only).status_code == 201
        assert client.post(path, json=body, headers=only).status_code == 412
        assert client.post(path, json=body).status_code == 409
        assert client.post(path, json=body, headers={"If-Match": "*"}).status_code == 412
        assert client.post(path, json=body, headers={"If-None-Match": '"a"'}).status_code == 400


# ---------------------------------------------------------------------------------------------- a toggle that sets


def test_a_toggle_sets_where_the_request_prefers_it_and_says_so(neosc: httpx.Client) -> None:
    neosc.get("/policies")

    replies = [neosc.patch(MFA, headers={"Prefer": "set-enabled=false"}) for _ in range(2)]
    plain = neosc.patch(MFA)

    assert [reply.json()["enabled"] for reply in replies] == [False, False]
    assert {reply.headers["preference-applied"] for reply in replies} == {"set-enabled=false"}
    assert (plain.json()["enabled"], plain.headers.get("preference-applied")) == (True, None)


@pytest.mark.parametrize(
    ("prefer", "status", "enabled"),
    [
        ('handling=strict, Set-Enabled="true"; a=b', 200, True),
        ("handling=strict", 200, False),
        ("set-enabled", 400, True),
        ("set-enabled=off", 400, True),
        ("set-enabled=true, set-enabled=false", 400, True),
    ],
)
def test_what_is_preferred_is_understood_or_refused(
    neosc: httpx.Client, prefer: str, status: int, enabled: bool
) -> None:
    neosc.get("/policies")

    reply = neosc.patch(MFA, headers={"Prefer": prefer})

    assert reply.status_code == status
    assert neosc.get("/policies").json()[0]["enabled"] is enabled


# ---------------------------------------------------------------------------------------------- idempotency keys


def test_a_flip_under_one_key_is_one_flip(neosc: httpx.Client) -> None:
    neosc.get("/policies")

    first, second = (neosc.patch(MFA, headers={"Idempotency-Key": "k-1"}) for _ in range(2))
    other = neosc.patch(MFA, headers={"Idempotency-Key": "k-2"})

    assert (first.status_code, first.json()) == (second.status_code, second.json())
    assert first.headers["etag"] == second.headers["etag"]
    assert (first.headers.get("idempotency-replayed"), second.headers["idempotency-replayed"]) == (None, "true")
    assert other.json()["enabled"] is True
    assert len(neosc.get("/audit-logs").json()) == 2


def test_flips_under_one_key_at_once_are_one_flip(neosc: httpx.Client) -> None:
    neosc.get("/policies")

    with ThreadPoolExecutor(8) as pool:
        replies = list(pool.map(lambda _: neosc.patch(MFA, headers={"Idempotency-Key": "k"}), range(16)))

    assert {(reply.status_code, reply.text) for reply in replies} == {(200, replies[0].text)}
    assert len(neosc.get("/audit-logs").json()) == 1


def test_a_create_under_one_key_makes_one_policy(opena2a: httpx.Client) -> None:
    first, second = (opena2a.post(POLICIES, json=RATE, headers={"Idempotency-Key": "k"}) for _ in range(2))

    assert (first.status_code, second.status_code) == (201, 201)
    assert first.content == second.content
    assert opena2a.get(POLICIES).json()["total"] == 1


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PATCH", "{rate}/toggle", {"enabled": True}),
        ("PUT", "{rate}", {"enabled": False}),
        ("PATCH", f"{POLICIES}/another/toggle", {"enabled": False}),
    ],
)
def test_a_key_that_comes_back_with_another_request_is_422(
    opena2a: httpx.Client, rate: str, method: str, path: str, body: dict[str, Any]
) -> None:
    key = {"Idempotency-Key": "k"}
    opena2a.patch(f"{rate}/toggle", json={"enabled": False}, headers=key)
    before = opena2a.get(rate).json()

    reply = opena2a.request(method, path.replace("{rate}", rate), json=body, headers=key)

    assert (reply.status_code, reply.json()) == (422, {"error": "Idempotency-Key was used for another request"})
    assert opena2a.get(rate).json() == before


def test_another_wish_is_another_request(neosc: httpx.Client) -> None:
    neosc.get("/policies")
    neosc.patch(MFA, headers={"Idempotency-Key": "k", "Prefer": "set-enabled=false"})

    assert neosc.patch(MFA, headers={"Idempotency-Key": "k"}).status_code == 422


def test_a_refusal_is_not_kept_so_the_same_key_may_be_tried_again(opena2a: httpx.Client, rate: str) -> None:
    key = {"Idempotency-Key": "k"}
    stale = opena2a.delete(rate, headers={**key, "If-Match": '"old"'})

    again = opena2a.delete(rate, headers=key)

    assert (stale.status_code, again.status_code) == (412, 200)
    assert opena2a.delete(rate, headers=key).headers["idempotency-replayed"] == "true"


def test_a_key_is_its_callers_own(server: RunningServer, neosc: httpx.Client) -> None:
    neosc.get("/policies")
    neosc.patch(MFA, headers={"Idempotency-Key": "k"})
    person = server.store.add_token("admin@example.com", "admin")

    reply = neosc.patch(MFA, headers={"Idempotency-Key": "k", "Authorization": f"Bearer {person}"})

    assert reply.json()["enabled"] is True


@pytest.mark.parametrize("key", ["", "a b", "x" * 256, "\u00e9".encode("latin-1")])
def test_a_key_that_is_none_is_refused(neosc: httpx.Client, key: str | bytes) -> None:
    neosc.get("/policies")

    reply = neosc.patch(MFA, headers=[(b"Idempotency-Key", key if isinstance(key, bytes) else key.encode())])

    assert reply.status_code == 400
    assert neosc.get("/audit-logs").json() == []


# ---------------------------------------------------------------------------------------------- locks


@pytest.fixture
def locks(server: RunningServer) -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Bearer {server.token}"}
    with httpx.Client(base_url=f"{server.url}/v1/locks", headers=headers, trust_env=False) as client:
        yield client


def test_a_lock_is_taken_once_and_its_token_grows(locks: httpx.Client) -> None:
    taken = locks.post("/prod", json={"holder": "ci", "ttl": 60})
    refused = locks.post("/prod", json={"holder": "laptop"})
    released = locks.delete("/prod", headers={"X-Fencing-Token": "prod=1"})
    again = locks.post("/prod", json={})

    assert taken.status_code == 201
    assert {key: value for key, value in taken.json()["lock"].items() if key != "acquired_at"} == {
        "name": "prod",
        "token": 1,
        "holder": "ci",
        "ttl": 60,
        "held": True,
        "expires_in": 60,
    }
    assert (refused.status_code, refused.json()) == (409, {"error": "Lock is held by ci"})
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    assert (released.status_code, again.json()["lock"]["token"]) == (200, 2)
    assert again.json()["lock"]["holder"] == "gitops@example.com"


def test_of_many_who_want_a_lock_one_gets_it(locks: httpx.Client) -> None:
    with ThreadPoolExecutor(8) as pool:
        codes = list(pool.map(lambda _: locks.post("/prod", json={}).status_code, range(16)))

    assert sorted(codes) == [201] + [409] * 15


def test_a_holder_renews_and_others_cannot(locks: httpx.Client) -> None:
    locks.post("/prod", json={"ttl": 60})

    renewed = locks.put("/prod", json={"ttl": 120}, headers={"X-Fencing-Token": "prod=1"})

    assert (renewed.status_code, renewed.json()["lock"]["expires_in"]) == (200, 120)
    assert locks.put("/prod", json={}, headers={"X-Fencing-Token": "prod=2"}).status_code == 412
    assert locks.put("/prod", json={}, headers={"X-Fencing-Token": "staging=1"}).status_code == 412
    assert locks.put("/prod", json={}).status_code == 400
    assert locks.get("/prod").json()["lock"]["ttl"] == 120
    assert locks.get("/staging").status_code == 404


def test_a_change_from_the_past_is_refused(locks: httpx.Client, neosc: httpx.Client) -> None:
    neosc.get("/policies")
    for token in (1, 2):
        locks.post("/prod", json={})
        locks.delete("/prod", headers={"X-Fencing-Token": f"prod={token}"})

    past = neosc.patch(MFA, headers={"X-Fencing-Token": "prod=1"})
    unknown = neosc.patch(MFA, headers={"X-Fencing-Token": "nobody=1"})
    wrong = neosc.patch(MFA, headers={"X-Fencing-Token": "1"})

    assert (past.status_code, past.json()) == (412, {"detail": "Fencing token 1 is not the newest of lock prod"})
    assert (unknown.status_code, wrong.status_code) == (412, 400)
    assert neosc.get("/policies").json()[0]["enabled"] is True
    assert neosc.patch(MFA, headers={"X-Fencing-Token": "prod=2"}).status_code == 200


def test_a_lock_of_another_organization_is_another_lock(server: RunningServer, locks: httpx.Client) -> None:
    locks.post("/prod", json={})
    server.store.add_user("other@example.com", "admin", organization="elsewhere")
    other = server.store.add_token("other@example.com", "admin")

    reply = locks.post("/prod", json={}, headers={"Authorization": f"Bearer {other}"})

    assert (reply.status_code, reply.json()["lock"]["token"]) == (201, 1)


@pytest.mark.parametrize("body", [{"ttl": 0}, {"ttl": True}, {"ttl": 10**6}, {"holder": ""}, {"name": "x"}])
def test_a_lock_that_cannot_be_is_refused(locks: httpx.Client, body: dict[str, Any]) -> None:
    assert locks.post("/prod", json=body).status_code == 400
    assert locks.post("/Prod", json={}).status_code == 400
    assert locks.get("/prod").status_code == 404


# ---------------------------------------------------------------------------------------------- parts of lists


def test_a_list_in_parts_is_the_list(opena2a: httpx.Client) -> None:
    for number in range(7):
        opena2a.post(POLICIES, json={**RATE, "name": f"p{number}"})
    whole = opena2a.get(POLICIES).json()["policies"]

    seen: list[Any] = []
    query: dict[str, Any] | None = {"limit": 3}
    while query is not None:
        reply = opena2a.get(POLICIES, params=query)
        seen.append(reply.json()["policies"])
        assert (reply.json()["total"], reply.headers["x-total-count"]) == (7, "7")
        assert reply.json().get("next") == reply.headers.get("x-next-cursor")
        query = {"limit": 3, "cursor": reply.json()["next"]} if "next" in reply.json() else None

    assert [len(part) for part in seen] == [3, 3, 1]
    assert [policy for part in seen for policy in part] == whole


def test_a_part_neither_repeats_nor_misses_what_stays_while_others_write(neosc_crud: httpx.Client) -> None:
    neosc_crud.get("/policies")
    for number in range(6):
        neosc_crud.post("/policies", json={"id": f"p{number}", "name": "x", "type": "access"})
    first = neosc_crud.get("/policies", params={"limit": 5})
    neosc_crud.delete("/policies/p0")
    neosc_crud.delete("/policies/pol-mfa-required")
    neosc_crud.post("/policies", json={"id": "new", "name": "x", "type": "access"})

    rest = neosc_crud.get("/policies", params={"limit": 5, "cursor": first.headers["x-next-cursor"]})

    assert [policy["id"] for policy in rest.json()] == ["p2", "p3", "p4", "p5", "new"]
    assert "x-next-cursor" not in rest.headers


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=1001", "limit=x", "limit=1&limit=2", "cursor=x", "cursor=", "cursor=%00", "etags=yes"]
)
def test_a_part_that_cannot_be_is_refused(neosc: httpx.Client, opena2a: httpx.Client, query: str) -> None:
    assert neosc.get(f"/policies?{query}").status_code == 422
    assert opena2a.get(f"{POLICIES}?{query}").status_code == 400


def test_parameters_that_are_not_ours_change_nothing(neosc: httpx.Client) -> None:
    assert neosc.get("/policies?page=7&sort=name").json() == neosc.get("/policies").json()


def test_a_whole_number_may_be_written_with_a_point(opena2a: httpx.Client, locks: httpx.Client) -> None:
    lock = locks.post("/prod", json={"ttl": 60.0}).json()["lock"]
    token = opena2a.post("/tokens", json={"name": "ci", "expires_in": 3600.0}).json()

    assert (lock["ttl"], lock["expires_in"]) == (60, 60)
    assert token["expires_at"] is not None
    assert locks.post("/other", json={"ttl": 60.5}).status_code == 400
    assert opena2a.post("/tokens", json={"name": "ci", "expires_in": 0.0}).status_code == 400
