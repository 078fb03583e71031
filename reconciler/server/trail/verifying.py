"""Whether a chain is whole: every row makes its hash, follows the one before, and the last is where it should end.

Rows are read page by page while others write; only the last few are checked with writers kept waiting, so that the
verdict is about one moment. What the retention job removed is vouched for by its anchors, and each anchor by the entry
of the trail that tells of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa

from reconciler.core.model import Json
from reconciler.server.store import Store
from reconciler.server.trail.anchors import PRUNED, Anchor, describe_anchor, read_anchors, resource_of
from reconciler.server.trail.chain import AUDIT, START, Chain, Link, make_hash, read_head
from reconciler.server.trail.records import CHAINS
from reconciler.server.trail.tables import audit_entries

PAGE: Final = 1000
_SHOWN_ANCHORS: Final = 100


@dataclass(frozen=True, slots=True)
class Broken:
    """The first place where a chain does not hold: the id of the row there (None: there is none), and why."""

    id: str | None
    number: int
    why: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came out: how many rows were checked, the first that is wrong, the newest one, and what is gone."""

    entries: int
    broken: Broken | None
    head: Link | None
    anchors: tuple[Anchor, ...] = ()

    def to_wire(self) -> dict[str, Json]:
        broken, head = self.broken, self.head
        newest = self.anchors[: -_SHOWN_ANCHORS - 1 : -1]
        return {
            "ok": broken is None,
            "entries": self.entries,
            "first_broken": None if broken is None else {"id": broken.id, "seq": broken.number},
            "problem": None if broken is None else broken.why,
            "head": None if head is None else {"seq": head.number, "hash": head.hash},
            "pruned": {
                "entries": self.anchors[-1].to_number if self.anchors else 0,
                "runs": len(self.anchors),
                "newest": [anchor.to_wire() for anchor in newest],
            },
        }


@dataclass(slots=True)
class _Walk:
    """How far the check has come: the number and the `prev` that the next row must have, and what it met."""

    chain: Chain
    organization: str
    number: int = 1
    prev: str = START
    entries: int = 0
    anchors: tuple[Anchor, ...] = ()
    broken: Broken | None = None

    def check_page(self, connection: sa.Connection, size: int = PAGE) -> bool:
        """Check the next rows; whether there may be more of them. Nothing is looked at beyond what is broken."""
        if self.broken is not None:
            return False
        table, number = self.chain.table, self.chain.number
        query = sa.select(table).where(self.chain.own(self.organization)).order_by(number).limit(size)
        if self.entries:  # at first everything, so that no row hides below the first number
            query = query.where(number >= self.number)
        try:
            rows = connection.execute(query).mappings().all()
        except (ValueError, TypeError, LookupError, sa.exc.OperationalError) as error:
            if isinstance(error, sa.exc.OperationalError) and "decode" not in str(error):
                raise  # the database failed, which is no verdict on its rows
            if size == 1:
                self.broken = Broken(None, self.number, "the row cannot be read")
                return False
            while self.check_page(connection, 1):
                """One of them cannot be read: find it."""
            return False
        for row in rows:
            self.broken = self._check(connection, row)
            if self.broken is not None:
                return False
        return len(rows) == size

    def skip_anchored(self, connection: sa.Connection) -> None:
        """Go on behind the last anchor: rows may have been removed since we looked."""
        self.anchors = read_anchors(connection, self.chain.name, self.organization)
        if self.anchors and self.anchors[-1].to_number >= self.number:
            self.number, self.prev = self.anchors[-1].to_number + 1, self.anchors[-1].hash

    def _check(self, connection: sa.Connection, row: sa.RowMapping) -> Broken | None:
        found, name = row[self.chain.number.name], str(row["id"] if "id" in row else row["event_id"])
        if found != self.number:
            self.skip_anchored(connection)
        if found != self.number:
            is_later = isinstance(found, int) and found > self.number
            return Broken(None, self.number, "a row is missing") if is_later else Broken(name, found, "a row too many")
        if row["prev"] != self.prev:
            return Broken(name, self.number, "the row does not follow the one before it")
        if not _makes_its_hash(row):
            return Broken(name, self.number, "the row was changed")
        self.number, self.prev, self.entries = self.number + 1, row["hash"], self.entries + 1
        return None


