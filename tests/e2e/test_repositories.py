"""Repositories as they come: without a remote, shallow, in a subfolder, detached, forged."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fake_api import FakeApi
from tests.support.program import config_text, neosc_defaults, neosc_policy, neosc_target, program_in
from tests.support.repos import Repo, clone, make_repo

MFA = "pol-mfa-required"
MFA_FILE = f"policies/neosc/{MFA}.yaml"


@pytest.fixture
def api() -> Iterator[FakeApi]:
    with FakeApi("neosc") as running:
        yield running


def make(tmp_path: Path, api: FakeApi, *, remote: bool = True, below: str = "", **target: object) -> Repo:
    files = {"reconciler.yaml": config_text(neosc=neosc_target(api.url, **target)), **neosc_defaults()}
    return make_repo(tmp_path, {f"{below}{name}": content for name, content in files.items()}, remote=remote)


def test_without_a_remote_ledger_and_lock_are_local_refs(tmp_path: Path, api: FakeApi) -> None:
    repo = make(tmp_path, api, remote=False)
    program = program_in(repo, token=api.token)
    program.ok("apply", "--yes")
    repo.commit({MFA_FILE: neosc_policy(enabled=False)}, "Switch MFA off")

    run = program.ok("apply", "--yes", "--json").json()

    refs = repo.git("for-each-ref", "--format=%(refname)", "refs/reconciler").splitlines()
    assert refs == ["refs/reconciler/ledger/neosc"]
    assert [outcome["status"] for outcome in run["outcomes"]] == ["applied"]
    assert program.ok("plan", "--json").json()["changes"] == []


def test_a_policies_repository_may_be_a_subfolder(tmp_path: Path, api: FakeApi) -> None:
    repo = make(tmp_path, api, below="infra/policies-repo/")
    program = program_in(repo, token=api.token)
    program.ok("-C", "infra/policies-repo", "apply", "--yes")
    asked = repo.commit({f"infra/policies-repo/{MFA_FILE}": neosc_policy(enabled=False)}, "Switch MFA off")

    plan = program.ok("-C", "infra/policies-repo/policies", "plan", "--json").json()
    run = program.ok("-C", "infra/policies-repo", "apply", "--yes", "--json").json()

    assert plan["changes"][0]["source"] == {"path": MFA_FILE, "line": 2}
    assert run["outcomes"][0]["commit"] == asked


def test_a_shallow_clone_fetches_the_history_it_needs(tmp_path: Path, api: FakeApi) -> None:
    repo = make(tmp_path, api)
    program_in(repo, token=api.token).ok("apply", "--yes")
    asked = repo.commit({MFA_FILE: neosc_policy(enabled=False)}, "Switch MFA off")
    repo.commit({"README.md": "hello"}, "Say hello")
    repo.push()
    shallow = clone(repo, tmp_path / "shallow", "--depth=1")

    run = program_in(shallow, token=api.token).ok("apply", "--yes", "--json").json()

    assert run["outcomes"][0]["commit"] == asked


def test_a_shallow_clone_that_cannot_fetch_says_so_and_names_head(tmp_path: Path, api: FakeApi) -> None:
    repo = make(tmp_path, api)
    repo.commit({"README.md": "hello"}, "Say hello")
    repo.push()
    shallow = clone(repo, tmp_path / "shallow", "--depth=1")
    shallow.git("remote", "set-url", "origin", str(tmp_path / "gone.git"))
    api.edit(MFA, enabled=False) if api.policies else None

    plan = program_in(shallow, token=api.token).ok("plan", "--json").json()

    assert plan["git"]["shallow"] is True
    assert any("history" in warning for warning in plan["warnings"])


def test_a_detached_head_is_applied_and_an_older_commit_is_refused(tmp_path: Path, api: FakeApi) -> None:
    repo = make(tmp_path, api)
    program = program_in(repo, token=api.token)
    program.ok("apply", "--yes")
    old = repo.git("rev-parse", "HEAD")
    new = repo.commit({MFA_FILE: neosc_policy(enabled=False)}, "Switch MFA off")
    repo.git("checkout", "-q", "--detach", new)
    program.ok("apply", "--yes")
    repo.git("checkout", "-q", "--detach", old)

    ended = program.run("apply", "--yes", "--json")

    assert ended.code == 3
    assert ended.json()["blocked"] == ["not-a-descendant"]
    assert api.policies[MFA]["enabled"] is False


def test_a_forged_ledger_entry_enrols_nothing(tmp_path: Path, api: FakeApi) -> None:
    repo = make(tmp_path, api, crud=True)
    program = program_in(repo, token=api.token)
    program.ok("apply", "--yes")
    victim = json.loads(neosc_policy("pol-by-hand"))
    api.add(victim)
    head = repo.git("rev-parse", "HEAD")
    forged = {
        "key": "pol-by-hand",
        "id": "pol-by-hand",
        "body": {key: value for key, value in victim.items() if key != "enabled"},
        "enabled": True,
        "metadata": {},
        "path": "policies/neosc/by-hand.yaml",
        "commit": head,
        "audit_id": None,
    }
    ref = "refs/reconciler/ledger/neosc"
    index = {"GIT_INDEX_FILE": str(tmp_path / "index")}
    repo.git("read-tree", ref, env=index)
    blob = repo.git("hash-object", "-w", "--stdin", given=json.dumps(forged).encode())
    repo.git("update-index", "--add", "--cacheinfo", f"100644,{blob},policies/pol-by-hand.json", env=index)
    commit = repo.git("commit-tree", repo.git("write-tree", env=index), "-p", ref, "-m", "Forge")
    repo.git("push", "-q", "origin", f"{commit}:{ref}")

    plan = program.ok("plan", "--json").json()
    program.ok("apply", "--yes")

    assert plan["changes"] == []
    assert plan["unmanaged"] == ["pol-by-hand"]
    assert "pol-by-hand" in api.policies


def test_hooks_and_replaced_objects_of_the_repository_change_nothing(tmp_path: Path, api: FakeApi) -> None:
    repo = make(tmp_path, api)
    marker = tmp_path / "hook-ran"
    for name in ("pre-push", "reference-transaction", "post-checkout", "post-index-change"):
        hook = repo.path / ".git/hooks" / name
        hook.write_text(f"#!/bin/sh\ntouch {marker}\n")
        hook.chmod(0o755)
    repo.git("config", "core.fsmonitor", f"touch {marker};")
    program = program_in(repo, token=api.token)

    program.ok("apply", "--yes")
    program.ok("plan")

    assert not marker.exists()


def test_the_same_inputs_give_the_same_bytes(tmp_path: Path, api: FakeApi) -> None:
    repo = make(tmp_path, api)
    repo.commit({MFA_FILE: neosc_policy(enabled=False)}, "Switch MFA off")
    program = program_in(repo, token=api.token)

    first, second = (program.ok("plan", "--json").json() for _ in range(2))
    first["live"].pop("read_at")
    second["live"].pop("read_at")

    assert json.dumps(first) == json.dumps(second)
    assert first["fingerprint"] == second["fingerprint"]
