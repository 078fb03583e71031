"""The event record: one request that was made, flat, with null for what nobody recorded (semantics.md C).

Reading is strict: a column that is not known, a wrong type or a number out of range is a fault. Only what B.2 and B.6
call "missing" (an address or a host that cannot be read, NaN) becomes null, and is named in `dropped`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, Final

from reconciler.core.canonical import ascii_lower
from reconciler.core.model import Json
from reconciler.semantics.faults import Fault, unknown_key
from reconciler.semantics.normal import END_OF_TIME, host_of_url, parse_address, parse_host

MOST_ENTRIES: Final = 1000
_INT64: Final = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Event:
    """One event; lists are sets, because order and repetition in them mean nothing.

    `address` is what `source_ip` says as family and number, `action_key` the action as it is compared. Both are made
    when the event is read, like `dropped`: the columns whose content could not be understood.
    """

    event_id: str
    ts_us: int
    actor_id: str
    action: str
    resource: str
    seq: int = 0
    actor_type: str | None = None
    actor_roles: frozenset[str] | None = None
    tenant: str | None = None
    resource_type: str | None = None
    source_ip: str | None = None
    country: str | None = None
    is_vpn: bool | None = None
    success: bool | None = None
    decision: str | None = None
    decision_source: str | None = None
    policy_revision: str | None = None
    trust_score: float | None = None
    requested_capability: str | None = None
    granted_capabilities: frozenset[str] | None = None
    capabilities: frozenset[str] | None = None
    mcp_server: str | None = None
    mcp_domain: str | None = None
    mcp_url: str | None = None
    mcp_trust_score: float | None = None
    mcp_attestations: int | None = None
    mcp_confidence_score: float | None = None
    mcp_capabilities: frozenset[str] | None = None
    mcp_verified: bool | None = None
    mcp_registered_at: int | None = None
    records: int | None = None
    bytes: int | None = None
    data_types: frozenset[str] | None = None
    purpose: str | None = None
    approved: bool | None = None
    encrypted: bool | None = None
    secure_delete: bool | None = None
    public_key_changed: bool | None = None
    key_rotation_approved: bool | None = None
    public_key_fp: str | None = None
    mfa_verified: bool | None = None
    mfa_method: str | None = None
    identity_verified: bool | None = None
    tunnel_status: str | None = None
    tunnel_protocol: str | None = None
    session_id: str | None = None
    session_recorded: bool | None = None
    client_ts: int | None = None
    extra: str | None = None
    address: tuple[int, int] | None = None
    action_key: str = ""
    dropped: tuple[str, ...] = ()

    @property
    def kind(self) -> str | None:
        """The type of the resource: as recorded, else the text before its first `/` or `:` (semantics.md B.9)."""
        if self.resource_type is not None:
            return self.resource_type
        ends = [at for at in (self.resource.find("/"), self.resource.find(":")) if at >= 0]
        return (self.resource[: min(ends)] or None) if ends else None

    @property
    def wanted(self) -> str:
        """The capability it needs: as recorded, else the action (semantics.md B.7)."""
        return self.action if self.requested_capability is None else self.requested_capability


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
REQUIRED: Final = ("event_id", "ts_us", "actor_id", "action", "resource")
#: Fields of `Event` that are made while reading.
MADE: Final = frozenset({"address", "action_key", "dropped"})


def parse_event(value: object, *, seq: int | None = None) -> Event | tuple[Fault, ...]:
    """Return the event that a mapping of columns says, or every fault in it.

    Where the reader counts arrivals, *seq* wins over a column of that name (semantics.md B.2). The domain of an MCP
    server is taken from its URL when only that is recorded.
    """
    if not isinstance(value, dict):
        return (Fault("", "is not an object", "write one object of columns per event", "not-an-object"),)
    found: dict[str, Any] = {}
    faults: list[Fault] = []
    dropped: list[str] = []
    for key, content in value.items():
        read = COLUMNS.get(key) if isinstance(key, str) else None
        if read is None:
            faults.append(unknown_key("", str(key), COLUMNS))
        elif content is not None:
            form = read(content)
            if isinstance(form, Fault):
                faults.append(Fault(f"/{key}", form.what, form.fix))
            elif form is None:
                dropped.append(key)
            else:
                found[key] = form
    missing = [key for key in REQUIRED if value.get(key) is None]
    faults += [Fault(f"/{key}", "is not there", "every event has it", "missing-key") for key in missing]
    if faults:
        return tuple(faults)
    if "mcp_url" in found and value.get("mcp_domain") is None:
        found["mcp_domain"] = host_of_url(found["mcp_url"])
    if seq is not None:
        found["seq"] = seq
    address = parse_address(found["source_ip"]) if "source_ip" in found else None
    return Event(
        **found,
        address=None if address is None else (address.version, int(address)),
        action_key=ascii_lower(found["action"]),
        dropped=tuple(dropped),
    )


def event_to_json(event: Event) -> dict[str, Json]:
    """Return the columns that were recorded; lists sorted, so that equal events give equal JSON."""
    columns: dict[str, Json] = {}
    for each in fields(event):
        value = getattr(event, each.name)
        if value is not None and each.name not in MADE:
            columns[each.name] = sorted(value) if isinstance(value, frozenset) else value
    return columns
