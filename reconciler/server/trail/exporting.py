"""The trail as a file: every row that was there when it was asked for, in order, in memory that does not grow with it.

Rows are read in pages, each in a transaction of its own, so that a slow reader keeps nobody waiting. What the
retention job removes meanwhile is not in the file any more.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa

from reconciler.server.enforcement.tables import events
from reconciler.server.store import Store
from reconciler.server.trail import reading, shapes
from reconciler.server.trail.query import Wanted
from reconciler.server.trail.shapes import Shape
from reconciler.server.trail.tables import audit_entries

PAGE: Final = 2000


@dataclass(frozen=True, slots=True)
class Export:
    """What to hand out: rows that meet the conditions, by the columns that put them in order, in a shape."""

    table: sa.Table
    conditions: tuple[sa.ColumnElement[bool], ...]
    order: tuple[sa.Column[Any], ...]
    shape: Shape


def export_audit(organization: str, wanted: Wanted, *, as_entries: bool) -> Export:
    """Audit entries: as events by time, as entries in the order of their chain."""
    entry = audit_entries.c
    order = (entry.seq,) if as_entries else (entry.timestamp, entry.seq)
    shape = shapes.AUDIT_ENTRY if as_entries else shapes.AUDIT_EVENT
    return Export(audit_entries, tuple(reading.conditions(organization, wanted)), order, shape)


def export_events(
    organization: str, kind: str | None, since: int | None, until: int | None, *, as_entries: bool
) -> Export:
    """Evaluation records: as events by time, as entries in the order of their chains."""
    event = events.c
    found = [event.organization == organization]
    if kind is not None:
        found.append(event.chain == kind)
    if since is not None:
        found.append(event.ts_us >= since)
    if until is not None:
        found.append(event.ts_us < until)
    order: tuple[sa.Column[Any], ...] = (event.chain, event.link) if as_entries else (event.ts_us, event.seq)
    return Export(events, tuple(found), order, shapes.RECORDED_ENTRY if as_entries else shapes.RECORDED_EVENT)


def read_pages(store: Store, export: Export) -> Iterator[list[Mapping[str, Any]]]:
    """The rows, page by page; what is added after the first page was asked for is left out."""
    seq = export.table.c.seq
    with store.read() as connection:
        newest = connection.execute(sa.select(sa.func.max(seq)).where(*export.conditions)).scalar()
    if newest is None:
        return
    query = sa.select(export.table).where(*export.conditions, seq <= newest).order_by(*export.order).limit(PAGE)
    page = query
    while True:
        with store.read() as connection:
            rows = connection.execute(page).mappings().all()
        if rows:
            yield [export.shape.make(dict(row)) for row in rows]
        if len(rows) < PAGE:
            return
        place = [rows[-1][column.name] for column in export.order]
        page = query.where(sa.tuple_(*export.order) > sa.tuple_(*map(sa.literal, place)))
