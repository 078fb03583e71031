"""Values that a folder keeps beside its events: the same as looking for them, and never those of another folder."""

from __future__ import annotations

import json
from pathlib import Path

import duckdb
import pytest

from reconciler.impact.known import Known, read_known, write_known
from reconciler.impact.lift import Values
from reconciler.impact.preview import open_events
from reconciler.impact.store import write_events
from tests.impact.test_preview import traffic

ASKED = [("address",), ("action_key",), ("actor_id",), ("resource",), ("wanted",), ("actor_id", "action")]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "events"
    write_events(path, traffic(500), mapping={})
    with duckdb.connect() as connection:
        connection.execute(f"CREATE VIEW events AS FROM read_parquet('{path}/date=*/*.parquet')")
        write_known(connection, path)
    return path


def known(folder: Path) -> Known:
    return read_known(folder, 500, 1, 2)


def test_what_is_written_down_is_what_looking_finds(folder: Path) -> None:
    with open_events(folder) as (table, stored):
        told, looked = Values(table, stored.known), Values(table)

        assert stored.known is not None
        assert {"source_ip", "actor_id", "action", "resource"} <= stored.known.files.keys()
        assert all(sorted(told.of(each)) == sorted(looked.of(each)) for each in ASKED)
        assert told.overview == looked.overview
        assert told.span == looked.span


def test_a_small_folder_has_none_and_is_looked_through(tmp_path: Path) -> None:
    write_events(tmp_path / "events", traffic(50), mapping={})

    assert not (tmp_path / "events" / "values").exists()
    assert known(tmp_path / "events").files == {}


def test_values_of_another_manifest_are_not_read(folder: Path) -> None:
    manifest = folder / "manifest.json"
    manifest.write_text(manifest.read_text() + "\n")

    assert known(folder).files == {}


def test_a_file_of_values_that_changed_is_not_read(folder: Path) -> None:
    (folder / "values" / "source_ip.parquet").write_bytes((folder / "values" / "action.parquet").read_bytes())

    assert "source_ip" not in known(folder).files
    assert "action" in known(folder).files


@pytest.mark.parametrize("text", ["", "[]", "null", '{"format": "reconciler.values/1"}', "[" * 100_000, '{"a": 1}'])
def test_an_index_that_is_none_is_as_if_it_were_not_there(folder: Path, text: str) -> None:
    (folder / "values" / "values.json").write_text(text)

    assert known(folder).files == {}


def test_an_index_cannot_name_a_file_of_another_place(folder: Path) -> None:
    index = folder / "values" / "values.json"
    value = json.loads(index.read_text())
    index.write_text(
        json.dumps({**value, "columns": {**value["columns"], "../../secret": "sha256:0", "event_id": "x"}})
    )

    assert known(folder).files.keys() == value["columns"].keys()


def test_a_column_that_counts_as_not_recorded_has_no_values(folder: Path) -> None:
    left = known(folder).without(["source_ip"])

    assert left.values("source_ip") is None
    assert left.values("action") == ["delete_row", "read", "write"]
