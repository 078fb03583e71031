"""What the database itself refuses about a chain, whoever asks: triggers, for SQLite and PostgreSQL.

A chained row never changes, and goes only when an anchor tells of it: that is the one door, and the retention job is
who uses it. An anchor is refused unless it goes on where the last one ended, holds the hash of the row it ends with,
and names the entry of the trail that tells of it; then it stays for ever. The record of where a chain ends only moves
on. Whoever can drop a trigger can do more; that is what the hashes are for.
"""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa

_NEVER: Final = "1 = 0"

_ANCHORED: Final = (
    "EXISTS (SELECT 1 FROM trail_anchors AS a WHERE a.organization = OLD.organization AND a.chain = {kind} "
    "AND OLD.{number} BETWEEN a.from_number AND a.to_number)"
)
_GOES_ON: Final = (
    "NEW.from_number = 1 + COALESCE((SELECT MAX(a.to_number) FROM trail_anchors AS a "
    "WHERE a.organization = NEW.organization AND a.chain = NEW.chain), 0)"
)
_HOLDS_THE_HASH: Final = (
    "(EXISTS (SELECT 1 FROM audit_entries AS e WHERE NEW.chain = 'audit' AND e.organization = NEW.organization "
    "AND e.seq = NEW.to_number AND e.hash = NEW.hash) OR "
    "EXISTS (SELECT 1 FROM events AS e WHERE e.chain = NEW.chain AND e.organization = NEW.organization "
    "AND e.link = NEW.to_number AND e.hash = NEW.hash))"
)
_IS_TOLD: Final = (
    "EXISTS (SELECT 1 FROM audit_entries AS e WHERE e.organization = NEW.organization AND e.id = NEW.audit_id "
    "AND e.action = 'prune_trail')"
)


def keep_rows(table: sa.Table, number: str, kind: str) -> None:
    """Have `metadata.create_all` make the triggers of a chained table with it."""
    for dialect in ("sqlite", "postgresql"):
        _make_with(table, rows(table.name, number, kind, dialect), dialect)


def keep_record(table: sa.Table) -> None:
    """The same for `trail_heads` and `trail_anchors`."""
    for dialect in ("sqlite", "postgresql"):
        _make_with(table, RECORDS[table.name](dialect), dialect)


def rows(table: str, number: str, kind: str, dialect: str) -> tuple[str, ...]:
    """The triggers of a table of chained rows; *kind* is the SQL that says which chain `OLD` is of."""
    anchored, sentence = _ANCHORED.format(number=number, kind=kind), f"{table} is append-only"
    return (
        *_allow_only(table, "UPDATE", _NEVER, sentence, dialect),
        *_allow_only(table, "DELETE", anchored, sentence, dialect),
        *_keep_all(table, sentence, dialect),
    )


def heads(dialect: str) -> tuple[str, ...]:
    """The triggers of `trail_heads`: a chain never gets shorter."""
    table, sentence = "trail_heads", "trail_heads only moves on"
    return (
        *_allow_only(table, "UPDATE", "NEW.number > OLD.number", sentence, dialect),
        *_allow_only(table, "DELETE", _NEVER, sentence, dialect),
        *_keep_all(table, sentence, dialect),
    )


def anchors(dialect: str) -> tuple[str, ...]:
    """The triggers of `trail_anchors`: only true ones, and for ever."""
    table, sentence = "trail_anchors", "trail_anchors takes only what the trail tells of"
    return (
        *_allow_only(table, "INSERT", f"{_GOES_ON} AND {_HOLDS_THE_HASH} AND {_IS_TOLD}", sentence, dialect),
        *_allow_only(table, "UPDATE", _NEVER, sentence, dialect),
        *_allow_only(table, "DELETE", _NEVER, sentence, dialect),
        *_keep_all(table, sentence, dialect),
    )


RECORDS: Final = {"trail_heads": heads, "trail_anchors": anchors}


def _allow_only(table: str, event: str, condition: str, sentence: str, dialect: str) -> tuple[str, ...]:
    """A trigger that refuses every row for which *condition* does not hold, as an `IntegrityError`."""
    name, when = f"{table}_{event.lower()}", f"BEFORE {event} ON {table}"
    if dialect != "postgresql":
        return (f"CREATE TRIGGER {name} {when} WHEN NOT ({condition}) BEGIN SELECT RAISE(ABORT, '{sentence}'); END",)
    return (
        _function(name, f"IF {condition} THEN RETURN {'OLD' if event == 'DELETE' else 'NEW'}; END IF; ", sentence),
        f"CREATE TRIGGER {name} {when} FOR EACH ROW EXECUTE FUNCTION {name}()",
    )


def _keep_all(table: str, sentence: str, dialect: str) -> tuple[str, ...]:
    """PostgreSQL empties a table by TRUNCATE without looking at its rows, so that is refused on its own."""
    if dialect != "postgresql":
        return ()
    name = f"{table}_truncate"
    when = f"BEFORE TRUNCATE ON {table} FOR EACH STATEMENT"
    return (_function(name, "", sentence), f"CREATE TRIGGER {name} {when} EXECUTE FUNCTION {name}()")


def _function(name: str, before: str, sentence: str) -> str:
    return (
        f"CREATE OR REPLACE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {before}"
        f"RAISE EXCEPTION '{sentence}' USING ERRCODE = 'integrity_constraint_violation'; END $$"
    )


def _make_with(table: sa.Table, statements: tuple[str, ...], dialect: str) -> None:
    for statement in statements:
        ddl = sa.DDL(statement).execute_if(dialect=dialect)  # type: ignore[no-untyped-call]
        sa.event.listen(table, "after_create", ddl)
