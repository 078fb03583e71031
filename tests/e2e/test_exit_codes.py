"""Every exit code of design.md 4, reached by the real command over a real socket; JSON on stdout parses in each."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from reconciler.errors import ExitCode, worst
from tests.fake_api import FakeApi, Fault
from tests.support.program import Ended, Program, config_text, neosc_defaults, neosc_policy, neosc_target, program_in
from tests.support.repos import Repo, make_repo

MFA = "pol-mfa-required"
MFA_FILE = f"policies/neosc/{MFA}.yaml"


@dataclass
class World:
    """An API with the three defaults, a repository that owns them, and the program in it."""

    api: FakeApi
    repo: Repo
    program: Program

    def disable_mfa(self, **more: Any) -> None:
        self.repo.commit({MFA_FILE: neosc_policy(enabled=False, **more)}, "Switch MFA off")

    def saved_plan(self) -> str:
        path = str(self.repo.path.parent / "plan.json")
        self.program.ok("plan", "--out", path)
        return path


@pytest.fixture
def world(tmp_path: Path) -> Any:
    with FakeApi("neosc") as api:
        config = config_text(neosc=neosc_target(api.url, budget=8))
        repo = make_repo(tmp_path, {"reconciler.yaml": config, **neosc_defaults()})
        made = World(api, repo, program_in(repo, token=api.token, hasty=True))
        made.program.ok("apply", "--yes")
        yield made


def in_sync(world: World) -> Ended:
    return world.program.run("plan", "--detailed-exitcode", "--json")


def bad_file(world: World) -> Ended:
    world.repo.commit({MFA_FILE: "id: [\n"}, "Break it")
    return world.program.run("plan", "--json")


def refused_by_the_api(world: World) -> Ended:
    world.disable_mfa()
    world.api.fail(Fault.RAW, method="PATCH", raw=reply(403, {"detail": "Admin access required"}))
    return world.program.run("apply", "--yes", "--json")


def pending(world: World) -> Ended:
    world.disable_mfa()
    return world.program.run("plan", "--detailed-exitcode", "--json")


def drifted(world: World) -> Ended:
    world.api.edit(MFA, enabled=False)
    return world.program.run("drift", "--json")


def blocked_plan(world: World) -> Ended:
    world.disable_mfa(metadata={"critical": True})
    return world.program.run("plan", "--detailed-exitcode", "--json")


def blocked_apply(world: World) -> Ended:
    world.disable_mfa(metadata={"critical": True})
    return world.program.run("apply", "--yes", "--json")


def dirty(world: World) -> Ended:
    world.disable_mfa()
    world.repo.write({MFA_FILE: neosc_policy(description="not committed")})
    return world.program.run("apply", "--yes", "--json")


def half_way(world: World) -> Ended:
    world.repo.commit(neosc_defaults(**{key: {"enabled": False} for key in (MFA, "pol-session-recording")}), "Two off")
    world.api.fail(Fault.RAW, method="PATCH", skip=1, raw=reply(403, {"detail": "Admin access required"}))
    return world.program.run("apply", "--yes", "--json")


def stale(world: World) -> Ended:
    world.disable_mfa()
    plan = world.saved_plan()
    world.api.edit(MFA, description="moved")
    return world.program.run("apply", plan, "--yes", "--json")


def no_terminal(world: World) -> Ended:
    world.disable_mfa()
    return world.program.run("apply", "--json")


def unreachable(world: World) -> Ended:
    world.api.fail(Fault.UNAVAILABLE, times=1000)
    return world.program.run("plan", "--json")


def locked(world: World) -> Ended:
    world.disable_mfa()
    message = {"holder": "ci@runner", "acquired": "2099-01-01T00:00:00Z", "ttl": 600, "nonce": "0123456789abcdef" * 2}
    tree = world.repo.git("mktree")
    commit = world.repo.git("commit-tree", tree, "-m", json.dumps(message))
    world.repo.git("push", "-q", "origin", f"{commit}:refs/reconciler/lock/neosc")
    ended = world.program.run("apply", "--yes", "--json")
    assert "ci@runner" in ended.err
    return ended


def git_remote_gone(world: World) -> Ended:
    assert world.repo.remote is not None
    world.disable_mfa()
    world.repo.remote.rename(world.repo.remote.with_name("gone.git"))
    assert world.program.run("plan").code == 0
    return world.program.run("apply", "--yes", "--json")


CASES: list[tuple[Callable[[World], Ended], int]] = [
    (in_sync, 0),
    (bad_file, 1),
    (refused_by_the_api, 1),
    (pending, 2),
    (drifted, 2),
    (blocked_plan, 3),
    (blocked_apply, 3),
    (dirty, 3),
    (half_way, 4),
    (stale, 5),
    (no_terminal, 64),
    (unreachable, 75),
    (locked, 75),
    (git_remote_gone, 75),
]


@pytest.mark.parametrize(("case", "code"), CASES, ids=[case.__name__ for case, _ in CASES])
def test_an_exit_code_is_reached_and_its_json_parses(world: World, case: Callable[[World], Ended], code: int) -> None:
    ended = case(world)

    assert ended.code == code, ended
    assert ended.json()["format"].startswith("reconciler.")


def test_an_interrupted_apply_finishes_the_call_in_flight_and_exits_130(world: World) -> None:
    world.repo.commit(neosc_defaults(**{key: {"enabled": False} for key in (MFA, "pol-session-recording")}), "Two off")
    world.api.fail(Fault.SLOW, method="PATCH", seconds=0.02)
    process = subprocess.Popen(
        [sys.executable, "-m", "reconciler", "apply", "--yes", "--json"],
        cwd=world.program.folder,
        env=dict(world.program.env),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    while not world.api.mutations:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=60)

    assert process.returncode == 130
    assert len(world.api.mutations) == 1
    statuses = sorted(outcome["status"] for outcome in json.loads(out)["outcomes"])
    assert statuses in (["applied", "skipped"], ["skipped", "unknown"])


@pytest.mark.parametrize("arguments", [("plan", "--nonsense"), ("nonsense",), ("apply", "a", "b"), ("show",)])
def test_wrong_usage_is_64(world: World, arguments: tuple[str, ...]) -> None:
    assert world.program.run(*arguments).code == 64


def test_the_worst_code_of_several_targets_wins() -> None:
    codes = [ExitCode.DONE, ExitCode.CHANGES, ExitCode.TRY_AGAIN, ExitCode.STALE, ExitCode.BLOCKED, ExitCode.PARTIAL]

    for number in range(1, len(codes) + 1):
        assert worst(codes[:number]) is codes[number - 1]
    assert worst([*codes, ExitCode.ERROR]) is ExitCode.ERROR


def reply(status: int, body: object) -> bytes:
    data = json.dumps(body).encode()
    return (
        f"HTTP/1.1 {status} Reply\r\nContent-Type: application/json\r\nContent-Length: {len(data)}\r\n"
        "Connection: close\r\n\r\n"
    ).encode() + data
