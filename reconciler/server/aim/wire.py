"""What Go makes of a body and of a policy: missing keys are zero values, unknown keys nothing, numbers float64.

Pure: bytes and rows in, values out. A body that Go would not bind is a `ValueError`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from reconciler.core.model import Json
from reconciler.server.aim.dialects import Dialect

#: A policy's nine fields as the table has them, with the zero value of each.
ZERO: Final[Mapping[str, Json]] = {
    "name": "",
    "description": "",
    "policy_type": "",
    "enforcement_action": "",
    "severity_threshold": "",
    "rules": None,
    "applies_to": "",
    "is_enabled": False,
    "priority": 0,
}
_SHOWN: Final = ("id", "organization_id", *ZERO, "created_at", "updated_at", "created_by")
_LARGEST: Final = 2**63 - 1


class Pairs(list[tuple[str, Any]]):
    """An object as it was written, key by key."""


def bind_policy(data: bytes, dialect: Dialect) -> dict[str, Json]:
    """Return the nine fields of a create or update."""
    return _bind(data, {name if dialect.reads_snake else camel(name): name for name in ZERO})


def bind_toggle(data: bytes) -> bool:
    """Return what a toggle sets: a missing `isEnabled` is false, whatever else the body says."""
    return _bind(data, {"isEnabled": "is_enabled"})["is_enabled"] is True


def bind_texts(data: bytes, *names: str) -> dict[str, str]:
    """Return the texts of a small body, empty where they are missing."""
    found = _bind(data, dict.fromkeys(names, "name"), {name: name for name in names})
    return {name: str(found[name]) for name in names}


def _bind(data: bytes, keys: Mapping[str, str], into: Mapping[str, str] | None = None) -> dict[str, Json]:
    """Fields by key, whatever its case, the last of several; *keys* says which field gives a key its type."""
    wanted = {key.lower(): key for key in keys}
    found: dict[str, Json] = {(into or keys)[key]: ZERO[field] for key, field in keys.items()}
    try:
        body = json.loads(data.decode(), object_pairs_hook=Pairs, parse_constant=_refuse)
        if not isinstance(body, Pairs):
            raise ValueError("not an object")
        for written, value in body:
            key = wanted.get(written.lower())
            if key is not None and value is not None:
                found[(into or keys)[key]] = _typed(value, ZERO[keys[key]])
    except (RecursionError, OverflowError) as error:
        raise ValueError("too deep or too large") from error
    return found


def _typed(value: Any, zero: Json) -> Json:
    """A value for a field whose zero value is *zero*; `ValueError` for one of another type."""
    if zero is None:
        if not isinstance(value, Pairs):
            raise ValueError("not an object")
        return _loose(value)
    if isinstance(zero, bool) or isinstance(value, bool):
        if not (isinstance(zero, bool) and isinstance(value, bool)):
            raise ValueError("not true or false")
        return value
    if isinstance(zero, int):
        if not isinstance(value, int) or abs(value) > _LARGEST:
            raise ValueError("not a whole number")
        return value
    if not isinstance(value, str):
        raise ValueError("not text")
    return _text(value)


def _loose(value: Any) -> Json:
    """A value without a type: numbers go through float64, of equal keys the last counts."""
    if isinstance(value, Pairs):
        return {_text(key): _loose(entry) for key, entry in value}
    if isinstance(value, list):
        return [_loose(entry) for entry in value]
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int | float):
        rounded = float(value)
        if rounded in (float("inf"), float("-inf")):
            raise ValueError("too large")
        return int(rounded) if rounded.is_integer() and abs(rounded) < 1e21 else rounded
    return _text(value)


def _text(text: str) -> str:
    """Half a character becomes the sign for one that cannot be read."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _refuse(name: str) -> Json:
    raise ValueError(f"{name} is no JSON")


def fits(fields: Mapping[str, Json]) -> bool:
    """Whether the database takes these fields; what it does not take is a 500."""
    short = (("name", 255), ("policy_type", 50), ("enforcement_action", 50), ("severity_threshold", 50))
    if any(len(str(fields[name])) > most for name, most in short):
        return False
    priority = fields["priority"]
    if not isinstance(priority, int) or not -(2**31) <= priority < 2**31:
        return False
    return not _has_nul(dict(fields))


def _has_nul(value: Json) -> bool:
    if isinstance(value, dict):
        return any("\0" in key or _has_nul(entry) for key, entry in value.items())
    if isinstance(value, list):
        return any(_has_nul(entry) for entry in value)
    return isinstance(value, str) and "\0" in value


def show(row: Mapping[str, Any], organization_id: str, dialect: Dialect) -> dict[str, Json]:
    """Return a policy as this generation answers it."""
    whole = {**row, "organization_id": organization_id}
    return {camel(name) if dialect.writes_camel else name: whole[name] for name in _SHOWN}


def camel(name: str) -> str:
    """Return the newer spelling of a key.

    >>> camel("organization_id"), camel("name")
    ('organizationId', 'name')
    """
    first, *others = name.split("_")
    return first + "".join(part.capitalize() for part in others)
