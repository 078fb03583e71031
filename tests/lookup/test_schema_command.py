"""`schema`: print, install, check."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from reconciler import __version__
from reconciler.core.schema import load_schemas
from tests.support.program import Program, config_text, neosc_target, program_in
from tests.support.repos import make_repo

COPY = "schemas/neosc.policy.schema.json"


@pytest.fixture
def program(tmp_path: Path) -> Program:
    return program_in(
        make_repo(tmp_path, {"reconciler.yaml": config_text(neosc=neosc_target("http://127.0.0.1:9/api"))})
    )


def state_of(program: Program, name: str = "neosc.policy") -> str:
    copies = program.run("schema", "check", "--json").json()["copies"]
    (state,) = [copy["state"] for copy in copies if copy["name"] == name]
    assert isinstance(state, str)
    return state


def rewrite(program: Program, change: dict[str, object]) -> None:
    path = program.folder / COPY
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))


def test_without_words_every_schema_is_listed(program: Program) -> None:
    assert [line.split()[0] for line in program.ok("schema").out.splitlines()] == list(load_schemas().names)
    assert {entry["name"] for entry in program.ok("schema", "--json").json()["schemas"]} == set(load_schemas().names)


@pytest.mark.parametrize("words", [("print", "neosc.policy"), ("neosc.policy",), ("neosc.policy.schema.json",)])
def test_a_schema_is_printed_with_the_version_of_the_program_in_its_id(
    program: Program, words: tuple[str, ...]
) -> None:
    printed = program.ok("schema", *words).json()

    assert printed["$id"] == f"urn:reconciler:schema:neosc.policy:1:tool:{__version__}"
    assert {**printed, "$id": ""} == {**load_schemas().raw["neosc.policy"], "$id": ""}


def test_an_unknown_name_is_wrong_usage_and_names_those_near(program: Program) -> None:
    ended = program.run("schema", "print", "policy")

    assert ended.code == 64
    assert "did you mean aim.policy or neosc.policy or opena2a.policy" in ended.err


@pytest.mark.parametrize("words", [("install", "x"), ("check", "plan"), ("print", "plan", "run")])
def test_too_many_words_are_wrong_usage(program: Program, words: tuple[str, ...]) -> None:
    assert program.run("schema", *words).code == 64


def test_an_install_writes_copies_and_editor_settings_and_then_they_are_current(program: Program) -> None:
    assert program.run("schema", "check").code == 1

    program.ok("schema", "install")

    assert program.ok("schema", "check").out.count("as this version has it") == 6
    assert (program.folder / COPY).read_text() == program.ok("schema", "neosc.policy").out
    assert "redhat.vscode-yaml" in (program.folder / ".vscode/extensions.json").read_text()


@pytest.mark.parametrize(
    ("change", "state"),
    [
        ({"$id": "urn:reconciler:schema:neosc.policy:1:tool:0.0.9"}, "older"),
        ({"$id": "urn:reconciler:schema:neosc.policy:1:tool:99.0"}, "newer"),
        ({"$id": "urn:reconciler:schema:neosc.policy:1"}, "own"),
        ({"$id": "something else"}, "older"),
        ({"title": "Mine"}, "edited"),
    ],
)
def test_a_copy_that_departs_is_named_for_what_it_is(program: Program, change: dict[str, object], state: str) -> None:
    program.ok("schema", "install")
    rewrite(program, change)

    assert state_of(program) == state
    assert program.run("schema", "check").code == (0 if state == "own" else 1)


@pytest.mark.parametrize("text", ["{", "[]", "[" * 100_000, "\xff"])
def test_a_copy_that_is_no_schema_is_replaced_by_an_install(program: Program, text: str) -> None:
    program.ok("schema", "install")
    (program.folder / COPY).write_text(text)

    assert state_of(program) in ("unreadable", "older")
    program.ok("schema", "install")
    assert state_of(program) == "current"


def test_an_install_leaves_newer_copies_and_ones_own_editor_settings_alone(program: Program) -> None:
    program.ok("schema", "install")
    rewrite(program, {"$id": "urn:reconciler:schema:neosc.policy:1:tool:99.0"})
    (program.folder / ".vscode/settings.json").write_text("{}\n")

    ended = program.run("schema", "install")

    assert ended.code == 1
    assert state_of(program) == "newer"
    assert (program.folder / ".vscode/settings.json").read_text() == "{}\n"
    assert "there already, left alone" in ended.out


def test_nothing_is_written_through_a_link(program: Program, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (program.folder / "schemas").symlink_to(elsewhere)

    ended = program.run("schema", "install")

    assert ended.code == 1
    assert list(elsewhere.iterdir()) == []
