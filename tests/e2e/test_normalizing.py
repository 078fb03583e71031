"""Servers that keep something else than they were sent (reliability.md F39): told as it is, and never fought over."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.fake_api import FakeApi
from tests.support.program import config_text, opena2a_policy, opena2a_target, program_in
from tests.support.repos import make_repo

Body = dict[str, Any]


def _with(key: str, change: Callable[[Any], Any]) -> Callable[[Body], Body]:
    return lambda policy: {**policy, key: change(policy[key])} if key in policy else policy


SAME: dict[str, Callable[[Body], Body]] = {
    "adds a field of its own": lambda policy: {**policy, "tags": [], "created_by": "x"},
    "turns the keys around": lambda policy: dict(reversed(policy.items())),
    "creates switched off": lambda policy: {**policy, "enabled": False},
    "writes 1000 as 1000.0": _with("conditions", lambda c: {**c, "max_requests_per_hour": 1000.0}),
}
OTHER: dict[str, Callable[[Body], Body]] = {
    "lower case": _with("description", str.lower),
    "trims": _with("description", str.strip),
    "drops a field": lambda policy: {key: value for key, value in policy.items() if key != "description"},
    "rounds": _with("conditions", lambda c: {**c, "max_requests_per_hour": 999}),
    "escapes": _with("description", lambda text: text.replace("&", "&amp;")),
}


@pytest.mark.parametrize("name", [*SAME, *OTHER])
def test_a_run_ends_with_0_only_if_nothing_is_left_to_plan(tmp_path: Path, name: str) -> None:
    with FakeApi("opena2a", normalize={**SAME, **OTHER}[name]) as api:
        config = config_text(opena2a=opena2a_target(api.url, quiescence=0, budget=8))
        policy = opena2a_policy(description=" Limit Agents & others ")
        files = {"reconciler.yaml": config, "policies/opena2a/limit.yaml": policy}
        program = program_in(make_repo(tmp_path, files), token=api.token)

        ended = program.run("apply", "--yes", "--json")
        sent = len(api.mutations)
        left = program.ok("plan", "--json").json()["changes"]

        assert (ended.code == 0, left == []) == (name in SAME, name in SAME)
        assert 1 <= sent <= 3
        assert len(api.policies) == 1
        [outcome] = json.loads(ended.out)["outcomes"]
        assert outcome["status"] == ("applied" if name in SAME else "unknown")
