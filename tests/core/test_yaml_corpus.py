"""The YAML test suite against our reader: every verdict is written down, and the table is checked by three laws."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from reconciler.core.documents import load_yaml, read_documents
from reconciler.core.model import Json
from reconciler.core.problems import FilesError

SUITE = Path(__file__).parents[2].parent / "shared" / "corpora" / "yaml-test-suite"
TABLE = Path(__file__).parent / "yaml_corpus.tsv"

#: What may refuse a document that YAML 1.2 allows: a smaller language, by name. `yaml-syntax` is not among them.
NAMED = {
    "yaml-1.1",
    "yaml-alias",
    "yaml-anchor",
    "yaml-colon",
    "yaml-directive",
    "yaml-document",
    "yaml-invisible",
    "yaml-key",
    "yaml-question",
    "yaml-tab",
    "yaml-tag",
}

pytestmark = pytest.mark.skipif(not SUITE.is_dir(), reason=f"the YAML test suite is not at {SUITE}")


def same(ours: Json, theirs: Json) -> bool:
    """Strictly typed equality, but 1 is 1.0: JSON has one kind of number."""
    if isinstance(ours, bool) or isinstance(theirs, bool):
        return ours is theirs
    if isinstance(ours, int | float) and isinstance(theirs, int | float):
        return ours == theirs
    if isinstance(ours, list) and isinstance(theirs, list):
        return len(ours) == len(theirs) and all(map(same, ours, theirs))
    if isinstance(ours, dict) and isinstance(theirs, dict):
        return ours.keys() == theirs.keys() and all(same(ours[key], theirs[key]) for key in ours)
    return type(ours) is type(theirs) and ours == theirs


def read_json_values(text: str) -> list[Json]:
    values: list[Json] = []
    decoder, at = json.JSONDecoder(), 0
    while text[at:].strip():
        at += len(text[at:]) - len(text[at:].lstrip())
        value, at = decoder.raw_decode(text, at)
        values.append(value)
    return values


def verdict(folder: Path) -> str:
    try:
        values = load_yaml((folder / "in.yaml").read_bytes())
    except FilesError as error:
        return "refused: " + " ".join(sorted({problem.code for problem in error.problems}))
    if (folder / "error").exists():
        return "WRONG: accepted, and it is no YAML"
    if not (folder / "in.json").exists():
        return "accepted, has no in.json"
    if same(list(values), read_json_values((folder / "in.json").read_text(encoding="utf-8"))):
        return "equal to in.json"
    return "WRONG: differs from in.json"


def folders() -> Iterator[tuple[str, Path]]:
    for path in sorted(SUITE.rglob("in.yaml")):
        yield path.parent.relative_to(SUITE).as_posix(), path.parent


def rows() -> list[tuple[str, str, str]]:
    return [(name, "invalid" if (at / "error").exists() else "valid", verdict(at)) for name, at in folders()]


def test_the_table_says_what_the_reader_does_with_all_402_documents(golden: Callable[[Path, str], None]) -> None:
    found = rows()

    assert len(found) == 402
    golden(TABLE, "".join("\t".join(row) + "\n" for row in found))


def test_no_invalid_document_is_accepted_and_no_value_differs() -> None:
    found = rows()

    assert [row for row in found if row[2].startswith("WRONG")] == []
    assert sum(row[1] == "invalid" for row in found) == 94
    assert all(row[2].startswith("refused: ") for row in found if row[1] == "invalid")


def test_only_named_refusals_refuse_a_valid_document() -> None:
    refused = [(name, set(what.split()[1:])) for name, kind, what in rows() if kind == "valid" and "refused" in what]

    assert [(name, codes - NAMED) for name, codes in refused if codes - NAMED] == []


def test_every_refusal_has_a_place_inside_the_file_and_a_way_out() -> None:
    for name, folder in folders():
        data = (folder / "in.yaml").read_bytes()

        _, problems = read_documents(data, f"{name}.yaml")

        lines = data.decode().splitlines() or [""]
        for problem in problems:
            assert problem.line is not None, name
            assert problem.column is not None, name
            assert 1 <= problem.line <= len(lines), name
            assert 1 <= problem.column <= len(lines[problem.line - 1]) + 1, name
            assert problem.excerpt, name
            assert problem.fix, name


def test_comparison_tells_true_from_one_and_text_from_number() -> None:
    assert not same(True, 1)
    assert not same("1", 1)
    assert not same(None, "")
    assert not same([1], [1, 2])
    assert not same({"a": 1}, {"b": 1})
    assert same({"a": [1]}, {"a": [1.0]})
