"""AIM's audit log: what is read there is written there, with the `User-Agent` and the filters as they came."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from reconciler.core.model import Json
from reconciler.server.aim.tables import aim_entries
from reconciler.server.aim.wire import camel
from reconciler.server.replies import ApiError

if TYPE_CHECKING:
    from reconciler.server.aim.policies import Here

_DEFAULT_LIMIT: Final = 100
_SHOWN: Final = (
    "id",
    "organization_id",
    "user_id",
    "action",
    "resource_type",
    "resource_id",
    "ip_address",
    "user_agent",
    "metadata",
    "timestamp",
)
#: Columns by the name of their filter.
_FILTERS: Final[Mapping[str, str]] = {
    "action": "action",
    "entity_type": "resource_type",
    "entity_id": "resource_id",
    "user_id": "user_id",
}


def list_entries(here: Here) -> Json:
    """Entries of the organization, newest first, and an entry about having been asked for them."""
    asked = here.request.query_params
    limit, offset = _number(asked.get("limit"), _DEFAULT_LIMIT), _number(asked.get("offset"), 0)
    if limit < 0 or offset < 0:
        raise ApiError(500, "Failed to fetch audit logs")
    which = [aim_entries.c.organization == here.claims.organization]
    if here.dialect.filters:
        which += [aim_entries.c[column] == asked[name] for name, column in _FILTERS.items() if asked.get(name)]
    with here.store.write() as connection:
        page = sa.select(aim_entries).where(*which).order_by(aim_entries.c.seq.desc()).limit(limit).offset(offset)
        rows = [_show(here, row) for row in connection.execute(page).mappings()]
        count = sa.select(sa.func.count()).select_from(aim_entries).where(*which)
        total = connection.execute(count).scalar_one() if here.dialect.filters else len(rows)
        notes = {f"filter_{column}": asked.get(name, "") for name, column in _FILTERS.items()}
        add(connection, here, action="view", resource_type="audit_logs", notes=notes)
    found: Json = rows or None  # type: ignore[assignment]
    return {"logs": found, "total": total, "limit": limit, "offset": offset}


def add(connection: sa.Connection, here: Here, *, action: str, resource_type: str, notes: Mapping[str, str]) -> None:
    """Write an entry in the caller's transaction."""
    client = here.request.client
    row = {
        "id": here.make_id(),
        "organization": here.claims.organization,
        "user_id": here.claims.user_id,
        "action": action,
        "resource_type": resource_type,
        "resource_id": here.organization_id,
        "ip_address": "" if client is None else client.host,
        "user_agent": here.request.headers.get("user-agent", ""),
        "metadata": dict(notes),
        "timestamp": here.now().removesuffix("Z"),
    }
    connection.execute(aim_entries.insert().values(row))


def _show(here: Here, row: Mapping[Any, Any]) -> dict[str, Json]:
    whole = {**row, "organization_id": here.organization_id}
    return {camel(name) if here.dialect.camel_entries else name: whole[name] for name in _SHOWN}


def _number(text: str | None, default: int) -> int:
    """A number as Go reads it from a query; what is none is the default."""
    try:
        return default if text is None else int(text)
    except ValueError:
        return default
