"""Who may use a database that is new: one admin, with a token for programs and a password for the page."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa

from reconciler.errors import ConfigError
from reconciler.server.accounts.people import change_user, find_user_id, insert_user
from reconciler.server.accounts.tokens import insert_token
from reconciler.server.credentials import (
    MAX_PASSWORD,
    MIN_PASSWORD,
    hash_token,
    is_password,
    make_password,
    make_token,
)
from reconciler.server.store import DEFAULT_ORGANIZATION, Store
from reconciler.server.tables import tokens, users
from reconciler.server.trail.entries import add_own

TOKEN_VARIABLE: Final = "RECONCILER_SERVER_TOKEN"  # noqa: S105 - the variable's name
PASSWORD_VARIABLE: Final = "RECONCILER_SERVER_PASSWORD"  # noqa: S105
OWNER: Final = "admin@localhost"


@dataclass(frozen=True, slots=True)
class FirstSecrets:
    """What was made and has to be shown, once; None where there is nothing new."""

    token: str | None
    password: str | None


def make_first_secrets(store: Store, environ: Mapping[str, str]) -> FirstSecrets:
    """A token and a password of the admin, for a database without tokens; what the environment gives is not shown.

    What it gives counts at every start: the token is added, the password set (which ends sessions, when it is new).
    """
    token, password = _given_token(environ), _given_password(environ)
    is_first = token is None and not store.has_tokens()
    if password is not None:
        _set_password(store, password)
    made = make_token() if is_first else None
    if (wanted := token or made) is not None:
        _add_token(store, wanted)
    if not is_first or password is not None:
        return FirstSecrets(made, None)
    fresh = make_password()
    _set_password(store, fresh)
    return FirstSecrets(made, fresh)


def _add_token(store: Store, token: str) -> None:
    """Store a token of the admin's, with its entry of the trail; one that is known stays as it is."""
    with store.write() as connection:
        if connection.execute(sa.select(tokens.c.id).where(tokens.c.hash == hash_token(token))).first() is not None:
            return
        token_id = insert_token(connection, store, token, _owner_id(connection, store), "admin", lifetime=None)
        _record(connection, store, "create_token", f"token:{token_id}", f"Token created for {OWNER}")


def _set_password(store: Store, password: str) -> None:
    with store.read() as connection:
        stored = connection.execute(sa.select(users.c.password).where(users.c.email == OWNER)).scalar()
    if is_password(password, stored, store.password_cost):
        return
    with store.write() as connection:
        user_id = _owner_id(connection, store)
        change_user(connection, store, user_id, role="admin", password=password)
        _record(connection, store, "change_password", f"user:{user_id}", f"Password set for {OWNER}")


def _owner_id(connection: sa.Connection, store: Store) -> str:
    """The admin's account, made when it is not there yet."""
    user_id = find_user_id(connection, OWNER)
    if user_id is None:
        user_id = insert_user(connection, store, email=OWNER, role="admin", organization=DEFAULT_ORGANIZATION)
        _record(connection, store, "create_user", f"user:{user_id}", "User created with role admin")
    return user_id


def _record(connection: sa.Connection, store: Store, action: str, resource: str, details: str) -> None:
    """Whoever starts the server decides this, and shows no token: the entry is the server's own."""
    said = f"{details}, at the start of the server"
    add_own(connection, store, DEFAULT_ORGANIZATION, action=action, resource=resource, details=said)


def _given_token(environ: Mapping[str, str]) -> str | None:
    given = environ.get(TOKEN_VARIABLE, "").strip()
    if given and not re.fullmatch(r"[A-Za-z0-9._~+/-]{16,512}=*", given):
        raise ConfigError(
            f"{TOKEN_VARIABLE} cannot be a bearer token",
            where="environment",
            fix="give at least 16 letters, digits or ._~+/- without blanks, as from `openssl rand -hex 32`",
        )
    return given or None


def _given_password(environ: Mapping[str, str]) -> str | None:
    given = environ.get(PASSWORD_VARIABLE, "")
    if given and not MIN_PASSWORD <= len(given) <= MAX_PASSWORD:
        raise ConfigError(
            f"{PASSWORD_VARIABLE} is too short or too long",
            where="environment",
            fix=f"give {MIN_PASSWORD} to {MAX_PASSWORD} characters, as from `openssl rand -base64 18`",
        )
    return given or None
