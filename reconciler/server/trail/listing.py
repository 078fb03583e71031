"""Evaluation records in order of arrival, part by part: what `events pull` reads, each record once.

A reader keeps the number of the last record it has and asks for those after it. Numbers are given in the order in which
records are committed (`Store.write`), so nothing ever turns up behind a reader.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa

from reconciler.core.model import Json
from reconciler.server.enforcement.tables import events
from reconciler.server.trail.anchors import read_anchors
from reconciler.server.trail.query import instant_of
from reconciler.server.trail.records import EVENTS, SESSIONS
from reconciler.server.trail.shapes import EVENT_KINDS

#: A part is about as long as this at most, so that a reader who caps replies can read it.
MOST_BYTES: Final = 2 * 1024 * 1024
_COLUMNS: Final = tuple(events.c[name] for name in EVENT_KINDS)


@dataclass(frozen=True, slots=True)
class Listed:
    """Some records, oldest first; `next` is what to ask for those after them with, None where these are the newest.

    `removed_until` is the instant of the newest record that the retention job removed: a reader whose last record is
    older has missed some.
    """

    events: Sequence[Mapping[str, Json]]
    next: int | None
    removed_until: int | None

    def to_wire(self) -> dict[str, Json]:
        shown: list[Json] = [dict(event) for event in self.events]
        return {"events": shown, "next": self.next, "removed_until": self.removed_until}


def list_events(connection: sa.Connection, organization: str, *, after: int, limit: int) -> Listed:
    """Return at most *limit* records after number *after*, and fewer where they are long."""
    mine = sa.select(*_COLUMNS).where(events.c.organization == organization, events.c.seq > after)
    rows = connection.execute(mine.order_by(events.c.seq).limit(limit + 1))
    found: list[Mapping[str, Json]] = []
    size = 0
    for row in rows.mappings():
        event = _known(row)
        size += len(json.dumps(event, ensure_ascii=False).encode("utf-8", "replace"))
        if len(found) == limit or (found and size > MOST_BYTES):
            rows.close()
            return Listed(found, _number(found[-1]), _removed_until(connection, organization))
        found.append(event)
    return Listed(found, None, _removed_until(connection, organization))


def _known(row: Mapping[Any, Any]) -> dict[str, Json]:
    """A record without the columns that nobody recorded: most have few."""
    return {name: row[name] for name in EVENT_KINDS if row[name] is not None}


def _number(event: Mapping[str, Json]) -> int:
    seq = event["seq"]
    assert isinstance(seq, int)  # noqa: S101 - a column that is never null
    return seq


def _removed_until(connection: sa.Connection, organization: str) -> int | None:
    """Anchors have their times rounded up to the millisecond; here it is never later than it was."""
    anchors = [each for chain in (EVENTS, SESSIONS) for each in read_anchors(connection, chain.name, organization)]
    return max((max(0, instant_of(each.newest) - 999) for each in anchors), default=None)
