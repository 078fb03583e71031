"""Lists in parts: `limit` and `cursor`, which stay true while others write; without them a list is whole.

A cursor is the place in the list's own order that was reached. Policies are never put in before it, and one that is
deleted moves nobody across it, so no policy is seen twice and none that stays is missed. A part carries the tag of the
whole list: parts with one tag are one state of it.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa
from fastapi import Request

from reconciler.core.model import Json
from reconciler.server.preconditions.etags import make_etag
from reconciler.server.replies import ApiError

MAX_LIMIT: Final = 1000
_KNOWN: Final = ("cursor", "etags", "limit")


#: What every list of policies says of the server, so that nobody has to find out by writing.
ANNOUNCED: Final[Mapping[str, str]] = {
    "X-Capabilities": "cursors, etags, events, fencing, idempotency-keys, set-toggle"
}
NEXT: Final = "X-Next-Cursor"


@dataclass(frozen=True, slots=True)
class Page:
    """What of a list was asked for: at most `limit` entries (None: all) beyond the place `after`; with tags or not."""

    limit: int | None
    after: int
    with_etags: bool

    def show(self, policy: dict[str, Json]) -> dict[str, Json]:
        """A policy as it stands in the list."""
        return {**policy, "etag": make_etag(policy)} if self.with_etags else policy


@dataclass(frozen=True, slots=True)
class Part:
    """The rows of a page, how many there are in all, the cursor of the next page (None at the end), the list's tag."""

    rows: Sequence[Any]
    total: int
    next: str | None
    tag: str | None = None

    @property
    def headers(self) -> dict[str, str]:
        shown = {NEXT: self.next, "ETag": self.tag}
        return {**ANNOUNCED, **{name: value for name, value in shown.items() if value is not None}}


def read_page(request: Request, status: int) -> Page:
    """The page a request asks for; *status* for a parameter that cannot be read. Others are left alone, as ever."""
    given: dict[str, str] = {}
    for name, value in request.query_params.multi_items():
        if name in _KNOWN and name in given:
            raise ApiError(status, f"{name} stands twice")
        given[name] = value
    limit, cursor, etags = (given.get(name) for name in ("limit", "cursor", "etags"))
    if limit is not None and not (re.fullmatch("[1-9][0-9]{0,3}", limit) and int(limit) <= MAX_LIMIT):
        raise ApiError(status, f"limit must be a whole number from 1 to {MAX_LIMIT}")
    if etags not in (None, "true", "false"):
        raise ApiError(status, "etags must be true or false")
    if cursor is not None and limit is None:
        limit = str(MAX_LIMIT)
    after = 0 if cursor is None else _read_cursor(cursor, status)
    return Page(None if limit is None else int(limit), after, etags == "true")


def read_part(
    connection: sa.Connection,
    query: sa.Select[Any],
    place: sa.Column[int],
    page: Page,
    make_tag: Callable[[sa.Connection], str],
) -> Part:
    """The rows of *query* on *page*; *place* is the column that puts them in order and never changes."""
    ordered = query.order_by(place)
    if page.limit is None:
        rows = connection.execute(ordered).all()
        return Part(rows, len(rows), None)
    total = connection.execute(sa.select(sa.func.count()).select_from(query.subquery())).scalar_one()
    rows = connection.execute(ordered.where(place > page.after).limit(page.limit + 1)).all()
    is_last = len(rows) <= page.limit
    rows = rows[: page.limit]
    after = None if is_last else make_cursor(getattr(rows[-1], place.name))
    return Part(rows, total, after, make_tag(connection))


def make_cursor(place: int) -> str:
    """The cursor of whoever has read up to *place*."""
    return base64.urlsafe_b64encode(f"seq:{place}".encode()).decode().rstrip("=")


def _read_cursor(cursor: str, status: int) -> int:
    try:
        padded = cursor[:64] + "=" * (-len(cursor[:64]) % 4)
        found = re.fullmatch(rb"seq:([0-9]{1,15})", base64.b64decode(padded, altchars=b"-_", validate=True))
    except (binascii.Error, ValueError):
        found = None
    if found is None:
        raise ApiError(status, "cursor must be one that this list gave")
    return int(found[1])
