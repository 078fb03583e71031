"""Anchors: what is left of rows that the retention job removed, so that the rest of a chain can still be checked."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Final

import sqlalchemy as sa

from reconciler.core.model import Json
from reconciler.server.trail.tables import trail_anchors

PRUNED: Final = "prune_trail"


@dataclass(frozen=True, slots=True)
class Anchor:
    """One stretch of a chain, from its oldest row on: which rows, the hash of the last, when, by whom, and why."""

    organization: str
    chain: str
    from_number: int
    to_number: int
    hash: str
    oldest: str
    newest: str
    days: int
    pruned_at: str
    pruned_by: str
    audit_id: str
    audit_seq: int

    def to_wire(self) -> dict[str, Json]:
        shown = asdict(self)
        del shown["organization"], shown["chain"]
        return shown


def resource_of(chain: str) -> str:
    """The `resource` of the entries that tell of removals from *chain*."""
    return f"trail:{chain}"


def describe(chain: str, from_number: int, to_number: int, oldest: str, newest: str, days: int, end: str) -> str:
    """What the trail says of a removal: the details of its entry, to the letter."""
    count = to_number - from_number + 1
    rows = f"{count} row{'' if count == 1 else 's'} of {chain} removed: {from_number} to {to_number}"
    return f"{rows}, made from {oldest} to {newest}, kept for {days} days; the last hash was {end}"


def describe_anchor(anchor: Anchor) -> str:
    """The details of the entry that tells of *anchor*."""
    return describe(
        *(anchor.chain, anchor.from_number, anchor.to_number, anchor.oldest, anchor.newest, anchor.days, anchor.hash)
    )


def read_anchors(connection: sa.Connection, chain: str, organization: str) -> tuple[Anchor, ...]:
    """The anchors of one chain, oldest first."""
    anchors = trail_anchors.c
    query = sa.select(trail_anchors).where(anchors.organization == organization, anchors.chain == chain)
    rows = connection.execute(query.order_by(anchors.to_number)).mappings()
    return tuple(Anchor(**row) for row in rows)
