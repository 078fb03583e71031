"""The scripts of the workflows that look for an artifact: which one they take, and which they never take."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.checkout import ROOT

pytestmark = pytest.mark.skipif(shutil.which("jq") is None, reason="there is no jq on this machine")

HEAD = "3f9c2ab0" * 5
REPOSITORY, FORK = 1, 2


def artifact(run: int, *, at: str = "2026-11-20T09:00:00Z", expired: bool = False, **of: Any) -> dict[str, Any]:
    where = {"id": run, "repository_id": REPOSITORY, "head_repository_id": REPOSITORY, "head_branch": "main"}
    return {"id": 10 * run, "created_at": at, "expired": expired, "workflow_run": {**where, "head_sha": HEAD, **of}}


def find(tmp_path: Path, workflow: str, step_id: str, answers: dict[str, Any]) -> str:
    """Run the step's script with a `gh` that knows *answers* by a part of the address; return what it puts out."""
    value = yaml.safe_load((ROOT / ".github" / "workflows" / workflow).read_text())
    [step] = [each for job in value["jobs"].values() for each in job["steps"] if each.get("id") == step_id]
    lines = ["#!/bin/bash", 'case "$2" in']
    for number, (part, answer) in enumerate(answers.items()):
        (tmp_path / f"answer{number}").write_text(json.dumps(answer))
        lines.append(f"*'{part}'*) cat {tmp_path}/answer{number} ;;")
    gh = tmp_path / "bin" / "gh"
    gh.parent.mkdir()
    gh.write_text("\n".join([*lines, "*) exit 1 ;;", "esac"]))
    gh.chmod(0o755)
    output = tmp_path / "output"
    output.touch()
    env = {"PATH": f"{gh.parent}:{os.environ['PATH']}", "GITHUB_OUTPUT": str(output), "BRANCH": "main"}
    done = subprocess.run(
        ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail", "-c", step["run"]],
        cwd=ROOT,
        env={**env, "GITHUB_REPOSITORY": "acme/policies"},
        capture_output=True,
        text=True,
        check=False,
    )
    return output.read_text() if done.returncode == 0 else f"failed: {done.stderr}"


def snapshots(*artifacts: dict[str, Any]) -> dict[str, Any]:
    return {"name=reconciler-snapshot&": {"total_count": len(artifacts), "artifacts": list(artifacts)}}


def test_the_newest_snapshot_of_the_default_branch_is_taken(tmp_path: Path) -> None:
    found = find(
        tmp_path,
        "validate.yml",
        "snapshot",
        snapshots(
            artifact(1, at="2026-11-20T08:17:00Z"),
            artifact(2, at="2026-11-20T09:17:00Z"),
            artifact(3, at="2026-11-20T07:17:00Z"),
        ),
    )

    assert found == "run=2\n"


@pytest.mark.parametrize(
    "other",
    [
        {"head_repository_id": FORK},  # a fork's own branch called main
        {"head_branch": "feature"},
        {"expired": True},
    ],
)
def test_a_snapshot_of_anybody_else_is_never_taken(tmp_path: Path, other: dict[str, Any]) -> None:
    found = find(tmp_path, "validate.yml", "snapshot", snapshots(artifact(1, at="2027-01-01T00:00:00Z", **other)))

    assert found == "run=\n"


def test_without_a_snapshot_there_is_none(tmp_path: Path) -> None:
    assert find(tmp_path, "validate.yml", "snapshot", snapshots()) == "run=\n"


@pytest.mark.parametrize(("workflow", "step_id"), [("validate.yml", "snapshot"), ("apply.yml", "reviewed")])
def test_a_question_that_fails_fails_the_step(tmp_path: Path, workflow: str, step_id: str) -> None:
    assert find(tmp_path, workflow, step_id, {}).startswith("failed")


def plans(*artifacts: dict[str, Any], pulls: list[dict[str, Any]]) -> dict[str, Any]:
    return {"/pulls": pulls, "name=reconciler-plan&": {"artifacts": list(artifacts)}}


MERGED = {"merged_at": "2026-11-20T09:00:00Z", "head": {"sha": HEAD}}


def test_the_plan_of_the_merged_request_is_compared_with(tmp_path: Path) -> None:
    artifacts = (artifact(1, head_sha="0" * 40), artifact(2), artifact(3, head_repository_id=FORK))

    assert find(tmp_path, "apply.yml", "reviewed", plans(*artifacts, pulls=[MERGED])) == "run=2\n"


@pytest.mark.parametrize("pulls", [[], [{**MERGED, "merged_at": None}]])
def test_a_commit_without_a_merged_request_is_compared_with_no_plan(
    tmp_path: Path, pulls: list[dict[str, Any]]
) -> None:
    assert find(tmp_path, "apply.yml", "reviewed", plans(artifact(1), pulls=pulls)) == ""
