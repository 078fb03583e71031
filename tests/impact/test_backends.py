"""Events in an engine that somebody has: the same numbers as from a folder, and one plain error where it cannot be."""

from __future__ import annotations

import json
import sqlite3
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import psycopg
import pytest

from reconciler.core.impact import Impact
from reconciler.errors import ExitCode, ReconcilerError
from reconciler.impact.backends import ENGINES, looks_of, open_table, without_secrets
from reconciler.impact.preview import open_events, preview
from reconciler.impact.replay import Version
from reconciler.impact.store import write_events
from tests.impact.test_preview import NARROW, RATE, WIDE, of, policy, traffic
from tests.support.program import config_text, opena2a_target, program_in
from tests.support.replays import SCHEMA
from tests.support.repos import make_repo

OLD = of(WIDE, RATE)
NEW = of(NARROW, policy("rate", "rate_limit", {"max_requests_per_hour": 2}, "throttle"))
TYPES = {"string": "TEXT", "int64": "BIGINT", "float64": "DOUBLE PRECISION", "boolean": "BOOLEAN"}
CREATE = ", ".join(f'"{name}" {TYPES[str(kind)]}' for name, kind in SCHEMA.items())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("events") / "week"
    write_events(path, traffic(), mapping={})
    return path


@pytest.fixture(scope="module")
def rows(folder: Path) -> list[dict[str, Any]]:
    with duckdb.connect() as connection:
        names = ", ".join(f'"{name}"' for name in SCHEMA)
        found = connection.execute(f"SELECT {names} FROM read_parquet('{folder}/date=*/*.parquet')")
        return [dict(zip(SCHEMA, row, strict=True)) for row in found.fetchall()]


@pytest.fixture(scope="module")
def expected(folder: Path) -> Impact:
    with open_events(folder) as (table, stored):
        return preview(OLD, NEW, table, stored)


def filled(execute: Callable[[str], Any], many: Callable[[str, Any], Any], rows: Any, mark: str) -> None:
    execute(f"CREATE TABLE events ({CREATE})")
    many(f"INSERT INTO events VALUES ({', '.join(mark for _ in SCHEMA)})", [tuple(row.values()) for row in rows])


def sqlite_url(tmp_path: Path, rows: Any) -> str:
    with sqlite3.connect(tmp_path / "events.sqlite") as connection:
        filled(connection.execute, connection.executemany, rows, "?")
    connection.close()
    return f"sqlite://{tmp_path}/events.sqlite"


def duckdb_url(tmp_path: Path, rows: Any, folder: Path) -> str:
    with duckdb.connect(str(tmp_path / "events.duckdb")) as connection:
        connection.execute(f"CREATE TABLE events AS FROM read_parquet('{folder}/date=*/*.parquet')")
    return f"duckdb://{tmp_path}/events.duckdb"


def preview_in(url: str, name: str, old: Version = OLD, new: Version = NEW) -> Impact:
    with open_table(url, name, [(old, new)]) as (table, stored):
        return preview(old, new, table, stored)


@pytest.mark.parametrize("engine", ["sqlite", "duckdb"])
def test_a_table_of_an_engine_gives_the_numbers_of_the_folder(
    engine: str, folder: Path, rows: Any, expected: Impact, tmp_path: Path
) -> None:
    url = sqlite_url(tmp_path, rows) if engine == "sqlite" else duckdb_url(tmp_path, rows, folder)

    found = preview_in(url, "events" if engine == "sqlite" else "main.events")

    assert found == expected
    assert found.newly_blocked > 100


@pytest.fixture
def database() -> Iterator[str]:
    from tests.support.postgres import cluster, find_programs

    programs = find_programs()
    if programs is None:
        pytest.skip("needs PostgreSQL: apt-get install postgresql")
    with cluster(programs) as running:
        yield running.make_database()


@pytest.mark.heavy
def test_a_table_of_postgresql_gives_the_numbers_of_the_folder(database: str, rows: Any, expected: Impact) -> None:
    with psycopg.connect(database, autocommit=True) as connection, connection.cursor() as cursor:
        filled(cursor.execute, cursor.executemany, rows, "%s")
        cursor.execute("ANALYZE events")
    told: list[str] = []

    with open_table(database, "public.events", [(OLD, NEW)], tell=told.append) as (table, stored):
        found = preview(OLD, NEW, table, stored)

    assert found == expected
    assert "the planner's estimate" in told[0]


@pytest.mark.heavy
def test_spark_gives_the_numbers_of_the_folder(folder: Path, expected: Impact) -> None:
    pytest.importorskip("pyspark", reason="needs pyspark and Java: .ci/spark installs it; and a Java 17 runtime")

    assert preview_in("pyspark://?spark.master=local[2]&spark.sql.shuffle.partitions=4", str(folder)) == expected


def failing(url: str, name: str = "events", **more: Any) -> ReconcilerError:
    with pytest.raises(ReconcilerError) as caught, open_table(url, name, [(OLD, NEW)], **more):
        pass
    return caught.value


def test_a_url_is_shown_without_user_password_and_parameters() -> None:
    assert without_secrets("trino://me:secret@host:8080/c/s?auth=token") == "trino://host:8080/c/s"
    assert without_secrets("sqlite:///a/b.sqlite") == "sqlite:///a/b.sqlite"


def test_an_engine_that_cannot_be_reached_is_an_error_without_the_password() -> None:
    error = failing("postgres://me:hunter%2B2@127.0.0.1:1/audit?sslpassword=swordfish")

    assert error.code == "backend"
    assert not any(secret in f"{error}" for secret in ("hunter", "swordfish"))
    assert "127.0.0.1" in str(error)


