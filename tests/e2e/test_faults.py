"""A server that misbehaves: the end state is right or the exit code says so, and nothing is repeated blindly."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.fake_api import FakeApi, Fault, SeenRequest
from tests.support.program import (
    Program,
    config_text,
    neosc_defaults,
    neosc_policy,
    neosc_target,
    opena2a_policy,
    opena2a_target,
    program_in,
)
from tests.support.repos import Repo, make_repo

MFA = "pol-mfa-required"
FILE = "policies/opena2a/limit.yaml"


def neosc(tmp_path: Path, api: FakeApi, files: dict[str, str] | None = None, **target: Any) -> tuple[Repo, Program]:
    config = config_text(neosc=neosc_target(api.url, **target))
    repo = make_repo(tmp_path, {"reconciler.yaml": config, **(neosc_defaults() if files is None else files)})
    return repo, program_in(repo, token=api.token, hasty=True)


def opena2a(tmp_path: Path, api: FakeApi) -> tuple[Repo, Program]:
    config = config_text(opena2a=opena2a_target(api.url))
    repo = make_repo(tmp_path, {"reconciler.yaml": config, FILE: opena2a_policy()})
    return repo, program_in(repo, token=api.token, hasty=True)


def disable_mfa(repo: Repo) -> str:
    return repo.commit({f"policies/neosc/{MFA}.yaml": neosc_policy(enabled=False)}, "Switch MFA off")


def test_a_list_of_exactly_a_hundred_without_a_total_creates_and_deletes_nothing(tmp_path: Path) -> None:
    policies = [{**neosc_body(f"pol-{number:03}")} for number in range(99)]
    with FakeApi("neosc", policies=policies, total=False) as api:
        files = {f"policies/neosc/{p['id']}.yaml": neosc_policy(p["id"]) for p in policies[:3]}
        repo, program = neosc(tmp_path, api, files, crud=True)
        program.ok("apply", "--yes")
        api.add(neosc_body("pol-099"))
        repo.commit(
            {
                "policies/neosc/pol-000.yaml": None,
                "policies/neosc/pol-001.yaml": neosc_policy("pol-001", enabled=False),
                "policies/neosc/new.yaml": neosc_policy("pol-new"),
            },
            "Delete one, disable one, create one",
        )

        plan = program.ok("plan", "--json").json()
        run = program.run("apply", "--yes", "--json")

        assert plan["complete"] is False
        assert {(entry["key"], entry["action"]) for entry in plan["held"]} == {
            ("pol-000", "delete"),
            ("pol-new", "create"),
        }
        assert plan["blocked"] == ["incomplete-read"]
        assert [(request.method, request.path) for request in api.mutations] == [("PATCH", "/api/policies/pol-001")]
        assert run.code == 3
        assert [(o["key"], o["status"]) for o in run.json()["outcomes"]] == [("pol-001", "applied")]
        assert "pol-000" in api.policies


def neosc_body(key: str) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(neosc_policy(key))
    return body


@pytest.mark.parametrize("fault", [Fault.DROP_AFTER, Fault.RESET_AFTER, Fault.ERROR_AFTER, Fault.HTML_AFTER, Fault.CUT])
@pytest.mark.parametrize("user_agents", [True, False], ids=["trail-has-commit", "trail-without-commit"])
def test_a_flip_whose_reply_is_lost_is_not_sent_again(tmp_path: Path, fault: Fault, user_agents: bool) -> None:
    with FakeApi("neosc", keeps_user_agent=user_agents) as api:
        repo, program = neosc(tmp_path, api)
        program.ok("apply", "--yes")
        asked = disable_mfa(repo)
        api.fail(fault, method="PATCH")

        run = program.ok("apply", "--yes", "--json").json()

        assert len(api.mutations) == 1
        assert api.policies[MFA]["enabled"] is False
        assert [(o["status"], o["commit"]) for o in run["outcomes"]] == [("applied", asked)]
        assert program.ok("plan", "--json").json()["changes"] == []


def test_a_flip_that_was_dropped_before_it_took_effect_is_sent_again_after_a_fresh_read(tmp_path: Path) -> None:
    with FakeApi("neosc") as api:
        repo, program = neosc(tmp_path, api)
        program.ok("apply", "--yes")
        disable_mfa(repo)
        api.fail(Fault.DROP_BEFORE, method="PATCH")

        program.ok("apply", "--yes")

        sent = [(request.method, request.path) for request in api.requests]
        first = sent.index(("PATCH", f"/api/policies/{MFA}"))
        second = sent.index(("PATCH", f"/api/policies/{MFA}"), first + 1)
        assert ("GET", "/api/policies") in sent[first:second]
        assert len(api.mutations) == 2
        assert api.policies[MFA]["enabled"] is False


def test_a_create_whose_reply_is_lost_is_not_sent_again(tmp_path: Path) -> None:
    with FakeApi("opena2a") as api:
        _, program = opena2a(tmp_path, api)
        api.fail(Fault.DROP_AFTER, method="POST")

        run = program.ok("apply", "--yes", "--json").json()

        assert [request.method for request in api.mutations] == ["POST"]
        assert len(api.policies) == 1
        assert [o["status"] for o in run["outcomes"]] == ["applied"]


@pytest.mark.parametrize("retry_after", [None, "1"])
def test_too_many_requests_are_waited_out(tmp_path: Path, retry_after: str | None) -> None:
    with FakeApi("neosc") as api:
        repo, program = neosc(tmp_path, api)
        program.ok("apply", "--yes")
        disable_mfa(repo)
        api.fail(Fault.TOO_MANY, method="PATCH", retry_after=retry_after)

        program.ok("apply", "--yes")

        assert api.policies[MFA]["enabled"] is False


def test_a_redirect_is_never_followed(tmp_path: Path) -> None:
    with FakeApi("neosc") as api, FakeApi("neosc") as other:
        repo, program = neosc(tmp_path, api)
        program.ok("apply", "--yes")
        disable_mfa(repo)
        api.fail(Fault.REDIRECT, method="PATCH", location=f"{other.url}/policies/{MFA}")
        api.fail(Fault.REDIRECT, method="GET", skip=3, times=100, location=f"{other.url}/policies")

        program.run("apply", "--yes")
        read = program.run("plan", "--json")

        assert other.requests == []
        assert read.code == 1
        assert "redirect" in read.json()["error"]["message"]


def test_doubt_that_stays_is_exit_4_unknown_and_keeps_the_lock(tmp_path: Path) -> None:
    with FakeApi("neosc", keeps_user_agent=False) as api:
        repo, program = neosc(tmp_path, api, budget=6)
        program.ok("apply", "--yes")
        disable_mfa(repo)
        api.fail(Fault.DROP_AFTER, method="PATCH")
        api.fail(Fault.UNAVAILABLE, method="GET", path="/policies", skip=2, times=100)

        ended = program.run("apply", "--yes", "--json")
        second = program.run("apply", "--yes", "--json")

        assert ended.code == 4, ended
        assert [o["status"] for o in ended.json()["outcomes"]] == ["unknown"]
        assert "refs/reconciler/lock/neosc" in repo.remote_refs()
        assert second.code == 75


def test_a_401_in_the_middle_stops_the_run_and_says_what_was_done(tmp_path: Path) -> None:
    with FakeApi("neosc") as api:
        files = neosc_defaults()
        repo, program = neosc(tmp_path, api, files)
        program.ok("apply", "--yes")
        off = {key: {"enabled": False} for key in (MFA, "pol-network-zero-trust", "pol-session-recording")}
        repo.commit(neosc_defaults(**off), "Switch all off")
        api.fail(Fault.UNAUTHORIZED, method="PATCH", skip=1, times=100)

        ended = program.run("apply", "--yes", "--json")

        statuses = [o["status"] for o in ended.json()["outcomes"]]
        assert ended.code == 4
        assert statuses[0] == "applied"
        assert set(statuses[1:]) <= {"failed", "skipped"}
        assert len([p for p in api.policies.values() if not p["enabled"]]) == 1


@pytest.mark.parametrize(
    ("fault", "code"),
    [(Fault.HTML, 1), (Fault.NULL, 1), (Fault.EMPTY, 1), (Fault.UNAUTHORIZED, 1), (Fault.ERROR_BEFORE, 75)],
)
def test_a_list_that_is_not_one_is_an_error_and_never_empty(tmp_path: Path, fault: Fault, code: int) -> None:
    with FakeApi("neosc") as api:
        repo, program = neosc(tmp_path, api, crud=True)
        program.ok("apply", "--yes")
        repo.commit({f"policies/neosc/{MFA}.yaml": None}, "Delete one")
        api.fail(fault, method="GET", path="/policies", times=1000)

        plan = program.run("plan", "--json")
        applied = program.run("apply", "--yes", "--json")

        assert (plan.code, applied.code) == (code, code)
        assert plan.json()["format"] == "reconciler.error/1"
        assert api.mutations == []


def test_a_list_that_lags_behind_a_change_is_waited_for_and_the_change_not_made_again(tmp_path: Path) -> None:
    with FakeApi("neosc") as api:
        repo, program = neosc(tmp_path, api)
        program.ok("apply", "--yes")
        disable_mfa(repo)
        before = json.dumps(list(api.policies.values())).encode()
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(before)}\r\n\r\n"

        def lag(request: SeenRequest) -> None:
            if request.is_mutating:
                api.fail(Fault.RAW, method="GET", path="/policies", times=6, raw=head.encode() + before)

        api.on_request = lag

        run = program.ok("apply", "--yes", "--json").json()

        assert [outcome["status"] for outcome in run["outcomes"]] == ["applied"]
        assert len(api.mutations) == 1
        assert api.policies[MFA]["enabled"] is False


def test_two_live_policies_with_one_name_are_an_error_and_neither_is_touched(tmp_path: Path) -> None:
    with FakeApi("opena2a") as api:
        _, program = opena2a(tmp_path, api)
        for number in (1, 2):
            api.add({"id": f"policy_{number}", **json.loads(opena2a_policy(severity="low"))})

        ended = program.run("apply", "--yes", "--json")

        assert ended.code == 1
        assert "policy_1" in ended.json()["error"]["message"]
        assert api.mutations == []
