"""OpenA2A's API as documented: policies with conditions and actions, a toggle that sets, a mode, an audit log."""

from __future__ import annotations

from functools import partial
from typing import Any, Final

import sqlalchemy as sa
from fastapi import APIRouter
from fastapi.responses import JSONResponse

from reconciler.core.model import Json
from reconciler.server import bodies
from reconciler.server.auth import Admin, Asked, User
from reconciler.server.enforcement.changes import list_tag
from reconciler.server.preconditions.changing import changing
from reconciler.server.preconditions.etags import etag_headers, taken_status
from reconciler.server.preconditions.paging import ANNOUNCED, read_page, read_part
from reconciler.server.replies import ApiError, list_reply, reply
from reconciler.server.tables import opena2a_policies, settings
from reconciler.server.trail.entries import Entry, record

SYSTEM: Final = "opena2a"
MODES: Final = {
    "strict": {
        "description": "Full enforcement of all security policies",
        "explanation": "Actions that violate blocking policies are denied in real time.",
        "impact": "Policies that block do block; every violation makes an alert.",
    },
    "monitoring": {
        "description": "Observe and learn without disrupting agent operations",
        "explanation": "All actions are allowed regardless of individual policy settings.",
        "impact": "Nothing is blocked; every violation still makes an alert.",
    },
}
_MODE_KEY: Final = "enforcement_mode"
_DEFAULT_MODE: Final = "monitoring"

#: What an author may write: the documented fields, and the rest of the envelope of semantics.md B.3.
_FIELDS: Final[dict[str, bodies.Check]] = {
    "name": bodies.text(255, empty=False),
    "description": bodies.text(10_000),
    "policy_type": bodies.text(50, empty=False),
    "enabled": bodies.boolean,
    "severity": bodies.one_of("low", "medium", "high", "critical"),
    "conditions": bodies.mapping,
    "actions": bodies.mapping,
    "priority": bodies.integer,
    "applies_to": bodies.text_or_texts,
    "enforcement_action": bodies.one_of("allow", "alert_only", "block_and_alert"),
    "on_missing": bodies.one_of("default", "violate", "pass"),
    "timezone": bodies.text(64),
}
_SERVER_OWNED: Final = ("id", "created_at", "updated_at")
_REQUIRED: Final = ("name", "policy_type")
_OPTIONAL: Final = tuple(key for key in _FIELDS if key not in (*_REQUIRED, "enabled"))
_UPDATE_FIELDS: Final[dict[str, bodies.Check]] = {**_FIELDS, **dict.fromkeys(_SERVER_OWNED, bodies.text(64))}

router = APIRouter(prefix="/v1/admin")


@router.get("/security-policies")
def list_policies(asked: User) -> JSONResponse:
    """Every policy in the order they were made. A part of the list says where the next one begins."""
    page = read_page(asked.request, status=400)
    with asked.store.read() as connection:
        query = sa.select(opena2a_policies).where(_own(asked))
        tag = partial(list_tag, system=SYSTEM, organization=asked.caller.organization)
        part = read_part(connection, query, opena2a_policies.c.seq, page, tag)
    found: dict[str, Json] = {"policies": [page.show(_to_wire(row)) for row in part.rows], "total": part.total}
    if part.next is not None:
        found["next"] = part.next
    return list_reply(found, part.total, part.headers)


@router.get("/security-policies/{policy_id}")
def get_policy(policy_id: str, asked: User) -> JSONResponse:
    with asked.store.read() as connection:
        policy = _find(connection, asked, policy_id)
    return reply({"policy": policy}, headers={**etag_headers(policy), **ANNOUNCED})


@router.post("/security-policies")
def create_policy(asked: Admin) -> JSONResponse:
    """Make a policy under an id of ours. A field that is null counts as left out."""
    body = asked.body()
    bodies.check_fields(body, _FIELDS, status=400, required=_REQUIRED, nullable=_OPTIONAL)
    store, now = asked.store, asked.store.timestamp(milliseconds=False)
    row = {"id": store.make_id("policy_"), "created_at": now, "updated_at": now}
    mine = {"organization": asked.caller.organization}
    taken = taken_status(asked.request)
    with changing(asked) as change:
        _refuse_taken_name(change.connection, asked, body["name"], taken)
        values = {**row, **mine, **_to_columns({"enabled": True, **body})}
        change.connection.execute(opena2a_policies.insert().values(**values))
        _record(change.connection, asked, "create_policy", row["id"], "Policy created")
        made = _find(change.connection, asked, row["id"])
        return change.reply({"policy": made}, 201, etag_headers(made))


@router.put("/security-policies/{policy_id}")
def update_policy(policy_id: str, asked: Admin) -> JSONResponse:
    """Replace the top-level fields given, keep those left out, remove those given as null (design.md 7).

    What the server owns may be sent back as it was read, so that a policy read can be a policy written.
    """
    body = asked.body()
    bodies.check_fields(body, _UPDATE_FIELDS, status=400, nullable=_OPTIONAL)
    with changing(asked) as change:
        before = _find(change.connection, asked, policy_id)
        change.check(before)
        for key in _SERVER_OWNED:
            if key in body and body[key] != before[key]:
                raise ApiError(400, f"{key} is set by the server")
        after = {**before, **body}
        if after["name"] != before["name"]:
            _refuse_taken_name(change.connection, asked, after["name"], 409)
        values = {**_to_columns(after), "updated_at": asked.store.timestamp(milliseconds=False)}
        change.connection.execute(opena2a_policies.update().where(_own(asked, id=policy_id)).values(**values))
        changed = ", ".join(bodies.changed_fields(before, body)) or "nothing"
        _record(change.connection, asked, "update_policy", policy_id, f"Policy updated: {changed}")
        stored = _find(change.connection, asked, policy_id)
        return change.reply({"policy": stored}, headers=etag_headers(stored))


