"""AIM, self-hosted, as it really is in its three generations: not the documented OpenA2A API (systems.md 1.2, 2.2).

A bare list, a PUT that replaces all, a toggle that sets, a name that is unique and refused with a 500, no entry in the
audit trail about any policy, 100 requests a minute. A single policy is never read by its id: that route answers 404 to
every trouble of its database, and its oldest form shows other organisations' policies (reliability.md A4, A7).
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from typing import Final

from reconciler.core.model import (
    MISSING,
    Capabilities,
    Deviations,
    Fate,
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
from reconciler.providers.aim_login import Login
from reconciler.providers.aim_trail import READ, TRAIL_CAP, mark_path, trail_from_wire
from reconciler.providers.aim_wire import (
    SNAKE,
    content,
    is_as_sent,
    listing_from_wire,
    policy_from_wire,
    toggle_content,
)
from reconciler.providers.fate import Told
from reconciler.providers.history import MOST_PARTS, Judged
from reconciler.providers.http import Sent, Transport, quote_id
from reconciler.providers.receipts import make_receipt, not_sendable
from reconciler.providers.wire import Reply, WireError, expect_object, expect_text

#: Changes that one list before and one after are good for: with a mark each, a wave fits into one window of requests.
WAVE: Final = 40
_MODES: Final = ("strict", "monitoring")
_MARKED: Final = ("create", "update", "toggle", "delete")
_OWNED_BY_SERVER: Final = ("createdAt", "updatedAt", "createdBy", "organizationId")
_SERVER_OWNED: Final = frozenset(
    ("id", *_OWNED_BY_SERVER, "created_at", "updated_at", "created_by", "organization_id", *SNAKE.values())
)
#: How policies work there otherwise than the semantics page says (semantics.md B.13, E.3 "Target exceptions").
DEVIATIONS: Final = Deviations(
    api="AIM",
    closed_types=frozenset(("capability_violation",)),
    stored_types=frozenset(("auth_failure", "mcp_allowlist", "mcp_blocklist", "mcp_capabilities", "mcp_unverified")),
    effect_field="enforcementAction",
    blocking="block_and_alert",
    rank_field="priority",
)


def capabilities(settings: TargetSettings) -> Capabilities:
    return admin_capabilities(
        type_field="policyType",
        reads_one=False,
        trail_cap=TRAIL_CAP,
        wave=WAVE,
        server_owned=_SERVER_OWNED,
        deviations=DEVIATIONS,
    )


class AimProvider:
    """Speaks to one AIM server through one transport (`providers.base.Provider`).

    The commit of a create or update stands in the policy itself, among its rules, and with `annotate: description`
    behind its description too; both are taken off when read. Every change is marked in the trail besides.
    """

    def __init__(self, settings: TargetSettings, transport: Transport) -> None:
        self._capabilities = capabilities(settings)
        self._transport = transport
        self._login = Login(transport)
        self._in_description = settings.annotate == "description"
        self._has_mode = True
        self._has_trail = True
        self._unmarked: list[tuple[str, Mapping[str, str]]] = []
        self._lock = threading.Lock()

    @property
    def name(self) -> str:
        return "aim"

    @property
    def capabilities(self) -> Capabilities:
        return self._capabilities

    def fetch_listing(self) -> Listing:
        """Read every policy, and the mode; a server without one is asked for it once only."""
        self._login.ensure()
        policies, reason = self._transport.get(
            POLICIES, lambda reply: listing_from_wire(reply, in_description=self._in_description)
        )
        mode = self._transport.find(SETTINGS, mode_from_wire, absent=(404, 405)) if self._has_mode else None
        self._has_mode = mode is not None
        return Listing(policies, reason is None, reason, self._transport.clock.now(), mode)

    def fetch_one(self, policy_id: str) -> LivePolicy | None:
        """Look for one policy in the list: the route of a single one cannot be believed."""
        found = [policy for policy in self.fetch_listing().policies if policy.id == policy_id]
        return found[0] if found else None

    def fetch_trail(self) -> Trail:
        """Read the trail, after another try to leave the marks that could not be left at once."""
        self._login.ensure()
        with self._lock:
            left, self._unmarked = self._unmarked, []
        for path, headers in left:
            self._mark(path, headers)
        trail = self._transport.find(READ, trail_from_wire)
        return Trail((), available=False, complete=False) if trail is None else trail

    def fetch_trail_parts(self) -> Iterator[Trail]:
        """Every read adds an entry, so a part begins with what the one before ended with."""
        trail = self.fetch_trail()
        yield trail
        read = TRAIL_CAP
        while not trail.complete and read < MOST_PARTS * TRAIL_CAP:
            trail = self._transport.get(f"{READ}&offset={read}", trail_from_wire)
            yield trail
            read += TRAIL_CAP

    def fetch_judged(self, after: int) -> Iterator[Judged] | None:
        return None

    def send(self, mutation: Mutation) -> Receipt:
        try:
            self._login.ensure()
            method, path, body = to_wire(mutation, in_description=self._in_description)
        except LiveError as error:
            return Receipt(Fate.NOT_SENT, detail=error.what)
        except ValueError as error:
            return not_sendable(error)

        def told(sent: Sent, mutation: Mutation) -> tuple[Told, str | None, bool | None]:
            return self._told(sent, mutation, body or {})

        sent = self._transport.send(method, path, body, mutation.headers)
        receipt = make_receipt(sent, mutation, told, self._transport.clean, self._one)
        if receipt.fate is Fate.APPLIED and receipt.id is not None and mutation.operation in _MARKED:
            self._mark(mark_path(receipt.id, mutation.operation), mutation.headers)
        return receipt

    def _mark(self, path: str, headers: Mapping[str, str]) -> None:
        """Leave an entry about a change that took effect; without one the change is no less done."""
        if not self._has_trail:
            return
        sent = self._transport.send("GET", path, None, headers)
        if sent.status in (404, 405):
            self._has_trail = False
        elif sent.status != 200:
            with self._lock:
                self._unmarked.append((path, headers))

    def _one(self, reply: Reply) -> LivePolicy:
        return policy_from_wire(reply.value, "the policy", in_description=self._in_description)

    def _told(self, sent: Sent, mutation: Mutation, body: Mapping[str, Json]) -> tuple[Told, str | None, bool | None]:
        """Return what a reply says, with the id and the `isEnabled` it names."""
        reply = sent.reply
        if reply is None or sent.failure:
            return Told.NOTHING, None, None
        if not 200 <= reply.status < 300:
            return (Told.REFUSAL if is_error(reply.value) else Told.NOTHING), None, None
        if mutation.operation == "delete" and reply.status == 204:
            return Told.AS_ASKED, mutation.id, None
        try:
            if mutation.operation == "mode":
                same = mode_from_wire(reply).lower() == body.get("enforcementMode")
                return (Told.AS_ASKED if same else Told.OTHERWISE), None, None
            if mutation.operation == "delete":
                expect_object(reply.value, "the reply")
                return Told.AS_ASKED, mutation.id, None
            policy = self._one(reply)
        except WireError:
            return Told.NOTHING, None, None
        same = policy.enabled == mutation.enabled and mutation.id in (None, policy.id)
        if mutation.operation in ("create", "update"):
            same = same and is_as_sent(policy, body)
        return (Told.AS_ASKED if same else Told.OTHERWISE), policy.id, policy.enabled


def mode_from_wire(reply: Reply) -> str:
    """Return the global mode in capitals, as people know it."""
    value = expect_object(reply.value, "the enforcement settings")
    mode = expect_text(value.get("enforcementMode", MISSING), "enforcementMode")
    if mode not in _MODES:
        raise WireError("expected strict or monitoring for enforcementMode, got other text")
    return mode.upper()


def to_wire(mutation: Mutation, *, in_description: bool) -> tuple[str, str, dict[str, Json] | None]:
    """Return method, path and body of one request; raise `WireError` for what cannot be asked for."""
    if mutation.operation == "create":
        return "POST", POLICIES, content(mutation, in_description=in_description)
    if mutation.operation == "mode":
        return "PUT", SETTINGS, {"enforcementMode": (mutation.body or {}).get("enforcement_mode")}
    path = f"{POLICIES}/{quote_id(mutation.id or '')}"
    if mutation.operation == "update":
        return "PUT", path, content(mutation, in_description=in_description)
    if mutation.operation == "toggle":
        return "PATCH", f"{path}/toggle", toggle_content(mutation.enabled)
    if mutation.operation == "delete":
        return "DELETE", path, None
    raise WireError(f"AIM has no {mutation.operation}")


def is_error(value: object) -> bool:
    """Whether a body is an error of AIM's: `error` is a sentence, a list, or true beside a `message`."""
    if not isinstance(value, dict):
        return False
    return isinstance(value.get("error"), str | list) or (value.get("error") is True and "message" in value)
