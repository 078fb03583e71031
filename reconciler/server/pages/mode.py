"""The enforcement mode as the banner shows it: what it is, who set it, when, and from which commit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa

from reconciler.server.pages.facts import to_entry
from reconciler.server.tables import settings
from reconciler.server.trail.tables import audit_entries

STRICT: Final = "strict"
MONITORING: Final = "monitoring"


@dataclass(frozen=True, slots=True)
class Mode:
    """`by` and `at` are None while nobody ever set it: then it is monitoring."""

    value: str
    by: str | None = None
    at: str | None = None
    commit: str | None = None


def read_mode(connection: sa.Connection, organization: str) -> Mode:
    mine = (settings.c.organization == organization, settings.c.key == "enforcement_mode")
    value = connection.execute(sa.select(settings.c.value).where(*mine)).scalar()
    if value is None:
        return Mode(MONITORING)
    set_here = (
        audit_entries.c.organization == organization,
        audit_entries.c.resource == "enforcement-settings",
        audit_entries.c.success,
    )
    newest = sa.select(audit_entries).where(*set_here).order_by(audit_entries.c.seq.desc()).limit(1)
    row = connection.execute(newest).first()
    if row is None:
        return Mode(str(value))
    entry = to_entry(row)
    return Mode(str(value), entry.actor, entry.at, entry.commit)
