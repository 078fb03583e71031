"""What an earlier run found valid saves reading commands the parsing, and decides nothing that is applied."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fake_api import TOKEN, FakeApi
from tests.support.program import Program, config_text, neosc_policy, neosc_target, program_in
from tests.support.repos import make_repo

MANY = 120


def body(number: int) -> dict[str, Any]:
    return {"name": f"Policy {number}", "type": "access", "rules": ["x"], "description": "d"}


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[tuple[Program, FakeApi]]:
    """A repository of many policies, and a live system that holds the same."""
    keys = {f"pol-{number:04}": body(number) for number in range(MANY)}
    with FakeApi("neosc", [{"id": key, "enabled": True, **each} for key, each in keys.items()]) as api:
        files = {f"policies/neosc/{key}.yaml": neosc_policy(key, **each) for key, each in keys.items()}
        repo = make_repo(tmp_path, {"reconciler.yaml": config_text(neosc=neosc_target(api.url, crud=True)), **files})
        program = program_in(repo, token=TOKEN)
        yield program, api


def kept(program: Program) -> list[Path]:
    return sorted(Path(program.env["HOME"]).rglob("documents-*.json"))


def test_a_second_run_finds_the_same_and_a_changed_file_is_read_again(stage: tuple[Program, FakeApi]) -> None:
    program, _ = stage
    odd = program.folder / "policies/neosc/pol-0007.yaml"

    first = program.ok("plan", "--json", env={"RECONCILER_CACHE": "off"}).json()
    assert kept(program) == []
    cold, warm = (program.ok("plan", "--json").json() for _ in range(2))
    odd.write_text(neosc_policy("pol-0007", type="nonsense"))
    wrong = [program.run("validate", "--json") for _ in range(2)]
    odd.write_text(neosc_policy("pol-0007", **body(7), enabled=False))
    changed = program.ok("plan", "--json").json()

    assert len(kept(program)) == 1
    for plan in (first, cold, warm):
        plan["live"].pop("read_at")
    assert first == cold == warm
    assert [ended.code for ended in wrong] == [1, 1]
    assert wrong[0].out == wrong[1].out
    assert [(change["key"], change["action"]) for change in changed["changes"]] == [("pol-0007", "disable")]


def test_ci_keeps_nothing(stage: tuple[Program, FakeApi]) -> None:
    program, _ = stage

    program.ok("validate", env={"CI": "true"})

    assert kept(program) == []


def test_a_forged_cache_can_fool_a_plan_and_nothing_that_is_applied(
    stage: tuple[Program, FakeApi], tmp_path: Path
) -> None:
    program, api = stage
    program.ok("plan")
    (file,) = kept(program)
    forged = json.loads(file.read_text())
    for documents in forged["documents"].values():
        policy = documents[0][1]
        if policy["id"] == "pol-0007":
            policy["rules"] = ["everything is allowed"]
    file.write_text(json.dumps(forged))

    saved = tmp_path / "plan.json"
    planned = program.ok("plan", "--json", "--out", str(saved)).json()
    stale = program.run("apply", str(saved), "--yes")
    applied = program.ok("apply", "--yes", "--json").json()

    assert [change["key"] for change in planned["changes"]] == ["pol-0007"]
    assert stale.code == 5
    assert applied["outcomes"] == []
    assert api.mutations == []
    assert program.ok("plan", "--json", env={"RECONCILER_CACHE": "off"}).json()["changes"] == []
