"""Who is asking: from a token or a session to a caller with a role and scopes, or a refusal.

A `user` reads everything and changes nothing; an `admin` does both, as far as the token's scopes go. Each route says
which it wants by the type of its parameter.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from reconciler.core.model import Json
from reconciler.server.accounts.sessions import COOKIE, find_session
from reconciler.server.bodies import decode_object
from reconciler.server.limits import Limiter, note_place
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
    """The caller of a request with one valid token, whatever it is for; 401 in the documents' words otherwise.

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
    _take_place(request, caller.credential)
    return Asked(caller, store, request)


def find_reader(request: Request) -> Asked:
    """A caller whose token may read."""
    return _with_scope(find_caller(request), "read")


def find_viewer(request: Request) -> Asked:
    """As `find_reader`; a request without `Authorization` may show the page's session instead. Only for GET."""
    if request.headers.getlist("authorization") or request.method not in ("GET", "HEAD"):
        return find_reader(request)
    store: Store = request.app.state.store
    session = find_session(store, request.cookies.get(COOKIE))
    if session is None:
        raise ApiError(401, "Not authenticated", _CHALLENGE)
    _take_place(request, session.caller.credential)
    return Asked(session.caller, store, request)


def find_evaluator(request: Request) -> Asked:
    """A caller whose token may ask for decisions."""
    return _with_scope(find_caller(request), "evaluate")


def find_admin(request: Request) -> Asked:
    """A caller whose token's role is admin, and who may write; 403 otherwise."""
    return _with_scope(_as_admin(find_caller(request)), "write")


def find_manager(request: Request) -> Asked:
    """A caller whose token's role is admin, and who may manage users and tokens; 403 otherwise."""
    return _with_scope(_as_admin(find_caller(request)), "accounts")


def _as_admin(asked: Asked) -> Asked:
    if asked.caller.role != "admin":
        raise ApiError(403, "Admin access required")
    return asked


def _with_scope(asked: Asked, scope: str) -> Asked:
    if scope not in asked.caller.scopes:
        raise ApiError(403, f"The token lacks the scope: {scope}")
    return asked


def _take_place(request: Request, key: str) -> None:
    limiter: Limiter | None = request.app.state.limiter
    if limiter is None:
        return
    place = limiter.take(key)
    note_place(request.scope, place)
    if not place.is_taken:
        raise ApiError(429, "Rate limit exceeded. Please try again later.")


User = Annotated[Asked, Depends(find_reader)]
Viewer = Annotated[Asked, Depends(find_viewer)]
Evaluator = Annotated[Asked, Depends(find_evaluator)]
Admin = Annotated[Asked, Depends(find_admin)]
Manager = Annotated[Asked, Depends(find_manager)]
