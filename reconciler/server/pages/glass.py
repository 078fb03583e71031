"""Break-glass: a switch flipped by hand although git manages the policy, with a reason and a time it is meant to end.

Nothing flips back by itself. What is over and still stands is something that needs attention.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import sqlalchemy as sa

from reconciler.core.annotation import find_commit
from reconciler.server.pages.facts import GIT, Policy
from reconciler.server.pages.tables import break_glass

MIN_REASON: Final = 10
MAX_REASON: Final = 1000
LONGEST: Final = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Glass:
    """One time somebody broke the glass; `enabled` is what the switch was set to."""

    number: int
    system: str
    policy_id: str
    policy_name: str
    enabled: bool
    reason: str
    started_by: str
    started_at: str
    ends_at: float
    audit_id: str
    ended_by: str | None
    ended_at: str | None

    def is_over(self, now: datetime) -> bool:
        return self.ends_at <= now.timestamp()


@dataclass(frozen=True, slots=True)
class Start:
    """Somebody breaks the glass of *policy*, which is still as it was before."""

    policy: Policy
    reason: str
    by: str
    at: str
    ends_at: float
    audit_id: str


def wrong_reason(reason: str) -> str | None:
    """Why this will not do as a reason; None when it will.

    The reason stands in the audit trail. A full commit id in it would make the entry look like one of git's.
    """
    if len(reason) < MIN_REASON:
        return f"Say why in at least {MIN_REASON} characters."
    if len(reason) > MAX_REASON:
        return f"Say why in at most {MAX_REASON:,} characters."
    if find_commit([reason]) is not None:
        return "Shorten the commit id: with all its 40 characters the audit entry would count as git's."
    return None


def wrong_end(ends: datetime | None, now: datetime) -> str | None:
    """Why this will not do as an end; None when it will."""
    if ends is None:
        return "Give the end as a date and a time."
    if ends <= now:
        return "Give an end that is still to come."
    if ends > now + LONGEST:
        return f"Give an end within {LONGEST.days} days: for longer, change the policy in git."
    return None


def describe(reason: str, ends: datetime) -> str:
    """What the audit entry says behind `Policy disabled`."""
    return f"; break-glass until {ends:%Y-%m-%dT%H:%MZ}: {' '.join(reason.split())}"


def start(connection: sa.Connection, organization: str, started: Start) -> None:
    """Record it in the transaction of its flip; an older one of the same policy ends with it."""
    policy = started.policy
    end(connection, organization, policy, started.by, started.at)
    connection.execute(
        break_glass.insert().values(
            organization=organization,
            system=policy.system,
            policy_id=policy.id,
            policy_name=policy.name,
            enabled=not policy.enabled,
            reason=started.reason,
            started_by=started.by,
            started_at=started.at,
            ends_at=started.ends_at,
            audit_id=started.audit_id,
        )
    )


def end(connection: sa.Connection, organization: str, policy: Policy, by: str, at: str) -> None:
    """Record that the switch was put back, in the transaction that did it."""
    columns = break_glass.c
    open_here = (
        columns.organization == organization,
        columns.system == policy.system,
        columns.policy_id == policy.id,
        columns.ended_at.is_(None),
    )
    connection.execute(break_glass.update().where(*open_here).values(ended_by=by, ended_at=at))


def read_glasses(connection: sa.Connection, organization: str) -> tuple[Glass, ...]:
    """Those that nobody ended, newest first."""
    mine = (break_glass.c.organization == organization, break_glass.c.ended_at.is_(None))
    rows = connection.execute(sa.select(break_glass).where(*mine).order_by(break_glass.c.number.desc()))
    return tuple(_glass(row) for row in rows)


def glass_of(policy: Policy, glasses: tuple[Glass, ...]) -> Glass | None:
    """The break-glass that still holds for *policy*: the switch is as it was set, and git has not had a word since."""
    for glass in glasses:
        if (glass.system, glass.policy_id) == (policy.system, policy.id):
            git = policy.origin.git
            is_gits = policy.origin.state == GIT or (git is not None and git.at > glass.started_at)
            return None if is_gits or policy.enabled != glass.enabled else glass
    return None


def _glass(row: Any) -> Glass:
    return Glass(
        number=row.number,
        system=row.system,
        policy_id=row.policy_id,
        policy_name=row.policy_name,
        enabled=row.enabled,
        reason=row.reason,
        started_by=row.started_by,
        started_at=row.started_at,
        ends_at=row.ends_at,
        audit_id=row.audit_id,
        ended_by=row.ended_by,
        ended_at=row.ended_at,
    )
