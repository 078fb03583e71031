"""Lists in parts: `limit` and `cursor`, which stay true while others write; without them a list is whole.

A cursor is the place in the list's own order that was reached. Policies are never put in before it, and one that is
deleted moves nobody across it, so no policy is seen twice and none that stays is missed.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from typing import Final

from fastapi import Request

from reconciler.server.replies import ApiError

MAX_LIMIT: Final = 1000
_KNOWN: Final = ("cursor", "etags", "limit")


@dataclass(frozen=True, slots=True)
class Page:
    """What of a list was asked for: at most `limit` entries (None: all) beyond the place `after`; with tags or not."""

    limit: int | None
    after: int
    with_etags: bool


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
