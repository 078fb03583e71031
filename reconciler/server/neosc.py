"""NeoSC's API as documented: a bare list, a toggle that flips, an audit log. The announced calls are `announced`.

The quirks are kept on purpose, the accidents are not: the toggle flips whatever it finds, but atomically; the first
list makes three policies, but once (systems.md 1.1).
"""

from __future__ import annotations

import re
from functools import partial
from typing import Any, Final

import sqlalchemy as sa
from fastapi import APIRouter
from fastapi.responses import JSONResponse

from reconciler.core.model import Json
from reconciler.server import bodies
from reconciler.server.auth import Admin, Asked, User
from reconciler.server.enforcement.changes import bump, list_tag
from reconciler.server.preconditions.changing import changing
from reconciler.server.preconditions.etags import etag_headers, taken_status
from reconciler.server.preconditions.paging import Part, read_page, read_part
from reconciler.server.preconditions.wishes import read_wish, wish_headers
from reconciler.server.replies import ApiError, list_reply
from reconciler.server.tables import neosc_policies
from reconciler.server.trail.entries import Entry, add_own, record

SYSTEM: Final = "neosc"
TYPES: Final = ("access", "network", "session")
DEFAULTS: Final[tuple[dict[str, Any], ...]] = (
    {
        "id": "pol-mfa-required",
        "name": "MFA Required",
        "description": "Enforce multi-factor authentication for all users",
        "type": "access",
        "rules": ["Require MFA for login", "WebAuthn preferred", "TOTP as fallback"],
        "enabled": True,
    },
    {
        "id": "pol-network-zero-trust",
        "name": "Zero Trust Network",
        "description": "All connections through encrypted NetBird tunnels",
        "type": "network",
        "rules": ["No direct connections", "WireGuard encryption", "Identity verification"],
        "enabled": True,
    },
    {
        "id": "pol-session-recording",
        "name": "Session Recording",
        "description": "Record all workspace sessions for audit",
        "type": "session",
        "rules": ["Record screen activity", "Log keystrokes for audit", "30-day retention"],
        "enabled": True,
    },
)

ALL: Final = sa.select(neosc_policies)
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_FIELDS: Final[dict[str, bodies.Check]] = {
    "id": lambda value: None if isinstance(value, str) and _ID.fullmatch(value) else f"text like {_ID.pattern}",
    "name": bodies.text(255, empty=False),
    "description": bodies.text(10_000),
    "type": bodies.one_of(*TYPES),
    "rules": bodies.texts,
    "enabled": bodies.boolean,
    "checks": bodies.mapping,
    "created_at": bodies.text(32),
}

router = APIRouter(prefix="/api")
announced = APIRouter(prefix="/api")


@router.get("/policies")
def list_policies(asked: User) -> JSONResponse:
    """Every policy in the order they were made; the three defaults are made first when there is none."""
    page = read_page(asked.request, status=422)

    def read(connection: sa.Connection) -> Part:
        tag = partial(list_tag, system=SYSTEM, organization=asked.caller.organization)
        return read_part(connection, ALL, neosc_policies.c.seq, page, tag)

    with asked.store.read() as connection:
        part = read(connection)
    if not part.total:
        with asked.store.write() as connection:
            if connection.execute(ALL.limit(1)).first() is None:
                make_defaults(connection, asked)
            part = read(connection)
    return list_reply([page.show(to_wire(row)) for row in part.rows], part.total, part.headers)


@router.patch("/policies/{policy_id}")
def toggle_policy(policy_id: str, asked: Admin) -> JSONResponse:
    """Flip `enabled`, whatever it is and whatever was sent; a request may prefer to set it."""
    wish = read_wish(asked.request)
    with changing(asked) as change:
        before = find_policy(change.connection, policy_id)
        if before is None:
            raise ApiError(404, "Policy not found")
        change.check(before)
        enabled = not before["enabled"] if wish is None else wish
        switch(change.connection, asked, policy_id, enabled=enabled)
        message = f"Policy {'enabled' if enabled else 'disabled'}"
        headers = {**etag_headers({**before, "enabled": enabled}), **wish_headers(wish)}
        return change.reply({"message": message, "enabled": enabled}, headers=headers)


