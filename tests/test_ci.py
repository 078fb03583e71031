"""The workflows: no trigger, secret or action that a pull request from outside could turn (reliability.md T1, 9.1)."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.checkout import ROOT

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.y*ml"))
PINNED = re.compile(r"\s*(- )?uses: [\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+")


@pytest.fixture(params=WORKFLOWS, ids=lambda path: path.name)
def workflow(request: pytest.FixtureRequest) -> Path:
    path: Path = request.param
    return path


def read(path: Path) -> dict[Any, Any]:
    """Return a workflow as data; its key `on` is text, though YAML 1.1 reads a truth value."""
    value = yaml.load(path.read_text(), Loader=yaml.BaseLoader)
    assert isinstance(value, dict)
    return value


def test_there_is_a_workflow() -> None:
    assert "ci.yml" in {path.name for path in WORKFLOWS}


def test_no_workflow_runs_strangers_code_with_our_rights(workflow: Path) -> None:
    triggers = read(workflow)["on"]

    assert isinstance(triggers, dict), "write triggers as a mapping"
    assert triggers.keys() & {"pull_request_target", "workflow_run", "issue_comment"} == set()


def test_rights_are_given_per_job_from_none(workflow: Path) -> None:
    value = read(workflow)

    assert value["permissions"] == {}
    for name, job in value["jobs"].items():
        assert "permissions" in job, name
        assert int(job["timeout-minutes"]) > 0, name
        assert not job["runs-on"].endswith("-latest"), name


def test_a_pull_request_reads_only_and_sees_no_secret(workflow: Path) -> None:
    value = read(workflow)
    if "pull_request" not in value["on"]:
        pytest.skip("not for pull requests")

    rights = {right for job in value["jobs"].values() for right in job["permissions"].values()}

    assert rights <= {"read", "none"}
    assert "secrets." not in workflow.read_text()


def test_every_action_is_pinned_by_sha_with_its_version_beside_it(workflow: Path) -> None:
    lines = [line for line in workflow.read_text().splitlines() if "uses:" in line]

    assert [line for line in lines if not PINNED.fullmatch(line)] == []


def test_no_expression_stands_inside_a_script_and_no_credentials_stay(workflow: Path) -> None:
    for job in read(workflow)["jobs"].values():
        for step in job["steps"]:
            assert "${{" not in step.get("run", "")
            if step.get("uses", "").startswith("actions/checkout@"):
                assert step["with"]["persist-credentials"] == "false"


@pytest.mark.parametrize(
    ("fails", "ran", "code"), [("", "check test ", 0), ("check", "check ", 9), ("test", "check test ", 9)]
)
def test_ci_runs_check_then_test_and_stops_at_a_failure(tmp_path: Path, fails: str, ran: str, code: int) -> None:
    (tmp_path / ".ci").mkdir()
    shutil.copy(ROOT / ".ci" / "run", tmp_path / ".ci")
    run = tmp_path / "run"
    run.write_text('#!/bin/sh\nread line && exit 1\nprintf "%s " "$1" >>ran\n[ "$1" != "$FAILS" ] || exit 9\n')
    run.chmod(0o755)

    done = subprocess.run([tmp_path / ".ci" / "run"], cwd="/", env={**os.environ, "FAILS": fails}, capture_output=True)

    assert done.returncode == code
    assert (tmp_path / "ran").read_text() == ran
