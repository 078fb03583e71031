"""NeoSC: a bare list that is cut at 100, a toggle that flips whatever it finds, an audit log (systems.md 1.1).

Create, update and delete are announced and used only where a target says `crud: true`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from reconciler.core.model import (
    Body,
    Capabilities,
    Json,
    Listing,
    LivePolicy,
    Mutation,
    Receipt,
    TargetSettings,
    ToggleStyle,
    Trail,
)
from reconciler.providers.entries import entries_from_wire
from reconciler.providers.extras import Extras, take_etag, with_etag
from reconciler.providers.fate import Told
from reconciler.providers.history import Judged, judged_parts, trail_parts
from reconciler.providers.http import Sent, Transport, quote_id
from reconciler.providers.parts import Policies, Source, doubt_of, fetch_list
from reconciler.providers.receipts import make_receipt, not_sendable
from reconciler.providers.wire import (
    Reply,
    WireError,
    expect_array,
    expect_bool,
    expect_fields,
    expect_id,
    expect_object,
    header_count,
)

LIST_CAP: Final = 100
TRAIL_CAP: Final = 500
WAVE: Final = 256
_FIELDS: Final[Mapping[str, type[Any]]] = {"name": str, "description": str, "type": str, "rules": list}
_SERVER_OWNED: Final = frozenset(
    ("created_at", "updated_at", "created_by", "updated_by", "organization_id", "tenant_id", "version")
)


def capabilities(settings: TargetSettings) -> Capabilities:
    return Capabilities(
        create=settings.crud,
        update=settings.crud,
        delete=settings.crud,
        toggle=ToggleStyle.FLIP,
        collection="/policies",
        item="/policies/{id}",
        toggle_path="/policies/{id}",
        toggle_method="PATCH",
        update_method="PUT",
        key_field="id",
        type_field="type",
        reads_one=False,
        list_cap=LIST_CAP,
        trail_cap=TRAIL_CAP,
        wave=WAVE,
        cannot="NeoSC can only list and toggle; set crud: true where the server has create, update and delete",
        server_owned=_SERVER_OWNED,
    )


class NeoscProvider:
    """Speaks NeoSC through one transport (`providers.base.Provider`)."""

    def __init__(self, settings: TargetSettings, transport: Transport) -> None:
        self._capabilities = capabilities(settings)
        self._transport = transport
        self._has_seen_defaults = False
        self._extras = Extras(transport.make_nonce)
        self._source = Source(transport, self._extras, "/policies", policies_from_wire, doubt_list, settings.budget)

    @property
    def name(self) -> str:
        return "neosc"

    @property
    def capabilities(self) -> Capabilities:
        return self._capabilities

    def fetch_listing(self) -> Listing:
        """Read every policy; twice when the first answer has just made the defaults, which then lack `created_at`."""
        listing = self._fetch_listing()
        fresh = bool(listing.policies) and not any("created_at" in policy.raw for policy in listing.policies)
        if fresh and not self._has_seen_defaults:
            listing = self._fetch_listing()
        self._has_seen_defaults = True
        return listing

    def _fetch_listing(self) -> Listing:
        policies, reason = fetch_list(self._source)
        return Listing(policies, complete=reason is None, reason=reason, read_at=self._transport.clock.now())

    def fetch_one(self, policy_id: str) -> LivePolicy | None:
        """NeoSC cannot read one policy, so the list is read and searched."""
        found = [policy for policy in self.fetch_listing().policies if policy.id == policy_id]
        return found[0] if found else None

    def fetch_trail(self) -> Trail:
        trail = self._transport.find("/audit-logs", trail_from_wire)
        return Trail((), available=False, complete=False) if trail is None else trail

    def fetch_trail_parts(self) -> Iterator[Trail]:
        if self._extras.cursors:
            return trail_parts(self._transport, "/audit-logs", trail_from_wire)
        return iter((self.fetch_trail(),))

    def fetch_judged(self, after: int) -> Iterator[Judged] | None:
        return judged_parts(self._transport, "/events", after) if self._extras.events else None

    def send(self, mutation: Mutation) -> Receipt:
        try:
            method, path, body = to_wire(mutation)
        except WireError as error:
            return not_sendable(error)
        headers = {**mutation.headers, **self._extras.headers(mutation, flips=True)}
        sent = self._transport.send(method, path, body, headers)
        return make_receipt(sent, mutation, told, self._transport.clean, one_from_wire)


# -------------------------------------------------------------------------------------------- from the wire


def policies_from_wire(reply: Reply, tagged: bool) -> Policies:
    """Return the policies of a list, or of a part of it; *tagged*: each was asked for with its tag."""
    values = expect_array(reply.value, "the list of policies")
    pairs = [take_etag(value) if tagged else (value, None) for value in values]
    return tuple(with_etag(policy_from_wire(value, f"policy {index}"), tag) for index, (value, tag) in enumerate(pairs))


def doubt_list(policies: Policies, reply: Reply) -> str | None:
    """Why a list may not be all there is; None when it is proven to be."""
    total, count = header_count(reply.headers, "x-total-count"), len(policies)
    doubt = doubt_of(policies, () if total is None else (total,))
    if doubt is not None or total is not None:
        return doubt
    if count >= LIST_CAP:
        return f"NeoSC cuts its list at {LIST_CAP}, and this one holds {count} without a total"
    return None if reply.framed else "nothing in the reply proves that the list came whole"


def one_from_wire(reply: Reply) -> LivePolicy:
    """Return the policy in the reply to a create or update: under `policy`, or bare."""
    value = expect_object(reply.value, "the reply")
    return policy_from_wire(value.get("policy", value), "the policy")


def policy_from_wire(value: Json, what: str) -> LivePolicy:
    """Return one policy; a missing `enabled` counts as true, as it does for the toggle of the server."""
    raw = expect_object(value, what)
    policy_id = expect_id(raw.get("id"), f"the id of {what}")
    expect_fields(raw, what, _FIELDS)
    enabled = expect_bool(raw.get("enabled", True), f"enabled of {what}")
    body = {key: field for key, field in raw.items() if key not in _SERVER_OWNED and key != "enabled"}
    return LivePolicy(policy_id, policy_id, body, enabled, raw)


def trail_from_wire(reply: Reply) -> Trail:
    values = expect_array(reply.value, "the audit log")
    total = header_count(reply.headers, "x-total-count")
    complete = len(values) < TRAIL_CAP if total is None else total == len(values)
    return Trail(entries_from_wire(values), available=True, complete=complete)


# ---------------------------------------------------------------------------------------------- to the wire


def to_wire(mutation: Mutation) -> tuple[str, str, dict[str, Json] | None]:
    """Return method, path and body of one request; raise `WireError` for what cannot be asked for."""
    if mutation.operation == "create":
        return "POST", "/policies", _content(mutation.body, mutation.enabled)
    path = f"/policies/{quote_id(mutation.id or '')}"
    if mutation.operation == "toggle":
        return "PATCH", path, {}
    if mutation.operation == "update":
        content = _content(mutation.body, mutation.enabled)
        content.pop("id", None)
        return "PUT", path, content
    if mutation.operation == "delete":
        return "DELETE", path, None
    raise WireError(f"NeoSC has no {mutation.operation}")


def _content(body: Body | None, enabled: bool) -> dict[str, Json]:
    content = {key: value for key, value in (body or {}).items() if key not in _SERVER_OWNED and key != "metadata"}
    return {**content, "enabled": enabled}


def told(sent: Sent, mutation: Mutation) -> tuple[Told, str | None, bool | None]:
    """Return what a reply says, with the id and the `enabled` it names."""
    reply = sent.reply
    if reply is None or sent.failure:
        return Told.NOTHING, None, None
    if not 200 <= reply.status < 300:
        detail = reply.value.get("detail") if isinstance(reply.value, dict) else None
        return (Told.REFUSAL if isinstance(detail, str | list) else Told.NOTHING), None, None
    if mutation.operation == "delete" and reply.status == 204:
        return Told.AS_ASKED, mutation.id, None
    try:
        value = expect_object(reply.value, "the reply")
        if mutation.operation == "delete":
            return Told.AS_ASKED, mutation.id, None
        if mutation.operation == "toggle":
            enabled = expect_bool(value.get("enabled"), "enabled")
            return (Told.AS_ASKED if enabled == mutation.enabled else Told.OTHERWISE), mutation.id, enabled
        policy = one_from_wire(reply)
    except WireError:
        return Told.NOTHING, None, None
    asked = mutation.id or (mutation.body or {}).get("id")
    same = policy.enabled == mutation.enabled and (not isinstance(asked, str) or policy.id == asked)
    return (Told.AS_ASKED if same else Told.OTHERWISE), policy.id, policy.enabled
