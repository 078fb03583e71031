"""Who may do what: every route of the server against every kind of token, and logins."""

from __future__ import annotations

import base64
import hashlib
import re
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
import sqlalchemy as sa
from starlette.routing import Route

from reconciler.clock import SystemRandom
from reconciler.server import neosc, opena2a
from reconciler.server.accounts import routes as accounts
from reconciler.server.accounts.sessions import COOKIE, open_session
from reconciler.server.credentials import hash_password, is_outdated, is_password, make_token
from reconciler.server.store import open_store
from reconciler.server.tables import users
from tests.support.servers import CHEAP, RunningServer, reference_server

OPEN = {("POST", "/api/auth/login")}
ROUTES = [
    (method, route.path)
    for router in (neosc.router, neosc.announced, opena2a.router, accounts.router)
    for route in router.routes
    if isinstance(route, Route)
    for method in sorted(route.methods or ())
    if (method, route.path) not in OPEN
]
FOR_ADMINS = [route for route in ROUTES if route[0] != "GET" or route[1] in ("/v1/admin/users", "/v1/admin/tokens")]


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    with reference_server(neosc_crud=True) as running:
        yield running


@pytest.fixture(scope="module")
def web(server: RunningServer) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, trust_env=False) as client:
        yield client


def ask(web: httpx.Client, route: tuple[str, str], authorization: str | None) -> httpx.Response:
    headers = {} if authorization is None else {"Authorization": authorization}
    path = re.sub(r"\{\w+\}", "pol-mfa-required", route[1])
    return web.request(route[0], path, headers=headers, json={"enabled": False})


def state(web: httpx.Client, server: RunningServer) -> list[object]:
    paths = ("/api/policies", "/api/audit-logs", "/v1/admin/security-policies", "/v1/admin/audit-logs")
    return [ask(web, ("GET", path), f"Bearer {server.token}").json() for path in paths]


def error(route: tuple[str, str], sentence: str) -> dict[str, str]:
    return {"error" if route[1].startswith("/v1") else "detail": sentence}


def test_the_table_has_every_route_of_both_systems_and_of_accounts() -> None:
    assert len(ROUTES) == 2 + 3 + 8 + 8


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("authorization", [None, "", "Bearer", "Basic YTpi", "bearer {token}", "{token}"])
def test_without_a_bearer_token_every_route_is_401(
    web: httpx.Client, server: RunningServer, route: tuple[str, str], authorization: str | None
) -> None:
    header = None if authorization is None else authorization.format(token=server.token)

    reply = ask(web, route, header)

    assert (reply.status_code, reply.json()) == (401, error(route, "Not authenticated"))
    assert reply.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("route", ROUTES)
def test_with_a_token_that_is_not_ours_every_route_is_401(
    web: httpx.Client, server: RunningServer, route: tuple[str, str]
) -> None:
    ended = server.store.add_token("late@example.com", "admin", lifetime=-1)

    for token in ("x", make_token(), server.token[:-1], server.token + "x", ended, "' OR 1=1 --"):
        reply = ask(web, route, f"Bearer {token}")

        assert (reply.status_code, reply.json()) == (401, error(route, "Invalid token"))


@pytest.mark.parametrize("route", ROUTES)
def test_a_user_reads_everything_and_changes_nothing(
    web: httpx.Client, server: RunningServer, route: tuple[str, str]
) -> None:
    token = server.store.add_token("reader@example.com", "user")
    before = state(web, server)

    reply = ask(web, route, f"Bearer {token}")

    if route in FOR_ADMINS:
        assert (reply.status_code, reply.json()) == (403, error(route, "Admin access required"))
    else:
        assert reply.status_code in (200, 404)
    assert state(web, server) == before


@pytest.mark.parametrize("route", ROUTES)
def test_an_admin_is_refused_nowhere(web: httpx.Client, server: RunningServer, route: tuple[str, str]) -> None:
    assert ask(web, route, f"Bearer {server.token}").status_code not in (401, 403, 405, 500)


def test_a_login_gives_a_token_that_works_and_an_entry(web: httpx.Client, server: RunningServer) -> None:
    server.store.add_user("Admin@example.com", "admin", password="correct horse")

    reply = web.post("/api/auth/login", json={"email": "admin@Example.com", "password": "correct horse"})

    headers = {"Authorization": f"Bearer {reply.json()['access_token']}"}
    entry = web.get("/api/audit-logs", headers=headers).json()[0]

    account = reply.json()["user"]
    assert reply.status_code == 200
    assert reply.json()["token_type"] == "bearer"
    assert len(reply.json()["access_token"]) == 43
    assert set(account) == {"id", "email", "name", "organization", "role", "mfa_enabled"}
    assert (account["email"], account["role"]) == ("admin@example.com", "admin")
    assert (entry["action"], entry["user_email"]) == ("login", "admin@example.com")


@pytest.mark.parametrize(
    ("email", "password"),
    [("person@example.com", "wrong"), ("nobody@example.com", "right one"), ("gitops@example.com", "")],
)
def test_a_wrong_login_does_not_say_what_was_wrong(
    web: httpx.Client, server: RunningServer, email: str, password: str
) -> None:
    server.store.add_user("person@example.com", "user", password="right one")

    reply = web.post("/api/auth/login", json={"email": email, "password": password})

    assert (reply.status_code, reply.json()) == (401, {"detail": "Invalid credentials"})


def test_a_login_with_wrong_types_is_422(web: httpx.Client) -> None:
    reply = web.post("/api/auth/login", json={"email": "a@example.com", "password": 1})

    assert (reply.status_code, reply.json()) == (422, {"detail": "password must be a string of 0 to 1024 characters"})


