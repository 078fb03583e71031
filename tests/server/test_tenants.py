"""Two organizations on one server: nothing of the one is there for the other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from reconciler.server.tables import metadata
from tests.support.servers import RunningServer

POLICY = {"name": "Minimum Trust", "policy_type": "trust_score", "conditions": {"min_trust_score": 70}}


@pytest.fixture
def acme(server: RunningServer) -> Iterator[httpx.Client]:
    yield from client(server, server.store.add_token("admin@acme.example", "admin", organization="acme"))


@pytest.fixture
def globex(server: RunningServer) -> Iterator[httpx.Client]:
    yield from client(server, server.store.add_token("admin@globex.example", "admin", organization="globex"))


def client(server: RunningServer, token: str) -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Bearer {token}"}
    with httpx.Client(base_url=server.url, headers=headers, trust_env=False, verify=False) as web:
        yield web


def make(web: httpx.Client) -> str:
    policy_id: str = web.post("/v1/admin/security-policies", json=POLICY).json()["policy"]["id"]
    return policy_id


def dump(server: RunningServer) -> dict[str, list[Any]]:
    with server.store.read() as connection:
        return {
            table.name: sorted(map(repr, connection.execute(sa.select(table)))) for table in metadata.tables.values()
        }


@pytest.mark.parametrize(
    ("method", "path", "body", "sentence"),
    [
        ("GET", "security-policies/{policy}", None, "Policy not found"),
        ("PUT", "security-policies/{policy}", {"description": "x"}, "Policy not found"),
        ("PATCH", "security-policies/{policy}/toggle", {"enabled": False}, "Policy not found"),
        ("DELETE", "security-policies/{policy}", None, "Policy not found"),
        ("PATCH", "users/{user}", {"role": "user"}, "User not found"),
        ("DELETE", "users/{user}", None, "User not found"),
        ("DELETE", "users/{user}/mfa", None, "User not found"),
        ("DELETE", "tokens/{token}", None, "Token not found"),
        ("POST", "tokens", {"name": "x", "email": "admin@acme.example"}, "User not found"),
    ],
)
def test_what_is_anothers_is_404_and_stays_as_it_is(
    server: RunningServer, acme: httpx.Client, globex: httpx.Client, method: str, path: str, body: Any, sentence: str
) -> None:
    [user] = acme.get("/v1/admin/users").json()["users"]
    [token] = acme.get("/v1/admin/tokens").json()["tokens"]
    path = path.format(policy=make(acme), user=user["id"], token=token["id"])
    before = dump(server)

    reply = globex.request(method, f"/v1/admin/{path}", json=body)

    assert (reply.status_code, reply.json()) == (404, {"error": sentence})
    assert dump(server) == before


def test_a_list_has_ones_own_only(acme: httpx.Client, globex: httpx.Client) -> None:
    policy_id = make(acme)

    lists = [web.get("/v1/admin/security-policies").json() for web in (acme, globex)]
    people = [web.get("/v1/admin/users").json()["users"] for web in (acme, globex)]

    assert [policy["id"] for policy in lists[0]["policies"]] == [policy_id]
    assert lists[1] == {"policies": [], "total": 0}
    assert [[user["email"] for user in each] for each in people] == [["admin@acme.example"], ["admin@globex.example"]]


def test_a_name_is_taken_within_an_organization(acme: httpx.Client, globex: httpx.Client) -> None:
    codes = [web.post("/v1/admin/security-policies", json=POLICY).status_code for web in (acme, globex, acme)]

    assert codes == [201, 201, 409]


def test_a_mode_is_of_one_organization(acme: httpx.Client, globex: httpx.Client) -> None:
    acme.put("/v1/admin/enforcement-settings", json={"enforcementMode": "strict"})

    modes = [web.get("/v1/admin/enforcement-settings").json()["enforcementMode"] for web in (acme, globex)]

    assert modes == ["strict", "monitoring"]


def test_a_trail_has_ones_own_entries(acme: httpx.Client, globex: httpx.Client) -> None:
    make(acme)
    acme.get("/api/policies")
    acme.patch("/api/policies/pol-mfa-required")

    trails = [web.get("/v1/admin/audit-logs").json() for web in (acme, globex)]
    neosc = [web.get("/api/audit-logs").json() for web in (acme, globex)]

    assert [entry["action"] for entry in trails[0]["logs"]] == ["create_policy"]
    assert (trails[1]["logs"], trails[1]["total"]) == ([], 0)
    assert "toggle_policy" in [entry["action"] for entry in neosc[0]]
    assert neosc[1] == []


def test_neoscs_policies_are_everybodys(acme: httpx.Client, globex: httpx.Client) -> None:
    acme.get("/api/policies")
    acme.patch("/api/policies/pol-mfa-required")

    assert [policy["enabled"] for policy in globex.get("/api/policies").json()] == [False, True, True]
