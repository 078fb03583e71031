"""What the address of a page asks for: filters, checked. A filter that is not understood is refused, not ignored."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

from starlette.requests import Request

from reconciler.server.pages.problems import PageError

_TEXT = re.compile(r"[^\0-\x1f\x7f\ud800-\udfff]{1,512}")


def read_filters(request: Request, known: Mapping[str, Collection[str] | None]) -> dict[str, str]:
    """The filters of *known* that were given, each once: one of its choices, or for None any text. Empty is not given.

    Words that forms and links add (`note`, `before`) are others' to read.
    """
    given: dict[str, str] = {}
    for name, value in request.query_params.multi_items():
        if name not in known or not value.strip():
            continue
        choices = known[name]
        if name in given or not _TEXT.fullmatch(value) or (choices is not None and value not in choices):
            raise _refused(name)
        given[name] = value.strip()
    return given


def read_before(request: Request) -> int | None:
    """The number that a part of a list goes on from; None for the newest part."""
    text = request.query_params.get("before", "")
    if text and not re.fullmatch("[0-9]{1,15}", text):
        raise _refused("before")
    return int(text) if text else None


def _refused(name: str) -> PageError:
    return PageError(400, "That address asks for nothing there is", f"The value of {name} cannot be used.")