@pytest.mark.parametrize("url", ["mysql://host/db", "events.db", "file:///etc/passwd"])
def test_an_engine_that_nobody_speaks_is_wrong_usage(url: str) -> None:
    error = failing(url)

    assert (error.code, error.exit) == ("backend", ExitCode.USAGE)


def test_a_database_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    assert failing(f"sqlite://{tmp_path}/none.sqlite").code == "backend"
    assert failing(f"duckdb://{tmp_path}/none.duckdb").code == "backend"
    assert list(tmp_path.iterdir()) == []


def test_a_driver_that_is_not_installed_is_named_with_its_command() -> None:
    if any(name in sys.modules for name in ("trino", "snowflake")):
        pytest.skip("drivers of other engines are installed")

    error = failing("trino://host/catalog/schema")

    assert error.code == "backend-driver"
    assert "pip install 'ibis-framework[trino]'" in str(error)


CHANGED: list[tuple[str, str]] = [
    ("ALTER TABLE events DROP COLUMN seq", "has no column seq"),
    ("UPDATE events SET seq = 7", "has several rows with one seq"),
    ("UPDATE events SET seq = 100000 - seq", "does not rise with ts_us"),
    ("UPDATE events SET actor_id = NULL WHERE seq = 7", "has rows without actor_id"),
    ("DELETE FROM events", "holds no event"),
    ("ALTER TABLE events ALTER source_ip TYPE INTEGER USING 1", "has source_ip as int32"),
    ("ALTER TABLE events ADD COLUMN actor_roles VARCHAR[]; ALTER TABLE events DROP actor_roles_key", "actor_roles_key"),
]


@pytest.mark.parametrize(("change", "says"), CHANGED)
def test_a_table_that_is_none_of_events_is_said_to_be_none(
    change: str, says: str, rows: Any, folder: Path, tmp_path: Path
) -> None:
    url = duckdb_url(tmp_path, rows, folder)
    with duckdb.connect(str(tmp_path / "events.duckdb")) as connection:
        connection.execute("ALTER TABLE events DROP COLUMN actor_roles")
        connection.execute(change)

    error = failing(url)

    assert error.code == "backend-table"
    assert says in str(error)


def test_a_column_with_one_value_counts_as_not_recorded(rows: Any, folder: Path, tmp_path: Path) -> None:
    url = duckdb_url(tmp_path, rows, folder)
    with duckdb.connect(str(tmp_path / "events.duckdb")) as connection:
        connection.execute("UPDATE events SET source_ip = '192.168.1.1'")

    found = preview_in(url, "events", of(WIDE), of(NARROW))

    assert (found.newly_blocked, found.newly_allowed) == (0, 0)
    assert "source_ip has one value in all events, so it counts as not recorded" in found.warnings


def test_more_than_the_limit_is_not_read(rows: Any, folder: Path, tmp_path: Path) -> None:
    url = duckdb_url(tmp_path, rows, folder)
    told: list[str] = []

    error = failing(url, max_bytes=1000, tell=told.append)

    assert error.code == "backend-bytes"
    assert "nothing was read" in str(error)
    assert told[0].startswith("about ")


def test_more_changes_look_more_often() -> None:
    assert looks_of([(OLD, OLD)], 4) < looks_of([(OLD, of(NARROW, RATE))], 4) < looks_of([(OLD, NEW)], 4)
    assert {"trino", "snowflake", "bigquery", "pyspark", "postgres"} <= ENGINES.keys()


def test_the_program_replays_in_an_engine_and_says_what_it_reads(rows: Any, tmp_path: Path) -> None:
    url = sqlite_url(tmp_path, rows)
    text = {"name": "ip", "policy_type": "ip_allowlist", "actions": {"on_violation": "block"}}
    repo = make_repo(
        tmp_path / "repo",
        {
            "reconciler.yaml": config_text(prod={**opena2a_target("https://policies.example.com/v1"), "policies": "p"}),
            "p/ip.yaml": json.dumps({**text, "conditions": {"allowed_ips": ["192.168.0.0/22"]}}),
        },
    )
    repo.commit({"p/ip.yaml": json.dumps({**text, "conditions": {"allowed_ips": ["192.168.0.0/23"]}})}, "Narrow")
    program = program_in(repo)
    command = ["impact", "--from", "HEAD~1", "--events", "events", "--json"]

    done = program.ok(*command, f"--backend={url}")
    refused = program.run(*command, "--max-bytes=10", env={"RECONCILER_BACKEND": url})
    without = program.run(*command, "--max-bytes=10")

    assert done.json()["targets"][0]["impact"]["newly_blocked"] > 100
    assert "will be read from sqlite://" in done.err
    assert (refused.code, refused.json()["error"]["code"]) == (1, "backend-bytes")
    assert without.code == 64


def test_an_amount_of_memory_that_is_none_is_wrong_usage(tmp_path: Path) -> None:
    repo = make_repo(tmp_path, {"reconciler.yaml": config_text(prod=opena2a_target("https://policies.example.com/v1"))})

    ended = program_in(repo).run(
        "impact", "--from=HEAD", "--events=events", env={"RECONCILER_EVENTS_MEMORY": "1GB'; DROP TABLE events"}
    )

    assert ended.code == 64
    assert "RECONCILER_EVENTS_MEMORY" in ended.err
