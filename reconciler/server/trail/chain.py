"""Chains of hashes over the rows of a table: each row holds the hash of the one before it, and its own.

A chain is one organization's, so that an organization can check all of its trail and sees nothing of another's. What
is hashed is the row itself: its columns as one JSON object, those that are null or `hash` left out, keys sorted, no
blanks, ASCII only (`core.canonical.canonical_json`; `jq -cSa` writes the same). SHA-256 of that text is the row's
`hash`, and the next row's `prev`; the first row's `prev` is 64 zeros. The number of the row is in it, and its
organization, so rows cannot change places or owners. A column that is added later is null in older rows, which
therefore keep their hashes.

`trail_heads` says where each chain ends: without it, taking away the newest rows would leave a chain that is whole.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa

from reconciler.core.canonical import canonical_json
from reconciler.server.trail.tables import audit_entries, trail_heads

#: What the first row of a chain has before it.
START: Final = "0" * 64


@dataclass(frozen=True, slots=True)
class Chain:
    """Where the rows of a chain are: a table, the column that numbers them from 1, and when they were made.

    *kind* is the column that tells the chains of one table apart; None when the table is one chain.
    """

    name: str
    table: sa.Table
    number: sa.Column[int]
    at: sa.Column[Any]
    kind: sa.Column[str] | None = None

    def own(self, organization: str) -> sa.ColumnElement[bool]:
        """The rows of this chain, for one organization."""
        own = self.table.c.organization == organization
        return own if self.kind is None else sa.and_(own, self.kind == self.name)


@dataclass(frozen=True, slots=True)
class Link:
    """One row's place in its chain: its number and its hash."""

    number: int
    hash: str


AUDIT: Final = Chain("audit", audit_entries, audit_entries.c.seq, audit_entries.c.timestamp)


def make_hash(row: Mapping[str, Any]) -> str:
    """The hash of a row, whatever it says its hash is."""
    content = {key: value for key, value in row.items() if value is not None and key != "hash"}
    return hashlib.sha256(canonical_json(content).encode("ascii")).hexdigest()


def read_head(connection: sa.Connection, chain: Chain, organization: str) -> Link:
    """The newest row of a chain, by the record of heads; number 0 for one that has none."""
    heads = trail_heads.c
    query = sa.select(heads.number, heads.hash).where(heads.organization == organization, heads.chain == chain.name)
    row = connection.execute(query).first()
    return Link(0, START) if row is None else Link(row.number, row.hash)


def append(connection: sa.Connection, chain: Chain, organization: str, rows: Sequence[Mapping[str, Any]]) -> Link:
    """Add *rows* to the end of a chain, and return where it ends now. Only in a transaction of `Store.write`.

    Writers take turns there, so nobody else reads the same end. Columns that a row leaves out are null.
    """
    end = read_head(connection, chain, organization)
    is_new = end.number == 0
    linked = []
    for row in rows:
        place = {"organization": organization, chain.number.name: end.number + 1, "prev": end.hash}
        kind = {} if chain.kind is None else {chain.kind.name: chain.name}
        full = {**dict.fromkeys(chain.table.c.keys()), **row, **place, **kind}
        end = Link(end.number + 1, make_hash(full))
        linked.append({**full, "hash": end.hash})
    if not linked:
        return end
    connection.execute(chain.table.insert(), linked)
    if is_new:
        key = {"organization": organization, "chain": chain.name}
        connection.execute(trail_heads.insert().values(**key, number=end.number, hash=end.hash))
    else:
        mine = (trail_heads.c.organization == organization, trail_heads.c.chain == chain.name)
        connection.execute(trail_heads.update().where(*mine).values(number=end.number, hash=end.hash))
    return end
