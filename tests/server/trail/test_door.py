"""What the database refuses about the trail, and the one door through which rows go."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
import sqlalchemy as sa

from reconciler.server.enforcement.tables import events
from reconciler.server.store import Store
from reconciler.server.trail.chain import AUDIT, read_head
from reconciler.server.trail.entries import add_own
from reconciler.server.trail.tables import audit_entries, trail_anchors, trail_heads
from reconciler.server.trail.verifying import verify
from tests.server.trail.rows import ORGANIZATION, add_entries, add_events
from tests.support.clocks import FakeClock

REFUSED = {
    "an entry is changed": audit_entries.update().values(details="nothing"),
    "an entry is removed": audit_entries.delete().where(audit_entries.c.seq == 4),
    "a record is changed": events.update().values(decision="block"),
    "a record is removed": events.delete(),
    "a chain ends earlier": trail_heads.update().values(number=trail_heads.c.number - 1),
    "a chain has another end": trail_heads.update().values(hash="0" * 64),
    "an end is removed": trail_heads.delete(),
    "an anchor is changed": trail_anchors.update().values(pruned_by="nobody"),
    "an anchor is removed": trail_anchors.delete(),
}

REFUSAL = r"is append-only|only moves on|takes only what"


def anchor(connection: sa.Connection, audit_id: str, **columns: Any) -> sa.Insert:
    """An anchor over the first two of the rows left, true in everything that *columns* do not say."""
    kept = sa.select(sa.func.coalesce(sa.func.max(trail_anchors.c.to_number), 0))
    first = connection.execute(kept).scalar_one() + 1
    hashed = sa.select(audit_entries.c.hash).where(audit_entries.c.seq == columns.get("to_number", first + 1))
    row = {
        "organization": ORGANIZATION,
        "chain": "audit",
        "from_number": first,
        "to_number": first + 1,
        "hash": connection.execute(hashed).scalar_one(),
        **dict.fromkeys(("oldest", "newest", "pruned_at", "pruned_by"), "x"),
        "days": 1,
        "audit_id": audit_id,
        "audit_seq": 4,
    }
    return trail_anchors.insert().values({**row, **columns})


def tell(connection: sa.Connection, store: Store, action: str = "prune_trail") -> str:
    return add_own(connection, store, ORGANIZATION, action=action, resource="trail:audit", details="x").id


@pytest.fixture
def filled(store: Store, clock: FakeClock) -> Store:
    """Three entries, a record, and a first stretch of the trail that was removed: entries 1 and 2 of then."""
    add_entries(store, 5)
    add_events(store, clock, {})
    with store.write() as connection:
        connection.execute(anchor(connection, tell(connection, store)))
        connection.execute(audit_entries.delete().where(audit_entries.c.seq <= 2))
    return store


@pytest.mark.parametrize("what", REFUSED)
def test_the_database_refuses_that(filled: Store, what: str) -> None:
    with pytest.raises(sa.exc.IntegrityError, match=REFUSAL), filled.write() as each:
        each.execute(REFUSED[what])


@pytest.mark.heavy
@pytest.mark.parametrize("db", ["postgresql"], indirect=True)
@pytest.mark.parametrize("table", ["audit_entries", "events", "trail_heads", "trail_anchors"])
def test_no_table_of_the_trail_is_emptied_at_once(filled: Store, table: str) -> None:
    with pytest.raises(sa.exc.IntegrityError, match=REFUSAL), filled.write() as each:
        each.execute(sa.text(f"TRUNCATE {table}"))


def test_rows_that_an_anchor_tells_of_can_be_removed_and_no_others(filled: Store) -> None:
    with filled.write() as connection:
        connection.execute(anchor(connection, tell(connection, filled)))
        gone = connection.execute(audit_entries.delete().where(audit_entries.c.seq <= 4)).rowcount

    with pytest.raises(sa.exc.IntegrityError, match="append-only"), filled.write() as connection:
        connection.execute(audit_entries.delete().where(audit_entries.c.seq == 5))
    assert gone == 2


@pytest.mark.parametrize(
    "untrue",
    [{"from_number": 4}, {"from_number": 1}, {"hash": "0" * 64}, {"audit_id": "log-none"}, {"chain": "events"}],
    ids=str,
)
def test_an_anchor_that_is_not_true_is_refused(filled: Store, untrue: dict[str, Any]) -> None:
    with pytest.raises(sa.exc.IntegrityError, match="takes only what the trail tells of"), filled.write() as connection:
        connection.execute(anchor(connection, **{"audit_id": tell(connection, filled), **untrue}))


def test_an_anchor_needs_an_entry_about_a_removal(filled: Store) -> None:
    with pytest.raises(sa.exc.IntegrityError, match="takes only what the trail tells of"), filled.write() as connection:
        connection.execute(anchor(connection, tell(connection, filled, action="login")))


def test_what_was_refused_left_the_chain_as_it_was(filled: Store) -> None:
    with filled.read() as connection:
        before = read_head(connection, AUDIT, ORGANIZATION)

    for statement in REFUSED.values():
        with suppress(sa.exc.IntegrityError), filled.write() as connection:
            tell(connection, filled)
            connection.execute(statement)

    with filled.read() as connection:
        assert read_head(connection, AUDIT, ORGANIZATION) == before


def test_a_removal_that_the_trail_tells_otherwise_is_found(filled: Store) -> None:
    broken = verify(filled, AUDIT, ORGANIZATION).broken

    assert broken is not None
    assert broken.why == "rows were removed that the trail does not tell of"
