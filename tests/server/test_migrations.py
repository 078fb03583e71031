"""The database's shape: made at once or step by step, it is the same, and it is what the tables say."""

from __future__ import annotations

from collections.abc import Iterator
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
from reconciler.server.tables import metadata

STEPS = Path(migrations.__file__).with_name("versions")
_TRIGGERS = {
    "sqlite": "SELECT name, sql FROM sqlite_master WHERE type = 'trigger' ORDER BY name",
    "postgresql": "SELECT tgname, pg_get_triggerdef(pg_trigger.oid) || prosrc FROM pg_trigger "
    "JOIN pg_proc ON pg_proc.oid = tgfoid WHERE NOT tgisinternal ORDER BY tgname",
}


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[sa.Engine]:
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'steps.db'}")
    yield engine
    engine.dispose()


def shape(connection: sa.Connection) -> dict[str, Any]:
    """Everything that the database knows of its tables, without the order of columns."""
    seen = sa.inspect(connection)
    tables = {
        name: {
            "columns": sorted(repr(sorted(column.items(), key=str)) for column in seen.get_columns(name)),
            "key": seen.get_pk_constraint(name),
            "foreign": sorted(map(repr, seen.get_foreign_keys(name))),
            "unique": sorted(map(repr, seen.get_unique_constraints(name))),
            "indexes": sorted(map(repr, seen.get_indexes(name))),
            "checks": sorted(map(repr, seen.get_check_constraints(name))),
        }
        for name in seen.get_table_names()
    }
    rows = connection.execute(sa.text(_TRIGGERS[connection.dialect.name])).all()
    step = connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalars().all()
    return {"tables": tables, "triggers": [tuple(row) for row in rows], "step": step}


def test_the_steps_are_one_line_that_ends_at_the_head() -> None:
    script = ScriptDirectory(str(STEPS.parent))

    names = [step.revision for step in script.walk_revisions()][::-1]

    assert script.get_heads() == [HEAD]
    assert names == sorted(path.stem for path in STEPS.glob("*.py"))


def test_the_steps_from_nothing_make_what_the_tables_say(engine: sa.Engine) -> None:
    with engine.begin() as connection:
        upgrade(connection)
        context = MigrationContext.configure(connection, opts={"target_metadata": metadata})
        missing = compare_metadata(context, metadata)
        hint = render_python_code(produce_migrations(context, metadata).upgrade_ops) if missing else ""

    assert missing == [], f"a step in {STEPS} lacks:\n{hint}"


def test_a_database_made_at_once_is_the_one_made_step_by_step(engine: sa.Engine, tmp_path: Path) -> None:
    with engine.begin() as connection:
        upgrade(connection)
        stepped = shape(connection)
    at_once = sa.create_engine(f"sqlite:///{tmp_path / 'at-once.db'}")
    with at_once.begin() as connection:
        bring_up(connection)
        made = shape(connection)
    at_once.dispose()

    assert made == stepped
    assert made["step"] == [HEAD]
    assert len(made["triggers"]) >= 2


def test_every_module_with_tables_is_known_to_the_migrations() -> None:
    server = Path(migrations.__file__).parents[1]
    having = {
        ".".join(("reconciler.server", *path.relative_to(server).with_suffix("").parts))
        for path in server.rglob("*tables.py")
    }

    known = {module.__name__ for module in migrations.MODULES}

    assert having <= known


def test_a_database_made_by_a_newer_program_is_refused_and_left_alone(tmp_path: Path) -> None:
    db = str(tmp_path / "server.db")
    store = open_store(db)
    with store.write() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999_later'"))
        before = shape(connection)
    store.close()

    with pytest.raises(ConfigError, match="newer version") as caught:
        open_store(db)

    engine = sa.create_engine(f"sqlite:///{db}")
    with engine.connect() as connection:
        after = shape(connection)
    engine.dispose()
    assert "upgrade reconciler" in caught.value.fix
    assert after == before


def test_a_database_of_something_else_is_refused_and_left_alone(engine: sa.Engine, tmp_path: Path) -> None:
    with engine.begin() as connection:
        connection.execute(sa.text("CREATE TABLE users (id INTEGER)"))

    with pytest.raises(ConfigError, match="table `users`"):
        open_store(str(tmp_path / "steps.db"))

    with engine.connect() as connection:
        assert sa.inspect(connection).get_table_names() == ["users"]
