"""OpenA2A as documented: a list in an envelope, policies by id, a toggle that sets, a global mode, an audit log.

PUT replaces the whole policy on some servers and keeps what is left out on others, so the whole of it is always sent,
`enabled` too (reliability.md A2, A3). Requests and replies have maps of their own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from reconciler.core.annotation import append_trailer, strip_trailer
from reconciler.core.model import (
    MISSING,
    Capabilities,
    Json,
    Listing,
    LivePolicy,
    Mutation,
    Receipt,
    TargetSettings,
    Trail,
)
from reconciler.errors import LiveError
from reconciler.providers.admin import POLICIES, SETTINGS, admin_capabilities
from reconciler.providers.entries import entries_from_wire
from reconciler.providers.extras import Extras, read_etag, take_etag, with_etag
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
    expect_count,
    expect_fields,
    expect_id,
    expect_object,
    expect_text,
    header_count,
    kind_of,
)

TRAIL: Final = "/admin/audit-logs"
EVENTS: Final = "/admin/events"
TRAIL_CAP: Final = 100
WAVE: Final = 256
_FIELDS: Final[Mapping[str, type[Any]]] = {
    "description": str,
    "policy_type": str,
    "severity": str,
    "conditions": dict,
    "actions": dict,
}
_SERVER_OWNED: Final = frozenset(
    ("id", "created_at", "updated_at", "created_by", "updated_by", "organization_id", "tenant_id", "version")
)
_MODES: Final = ("strict", "monitoring")


def capabilities(settings: TargetSettings) -> Capabilities:
    return admin_capabilities(
        type_field="policy_type", reads_one=True, trail_cap=TRAIL_CAP, wave=WAVE, server_owned=_SERVER_OWNED
    )


class OpenA2AProvider:
    """Speaks OpenA2A through one transport (`providers.base.Provider`).

    With `annotate: description` the commit stands at the end of a policy's description too; it is taken off when read
    and put on when written, so that it is never part of a comparison.
    """

    def __init__(self, settings: TargetSettings, transport: Transport) -> None:
        self._capabilities = capabilities(settings)
        self._transport = transport
        self._annotates = settings.annotate == "description"
        self._extras = Extras(transport.make_nonce)
        self._source = Source(transport, self._extras, POLICIES, self._policies, doubt_list, settings.budget)

    @property
    def name(self) -> str:
        return "opena2a"

    @property
    def capabilities(self) -> Capabilities:
        return self._capabilities

    def fetch_listing(self) -> Listing:
        policies, reason = fetch_list(self._source)
        mode = self._transport.find(SETTINGS, mode_from_wire, absent=(404, 405))
        return Listing(policies, reason is None, reason, self._transport.clock.now(), mode)

    def fetch_one(self, policy_id: str) -> LivePolicy | None:
        def parse(reply: Reply) -> LivePolicy:
            policy = self._one(reply)
            if policy.id != policy_id:
                raise WireError("expected the policy asked for, got one with another id")
            return with_etag(policy, read_etag(reply.headers.get("etag")) if self._extras.tags else None)

        try:
            path = f"{POLICIES}/{quote_id(policy_id)}"
        except WireError as error:
            raise LiveError(str(error), where="opena2a", fix="correct the id where it comes from") from error
        return self._transport.find(path, parse)

    def fetch_trail(self) -> Trail:
        trail = self._transport.find(TRAIL, trail_from_wire)
        return Trail((), available=False, complete=False) if trail is None else trail

    def fetch_trail_parts(self) -> Iterator[Trail]:
        if self._extras.cursors:
            return trail_parts(self._transport, TRAIL, trail_from_wire)
        return iter((self.fetch_trail(),))

    def fetch_judged(self, after: int) -> Iterator[Judged] | None:
        return judged_parts(self._transport, EVENTS, after) if self._extras.events else None

    def send(self, mutation: Mutation) -> Receipt:
        try:
            method, path, body = to_wire(mutation, annotates=self._annotates)
        except ValueError as error:
            return not_sendable(error)
        sent = self._transport.send(method, path, body, {**mutation.headers, **self._extras.headers(mutation)})
        return make_receipt(sent, mutation, told, self._transport.clean, self._one)

    def _one(self, reply: Reply) -> LivePolicy:
        return self._policy(_unwrap(reply.value), "the policy")

    def _policies(self, reply: Reply, tagged: bool) -> Policies:
        """The policies of a list, or of a part of it; *tagged*: each was asked for with its tag."""
        envelope = expect_object(reply.value, "the list of policies")
        values = expect_array(envelope.get("policies", MISSING), "policies")
        pairs = [take_etag(value) if tagged else (value, None) for value in values]
        return tuple(with_etag(self._policy(value, f"policy {index}"), tag) for index, (value, tag) in enumerate(pairs))

    def _policy(self, value: Json, what: str) -> LivePolicy:
        policy = policy_from_wire(value, what)
        description = policy.body.get("description")
        if not self._annotates or not isinstance(description, str):
            return policy
        text, commit = strip_trailer(description)
        body = {**policy.body, "description": text}
        return LivePolicy(policy.id, policy.natural_key, body, policy.enabled, policy.raw, trailer=commit)


# -------------------------------------------------------------------------------------------- from the wire


def doubt_list(policies: Policies, reply: Reply) -> str | None:
    """Why a list may not be all there is; None when its total proves that it is."""
    told = expect_object(reply.value, "the list of policies").get("total")
    counts = (header_count(reply.headers, "x-total-count"), None if told is None else expect_count(told, "total"))
    totals = [count for count in counts if count is not None]
    doubt = doubt_of(policies, totals)
    return doubt if doubt or totals else "the list has no total, so nothing proves that it is whole"


def policy_from_wire(value: Json, what: str) -> LivePolicy:
    raw = expect_object(value, what)
    policy_id = expect_id(raw.get("id"), f"the id of {what}")
    name = expect_text(raw.get("name", MISSING), f"name of {what}")
    expect_fields(raw, what, _FIELDS)
    enabled = expect_bool(raw.get("enabled", MISSING), f"enabled of {what}")
    body = {key: field for key, field in raw.items() if key not in _SERVER_OWNED and key != "enabled"}
    return LivePolicy(policy_id, name, body, enabled, raw)


def trail_from_wire(reply: Reply) -> Trail:
    """Read `{"logs": […], "total": n}`, or a bare list; `logs: null` is an empty one (systems.md 3.2)."""
    total = header_count(reply.headers, "x-total-count")
    if isinstance(reply.value, list):
        values = reply.value
    else:
        envelope = expect_object(reply.value, "the audit log")
        logs = envelope.get("logs", MISSING)
        values = [] if logs is None else expect_array(logs, "logs")
        if envelope.get("total") is not None:
            total = expect_count(envelope["total"], "total")
    # A total equal to the cap may be no more than the number of rows returned.
    complete = len(values) < TRAIL_CAP if total is None or total == TRAIL_CAP else total == len(values)
    return Trail(entries_from_wire(values), available=True, complete=complete)


def mode_from_wire(reply: Reply) -> str:
    """Return the global mode in capitals, as people know it."""
    value = expect_object(reply.value, "the enforcement settings")
    mode = expect_text(value.get("enforcementMode", MISSING), "enforcementMode")
    if mode.lower() not in _MODES:
        raise WireError("expected strict or monitoring for enforcementMode, got other text")
    return mode.upper()


def _unwrap(value: object) -> Json:
    """A policy stands under `policy`, or bare."""
    if not isinstance(value, dict):
        raise WireError(f"expected an object for the policy, got {kind_of(value)}")  # type: ignore[arg-type]
    found: Json = value.get("policy", value)
    return found


# ---------------------------------------------------------------------------------------------- to the wire


def to_wire(mutation: Mutation, *, annotates: bool) -> tuple[str, str, dict[str, Json] | None]:
    """Return method, path and body of one request; raise `WireError` for what cannot be asked for."""
    if mutation.operation == "create":
        return "POST", POLICIES, _content(mutation, annotates=annotates)
    if mutation.operation == "mode":
        mode = (mutation.body or {}).get("enforcement_mode")
        return "PUT", SETTINGS, {"enforcementMode": mode}
    path = f"{POLICIES}/{quote_id(mutation.id or '')}"
    if mutation.operation == "update":
        return "PUT", path, _content(mutation, annotates=annotates)
    if mutation.operation == "toggle":
        return "PATCH", f"{path}/toggle", {"enabled": mutation.enabled}
    if mutation.operation == "delete":
        return "DELETE", path, None
    raise WireError(f"OpenA2A has no {mutation.operation}")


def _content(mutation: Mutation, *, annotates: bool) -> dict[str, Json]:
    body = mutation.body or {}
    content = {key: value for key, value in body.items() if key not in _SERVER_OWNED and key != "metadata"}
    if annotates:
        description = content.get("description")
        content["description"] = append_trailer(description if isinstance(description, str) else "", mutation.commit)
    return {**content, "enabled": mutation.enabled}


def told(sent: Sent, mutation: Mutation) -> tuple[Told, str | None, bool | None]:
    """Return what a reply says, with the id and the `enabled` it names.

    The documents show no error body; `error`, `message` and `detail` are taken for the API's own.
    """
    reply = sent.reply
    if reply is None or sent.failure:
        return Told.NOTHING, None, None
    if not 200 <= reply.status < 300:
        return (Told.REFUSAL if _is_error(reply.value) else Told.NOTHING), None, None
    if mutation.operation == "delete" and reply.status == 204:
        return Told.AS_ASKED, mutation.id, None
    try:
        value = expect_object(reply.value, "the reply")
        if mutation.operation == "mode":
            same_mode = mode_from_wire(reply).lower() == (mutation.body or {}).get("enforcement_mode")
            return (Told.AS_ASKED if same_mode else Told.OTHERWISE), None, None
        if mutation.operation == "delete":
            other = value.get("policy_id", mutation.id) != mutation.id
            return (Told.OTHERWISE if other else Told.AS_ASKED), mutation.id, None
        policy = expect_object(_unwrap(value), "the policy")
        policy_id = expect_id(policy.get("id"), "the id of the policy")
        enabled = expect_bool(policy.get("enabled", MISSING), "enabled of the policy")
    except WireError:
        return Told.NOTHING, None, None
    same = enabled == mutation.enabled and mutation.id in (None, policy_id)
    return (Told.AS_ASKED if same else Told.OTHERWISE), policy_id, enabled


def _is_error(value: object) -> bool:
    if not isinstance(value, dict):
        return False
    told_as = (value.get("error"), value.get("message"), value.get("detail"))
    return any(isinstance(text, str | list) or text is True for text in told_as)
