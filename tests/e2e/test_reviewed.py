"""`apply --reviewed PLAN`: what moves after a review may tighten, and may not weaken."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.people import call_opena2a, live_opena2a
from tests.support.program import Program, config_text, neosc_target, opena2a_policy, opena2a_target, program_in
from tests.support.repos import Repo, make_repo
from tests.support.servers import RunningServer, reference_server

ONE, TWO = "policies/opena2a/one.yaml", "policies/opena2a/two.yaml"


@pytest.fixture
def server() -> Iterator[RunningServer]:
    with reference_server() as running:
        yield running


@pytest.fixture
def repo(tmp_path: Path, server: RunningServer) -> Repo:
    config = config_text(opena2a=opena2a_target(server.opena2a_url))
    return make_repo(tmp_path, {"reconciler.yaml": config, ONE: opena2a_policy("One"), TWO: opena2a_policy("Two")})


@pytest.fixture
def program(repo: Repo, server: RunningServer) -> Program:
    program = program_in(repo, token=server.token)
    program.ok("apply", "--yes")
    return program


@pytest.fixture
def reviewed(repo: Repo, program: Program, tmp_path: Path) -> str:
    """A plan that disables One, as reviewed."""
    repo.commit({ONE: opena2a_policy("One", enabled=False)}, "Switch One off")
    path = str(tmp_path / "reviewed.json")
    program.ok("plan", "--out", path)
    return path


def test_apply_goes_on_when_nothing_moved_and_when_something_tightened(
    repo: Repo, program: Program, server: RunningServer, reviewed: str
) -> None:
    tighter = {"max_requests_per_hour": 10, "window_size": "1h"}
    repo.commit({TWO: opena2a_policy("Two", conditions=tighter)}, "Tighten Two")

    program.ok("apply", "--reviewed", reviewed, "--yes")

    live = live_opena2a(server)
    assert live["One"]["enabled"] is False
    assert live["Two"]["conditions"]["max_requests_per_hour"] == 10


def test_apply_stops_when_git_weakens_more_than_was_reviewed(
    repo: Repo, program: Program, server: RunningServer, reviewed: str
) -> None:
    repo.commit({TWO: opena2a_policy("Two", enabled=False)}, "Switch Two off as well")
    sent = len(server.mutations)

    text, run = (program.run("apply", "--reviewed", reviewed, "--yes", *more) for more in ((), ("--json",)))

    assert (text.code, run.code) == (5, 5)
    assert "disable Two" in text.err
    assert "disable One" not in text.err
    assert run.json()["error"]["code"] == "not-reviewed"
    assert len(server.mutations) == sent


def test_apply_stops_when_undoing_a_live_edit_would_weaken_more(
    program: Program, server: RunningServer, reviewed: str
) -> None:
    identity = live_opena2a(server)["Two"]["id"]
    tighter = {"conditions": {"max_requests_per_hour": 10, "window_size": "1h"}}
    call_opena2a(server, "PUT", f"/{identity}", {**live_opena2a(server)["Two"], **tighter})

    run = program.run("apply", "--reviewed", reviewed, "--yes")

    assert run.code == 5
    assert "update Two (/conditions/max_requests_per_hour)" in run.err
    assert live_opena2a(server)["One"]["enabled"] is True


def test_a_reviewed_plan_of_another_place_binds_nothing(
    repo: Repo, program: Program, server: RunningServer, reviewed: str
) -> None:
    with reference_server() as other:
        repo.commit({"reconciler.yaml": config_text(opena2a=opena2a_target(other.opena2a_url))}, "Another server")
        elsewhere = program_in(repo, token=other.token)

        run = elsewhere.run("apply", "--reviewed", reviewed, "--yes")

    assert run.code == 5


def test_a_reviewed_plan_that_says_nothing_about_the_target_is_wrong_usage(
    repo: Repo, program: Program, server: RunningServer, reviewed: str
) -> None:
    targets = {"opena2a": opena2a_target(server.opena2a_url), "neosc": neosc_target(server.neosc_url)}
    repo.commit({"reconciler.yaml": config_text(**targets)}, "Another target")

    run = program.run("apply", "--target", "neosc", "--reviewed", reviewed, "--yes")

    assert run.code == 64
    assert "nothing about target neosc" in run.err


def test_a_reviewed_plan_that_is_missing_or_changed_by_hand_is_an_error(
    program: Program, reviewed: str, tmp_path: Path
) -> None:
    forged = tmp_path / "forged.json"
    forged.write_text(Path(reviewed).read_text(encoding="utf-8").replace('"disable"', '"delete"'), encoding="utf-8")

    assert program.run("apply", "--reviewed", str(tmp_path / "none.json"), "--yes").code == 1
    assert program.run("apply", "--reviewed", str(forged), "--yes").code == 1
