"""Guards, overrides and holds with the real command: nothing is sent, the code is 3, and the way out works."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.support.people import call_neosc
from tests.support.program import Program, config_text, neosc_defaults, neosc_policy, neosc_target, program_in
from tests.support.repos import Repo, make_repo
from tests.support.servers import RunningServer, reference_server

MFA = "pol-mfa-required"
FILE = f"policies/neosc/{MFA}.yaml"
CRITICAL = {"metadata": {"critical": True}}


def day(shift: int) -> str:
    return (datetime.now(UTC) + timedelta(days=shift)).date().isoformat()


def overrides(*, guard: str = "critical-disabled", policy: str = MFA, until: str, **more: Any) -> dict[str, str]:
    entry = {"guard": guard, "policy": policy, "reason": "Cut-over", "owner": "identity-team", "until": until, **more}
    return {"overrides.yaml": json.dumps({"overrides": [entry]})}


def hold(policy: str, until: str) -> dict[str, str]:
    entry = {"policy": policy, "reason": "Incident 311", "until": until}
    return {"overrides.yaml": json.dumps({"hold": [entry]})}


@pytest.fixture
def server() -> Iterator[RunningServer]:
    with reference_server(neosc_crud=True) as running:
        yield running


@pytest.fixture
def repo(tmp_path: Path, server: RunningServer) -> Repo:
    return make_repo(tmp_path, {"reconciler.yaml": config(server), **neosc_defaults(**{MFA: CRITICAL})})


@pytest.fixture
def program(repo: Repo, server: RunningServer) -> Program:
    """The program, with the three defaults applied and one of them critical."""
    program = program_in(repo, token=server.token)
    program.ok("apply", "--yes")
    return program


def config(server: RunningServer, **more: Any) -> str:
    return config_text(neosc=neosc_target(server.neosc_url, crud=True, **more))


def disable(**more: Any) -> dict[str, str]:
    return {FILE: neosc_policy(MFA, enabled=False, **(CRITICAL | more))}


def is_enabled(server: RunningServer) -> bool:
    return any(policy["id"] == MFA and policy["enabled"] for policy in call_neosc(server, "GET"))


def test_disabling_a_critical_policy_is_blocked_in_text_json_and_exit_code(
    repo: Repo, program: Program, server: RunningServer
) -> None:
    repo.commit(disable(), "Switch MFA off")

    plan, text = program.run("plan", "--json", "--detailed-exitcode"), program.run("plan")
    run, run_text = program.run("apply", "--yes", "--json"), program.run("apply", "--yes")

    assert (plan.code, text.code, run.code, run_text.code) == (3, 0, 3, 3)
    assert plan.json()["blocked"] == run.json()["blocked"] == ["critical-disabled"]
    assert [outcome["status"] for outcome in run.json()["outcomes"]] == ["skipped"]
    assert "critical-disabled" in text.out
    assert "critical-disabled" in run_text.out + run_text.err
    assert server.mutations == []
    assert is_enabled(server)


def test_an_override_until_tomorrow_lifts_the_guard(repo: Repo, program: Program, server: RunningServer) -> None:
    repo.commit({**disable(), **overrides(until=day(1))}, "Switch MFA off for the cut-over")

    plan, text = program.ok("plan", "--json").json(), program.ok("plan").out
    program.ok("apply", "--yes")

    assert plan["blocked"] == []
    assert [entry["owner"] for entry in plan["overrides"]] == ["identity-team"]
    assert "identity-team" in text
    assert not is_enabled(server)


def test_an_override_until_yesterday_lifts_nothing_and_is_named(
    repo: Repo, program: Program, server: RunningServer
) -> None:
    repo.commit({**disable(), **overrides(until=day(-1))}, "Switch MFA off")

    run, plan = program.run("apply", "--yes"), program.ok("plan", "--json").json()

    assert run.code == 3
    assert any(f"ended on {day(-1)}" in line for line in plan["warnings"])
    assert is_enabled(server)


def test_an_override_lasts_to_the_end_of_its_day(repo: Repo, program: Program, server: RunningServer) -> None:
    repo.commit({**disable(), **overrides(until=day(0))}, "Switch MFA off today")

    program.ok("apply", "--yes")

    assert not is_enabled(server)


@pytest.mark.parametrize("other", [{"guard": "critical-weakened"}, {"policy": "pol-session-recording"}])
def test_an_override_lifts_only_its_own_guard_for_its_own_policy(
    repo: Repo, program: Program, server: RunningServer, other: dict[str, str]
) -> None:
    repo.commit({**disable(), **overrides(**{"until": day(1), **other})}, "Switch MFA off")

    assert program.run("apply", "--yes").code == 3
    assert is_enabled(server)


def test_an_override_in_the_working_tree_alone_does_not_lift_anything(
    repo: Repo, program: Program, server: RunningServer
) -> None:
    repo.commit(disable(), "Switch MFA off")
    repo.write(overrides(until=day(1)))

    run = program.run("apply", "--yes", "--json")

    assert run.code == 3
    assert {"critical-disabled", "dirty-tree"} <= {*run.json()["blocked"]}
    assert is_enabled(server)


def test_dropping_the_mark_in_the_same_commit_does_not_help(
    repo: Repo, program: Program, server: RunningServer
) -> None:
    repo.commit({FILE: neosc_policy(MFA, enabled=False)}, "Not critical any more, and off")

    run = program.run("apply", "--yes", "--json")

    assert (run.code, run.json()["blocked"]) == (3, ["critical-disabled"])
    assert is_enabled(server)


def test_dropping_the_mark_first_is_a_change_of_its_own(repo: Repo, program: Program, server: RunningServer) -> None:
    repo.commit({FILE: neosc_policy(MFA)}, "Not critical any more")
    program.ok("apply", "--yes")
    repo.commit({FILE: neosc_policy(MFA, enabled=False)}, "And off")

    program.ok("apply", "--yes")

    assert not is_enabled(server)


def test_deleting_a_critical_policy_is_blocked(repo: Repo, program: Program, server: RunningServer) -> None:
    repo.commit({FILE: None}, "Drop MFA")

    run = program.run("apply", "--yes", "--json")

    assert (run.code, run.json()["blocked"]) == (3, ["critical-deleted"])
    assert server.mutations == []


def test_one_blocked_change_stops_the_whole_apply(repo: Repo, program: Program, server: RunningServer) -> None:
    other = neosc_policy("pol-session-recording", description="Said better")
    repo.commit({**disable(), "policies/neosc/pol-session-recording.yaml": other}, "Two things at once")

    run = program.run("apply", "--yes", "--json")

    assert [outcome["status"] for outcome in run.json()["outcomes"]] == ["skipped", "skipped"]
    assert server.mutations == []


def test_a_hold_leaves_a_policy_alone_and_says_so(repo: Repo, program: Program, server: RunningServer) -> None:
    session = "policies/neosc/pol-session-recording.yaml"
    changed = {session: neosc_policy("pol-session-recording", description="Said better")}
    network = {"policies/neosc/pol-network-zero-trust.yaml": neosc_policy("pol-network-zero-trust", description="So")}
    repo.commit({**changed, **network, **hold("pol-session-recording", day(1))}, "Hold one of two")

    run, plan = program.ok("apply", "--yes", "--json").json(), program.ok("plan", "--json").json()
    text = program.ok("plan").out

    assert [outcome["key"] for outcome in run["outcomes"]] == ["pol-network-zero-trust"]
    assert [(entry["key"], entry["action"]) for entry in plan["held"]] == [("pol-session-recording", "update")]
    assert "Incident 311" in plan["held"][0]["reason"]
    assert "Incident 311" in text


def test_a_hold_that_ended_holds_nothing(repo: Repo, program: Program, server: RunningServer) -> None:
    session = "policies/neosc/pol-session-recording.yaml"
    changed = {session: neosc_policy("pol-session-recording", description="Said better")}
    repo.commit({**changed, **hold("pol-session-recording", day(-1))}, "An old hold")

    run = program.ok("apply", "--yes", "--json").json()

    assert [outcome["status"] for outcome in run["outcomes"]] == ["applied"]


def test_a_hold_on_everything_holds_everything(repo: Repo, program: Program, server: RunningServer) -> None:
    session = "policies/neosc/pol-session-recording.yaml"
    changed = {session: neosc_policy("pol-session-recording", description="Said better")}
    repo.commit({**changed, **hold("*", day(1))}, "Hold all")

    program.ok("apply", "--yes")

    assert server.mutations == []


def test_a_commit_cannot_raise_the_limit_it_needs(repo: Repo, program: Program, server: RunningServer) -> None:
    repo.commit({"reconciler.yaml": config(server, max_deletes=0)}, "Nothing is deleted here")
    repo.commit({FILE: neosc_policy(MFA, description="So that the limit is last-applied", **CRITICAL)}, "Touch")
    program.ok("apply", "--yes")
    gone = {"policies/neosc/pol-session-recording.yaml": None}
    repo.commit({"reconciler.yaml": config(server, max_deletes=5), **gone}, "Raise the limit and delete")

    run = program.run("apply", "--yes", "--json")

    assert (run.code, run.json()["blocked"]) == (3, ["too-many-deletes"])


def test_a_commit_cannot_drop_require_override_and_weaken_at_once(
    repo: Repo, program: Program, server: RunningServer
) -> None:
    repo.commit({"reconciler.yaml": config(server, require_override="weakens")}, "Overrides for what weakens")
    repo.commit({FILE: neosc_policy(MFA, name="MFA is required", **CRITICAL)}, "Touch")
    program.ok("apply", "--yes")
    off = {"policies/neosc/pol-session-recording.yaml": neosc_policy("pol-session-recording", enabled=False)}
    repo.commit({"reconciler.yaml": config(server), **off}, "No overrides, and recording off")

    run = program.run("apply", "--yes", "--json")

    assert (run.code, run.json()["blocked"]) == (3, ["weakens"])


def test_limits_hold_for_three_policies(repo: Repo, program: Program, server: RunningServer) -> None:
    repo.commit({"reconciler.yaml": config(server, max_changes_percent=30)}, "Few changes at once")
    files = {
        f"policies/neosc/{key}.yaml": neosc_policy(key, description="Said better")
        for key in ("pol-session-recording", "pol-network-zero-trust")
    }
    repo.commit(files, "Two of three")

    run = program.run("apply", "--yes", "--json")

    assert (run.code, run.json()["blocked"]) == (3, ["too-many-changes"])


def test_yes_lifts_no_guard_and_a_saved_plan_does_not_either(
    repo: Repo, program: Program, server: RunningServer, tmp_path: Path
) -> None:
    repo.commit(disable(), "Switch MFA off")
    saved = str(tmp_path / "plan.json")
    program.ok("plan", "--out", saved)

    assert program.run("apply", saved, "--yes").code == 3
    assert server.mutations == []
