"""The event record: one request that was made, flat, with null for what nobody recorded (semantics.md C).

Reading is strict: a column that is not known, a wrong type or a number out of range is a fault. Only what B.2 and B.6
call "missing" (an address or a host that cannot be read, NaN) becomes null, and is named in `dropped`.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Final

from reconciler.core.canonical import ascii_lower
from reconciler.core.model import Json
from reconciler.semantics.columns import COLUMNS
from reconciler.semantics.faults import Fault, unknown_key
from reconciler.semantics.normal import host_of_url, parse_address


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
