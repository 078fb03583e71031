"""The two shapes a row is handed out in: as an event of semantics.md C, and as it stands in its chain.

`event` is what a preview replays. Of an audit entry it says (semantics.md C, column "NeoSC audit"):

    event_id          id                     actor_type        "user"; "service" for the server's own entries
    ts_us             timestamp              tenant            organization
    actor_id          user_id                resource_type     resource, before its ":"
    action, resource  as they are            decision_source   "service"
    seq               seq                    policy_revision   annotation, the commit
    success           success                extra             JSON: details, hash, prev, system, user_agent, user_email

and of an evaluation record all of its columns that are in C, as recorded; what was decided beside `decision` and
`policy_revision` is in `entry` only.

`entry` is the row as it was hashed, with its hash: take `hash` away, write it with sorted keys and no blanks, and
SHA-256 gives `hash` again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa

from reconciler.core.canonical import canonical_json
from reconciler.semantics.columns import COLUMNS
from reconciler.server.enforcement.tables import LISTS, events
from reconciler.server.trail.entries import MYSELF
from reconciler.server.trail.query import instant_of
from reconciler.server.trail.tables import audit_entries

#: What a column holds: the names that `parquet.py` knows. `json` is anything, written as text where it has to be.
Kinds = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Shape:
    """Columns with what they hold, and how a row of the database becomes them. A null stands for "not recorded"."""

    kinds: Kinds
    make: Callable[[Mapping[str, Any]], Mapping[str, Any]]


def _kind(column: sa.Column[Any]) -> str:
    if column.name in LISTS:
        return "texts"
    for type_, name in ((sa.JSON, "json"), (sa.Boolean, "flag"), (sa.Integer, "whole"), (sa.Float, "number")):
        if isinstance(column.type, type_):
            return name
    return "text"


#: The columns of C in their order. All of them are columns of `events`.
EVENT_KINDS: Final[Kinds] = {name: _kind(events.c[name]) for name in COLUMNS}


def _audit_event(row: Mapping[str, Any]) -> Mapping[str, Any]:
    beside = ("details", "hash", "prev", "system", "user_agent", "user_email")
    resource = row["resource"]
    return {
        **dict.fromkeys(EVENT_KINDS),
        "event_id": row["id"],
        "ts_us": instant_of(row["timestamp"]),
        "actor_id": row["user_id"],
        "action": row["action"],
        "resource": resource,
        "seq": row["seq"],
        "actor_type": "service" if row["user_id"] == MYSELF else "user",
        "tenant": row["organization"],
        "resource_type": resource.partition(":")[0] if ":" in resource else None,
        "success": row["success"],
        "decision_source": "service",
        "policy_revision": row["annotation"],
        "extra": canonical_json({name: row[name] for name in beside if row[name] is not None}),
    }


def _recorded_event(row: Mapping[str, Any]) -> Mapping[str, Any]:
    return {name: row[name] for name in EVENT_KINDS}


def _entry(table: sa.Table) -> Shape:
    return Shape({column.name: _kind(column) for column in table.columns}, dict)


AUDIT_EVENT: Final = Shape(EVENT_KINDS, _audit_event)
AUDIT_ENTRY: Final = _entry(audit_entries)
RECORDED_EVENT: Final = Shape(EVENT_KINDS, _recorded_event)
RECORDED_ENTRY: Final = _entry(events)
