"""The audit trail as the pages list it, and whether its chain holds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa

from reconciler.server.enforcement.changes import SETTINGS
from reconciler.server.pages.facts import Entry, to_entry
from reconciler.server.store import Store
from reconciler.server.trail.query import Wanted
from reconciler.server.trail.reading import conditions
from reconciler.server.trail.records import CHAINS
from reconciler.server.trail.tables import audit_entries, trail_heads
from reconciler.server.trail.verifying import verify

PAGE_SIZE: Final = 50
LANES: Final = ("git", "outside")
#: A longer chain is checked when somebody asks for it, not whenever somebody looks at a page.
CHECKED_UNASKED: Final = 20_000
CHECKED_EVERY: Final = 60.0


@dataclass(frozen=True, slots=True)
class Chain:
    """What is known of the chains of one organization: `ok` is None where they were not checked."""

    ok: bool | None
    entries: int
    broken: str | None


@dataclass(frozen=True, slots=True)
class TrailPart:
    """Some entries, newest first; how many fit altogether; and the number that the next part goes on from."""

    entries: tuple[Entry, ...]
    total: int
    next: int | None


def read_trail(
    connection: sa.Connection,
    organization: str,
    wanted: Wanted,
    *,
    lane: str | None = None,
    before: int | None = None,
    limit: int = PAGE_SIZE,
) -> TrailPart:
    """The entries that fit, *limit* at once.

    *lane* keeps only what moved a policy or the mode: with a commit (`git`), or without (`outside`).
    """
    columns = audit_entries.c
    fits = list(conditions(organization, wanted))
    if lane is not None:
        fits.append(columns.annotation.is_not(None) if lane == "git" else columns.annotation.is_(None))
        moves = (columns.resource == SETTINGS, columns.resource.startswith("policy:", autoescape=True))
        fits.append(sa.or_(*moves))
    total = connection.execute(sa.select(sa.func.count()).select_from(audit_entries).where(*fits)).scalar_one()
    if before is not None:
        fits.append(columns.seq < before)
    newest = sa.select(audit_entries).where(*fits).order_by(columns.seq.desc()).limit(limit + 1)
    rows = connection.execute(newest).all()
    shown = tuple(to_entry(row) for row in rows[:limit])
    return TrailPart(shown, total, shown[-1].seq if len(rows) > limit else None)


class ChainWatch:
    """Remembers for a minute what checking an organization's chains said, so that looking at pages stays cheap."""

    def __init__(self, unasked: int = CHECKED_UNASKED) -> None:
        self._unasked = unasked
        self._known: dict[str, tuple[float, Chain]] = {}

    def look(self, store: Store, organization: str, *, asked: bool = False) -> Chain:
        """What is known; checked now when *asked*, or when it is short and was not checked for a minute."""
        now = store.seconds()
        at, chain = self._known.get(organization, (0.0, None))
        if chain is not None and not asked and 0 <= now - at < CHECKED_EVERY:
            return chain
        with store.read() as connection:
            ends = sa.select(sa.func.coalesce(sa.func.sum(trail_heads.c.number), 0))
            length = int(connection.execute(ends.where(trail_heads.c.organization == organization)).scalar_one())
        if length > self._unasked and not asked:
            return chain or Chain(None, length, None)
        chain = _check(store, organization)
        self._known[organization] = (now, chain)
        return chain


def _check(store: Store, organization: str) -> Chain:
    verdicts = [(each.name, verify(store, each, organization)) for each in CHAINS.values()]
    entries = sum(verdict.entries for _, verdict in verdicts)
    for name, verdict in verdicts:
        if verdict.broken is not None:
            return Chain(False, entries, f"{name} {verdict.broken.number}, {verdict.broken.why}")
    return Chain(True, entries, None)
