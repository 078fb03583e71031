"""`--quirks neosc`: NeoSC's API as the published server really behaves (systems.md 1.1, reliability.md 0.1 N1 to N6).

For tests and rehearsals: nothing here is mended. Lists are cut without a word, the toggle reads and then writes,
anybody who is logged in may use it, its entry comes after the change and names no commit, and nothing is announced.
Not reproduced, because the store forbids it: two first lists at once make the defaults once, and users have a tenant.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa
from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, RedirectResponse

from reconciler.core.model import Json
from reconciler.server.accounts.login import Account, log_in
from reconciler.server.accounts.tokens import insert_token
from reconciler.server.auth import User, read_body
from reconciler.server.credentials import make_token
from reconciler.server.neosc import ALL, SYSTEM, find_policy, make_defaults, record_change, to_wire
from reconciler.server.replies import ApiError, reply
from reconciler.server.store import Store
from reconciler.server.tables import neosc_policies, tokens
from reconciler.server.trail.tables import audit_entries

QUIRK: Final = "neosc"
LIST_CAP: Final = 100
TRAIL_CAP: Final = 500
#: What the server writes into every entry, wherever the request came from.
ADDRESS: Final = "192.168.1.1"
_LOGIN: Final = "login at a published server"
_ENTRY: Final = ("id", "user_id", "user_email", "action", "resource", "details", "timestamp", "success")

router = APIRouter(prefix="/api")


def forget_logins(store: Store) -> None:
    """Tokens of logins live as long as the process that gave them: the next one knows none of them (N5)."""
    with store.write() as connection:
        connection.execute(tokens.delete().where(tokens.c.name == _LOGIN))


@router.post("/auth/login")
def login(request: Request) -> JSONResponse:
    """A token without an end. What is missing is told in a list, as the framework of the real server does."""
    body = read_body(request)
    missing: list[Json] = [
        {"type": "missing", "loc": ["body", key], "msg": "Field required", "input": body}
        for key in ("email", "password")
        if not isinstance(body.get(key), str)
    ]
    if missing:
        return reply({"detail": missing}, 422)
    store: Store = request.app.state.store

    def give_token(connection: sa.Connection, account: Account) -> dict[str, Json]:
        token, who = make_token(), account.caller
        insert_token(connection, store, token, who.user_id, who.role, lifetime=None, name=_LOGIN)
        user: dict[str, Json] = {"id": who.user_id, "email": who.email, "name": account.name}
        user |= {"organization": who.organization, "role": who.role, "mfa_enabled": account.mfa_enabled}
        return {"access_token": token, "token_type": "bearer", "user": user}

    email, password, code = str(body["email"]), str(body["password"]), body.get("mfa_code")
    code = code if isinstance(code, str) else None
    return reply(log_in(request, store, email=email, password=password, code=code, system=SYSTEM, finish=give_token))


@router.get("/policies")
def list_policies(asked: User) -> JSONResponse:
    """The first hundred policies; the list that makes the defaults shows them without `created_at` (N3, N4)."""
    with asked.store.read() as connection:
        rows = connection.execute(_first()).all()
    if rows:
        return reply([_show(to_wire(row)) for row in rows])
    with asked.store.write() as connection:
        if connection.execute(ALL.limit(1)).first() is None:
            make_defaults(connection, asked)
        rows = connection.execute(_first()).all()
    return reply([{key: value for key, value in to_wire(row).items() if key != "created_at"} for row in rows])


@router.get("/policies/")
def redirect_list(request: Request) -> RedirectResponse:
    """307 to the same path without its slash, before anybody is asked for a token."""
    return RedirectResponse(request.url.replace(path="/api/policies"), 307)


@router.patch("/policies/{policy_id}")
def toggle_policy(policy_id: str, asked: User) -> JSONResponse:
    """Read, negate, write, and then write the entry: three steps that others may come between (N1, N2, N5)."""
    with asked.store.read() as connection:
        before = find_policy(connection, policy_id)
    if before is None:
        raise ApiError(404, "Policy not found")
    enabled = not before["enabled"]
    message = f"Policy {'enabled' if enabled else 'disabled'}"
    with asked.store.write() as connection:
        connection.execute(neosc_policies.update().where(neosc_policies.c.id == policy_id).values(enabled=enabled))
    with asked.store.write() as connection:
        record_change(connection, asked, "toggle_policy", policy_id, message)
    return reply({"message": message, "enabled": enabled})


@router.get("/audit-logs")
def list_audit_logs(asked: User) -> JSONResponse:
    """The newest 500 entries of an admin's tenant, or of nobody else's doing; no word about the commit (N3, N6)."""
    caller = asked.caller
    wanted = [audit_entries.c.organization == caller.organization, audit_entries.c.system == SYSTEM]
    if caller.role != "admin":
        wanted.append(audit_entries.c.user_id == caller.user_id)
    newest = sa.select(audit_entries).where(*wanted).order_by(audit_entries.c.seq.desc()).limit(TRAIL_CAP)
    with asked.store.read() as connection:
        rows = connection.execute(newest).all()
    return reply([_show_entry(row) for row in rows])


def _first() -> sa.Select[Any]:
    return ALL.order_by(neosc_policies.c.seq).limit(LIST_CAP)


def _show(policy: dict[str, Json]) -> dict[str, Json]:
    return {**policy, "created_at": _micros(str(policy["created_at"]))}


def _show_entry(row: Any) -> dict[str, Json]:
    entry: dict[str, Json] = {name: getattr(row, name) for name in _ENTRY}
    return {**entry, "timestamp": _micros(row.timestamp), "ip_address": ADDRESS, "tenant_id": row.organization}


def _micros(text: str) -> str:
    """A time as the published server writes it: `2026-11-21T05:26:01.033000+00:00`."""
    return datetime.fromisoformat(text).isoformat(timespec="microseconds")
