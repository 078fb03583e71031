"""A login: email, password and, where there is a second factor, a code. One way in, for the API and the page.

Every login and every failed one is in the trail, the right one in the transaction of what it gives.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeVar

import sqlalchemy as sa
from fastapi import Request

from reconciler.server.accounts.factors import is_enrolled, take_code
from reconciler.server.accounts.scopes import USUAL
from reconciler.server.accounts.throttle import count_attempt, forgive, forgive_last
from reconciler.server.credentials import hash_password, is_outdated, is_password
from reconciler.server.replies import ApiError
from reconciler.server.store import DEFAULT_ORGANIZATION, Caller, Store
from reconciler.server.tables import users
from reconciler.server.trail.entries import add_entry

T = TypeVar("T")

#: In place of an address that is nobody's: people type passwords there, and the trail keeps what it is given.
UNKNOWN: Final = "unknown"


@dataclass(frozen=True, slots=True)
class Account:
    """Who logged in."""

    caller: Caller
    name: str
    mfa_enabled: bool


class CodeRequiredError(ApiError):
    """The password was right; a code is needed, too."""


def log_in(
    request: Request,
    store: Store,
    *,
    email: str,
    password: str,
    code: str | None,
    system: str,
    finish: Callable[[sa.Connection, Account], T],
) -> T:
    """What *finish* makes for the account (a token, a session), in one transaction with the entry of the login.

    401 without saying which of email and password was wrong; `CodeRequiredError`, also 401, when only the code is
    missing; 401 for a wrong code; 429 after too many attempts.
    """
    email = email.strip().lower()
    count_attempt(store, email, address_of(request))
    with store.read() as connection:
        user = connection.execute(sa.select(users).where(users.c.email == email)).first()
    if not is_password(password, None if user is None else user.password, store.password_cost) or user is None:
        caller = _nobody() if user is None else _caller(user)
        with store.write() as connection:
            _record_failure(connection, store, caller, request, system, "wrong email or password")
        raise ApiError(401, "Invalid credentials")
    caller = _caller(user)
    cost = store.password_cost
    renewed = hash_password(password, cost) if is_outdated(user.password, cost) else user.password
    with store.write() as connection:
        account = Account(caller, user.name, is_enrolled(connection, user.id))
        if account.mfa_enabled and not code:
            forgive_last(connection, email)
            refusal: ApiError = CodeRequiredError(401, "MFA code required")
        elif account.mfa_enabled and not take_code(connection, store, user.id, code or ""):
            _record_failure(connection, store, caller, request, system, "wrong MFA code")
            refusal = ApiError(401, "Invalid MFA code")
        else:
            forgive(connection, email)
            same = (users.c.id == user.id, users.c.password == user.password)
            if connection.execute(users.update().where(*same).values(password=renewed)).rowcount == 1:
                add_entry(connection, store, caller, request, system, "login", f"user:{user.id}", "User logged in")
                return finish(connection, account)
            refusal = ApiError(401, "Invalid credentials")  # the password was changed meanwhile
    raise refusal


def _record_failure(
    connection: sa.Connection, store: Store, caller: Caller, request: Request, system: str, why: str
) -> None:
    resource, details = f"user:{caller.user_id}", f"Login failed: {why}"
    add_entry(connection, store, caller, request, system, "login_failed", resource, details, success=False)


def address_of(request: Request) -> str:
    """Where a request came from, as far as the socket knows; what is in front of the server counts as one address."""
    return request.client.host if request.client else ""


def _caller(user: sa.Row[tuple[object, ...]]) -> Caller:
    return Caller(user.id, user.email, user.role, user.organization, USUAL[user.role])


def _nobody() -> Caller:
    return Caller(UNKNOWN, UNKNOWN, "user", DEFAULT_ORGANIZATION, frozenset())
