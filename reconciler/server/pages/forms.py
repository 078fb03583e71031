"""What a form sent: bytes to checked text fields. Pure, and as distrustful as `bodies.py` is of JSON."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final
from urllib.parse import parse_qsl

from reconciler.server.pages.problems import PageError

_MAX_FIELDS: Final = 40
_MAX_VALUE: Final = 10_000
#: Where a login may lead back to: one of our own pages, never another origin (`//`, a backslash) and never an action.
_OWN_PAGE: Final = re.compile(r"/(?![/\\])[A-Za-z0-9._~%/&=?+-]{0,500}")
_CONTROL: Final = re.compile(r"[\0-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")


def parse_form(data: bytes, content_type: str) -> Mapping[str, str]:
    """The fields of an urlencoded form, each once; 400 for anything else, so that nobody reads it differently."""
    if content_type.partition(";")[0].strip().lower() != "application/x-www-form-urlencoded":
        raise bad_form("The form was not sent as a form.")
    try:
        pairs = parse_qsl(data.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=_MAX_FIELDS)
    except ValueError:
        raise bad_form("The form could not be read.") from None
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise bad_form("A field of the form came twice.")
    for name, value in pairs:
        if len(value) > _MAX_VALUE or _CONTROL.search(value) or _CONTROL.search(name):
            raise bad_form("A field of the form is too long, or has characters that are not text.")
    return fields


def bad_form(sentence: str) -> PageError:
    return PageError(400, "That form could not be used", f"{sentence} Nothing was changed.")


def read_moment(text: str) -> datetime | None:
    """The time of a `datetime-local` field, which the page asks for in UTC; None when it is none."""
    try:
        found = datetime.strptime(text.strip(), "%Y-%m-%dT%H:%M").replace(tzinfo=UTC)
    except ValueError:
        return None
    return found


def own_page(text: str | None) -> str:
    """*text* when it is the address of one of our pages, else the first page."""
    return text if text is not None and _OWN_PAGE.fullmatch(text) else "/"