def test_no_secret_stands_in_the_database_file(tmp_path: Path) -> None:
    store = open_store(str(tmp_path / "server.db"))
    token = store.add_token("a@example.com", "admin")
    store.add_user("a@example.com", "admin", password="correct horse")
    store.close()

    dump = "\n".join(sqlite_dump(tmp_path / "server.db"))

    assert "a@example.com" in dump
    assert token not in dump
    assert "correct horse" not in dump
    assert (tmp_path / "server.db").stat().st_mode & 0o077 == 0


def test_a_password_is_known_again_and_hashed_anew_each_time() -> None:
    first, second = hash_password("pässword", CHEAP), hash_password("pässword", CHEAP)

    assert first != second
    assert is_password("pässword", first)
    assert not is_password("password", first)
    assert not is_password("", None, CHEAP)


def test_a_password_costs_what_owasp_asks_for() -> None:
    stored = hash_password("pässword")

    assert stored.startswith("scrypt$16384$8$5$")
    assert is_password("pässword", stored)


def test_a_password_is_hashed_anew_when_its_cost_is_not_todays(web: httpx.Client, server: RunningServer) -> None:
    salt = base64.b64encode(b"salt").decode()
    made = base64.b64encode(hashlib.scrypt(b"correct horse", salt=b"salt", n=1024, r=8, p=1)).decode()
    old = f"scrypt$1024$8$1${salt}${made}"
    server.store.add_user("old@example.com", "user")
    with server.store.write() as connection:
        connection.execute(users.update().where(users.c.email == "old@example.com").values(password=old))
    credentials = {"email": "old@example.com", "password": "correct horse"}

    first = web.post("/api/auth/login", json=credentials)

    with server.store.read() as connection:
        stored = connection.execute(sa.select(users.c.password).where(users.c.email == "old@example.com")).scalar_one()
    assert first.status_code == 200
    assert is_outdated(old, CHEAP)
    assert stored != old
    assert not is_outdated(stored, CHEAP)
    assert web.post("/api/auth/login", json=credentials).status_code == 200


@pytest.mark.parametrize("route", ROUTES)
def test_a_token_does_what_its_scopes_say_and_no_more(
    web: httpx.Client, server: RunningServer, route: tuple[str, str]
) -> None:
    needed = "accounts" if route[1].startswith(("/v1/admin/users", "/v1/admin/tokens")) else "write"
    needed = needed if route in FOR_ADMINS else "read"
    others = {"read", "write", "evaluate", "accounts"} - {needed}
    without = server.store.add_token("gitops@example.com", "admin", scopes=others)
    with_it = server.store.add_token("gitops@example.com", "admin", scopes={needed})
    before = state(web, server)

    refused, answered = (ask(web, route, f"Bearer {token}") for token in (without, with_it))

    assert (refused.status_code, refused.json()) == (403, error(route, f"The token lacks the scope: {needed}"))
    assert answered.status_code not in (401, 403)
    assert needed == "write" or state(web, server) == before


def test_a_session_reads_what_a_page_shows_and_changes_nothing_by_itself(server: RunningServer) -> None:
    cookie = open_session(server.store, server.store.add_user("boss@example.com", "admin"))
    asked = [
        ("GET", "/v1/admin/alerts", {}),
        ("GET", "/v1/admin/alerts", {"Authorization": "Bearer x"}),
        ("GET", "/v1/admin/security-policies", {}),
        ("PUT", "/v1/admin/enforcement-settings", {}),
        ("POST", "/v1/admin/alerts/none/acknowledge", {}),
    ]

    with httpx.Client(base_url=server.url, cookies={COOKIE: cookie}, trust_env=False, verify=False) as web:
        codes = [web.request(method, path, headers=headers, json={}).status_code for method, path, headers in asked]

    assert codes == [200, 401, 401, 401, 401]


@dataclass
class Clock:
    time: datetime = field(default_factory=lambda: datetime(2026, 3, 5, 14, 30, tzinfo=UTC))

    def now(self) -> datetime:
        return self.time

    def monotonic(self) -> float:
        return self.time.timestamp()

    def sleep(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)


def test_a_token_with_a_lifetime_ends() -> None:
    clock = Clock()
    store = open_store(clock=clock, random=SystemRandom())
    token = store.add_token("a@example.com", "admin", lifetime=60)

    clock.sleep(59)
    before = store.find_caller(token)
    clock.sleep(1)
    after = store.find_caller(token)
    store.close()

    assert before is not None
    assert after is None


def test_a_token_has_its_own_role_and_leaves_the_accounts(server: RunningServer, web: httpx.Client) -> None:
    server.store.add_user("boss@example.com", "admin", password="correct horse")

    reading = server.store.add_token("boss@example.com", "user")

    account = web.post("/api/auth/login", json={"email": "boss@example.com", "password": "correct horse"}).json()
    assert account["user"]["role"] == "admin"
    assert ask(web, ("PATCH", "/api/policies/none"), f"Bearer {reading}").status_code == 403


def test_a_token_that_is_known_is_not_stored_twice() -> None:
    store = open_store()
    token = store.add_token("a@example.com", "admin")

    again = store.add_token("b@example.com", "user", token=token)

    caller = store.find_caller(again)
    store.close()
    assert caller is not None
    assert (caller.email, caller.role) == ("a@example.com", "admin")


def sqlite_dump(path: Path) -> list[str]:
    connection = sqlite3.connect(path)
    try:
        return list(connection.iterdump())
    finally:
        connection.close()
