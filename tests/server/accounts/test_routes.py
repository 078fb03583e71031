"""Users and tokens over the API: what admins may do with them, and what comes of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pyotp
import pytest
import sqlalchemy as sa

from reconciler.server.accounts.factors import confirm_enrolment, start_enrolment
from reconciler.server.accounts.sessions import find_session, open_session
from reconciler.server.credentials import hash_token
from reconciler.server.tables import metadata
from tests.support.servers import RunningServer

PASSWORD = "correct horse battery"


@pytest.fixture
def admin(server: RunningServer) -> Iterator[httpx.Client]:
    yield from client(server, server.token)


def client(server: RunningServer, token: str) -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Bearer {token}"}
    with httpx.Client(base_url=f"{server.url}/v1/admin", headers=headers, trust_env=False, verify=False) as web:
        yield web


def dump(server: RunningServer) -> dict[str, list[Any]]:
    with server.store.read() as connection:
        return {
            table.name: sorted(map(repr, connection.execute(sa.select(table)))) for table in metadata.tables.values()
        }


def status(server: RunningServer, token: str) -> int:
    headers = {"Authorization": f"Bearer {token}"}
    return httpx.get(f"{server.neosc_url}/policies", headers=headers, trust_env=False, verify=False).status_code


def log_in(server: RunningServer, email: str, password: str) -> httpx.Response:
    login = {"email": email, "password": password}
    return httpx.post(f"{server.neosc_url}/auth/login", json=login, trust_env=False, verify=False)


def trail(server: RunningServer) -> list[tuple[str, str]]:
    """Action and details of every entry, oldest first."""
    entries = metadata.tables["audit_entries"]
    with server.store.read() as connection:
        rows = connection.execute(sa.select(entries.c.action, entries.c.details).order_by(entries.c.seq))
        return [(row.action, row.details) for row in rows]


# -------------------------------------------------------------------------------------------------- users


def test_a_user_that_is_made_can_log_in(server: RunningServer, admin: httpx.Client) -> None:
    body = {"email": "New@Example.com", "role": "user", "name": "New", "password": PASSWORD}

    made = admin.post("/users", json=body)

    user = made.json()["user"]
    assert made.status_code == 201
    assert {key: user[key] for key in user if key not in ("id", "created_at")} == {
        "email": "new@example.com",
        "name": "New",
        "organization": "default",
        "role": "user",
        "mfa_enabled": False,
        "has_password": True,
    }
    assert log_in(server, "new@example.com", PASSWORD).status_code == 200
    assert ("create_user", "User created with role user") in trail(server)
    assert PASSWORD not in str(dump(server))


def test_the_list_has_everybody_and_no_secret(server: RunningServer, admin: httpx.Client) -> None:
    admin.post("/users", json={"email": "new@example.com", "role": "user", "password": PASSWORD})

    reply = admin.get("/users")

    assert reply.json()["total"] == len(reply.json()["users"]) == int(reply.headers["x-total-count"]) == 2
    assert {user["email"] for user in reply.json()["users"]} == {"gitops@example.com", "new@example.com"}
    assert "scrypt" not in reply.text


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ({"role": "user"}, "email is required"),
        ({"email": "a@example.com"}, "role is required"),
        ({"email": "a@example.com", "role": "owner"}, "role must be one of admin, user"),
        ({"email": "a", "role": "user"}, "email must be an address like name@example.com"),
        ({"email": "a@b@c", "role": "user"}, "email must be an address like name@example.com"),
        ({"email": "a b@c", "role": "user"}, "email must be an address like name@example.com"),
        ({"email": "a\u202e@c", "role": "user"}, "email must be an address like name@example.com"),
        ({"email": "a@" + "c" * 254, "role": "user"}, "email must be an address like name@example.com"),
        (
            {"email": "a@c", "role": "user", "password": "eleven chrs"},
            "password must be a string of 12 to 1024 characters",
        ),
        ({"email": "a@c", "role": "user", "organization": "x"}, "Unknown field: organization"),
    ],
)
def test_a_user_that_will_not_do_is_400_and_nobody_is_made(
    server: RunningServer, admin: httpx.Client, body: dict[str, Any], sentence: str
) -> None:
    before = dump(server)

    reply = admin.post("/users", json=body)

    assert (reply.status_code, reply.json()) == (400, {"error": sentence})
    assert dump(server) == before


def test_an_address_is_one_users_whatever_its_capitals(server: RunningServer, admin: httpx.Client) -> None:
    reply = admin.post("/users", json={"email": "GITOPS@example.com", "role": "user"})

    assert (reply.status_code, reply.json()) == (409, {"error": "A user with this email already exists"})


def test_a_password_that_is_changed_ends_sessions(server: RunningServer, admin: httpx.Client) -> None:
    user_id = server.store.add_user("a@example.com", "user", password=PASSWORD)
    cookie = open_session(server.store, user_id)

    reply = admin.patch(f"/users/{user_id}", json={"password": "another staple"})

    assert reply.status_code == 200
    assert find_session(server.store, cookie) is None
    assert log_in(server, "a@example.com", PASSWORD).status_code == 401
    assert log_in(server, "a@example.com", "another staple").status_code == 200
    assert ("update_user", "User updated: password") in trail(server)


def test_an_admin_who_becomes_a_user_loses_their_admin_tokens(server: RunningServer, admin: httpx.Client) -> None:
    user_id = server.store.add_user("a@example.com", "admin")
    strong, weak = (server.store.add_token("a@example.com", role) for role in ("admin", "user"))

    reply = admin.patch(f"/users/{user_id}", json={"role": "user", "name": "A"})

    assert (reply.json()["user"]["role"], reply.json()["user"]["name"]) == ("user", "A")
    assert (status(server, strong), status(server, weak)) == (401, 200)
    assert ("update_user", "User updated: name, role") in trail(server)


def test_nothing_changed_ends_no_session(server: RunningServer, admin: httpx.Client) -> None:
    user_id = server.store.add_user("a@example.com", "user")
    cookie = open_session(server.store, user_id)

    admin.patch(f"/users/{user_id}", json={"role": "user"})

    assert find_session(server.store, cookie) is not None
    assert ("update_user", "User updated: nothing") in trail(server)


def test_a_deleted_user_is_gone_with_tokens_and_sessions_and_stays_in_the_trail(
    server: RunningServer, admin: httpx.Client
) -> None:
    user_id = server.store.add_user("a@example.com", "admin", password=PASSWORD)
    token, cookie = server.store.add_token("a@example.com", "admin"), open_session(server.store, user_id)
    log_in(server, "a@example.com", PASSWORD)

    reply = admin.delete(f"/users/{user_id}")

    assert (reply.status_code, reply.json()["user_id"]) == (200, user_id)
    assert status(server, token) == 401
    assert find_session(server.store, cookie) is None
    assert log_in(server, "a@example.com", PASSWORD).status_code == 401
    assert [action for action, _ in trail(server)] == ["login", "delete_user", "login_failed"]


@pytest.mark.parametrize(("method", "body"), [("PATCH", {"role": "user"}), ("DELETE", None)])
def test_nobody_locks_themselves_out(server: RunningServer, admin: httpx.Client, method: str, body: Any) -> None:
    [user] = admin.get("/users").json()["users"]
    before = dump(server)

    reply = admin.request(method, f"/users/{user['id']}", json=body)

    assert reply.status_code == 409
    assert dump(server) == before


def test_a_lost_second_factor_is_removed_with_the_sessions(server: RunningServer, admin: httpx.Client) -> None:
    user_id = server.store.add_user("a@example.com", "user", password=PASSWORD)
    with server.store.write() as connection:
        secret = start_enrolment(connection, server.store, user_id, "a@example.com").secret
        code = pyotp.TOTP(secret).at(int(server.store.seconds()))
        confirm_enrolment(connection, server.store, user_id, code)
    cookie = open_session(server.store, user_id)
    asked = log_in(server, "a@example.com", PASSWORD)

    removed, again = (admin.delete(f"/users/{user_id}/mfa") for _ in range(2))

    assert asked.json() == {"detail": "MFA code required"}
    assert (removed.status_code, removed.json()["user"]["mfa_enabled"]) == (200, False)
    assert again.status_code == 404
    assert find_session(server.store, cookie) is None
    assert log_in(server, "a@example.com", PASSWORD).status_code == 200
    assert ("remove_mfa", "Second factor removed") in trail(server)


# ------------------------------------------------------------------------------------------------- tokens


def test_a_token_is_shown_once_and_works(server: RunningServer, admin: httpx.Client) -> None:
    made = admin.post("/tokens", json={"name": "ci", "scopes": ["read"]})

    token = made.json().pop("token")
    listed = admin.get("/tokens")
    assert made.status_code == 201
    assert made.headers["cache-control"] == "no-store"
    assert (made.json()["name"], made.json()["role"], made.json()["scopes"]) == ("ci", "admin", ["read"])
    assert status(server, token) == 200
    assert token not in listed.text
    assert hash_token(token) not in listed.text
    assert listed.json()["total"] == len(listed.json()["tokens"]) == 2
    assert ("create_token", "Token created for gitops@example.com: admin, read") in trail(server)


def test_a_token_that_is_taken_back_is_401_at_once(server: RunningServer, admin: httpx.Client) -> None:
    made = admin.post("/tokens", json={"name": "ci"}).json()

    reply = admin.delete(f"/tokens/{made['id']}")

    assert (reply.status_code, reply.json()["token_id"]) == (200, made["id"])
    assert status(server, made["token"]) == 401
    assert admin.delete(f"/tokens/{made['id']}").status_code == 404
    assert ("revoke_token", "Token of gitops@example.com revoked") in trail(server)


def test_a_token_for_somebody_else_is_no_stronger_than_they_are(server: RunningServer, admin: httpx.Client) -> None:
    server.store.add_user("reader@example.com", "user")

    usual = admin.post("/tokens", json={"name": "r", "email": "Reader@example.com"})
    gateway = admin.post("/tokens", json={"name": "g", "email": "reader@example.com", "scopes": ["evaluate"]})
    too_strong = admin.post("/tokens", json={"name": "x", "email": "reader@example.com", "role": "admin"})
    too_far = admin.post("/tokens", json={"name": "x", "email": "reader@example.com", "scopes": ["write"]})

    assert (usual.json()["role"], usual.json()["scopes"]) == ("user", ["read"])
    assert (gateway.json()["role"], gateway.json()["scopes"]) == ("user", ["evaluate"])
    assert (too_strong.status_code, too_strong.json()) == (400, {"error": "role is above the user's"})
    assert (too_far.status_code, too_far.json()) == (400, {"error": "scopes: write is above the role user"})


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ({}, "name is required"),
        ({"name": ""}, "name must be a string of 1 to 255 characters"),
        ({"name": "x", "scopes": []}, "scopes must be a list of accounts, evaluate, read, write"),
        ({"name": "x", "scopes": ["root"]}, "scopes must be a list of accounts, evaluate, read, write"),
        ({"name": "x", "scopes": "read"}, "scopes must be a list of accounts, evaluate, read, write"),
        ({"name": "x", "expires_in": 0}, "expires_in must be a whole number of seconds from 1 to 316224000"),
        ({"name": "x", "expires_in": True}, "expires_in must be a whole number of seconds from 1 to 316224000"),
        ({"name": "x", "expires_in": 1.5}, "expires_in must be a whole number of seconds from 1 to 316224000"),
        ({"name": "x", "hash": "y"}, "Unknown field: hash"),
    ],
)
def test_a_token_that_will_not_do_is_400_and_none_is_made(
    server: RunningServer, admin: httpx.Client, body: dict[str, Any], sentence: str
) -> None:
    before = dump(server)

    reply = admin.post("/tokens", json=body)

    assert (reply.status_code, reply.json()) == (400, {"error": sentence})
    assert dump(server) == before


def test_a_token_for_nobody_is_404(server: RunningServer, admin: httpx.Client) -> None:
    reply = admin.post("/tokens", json={"name": "x", "email": "nobody@example.com"})

    assert (reply.status_code, reply.json()) == (404, {"error": "User not found"})


def test_a_token_with_an_end_says_when(server: RunningServer, admin: httpx.Client) -> None:
    made = admin.post("/tokens", json={"name": "x", "expires_in": 3600}).json()

    assert 3590 < made["expires_at"] - server.store.seconds() <= 3600
    assert status(server, made["token"]) == 200
