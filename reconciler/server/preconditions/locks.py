"""Locks with fencing tokens: taken for a time, renewed, released; at most one holder, and every taking is counted."""

from __future__ import annotations

import math
import re
from typing import Any, Final

import sqlalchemy as sa
from fastapi import APIRouter
from fastapi.responses import JSONResponse

from reconciler.core.model import Json
from reconciler.server import bodies
from reconciler.server.auth import Admin, Asked, User
from reconciler.server.preconditions.changing import changing
from reconciler.server.preconditions.fencing import HEADER, NAME, read_fence
from reconciler.server.preconditions.tables import locks
from reconciler.server.replies import ApiError, reply
from reconciler.server.trail.entries import record

MAX_TTL: Final = 24 * 3600
_TTL: Final = 300

router = APIRouter(prefix="/v1/locks")


def _seconds(value: Json) -> str | None:
    is_ttl = bodies.integer(value) is None and 1 <= bodies.whole(value) <= MAX_TTL
    return None if is_ttl else f"a whole number of seconds from 1 to {MAX_TTL}"


_FIELDS: Final[dict[str, bodies.Check]] = {"holder": bodies.text(255, empty=False), "ttl": _seconds}


@router.get("/{name}")
def get_lock(name: str, asked: User) -> JSONResponse:
    """Who holds it, or held it last."""
    with asked.store.read() as connection:
        row = _find(connection, asked, name)
    if row is None:
        raise ApiError(404, "Lock not found")
    return reply({"lock": _to_wire(row, asked.store.seconds())})


@router.post("/{name}")
def acquire_lock(name: str, asked: Admin) -> JSONResponse:
    """Take a lock that nobody holds, under the next token; 409 while somebody does."""
    if not re.fullmatch(NAME, name):
        raise ApiError(400, f"A lock's name must be like {NAME}")
    body = asked.body()
    bodies.check_fields(body, _FIELDS, status=400)
    with changing(asked) as change:
        now = asked.store.seconds()
        row = _find(change.connection, asked, name)
        if row is not None and _is_held(row, now):
            wait = str(math.ceil(row.expires_at - now))
            raise ApiError(409, f"Lock is held by {row.holder}", {"Retry-After": wait})
        ttl = bodies.whole(body.get("ttl", _TTL))
        values = {
            "token": 1 if row is None else row.token + 1,
            "holder": body.get("holder", asked.caller.email),
            "ttl": ttl,
            "acquired_at": asked.store.timestamp(),
            "expires_at": now + ttl,
        }
        if row is None:
            key = {"organization": asked.caller.organization, "name": name}
            change.connection.execute(locks.insert().values(**key, **values))
        else:
            change.connection.execute(locks.update().where(_is_named(asked, name)).values(**values))
        _record(change.connection, asked, "acquire_lock", name, f"Lock taken under token {values['token']}")
        return change.reply({"lock": _to_wire(_find(change.connection, asked, name), now)}, 201)


@router.put("/{name}")
def renew_lock(name: str, asked: Admin) -> JSONResponse:
    """Begin the time of a lock anew, for its holder; also after it ran out, while nobody else has taken it."""
    body = asked.body()
    bodies.check_fields(body, {"ttl": _seconds}, status=400)
    with changing(asked) as change:
        row = _held(change.connection, asked, name)
        ttl = bodies.whole(body.get("ttl", row.ttl))
        now = asked.store.seconds()
        values = {"ttl": ttl, "expires_at": now + ttl}
        change.connection.execute(locks.update().where(_is_named(asked, name)).values(**values))
        return change.reply({"lock": _to_wire(_find(change.connection, asked, name), now)})


@router.delete("/{name}")
def release_lock(name: str, asked: Admin) -> JSONResponse:
    """Give a lock back. Its token stays the newest until somebody takes the lock again."""
    with changing(asked) as change:
        row = _held(change.connection, asked, name)
        change.connection.execute(locks.update().where(_is_named(asked, name)).values(expires_at=None))
        _record(change.connection, asked, "release_lock", name, f"Lock released under token {row.token}")
        return change.reply({"message": "Lock released", "name": name})


def _held(connection: sa.Connection, asked: Asked, name: str) -> Any:
    """The lock, for a request that shows its token (`changing` has compared it); 400 without, 404 when not held."""
    fence = read_fence(asked)
    if fence is None or fence[0] != name:
        raise ApiError(400, f"{HEADER} must name this lock and its token")
    row = _find(connection, asked, name)
    if row is None or row.expires_at is None:
        raise ApiError(404, "Lock not found")
    return row


def _find(connection: sa.Connection, asked: Asked, name: str) -> Any:
    return connection.execute(sa.select(locks).where(_is_named(asked, name))).first()


def _is_named(asked: Asked, name: str) -> sa.ColumnElement[bool]:
    return sa.and_(locks.c.organization == asked.caller.organization, locks.c.name == name)


def _is_held(row: Any, now: float) -> bool:
    return row.expires_at is not None and row.expires_at > now


def _to_wire(row: Any, now: float) -> dict[str, Json]:
    held = _is_held(row, now)
    shown: dict[str, Json] = {name: getattr(row, name) for name in ("name", "token", "holder", "ttl", "acquired_at")}
    return {**shown, "held": held, "expires_in": max(0, math.ceil(row.expires_at - now)) if held else 0}


def _record(connection: sa.Connection, asked: Asked, action: str, name: str, details: str) -> None:
    record(connection, asked, system="opena2a", action=action, resource=f"lock:{name}", details=details)
