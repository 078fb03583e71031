"""What an entry's hash is made of, and that whoever touches a row is found out."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import pytest
import sqlalchemy as sa

from reconciler.server.store import Store, open_store
from reconciler.server.trail.chain import AUDIT, START, Chain, Link, append, make_hash, read_head
from reconciler.server.trail.entries import add_own
from reconciler.server.trail.records import CHAINS, EVENTS, SESSIONS
from reconciler.server.trail.retention import prune
from reconciler.server.trail.tables import audit_entries
from reconciler.server.trail.verifying import PAGE, Broken, verify
from tests.server.trail.rows import ORGANIZATION, add_entries, add_events
from tests.support.clocks import FakeClock


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Store, sqlite3.Connection, sqlite3.Connection]]:
    """A trail of seven entries and five records, a hand on its file that no trigger holds back, and a copy."""
    path, clock = tmp_path_factory.mktemp("trail") / "trail.db", FakeClock()
    store = open_store(str(path), clock=clock)
    add_entries(store, 7)
    add_events(store, clock, *({"trust_score": 0.1 + number, "actor_roles": ["b", "a"]} for number in range(5)))
    with closing(sqlite3.connect(path, isolation_level=None)) as hand, closing(sqlite3.connect(":memory:")) as copy:
        hand.execute("PRAGMA synchronous = OFF")
        for (name,) in hand.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            hand.execute(f"DROP TRIGGER {name}")
        hand.backup(copy)
        yield store, hand, copy
    store.close()


@pytest.fixture
def touched(whole: tuple[Store, sqlite3.Connection, sqlite3.Connection]) -> tuple[Store, sqlite3.Connection]:
    """The trail as it was, and the hand."""
    store, hand, copy = whole
    copy.backup(hand)
    return store, hand


def test_the_first_entry_s_hash_is_the_sha256_of_its_json(store: Store) -> None:
    with store.write() as connection:
        add_own(connection, store, ORGANIZATION, action="try_é", resource="policy:pol-x", details='say "😀"\n')

    with store.read() as connection:
        row = dict(connection.execute(sa.select(audit_entries)).mappings().one())
    said = (
        '{{"action":"try_\\u00e9","details":"say \\"\\ud83d\\ude00\\"\\n","id":"{}","organization":"default",'
        '"prev":"{}","resource":"policy:pol-x","seq":1,"success":true,"system":"server",'
        '"timestamp":"2026-11-20T09:00:00.000Z","user_email":"reconciler-server","user_id":"reconciler-server"}}'
    ).format(row["id"], "0" * 64)
    assert row["hash"] == hashlib.sha256(said.encode()).hexdigest()
    assert row["prev"] == START


def test_every_entry_holds_the_hash_of_the_one_before(store: Store) -> None:
    add_entries(store, 3)

    with store.read() as connection:
        rows = connection.execute(sa.select(audit_entries).order_by(audit_entries.c.seq)).mappings().all()
        head = read_head(connection, AUDIT, ORGANIZATION)
    assert [row["seq"] for row in rows] == [1, 2, 3]
    assert [row["prev"] for row in rows] == [START, rows[0]["hash"], rows[1]["hash"]]
    assert [row["hash"] for row in rows] == [make_hash(dict(row)) for row in rows]
    assert (head.number, head.hash) == (3, rows[2]["hash"])


def test_a_column_that_is_added_later_leaves_the_hashes_of_older_rows() -> None:
    row = {"id": "log-1", "details": "x"}

    assert make_hash({**row, "new_column": None}) == make_hash(row)


def test_each_organization_has_a_chain_of_its_own(store: Store) -> None:
    add_entries(store, 2, organization="one")
    add_entries(store, 3, organization="two")
    add_entries(store, 1, organization="one")

    verdicts = {name: verify(store, AUDIT, name) for name in ("one", "two", "nobody")}

    assert {name: (verdict.broken, verdict.entries) for name, verdict in verdicts.items()} == {
        "one": (None, 3),
        "two": (None, 3),
        "nobody": (None, 0),
    }
    assert verdicts["nobody"].head is None


def test_records_about_sessions_are_a_chain_of_their_own(store: Store, clock: FakeClock) -> None:
    add_events(
        store,
        clock,
        {"resource": "session:s-1"},
        {"resource": "session/s-2"},
        {"resource": "anything", "resource_type": "session"},
        {"resource": "session:s-3", "resource_type": "workspace"},
        {"resource": "sessions:s-4"},
    )

    counts = {name: verify(store, chain, ORGANIZATION).entries for name, chain in CHAINS.items()}

    assert counts == {"audit": 0, "events": 2, "sessions": 3}


def test_a_record_reads_back_as_it_was_hashed(store: Store, clock: FakeClock) -> None:
    add_events(
        store,
        clock,
        {
            "trust_score": 0.1 + 0.2,
            "mcp_trust_score": 70,
            "actor_roles": ["é", "a"],
            "bytes": 2**63 - 1,
            "is_vpn": False,
            "outcomes": [{"policy": "p", "value": 1e-7, "none": None}],
        },
    )

    assert verify(store, EVENTS, ORGANIZATION).broken is None


def test_a_trail_longer_than_a_page_is_checked_to_its_end(store: Store) -> None:
    with store.write() as connection:
        columns = ("system", "user_id", "user_email", "action", "resource", "details", "timestamp")
        row = {**dict.fromkeys(columns, "x"), "success": True}
        append(connection, AUDIT, ORGANIZATION, [{**row, "id": f"log-{number}"} for number in range(2 * PAGE)])

    verdict = verify(store, AUDIT, ORGANIZATION)

    assert (verdict.broken, verdict.entries) == (None, 2 * PAGE)
    assert verdict.head is not None
    assert verdict.head.number == 2 * PAGE


def test_many_writers_make_one_chain(store: Store) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: add_entries(store, 2), range(40)))

    verdict = verify(store, AUDIT, ORGANIZATION)

    assert (verdict.broken, verdict.entries) == (None, 80)


def test_a_trail_is_checked_while_others_write_to_it(store: Store) -> None:
    with ThreadPoolExecutor(4) as pool:
        writing = [pool.submit(add_entries, store, 3) for _ in range(20)]
        verdicts = [verify(store, AUDIT, ORGANIZATION) for _ in range(10)]
        for each in writing:
            each.result()

    assert [verdict.broken for verdict in verdicts] == [None] * 10
    assert verify(store, AUDIT, ORGANIZATION).entries == 60


def test_a_head_that_was_kept_is_compared(store: Store, clock: FakeClock) -> None:
    add_entries(store, 3)
    kept = verify(store, AUDIT, ORGANIZATION).head
    assert kept is not None
    add_entries(store, 2)

    same = verify(store, AUDIT, ORGANIZATION, kept)
    other = verify(store, AUDIT, ORGANIZATION, Link(3, "0" * 64))
    beyond = verify(store, AUDIT, ORGANIZATION, Link(6, kept.hash))
    clock.passed += 2 * 86_400
    prune(store, {"audit": 1})
    removed = [verify(store, AUDIT, ORGANIZATION, link).broken for link in (kept, Link(5, kept.hash))]

    assert same.broken is None
    assert other.broken == Broken(None, 3, "the row is not the one that is known")
    assert beyond.broken == Broken(None, 6, "the chain ends before the row that is known")
    assert removed == [None, Broken(None, 5, "the row is not the one that is known")]


def test_a_chain_that_was_made_anew_holds_but_not_with_a_head_that_was_kept(
    touched: tuple[Store, sqlite3.Connection],
) -> None:
    store, hand = touched
    kept = verify(store, AUDIT, ORGANIZATION).head
    hand.execute("DELETE FROM audit_entries")
    hand.execute("DELETE FROM trail_heads WHERE chain = 'audit'")

    add_entries(store, 7, action="something else")

    assert verify(store, AUDIT, ORGANIZATION).broken is None
    broken = verify(store, AUDIT, ORGANIZATION, kept).broken
    assert broken == Broken(None, 7, "the row is not the one that is known")


COLUMNS = "organization, seq, id, system, user_id, user_email, action, resource, details, timestamp, success"
#: What somebody with the file in their hands does; the number where it shows, and the sentence.
AUDIT_TAMPERING: dict[str, tuple[list[str], int, str]] = {
    "edit": (["UPDATE audit_entries SET details = 'nothing' WHERE seq = 4"], 4, "was changed"),
    "edit the first": (["UPDATE audit_entries SET user_email = 'else@example.com' WHERE seq = 1"], 1, "was changed"),
    "edit the last": (["UPDATE audit_entries SET success = 0 WHERE seq = 7"], 7, "was changed"),
    "take a commit off": (["UPDATE audit_entries SET annotation = 'x' WHERE seq = 2"], 2, "was changed"),
    "backdate": (["UPDATE audit_entries SET timestamp = '2020-01-01T00:00:00.000Z' WHERE seq = 3"], 3, "was changed"),
    "delete": (["DELETE FROM audit_entries WHERE seq = 4"], 4, "is missing"),
    "delete the first": (["DELETE FROM audit_entries WHERE seq = 1"], 1, "is missing"),
    "delete the last": (["DELETE FROM audit_entries WHERE seq = 7"], 7, "newest rows are missing"),
    "delete all": (["DELETE FROM audit_entries"], 1, "newest rows are missing"),
    "delete the head": (["DELETE FROM trail_heads"], 1, "beyond the recorded end"),
    "delete and close the gap": (
        [
            "DELETE FROM audit_entries WHERE seq = 4",
            *(f"UPDATE audit_entries SET seq = {number - 1} WHERE seq = {number}" for number in (5, 6, 7)),
        ],
        4,
        "does not follow",
    ),
    "delete the last with its head": (
        [
            "DELETE FROM audit_entries WHERE seq = 7",
            "UPDATE trail_heads SET number = 6 WHERE chain = 'audit'",
        ],
        6,
        "recorded end is another",
    ),
    "swap two": (
        [
            "UPDATE audit_entries SET seq = 100 WHERE seq = 3",
            "UPDATE audit_entries SET seq = 3 WHERE seq = 5",
            "UPDATE audit_entries SET seq = 5 WHERE seq = 100",
        ],
        3,
        "does not follow",
    ),
    "swap the contents of two": (
        [
            "CREATE TABLE aside AS SELECT * FROM audit_entries WHERE seq IN (3, 5)",
            "UPDATE audit_entries SET resource = (SELECT resource FROM aside WHERE seq = 5) WHERE seq = 3",
            "UPDATE audit_entries SET resource = (SELECT resource FROM aside WHERE seq = 3) WHERE seq = 5",
        ],
        3,
        "was changed",
    ),
    "put one in": (
        [
            f"INSERT INTO audit_entries SELECT {COLUMNS.replace('seq, id', '8, 99')}, user_agent, annotation, "
            "hash, prev FROM audit_entries WHERE seq = 7"
        ],
        8,
        "was changed",
    ),
    "put one before the first": (
        [
            f"INSERT INTO audit_entries SELECT {COLUMNS.replace('seq, id', '0, 99')}, user_agent, annotation, "
            "prev, hash FROM audit_entries WHERE seq = 1"
        ],
        0,
        "too many",
    ),
    "take one over from another organization": (
        ["UPDATE audit_entries SET organization = 'other' WHERE seq = 7", "UPDATE trail_heads SET number = 6"],
        6,
        "recorded end is another",
    ),
    "write what nobody can read": (["UPDATE audit_entries SET details = x'ff00' WHERE seq = 5"], 5, "was changed"),
    "write what is no text": (
        ["UPDATE audit_entries SET details = CAST(x'ff00' AS TEXT) WHERE seq = 5"],
        5,
        "cannot be read",
    ),
    "say that rows were removed": (
        [
            "INSERT INTO trail_anchors SELECT organization, 'audit', seq, 1, hash, timestamp, timestamp, 30, "
            "timestamp, 'me', 'log-none', 8 FROM audit_entries WHERE seq = 3",
            "DELETE FROM audit_entries WHERE seq <= 3",
        ],
        1,
        "the trail does not tell of",
    ),
    "say that rows in the middle were removed": (
        [
            "INSERT INTO trail_anchors SELECT organization, 'audit', seq, 4, hash, timestamp, timestamp, 30, "
            "timestamp, 'me', id, 1 FROM audit_entries WHERE seq = 5",
            "DELETE FROM audit_entries WHERE seq IN (4, 5)",
        ],
        1,
        "too many",
    ),
}


@pytest.mark.parametrize("name", AUDIT_TAMPERING)
def test_whoever_touches_an_entry_is_found_out(touched: tuple[Store, sqlite3.Connection], name: str) -> None:
    store, hand = touched
    statements, number, why = AUDIT_TAMPERING[name]
    before = verify(store, AUDIT, ORGANIZATION)

    for statement in statements:
        assert hand.execute(statement).rowcount != 0

    broken = verify(store, AUDIT, ORGANIZATION).broken
    assert before.broken is None
    assert broken is not None
    assert (broken.number, why in broken.why) == (number, True), broken


EVENT_TAMPERING: dict[str, tuple[str, int, str]] = {
    "edit": ("UPDATE events SET decision = 'block' WHERE link = 2", 2, "was changed"),
    "edit a score by a hair": ("UPDATE events SET trust_score = 1.1000000000000003 WHERE link = 2", 2, "was changed"),
    "edit a list": ("""UPDATE events SET actor_roles = '["a", "b"]' WHERE link = 3""", 3, "was changed"),
    "break a list": ("UPDATE events SET actor_roles = '[' WHERE link = 3", 3, "cannot be read"),
    "delete": ("DELETE FROM events WHERE link = 2", 2, "is missing"),
    "move out of every chain": ("UPDATE events SET chain = 'nowhere' WHERE link = 5", 5, "newest rows are missing"),
    "move to another chain": ("UPDATE events SET chain = 'sessions' WHERE link = 1", 1, "is missing"),
}


@pytest.mark.parametrize("name", EVENT_TAMPERING)
def test_whoever_touches_a_record_is_found_out(touched: tuple[Store, sqlite3.Connection], name: str) -> None:
    store, hand = touched
    statement, number, why = EVENT_TAMPERING[name]

    assert hand.execute(statement).rowcount == 1

    broken = verify(store, EVENTS, ORGANIZATION).broken
    assert broken is not None
    assert (broken.number, why in broken.why) == (number, True), broken


def test_a_record_of_no_chain_is_found(touched: tuple[Store, sqlite3.Connection]) -> None:
    store, hand = touched
    columns = ", ".join(column.name for column in EVENTS.table.columns)
    faked = columns.replace("seq", "99").replace("event_id", "'ev-99'").replace("chain", "'nowhere'")

    hand.execute(f"INSERT INTO events ({columns}) SELECT {faked} FROM events WHERE link = 1")

    broken = verify(store, SESSIONS, ORGANIZATION).broken
    assert broken is not None
    assert (broken.id, broken.why) == ("ev-99", "the row is of no chain")


def test_a_verdict_names_the_entry_that_was_touched(touched: tuple[Store, sqlite3.Connection]) -> None:
    store, hand = touched
    ((entry_id,),) = hand.execute("SELECT id FROM audit_entries WHERE seq = 4").fetchall()

    hand.execute("UPDATE audit_entries SET action = 'login' WHERE seq = 4")

    wire: Any = verify(store, AUDIT, ORGANIZATION).to_wire()
    assert wire["ok"] is False
    assert wire["first_broken"] == {"id": entry_id, "seq": 4}
    assert wire["entries"] == 3
    assert wire["problem"] == "the row was changed"


@pytest.mark.parametrize("chain", [AUDIT, EVENTS], ids=lambda chain: str(chain.name))
def test_every_column_of_a_row_counts(touched: tuple[Store, sqlite3.Connection], chain: Chain) -> None:
    store, hand = touched
    table, where = chain.table, f"WHERE {chain.number.name} = 4"
    columns = [column for column in table.columns if column.name not in ("organization", "chain", chain.number.name)]

    unnoticed = []
    for column in columns:
        ((there,),) = hand.execute(f"SELECT {column.name} FROM {table.name} {where}").fetchall()
        other: Any = "x" if isinstance(column.type, sa.String) else '["x"]' if isinstance(column.type, sa.JSON) else 1
        hand.execute(
            f"UPDATE {table.name} SET {column.name} = ? {where}",
            (99 if column.name == "seq" else 0 if there == 1 else other,),
        )
        if verify(store, chain, ORGANIZATION).broken is None:
            unnoticed.append(column.name)
        hand.execute(f"UPDATE {table.name} SET {column.name} = ? {where}", (there,))

    assert unnoticed == []
    assert len(columns) > 10
    assert verify(store, chain, ORGANIZATION).broken is None
