"""The whole loop on a NeoSC API that lists and flips, and on one that also creates, updates and deletes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.program import config_text, neosc_defaults, neosc_policy, neosc_target, program_in
from tests.support.repos import Repo, make_repo
from tests.support.servers import RunningServer, reference_server

MFA = "pol-mfa-required"


@pytest.fixture(params=[None, pytest.param(1, marks=pytest.mark.heavy)], ids=["whole lists", "lists in parts"])
def server(request: pytest.FixtureRequest) -> Iterator[RunningServer]:
    with reference_server(parts_of=request.param) as running:
        yield running


@pytest.fixture(params=[None, 1], ids=["whole lists", "lists in parts"])
def crud_server(request: pytest.FixtureRequest) -> Iterator[RunningServer]:
    with reference_server(neosc_crud=True, parts_of=request.param) as running:
        yield running


def repo_for(tmp_path: Path, server: RunningServer, files: dict[str, str], **target: object) -> Repo:
    config = config_text(neosc=neosc_target(server.neosc_url, **target))
    return make_repo(tmp_path, {"reconciler.yaml": config, **files})


def test_a_policy_disabled_in_git_is_flipped_once_with_the_commit_that_asked_for_it(
    tmp_path: Path, server: RunningServer
) -> None:
    repo = repo_for(tmp_path, server, neosc_defaults())
    program = program_in(repo, token=server.token)
    program.ok("apply", "--yes")
    asked = repo.commit({f"policies/neosc/{MFA}.yaml": neosc_policy(enabled=False)}, "Switch MFA off for the cut-over")
    repo.commit({"README.md": "unrelated"}, "Say hello")

    run = program.ok("apply", "--yes", "--json").json()
    again = program.ok("apply", "--yes", "--json").json()

    assert [(request.method, request.path) for request in server.mutations] == [("PATCH", f"/api/policies/{MFA}")]
    agent = server.mutations[0].headers["user-agent"]
    assert agent.startswith("reconciler/")
    assert f"commit={asked};" in agent
    assert f"key={MFA};" in agent
    assert f"vcs.ref.head.revision={asked}" in server.mutations[0].headers["baggage"]
    [outcome] = run["outcomes"]
    assert (outcome["status"], outcome["action"], outcome["commit"]) == ("applied", "disable", asked)
    assert outcome["annotation"]["strength"] == "same-entry"
    assert outcome["annotation"]["verified"] is True
    assert outcome["annotation"]["audit_id"]
    assert again["outcomes"] == []


def test_adopting_what_is_in_sync_records_ownership_and_sends_nothing(tmp_path: Path, server: RunningServer) -> None:
    repo = repo_for(tmp_path, server, neosc_defaults())
    program = program_in(repo, token=server.token)

    run = program.ok("apply", "--yes", "--json").json()

    assert run["outcomes"] == []
    assert run["ledger"] == repo.remote_refs()["refs/reconciler/ledger/neosc"]
    assert "refs/reconciler/lock/neosc" not in repo.remote_refs()
    assert server.mutations == []


def test_an_apply_without_anything_new_writes_no_ledger_commit(tmp_path: Path, server: RunningServer) -> None:
    repo = repo_for(tmp_path, server, neosc_defaults())
    program = program_in(repo, token=server.token)
    program.ok("apply", "--yes")
    before = repo.remote_refs()

    program.ok("apply", "--yes")

    assert repo.remote_refs() == before


def test_an_edit_behind_gits_back_has_a_name_and_is_undone(tmp_path: Path, server: RunningServer) -> None:
    repo = repo_for(tmp_path, server, neosc_defaults())
    program = program_in(repo, token=server.token)
    program.ok("apply", "--yes")
    flip(server, MFA, by="admin@example.com")

    drift = program.run("drift", "--json")
    text = program.run("drift")
    undone = program.ok("apply", "--yes", "--json").json()
    log = program.ok("log", "--json").json()

    assert drift.code == 2
    [change] = drift.json()["changes"]
    assert (change["key"], change["action"], change["origin"]) == (MFA, "enable", "drift")
    assert change["drift"]["actor"] == "admin@example.com"
    assert change["drift"]["confidence"] == "exact"
    assert "admin@example.com" in text.out
    assert [outcome["status"] for outcome in undone["outcomes"]] == ["applied"]
    assert [entry["outside_git"] for entry in log["entries"]] == [False, True]
    assert log["entries"][0]["commit"] == repo.git("rev-parse", "HEAD")
    assert log["entries"][1]["actor"] == "admin@example.com"
    assert program.run("drift").code == 0


def test_what_the_api_cannot_do_is_listed_and_everything_else_goes_on(tmp_path: Path, server: RunningServer) -> None:
    files = neosc_defaults(**{MFA: {"enabled": False, "description": "Another text"}})
    files["policies/neosc/geo.yaml"] = neosc_policy("pol-geo-restriction", type="network")
    repo = repo_for(tmp_path, server, files)
    program = program_in(repo, token=server.token)

    plan = program.ok("plan", "--json").json()
    run = program.ok("apply", "--yes", "--json").json()
    after = program.ok("plan", "--json").json()

    assert {(entry["key"], entry["action"]) for entry in plan["cannot"]} == {
        (MFA, "update"),
        ("pol-geo-restriction", "create"),
    }
    assert all(entry["reason"] for entry in plan["cannot"])
    assert [(change["key"], change["action"]) for change in plan["changes"]] == [(MFA, "disable")]
    assert [outcome["status"] for outcome in run["outcomes"]] == ["applied"]
    assert after["changes"] == []
    assert after["summary"]["cannot"] == 2
    assert program.run("plan", "--detailed-exitcode").code == 0
    assert "cannot" in program.ok("plan").out


def test_with_crud_policies_are_created_updated_and_deleted(tmp_path: Path, crud_server: RunningServer) -> None:
    repo = repo_for(tmp_path, crud_server, neosc_defaults(), crud=True)
    program = program_in(repo, token=crud_server.token)
    program.ok("apply", "--yes")
    geo = "policies/neosc/geo.yaml"

    created = repo.commit({geo: neosc_policy("pol-geo-restriction", type="network")}, "Restrict by country")
    first = program.ok("apply", "--yes", "--json").json()
    updated = repo.commit({geo: neosc_policy("pol-geo-restriction", type="network", description="More")}, "Say more")
    second = program.ok("apply", "--yes", "--json").json()
    removed = repo.commit({geo: None}, "Drop the restriction")
    third = program.ok("apply", "--yes", "--json").json()

    assert [(o["action"], o["status"], o["commit"]) for o in first["outcomes"]] == [("create", "applied", created)]
    assert [(o["action"], o["status"], o["commit"]) for o in second["outcomes"]] == [("update", "applied", updated)]
    assert [(o["action"], o["status"], o["commit"]) for o in third["outcomes"]] == [("delete", "applied", removed)]
    for run in (first, second, third):
        assert run["outcomes"][0]["annotation"]["strength"] == "same-entry"
    assert [request.method for request in crud_server.mutations] == ["POST", "PUT", "DELETE"]
    assert program.ok("plan", "--json").json()["changes"] == []


def flip(server: RunningServer, policy_id: str, *, by: str) -> None:
    """One flip by a person, with their own token."""
    import urllib.request

    token = server.store.add_token(by, "admin")
    request = urllib.request.Request(
        f"{server.neosc_url}/policies/{policy_id}",
        method="PATCH",
        data=b"{}",
        headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request) as reply:
        assert reply.status == 200
