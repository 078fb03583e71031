"""The database's shape: made at once or step by step, it is the same, and it is what the tables say."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata, produce_migrations, render_python_code
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from reconciler.errors import ConfigError
from reconciler.server import migrations
from reconciler.server.migrations import HEAD, bring_up, upgrade
from reconciler.server.store import open_store
from reconciler.server.tables import metadata, users
from tests.support.postgres import Cluster

STEPS = Path(migrations.__file__).with_name("versions")
_TRIGGERS = {
    "sqlite": "SELECT name, sql FROM sqlite_master WHERE type = 'trigger' ORDER BY name",
    "postgresql": "SELECT tgname, pg_get_triggerdef(pg_trigger.oid) || prosrc FROM pg_trigger "
    "JOIN pg_proc ON pg_proc.oid = tgfoid WHERE NOT tgisinternal ORDER BY tgname",
}


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.heavy)])
def urls(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[list[str]]:
    """Two empty databases."""
    if request.param == "sqlite":
        yield [f"sqlite:///{tmp_path / name}.db" for name in ("first", "second")]
        return
    cluster: Cluster = request.getfixturevalue("postgres")
    urls = [cluster.make_database() for _ in range(2)]
    yield urls
    for url in urls:
        cluster.drop_database(url)


@contextmanager
def connect(url: str) -> Iterator[sa.Connection]:
    """A transaction, committed, on a connection that is closed afterwards."""
    engine = sa.create_engine(url.replace("postgresql:", "postgresql+psycopg:"), poolclass=sa.NullPool)
    with engine.begin() as connection:
        yield connection


def shape(connection: sa.Connection) -> dict[str, Any]:
    """Everything that the database knows of its tables, without the order of columns."""
    seen = sa.inspect(connection)
    tables = {
        name: {
            "columns": sorted(repr(sorted(column.items(), key=str)) for column in seen.get_columns(name)),
            "key": seen.get_pk_constraint(name),
            "foreign": sorted(map(repr, seen.get_foreign_keys(name))),
            "unique": sorted(map(repr, seen.get_unique_constraints(name))),
            "indexes": sorted(repr(_plain(index)) for index in seen.get_indexes(name)),
            "checks": sorted(map(repr, seen.get_check_constraints(name))),
        }
        for name in seen.get_table_names()
    }
    rows = connection.execute(sa.text(_TRIGGERS[connection.dialect.name])).all()
    step = connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalars().all()
    return {"tables": tables, "triggers": [tuple(row) for row in rows], "step": step}


def _plain(index: Any) -> dict[str, Any]:
    """An index with the conditions of a partial one as text: clauses of equal text are not equal."""
    options = {name: str(option) for name, option in index.get("dialect_options", {}).items()}
    return {**index, "dialect_options": options}


def test_the_steps_are_one_line_that_ends_at_the_head() -> None:
    script = ScriptDirectory(str(STEPS.parent))

    names = [step.revision for step in script.walk_revisions()][::-1]

    assert script.get_heads() == [HEAD]
    assert names == sorted(path.stem for path in STEPS.glob("*.py"))


def test_the_steps_from_nothing_make_what_the_tables_say(urls: list[str]) -> None:
    with connect(urls[0]) as connection:
        upgrade(connection)
        context = MigrationContext.configure(connection, opts={"target_metadata": metadata})
        missing = compare_metadata(context, metadata)
        hint = render_python_code(produce_migrations(context, metadata).upgrade_ops) if missing else ""

    assert missing == [], f"a step in {STEPS} lacks:\n{hint}"


def test_a_database_made_at_once_is_the_one_made_step_by_step(urls: list[str]) -> None:
    with connect(urls[0]) as connection:
        upgrade(connection)
        stepped = shape(connection)

    with connect(urls[1]) as connection:
        bring_up(connection)
        made = shape(connection)

    assert made == stepped
    assert made["step"] == [HEAD]
    assert len(made["triggers"]) >= 2


@pytest.mark.parametrize("step", [path.stem for path in sorted(STEPS.glob("*.py"))])
def test_a_database_of_any_step_is_brought_up_to_date_and_keeps_its_rows(urls: list[str], step: str) -> None:
    with connect(urls[0]) as connection:
        upgrade(connection, step)
        row = {"id": "user-1", "email": "a@example.com", "name": "a", "organization": "default", "role": "admin"}
        connection.execute(users.insert().values(**row, created_at="2026-11-20T09:00:00.000Z"))

    open_store(urls[0]).close()

    with connect(urls[0]) as connection, connect(urls[1]) as other:
        bring_up(other)
        assert shape(connection) == shape(other)
        assert connection.execute(sa.select(users.c.email)).scalars().all() == ["a@example.com"]


def test_steps_that_fail_leave_the_database_as_it_was(urls: list[str]) -> None:
    with connect(urls[0]) as connection:
        upgrade(connection, "0001_first")
        before = shape(connection)
        connection.execute(sa.text("CREATE TABLE events (id INTEGER)"))  # in the way of a later step

    with pytest.raises(ConfigError, match="cannot open the database"):
        open_store(urls[0])

    with connect(urls[0]) as connection:
        connection.execute(sa.text("DROP TABLE events"))
        assert shape(connection) == before


def test_two_programs_that_start_at_once_make_one_database(urls: list[str]) -> None:
    with ThreadPoolExecutor(4) as pool:
        for store in list(pool.map(open_store, [urls[0]] * 4)):
            store.close()

    with connect(urls[0]) as connection, connect(urls[1]) as other:
        bring_up(other)
        assert shape(connection) == shape(other)


def test_every_module_with_tables_is_known_to_the_migrations() -> None:
    server = Path(migrations.__file__).parents[1]
    having = {
        ".".join(("reconciler.server", *path.relative_to(server).with_suffix("").parts))
        for path in server.rglob("*tables.py")
    }

    known = {module.__name__ for module in migrations.MODULES}

    assert having <= known


def test_a_database_made_by_a_newer_program_is_refused_and_left_alone(urls: list[str]) -> None:
    open_store(urls[0]).close()
    with connect(urls[0]) as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999_later'"))
        before = shape(connection)

    with pytest.raises(ConfigError, match="newer version") as caught:
        open_store(urls[0])

    with connect(urls[0]) as connection:
        assert shape(connection) == before
    assert "upgrade reconciler" in caught.value.fix


def test_a_database_of_something_else_is_refused_and_left_alone(urls: list[str]) -> None:
    with connect(urls[0]) as connection:
        connection.execute(sa.text("CREATE TABLE users (id INTEGER)"))

    with pytest.raises(ConfigError, match="table `users`"):
        open_store(urls[0])

    with connect(urls[0]) as connection:
        assert sa.inspect(connection).get_table_names() == ["users"]
