"""Strict decoding of what a live API answers: JSON without surprises, and small checks of shape.

Replies are hostile input. Whatever is not what the documents show raises `WireError` with a sentence that names what
was expected and the type that came, never the value. Which API has which shape is said in its own module.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from itertools import islice
from typing import Any, Final, NoReturn

from reconciler.core.model import MISSING, Json, Side

MAX_DEPTH: Final = 64
MAX_DIGITS: Final = 100
#: Values in one reply. A list of ten thousand policies has about 150,000; 8 MiB of `[],` would become 135 MiB.
MAX_VALUES: Final = 250_000
#: Values in a whole list, in many replies or in a file: 300,000 policies, and less memory than a machine of CI has.
MAX_LIST_VALUES: Final = 5_000_000

#: What an id may look like, whether from git or from a server (reliability.md D14).
ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")

#: The longest wait a server may ask for, in seconds (reliability.md F8).
MAX_RETRY_AFTER: Final = 120.0

_JSON_TYPE = re.compile(r'application/(?:[\w.+-]+\+)?json(?:\s*;\s*charset="?utf-?8"?)?\s*;?\s*', re.IGNORECASE)
_SURROGATE = re.compile("[\ud800-\udfff]")
_STARTS = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|[,\[{]', re.DOTALL)


class WireError(ValueError):
    """A reply is not the API's; the text says in what."""


class TooLargeError(WireError):
    """A reply is larger than one may be, whatever it says."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole HTTP reply, its body decoded. Header names are in lower case, repeated ones joined with `, `.

    `value` is `MISSING` when the body is empty. `framed` tells whether the end of the body was announced, by its length
    or by chunks; without that, nobody can tell a cut body from a short one. `marks` is at least how many values it has.
    """

    status: int
    headers: Mapping[str, str]
    value: Side = MISSING
    framed: bool = True
    marks: int = 0


# ------------------------------------------------------------------------------------------------- strict JSON


def decode_json(data: bytes, content_type: str | None, *, max_values: int = MAX_VALUES) -> Json:
    """Return the JSON value in *data*; raise `WireError` for anything else.

    UTF-8 without a mark, finite numbers of at most 100 digits, no key twice in one object, no unpaired surrogates, at
    most 64 levels and *max_values* values; and the content type must say JSON (reliability.md D15, G17).
    """
    if content_type is None or not _JSON_TYPE.fullmatch(content_type):
        raise WireError(f"expected JSON, got content of type {_type_word(content_type)}")
    if _has_too_many(data, max_values):
        raise TooLargeError(f"the JSON holds more than {max_values} values")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise WireError(f"expected UTF-8, got other bytes at offset {error.start}") from error
    if text.startswith("\ufeff"):
        raise WireError("expected JSON, got a byte order mark")
    try:
        value: Json = json.loads(
            text,
            object_pairs_hook=_object,
            parse_constant=_refuse_constant,
            parse_float=_float,
            parse_int=_int,
        )
    except json.JSONDecodeError as error:
        raise WireError(f"expected JSON, got something else at offset {error.pos}") from error
    except RecursionError as error:
        raise WireError(f"the JSON is nested deeper than {MAX_DEPTH} levels") from error
    _check_tree(value)
    return value


def count_marks(data: bytes) -> int:
    """Return how often `,`, `[` and `{` stand in *data*, texts included: each value but the first begins after one."""
    return sum(map(data.count, (b",", b"[", b"{")))


def _has_too_many(data: bytes, most: int) -> bool:
    """Whether there are more values than may be, told before any of them is made."""
    if count_marks(data) <= most:
        return False
    starts = (found for found in _STARTS.finditer(data) if found[0][:1] != b'"')
    return next(islice(starts, most, None), None) is not None


def _type_word(content_type: str | None) -> str:
    word = (content_type or "").split(";")[0].strip()
    return word if re.fullmatch(r"[\w.+-]{1,40}/[\w.+-]{1,40}", word, re.ASCII) else "unknown"


