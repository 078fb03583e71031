"""Findings, found and settled: violations, and alerts among them or of suspensions.

A finding is open, then acknowledged (somebody looks at it), then resolved; it never goes back. What is loud enough to
be an alert is the same finding in both lists, so settling one settles the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import sqlalchemy as sa

from reconciler.core.model import Json
from reconciler.server.auth import Asked
from reconciler.server.enforcement.changes import tell
from reconciler.server.enforcement.tables import findings
from reconciler.server.enforcement.wire import finding_to_wire
from reconciler.server.replies import ApiError
from reconciler.server.trail.entries import SERVER, record


class Status(StrEnum):
    OPEN = "open"
    ACKNOWLEDGED = "acknowledged"
    RESOLVED = "resolved"


class Kind(StrEnum):
    """The two lists; a finding can stand in both."""

    ALERTS = "alerts"
    VIOLATIONS = "violations"


@dataclass(frozen=True, slots=True)
class FindingFilter:
    """Which findings: every field that is set narrows the choice.

    `policy` is an id, a name, or `system/id`; `since` is in, `until` is out (microseconds since 1970).
    """

    kind: Kind
    policy: str | None = None
    actor: str | None = None
    severity: str | None = None
    status: str | None = None
    since: int | None = None
    until: int | None = None


@dataclass(frozen=True, slots=True)
class FoundPart:
    """A part of a list, newest first, how many fit altogether, and the number that the next part goes on below."""

    findings: Sequence[dict[str, Json]]
    total: int
    below: int | None


def list_findings(
    connection: sa.Connection, organization: str, wanted: FindingFilter, *, limit: int, below: int | None
) -> FoundPart:
    fits = [*_of(organization, wanted.kind), *_narrowed(wanted)]
    total = connection.execute(sa.select(sa.func.count()).select_from(findings).where(*fits)).scalar_one()
    if below is not None:
        fits.append(findings.c.number < below)
    newest = sa.select(findings).where(*fits).order_by(findings.c.number.desc()).limit(limit + 1)
    rows = connection.execute(newest).mappings().all()
    shown = rows[:limit]
    wire = [finding_to_wire(dict(row)) for row in shown]
    return FoundPart(wire, total, shown[-1]["number"] if len(rows) > limit else None)


def read_finding(connection: sa.Connection, organization: str, kind: Kind, finding_id: str) -> dict[str, Json]:
    """One finding of a list; 404 for one that is not there, or not this organization's."""
    query = sa.select(findings).where(*_of(organization, kind), findings.c.id == finding_id)
    row = connection.execute(query).mappings().first()
    if row is None:
        raise ApiError(404, "Alert not found" if kind is Kind.ALERTS else "Violation not found")
    return finding_to_wire(dict(row))


def settle(
    connection: sa.Connection, asked: Asked, kind: Kind, finding_id: str, status: Status, reason: str | None
) -> dict[str, Json]:
    """Acknowledge or resolve a finding, and return it; audited and told of in the caller's transaction.

    Settling it again the same way changes nothing. A resolved one cannot be acknowledged any more: 409.
    """
    before = read_finding(connection, asked.caller.organization, kind, finding_id)
    if before["status"] == status.value:
        return before
    if before["status"] == Status.RESOLVED.value:
        raise ApiError(409, "It is resolved already")
    by, at = asked.caller.email, asked.store.timestamp()
    values = {f"{status.value}_by": by, f"{status.value}_at": at, "status": status.value}
    if reason is not None:
        values["reason"] = reason
    connection.execute(findings.update().where(findings.c.id == finding_id).values(**values))
    what = "alert" if before["is_alert"] else "violation"
    details = f"{what.capitalize()} {status.value}" + (f": {reason}" if reason else "")
    verb = _VERBS[status]
    record(connection, asked, system=SERVER, action=f"{verb}_{what}", resource=f"{what}:{finding_id}", details=details)
    after = read_finding(connection, asked.caller.organization, kind, finding_id)
    tell(connection, asked.caller.organization, what, after)
    return after


_VERBS: Final = {Status.ACKNOWLEDGED: "acknowledge", Status.RESOLVED: "resolve"}


def _of(organization: str, kind: Kind) -> list[sa.ColumnElement[bool]]:
    listed = findings.c.is_alert if kind is Kind.ALERTS else findings.c.kind == "violation"
    return [findings.c.organization == organization, listed]


def _narrowed(wanted: FindingFilter) -> list[sa.ColumnElement[bool]]:
    columns = findings.c
    fits: list[sa.ColumnElement[bool]] = []
    if wanted.policy is not None:
        system, _, policy_id = wanted.policy.partition("/")
        whole = sa.and_(columns.system == system, columns.policy_id == policy_id)
        fits.append(sa.or_(columns.policy_id == wanted.policy, columns.policy_name == wanted.policy, whole))
    same: tuple[tuple[sa.Column[Any], str | None], ...] = (
        (columns.actor_id, wanted.actor),
        (columns.severity, wanted.severity),
        (columns.status, wanted.status),
    )
    fits += [column == value for column, value in same if value is not None]
    if wanted.since is not None:
        fits.append(columns.ts_us >= wanted.since)
    if wanted.until is not None:
        fits.append(columns.ts_us < wanted.until)
    return fits