def verify(store: Store, chain: Chain, organization: str, known: Link | None = None) -> Verdict:
    """Check one chain of one organization, in memory that does not grow with it.

    *known* is what somebody kept of an earlier head. A whole chain that was made anew holds in itself, but not with
    it. Of a row that was let go only the last of a removal can still be compared.
    """
    walk = _Walk(chain, organization)
    more = True
    while more:
        with store.read() as connection:
            if not walk.entries:
                walk.skip_anchored(connection)
            more = walk.check_page(connection)
    with store.write() as connection:
        while walk.check_page(connection):
            """What was written while we read."""
        head = read_head(connection, chain, organization)
        walk.skip_anchored(connection)
        broken = walk.broken or _check_anchors(connection, walk) or _check_end(walk, head)
        broken = broken or _check_strangers(connection, walk) or _check_known(connection, walk, head, known)
    return Verdict(walk.entries, broken, None if head.number == 0 else head, walk.anchors)


def _makes_its_hash(row: sa.RowMapping) -> bool:
    try:
        return bool(make_hash(dict(row)) == row["hash"])
    except (ValueError, TypeError, RecursionError):  # bytes, NaN, …: nothing that we wrote
        return False


def _check_end(walk: _Walk, head: Link) -> Broken | None:
    """The last row has to be the one that the record of heads names."""
    last = walk.number - 1
    if last < head.number:
        return Broken(None, walk.number, "the newest rows are missing")
    if last > head.number:
        return Broken(None, head.number + 1, "there are rows beyond the recorded end")
    return None if walk.prev == head.hash else Broken(None, last, "the recorded end is another")


def _check_anchors(connection: sa.Connection, walk: _Walk) -> Broken | None:
    """Anchors go on without a gap, and the trail tells of each, unless what tells of it was removed since."""
    entries = audit_entries.c
    kept_from = walk.anchors[-1].to_number if walk.chain is AUDIT and walk.anchors else None
    if kept_from is None:
        removed = read_anchors(connection, AUDIT.name, walk.organization)
        kept_from = removed[-1].to_number if removed else 0
    told = sa.select(entries.id, entries.details).where(
        entries.organization == walk.organization,
        entries.action == PRUNED,
        entries.resource == resource_of(walk.chain.name),
    )
    details = {row.id: row.details for row in connection.execute(told)}
    expected = 1
    for anchor in walk.anchors:
        if anchor.from_number != expected:
            return Broken(None, expected, "rows were removed that no anchor tells of")
        if anchor.audit_seq > kept_from and details.get(anchor.audit_id) != describe_anchor(anchor):
            return Broken(None, anchor.from_number, "rows were removed that the trail does not tell of")
        expected = anchor.to_number + 1
    return None


def _check_strangers(connection: sa.Connection, walk: _Walk) -> Broken | None:
    """A row of a chain that does not exist would be in nobody's check."""
    kind, table = walk.chain.kind, walk.chain.table
    if kind is None:
        return None
    query = sa.select(table.c.event_id, walk.chain.number).where(
        table.c.organization == walk.organization, kind.not_in(CHAINS)
    )
    row = connection.execute(query.limit(1)).first()
    return None if row is None else Broken(str(row[0]), row[1], "the row is of no chain")


def _check_known(connection: sa.Connection, walk: _Walk, head: Link, known: Link | None) -> Broken | None:
    if known is None:
        return None
    if known.number > head.number:
        return Broken(None, head.number + 1, "the chain ends before the row that is known")
    chain = walk.chain
    place = sa.and_(chain.own(walk.organization), chain.number == known.number)
    found = connection.execute(sa.select(chain.table.c.hash).where(place)).scalar()
    ends = {anchor.to_number: anchor.hash for anchor in walk.anchors}
    is_same = (found or ends.get(known.number, known.hash)) == known.hash
    return None if is_same else Broken(None, known.number, "the row is not the one that is known")