def _object(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise WireError("an object of the JSON has one key twice")
    return found


def _refuse_constant(name: str) -> NoReturn:
    raise WireError(f"{name} is no JSON")


def _float(text: str) -> float:
    if len(text) > MAX_DIGITS or not math.isfinite(value := float(text)):
        raise WireError("a number of the JSON is out of range")
    return value


def _int(text: str) -> int:
    if len(text) > MAX_DIGITS:
        raise WireError("a number of the JSON is out of range")
    return int(text)


def _check_tree(value: Json) -> None:
    """Refuse depth and unpaired surrogates; iterative, so that depth cannot hurt it."""
    level: Sequence[Json] = [value]
    for _ in range(MAX_DEPTH + 1):
        below: list[Json] = []
        for item in level:
            if isinstance(item, str):
                _check_text(item)
            elif isinstance(item, list):
                below += item
            elif isinstance(item, dict):
                for key in item:
                    _check_text(key)
                below += item.values()
        if not below:
            return
        level = below
    raise WireError(f"the JSON is nested deeper than {MAX_DEPTH} levels")


def _check_text(text: str) -> None:
    if not text.isascii() and _SURROGATE.search(text):
        raise WireError("a text of the JSON holds half a character (an unpaired surrogate)")


# ------------------------------------------------------------------------------------------------------ shapes


def kind_of(value: Side) -> str:
    """Return the name of a JSON type with its article, for sentences.

    >>> kind_of([])
    'an array'
    """
    if value is MISSING:
        return "nothing"
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, int | float):
        return "a number"
    return {str: "text", list: "an array"}.get(type(value), "an object")


def _wrong(what: str, expected: str, value: Side) -> WireError:
    return WireError(f"expected {expected} for {what}, got {kind_of(value)}")


def expect_object(value: Side, what: str) -> dict[str, Json]:
    if not isinstance(value, dict):
        raise _wrong(what, "an object", value)
    return value


def expect_array(value: Side, what: str) -> list[Json]:
    if not isinstance(value, list):
        raise _wrong(what, "an array", value)
    return value


def expect_text(value: Side, what: str) -> str:
    if not isinstance(value, str):
        raise _wrong(what, "text", value)
    return value


def expect_bool(value: Side, what: str) -> bool:
    if not isinstance(value, bool):
        raise _wrong(what, "true or false", value)
    return value


def expect_count(value: Side, what: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise _wrong(what, "a number of entries", value)
    return value


def expect_id(value: Side, what: str) -> str:
    """Return an id that may stand in a URL; raise for every other (reliability.md D14)."""
    text = expect_text(value, what)
    if not is_id(text):
        raise WireError(f"{what} is not an id: wanted letters, digits, dots, dashes and underscores, at most 128")
    return text


def expect_fields(policy: Mapping[str, Json], what: str, types: Mapping[str, type[Any]]) -> None:
    """Check the documented types of fields that are there; null counts as absent."""
    words: dict[type[Any], str] = {str: "text", list: "an array of text", dict: "an object"}
    for key, wanted in types.items():
        value = policy.get(key)
        good = value is None or isinstance(value, wanted)
        if good and wanted is list and value is not None:
            good = isinstance(value, list) and all(isinstance(item, str) for item in value)
        if not good:
            got = "an array of other things" if isinstance(value, list) and wanted is list else kind_of(value)
            raise WireError(f"expected {words[wanted]} for {key} of {what}, got {got}")


def is_id(text: str) -> bool:
    """Whether *text* may be put into the path of a URL.

    >>> is_id("pol-mfa-required"), is_id("..")
    (True, False)
    """
    return ID.fullmatch(text) is not None


# ----------------------------------------------------------------------------------------------------- headers


def header_count(headers: Mapping[str, str], name: str) -> int | None:
    """Return a header that counts something; None when it is absent, -1 (never equal to a length) when it is odd."""
    text = headers.get(name)
    if text is None:
        return None
    return int(text) if re.fullmatch("[0-9]{1,9}", text) else -1


def parse_retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds a server asks to wait, between 1 and 120; None when it says nothing usable.

    A date counts from the reply's own `Date`, never from our clock (reliability.md F9); without one it says nothing.
    """
    text = headers.get("retry-after", "").strip()
    if re.fullmatch("[0-9]{1,9}", text):
        seconds = float(text)
    else:
        until, sent = parse_http_date(text), parse_http_date(headers.get("date", ""))
        if until is None or sent is None:
            return None
        seconds = (until - sent).total_seconds()
    return min(max(seconds, 1.0), MAX_RETRY_AFTER)


def parse_http_date(text: str) -> datetime | None:
    """Return an HTTP date in any of its three forms; the one without a zone is UTC."""
    if not text or len(text) > 64:
        return None
    try:
        found = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found
