"""What is kept of valid files between runs, and all that makes it as if nothing were kept."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reconciler.core.schema import load_schemas
from reconciler.sources import cache

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
KEPT = {"a" * 64: [(1, {"id": "pol-a"}), (7, {"id": "pol-b"})]}


def shelf_in(folder: Path, **changed: Any) -> cache.Shelf:
    given = {"root": folder, "policies": "policies/neosc", "provider": "neosc", "schemas": load_schemas(), **changed}
    return cache.find_shelf(folder / "cache", **given)


def typed(value: Any) -> str:
    """Tells 1 from 1.0 and from true, and -0.0 from 0.0."""
    return repr(value)


@given(st.dictionaries(st.text(), VALUES))
@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_kept_comes_back_as_it_was(tmp_path: Path, value: dict[str, Any]) -> None:
    shelf = shelf_in(tmp_path)

    cache.save(shelf, {"a" * 64: [(3, value)]})

    assert typed(cache.load(shelf)) == typed({"a" * 64: [(3, value)]})


def test_what_is_kept_replaces_what_was_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    shelf = shelf_in(tmp_path)
    cache.save(shelf, {"b" * 64: [(1, {"id": "old"})]})

    cache.save(shelf, KEPT)

    assert cache.load(shelf) == KEPT
    assert list(shelf.file.parent.iterdir()) == [shelf.file]


def test_only_its_owner_may_read_or_write_what_is_kept(tmp_path: Path) -> None:
    shelf = shelf_in(tmp_path)

    cache.save(shelf, KEPT)

    assert shelf.file.stat().st_mode & 0o777 == 0o600
    assert shelf.file.parent.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(
    "changed", [{"policies": "policies/opena2a"}, {"provider": "opena2a"}, {"root": Path("/")}], ids=str
)
def test_each_folder_of_each_repository_has_a_file_of_its_own(tmp_path: Path, changed: dict[str, Any]) -> None:
    assert shelf_in(tmp_path, **changed).file != shelf_in(tmp_path).file


def test_nothing_is_believed_that_other_schemas_or_another_version_found_valid(tmp_path: Path) -> None:
    shelf = shelf_in(tmp_path)
    schemas = load_schemas()
    stricter = replace(schemas, raw={**schemas.raw, "neosc.policy": {"not": {}}})
    cache.save(shelf, KEPT)

    other = shelf_in(tmp_path, schemas=stricter)

    assert other.file == shelf.file
    assert cache.load(other) == {}
    assert cache.load(replace(shelf, made_with="0.0.1")) == {}


@pytest.mark.parametrize(
    "documents",
    [
        "[]",
        '{"a": 1}',
        '{"a": [[1, []]]}',
        '{"a": [[true, {}]]}',
        '{"a": [["1", {}]]}',
        '{"a": [[1, {}, 2]]}',
        '{"a": [[1, {"n": NaN}]]}',
        '{"a": [[1, {"n": ' + "[" * 100_000 + "]" * 100_000 + "}]]}",
        '{"a": [[1, {',
        '{"a": [[1, {"\udce4": 1}]]}',
    ],
    ids=range(10),
)
def test_what_is_not_as_we_write_it_is_as_good_as_nothing(tmp_path: Path, documents: str) -> None:
    shelf = shelf_in(tmp_path)
    cache.save(shelf, KEPT)
    text = f'{{"made_with": "{shelf.made_with}", "documents": {documents}}}'

    shelf.file.write_bytes(text.encode("utf-8", "surrogateescape"))

    assert cache.load(shelf) == {}


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such modes")
def test_what_others_can_write_is_as_good_as_nothing(tmp_path: Path) -> None:
    shelf = shelf_in(tmp_path)
    cache.save(shelf, KEPT)

    shelf.file.chmod(0o620)

    assert cache.load(shelf) == {}


def test_a_link_or_a_pipe_is_as_good_as_nothing(tmp_path: Path) -> None:
    shelf, elsewhere = shelf_in(tmp_path), shelf_in(tmp_path, provider="opena2a")
    cache.save(elsewhere, KEPT)

    shelf.file.symlink_to(elsewhere.file)
    linked = cache.load(shelf)
    shelf.file.unlink()
    os.mkfifo(shelf.file)
    piped = cache.load(shelf)

    assert (linked, piped) == ({}, {})


def test_a_folder_that_cannot_be_written_keeps_nothing_and_stops_nobody(tmp_path: Path) -> None:
    shelf = shelf_in(tmp_path)
    (tmp_path / "cache").write_text("a file stands where the folder would")

    cache.save(shelf, KEPT)

    assert cache.load(shelf) == {}


def test_the_file_is_json_that_anybody_can_look_at(tmp_path: Path) -> None:
    shelf = shelf_in(tmp_path)

    cache.save(shelf, KEPT)

    assert json.loads(shelf.file.read_text())["documents"]["a" * 64][1] == [7, {"id": "pol-b"}]
