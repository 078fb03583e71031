"""Policies and the global mode as AIM keeps them. No change of a policy leaves an entry anywhere."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import sqlalchemy as sa
from fastapi import Request
from fastapi.responses import JSONResponse

from reconciler.core.model import Json
from reconciler.server.aim import entries
from reconciler.server.aim.dialects import Dialect
from reconciler.server.aim.tables import aim_policies
from reconciler.server.aim.tokens import Claims
from reconciler.server.aim.wire import ZERO, fits, show
from reconciler.server.replies import ApiError, reply
from reconciler.server.store import Store
from reconciler.server.tables import settings

_UUID: Final = re.compile("[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_MODE_KEY: Final = "aim_enforcement_mode"
_MODES: Final[Mapping[str, tuple[str, str, str]]] = {
    "strict": (
        "Full enforcement of all security policies",
        "Actions that violate blocking policies are denied in real time.",
        "Policies that block do block; every violation makes an alert.",
    ),
    "monitoring": (
        "Observe and learn without disrupting agent operations",
        "All actions are allowed regardless of individual policy settings.",
        "Nothing is blocked; every violation still makes an alert.",
    ),
}


@dataclass(frozen=True, slots=True)
class Here:
    """One request of an admin: where it is answered, who asks, and the headers its reply carries."""

    store: Store
    dialect: Dialect
    claims: Claims
    request: Request
    headers: dict[str, str]

    def reply(self, content: Json, status: int = 200) -> JSONResponse:
        return reply(content, status, self.headers)

    @property
    def organization_id(self) -> str:
        """The organization as the API names it; the database here has its name."""
        return _uuid(hashlib.sha256(self.claims.organization.encode()).hexdigest())

    def make_id(self) -> str:
        """A new UUID of the random kind."""
        return _uuid(self.store.make_id("") + self.store.make_id(""))

    def now(self) -> str:
        """The time as PostgreSQL gives it back, in microseconds."""
        return datetime.fromtimestamp(self.store.seconds(), UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def read_id(text: str) -> str:
    """The id in a path; 400 for what is no UUID."""
    if not _UUID.fullmatch(text):
        raise ApiError(400, "Invalid policy ID")
    return text.lower()


def _uuid(digits: str) -> str:
    """Hex digits in the form of a random UUID (RFC 9562, version 4)."""
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-8{digits[17:20]}-{digits[20:32]}"


def list_all(here: Here) -> list[Json]:
    """Every policy of the organization: the highest priority first, of equal ones the youngest."""
    order = (aim_policies.c.priority.desc(), aim_policies.c.created_at.desc(), aim_policies.c.id)
    mine = aim_policies.c.organization == here.claims.organization
    with here.store.read() as connection:
        rows = connection.execute(sa.select(aim_policies).where(mine).order_by(*order)).mappings()
        return [_show(here, row) for row in rows]


def get_one(here: Here, policy_id: str) -> Json:
    return _show(here, _find(here, policy_id))


def create(here: Here, fields: Mapping[str, Json]) -> Json:
    """Store whatever was bound: there is no validation, only what the columns take."""
    now = here.now()
    row: dict[str, Any] = {
        **fields,
        "id": here.make_id(),
        "organization": here.claims.organization,
        "created_at": now,
        "updated_at": now,
        "created_by": here.claims.user_id,
    }
    if not fits(fields) or not _store(here, aim_policies.insert().values(row)):
        raise ApiError(500, "Failed to create policy")
    return _show(here, _with_go_time(row, "created_at", "updated_at"))


def replace_all(here: Here, policy_id: str, fields: Mapping[str, Json]) -> Json:
    """Write all nine fields: what was left out is blank from now on."""
    before = _find(here, policy_id)
    row = {**before, **fields, "updated_at": here.now()}
    if not fits(fields) or not _store(here, _update(row)):
        raise ApiError(500, "Failed to update policy")
    return _show(here, _with_go_time(row, "updated_at"))


def toggle(here: Here, policy_id: str, *, enabled: bool) -> Json:
    """Read the row, set one field, write the whole row: what somebody wrote meanwhile is undone."""
    try:
        before = _find(here, policy_id)
    except ApiError:
        if here.dialect.is_scoped:
            raise
        raise ApiError(500, "Failed to toggle policy") from None
    row = {**before, "is_enabled": enabled, "updated_at": here.now()}
    _store(here, _update(row))
    return _show(here, _find(here, policy_id))


def delete(here: Here, policy_id: str) -> None:
    """Remove a policy; the oldest generation says the same of one that is not there."""
    if here.dialect.is_scoped:
        _find(here, policy_id)
    with here.store.write() as connection:
        connection.execute(aim_policies.delete().where(*_which(here, policy_id)))


def _find(here: Here, policy_id: str) -> dict[str, Any]:
    with here.store.read() as connection:
        row = connection.execute(sa.select(aim_policies).where(*_which(here, policy_id))).mappings().first()
    if row is None:
        raise ApiError(404, "Policy not found")
    return dict(row)


def _which(here: Here, policy_id: str) -> tuple[sa.ColumnElement[bool], ...]:
    """By id; the oldest generation finds other organizations' policies, too."""
    by_id = aim_policies.c.id == policy_id
    return (by_id, aim_policies.c.organization == here.claims.organization) if here.dialect.is_scoped else (by_id,)


def _update(row: Mapping[str, Any]) -> sa.Update:
    written = {name: row[name] for name in (*ZERO, "updated_at")}
    return aim_policies.update().where(aim_policies.c.id == row["id"]).values(written)


def _store(here: Here, statement: sa.Insert | sa.Update) -> bool:
    """Whether the database took it; a name that is taken is the one thing it refuses."""
    try:
        with here.store.write() as connection:
            connection.execute(statement)
    except sa.exc.IntegrityError:
        return False
    return True


def _show(here: Here, row: Mapping[Any, Any]) -> Json:
    return show(row, here.organization_id, here.dialect)


def _with_go_time(row: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """Times as the process had them, in nanoseconds; a later read has them rounded."""
    return {**row, **{name: str(row[name]).removesuffix("Z") + "417Z" for name in names}}


# -------------------------------------------------------------------------------------------------- mode


def read_mode(here: Here) -> str:
    mine = (settings.c.organization == here.claims.organization, settings.c.key == _MODE_KEY)
    with here.store.read() as connection:
        return connection.execute(sa.select(settings.c.value).where(*mine)).scalar() or "monitoring"


def set_mode(here: Here, mode: str) -> str:
    """Set the mode of the organization; the one change here that is in the audit log."""
    if mode not in _MODES:
        raise ApiError(400, "Invalid enforcement mode. Must be 'strict' or 'monitoring'")
    mine = (settings.c.organization == here.claims.organization, settings.c.key == _MODE_KEY)
    with here.store.write() as connection:
        if connection.execute(settings.update().where(*mine).values(value=mode)).rowcount == 0:
            row = {"organization": here.claims.organization, "key": _MODE_KEY, "value": mode}
            connection.execute(settings.insert().values(row))
        entries.add(
            connection, here, action="update", resource_type="enforcement_settings", notes={"newEnforcementMode": mode}
        )
    return mode


def show_mode(mode: str) -> Json:
    description, explanation, impact = _MODES[mode]
    return {"enforcementMode": mode, "description": description, "explanation": explanation, "impact": impact}