def switch(connection: sa.Connection, asked: Asked, policy_id: str, *, enabled: bool, because: str = "") -> Entry:
    """Set `enabled` of a policy that was just read in this transaction, and record it; *because* ends the entry."""
    connection.execute(neosc_policies.update().where(neosc_policies.c.id == policy_id).values(enabled=enabled))
    message = f"Policy {'enabled' if enabled else 'disabled'}{because}"
    return record_change(connection, asked, "toggle_policy", policy_id, message)


@announced.post("/policies")
def create_policy(asked: Admin) -> JSONResponse:
    """Make a policy, under the id given or one made from its name."""
    body = asked.body()
    bodies.check_fields(body, _FIELDS, status=422, required=("name", "type"), nullable=("checks",))
    if "created_at" in body:
        raise ApiError(422, "created_at is set by the server")
    policy: dict[str, Any] = {"description": "", "rules": [], "enabled": True, "checks": None, **body}
    policy.setdefault("id", _slug(policy["name"]) or asked.store.make_id("pol-"))
    taken = taken_status(asked.request)
    with changing(asked) as change:
        if find_policy(change.connection, policy["id"]) is not None:
            raise ApiError(taken, "Policy already exists")
        change.connection.execute(neosc_policies.insert().values(**policy, created_at=asked.store.timestamp()))
        record_change(change.connection, asked, "create_policy", policy["id"], "Policy created")
        made = find_policy(change.connection, policy["id"]) or {}
        return change.reply(made, 201, etag_headers(made))


@announced.put("/policies/{policy_id}")
def update_policy(policy_id: str, asked: Admin) -> JSONResponse:
    """Change the fields given, keep the others. `checks: null` removes the checks."""
    body = asked.body()
    bodies.check_fields(body, _FIELDS, status=422, nullable=("checks",))
    with changing(asked) as change:
        before = find_policy(change.connection, policy_id)
        if before is None:
            raise ApiError(404, "Policy not found")
        change.check(before)
        for key in ("id", "created_at"):
            if key in body and body[key] != before[key]:
                raise ApiError(422, f"{key} cannot be changed")
        if body:
            update = neosc_policies.update().where(neosc_policies.c.id == policy_id)
            change.connection.execute(update.values(**body))
        details = f"Policy updated: {', '.join(bodies.changed_fields(before, body)) or 'nothing'}"
        record_change(change.connection, asked, "update_policy", policy_id, details)
        after = find_policy(change.connection, policy_id) or {}
        return change.reply(after, headers=etag_headers(after))


@announced.delete("/policies/{policy_id}")
def delete_policy(policy_id: str, asked: Admin) -> JSONResponse:
    with changing(asked) as change:
        before = find_policy(change.connection, policy_id)
        if before is None:
            raise ApiError(404, "Policy not found")
        change.check(before)
        change.connection.execute(neosc_policies.delete().where(neosc_policies.c.id == policy_id))
        record_change(change.connection, asked, "delete_policy", policy_id, "Policy deleted")
        return change.reply({"message": "Policy deleted"})


def find_policy(connection: sa.Connection, policy_id: str) -> dict[str, Json] | None:
    row = connection.execute(sa.select(neosc_policies).where(neosc_policies.c.id == policy_id)).first()
    return None if row is None else to_wire(row)


def to_wire(row: Any) -> dict[str, Json]:
    policy = {name: getattr(row, name) for name in ("id", "name", "description", "type", "rules", "enabled")}
    if row.checks is not None:
        policy["checks"] = row.checks
    return {**policy, "created_at": row.created_at}


def make_defaults(connection: sa.Connection, asked: Asked) -> None:
    """Nobody asked for them, so the entry is the server's own, which NeoSC's log does not show."""
    store, organization = asked.store, asked.caller.organization
    made = [{**policy, "created_at": store.timestamp()} for policy in DEFAULTS]
    connection.execute(neosc_policies.insert(), made)
    details = f"Default policies created: {', '.join(policy['id'] for policy in DEFAULTS)}"
    add_own(connection, store, organization, action="create_defaults", resource="neosc-policies", details=details)
    bump(connection, None)


def record_change(connection: sa.Connection, asked: Asked, action: str, policy_id: str, details: str) -> Entry:
    resource = f"policy:{policy_id}"
    return record(connection, asked, system=SYSTEM, action=action, resource=resource, details=details)


def _slug(name: str) -> str:
    words = re.findall("[a-z0-9]+", name.lower())
    return f"pol-{'-'.join(words)}"[:128].rstrip("-") if words else ""
