"""Evaluation records in chains: every row of `events` gets its place here.

What concerns a session is a chain of its own. Those rows are the metadata of NeoSC's session recordings, who was in
which session and when, and they are let go after 30 days when nobody says otherwise, while the rest stays: a chain can
be shortened at its beginning only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import sqlalchemy as sa

from reconciler.server.enforcement.tables import events
from reconciler.server.trail.chain import AUDIT, Chain, append

EVENTS: Final = Chain("events", events, events.c.link, events.c.ts_us, events.c.chain)
SESSIONS: Final = Chain("sessions", events, events.c.link, events.c.ts_us, events.c.chain)
#: Every chain of an organization, by its name.
CHAINS: Final[Mapping[str, Chain]] = {chain.name: chain for chain in (AUDIT, EVENTS, SESSIONS)}


def is_about_session(row: Mapping[str, Any]) -> bool:
    """Whether a record is of a session: its resource is one, by `resource_type` or the text before `:` or `/`."""
    kind = row.get("resource_type")
    if kind is None:
        kind = str(row["resource"]).replace("/", ":").partition(":")[0]
    return bool(kind == "session")


def add_records(connection: sa.Connection, organization: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert evaluation records, each at the end of its chain. Only in a transaction of `Store.write`.

    A row has the columns of `events` that are not its place; those left out are null.
    """
    for chain in (EVENTS, SESSIONS):
        if mine := [row for row in rows if is_about_session(row) is (chain is SESSIONS)]:
            append(connection, chain, organization, mine)
