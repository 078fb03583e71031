"""Logging in as NeoSC documents it, and what admins do with users and tokens, in OpenA2A's shape of errors."""

from __future__ import annotations

import re
from typing import Any, Final

import sqlalchemy as sa
from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from reconciler.core.model import Json
from reconciler.server import bodies
from reconciler.server.accounts import people, tokens
from reconciler.server.accounts.factors import remove_factor
from reconciler.server.accounts.login import Account, log_in
from reconciler.server.accounts.scopes import SCOPES, choose_scopes
from reconciler.server.accounts.sessions import close_sessions
from reconciler.server.auth import Asked, Manager, read_body
from reconciler.server.credentials import MAX_PASSWORD, MIN_PASSWORD, make_token
from reconciler.server.replies import ApiError, list_reply, reply
from reconciler.server.trail.entries import SERVER, record

LOGIN_LIFETIME: Final = 24 * 3600.0
#: Ten years: a number of seconds that any clock can add to now.
MAX_LIFETIME: Final = 10 * 366 * 24 * 3600

#: An address is told apart from a name by its one @; that a letter arrives there is not ours to know. Blanks around it
#: go.
EMAIL: Final = re.compile(" *[!-?A-~]+@[!-?A-~]+ *")

_NEOSC: Final = "neosc"
_LOGIN: Final[dict[str, bodies.Check]] = {
    "email": bodies.text(255),
    "password": bodies.text(MAX_PASSWORD),
    "mfa_code": bodies.text(64),
}


def _password(value: Json) -> str | None:
    is_good = isinstance(value, str) and MIN_PASSWORD <= len(value) <= MAX_PASSWORD
    return None if is_good else f"a string of {MIN_PASSWORD} to {MAX_PASSWORD} characters"


def _email(value: Json) -> str | None:
    """ASCII only: of two addresses that look the same, one would be somebody else's."""
    is_good = isinstance(value, str) and len(value) <= 255 and EMAIL.fullmatch(value)
    return None if is_good else "an address like name@example.com"


def _lifetime(value: Json) -> str | None:
    is_good = bodies.integer(value) is None and 1 <= bodies.whole(value) <= MAX_LIFETIME
    return None if is_good else f"a whole number of seconds from 1 to {MAX_LIFETIME}"


_USER: Final[dict[str, bodies.Check]] = {
    "email": _email,
    "name": bodies.text(255, empty=False),
    "role": bodies.one_of(*people.ROLES),
    "password": _password,
}
_CHANGE: Final = {key: check for key, check in _USER.items() if key != "email"}
_TOKEN: Final[dict[str, bodies.Check]] = {
    "name": bodies.text(255, empty=False),
    "email": bodies.text(255),
    "role": bodies.one_of(*people.ROLES),
    "scopes": lambda value: (
        None
        if bodies.texts(value) is None and isinstance(value, list) and value and set(map(str, value)) <= set(SCOPES)
        else f"a list of {', '.join(SCOPES)}"
    ),
    "expires_in": _lifetime,
}

login_router = APIRouter(prefix="/api")
router = APIRouter(prefix="/v1/admin")


@login_router.post("/auth/login")
def login(request: Request) -> JSONResponse:
    """A token for one day. With a second factor, `mfa_code` has to hold a code; without one it is not looked at."""
    body = read_body(request)
    bodies.check_fields(body, _LOGIN, status=422, required=("email", "password"), nullable=("mfa_code",))
    store = request.app.state.store

    def give_token(connection: sa.Connection, account: Account) -> dict[str, Json]:
        token, who = make_token(), account.caller
        tokens.insert_token(
            connection, store, token, who.user_id, who.role, lifetime=LOGIN_LIFETIME, name="login", scopes=None
        )
        user: dict[str, Json] = {"id": who.user_id, "email": who.email, "name": account.name}
        user |= {"organization": who.organization, "role": who.role, "mfa_enabled": account.mfa_enabled}
        return {"access_token": token, "token_type": "bearer", "user": user}

    email, password, code = str(body["email"]), str(body["password"]), str(body.get("mfa_code") or "")
    given = log_in(request, store, email=email, password=password, code=code, system=_NEOSC, finish=give_token)
    return reply(given)


# -------------------------------------------------------------------------------------------------- users


@router.get("/users")
def list_users(asked: Manager) -> JSONResponse:
    with asked.store.read() as connection:
        found = people.list_users(connection, asked.caller.organization)
    return list_reply({"users": found, "total": len(found)}, len(found))


@router.post("/users")
def create_user(asked: Manager) -> JSONResponse:
    """Make an account in the caller's organization. Without a password it cannot log in, only have tokens."""
    body = asked.body()
    bodies.check_fields(body, _USER, status=400, required=("email", "role"), nullable=("name", "password"))
    email, role, name = str(body["email"]), str(body["role"]), body.get("name")
    with asked.store.write() as connection:
        if people.find_user_id(connection, email) is not None:
            raise ApiError(409, "A user with this email already exists")
        user_id = people.insert_user(
            connection,
            asked.store,
            email=email,
            role=role,
            organization=asked.caller.organization,
            name=None if name is None else str(name),
        )
        if body.get("password") is not None:
            people.change_user(connection, asked.store, user_id, password=str(body["password"]))
        _record(connection, asked, "create_user", f"user:{user_id}", f"User created with role {role}")
        made = _find_user(connection, asked, user_id)
    return reply({"user": made}, 201)


