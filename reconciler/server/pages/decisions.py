"""What became of the requests that were judged, by day, without reading all of them.

How many there were is told by the numbers that they have (`seq` counts arrivals, also those that `--sample` drops);
those that some policy stops, or would stop in STRICT, are always recorded, and have an index of their own.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any, Final

import sqlalchemy as sa

from reconciler.server.enforcement.tables import events, progress

_DAY: Final = 86_400_000_000


@dataclass(frozen=True, slots=True)
class DecisionDays:
    """Requests on some days in a row; the counts go with `days`.

    `would_block` were let through because the mode was MONITORING. What retention removed is not counted any more.
    """

    days: tuple[str, ...]
    requests: tuple[int, ...]
    would_block: tuple[int, ...]
    blocked: tuple[int, ...]

    @property
    def total(self) -> int:
        return sum(self.requests)


def count_decisions(connection: sa.Connection, organization: str, now: datetime, *, days: int) -> DecisionDays:
    """Return what became of requests on the last *days* days in UTC, today included."""
    today = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    first = today - timedelta(days=days - 1)
    start = int(first.timestamp()) * 1_000_000
    last = connection.execute(sa.select(progress.c.seq).where(progress.c.organization == organization)).scalar() or 0
    ends = [_first_number(connection, organization, start + day * _DAY, last) for day in range(days + 1)]
    stopped = _count_stopped(connection, organization, start, days)
    return DecisionDays(
        tuple(f"{first + timedelta(days=day):%Y-%m-%d}" for day in range(days)),
        tuple(after - before for before, after in pairwise(ends)),
        *(tuple(stopped.get((day, decision), 0) for day in range(days)) for decision in ("allow", "block")),
    )


def _first_number(connection: sa.Connection, organization: str, at_us: int, last: int) -> int:
    """The number of the first request from an instant on; one past the last where there is none."""
    mine = sa.select(events.c.seq).where(events.c.organization == organization, events.c.ts_us >= at_us)
    found = connection.execute(mine.order_by(events.c.ts_us, events.c.seq).limit(1)).scalar()
    return last + 1 if found is None else int(found)


def _count_stopped(connection: sa.Connection, organization: str, start: int, days: int) -> dict[tuple[int, str], int]:
    rows = connection.execute(stopped_query(organization, start, start + days * _DAY)).all()
    return {((at - start) // _DAY, decision): count for at, decision, count in rows}


def stopped_query(organization: str, since: int, until: int) -> sa.Select[Any]:
    """What counts the requests that a policy stops. The decision is named, or SQLite would not choose the index."""
    columns = events.c
    day = columns.ts_us - columns.ts_us % _DAY
    return (
        sa.select(day, columns.decision, sa.func.count())
        .where(columns.organization == organization, columns.would_block, columns.decision.in_(("allow", "block")))
        .where(columns.ts_us >= since, columns.ts_us < until)
        .group_by(day, columns.decision)
    )
