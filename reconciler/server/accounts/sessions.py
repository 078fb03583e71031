"""Sessions of the page: a random cookie, known here by its hash only, that ends when idle and ends in any case.

The CSRF token is the cookie under another hash, so it belongs to one session and is stored nowhere. Which pages need a
session, and what they do without one, is the pages'.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa
from fastapi import Request

from reconciler.server.accounts.scopes import USUAL
from reconciler.server.credentials import hash_token, make_token
from reconciler.server.store import Caller, Store
from reconciler.server.tables import sessions, users

COOKIE: Final = "reconciler_session"
CSRF_HEADER: Final = "X-CSRF-Token"
CSRF_FIELD: Final = "csrf"

IDLE_SECONDS: Final = 30 * 60.0
ABSOLUTE_SECONDS: Final = 12 * 3600.0
#: `seen_at` is written when it is this old, so that reading a page is not a write each time.
_SEEN_EVERY: Final = 60.0
_MAX_USER_AGENT: Final = 255


@dataclass(frozen=True, slots=True)
class Session:
    """An open session: whom it speaks for, and the token its forms carry."""

    id: str
    caller: Caller
    csrf: str
    created_at: str


def open_session(store: Store, user_id: str, *, user_agent: str = "", old_cookie: str | None = None) -> str:
    """As `insert_session`, in a transaction of its own."""
    with store.write() as connection:
        return insert_session(connection, store, user_id, user_agent=user_agent, old_cookie=old_cookie)


def insert_session(
    connection: sa.Connection, store: Store, user_id: str, *, user_agent: str = "", old_cookie: str | None = None
) -> str:
    """Start a session and return its cookie, the only time it is seen.

    A login always makes a new one and closes the *old_cookie*'s, so a cookie planted before is worth nothing after.
    """
    cookie, now = make_token(), store.seconds()
    connection.execute(sessions.delete().where(_is_over(now)))
    if old_cookie is not None:
        connection.execute(sessions.delete().where(sessions.c.hash == hash_token(old_cookie)))
    row = {"hash": hash_token(cookie), "id": store.make_id("ses-"), "user_id": user_id, "created_at": store.timestamp()}
    times = {"seen_at": now, "ends_at": now + ABSOLUTE_SECONDS}
    connection.execute(sessions.insert().values(**row, **times, user_agent=user_agent[:_MAX_USER_AGENT]))
    return cookie


def find_session(store: Store, cookie: str | None) -> Session | None:
    """The open session of *cookie*; None when there is none, or when its time is over. Finding it keeps it awake.

    Role and organization are the account's now, not those of the login.
    """
    if not cookie:
        return None
    now, wanted = store.seconds(), hash_token(cookie)
    shown = (users.c.email, users.c.role, users.c.organization)
    query = sa.select(sessions, *shown).join_from(sessions, users).where(sessions.c.hash == wanted, ~_is_over(now))
    with store.read() as connection:
        row = connection.execute(query).first()
    if row is None or not hmac.compare_digest(row.hash, wanted):
        return None
    if now - row.seen_at > _SEEN_EVERY:
        with store.write() as connection:
            connection.execute(sessions.update().where(sessions.c.hash == wanted).values(seen_at=now))
    caller = Caller(row.user_id, row.email, row.role, row.organization, USUAL[row.role], row.id)
    return Session(row.id, caller, make_csrf(cookie), row.created_at)


def close_session(store: Store, cookie: str) -> None:
    """End the session of *cookie*, if there is one."""
    with store.write() as connection:
        connection.execute(sessions.delete().where(sessions.c.hash == hash_token(cookie)))


def close_session_of(store: Store, user_id: str, session_id: str) -> bool:
    """End one session of this account by the id that `list_sessions` shows; False when it has none of that id."""
    mine = (sessions.c.user_id == user_id, sessions.c.id == session_id)
    with store.write() as connection:
        return connection.execute(sessions.delete().where(*mine)).rowcount == 1


def close_sessions(connection: sa.Connection, user_id: str, *, but: str | None = None) -> None:
    """End every session of this account, but the one with the id *but*: what a changed password or factor calls for."""
    connection.execute(sessions.delete().where(sessions.c.user_id == user_id, sessions.c.id != (but or "")))


def list_sessions(store: Store, user_id: str) -> list[Mapping[str, object]]:
    """The open sessions of this account, newest first: `id`, `user_agent`, `created_at`, `seen_at` (seconds)."""
    shown = (sessions.c.id, sessions.c.user_agent, sessions.c.created_at, sessions.c.seen_at)
    query = sa.select(*shown).where(sessions.c.user_id == user_id, ~_is_over(store.seconds()))
    with store.read() as connection:
        rows = connection.execute(query.order_by(sessions.c.ends_at.desc(), sessions.c.id)).mappings()
        return [dict(row) for row in rows]


def make_csrf(cookie: str) -> str:
    """The token that forms of this cookie's session carry; it says nothing about the cookie."""
    return hashlib.sha256(b"csrf\0" + cookie.encode()).hexdigest()


def is_csrf(session: Session, value: str | None) -> bool:
    """Whether *value*, from header or form, is this session's token."""
    return value is not None and hmac.compare_digest(session.csrf.encode(), value.encode("utf-8", "surrogatepass"))


def is_same_origin(request: Request) -> bool:
    """Whether the request came from a page of ours: `Origin` (else `Referer`) names the host that was asked.

    A browser sends one of them with every form, unless the page has `Referrer-Policy: no-referrer` (then `Origin` is
    `null`; `same-origin` is what a page wants). A request with neither comes from no page, and is refused too.
    """
    own = f"{request.url.scheme}://{request.url.netloc}"
    origin = request.headers.get("origin")
    if origin is not None:
        return origin == own
    referrer = request.headers.get("referer", "")
    return referrer == own or referrer.startswith(f"{own}/")


def set_cookie_header(cookie: str, *, secure: bool) -> str:
    """The `Set-Cookie` of a new session. Without `Max-Age`: a closed browser forgets it.

    *secure* when the page is served over https.
    """
    return f"{COOKIE}={cookie}; Path=/; HttpOnly; SameSite=Strict" + ("; Secure" if secure else "")


def drop_cookie_header(*, secure: bool) -> str:
    """The `Set-Cookie` that makes a browser forget."""
    return f"{COOKIE}=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0" + ("; Secure" if secure else "")


def _is_over(now: float) -> sa.ColumnElement[bool]:
    return sa.or_(sessions.c.ends_at <= now, sessions.c.seen_at <= now - IDLE_SECONDS)
