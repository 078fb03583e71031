"""Who is asking: from the `Authorization` header of a request to a caller with a role, or a refusal.

A `user` reads everything and changes nothing; an `admin` does both. Each route says which it wants.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from reconciler.core.model import Json
from reconciler.server.bodies import decode_object
from reconciler.server.replies import ApiError
from reconciler.server.store import Caller, Store

_CHALLENGE = {"WWW-Authenticate": "Bearer"}


@dataclass(frozen=True, slots=True)
class Asked:
    """One request whose caller is known, with what its handler needs."""

    caller: Caller
    store: Store
    request: Request

    def body(self) -> dict[str, Json]:
        """The JSON object that was sent; 400 or 415 when there is none."""
        return read_body(self.request)


def read_body(request: Request) -> dict[str, Json]:
    """The JSON object in the body, which `edge.py` has read up to its cap."""
    data: bytes = request.scope["reconciler.body"]
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if data and kind != "application/json":
        raise ApiError(415, "Content-Type must be application/json")
    return decode_object(data)


def find_caller(request: Request) -> Asked:
    """The caller of a request with one valid token; 401 in the documents' words otherwise.

    The scheme is `Bearer` to the letter, as on the real servers (systems.md 1.1, 1.2).
    """
    headers = request.headers.getlist("authorization")
    scheme, _, token = headers[0].partition(" ") if len(headers) == 1 else ("", "", "")
    if scheme != "Bearer" or not token:
        raise ApiError(401, "Not authenticated", _CHALLENGE)
    store: Store = request.app.state.store
    caller = store.find_caller(token)
    if caller is None:
        raise ApiError(401, "Invalid token", _CHALLENGE)
    return Asked(caller, store, request)


def find_admin(request: Request) -> Asked:
    """As `find_caller`, and 403 unless the token's role is admin."""
    asked = find_caller(request)
    if asked.caller.role != "admin":
        raise ApiError(403, "Admin access required")
    return asked


User = Annotated[Asked, Depends(find_caller)]
Admin = Annotated[Asked, Depends(find_admin)]
