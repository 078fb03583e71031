"""The columns of an event: how each is read, and what is refused (semantics.md C)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Final

from reconciler.core.model import Json
from reconciler.semantics.faults import Fault
from reconciler.semantics.normal import END_OF_TIME, parse_address, parse_host

MOST_ENTRIES: Final = 1000
_INT64: Final = 2**63 - 1

#: Returns the value in its one form, or why it has none.
_Reader = Callable[[Json], "object | Fault"]


def _fault(what: str, fix: str) -> Fault:
    return Fault("", what, fix)


def _text(most: int) -> _Reader:
    def read(value: Json) -> object:
        if not isinstance(value, str):
            return _fault("is not text", "write text, or null for not recorded")
        if not 0 < len(value) <= most:
            return _fault("is empty" if not value else f"is longer than {most}", "write null for not recorded")
        if "\0" in value or not _is_text(value):
            return _fault("has characters that are none", "remove NUL and lone surrogates")
        return value

    return read


def _is_text(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _choice(*values: str) -> _Reader:
    return lambda value: value if value in values else _fault("is none of its values", "write " + ", ".join(values))


def _flag(value: Json) -> object:
    return value if isinstance(value, bool) else _fault("is not true or false", "write true, false or null")


def _whole(low: int, high: int) -> _Reader:
    def read(value: Json) -> object:
        if isinstance(value, float) and math.isfinite(value) and value == int(value):
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int):
            return _fault("is not a whole number", "write a whole number, or null for not recorded")
        return value if low <= value <= high else _fault(f"is not from {low} to {high}", "write a number in range")

    return read


def _score(value: Json) -> object:
    """From 0 to 100, whatever the scale; NaN and infinity are missing (semantics.md B.2)."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return _fault("is not a number", "write a number, or null for not recorded")
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return float(value) if 0 <= value <= 100 else _fault("is not from 0 to 100", "write a number in range")


def _texts(value: Json) -> object:
    if not isinstance(value, list):
        return _fault("is not a list", "write a list of texts; null is not recorded, [] is none")
    if len(value) > MOST_ENTRIES:
        return _fault(f"has more than {MOST_ENTRIES} entries", "record fewer")
    read = _text(512)
    wrong = next((entry for entry in map(read, value) if isinstance(entry, Fault)), None)
    return frozenset(value) if wrong is None else _fault(f"has an entry that {wrong.what}", "write a list of texts")


def _country(value: Json) -> object:
    if isinstance(value, str) and len(value) == 2 and value.isascii() and value.isalpha():
        return value.upper()
    return _fault("is not a country code", "write two letters, or null for not recorded")


def _readable(parse: Callable[[str], object | None]) -> _Reader:
    def read(value: Json) -> object:
        text = _text(512)(value)
        if isinstance(text, Fault):
            return text
        found = parse(str(text))
        return None if found is None else str(found)

    return read


_INSTANT: Final = _whole(0, END_OF_TIME - 1)
_COUNT: Final = _whole(0, _INT64)
_NAME: Final = _text(512)

#: How each column is read. B speaks of the columns from `purpose` on as well; the table in C leaves them out.
COLUMNS: Final[Mapping[str, _Reader]] = {
    "event_id": _NAME,
    "ts_us": _INSTANT,
    "actor_id": _NAME,
    "action": _NAME,
    "resource": _text(4096),
    "seq": _COUNT,
    "actor_type": _NAME,
    "actor_roles": _texts,
    "tenant": _NAME,
    "resource_type": _NAME,
    "source_ip": _readable(parse_address),
    "country": _country,
    "is_vpn": _flag,
    "success": _flag,
    "decision": _choice("allow", "block", "pending"),
    "decision_source": _choice("service", "system", "caller_reported", "agent_reported"),
    "policy_revision": _NAME,
    "trust_score": _score,
    "requested_capability": _NAME,
    "granted_capabilities": _texts,
    "capabilities": _texts,
    "mcp_server": _NAME,
    "mcp_domain": _readable(parse_host),
    "mcp_trust_score": _score,
    "mcp_capabilities": _texts,
    "mcp_verified": _flag,
    "mcp_registered_at": _INSTANT,
    "records": _COUNT,
    "bytes": _COUNT,
    "data_types": _texts,
    "approved": _flag,
    "encrypted": _flag,
    "secure_delete": _flag,
    "public_key_changed": _flag,
    "key_rotation_approved": _flag,
    "public_key_fp": _NAME,
    "mfa_verified": _flag,
    "mfa_method": _NAME,
    "tunnel_status": _NAME,
    "session_id": _NAME,
    "session_recorded": _flag,
    "extra": _text(65_536),
    "purpose": _NAME,
    "mcp_url": _text(4096),
    "mcp_attestations": _COUNT,
    "mcp_confidence_score": _score,
    "identity_verified": _flag,
    "tunnel_protocol": _NAME,
    "client_ts": _INSTANT,
}
