"""ETags of policies, and requests that hold for one state of a policy only (RFC 9110, 8.8.3 and 13.1).

A tag is made of what a reader sees, so it needs no column and no writer can forget to change it. A policy that was
changed and changed back has its old tag again: it is what was read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from fastapi import Request

from reconciler.core.canonical import digest
from reconciler.core.model import Json
from reconciler.server.replies import ApiError

MAX_HEADER: Final = 2000
_TAG: Final = r'(?:W/)?"[\x21\x23-\x7e]*"'
_TAGS: Final = re.compile(rf"{_TAG}(?:[ \t]*,[ \t]*{_TAG})*")


def make_etag(policy: Mapping[str, Json]) -> str:
    """The strong tag of a policy as it is shown."""
    return f'"{digest(dict(policy)).removeprefix("sha256:")[:32]}"'


def etag_headers(policy: Mapping[str, Json]) -> dict[str, str]:
    return {"ETag": make_etag(policy)}


def check_match(request: Request, policy: Mapping[str, Json]) -> None:
    """Refuse with 412 when `If-Match` names another state than *policy* is in, or `If-None-Match` this one.

    A weak tag matches nothing here, since a writer must have read every byte; `*` matches whatever is there.
    """
    here = make_etag(policy)
    wanted = _tags(request, "if-match")
    if wanted is not None and "*" not in wanted and here not in wanted:
        raise ApiError(412, "Policy has changed since it was read", {"ETag": here})
    unwanted = _tags(request, "if-none-match")
    if unwanted is not None and ("*" in unwanted or here in unwanted):
        raise ApiError(412, "Policy is there as it must not be", {"ETag": here})


def taken_status(request: Request) -> int:
    """What a create answers when the policy is there already: 409, or 412 under `If-None-Match: *`.

    `If-Match` is 412 at once, since it cannot hold for what is not there yet.
    """
    if _tags(request, "if-match") is not None:
        raise ApiError(412, "There is no policy yet that If-Match could hold for")
    unwanted = _tags(request, "if-none-match")
    if unwanted is not None and unwanted != ["*"]:
        raise ApiError(400, "If-None-Match of a create must be *")
    return 409 if unwanted is None else 412


def _tags(request: Request, header: str) -> list[str] | None:
    """The tags of a header, `["*"]` for any; None when it was not sent, 400 when it holds something else."""
    values = request.headers.getlist(header)
    if not values:
        return None
    text = ", ".join(values).strip()
    if text == "*":
        return ["*"]
    if len(text) > MAX_HEADER or not _TAGS.fullmatch(text):
        raise ApiError(400, f"{'If-Match' if header == 'if-match' else 'If-None-Match'} must be * or quoted ETags")
    return re.findall(_TAG, text)
