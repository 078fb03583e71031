"""Sentences of design.md 3 and 6, one test each, by the real command on stand-ins of both APIs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fake_api import FakeApi
from tests.support.program import Program, config_text, opena2a_policy, opena2a_target, program_in
from tests.support.repos import Repo, make_repo

FILE = "policies/opena2a/limit.yaml"
NAME = "Rate Limit Enforcement"


@pytest.fixture
def api() -> Iterator[FakeApi]:
    with FakeApi("opena2a") as running:
        yield running


def make(tmp_path: Path, api: FakeApi, files: dict[str, str] | None = None, **target: Any) -> tuple[Repo, Program]:
    config = config_text(opena2a=opena2a_target(api.url, **target))
    repo = make_repo(tmp_path, {"reconciler.yaml": config, **({FILE: opena2a_policy()} if files is None else files)})
    return repo, program_in(repo, token=api.token)


def without(text: str, *keys: str) -> str:
    return json.dumps({key: value for key, value in json.loads(text).items() if key not in keys})


def only_live(api: FakeApi) -> dict[str, Any]:
    [policy] = api.policies.values()
    return policy


def test_a_key_absent_in_git_is_not_compared_and_is_sent_back_as_read(tmp_path: Path) -> None:
    with FakeApi("opena2a", put="replace") as api:
        api.add({**json.loads(opena2a_policy()), "description": "written by hand", "vendor_note": "keep me"})
        bare = without(opena2a_policy(severity="high"), "description")
        _, program = make(tmp_path, api, {FILE: bare})

        plan = program.ok("plan", "--json").json()
        program.ok("apply", "--yes")

        assert [field["pointer"] for field in plan["changes"][0]["fields"]] == ["/severity"]
        live = only_live(api)
        assert (live["description"], live["vendor_note"]) == ("written by hand", "keep me")
        assert (live["severity"], live["enabled"]) == ("high", True)


def test_a_key_that_was_applied_and_left_git_is_removed(tmp_path: Path, api: FakeApi) -> None:
    repo, program = make(tmp_path, api)
    program.ok("apply", "--yes")
    repo.commit({FILE: without(opena2a_policy(), "description")}, "Drop the description")

    plan = program.ok("plan", "--json").json()
    program.ok("apply", "--yes")

    [field] = plan["changes"][0]["fields"]
    assert (field["pointer"], field["op"]) == ("/description", "remove")
    assert "desired" not in field
    assert only_live(api).get("description") is None
    assert program.ok("plan", "--json").json()["changes"] == []


def test_enabled_defaults_to_true(tmp_path: Path, api: FakeApi) -> None:
    api.add({**json.loads(opena2a_policy()), "enabled": False})
    _, program = make(tmp_path, api, {FILE: without(opena2a_policy(), "enabled")})

    plan = program.ok("plan", "--json").json()
    program.ok("apply", "--yes")

    assert [(change["action"], change["adopts"], change["risk"]) for change in plan["changes"]] == [
        ("enable", True, "tightens")
    ]
    assert only_live(api)["enabled"] is True


def test_with_prune_never_a_delete_cannot_be(tmp_path: Path, api: FakeApi) -> None:
    other = "policies/opena2a/other.yaml"
    files = {FILE: opena2a_policy(), other: opena2a_policy("Other")}
    repo, program = make(tmp_path, api, files, prune="never")
    program.ok("apply", "--yes")
    repo.commit({other: None}, "Drop one")

    plan = program.ok("plan", "--detailed-exitcode", "--json").json()
    program.ok("apply", "--yes")

    assert [(entry["key"], entry["action"]) for entry in plan["cannot"]] == [("Other", "delete")]
    assert len(api.policies) == 2
    assert "In sync, 1 cannot" in program.ok("plan").out


def test_only_looks_at_one_policy_and_never_deletes(tmp_path: Path, api: FakeApi) -> None:
    other, third = "policies/opena2a/other.yaml", "policies/opena2a/third.yaml"
    files = {FILE: opena2a_policy(), other: opena2a_policy("Other"), third: opena2a_policy("Third")}
    repo, program = make(tmp_path, api, files)
    program.ok("apply", "--yes")
    changed = {FILE: opena2a_policy(severity="high"), other: opena2a_policy("Other", severity="high"), third: None}
    repo.commit(changed, "Change two, drop one")

    plan = program.ok("plan", "--only", NAME, "--only", "Third", "--json").json()
    program.ok("apply", "--only", NAME, "--yes")

    assert plan["complete"] is False
    assert [(change["key"], change["action"]) for change in plan["changes"]] == [(NAME, "update")]
    assert {policy["name"]: policy["severity"] for policy in api.policies.values()} == {
        NAME: "high",
        "Other": "medium",
        "Third": "medium",
    }


def test_without_a_trail_the_commit_is_in_the_ledger_only(tmp_path: Path) -> None:
    with FakeApi("opena2a", trail=False) as api:
        _, program = make(tmp_path, api)

        run = program.ok("apply", "--yes", "--json").json()

        assert run["outcomes"][0]["annotation"] == {"strength": "ledger-only", "verified": False, "audit_id": None}


def test_an_annotation_on_the_object_is_no_difference(tmp_path: Path) -> None:
    with FakeApi("opena2a", trail=False) as api:
        repo, program = make(tmp_path, api, annotate="description")

        run = program.ok("apply", "--yes", "--json").json()
        head = repo.git("rev-parse", "HEAD")
        repo.commit({"README.md": "hello"}, "Say hello")

        assert only_live(api)["description"].endswith(f"[reconciler commit={head}]")
        assert run["outcomes"][0]["annotation"]["strength"] == "on-object"
        assert run["outcomes"][0]["annotation"]["verified"] is True
        assert program.ok("plan", "--json").json()["changes"] == []


def test_metadata_alone_is_no_change_but_is_recorded(tmp_path: Path, api: FakeApi) -> None:
    repo, program = make(tmp_path, api)
    program.ok("apply", "--yes")
    sent, before = len(api.mutations), repo.remote_refs()
    repo.commit({FILE: opena2a_policy(metadata={"critical": True})}, "Protect it")

    plan = program.run("plan", "--detailed-exitcode", "--json")
    first = program.ok("apply", "--yes", "--json").json()
    after = repo.remote_refs()
    program.ok("apply", "--yes")

    assert (plan.code, plan.json()["changes"], first["outcomes"]) == (0, [], [])
    assert len(api.mutations) == sent
    assert before != after == repo.remote_refs()


def test_another_spelling_of_the_same_policy_writes_nothing(tmp_path: Path, api: FakeApi) -> None:
    repo, program = make(tmp_path, api)
    program.ok("apply", "--yes")
    sent, before = len(api.mutations), repo.remote_refs()
    repo.commit({FILE: "# a comment\n" + opena2a_policy()}, "Say why")

    program.ok("apply", "--yes")

    assert (len(api.mutations), repo.remote_refs()) == (sent, before)


def test_a_policy_keeps_its_identity_when_its_name_changes(tmp_path: Path, api: FakeApi) -> None:
    repo, program = make(tmp_path, api, {FILE: opena2a_policy(metadata={"key": "limit"})})
    program.ok("apply", "--yes")
    before = only_live(api)["id"]
    repo.commit({FILE: opena2a_policy("Hourly limit", metadata={"key": "limit"})}, "Rename it")

    plan = program.ok("plan", "--json").json()
    program.ok("apply", "--yes")

    assert [(change["key"], change["action"]) for change in plan["changes"]] == [("limit", "update")]
    assert (only_live(api)["id"], only_live(api)["name"]) == (before, "Hourly limit")


def test_live_already_as_git_wants_it_brings_the_ledger_up_to_date_without_a_call(tmp_path: Path, api: FakeApi) -> None:
    repo, program = make(tmp_path, api)
    program.ok("apply", "--yes")
    api.edit(only_live(api)["id"], severity="high")
    asked = repo.commit({FILE: opena2a_policy(severity="high")}, "Raise the severity")
    sent = len(api.mutations)

    plan = program.ok("plan", "--json").json()
    program.ok("apply", "--yes")

    assert plan["changes"] == []
    assert len(api.mutations) == sent
    entry = json.loads(repo.git("show", "refs/reconciler/ledger/opena2a:policies/Rate%20Limit%20Enforcement.json"))
    assert (entry["body"]["severity"], entry["commit"]) == ("high", asked)


def test_both_sides_moved_is_origin_both(tmp_path: Path, api: FakeApi) -> None:
    repo, program = make(tmp_path, api)
    program.ok("apply", "--yes")
    api.edit(only_live(api)["id"], severity="low")
    repo.commit({FILE: opena2a_policy(severity="critical")}, "Raise the severity")

    [change] = program.ok("plan", "--json").json()["changes"]

    assert change["origin"] == "both"
    assert change["drift"]["actor"] == "admin@example.com"
    [field] = change["fields"]
    assert (field["live"], field["desired"], field["last_applied"]) == ("low", "critical", "medium")


def test_several_targets_are_planned_saved_and_applied_together(tmp_path: Path, api: FakeApi) -> None:
    with FakeApi("opena2a") as other:
        config = config_text(one=opena2a_target(api.url), two=opena2a_target(other.url))
        repo = make_repo(tmp_path, {"reconciler.yaml": config, FILE: opena2a_policy()})
        program = program_in(repo, token=api.token)
        path = str(tmp_path / "plans.json")

        plans = program.ok("plan", "--json", "--out", path).json()
        shown = program.ok("show", path).out
        runs = program.ok("apply", path, "--yes", "--json").json()

        assert plans["format"] == "reconciler.plans/1"
        assert [plan["target"]["name"] for plan in plans["plans"]] == ["one", "two"]
        assert "to one" in shown
        assert "to two" in shown
        assert [run["target"]["name"] for run in runs["runs"]] == ["one", "two"]
        assert len(api.policies) == len(other.policies) == 1


def test_the_global_mode_is_applied_like_a_policy(tmp_path: Path, api: FakeApi) -> None:
    files = {FILE: opena2a_policy(), "policies/opena2a/settings.yaml": "enforcement_mode: strict\n"}
    repo, program = make(tmp_path, api, files)

    plan = program.ok("plan", "--json").json()
    program.ok("apply", "--yes")
    strict = api.mode
    asked = repo.commit({"policies/opena2a/settings.yaml": "enforcement_mode: monitoring\n"}, "Only watch")
    weaker = program.run("apply", "--yes", "--json")

    [change] = [change for change in plan["changes"] if change["kind"] == "settings"]
    assert (change["key"], change["action"], change["risk"]) == ("enforcement_mode", "update", "tightens")
    assert plan["target"]["mode"] == "MONITORING"
    assert strict == "strict"
    assert weaker.code == 3
    assert weaker.json()["blocked"] == ["mode-weakened"]
    assert weaker.json()["outcomes"][0]["commit"] == asked
    assert api.mode == "strict"


def test_a_server_without_enforcement_settings_has_no_mode(tmp_path: Path) -> None:
    with FakeApi("opena2a", mode=None) as api:
        _, program = make(tmp_path, api)

        assert program.ok("plan", "--json").json()["target"]["mode"] is None


def test_a_difference_nobody_wants_to_hear_of_is_counted(tmp_path: Path, api: FakeApi) -> None:
    rule = {"key": NAME, "pointer": "/description", "reason": "Edited by support"}
    _, program = make(tmp_path, api, ignore=[rule])
    program.ok("apply", "--yes")
    api.edit(only_live(api)["id"], description="by support")

    plan = program.ok("plan", "--json").json()

    assert plan["changes"] == []
    assert any("Edited by support" in warning for warning in plan["warnings"])


def test_an_overlay_changes_what_one_target_wants(tmp_path: Path, api: FakeApi) -> None:
    overlay = {NAME: {"conditions": {"max_requests_per_hour": 50}, "enabled": False}}
    _, program = make(tmp_path, api, overlays=[overlay])

    program.ok("apply", "--yes")

    live = only_live(api)
    assert live["conditions"] == {"max_requests_per_hour": 50, "window_size": "1h"}
    assert live["enabled"] is False


def test_a_server_that_writes_1_as_1_0_and_sorts_sets_is_in_sync(tmp_path: Path) -> None:
    def normalize(policy: dict[str, Any]) -> dict[str, Any]:
        conditions = dict(policy.get("conditions") or {})
        if "min_trust_score" in conditions:
            conditions["min_trust_score"] = float(conditions["min_trust_score"])
        if "allowed_ips" in conditions:
            conditions["allowed_ips"] = sorted(conditions["allowed_ips"])
        return {**policy, "conditions": conditions}

    with FakeApi("opena2a", normalize=normalize) as api:
        trust = opena2a_policy("Trust", policy_type="trust_score", conditions={"min_trust_score": 70})
        ips = opena2a_policy(
            "IPs", policy_type="ip_allowlist", conditions={"allowed_ips": ["192.168.1.0/24", "10.0.0.0/8"]}
        )
        files = {"policies/opena2a/a.yaml": trust, "policies/opena2a/b.yaml": ips}
        _, program = make(tmp_path, api, files)

        program.ok("apply", "--yes")

        assert program.ok("plan", "--json").json()["changes"] == []