@router.patch("/users/{user_id}")
def update_user(user_id: str, asked: Manager) -> JSONResponse:
    """Change name, role or password. A new role or password ends the account's sessions."""
    body = asked.body()
    bodies.check_fields(body, _CHANGE, status=400)
    values = {key: str(value) for key, value in body.items()}
    with asked.store.write() as connection:
        before = _find_user(connection, asked, user_id)
        if user_id == asked.caller.user_id and values.get("role", before["role"]) != before["role"]:
            raise ApiError(409, "Nobody changes their own role")
        changed = {key: value for key, value in values.items() if key == "password" or value != before[key]}
        if changed:
            people.change_user(connection, asked.store, user_id, **changed)
        details = f"User updated: {', '.join(sorted(changed)) or 'nothing'}"
        _record(connection, asked, "update_user", f"user:{user_id}", details)
        after = _find_user(connection, asked, user_id)
    return reply({"user": after})


@router.delete("/users/{user_id}")
def delete_user(user_id: str, asked: Manager) -> JSONResponse:
    """Remove an account with its tokens and sessions. One's own stays, so there is always an admin left."""
    with asked.store.write() as connection:
        _find_user(connection, asked, user_id)
        if user_id == asked.caller.user_id:
            raise ApiError(409, "Nobody deletes themselves")
        people.remove_user(connection, user_id)
        _record(connection, asked, "delete_user", f"user:{user_id}", "User deleted")
    return reply({"message": "User deleted successfully", "user_id": user_id})


@router.delete("/users/{user_id}/mfa")
def delete_user_mfa(user_id: str, asked: Manager) -> JSONResponse:
    """Remove the second factor of somebody who lost it, with their sessions; 404 when there is none."""
    with asked.store.write() as connection:
        _find_user(connection, asked, user_id)
        if not remove_factor(connection, user_id):
            raise ApiError(404, "No second factor is set up")
        close_sessions(connection, user_id)
        _record(connection, asked, "remove_mfa", f"user:{user_id}", "Second factor removed")
        after = _find_user(connection, asked, user_id)
    return reply({"user": after})


# ------------------------------------------------------------------------------------------------- tokens


@router.get("/tokens")
def list_tokens(asked: Manager) -> JSONResponse:
    with asked.store.read() as connection:
        found = tokens.list_tokens(connection, asked.caller.organization, asked.store.seconds())
    return list_reply({"tokens": found, "total": len(found)}, len(found))


@router.post("/tokens")
def create_token(asked: Manager) -> JSONResponse:
    """Make a token for an account of the organization (the caller's own unless `email` says); `token` is shown once.

    Its role is the account's, or less; `expires_in` is in seconds, without it the token never ends.
    """
    body = asked.body()
    bodies.check_fields(
        body, _TOKEN, status=400, required=("name",), nullable=("email", "role", "scopes", "expires_in")
    )
    lifetime, wanted = body.get("expires_in"), body.get("scopes")
    token = make_token()
    with asked.store.write() as connection:
        owner = _find_owner(connection, asked, body.get("email"))
        role = str(body.get("role") or owner["role"])
        if role == "admin" and owner["role"] != "admin":
            raise ApiError(400, "role is above the user's")
        try:
            scopes = choose_scopes(role, None if not isinstance(wanted, list) else [str(each) for each in wanted])
        except ValueError as error:
            raise ApiError(400, f"scopes: {error}") from None
        token_id = tokens.insert_token(
            connection,
            asked.store,
            token,
            owner["id"],
            role,
            lifetime=None if lifetime is None else bodies.whole(lifetime),
            name=str(body["name"]),
            scopes=scopes,
        )
        details = f"Token created for {owner['email']}: {role}, {' '.join(sorted(scopes))}"
        _record(connection, asked, "create_token", f"token:{token_id}", details)
        made = _find_token(connection, asked, token_id)
    return reply({"token": token, **made}, 201)


@router.delete("/tokens/{token_id}")
def delete_token(token_id: str, asked: Manager) -> JSONResponse:
    """Take a token back, one's own too; the next request that shows it is 401."""
    with asked.store.write() as connection:
        found = _find_token(connection, asked, token_id)
        tokens.remove_token(connection, token_id)
        _record(connection, asked, "revoke_token", f"token:{token_id}", f"Token of {found['email']} revoked")
    return reply({"message": "Token revoked successfully", "token_id": token_id})


def _find_user(connection: sa.Connection, asked: Asked, user_id: str) -> dict[str, Any]:
    found = people.list_users(connection, asked.caller.organization, user_id)
    if not found:
        raise ApiError(404, "User not found")
    return dict(found[0])


def _find_owner(connection: sa.Connection, asked: Asked, email: Json) -> dict[str, Any]:
    user_id = asked.caller.user_id if email is None else people.find_user_id(connection, str(email))
    return _find_user(connection, asked, user_id or "")


def _find_token(connection: sa.Connection, asked: Asked, token_id: str) -> dict[str, Any]:
    found = tokens.list_tokens(connection, asked.caller.organization, asked.store.seconds(), token_id)
    if not found:
        raise ApiError(404, "Token not found")
    return dict(found[0])


def _record(connection: sa.Connection, asked: Asked, action: str, resource: str, details: str) -> None:
    record(connection, asked, system=SERVER, action=action, resource=resource, details=details)
