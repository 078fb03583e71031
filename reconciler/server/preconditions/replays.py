"""Idempotency keys: the reply of a mutation, kept in the mutation's own transaction, given again when it is repeated.

Whoever repeats it, a client after a lost reply or a proxy in between, the change happens once. Only what was done is
kept: a refusal changed nothing, so the same key may be tried again.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa
from fastapi import Request
from fastapi.responses import JSONResponse

from reconciler.server.preconditions.tables import idempotency_keys
from reconciler.server.replies import ApiError, reply

HEADER: Final = "Idempotency-Key"
REPLAYED: Final = "Idempotency-Replayed"
KEPT_SECONDS: Final = 24 * 3600.0
_KEY: Final = re.compile(r"[\x21-\x7e]{1,255}")


class Replay(Exception):
    """The request was carried out before; this is what was answered then. Nothing was changed now."""

    def __init__(self, status: int, content: Any, headers: dict[str, str]) -> None:
        super().__init__("carried out before")
        self.response: JSONResponse = reply(content, status, {**headers, REPLAYED: "true"})


@dataclass(frozen=True, slots=True)
class Key:
    """A caller's key, and what it stands for: two requests are the same when the same was asked of the same place."""

    user_id: str
    key: str
    request: str


def read_key(request: Request, user_id: str) -> Key | None:
    """The key a request was sent under; None without one, 400 for one that is none."""
    values = request.headers.getlist(HEADER)
    if not values:
        return None
    if len(values) > 1 or not _KEY.fullmatch(values[0]):
        raise ApiError(400, f"{HEADER} must be 1 to 255 visible ASCII characters")
    body: bytes = request.scope["reconciler.body"]
    asked = [request.method, request.url.path, request.url.query, request.headers.getlist("prefer")]
    hashed = hashlib.sha256(json.dumps(asked).encode() + b"\n" + body).hexdigest()
    return Key(user_id, values[0], hashed)


def check_key(connection: sa.Connection, key: Key, now: float) -> None:
    """Raise `Replay` when *key* was used for this request, 422 when for another one."""
    connection.execute(idempotency_keys.delete().where(idempotency_keys.c.stored_at <= now - KEPT_SECONDS))
    row = connection.execute(
        sa.select(idempotency_keys).where(idempotency_keys.c.user_id == key.user_id, idempotency_keys.c.key == key.key)
    ).first()
    if row is None:
        return
    if row.request != key.request:
        raise ApiError(422, f"{HEADER} was used for another request")
    raise Replay(row.status, row.content, row.headers)


def keep_reply(
    connection: sa.Connection, key: Key, now: float, status: int, content: Any, headers: dict[str, str]
) -> None:
    """Store what is about to be answered."""
    connection.execute(
        idempotency_keys.insert().values(
            user_id=key.user_id,
            key=key.key,
            request=key.request,
            status=status,
            headers=headers,
            content=content,
            stored_at=now,
        )
    )
