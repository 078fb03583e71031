"""Two applies on one repository with a bare remote: one works, the other is told who; a dead one is taken over."""

from __future__ import annotations

import json
import re
import signal
import threading
from collections.abc import Callable
from pathlib import Path

from tests.fake_api import FakeApi, SeenRequest
from tests.faults.killing import Running
from tests.support.program import Program, config_text, neosc_defaults, neosc_target, program_in
from tests.support.repos import Repo, clone, make_repo

KEYS = ("pol-mfa-required", "pol-network-zero-trust", "pol-session-recording")
LOCK, LEDGER = "refs/reconciler/lock/neosc", "refs/reconciler/ledger/neosc"


def setup(tmp_path: Path, api: FakeApi) -> tuple[Repo, Program, Repo, Program]:
    """Three policies to switch off; the author's work tree and a colleague's, the colleague in no mind to wait.

    The deadline is long: a request is held up for as long as the colleague's whole run takes.
    """
    files = neosc_defaults(**{key: {"enabled": False} for key in KEYS})
    author = make_repo(tmp_path, {"reconciler.yaml": config_text(neosc=neosc_target(api.url, deadline=60)), **files})
    colleague = clone(author, tmp_path / "colleague")
    return author, program_in(author, token=api.token), colleague, program_in(colleague, token=api.token, hasty=True)


def at_the_first_change(api: FakeApi, act: Callable[[], None]) -> None:
    """Do something while the first change is under way, once."""
    once = threading.Lock()

    def hook(request: SeenRequest) -> None:
        if request.is_mutating and once.acquire(blocking=False):
            act()

    api.on_request = hook


def outcomes(text: str) -> dict[str, str]:
    return {outcome["key"]: outcome["status"] for outcome in json.loads(text)["outcomes"]}


def toggles(api: FakeApi) -> list[str]:
    return sorted(entry["resource"].removeprefix("policy:") for entry in api.audit)


def test_while_one_applies_the_other_is_told_who_and_to_try_again(tmp_path: Path) -> None:
    with FakeApi("neosc") as api:
        author, first, _, second = setup(tmp_path, api)
        first.ok("plan")
        running: list[Running] = []
        refused = []
        at_the_first_change(api, lambda: refused.append(second.run("apply", "--yes", "--json")))

        running.append(Running(first, ["apply", "--yes", "--json"], {"CI_JOB_URL": "https://ci.example/runs/17"}))
        done = running[0].end()

        [other] = refused
        assert (done.code, other.code) == (0, 75)
        assert outcomes(done.out) == dict.fromkeys(KEYS, "applied")
        assert "is locked by https://ci.example/runs/17" in other.json()["error"]["message"]
        assert other.json()["error"]["code"] == "locked"
        assert toggles(api) == sorted(KEYS)
        assert LEDGER in author.remote_refs()
        assert LOCK not in author.remote_refs()
        assert second.ok("apply", "--yes", "--json").json()["outcomes"] == []


def test_a_killed_run_is_taken_over_when_its_time_is_past_and_not_before(tmp_path: Path) -> None:
    with FakeApi("neosc") as api:
        author, first, _, second = setup(tmp_path, api)
        running: list[Running] = []
        at_the_first_change(api, lambda: running[0].signal(signal.SIGKILL))
        running.append(Running(first, ["apply", "--yes"]))
        killed = running[0].end()

        before = second.run("apply", "--yes", "--json")
        after = second.ok("apply", "--yes", "--json", "--lock-timeout", "600")

        assert killed.code == -signal.SIGKILL
        assert before.code == 75
        assert re.search("wait \\(at most [0-9]+ s if that run is dead", before.json()["error"]["fix"])
        assert set(outcomes(after.out).values()) <= {"applied", "already"}
        assert [api.policies[key]["enabled"] for key in KEYS] == [False] * 3
        assert toggles(api) == sorted(KEYS), "the change that was under way is neither lost nor made twice"
        assert LOCK not in author.remote_refs()
        assert second.ok("plan", "--json").json()["changes"] == []
