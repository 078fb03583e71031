"""A misspelt name is answered with the nearest right one: keys, values, policies, targets, guards, commands."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.core.near import did_you_mean, nearest
from tests.support.program import Program, config_text, neosc_defaults, neosc_policy, neosc_target, program_in
from tests.support.repos import Repo, make_repo
from tests.support.servers import RunningServer, reference_server


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    with reference_server() as running:
        yield running


@pytest.fixture
def repo(tmp_path: Path, server: RunningServer) -> Repo:
    return make_repo(
        tmp_path, {"reconciler.yaml": config_text(neosc=neosc_target(server.neosc_url)), **neosc_defaults()}
    )


@pytest.fixture
def program(repo: Repo, server: RunningServer) -> Program:
    return program_in(repo, token=server.token)


def test_a_key_and_a_value_of_a_policy_file(repo: Repo, program: Program) -> None:
    repo.write(
        {"policies/neosc/a.yaml": neosc_policy("pol-a", type="acess"), "policies/neosc/b.yaml": "id: pol-b\nnmae: B\n"}
    )

    out = program.run("validate").out

    assert 'did you mean "access"?' in out
    assert 'did you mean "name"?' in out


def test_a_target(program: Program) -> None:
    assert 'did you mean "neosc"?' in program.run("plan", "--target", "neos").err


def test_the_key_of_a_policy_in_an_overlay(repo: Repo, program: Program, server: RunningServer) -> None:
    target = neosc_target(server.neosc_url, overlays=[{"pol-sesion-recording": {"enabled": False}}])
    repo.write({"reconciler.yaml": config_text(neosc=target)})

    assert 'did you mean "pol-session-recording"?' in program.run("validate").err


def test_the_key_of_a_policy_behind_only(program: Program) -> None:
    plan = program.ok("plan", "--only", "pol-mfa-requird", "--json").json()

    assert [line for line in plan["warnings"] if 'did you mean "pol-mfa-required"?' in line]


def test_a_guard_in_an_override(repo: Repo, program: Program) -> None:
    entry = "{guard: critical-disable, policy: pol-mfa-required, reason: x, owner: z, until: 2027-01-31}"
    repo.write({"overrides.yaml": f"overrides:\n  - {entry}\n"})

    assert 'did you mean "critical-disabled"?' in program.run("validate").out


def test_a_command(program: Program) -> None:
    assert 'did you mean "doctor"?' in program.run("docter").err


def test_nothing_is_meant_by_a_word_that_is_like_nothing() -> None:
    assert nearest("zzzz", ["pol-mfa-required"]) == ""
    assert did_you_mean("zzzz", []) == ""


def test_a_near_name_that_hides_something_comes_out_escaped() -> None:
    assert did_you_mean("pol-mfa", ["pol-mfa\u202e"]) == '; did you mean "pol-mfa\\u202e"?'
