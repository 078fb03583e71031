"""Request bodies: bytes to strict JSON, and fields to checked fields. Everything here distrusts what it is given.

Pure: no request, no database. A body that will not do is an `ApiError` with a sentence that names the field.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Collection, Mapping

from reconciler.core.model import Json
from reconciler.server.replies import ApiError

MAX_DEPTH = 32
#: Beyond this, readers that keep numbers as doubles lose digits (systems.md 5, 13).
MAX_INTEGER = 2**53

#: What a value must be, in words, or None when it is.
Check = Callable[[Json], str | None]


def decode_object(data: bytes) -> dict[str, Json]:
    """The one JSON object in *data*; 400 for anything that two readers could understand differently.

    Refused: other encodings than UTF-8, repeated keys, NaN and infinities, integers over 2^53, NUL and lone
    surrogates in text, more than 32 levels.
    """
    try:
        value = json.loads(data.decode(), object_pairs_hook=_pairs, parse_constant=_constant)
    except UnicodeDecodeError:
        raise ApiError(400, "Request body is not UTF-8") from None
    except RecursionError:
        raise ApiError(400, f"Request body is nested deeper than {MAX_DEPTH} levels") from None
    except ValueError:
        raise ApiError(400, "Request body is not valid JSON") from None
    if not isinstance(value, dict):
        raise ApiError(400, "Request body must be a JSON object")
    _check_values(value)
    return value


def check_fields(
    body: Mapping[str, Json],
    fields: Mapping[str, Check],
    *,
    status: int,
    required: Collection[str] = (),
    nullable: Collection[str] = (),
) -> None:
    """Refuse *body* with *status* at the first field that is unknown, missing or of a wrong type."""
    for key, value in body.items():
        if key not in fields:
            raise ApiError(status, f"Unknown field: {key[:64]}")
        wanted = fields[key](value)
        if wanted is not None and not (value is None and key in nullable):
            raise ApiError(status, f"{key} must be {wanted}")
    for key in required:
        if body.get(key) is None:
            raise ApiError(status, f"{key} is required")


def changed_fields(before: Mapping[str, Json], given: Mapping[str, Json]) -> list[str]:
    """The fields of *given* that differ from *before*, sorted. `1` is not `true`, and null is the same as absent."""
    return sorted(key for key, value in given.items() if _text(before.get(key)) != _text(value))


def text(limit: int, *, empty: bool = True) -> Check:
    words = f"a string of {0 if empty else 1} to {limit} characters"
    return lambda value: None if isinstance(value, str) and (0 if empty else 1) <= len(value) <= limit else words


def one_of(*values: str) -> Check:
    words = "one of " + ", ".join(values)
    return lambda value: None if isinstance(value, str) and value in values else words


def boolean(value: Json) -> str | None:
    return None if isinstance(value, bool) else "true or false"


def integer(value: Json) -> str | None:
    """`5.0` is a whole number, too (JSON Schema, `integer`); `whole` makes it one."""
    is_whole = isinstance(value, int | float) and not isinstance(value, bool) and value == value // 1
    return None if is_whole else "a whole number"


def whole(value: Json) -> int:
    """The number that `integer` has found to be one."""
    if integer(value) is not None or not isinstance(value, int | float):
        raise TypeError("not a whole number")
    return int(value)


def mapping(value: Json) -> str | None:
    return None if isinstance(value, dict) else "an object"


def texts(value: Json) -> str | None:
    is_texts = isinstance(value, list) and all(isinstance(item, str) for item in value)
    return None if is_texts else "a list of strings"


def text_or_texts(value: Json) -> str | None:
    return None if isinstance(value, str) or texts(value) is None else "a string or a list of strings"


def _text(value: Json) -> str:
    return json.dumps(value, sort_keys=True)


def _pairs(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a key stands twice")
    return result


def _constant(name: str) -> Json:
    raise ValueError(f"{name} is not JSON")


def _check_values(body: Json) -> None:
    waiting: list[tuple[Json, int]] = [(body, 1)]
    while waiting:
        value, depth = waiting.pop()
        if depth > MAX_DEPTH:
            raise ApiError(400, f"Request body is nested deeper than {MAX_DEPTH} levels")
        if isinstance(value, dict):
            waiting.extend((key, depth) for key in value)
            waiting.extend((item, depth + 1) for item in value.values())
        elif isinstance(value, list):
            waiting.extend((item, depth + 1) for item in value)
        elif isinstance(value, str) and any(c == "\0" or "\ud800" <= c <= "\udfff" for c in value):
            raise ApiError(400, "Text must not hold NUL or half a surrogate pair")
        elif isinstance(value, float) and not math.isfinite(value):
            raise ApiError(400, "Numbers must be finite")
        elif isinstance(value, int) and abs(value) > MAX_INTEGER:
            raise ApiError(400, "Whole numbers must be within 2^53")
