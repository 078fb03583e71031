"""Tables that only grow: the triggers that refuse to change or remove a row, in the words of each database.

`metadata.create_all` and the migrations both take them from here, so both ways make the same database.
"""

from __future__ import annotations

import sqlalchemy as sa

_FUNCTION = (
    "CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$ "
    "BEGIN RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'integrity_constraint_violation'; END $$"
)


def statements(table: str, dialect: str) -> tuple[str, ...]:
    """The DDL that makes *table* append-only (reliability.md T10); a change is an `IntegrityError` then.

    PostgreSQL empties a table by TRUNCATE without looking at its rows, so that is refused on its own.
    """
    if dialect == "postgresql":
        return (
            _FUNCTION,
            f"CREATE TRIGGER {table}_keeps_rows BEFORE UPDATE OR DELETE ON {table} "
            "FOR EACH ROW EXECUTE FUNCTION refuse_change()",
            f"CREATE TRIGGER {table}_keeps_all BEFORE TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()",
        )
    return tuple(
        f"CREATE TRIGGER {table}_no_{event.lower()} BEFORE {event} ON {table} "
        f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
        for event in ("UPDATE", "DELETE")
    )


def make_append_only(table: sa.Table) -> None:
    """Have `metadata.create_all` make the triggers with the table."""
    for dialect in ("sqlite", "postgresql"):
        for statement in statements(table.name, dialect):
            ddl = sa.DDL(statement.replace("%", "%%")).execute_if(dialect=dialect)  # type: ignore[no-untyped-call]
            sa.event.listen(table, "after_create", ddl)
