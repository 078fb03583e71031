"""`blame KEY`: commit, author and pull request of each live field, or who set it by hand."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reconciler.core.schema import load_schemas
from tests.support.people import call_opena2a, live_opena2a
from tests.support.program import Program, config_text, opena2a_policy, opena2a_target, program_in
from tests.support.repos import Repo, make_repo
from tests.support.servers import RunningServer, reference_server

FILE = "policies/opena2a/limit.yaml"
NAME = "Rate Limit Enforcement"


@pytest.fixture
def server() -> Iterator[RunningServer]:
    with reference_server() as running:
        yield running


@pytest.fixture
def repo(tmp_path: Path, server: RunningServer) -> Repo:
    config = config_text(opena2a=opena2a_target(server.opena2a_url))
    return make_repo(tmp_path, {"reconciler.yaml": config, FILE: opena2a_policy()})


@pytest.fixture
def program(repo: Repo, server: RunningServer) -> Program:
    program = program_in(repo, token=server.token)
    program.ok("apply", "--yes")
    return program


def limit(count: int, **more: Any) -> dict[str, str]:
    return {FILE: opena2a_policy(conditions={"max_requests_per_hour": count, "window_size": "1h"}, **more)}


def fields(program: Program) -> dict[str, Any]:
    value = program.ok("blame", NAME, "--json").json()
    assert load_schemas().check("blame", value) == ()
    assert value["key"] == NAME
    return {field["pointer"]: field for field in value["fields"]}


def test_each_field_names_its_commit_author_request_and_time(repo: Repo, program: Program) -> None:
    first = repo.git("rev-parse", "HEAD")
    squashed = repo.commit(limit(900), "Slow agents down (#41)", author="Alice <alice@example.com>")
    repo.git("checkout", "--quiet", "-b", "severity")
    branch = repo.commit(limit(900, severity="high"), "Say how bad it is", author="Bob <bob@example.com>")
    repo.git("checkout", "--quiet", "main")
    repo.merge("severity", message="Merge pull request #42 from acme/severity")
    program.ok("apply", "--yes")

    found, text = fields(program), program.ok("blame", NAME).out

    shown = {
        pointer: (field["commit"]["sha"], field["commit"]["author"], field["pull_request"])
        for pointer, field in found.items()
        if field["by"] == "git"
    }
    assert shown["/conditions/max_requests_per_hour"] == (squashed, "Alice", 41)
    assert shown["/severity"] == (branch, "Bob", 42)
    assert shown["/name"] == (first, "Policy Author", None)
    assert found["/severity"]["applied_at"] > found["/name"]["applied_at"]
    assert f"git {squashed[:7]} Alice" in text
    assert "#42" in text
    assert all(len(line) <= 80 for line in text.splitlines())


def test_a_live_edit_names_who_made_it_and_the_rest_stays_gits(
    repo: Repo, program: Program, server: RunningServer
) -> None:
    policy = live_opena2a(server)[NAME]
    edit = {**policy, "severity": "critical"}
    call_opena2a(server, "PUT", f"/{policy['id']}", edit, by="mallory@example.com")

    found, text = fields(program), program.ok("blame", NAME).out

    assert found["/severity"]["by"] == "hand"
    assert found["/severity"]["drift"]["actor"] == "mallory@example.com"
    assert found["/severity"]["drift"]["confidence"] in ("exact", "likely")
    assert found["/enabled"]["by"] == "git"
    assert "by hand" in text
    assert "mallory@example.com" in text


def test_a_policy_that_git_does_not_have_is_unknown(program: Program, server: RunningServer) -> None:
    call_opena2a(server, "POST", "", json.loads(opena2a_policy("Made by hand")))

    value = program.ok("blame", "Made by hand", "--json").json()

    assert {field["by"] for field in value["fields"]} == {"unknown"}


def test_a_key_that_nobody_has_is_wrong_usage_and_the_nearest_is_named(program: Program) -> None:
    run = program.run("blame", "Rate Limit Enforcment")

    assert run.code == 64
    assert f'did you mean "{NAME}"?' in run.err


def test_what_is_not_committed_is_not_blamed(repo: Repo, program: Program) -> None:
    repo.write(limit(1000, severity="low"))

    assert fields(program)["/severity"]["by"] == "git"
