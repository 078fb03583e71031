"""Dated exceptions with the real command: granted by a commit, ended by the day, both said in plan and audit trail."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from reconciler.errors import ExitCode
from reconciler.workflows.applying import Run, apply
from reconciler.workflows.session import open_session
from tests.support.clocks import CountingRandom, FakeClock
from tests.support.people import live_opena2a
from tests.support.program import Program, config_text, opena2a_policy, opena2a_target, program_in
from tests.support.repos import Repo, make_repo
from tests.support.servers import RunningServer, reference_server

FILE = "policies/opena2a/limit.yaml"
NAME = "Rate Limit Enforcement"
TODAY = datetime.now(UTC)


def day(shift: int) -> str:
    return (TODAY + timedelta(days=shift)).date().isoformat()


def excepted(until: str | None, patch: dict[str, Any] | None = None, *, critical: bool = False) -> dict[str, str]:
    entry: dict[str, Any] = {"reason": "Load test", "owner": "platform-team", "set": patch or {"enabled": False}}
    if until is not None:
        entry["until"] = until
    return {FILE: opena2a_policy(metadata={"critical": critical, "exceptions": [entry]})}


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


def apply_at(program: Program, now: datetime) -> Run:
    """One apply as on another day: the same functions that the command calls, with another clock."""
    session = open_session(program.folder, environ=program.env, clock=FakeClock(now), random=CountingRandom())
    return apply(session, "opena2a", confirm=lambda plan: True)


def is_enabled(server: RunningServer) -> bool:
    return bool(live_opena2a(server)[NAME]["enabled"])


def test_an_exception_in_force_is_applied_with_its_reason_in_the_audit_trail(
    repo: Repo, program: Program, server: RunningServer
) -> None:
    asked = repo.commit(excepted(day(1)), "Load test until tomorrow")

    text, plan = program.ok("plan").out, program.ok("plan", "--json").json()
    program.ok("apply", "--yes")

    assert [(change["action"], change["risk"]) for change in plan["changes"]] == [("disable", "weakens")]
    assert f"exception until {day(1)}, ends in 1 day on" in text
    assert any("by platform-team: Load test" in line for line in plan["warnings"])
    assert not is_enabled(server)
    agent = server.mutations[-1].headers["user-agent"]
    assert f"commit={asked};" in agent
    assert "; why=exception-granted)" in agent
    assert program.run("plan", "--detailed-exitcode").code == 0


def test_an_exception_that_ends_is_taken_back_by_the_next_apply_without_a_commit(
    repo: Repo, program: Program, server: RunningServer
) -> None:
    repo.commit(excepted(day(-1)), "Load test, over by now")
    head = repo.git("rev-parse", "HEAD")
    before = apply_at(program, TODAY - timedelta(days=1))
    was_enabled = is_enabled(server)

    text = program.ok("plan").out
    run = program.ok("apply", "--yes", "--json").json()

    assert (before.exit, was_enabled) == (ExitCode.DONE, False)
    assert f"ended on {day(-1)}, so the policy is restored" in " ".join(text.split())
    assert [(outcome["action"], outcome["status"]) for outcome in run["outcomes"]] == [("enable", "applied")]
    assert is_enabled(server)
    assert "; why=exception-ended)" in server.mutations[-1].headers["user-agent"]
    assert run["outcomes"][0]["commit"] == head == repo.git("rev-parse", "HEAD")
    assert program.run("plan", "--detailed-exitcode").code == 0
    assert program.run("drift").code == 0


def test_content_is_restored_as_the_switch_is(repo: Repo, program: Program, server: RunningServer) -> None:
    repo.commit(excepted(day(-1), {"conditions": {"max_requests_per_hour": 5000}}), "Load test, over by now")
    apply_at(program, TODAY - timedelta(days=1))
    during = live_opena2a(server)[NAME]["conditions"]["max_requests_per_hour"]

    program.ok("apply", "--yes")

    assert during == 5000
    assert live_opena2a(server)[NAME]["conditions"]["max_requests_per_hour"] == 1000
    assert "; why=exception-ended)" in server.mutations[-1].headers["user-agent"]


@pytest.mark.parametrize("until", [None, "soon", "2026-02-30"])
def test_an_exception_without_a_valid_day_is_a_warning_and_not_granted(
    repo: Repo, program: Program, server: RunningServer, until: str | None
) -> None:
    repo.commit(excepted(until), "Load test until somebody remembers")

    checked, plan = program.ok("validate"), program.ok("plan", "--json").json()
    program.ok("apply", "--yes")

    assert "not granted" in checked.out
    assert plan["changes"] == []
    assert any("not granted" in line for line in plan["warnings"])
    assert is_enabled(server)


def test_an_exception_on_a_critical_policy_needs_its_override(
    repo: Repo, program: Program, server: RunningServer
) -> None:
    repo.commit(excepted(day(1), critical=True), "Load test on a critical policy")

    run = program.run("apply", "--yes", "--json")

    assert (run.code, run.json()["blocked"]) == (3, ["critical-disabled"])
    assert is_enabled(server)


@pytest.mark.parametrize(
    ("patch", "code"),
    [
        ({"metadata": {"critical": False}}, "exception-sets-metadata"),
        ({"name": "Another Name"}, "exception-key"),
        ({"conditions": {"max_requests_per_hour": "many"}}, "wrong-type"),
    ],
)
def test_an_exception_that_makes_no_policy_is_an_error_whatever_the_day(
    repo: Repo, program: Program, patch: dict[str, Any], code: str
) -> None:
    repo.commit(excepted(day(-9), patch), "A bad exception")

    checked = program.run("validate", "--json")

    assert checked.code == 1
    assert code in [problem["code"] for problem in checked.json()["problems"]]


def test_exceptions_that_are_sound_alone_but_not_together_are_an_error(repo: Repo, program: Program) -> None:
    entries = [
        {
            "reason": "A",
            "owner": "a",
            "until": day(3),
            "set": {"conditions": {"max_requests_per_hour": None, "max_requests": 5000}},
        },
        {
            "reason": "B",
            "owner": "b",
            "until": day(5),
            "set": {"conditions": {"window_size": None, "max_requests_per_hour": 20}},
        },
    ]
    repo.commit({FILE: opena2a_policy(metadata={"exceptions": entries})}, "Two exceptions")

    checked = program.run("validate")

    assert checked.code == 1
    assert "while these exceptions last together" in checked.out
