"""`init`: a policies repository that validates, over nothing that was there."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
import yaml

from reconciler.workflows.init import action_from, template_paths
from tests.conftest import Golden
from tests.support.program import Program, config_text, neosc_target, program_in
from tests.support.repos import make_repo
from tests.support.servers import reference_server

GOLDEN = Path(__file__).with_name("golden")
SHA = "0123456789abcdef" * 2 + "01234567"


@pytest.fixture
def outside(tmp_path: Path) -> Program:
    """The program in an empty folder that is no repository."""
    folder = tmp_path / "empty"
    folder.mkdir()
    return Program(folder, program_in(make_repo(tmp_path / "other", {})).env)


def files_below(folder: Path) -> set[str]:
    found = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return {path.as_posix() for path in found if path.parts[0] != ".git"}


def test_the_new_repository_is_told_file_by_file(outside: Program, golden: Golden) -> None:
    ended = outside.ok("init", "my-policies")

    golden(GOLDEN / "init.txt", ended.out)
    told = {line.split()[-1] for line in ended.out.splitlines() if line.startswith("  written ")}
    assert told == files_below(outside.folder / "my-policies")


def test_what_init_writes_is_valid(outside: Program) -> None:
    outside.ok("init", "my-policies")

    ended = outside.ok("-C", "my-policies", "validate")

    assert ended.out == "Valid: 10 files, 8 policies. Nothing was sent to the API.\n"
    assert outside.ok("-C", "my-policies", "schema", "check").out.count("as this version has it") == 6


def test_what_init_writes_can_be_planned_once_committed(outside: Program) -> None:
    outside.ok("init")
    git = {"cwd": outside.folder, "env": dict(outside.env), "check": True}
    subprocess.run(["git", "add", "--all"], **git)  # type: ignore[call-overload]
    identity = ["-c", "user.name=A", "-c", "user.email=a@example.invalid"]
    subprocess.run(["git", *identity, "commit", "--quiet", "-m", "Start"], **git)  # type: ignore[call-overload]
    with reference_server() as server:
        config = outside.folder / "reconciler.yaml"
        config.write_text(config.read_text().replace("http://127.0.0.1:8800", server.url))

        plan = outside.ok("plan", "--target", "opena2a", "--json", env={"RECONCILER_TOKEN": server.token}).json()

    assert plan["summary"]["create"] == 5
    assert plan["blocked"] == []


def test_every_file_has_the_shape_its_reader_wants(outside: Program) -> None:
    outside.ok("init")

    for name in files_below(outside.folder):
        data = (outside.folder / name).read_text()
        if name.endswith((".yml", ".yaml")):
            assert yaml.safe_load(data), name
        elif name.endswith(".json"):
            assert json.loads(data), name
        assert "@VERSION@" not in data
        assert data.endswith("\n")
        assert "\n\n\n" not in data
    for name in ("policies/neosc/mfa.yaml", "policies/opena2a/rate-limit.yaml", "reconciler.yaml", "overrides.yaml"):
        first = (outside.folder / name).read_text().splitlines()[0]
        schema = first.removeprefix("# yaml-language-server: $schema=")
        assert ((outside.folder / name).parent / schema).resolve().is_file(), name


def test_the_editor_knows_the_schema_of_each_policy_file(outside: Program) -> None:
    outside.ok("init")

    settings = json.loads((outside.folder / ".vscode/settings.json").read_text())

    for schema, globs in settings["yaml.schemas"].items():
        assert (outside.folder / schema).is_file()
        assert [path for glob in globs if not glob.startswith("!") for path in outside.folder.glob(glob)] or (
            "settings" in schema
        )


def test_no_file_that_is_there_is_touched(outside: Program) -> None:
    mine = {name: f"# mine: {name}\n" for name in (*template_paths(), "schemas/neosc.policy.schema.json")}
    del mine["reconciler.yaml"]
    for name, text in mine.items():
        path = outside.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    ended = outside.ok("init", "--json").json()

    assert {entry["path"] for entry in ended["files"] if not entry["written"]} == mine.keys()
    assert {name: (outside.folder / name).read_text() for name in mine} == mine


def test_run_twice_it_writes_nothing(outside: Program) -> None:
    outside.ok("init")
    before = {name: (outside.folder / name).stat().st_mtime_ns for name in files_below(outside.folder)}

    ended = outside.ok("init", "--json").json()

    assert [entry for entry in ended["files"] if entry["written"]] == []
    assert ended["git"] is False
    assert {name: (outside.folder / name).stat().st_mtime_ns for name in before} == before


def test_with_settings_of_ones_own_no_example_policy_is_written(outside: Program) -> None:
    config = config_text(prod={**neosc_target("https://neosc.example.com/api"), "policies": "rules"})
    (outside.folder / "reconciler.yaml").write_text(config)

    outside.ok("init")

    assert not (outside.folder / "policies").exists()
    globs = json.loads((outside.folder / ".vscode/settings.json").read_text())["yaml.schemas"]
    assert globs["./schemas/neosc.policy.schema.json"][0] == "rules/**/*.yaml"


def test_inside_a_repository_none_is_made_and_ci_below_its_top_is_remarked_on(tmp_path: Path) -> None:
    program = program_in(make_repo(tmp_path, {"README.md": "x\n"}))

    ended = program.ok("init", "policies-of-mine")

    assert not (program.folder / "policies-of-mine" / ".git").exists()
    assert "not the top of its repository" in ended.out


def test_nothing_is_written_through_a_link(outside: Program, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (outside.folder / ".github").symlink_to(elsewhere)

    ended = outside.run("init")

    assert ended.code == 1
    assert "error[output]" in ended.err
    assert list(elsewhere.iterdir()) == []


@pytest.mark.parametrize(
    ("direct_url", "expected"),
    [
        (None, "OWNER/reconciler@" + "0" * 40),
        ("{", "OWNER/reconciler@" + "0" * 40),
        ('{"url": "file:///x", "dir_info": {}}', "OWNER/reconciler@" + "0" * 40),
        (json.dumps({"url": "https://evil.example/a/b", "vcs_info": {"commit_id": SHA}}), "OWNER/"),
        (json.dumps({"url": "https://github.com/a/b", "vcs_info": {"commit_id": "main"}}), "OWNER/"),
        (json.dumps({"url": "https://github.com/a/b.git", "vcs_info": {"commit_id": SHA}}), f"a/b@{SHA} # v"),
    ],
)
def test_the_action_is_where_the_program_came_from_or_a_name_that_cannot_run(
    direct_url: str | None, expected: str
) -> None:
    assert action_from(direct_url).startswith(expected)
