"""Servers that keep something else than they were sent (reliability.md F39): told as it is, and never fought over."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from tests.fake_api import FakeApi
from tests.support.program import Program, config_text, opena2a_policy, opena2a_target, program_in
from tests.support.repos import Repo, make_repo

Body = dict[str, Any]
NAME, FILE = "limit", "policies/opena2a/0.yaml"
TEXT = " Limit Agents & others "


def _with(key: str, change: Callable[[Any], Any]) -> Callable[[Body], Body]:
    return lambda policy: {**policy, key: change(policy[key])} if key in policy else policy


SAME: dict[str, Callable[[Body], Body]] = {
    "adds a field of its own": lambda policy: {**policy, "tags": [], "created_by": "x"},
    "turns the keys around": lambda policy: dict(reversed(policy.items())),
    "creates switched off": lambda policy: {**policy, "enabled": False},
    "writes 1000 as 1000.0": _with("conditions", lambda c: {**c, "max_requests_per_hour": 1000.0}),
}
#: What it becomes, and the field that shows it.
KEPT: dict[str, tuple[Callable[[Body], Body], str]] = {
    "lower case": (_with("description", str.lower), "/description"),
    "trims": (_with("description", str.strip), "/description"),
    "drops a field": (lambda policy: {k: v for k, v in policy.items() if k != "description"}, "/description"),
    "escapes": (_with("description", lambda text: text.replace("&", "&amp;")), "/description"),
    "rounds down, which is stricter": (
        _with("conditions", lambda c: {**c, "max_requests_per_hour": 999}),
        "/conditions/max_requests_per_hour",
    ),
}
WEAKER: dict[str, tuple[Callable[[Body], Body], str]] = {
    "rounds up, which lets more through": (
        _with("conditions", lambda c: {**c, "max_requests_per_hour": 2000}),
        "/conditions/max_requests_per_hour",
    ),
    "knows no throttling": (_with("actions", lambda a: {**a, "on_violation": "alert"}), "/actions/on_violation"),
}
LOWER = KEPT["lower case"][0]


def by_name(cases: dict[str, Callable[[Body], Body]]) -> Callable[[Body], Body]:
    """A server that treats each policy as its name says."""
    return lambda policy: cases[policy["name"]](policy)


def setup(tmp_path: Path, api: FakeApi, names: Iterable[str]) -> tuple[Repo, Program]:
    config = config_text(opena2a=opena2a_target(api.url, quiescence=0, budget=8))
    files = {
        f"policies/opena2a/{number}.yaml": opena2a_policy(name, description=TEXT) for number, name in enumerate(names)
    }
    repo = make_repo(tmp_path, {"reconciler.yaml": config, **files})
    return repo, program_in(repo, token=api.token)


def test_what_means_the_same_is_the_same(tmp_path: Path) -> None:
    with FakeApi("opena2a", normalize=by_name(SAME)) as api:
        _, program = setup(tmp_path, api, SAME)

        run = program.ok("apply", "--yes", "--json").json()
        plan = program.ok("plan", "--json").json()

        assert {outcome["key"]: outcome["status"] for outcome in run["outcomes"]} == dict.fromkeys(SAME, "applied")
        assert plan["changes"] == []
        assert not any("normalised" in warning for warning in plan["warnings"])


def test_what_the_server_makes_of_it_is_told_and_not_sent_again(tmp_path: Path) -> None:
    with FakeApi("opena2a", normalize=by_name({name: change for name, (change, _) in KEPT.items()})) as api:
        _, program = setup(tmp_path, api, KEPT)

        first = program.ok("apply", "--yes", "--json")
        sent = len(api.mutations)
        plan = program.ok("plan", "--json").json()
        second = program.ok("apply", "--yes", "--json").json()

        told = {
            f'"{name}" is kept otherwise than it was sent, and no weaker (normalised): {at}'
            for name, (_, at) in KEPT.items()
        }
        assert {outcome["key"]: outcome["status"] for outcome in first.json()["outcomes"]} == dict.fromkeys(
            KEPT, "applied"
        )
        assert {line.removeprefix("warning: ") for line in first.err.splitlines() if "normalised" in line} == told
        assert plan["changes"] == []
        assert {warning for warning in plan["warnings"] if "normalised" in warning} == told
        assert (sent, len(api.mutations)) == (len(KEPT), len(KEPT))
        assert second["outcomes"] == []


def test_what_would_be_weaker_than_git_asks_for_is_never_taken_for_it(tmp_path: Path) -> None:
    with FakeApi("opena2a", normalize=by_name({name: change for name, (change, _) in WEAKER.items()})) as api:
        _, program = setup(tmp_path, api, WEAKER)

        ended = program.run("apply", "--yes", "--json")
        plan = program.ok("plan", "--json").json()

        told = {outcome["key"]: (outcome["status"], outcome["error"]) for outcome in json.loads(ended.out)["outcomes"]}
        stopped = "not tried: the first write did not do what was asked, so nothing more is sent"
        first, second = sorted(WEAKER)
        assert ended.code == 4
        assert told == {
            first: ("unknown", f"the server shows another value than was sent: {WEAKER[first][1]}"),
            second: ("skipped", stopped),
        }
        assert [change["action"] for change in plan["changes"]] == ["create", "update"]
        assert len(api.mutations) == 1


def test_after_an_edit_by_hand_it_is_drift_like_any_other(tmp_path: Path) -> None:
    with FakeApi("opena2a", normalize=LOWER) as api:
        _, program = setup(tmp_path, api, [NAME])
        program.ok("apply", "--yes")
        [policy_id] = api.policies

        api.edit(policy_id, description="something else")
        plan = program.ok("plan", "--json").json()
        program.ok("apply", "--yes")

        assert [change["origin"] for change in plan["changes"]] == ["drift"]
        assert api.policies[policy_id]["description"] == TEXT.lower()
        assert program.ok("plan", "--json").json()["changes"] == []


def test_another_value_in_git_is_sent_and_what_becomes_of_it_remembered_anew(tmp_path: Path) -> None:
    with FakeApi("opena2a", normalize=LOWER) as api:
        repo, program = setup(tmp_path, api, [NAME])
        program.ok("apply", "--yes")
        repo.commit({FILE: opena2a_policy(NAME, description="Another Text")}, "Say it otherwise")

        program.ok("apply", "--yes")
        repo.commit({FILE: opena2a_policy(NAME, description="Another Text", severity="high")}, "Raise it")
        program.ok("apply", "--yes")

        [policy] = api.policies.values()
        assert (policy["description"], policy["severity"]) == ("another text", "high")
        assert len(api.mutations) == 3
        assert program.ok("plan", "--json").json()["changes"] == []


def test_a_server_that_keeps_it_at_last_is_no_longer_excused(tmp_path: Path) -> None:
    with FakeApi("opena2a", normalize=LOWER) as api:
        _, program = setup(tmp_path, api, [NAME])
        program.ok("apply", "--yes")
        [policy_id] = api.policies
        api.normalize = lambda policy: policy
        api.edit(policy_id, description=TEXT)
        program.ok("apply", "--yes")

        api.edit(policy_id, description=TEXT.lower())
        plan = program.ok("plan", "--json").json()

        assert [change["origin"] for change in plan["changes"]] == ["drift"]
