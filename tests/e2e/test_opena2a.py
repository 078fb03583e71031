"""The whole loop on an OpenA2A API: create, update, toggle, delete, and hands off what is not ours."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.program import Program, config_text, opena2a_policy, opena2a_target, program_in
from tests.support.repos import Repo, make_repo
from tests.support.servers import RunningServer, reference_server

FILE = "policies/opena2a/limit.yaml"


@pytest.fixture(params=[None, pytest.param(1, marks=pytest.mark.heavy)], ids=["whole lists", "lists in parts"])
def server(request: pytest.FixtureRequest) -> Iterator[RunningServer]:
    with reference_server(parts_of=request.param) as running:
        yield running


@pytest.fixture
def repo(tmp_path: Path, server: RunningServer) -> Repo:
    config = config_text(opena2a=opena2a_target(server.opena2a_url))
    return make_repo(tmp_path, {"reconciler.yaml": config, FILE: opena2a_policy()})


@pytest.fixture
def program(repo: Repo, server: RunningServer) -> Program:
    return program_in(repo, token=server.token)


def call(server: RunningServer, method: str, path: str, body: Any = None, *, by: str = "admin@example.com") -> Any:
    """One call by a person, with their own token."""
    request = urllib.request.Request(
        f"{server.opena2a_url}/admin/security-policies{path}",
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={
            "Authorization": f"Bearer {server.store.add_token(by, 'admin')}",
            "Content-Type": "application/json",
        },
    )
    with urllib.request.urlopen(request) as reply:
        return json.loads(reply.read())


def live(server: RunningServer) -> dict[str, Any]:
    return {policy["name"]: policy for policy in call(server, "GET", "")["policies"]}


def statuses(run: Any) -> list[tuple[str, str]]:
    return [(outcome["action"], outcome["status"]) for outcome in run["outcomes"]]


def test_create_update_toggle_and_delete_converge(repo: Repo, program: Program, server: RunningServer) -> None:
    created = program.ok("apply", "--yes", "--json").json()
    conditions = {
        "max_requests_per_hour": 500,
        "window_size": "1h",
        "trust_tiers": [{"min_trust_score": 0, "multiplier": 0.5}, {"min_trust_score": 80, "multiplier": 2}],
    }
    repo.commit({FILE: opena2a_policy(conditions=conditions)}, "Halve the limit")
    updated = program.ok("apply", "--yes", "--json").json()
    after_update = live(server)["Rate Limit Enforcement"]
    repo.commit({FILE: opena2a_policy(conditions=conditions, enabled=False)}, "Pause it")
    toggled = program.ok("apply", "--yes", "--json").json()
    after_toggle = live(server)["Rate Limit Enforcement"]
    repo.commit({FILE: None, "policies/opena2a/other.yaml": opena2a_policy("Other")}, "Replace it")
    replaced = program.ok("apply", "--yes", "--json").json()

    assert statuses(created) == [("create", "applied")]
    assert statuses(updated) == [("update", "applied")]
    assert after_update["conditions"] == conditions
    assert statuses(toggled) == [("disable", "applied")]
    assert after_toggle["enabled"] is False
    assert statuses(replaced) == [("create", "applied"), ("delete", "applied")]
    assert set(live(server)) == {"Other"}
    assert program.ok("plan", "--json").json()["changes"] == []
    for run in (created, updated, toggled, replaced):
        assert {outcome["annotation"]["strength"] for outcome in run["outcomes"]} == {"same-entry"}


def test_content_and_toggle_in_one_change_are_two_calls_and_one_outcome(
    repo: Repo, program: Program, server: RunningServer
) -> None:
    program.ok("apply", "--yes")
    repo.commit({FILE: opena2a_policy(severity="high", enabled=False)}, "Lower it and pause it")

    plan = program.ok("plan", "--json").json()
    run = program.ok("apply", "--yes", "--json").json()

    [change] = plan["changes"]
    policy_id = change["id"]
    assert change["action"] == "update"
    assert [(c["method"], c["path"]) for c in change["calls"]] == [
        ("PUT", f"/admin/security-policies/{policy_id}"),
        ("PATCH", f"/admin/security-policies/{policy_id}/toggle"),
    ]
    assert [(request.method, request.json().get("enabled")) for request in server.mutations[1:]] == [
        ("PUT", True),
        ("PATCH", False),
    ]
    assert statuses(run) == [("update", "applied")]
    assert run["outcomes"][0]["calls"] == 2


def test_a_policy_made_by_hand_stays_untouched_and_is_named(
    repo: Repo, program: Program, server: RunningServer
) -> None:
    call(server, "POST", "", json.loads(opena2a_policy("By hand")))
    before = live(server)["By hand"]

    plan = program.ok("plan", "--json").json()
    program.ok("apply", "--yes")
    repo.commit({FILE: opena2a_policy(severity="low")}, "Lower the severity")
    program.ok("apply", "--yes")

    assert plan["unmanaged"] == ["By hand"]
    assert plan["summary"]["unmanaged"] == 1
    assert live(server)["By hand"] == before
    assert program.ok("plan", "--json").json()["unmanaged"] == ["By hand"]


def test_renaming_the_file_changes_nothing(repo: Repo, program: Program, server: RunningServer) -> None:
    program.ok("apply", "--yes")
    sent = len(server.mutations)
    ledger = repo.remote_refs()
    repo.commit({FILE: None, "policies/opena2a/deeper/limit.yml": opena2a_policy()}, "Move the file")

    plan = program.ok("plan", "--json").json()
    program.ok("apply", "--yes")

    assert plan["changes"] == []
    assert len(server.mutations) == sent
    assert repo.remote_refs() == ledger


def test_a_policy_deleted_by_hand_comes_back(repo: Repo, program: Program, server: RunningServer) -> None:
    program.ok("apply", "--yes")
    policy_id = live(server)["Rate Limit Enforcement"]["id"]
    call(server, "DELETE", f"/{policy_id}", by="operator@example.com")

    drift = program.run("drift", "--json")
    run = program.ok("apply", "--yes", "--json").json()

    assert drift.code == 2
    [change] = drift.json()["changes"]
    assert (change["action"], change["origin"]) == ("create", "drift")
    assert change["drift"]["actor"] == "operator@example.com"
    assert statuses(run) == [("create", "applied")]
    assert program.ok("plan", "--json").json()["changes"] == []


def test_a_saved_plan_is_applied_while_it_fits_and_refused_after_live_moved(
    repo: Repo, program: Program, server: RunningServer
) -> None:
    program.ok("apply", "--yes")
    repo.commit({FILE: opena2a_policy(severity="high")}, "Raise the severity")
    plan = str(repo.path.parent / "plan.json")
    program.ok("plan", "--out", plan)
    policy_id = live(server)["Rate Limit Enforcement"]["id"]
    call(server, "PUT", f"/{policy_id}", {"severity": "low"})
    sent = len(server.mutations)

    stale = program.run("apply", plan, "--yes", "--json")

    assert stale.code == 5
    assert stale.json()["format"] == "reconciler.error/1"
    assert len(server.mutations) == sent
    call(server, "PUT", f"/{policy_id}", {"severity": "medium"})
    fits = program.ok("apply", plan, "--yes", "--json").json()
    assert statuses(fits) == [("update", "applied")]


def test_an_unrelated_commit_keeps_a_saved_plan_and_a_policy_commit_does_not(repo: Repo, program: Program) -> None:
    plan = str(repo.path.parent / "plan.json")
    program.ok("plan", "--out", plan)
    repo.commit({"README.md": "hello"}, "Say hello")
    still = program.run("apply", plan, "--yes")
    repo.commit({FILE: opena2a_policy(severity="high")}, "Raise the severity")
    program.ok("plan", "--out", plan)
    repo.commit({"policies/opena2a/other.yaml": opena2a_policy("Other")}, "Add another")
    stale = program.run("apply", plan, "--yes")

    assert still.code == 0, still
    assert stale.code == 5, stale


def test_removing_the_last_file_deletes_the_policy_and_a_folder_that_never_was_is_an_error(
    repo: Repo, program: Program, server: RunningServer
) -> None:
    program.ok("apply", "--yes")
    repo.commit({FILE: None}, "Drop the last policy")
    run = program.ok("apply", "--yes", "--json").json()
    config = config_text(opena2a=opena2a_target(server.opena2a_url, policies="policies/opena2"))
    repo.commit({"reconciler.yaml": config}, "Mistype the folder")
    mistyped = program.run("plan", "--json")

    assert statuses(run) == [("delete", "applied")]
    assert live(server) == {}
    assert mistyped.code == 1
    assert mistyped.json()["problems"][0]["code"] == "missing-folder"


def test_an_unpushed_commit_is_applied_with_a_warning(repo: Repo, program: Program) -> None:
    pushed = program.ok("apply", "--yes")
    repo.commit({FILE: opena2a_policy(severity="high")}, "Raise the severity")
    unpushed = program.ok("apply", "--yes")

    assert "not on origin" not in pushed.err
    assert "not on origin" in unpushed.err
