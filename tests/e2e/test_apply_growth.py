"""What an apply of many changes asks for: as many requests as the rules need, and nothing else that grows with them.

The whole workflow over real sockets and real git, with a clock that only ticks, so that no list grows old on the way.
"""

from __future__ import annotations

import itertools
import math
import os
import threading
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from reconciler.errors import ExitCode
from reconciler.workflows.applying import apply
from reconciler.workflows.session import open_session
from tests.fake_api import TOKEN, Dialect, FakeApi
from tests.support.clocks import CountingRandom
from tests.support.processes import spawned
from tests.support.program import config_text, neosc_policy, neosc_target, opena2a_policy, opena2a_target
from tests.support.repos import make_repo

MANY = 300
WAVE = 256


class TickingClock:
    """`core.ports.Clock` where every look is a microsecond later than the last."""

    def __init__(self) -> None:
        self._ticks = itertools.count()

    def now(self) -> datetime:
        return datetime(2026, 11, 20, 9, 0, tzinfo=UTC)

    def monotonic(self) -> float:
        return next(self._ticks) / 1e6

    def sleep(self, seconds: float) -> None:
        raise AssertionError("nobody has anything to wait for")


@dataclass(frozen=True)
class Counted:
    """What an apply took: requests by kind, git processes, waits for the disk."""

    requests: Counter[str]
    git: int
    syncs: int


def kind(method: str, path: str) -> str:
    names = path.split("/")
    return f"{method} {'policy' if names[-2].endswith('policies') or names[-1] == 'toggle' else names[-1]}"


def counted(folder: Path, dialect: Dialect, changes: int, monkeypatch: pytest.MonkeyPatch) -> Counted:
    """Apply so many changes, one for each policy: NeoSC's are switched on, OpenA2A's are described otherwise."""
    names = [f"pol-{number:04}" for number in range(changes)]
    live: list[dict[str, Any]]
    if dialect == "neosc":
        body = {"description": "A policy", "type": "access", "rules": ["Require MFA for login"]}
        live = [{"id": name, "name": name, **body, "enabled": False} for name in names]
        files = {f"policies/neosc/{name}.yaml": neosc_policy(name) for name in names}
        target = neosc_target
    else:
        live = [
            {
                "name": name,
                "description": "As it was",
                "policy_type": "rate_limit",
                "enabled": True,
                "severity": "medium",
                "conditions": {"max_requests_per_hour": 1000, "window_size": "1h"},
                "actions": {"on_violation": "throttle", "notify_admins": False},
            }
            for name in names
        ]
        files = {f"policies/opena2a/{name}.yaml": opena2a_policy(name) for name in names}
        target = opena2a_target
    syncs = itertools.count()
    sync = os.fsync
    with FakeApi(dialect, live) as api, monkeypatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: (next(syncs), sync(descriptor)))
        repo = make_repo(folder, {"reconciler.yaml": config_text(**{dialect: target(api.url)}), **files})
        session = open_session(
            repo.path, environ={"RECONCILER_TOKEN": TOKEN}, clock=TickingClock(), random=CountingRandom()
        )
        with spawned() as processes:
            run = apply(session, dialect, confirm=lambda plan: True)
        for thread in threading.enumerate():
            if thread.name == "worker":
                thread.join(60)
        seen = Counter(kind(request.method, request.path.partition("?")[0]) for request in api.requests)
    assert (run.exit, len(run.outcomes)) == (ExitCode.DONE, changes)
    assert "worker" not in {thread.name for thread in threading.enumerate()}, "the run is over"
    return Counted(seen, len(processes), next(syncs))


@pytest.mark.parametrize("changes", [1, 2, MANY])
def test_toggles_are_proven_by_one_list_for_each_wave_that_the_next_is_decided_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: int
) -> None:
    waves = math.ceil((changes - 1) / WAVE)

    took = counted(tmp_path, "neosc", changes, monkeypatch)

    # The plan's list, the canary's before and after, one after each wave; the trail before and after.
    assert took.requests == {"PATCH policy": changes, "GET policies": 1 + 2 + waves, "GET audit-logs": 2}
    # The run, then intents and outcomes of the canary and of each wave.
    assert took.syncs == 1 + 2 * (1 + waves)


@pytest.mark.parametrize("changes", [1, MANY])
def test_updates_are_read_before_and_after_and_once_more_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: int
) -> None:
    took = counted(tmp_path, "opena2a", changes, monkeypatch)

    # One change alone is proven by its own read, which is younger than its request; of several the first one's is not.
    lists = 1 if changes == 1 else 2
    assert took.requests == {
        "GET policy": 2 * changes,
        "PUT policy": changes,
        "GET security-policies": lists,
        "GET enforcement-settings": lists,
        "GET audit-logs": 2,
    }


def test_an_apply_of_many_changes_starts_no_more_git_processes_than_one_of_two(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = counted(tmp_path / "few", "neosc", 2, monkeypatch)

    many = counted(tmp_path / "many", "neosc", MANY, monkeypatch)

    assert 3 < many.git <= few.git
