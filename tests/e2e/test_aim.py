"""The real command against the published AIM server: what it blanks stays, what gets lost is not done twice."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.aim import AimServer, aim_server
from tests.support.losing import losing
from tests.support.program import Program, config_text, program_in
from tests.support.repos import Repo, make_repo

FOLDER = "policies/aim"
TRUST, CAPABILITY = "Low trust score", "Capability violations"


def aim_policy(name: str = TRUST, **more: Any) -> str:
    body = {
        "name": name,
        "description": "Alert when an agent's trust score falls below 0.5",
        "policyType": "trust_score_low",
        "enforcementAction": "alert_only",
        "severityThreshold": "high",
        "rules": {"trust_threshold": 0.5},
        "appliesTo": "all",
        "priority": 100,
    }
    return json.dumps({**body, **more}, indent=2)


def capability_policy(**more: Any) -> str:
    body = {"name": CAPABILITY, "policyType": "capability_violation", "enforcementAction": "block_and_alert"}
    return json.dumps({**body, **more}, indent=2)


def make(tmp_path: Path, aim: AimServer, files: dict[str, str], url: str = "", **target: Any) -> tuple[Repo, Program]:
    settings = {"provider": "aim", "url": url or aim.url, "policies": FOLDER, "quiescence": 1, **target}
    named = {f"{FOLDER}/{name}.yaml": text for name, text in files.items()}
    repo = make_repo(tmp_path, {"reconciler.yaml": config_text(aim=settings), **named})
    return repo, program_in(repo, token=aim.token)


HEAVY = pytest.mark.heavy


@pytest.fixture(params=[pytest.param("aim:a1", marks=HEAVY), pytest.param("aim:a2", marks=HEAVY), "aim:a3"])
def aim(request: pytest.FixtureRequest) -> Iterator[AimServer]:
    with aim_server(request.param) as running:
        yield running


def test_policies_are_made_changed_switched_and_deleted_and_each_commit_is_proven_beside_the_change(
    tmp_path: Path, aim: AimServer
) -> None:
    repo, program = make(tmp_path, aim, {"trust": aim_policy(), "capability": capability_policy()})
    runs = [program.ok("apply", "--yes", "--json").json()]
    made = aim.policies()
    raised = aim_policy(rules={"trust_threshold": 0.7}, enabled=False)
    repo.commit({f"{FOLDER}/trust.yaml": raised, f"{FOLDER}/capability.yaml": None}, "Raise and switch off; drop one")

    runs.append(program.ok("apply", "--yes", "--json").json())
    log = program.ok("log", "--json").json()["entries"]

    outcomes = [outcome for run in runs for outcome in run["outcomes"]]
    assert [outcome["status"] for outcome in outcomes] == ["applied"] * 4
    assert {name: row["is_enabled"] for name, row in made.items()} == {TRUST: True, CAPABILITY: True}
    after = aim.policies()
    assert after.keys() == {TRUST}
    assert (after[TRUST]["is_enabled"], after[TRUST]["rules"]["trust_threshold"]) == (False, 0.7)
    assert after[TRUST]["policy_type"] == "trust_score_low"
    marks = {entry["id"]: entry for entry in aim.entries()}
    for outcome in outcomes:
        proof = outcome["annotation"]
        assert (proof["strength"], proof["verified"]) == ("neighbour-entry", True)
        assert f"commit={outcome['commit']}" in marks[proof["audit_id"]]["user_agent"]
        assert (marks[proof["audit_id"]]["action"], marks[proof["audit_id"]]["resource_type"]) == ("view", "audit_logs")
    assert {(entry["strength"], entry["outside_git"]) for entry in log} == {("neighbour-entry", False)}
    assert sorted(entry["action"] for entry in log) == ["created", "created", "deleted", "toggled", "updated"]


def test_no_field_that_git_does_not_name_is_ever_blanked(tmp_path: Path, aim: AimServer) -> None:
    before = {aim.add(TRUST, rules={"trust_threshold": 0.3, "note": [1, 2.5]}, is_enabled=False)}
    kept = aim.policies()[TRUST]
    few = {"name": TRUST, "policyType": "trust_score_low", "enforcementAction": "block_and_alert", "enabled": False}
    few["rules"] = {"trust_threshold": 0.4}
    repo, program = make(tmp_path, aim, {"trust": json.dumps(few)})

    program.ok("apply", "--yes")
    updated = aim.policies()[TRUST]
    repo.commit({f"{FOLDER}/trust.yaml": json.dumps({**few, "enabled": True})}, "Switch it on")
    program.ok("apply", "--yes")
    switched = aim.policies()[TRUST]

    assert {updated["id"], switched["id"]} == before
    for row, changed in ((updated, {}), (switched, {"is_enabled": True})):
        untouched = {**kept, "enforcement_action": "block_and_alert", **changed}
        for name in ("description", "severity_threshold", "applies_to", "priority", "is_enabled", "policy_type"):
            assert row[name] == untouched[name], name
        assert row["rules"].items() >= {"trust_threshold": 0.4, "note": [1, 2.5]}.items()
    assert [method for method, _ in aim.mutations] == ["PUT", "PATCH"]


@HEAVY
def test_a_key_that_leaves_git_goes_live_too_and_then_there_is_nothing_left_to_do(
    tmp_path: Path, aim: AimServer
) -> None:
    repo, program = make(tmp_path, aim, {"trust": aim_policy()})
    program.ok("apply", "--yes")
    fewer = {key: value for key, value in json.loads(aim_policy()).items() if key not in ("priority", "description")}
    repo.commit({f"{FOLDER}/trust.yaml": json.dumps(fewer)}, "Say less")

    plan = program.ok("plan", "--json").json()
    program.ok("apply", "--yes")

    assert [(f["pointer"], f["op"]) for c in plan["changes"] for f in c["fields"]] == [
        ("/description", "remove"),
        ("/priority", "remove"),
    ]
    assert (aim.policies()[TRUST]["priority"], aim.policies()[TRUST]["description"]) == (0, "")
    assert program.ok("plan", "--json").json()["changes"] == []


@pytest.mark.parametrize(
    ("method", "asked", "strength"),
    [
        ("POST", {"priority": 100}, "on-object"),
        pytest.param("PUT", {"priority": 5}, "on-object", marks=HEAVY),
        pytest.param("PATCH", {"enabled": False}, "ledger-only", marks=HEAVY),
        pytest.param("DELETE", None, "ledger-only", marks=HEAVY),
    ],
)
def test_a_change_whose_reply_is_lost_is_looked_for_and_not_asked_for_again(
    tmp_path: Path, aim: AimServer, method: str, asked: dict[str, Any] | None, strength: str
) -> None:
    lost: list[bytes] = []

    def loses(line: bytes) -> bool:
        is_lost = armed and not lost and line.startswith(f"{method} ".encode()) and b"/admin/" in line
        lost.extend([line] if is_lost else [])
        return is_lost

    armed = method == "POST"
    with losing(aim.url, loses) as url:
        repo, program = make(tmp_path, aim, {"trust": aim_policy()}, url)
        if not armed:
            program.ok("apply", "--yes")
            repo.commit({f"{FOLDER}/trust.yaml": None if asked is None else aim_policy(**asked)}, "Change it")
            armed = True

        run = program.ok("apply", "--yes", "--json").json()

    [outcome] = run["outcomes"]
    assert len(lost) == 1
    assert (outcome["status"], outcome["calls"], outcome["annotation"]["strength"]) == ("applied", 1, strength)
    assert [each[0] for each in aim.mutations].count(method) == 1
    assert aim.policies().keys() == (set() if asked is None else {TRUST})
    if asked is not None:
        live = aim.policies()[TRUST]
        assert {"priority": live["priority"], "enabled": live["is_enabled"]}.items() >= asked.items()


def test_a_token_that_ends_in_the_middle_of_a_run_is_replaced_once_and_the_run_goes_on(
    tmp_path: Path, aim: AimServer
) -> None:
    repo, _ = make(tmp_path, aim, {"trust": aim_policy(), "capability": capability_policy()})
    program = program_in(repo, token=aim.credentials)

    def forget_at_the_second_create(method: str, path: str) -> None:
        if method == "POST" and "/admin/" in path and len(aim.mutations) == 2:
            aim.inside.signer.forget()

    aim.before = forget_at_the_second_create

    run = program.ok("apply", "--yes", "--json").json()

    assert [outcome["status"] for outcome in run["outcomes"]] == ["applied", "applied"]
    assert aim.policies().keys() == {TRUST, CAPABILITY}
    assert [path for method, path in aim.requests if path.endswith("/login")] == ["/api/v1/public/login"] * 2
    assert [method for method, _ in aim.mutations] == ["POST", "POST", "POST"]


@HEAVY
def test_a_name_that_somebody_takes_just_before_us_is_found_and_not_made_twice(tmp_path: Path, aim: AimServer) -> None:
    _, program = make(tmp_path, aim, {"trust": aim_policy()})

    def take_the_name(method: str, path: str) -> None:
        if method == "POST" and not aim.policies():
            aim.add(TRUST)

    aim.before = take_the_name

    run = program.run("apply", "--yes", "--json")

    assert run.code == 4
    assert [outcome["status"] for outcome in run.json()["outcomes"]] == ["unknown"]
    assert aim.policies()[TRUST]["description"] == "made by hand"
    assert [method for method, _ in aim.mutations] == ["POST"]


@HEAVY
def test_a_login_that_is_refused_is_said_in_the_servers_words_and_the_password_never(
    tmp_path: Path, aim: AimServer
) -> None:
    repo, _ = make(tmp_path, aim, {"trust": aim_policy()})
    program = program_in(repo, token=aim.credentials + "-mistyped")

    ended = program.run("plan", "--json")

    assert ended.code == 1
    assert ended.json()["error"]["code"] == "login-refused"
    assert "Invalid credentials" in ended.json()["error"]["message"]
    assert "-mistyped" not in ended.out + ended.err


@HEAVY
def test_what_is_live_is_imported_as_files_that_are_valid_and_in_sync(tmp_path: Path, aim: AimServer) -> None:
    aim.add("Made by hand")
    aim.add("Failures", policy_type="auth_failure", rules={"max_attempts": 3}, description="", priority=0)
    _, program = make(tmp_path, aim, {"trust": aim_policy()})

    program.ok("import", "--target", "aim")

    assert program.ok("validate").code == 0
    plan = program.ok("plan", "--json").json()
    assert [(change["key"], change["action"]) for change in plan["changes"]] == [(TRUST, "create")]