@router.patch("/security-policies/{policy_id}/toggle")
def toggle_policy(policy_id: str, asked: Admin) -> JSONResponse:
    """Set `enabled` to the value sent; sending it twice is sending it once."""
    body = asked.body()
    bodies.check_fields(body, {"enabled": bodies.boolean}, status=400, required=("enabled",))
    with changing(asked) as change:
        change.check(_find(change.connection, asked, policy_id))
        switch(change.connection, asked, policy_id, enabled=body["enabled"] is True)
        policy = _find(change.connection, asked, policy_id)
        message = f"Policy {'enabled' if policy['enabled'] else 'disabled'}"
        shown = {key: policy[key] for key in ("id", "name", "enabled", "updated_at")}
        return change.reply({"policy": shown, "message": f"{message} successfully"}, headers=etag_headers(policy))


def switch(connection: sa.Connection, asked: Asked, policy_id: str, *, enabled: bool, because: str = "") -> Entry:
    """Set `enabled` of a policy that was just read in this transaction, and record it; *because* ends the entry."""
    values = {"enabled": enabled, "updated_at": asked.store.timestamp(milliseconds=False)}
    connection.execute(opena2a_policies.update().where(_own(asked, id=policy_id)).values(**values))
    message = f"Policy {'enabled' if enabled else 'disabled'}{because}"
    return _record(connection, asked, "toggle_policy", policy_id, message)


@router.delete("/security-policies/{policy_id}")
def delete_policy(policy_id: str, asked: Admin) -> JSONResponse:
    with changing(asked) as change:
        change.check(_find(change.connection, asked, policy_id))
        change.connection.execute(opena2a_policies.delete().where(_own(asked, id=policy_id)))
        _record(change.connection, asked, "delete_policy", policy_id, "Policy deleted")
        return change.reply({"message": "Security policy deleted successfully", "policy_id": policy_id})


@router.get("/enforcement-settings")
def get_enforcement_settings(asked: User) -> JSONResponse:
    with asked.store.read() as connection:
        shown = _settings(read_mode(connection, asked.caller.organization))
    return reply(shown, headers=etag_headers(shown))


@router.put("/enforcement-settings")
def update_enforcement_settings(asked: Admin) -> JSONResponse:
    """Set the global mode; the texts beside it are ours (systems.md 4.1)."""
    body = asked.body()
    mode = body.get("enforcementMode")
    if not isinstance(mode, str) or mode not in MODES:
        raise ApiError(400, "Invalid enforcement mode. Must be 'strict' or 'monitoring'")
    bodies.check_fields(body, {"enforcementMode": bodies.one_of(*MODES)}, status=400)
    with changing(asked) as change:
        connection = change.connection
        change.check(_settings(read_mode(connection, asked.caller.organization)))
        set_mode(connection, asked, mode)
        shown = _settings(mode)
        return change.reply(shown, headers=etag_headers(shown))


def set_mode(connection: sa.Connection, asked: Asked, mode: str) -> Entry:
    """Set the organization's mode, and record it."""
    key = {"organization": asked.caller.organization, "key": _MODE_KEY}
    connection.execute(settings.delete().filter_by(**key))
    connection.execute(settings.insert().values(**key, value=mode))
    return record(
        connection,
        asked,
        system=SYSTEM,
        action="update_enforcement_settings",
        resource="enforcement-settings",
        details=f"Enforcement mode set to {mode}",
    )


def _own(asked: User, **values: Json) -> sa.ColumnElement[bool]:
    """The policies of the caller's organization with these values: all that are there for them."""
    own = opena2a_policies.c.organization == asked.caller.organization
    return sa.and_(own, *(opena2a_policies.c[key] == value for key, value in values.items()))


def _find(connection: sa.Connection, asked: User, policy_id: str) -> dict[str, Json]:
    row = connection.execute(sa.select(opena2a_policies).where(_own(asked, id=policy_id))).first()
    if row is None:
        raise ApiError(404, "Policy not found")
    return _to_wire(row)


def _refuse_taken_name(connection: sa.Connection, asked: User, name: Json, status: int) -> None:
    if connection.execute(sa.select(opena2a_policies.c.id).where(_own(asked, name=name))).first():
        raise ApiError(status, "A policy with this name already exists")


def _to_columns(policy: dict[str, Json]) -> dict[str, Any]:
    body = {key: policy[key] for key in _FIELDS if key not in ("name", "enabled") and policy.get(key) is not None}
    return {"name": policy["name"], "enabled": policy["enabled"], "body": body}


def _to_wire(row: Any) -> dict[str, Json]:
    policy = {"name": row.name, "enabled": row.enabled, **row.body}
    fields = {key: policy[key] for key in _FIELDS if key in policy}
    return {"id": row.id, **fields, "created_at": row.created_at, "updated_at": row.updated_at}


def read_mode(connection: sa.Connection, organization: str) -> str:
    """The organization's enforcement mode: `strict` or `monitoring`."""
    mode = sa.select(settings.c.value).where(settings.c.organization == organization, settings.c.key == _MODE_KEY)
    return connection.execute(mode).scalar() or _DEFAULT_MODE


def _settings(mode: str) -> dict[str, Json]:
    return {"enforcementMode": mode, **MODES[mode]}


def _record(connection: sa.Connection, asked: Asked, action: str, policy_id: str, details: str) -> Entry:
    resource = f"policy:{policy_id}"
    return record(connection, asked, system=SYSTEM, action=action, resource=resource, details=details)
