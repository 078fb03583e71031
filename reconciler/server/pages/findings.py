"""Violations counted by day, and the policies that lists of findings can be narrowed to.

The lists themselves, and how findings are settled, are `enforcement/findings.py`'s.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import sqlalchemy as sa

from reconciler.semantics.program import SEVERITIES
from reconciler.server.enforcement.findings import Status
from reconciler.server.enforcement.tables import findings
from reconciler.server.enforcement.wire import instant

_DAY: Final = 86_400_000_000
_CHOICES: Final = 500


@dataclass(frozen=True, slots=True)
class PolicyDays:
    """How often one policy was violated on each of some days."""

    system: str
    policy_id: str
    policy_name: str
    counts: tuple[int, ...]
    total: int


@dataclass(frozen=True, slots=True)
class DayCounts:
    """How often each policy was violated on some days in a row, most violated first; `counts` go with `days`."""

    days: tuple[str, ...]
    rows: tuple[PolicyDays, ...]

    @property
    def total(self) -> int:
        return sum(row.total for row in self.rows)


@dataclass(frozen=True, slots=True)
class OpenAlerts:
    """The alerts of one policy that nobody has looked at: how many, how bad the worst is, and the newest."""

    system: str
    policy_id: str
    policy_name: str
    severity: str
    count: int
    at: str
    actor: str
    action: str
    resource: str
    decision: str


def open_alerts(connection: sa.Connection, organization: str) -> tuple[OpenAlerts, ...]:
    """Open alerts by policy, the worst first."""
    columns = findings.c
    mine = (columns.organization == organization, columns.is_alert, columns.status == Status.OPEN)
    rank = sa.case({name: place for place, name in enumerate(SEVERITIES)}, value=columns.severity, else_=-1)
    grouped = (
        sa.select(sa.func.max(columns.number).label("newest"), sa.func.count().label("count"))
        .add_columns(sa.func.max(rank).label("rank"))
        .where(*mine)
        .group_by(columns.system, columns.policy_id)
        .subquery()
    )
    query = sa.select(findings, grouped.c.count, grouped.c.rank).join(grouped, columns.number == grouped.c.newest)
    rows = connection.execute(query.order_by(grouped.c.rank.desc(), grouped.c.count.desc(), columns.number.desc()))
    return tuple(
        OpenAlerts(
            row.system,
            row.policy_id,
            row.policy_name,
            SEVERITIES[row.rank] if row.rank >= 0 else row.severity,
            row[-2],
            instant(row.ts_us),
            row.actor_id,
            row.action,
            row.resource,
            row.decision,
        )
        for row in rows
    )


def count_open_alerts(connection: sa.Connection, organization: str) -> int:
    columns = findings.c
    wanted = (columns.organization == organization, columns.is_alert, columns.status == Status.OPEN)
    return connection.execute(sa.select(sa.func.count()).select_from(findings).where(*wanted)).scalar_one()


def count_by_day(
    connection: sa.Connection, organization: str, now: datetime, *, days: int, policy: tuple[str, str] | None = None
) -> DayCounts:
    """Violations of each policy, or of one, on the last *days* days in UTC, today included."""
    today = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    first = today - timedelta(days=days - 1)
    start = int(first.timestamp()) * 1_000_000
    columns = findings.c
    fits = [columns.organization == organization, columns.kind == "violation", columns.ts_us >= start]
    fits.append(columns.ts_us < start + days * _DAY)
    if policy is not None:
        fits += [columns.system == policy[0], columns.policy_id == policy[1]]
    day = columns.ts_us - columns.ts_us % _DAY
    counted = (
        sa.select(columns.system, columns.policy_id, sa.func.max(columns.policy_name), day, sa.func.count())
        .where(*fits)
        .group_by(columns.system, columns.policy_id, day)
    )
    found: dict[tuple[str, str], tuple[str, dict[int, int]]] = {}
    for system, policy_id, name, at, count in connection.execute(counted):
        found.setdefault((system, policy_id), (name, {}))[1][(at - start) // _DAY] = count
    rows = [
        PolicyDays(system, policy_id, name, counts, sum(counts))
        for (system, policy_id), (name, by_day) in found.items()
        for counts in [tuple(by_day.get(index, 0) for index in range(days))]
    ]
    names = tuple(f"{first + timedelta(days=index):%Y-%m-%d}" for index in range(days))
    return DayCounts(names, tuple(sorted(rows, key=lambda row: (-row.total, row.system, row.policy_id))))


def policies_with_findings(connection: sa.Connection, organization: str) -> Sequence[Mapping[str, str]]:
    """What a list can be narrowed to: `system/id`, with the name that the policy had last."""
    columns = findings.c
    query = (
        sa.select(columns.system, columns.policy_id, sa.func.max(columns.policy_name).label("name"))
        .where(columns.organization == organization)
        .group_by(columns.system, columns.policy_id)
        .order_by(sa.func.max(columns.policy_name))
        .limit(_CHOICES)
    )
    return [{"value": f"{row.system}/{row.policy_id}", "name": row.name} for row in connection.execute(query)]
