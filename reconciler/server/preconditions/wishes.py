"""`Prefer: set-enabled=true`: a toggle that sets, on a route whose documented toggle flips (RFC 7240).

A server that does not know the preference flips, as it always did; one that does says so in `Preference-Applied`, so
the same request may go to both, from whoever has just read the policy.
"""

from __future__ import annotations

from typing import Final

from fastapi import Request

from reconciler.server.replies import ApiError

APPLIED: Final = "Preference-Applied"
_NAME: Final = "set-enabled"
_VALUES: Final = {"true": True, "false": False}


def read_wish(request: Request) -> bool | None:
    """The state a toggle is to end in; None when it is to flip, 400 for another value than true or false."""
    wishes = set()
    for member in ",".join(request.headers.getlist("prefer")).split(","):
        name, _, value = member.partition(";")[0].partition("=")
        if name.strip().lower() == _NAME:
            wishes.add(value.strip().strip('"').lower())
    if not wishes:
        return None
    if len(wishes) > 1 or not wishes <= _VALUES.keys():
        raise ApiError(400, f"{_NAME} must be true or false")
    return _VALUES[wishes.pop()]


def wish_headers(wish: bool | None) -> dict[str, str]:
    return {} if wish is None else {APPLIED: f"{_NAME}={str(wish).lower()}"}
