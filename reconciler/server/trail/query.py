"""What a request asks of the trail, from the text of its query to checked values. Everything here distrusts it.

Strict: a parameter that is unknown, given twice or unreadable is refused, because a filter that is silently ignored
shows more than was asked for.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from reconciler.server.replies import ApiError

MAX_LIMIT: Final = 1000
_MAX_TEXT: Final = 512
_INSTANT: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?(Z|[+-][0-9]{2}:[0-9]{2}))?"
)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

FILTERS: Final = ("user", "action", "resource", "policy", "commit", "annotation", "from", "to", "success", "q")
SYSTEMS: Final = ("all", "neosc", "opena2a", "aim", "server")


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which entries of the trail: every field that is set narrows the choice.

    `user` is an id or an address, `commit` the annotation or its first seven characters or more, `text` stands
    anywhere in who, what and details, literally. `since` is in, `until` is out: microseconds since 1970.
    """

    system: str | None = None
    user: str | None = None
    action: str | None = None
    resource: str | None = None
    commit: str | None = None
    since: int | None = None
    until: int | None = None
    success: bool | None = None
    text: str | None = None


@dataclass(frozen=True, slots=True)
class Slice:
    """How much of a list: at most `limit` entries (None: all), older than number `before`."""

    limit: int | None
    before: int | None


def read_parameters(pairs: Iterable[tuple[str, str]], known: Collection[str], status: int) -> Mapping[str, str]:
    """The parameters by name; *status* for one that is not *known*, stands twice, or is no text of a decent length."""
    given: dict[str, str] = {}
    for name, value in pairs:
        if name not in known:
            raise ApiError(status, f"Unknown parameter: {name[:64]}")
        if name in given:
            raise ApiError(status, f"{name} stands twice")
        if not 0 < len(value) <= _MAX_TEXT or "\0" in value:
            raise ApiError(status, f"{name} must be a text of 1 to {_MAX_TEXT} characters")
        given[name] = value
    return given


def read_wanted(given: Mapping[str, str], status: int, *, system: str | None = None) -> Wanted:
    """The entries that the parameters ask for; *system* unless they name another."""
    for one, other in (("commit", "annotation"), ("resource", "policy")):
        if one in given and other in given:
            raise ApiError(status, f"{one} and {other} ask for the same: give one of them")
    named = read_choice(given, "system", SYSTEMS, status)
    commit = given.get("commit", given.get("annotation"))
    if commit is not None and not re.fullmatch("[0-9a-f]{7,40}", commit):
        raise ApiError(status, "commit must be 7 to 40 characters of 0-9 and a-f")
    success = read_choice(given, "success", ("true", "false"), status)
    policy = given.get("policy")
    return Wanted(
        system=system if named is None else None if named == "all" else named,
        user=given.get("user"),
        action=given.get("action"),
        resource=given.get("resource") if policy is None else f"policy:{policy}",
        commit=commit,
        since=read_instant(given, "from", status),
        until=read_instant(given, "to", status),
        success=None if success is None else success == "true",
        text=given.get("q"),
    )


def read_slice(given: Mapping[str, str], wanted: Wanted, status: int) -> Slice:
    """The part of a list that `limit` and `cursor` ask for; a cursor without a limit is for the most there is."""
    limit, cursor = given.get("limit"), given.get("cursor")
    if limit is not None and not (re.fullmatch("[1-9][0-9]{0,3}", limit) and int(limit) <= MAX_LIMIT):
        raise ApiError(status, f"limit must be a whole number from 1 to {MAX_LIMIT}")
    if cursor is None:
        return Slice(None if limit is None else int(limit), None)
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        found = re.fullmatch(rb"([0-9]{1,15}):([0-9a-f]{16})", base64.b64decode(padded, altchars=b"-_", validate=True))
    except (binascii.Error, ValueError):
        found = None
    if found is None or found[2].decode() != _mark(wanted):
        raise ApiError(status, "cursor must be one that this list gave, with the same filters")
    return Slice(MAX_LIMIT if limit is None else int(limit), int(found[1]))


def make_cursor(number: int, wanted: Wanted) -> str:
    """The cursor of whoever has read down to entry *number*. It fits these filters only."""
    return base64.urlsafe_b64encode(f"{number}:{_mark(wanted)}".encode()).decode().rstrip("=")


def read_known(given: Mapping[str, str], status: int) -> tuple[int, str] | None:
    """The row of a chain that somebody kept, number and hash, from `known`; None without it."""
    if "known" not in given:
        return None
    found = re.fullmatch("([1-9][0-9]{0,14}):([0-9a-f]{64})", given["known"])
    if found is None:
        raise ApiError(status, "known must be the number and the hash of a head, as 17:<64 of 0-9 and a-f>")
    return int(found[1]), found[2]


def read_number(given: Mapping[str, str], name: str, least: int, most: int, status: int) -> int | None:
    """A whole number in a range, as `limit` is; None where it is not given."""
    text = given.get(name)
    if text is None:
        return None
    if not re.fullmatch("0|[1-9][0-9]{0,15}", text) or not least <= int(text) <= most:
        raise ApiError(status, f"{name} must be a whole number from {least} to {most}")
    return int(text)


def read_choice(given: Mapping[str, str], name: str, choices: Collection[str], status: int) -> str | None:
    value = given.get(name)
    if value is not None and value not in choices:
        raise ApiError(status, f"{name} must be one of {', '.join(choices)}")
    return value


def read_instant(given: Mapping[str, str], name: str, status: int) -> int | None:
    """A date (its first moment, UTC) or an RFC 3339 time, as microseconds since 1970.

    A `+` that was not escaped arrives as a blank, and is taken for what it was meant to be.
    """
    if name not in given:
        return None
    text = given[name].replace(" ", "+")
    try:
        if not _INSTANT.fullmatch(text):
            raise ValueError(text)
        found = datetime.fromisoformat(text)
        return ((found if found.tzinfo else found.replace(tzinfo=UTC)) - _EPOCH) // timedelta(microseconds=1)
    except (ValueError, OverflowError):
        raise ApiError(status, f"{name} must be a date or a time like 2026-03-05T14:30:00Z") from None


def text_of(instant: int) -> str:
    """The first time of an entry that is not before *instant*, as entries have it: to the millisecond.

    >>> text_of(1), text_of(0)
    ('1970-01-01T00:00:00.001Z', '1970-01-01T00:00:00.000Z')
    """
    milliseconds = max(0, -(-instant // 1000))  # nothing was written before 1970
    try:
        found = _EPOCH + timedelta(milliseconds=milliseconds)
    except OverflowError:
        return "9999-12-31T23:59:59.999Z"
    return found.isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


def instant_of(text: str) -> int:
    """The microseconds since 1970 of an entry's time.

    >>> instant_of("1970-01-01T00:00:00.001Z")
    1000
    """
    return (datetime.fromisoformat(text) - _EPOCH) // timedelta(microseconds=1)


def _mark(wanted: Wanted) -> str:
    return hashlib.sha256(repr(wanted).encode()).hexdigest()[:16]
