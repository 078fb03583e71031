"""Every call that changes something is in the trail: one call for each route that can, and what the trail says of it.

A route that is added has to be added here. The page's forms are in tests/server/pages, failed logins in
tests/server/accounts.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from reconciler.server.accounts.first import make_first_secrets
from reconciler.server.app import create_app
from reconciler.server.enforcement.tables import events
from reconciler.server.options import ServerOptions
from reconciler.server.store import Store, open_store
from reconciler.server.tables import second_factors
from reconciler.server.trail.tables import audit_entries
from tests.support.servers import RunningServer

PERSON = {"email": "person@example.com", "password": "a right long password"}
OPENA2A = "/v1/admin/security-policies"
SETTINGS = "/v1/admin/enforcement-settings"
USERS, TOKENS = "/v1/admin/users", "/v1/admin/tokens"
ALERTS, VIOLATIONS = "/v1/admin/alerts", "/v1/admin/violations"
LOW_TRUST = {"name": "low trust", "policy_type": "trust_score", "conditions": {"trust_threshold": 0.5}}
EVENT = {"actor_id": "agent-1", "action": "read", "resource": "db/1", "trust_score": 0.1}


@dataclass(frozen=True)
class Step:
    """A call: its route, the ids in its path, its body; the actions of the entries it makes, and how many records."""

    route: str
    ids: dict[str, str]
    body: Any
    actions: tuple[str, ...]
    records: int = 0


def steps(client: httpx.Client, server: RunningServer) -> Iterator[Step]:
    """The calls in an order in which each can succeed; what a call needs is looked up when its turn has come."""
    yield Step("POST /api/auth/login", {}, PERSON, ("login",))
    mfa = {"policy_id": "pol-mfa-required"}
    yield Step("PATCH /api/policies/{policy_id}", mfa, None, ("toggle_policy",))
    yield Step("POST /api/policies", {}, {"name": "x", "type": "access"}, ("create_policy",))
    yield Step("PUT /api/policies/{policy_id}", mfa, {"description": "x"}, ("update_policy",))
    yield Step("DELETE /api/policies/{policy_id}", mfa, None, ("delete_policy",))
    yield Step(f"POST {OPENA2A}", {}, {**LOW_TRUST, "enforcement_action": "alert_only"}, ("create_policy",))
    made = {"policy_id": client.get(OPENA2A).json()["policies"][0]["id"]}
    yield Step(f"PUT {OPENA2A}/{{policy_id}}", made, {"severity": "high"}, ("update_policy",))
    yield Step(f"PATCH {OPENA2A}/{{policy_id}}/toggle", made, {"enabled": True}, ("toggle_policy",))
    yield Step("POST /v1/evaluate", {}, EVENT, (), 1)
    yield Step("POST /v1/evaluate/batch", {}, {"events": [EVENT, EVENT]}, (), 2)
    for path, name in ((ALERTS, "alerts"), (VIOLATIONS, "violations")):  # each of these violations is an alert
        found = {"finding_id": client.get(path).json()[name][0 if name == "alerts" else -1]["id"]}
        yield Step(f"POST {path}/{{finding_id}}/acknowledge", found, {}, ("acknowledge_alert",))
        yield Step(f"POST {path}/{{finding_id}}/resolve", found, {"reason": "x"}, ("resolve_alert",))
    yield Step(f"DELETE {OPENA2A}/{{policy_id}}", made, None, ("delete_policy",))
    yield Step(f"PUT {SETTINGS}", {}, {"enforcementMode": "strict"}, ("update_enforcement_settings",))
    yield Step("POST /v1/locks/{name}", {"name": "nightly"}, {}, ("acquire_lock",))
    yield Step("PUT /v1/locks/{name}", {"name": "nightly"}, {}, ())  # a holder who goes on holding changes nothing
    yield Step("DELETE /v1/locks/{name}", {"name": "nightly"}, None, ("release_lock",))
    yield Step(f"POST {USERS}", {}, {"email": "new@example.com", "role": "user"}, ("create_user",))
    users = {each["email"]: each["id"] for each in client.get(USERS).json()["users"]}
    new, person = {"user_id": users["new@example.com"]}, {"user_id": users[PERSON["email"]]}
    yield Step(f"PATCH {USERS}/{{user_id}}", new, {"name": "New"}, ("update_user",))
    with server.store.write() as connection:
        factor = {"user_id": person["user_id"], "secret": "x", "confirmed": True, "last_step": 0, "created_at": "x"}
        connection.execute(second_factors.insert().values(**factor))
    yield Step(f"DELETE {USERS}/{{user_id}}/mfa", person, None, ("remove_mfa",))
    yield Step(f"POST {TOKENS}", {}, {"name": "ci", "email": "new@example.com"}, ("create_token",))
    token = next(each["id"] for each in client.get(TOKENS).json()["tokens"] if each["name"] == "ci")
    yield Step(f"DELETE {TOKENS}/{{token_id}}", {"token_id": token}, None, ("revoke_token",))
    yield Step(f"DELETE {USERS}/{{user_id}}", new, None, ("delete_user",))


@pytest.fixture
def client(crud_server: RunningServer) -> Iterator[httpx.Client]:
    crud_server.store.add_user(PERSON["email"], "admin", password=PERSON["password"])
    headers = {"Authorization": f"Bearer {crud_server.token}"}
    with httpx.Client(base_url=crud_server.url, headers=headers, trust_env=False, verify=False, timeout=60) as asking:
        asking.get("/api/policies")
        yield asking


def trail(server: RunningServer) -> tuple[list[str], int]:
    with server.store.read() as connection:
        actions = connection.execute(sa.select(audit_entries.c.action).order_by(audit_entries.c.seq)).scalars().all()
        return list(actions), connection.execute(sa.select(sa.func.count()).select_from(events)).scalar_one()


def test_every_call_that_changes_something_is_in_the_trail(client: httpx.Client, crud_server: RunningServer) -> None:
    seen = set()
    for step in steps(client, crud_server):
        actions, records = trail(crud_server)
        method, path = step.route.split(" ")

        fence = {"X-Fencing-Token": "nightly=1"} if "/locks/" in path and method != "POST" else {}
        reply = client.request(method, path.format(**step.ids), json=step.body, headers=fence)

        assert reply.status_code in (200, 201, 204), (step.route, reply.text)
        now = trail(crud_server)
        assert (now[0], now[1]) == ([*actions, *step.actions], records + step.records), step.route
        seen.add(step.route)
    store = open_store()
    app = create_app(store, ServerOptions(neosc_crud=True))
    store.close()
    changing = {
        f"{method} {route.path}"
        for route in app.state.routes
        for method in getattr(route, "methods", set()) - {"GET", "HEAD", "OPTIONS"}
        if route.path.startswith(("/api/", "/v1/"))
    }
    assert changing == seen


def test_the_default_policies_are_in_the_trail_and_not_in_neosc_s_log(client: httpx.Client) -> None:
    everything = client.get("/v1/admin/audit-logs?system=server").json()["logs"]

    assert [entry["action"] for entry in everything] == ["create_defaults"]
    assert "pol-mfa-required" in everything[0]["details"]
    assert client.get("/api/audit-logs").json() == []


def test_what_the_start_makes_is_in_the_trail_once(store: Store) -> None:
    made = [make_first_secrets(store, {"RECONCILER_SERVER_TOKEN": "0123456789abcdef"}) for _ in range(2)]
    fresh = make_first_secrets(store, {"RECONCILER_SERVER_PASSWORD": "a long enough password"})

    with store.read() as connection:
        rows = connection.execute(sa.select(audit_entries).order_by(audit_entries.c.seq)).all()
    assert [each.token for each in (*made, fresh)] == [None, None, None]
    assert [row.action for row in rows] == ["create_user", "create_token", "change_password"]
    assert {row.user_email for row in rows} == {"reconciler-server"}
    assert not any("0123456789abcdef" in str(row) or "a long enough password" in str(row) for row in rows)
