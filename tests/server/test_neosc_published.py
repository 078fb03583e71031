"""`--quirks neosc`: what the published server does, row by row of systems.md 1.1."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from reconciler.server.tables import neosc_policies
from tests.support.program import config_text, neosc_defaults, neosc_target, program_in
from tests.support.repos import make_repo
from tests.support.servers import RunningServer, reference_server

QUIRKS = frozenset({"neosc"})
MFA = "/policies/pol-mfa-required"
MICROS = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+00:00"


@pytest.fixture
def server() -> Iterator[RunningServer]:
    with reference_server(quirks=QUIRKS) as running:
        yield running


@pytest.fixture
def web(server: RunningServer) -> Iterator[httpx.Client]:
    with client(server, server.token) as found:
        yield found


def client(server: RunningServer, token: str) -> httpx.Client:
    headers = {"Authorization": f"Bearer {token}"}
    return httpx.Client(base_url=server.neosc_url, headers=headers, trust_env=False)


def test_the_list_that_makes_the_defaults_shows_them_without_a_time(web: httpx.Client) -> None:
    first, second = web.get("/policies").json(), web.get("/policies").json()

    assert [list(policy) for policy in first] == [["id", "name", "description", "type", "rules", "enabled"]] * 3
    assert all(re.fullmatch(MICROS, policy.pop("created_at")) for policy in second)
    assert first == second


def test_a_list_is_cut_at_a_hundred_without_a_word(server: RunningServer, web: httpx.Client) -> None:
    row = {"name": "x", "description": "", "type": "access", "rules": [], "enabled": True}
    rows = [{**row, "id": f"p{number}", "created_at": "2026-01-01T00:00:00.000Z"} for number in range(103)]
    with server.store.write() as connection:
        connection.execute(neosc_policies.insert(), rows)

    reply = web.get("/policies", params={"limit": 5, "etags": "true"})

    assert len(reply.json()) == 100
    assert not {"x-total-count", "x-capabilities", "etag"} & set(reply.headers)
    assert "etag" not in reply.json()[0]


def test_a_toggle_flips_whatever_is_asked_of_it(web: httpx.Client) -> None:
    web.get("/policies")
    conditions = {"If-Match": '"no"', "Idempotency-Key": "k", "Prefer": "set-enabled=true", "X-Fencing-Token": "a=1"}

    replies = [web.patch(MFA, json={"enabled": True}, headers=conditions) for _ in range(2)]

    assert [reply.json() for reply in replies] == [
        {"message": "Policy disabled", "enabled": False},
        {"message": "Policy enabled", "enabled": True},
    ]
    assert web.patch("/policies/nobody").json() == {"detail": "Policy not found"}


def test_anybody_who_is_logged_in_may_toggle_and_sees_only_their_own_entries(
    server: RunningServer, web: httpx.Client
) -> None:
    web.get("/policies")
    web.patch(MFA)
    with client(server, server.store.add_token("person@example.com", "user")) as person:
        toggled = person.patch(MFA)
        own = person.get("/audit-logs").json()

    assert toggled.status_code == 200
    assert [entry["user_email"] for entry in own] == ["person@example.com"]
    assert len(web.get("/audit-logs").json()) == 2


def test_an_entry_names_no_commit_and_another_tenants_are_not_seen(server: RunningServer, web: httpx.Client) -> None:
    web.get("/policies")
    web.patch(MFA, headers={"User-Agent": f"reconciler/0.1.0 (commit={'0' * 40}; key=x; plan=0)"})
    server.store.add_user("other@example.com", "admin", organization="elsewhere")
    with client(server, server.store.add_token("other@example.com", "admin")) as other:
        other.patch(MFA)
        theirs = other.get("/audit-logs").json()

    [entry] = web.get("/audit-logs").json()
    documented = {"id", "user_id", "user_email", "action", "resource", "details", "timestamp", "success"}
    assert entry.keys() == documented | {"ip_address", "tenant_id"}
    assert (entry["ip_address"], entry["tenant_id"]) == ("192.168.1.1", "default")
    assert re.fullmatch(MICROS, entry["timestamp"])
    assert "0" * 40 not in str(entry)
    assert [one["user_email"] for one in theirs] == ["other@example.com"]


def test_two_toggles_at_once_may_both_have_read_the_same(tmp_path: Path) -> None:
    with reference_server(db=str(tmp_path / "server.db"), quirks=QUIRKS) as server, client(server, server.token) as web:
        web.get("/policies")
        has_read = threading.Semaphore(0)

        def note(_: Any, __: Any, statement: str, *___: Any) -> None:
            if statement.startswith("SELECT neosc_policies"):
                has_read.release()

        sa.event.listen(sa.Engine, "after_cursor_execute", note)
        try:
            with ThreadPoolExecutor(2) as pool:
                with server.store.write():  # nobody can write before both have read
                    waiting = [pool.submit(web.patch, MFA) for _ in range(2)]
                    assert all(has_read.acquire(timeout=30) for _ in waiting)
                replies = [each.result().json()["enabled"] for each in waiting]
        finally:
            sa.event.remove(sa.Engine, "after_cursor_execute", note)

        assert replies == [False, False]
        assert web.get("/policies").json()[0]["enabled"] is False
        assert len(web.get("/audit-logs").json()) == 2


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [("POST", "/policies", "GET"), ("GET", MFA, "PATCH"), ("PUT", MFA, "PATCH"), ("DELETE", MFA, "PATCH")],
)
def test_there_is_nothing_but_list_and_toggle(web: httpx.Client, method: str, path: str, allowed: str) -> None:
    reply = web.request(method, path, json={"name": "x", "type": "access"})

    assert (reply.status_code, reply.json(), reply.headers["allow"]) == (
        405,
        {"detail": "Method Not Allowed"},
        allowed,
    )


def test_a_slash_at_the_end_is_a_redirect(web: httpx.Client) -> None:
    reply = web.get("/policies/")

    assert (reply.status_code, httpx.URL(reply.headers["location"]).path) == (307, "/api/policies")


def test_a_login_ends_with_the_process_that_gave_its_token(tmp_path: Path) -> None:
    db = str(tmp_path / "server.db")
    login = {"email": "person@example.com", "password": "a long password"}
    with reference_server(db=db, quirks=QUIRKS) as server:
        server.store.add_user(login["email"], "user", password=login["password"])
        given = httpx.post(f"{server.neosc_url}/auth/login", json=login, trust_env=False).json()
        with client(server, given["access_token"]) as person:
            before = person.get("/policies").status_code

    with reference_server(db=db, quirks=QUIRKS) as server, client(server, given["access_token"]) as person:
        after = person.get("/policies")

    assert (before, after.status_code, after.json()) == (200, 401, {"detail": "Invalid token"})


def test_what_a_login_lacks_is_told_in_a_list(web: httpx.Client) -> None:
    reply = web.post("/auth/login", json={"email": "a@example.com"})

    assert reply.status_code == 422
    assert [(each["type"], each["loc"]) for each in reply.json()["detail"]] == [("missing", ["body", "password"])]


def test_the_program_switches_a_policy_there_and_says_where_the_commit_is(
    server: RunningServer, tmp_path: Path
) -> None:
    files = neosc_defaults(**{"pol-session-recording": {"enabled": False}})
    repo = make_repo(tmp_path, {"reconciler.yaml": config_text(neosc=neosc_target(server.neosc_url)), **files})

    run = program_in(repo, token=server.token).ok("apply", "--yes", "--json").json()

    outcomes = {outcome["key"]: outcome for outcome in run["outcomes"]}
    switched = outcomes["pol-session-recording"]
    assert (switched["status"], switched["annotation"]["strength"]) == ("applied", "ledger-only")
    assert [request.method for request in server.mutations] == ["PATCH"]
