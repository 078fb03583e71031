"""SIGKILL at every HTTP boundary and at every write of the journal: run again, and it is as if nothing had happened.

A create, an update and a switch; the run dies, its lock is taken over or a person removes it, and the next run must
find out by itself.
"""

from __future__ import annotations

import json
import re
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.faults.killing import Running, Site, journal_of, site
from tests.support.program import Program, config_text, neosc_defaults, neosc_policy, neosc_target, program_in
from tests.support.repos import Repo, make_repo
from tests.support.weight import a_few

MFA, ZERO, NEW = "pol-mfa-required", "pol-network-zero-trust", "pol-new"
#: The requests of a run that nothing disturbs.
METHODS = ("GET", "GET", "GET", "POST", "GET", "PUT", "GET", "PATCH", "GET", "GET")
#: What it writes to its journal.
EVENTS = ("run", "intent", "outcome", "intent", "outcome", "intent", "outcome")
#: Where it is killed: before the server sees a request, and after it has carried one out that changes something.
BOUNDARIES = [(number, "before") for number in range(1, len(METHODS) + 1)] + [
    (number, "after") for number, method in enumerate(METHODS, 1) if method != "GET"
]
WRITES = [(number, "written") for number in range(1, len(EVENTS) + 1)] + [
    (number, moment) for number, event in enumerate(EVENTS, 1) if event == "intent" for moment in ("torn", "synced")
]
DYING = str(Path(__file__).with_name("dying_program.py"))


def work(tmp_path: Path, server: Site) -> tuple[Repo, Program]:
    files = {
        **neosc_defaults(**{MFA: {"enabled": False}, ZERO: {"description": "Every connection through a tunnel"}}),
        "policies/neosc/new.yaml": neosc_policy(NEW),
    }
    config = config_text(neosc=neosc_target(server.neosc_url, crud=True))
    repo = make_repo(tmp_path, {"reconciler.yaml": config, **files})
    return repo, program_in(repo, token=server.token, hasty=True)


def live(server: Site) -> dict[str, Any]:
    return {policy["id"]: policy for policy in server.read("/policies")}


def changes(server: Site) -> list[tuple[str, str, str]]:
    """What the audit trail holds, oldest first: action, policy, commit."""
    entries = reversed(server.read("/audit-logs"))
    return [(e["action"], e["resource"].removeprefix("policy:"), e["annotation"]) for e in entries]


def unlock(program: Program, repo: Repo) -> None:
    """Do what the refused run says: it names the nonce."""
    refused = program.run("apply", "--yes")
    nonce = re.search(r"--nonce ([0-9a-f]{32})", refused.err)
    assert refused.code == 75, refused
    assert nonce is not None, refused
    program.ok("unlock", "--nonce", nonce[1])


def converges(tmp_path: Path, server: Site, repo: Repo, program: Program) -> None:
    """Run again, when the dead run's time is over, and look at everything."""
    server.boundaries.hook = lambda number, moment, method: True

    program.ok("apply", "--yes", "--lock-timeout", "600")

    found = live(server)
    head = repo.git("rev-parse", "HEAD")
    assert found[MFA]["enabled"] is False
    assert found[ZERO]["description"] == "Every connection through a tunnel"
    assert found[NEW]["enabled"] is True
    assert len(found) == 4
    assert sorted(changes(server)) == [
        ("create_policy", NEW, head),
        ("toggle_policy", MFA, head),
        ("update_policy", ZERO, head),
    ]
    ledger = repo.git("ls-tree", "-r", "--name-only", "refs/reconciler/ledger/neosc", cwd=repo.remote).splitlines()
    assert [f"policies/{key}.json" in ledger for key in (MFA, ZERO, NEW)] == [True] * 3
    assert "refs/reconciler/lock/neosc" not in repo.remote_refs()


def test_an_undisturbed_run_has_as_many_boundaries_as_are_tried_here(tmp_path: Path) -> None:
    with site() as server:
        repo, program = work(tmp_path, server)

        program.ok("apply", "--yes")

        lines = journal_of(repo.path).read_text().splitlines()
        assert tuple(server.boundaries.methods) == METHODS
        assert tuple(json.loads(line)["event"] for line in lines if line) == EVENTS
        converges(tmp_path, server, repo, program)


@pytest.mark.parametrize(("number", "moment"), a_few(BOUNDARIES))
def test_killed_at_an_http_boundary_it_converges_when_run_again(tmp_path: Path, number: int, moment: str) -> None:
    with site() as server:
        repo, program = work(tmp_path, server)
        running: list[Running] = []

        def die(at: int, when: str, method: str) -> bool:
            if (at, when) == (number, moment):
                running[0].signal(signal.SIGKILL)
            return (at, when) != (number, "before") or moment != "before"

        server.boundaries.hook = die
        running.append(Running(program, ["apply", "--yes"]))

        ended = running[0].end()

        assert ended.code == -signal.SIGKILL
        converges(tmp_path, server, repo, program)


def test_a_person_who_knows_that_the_run_is_dead_removes_its_lock_and_runs_again_at_once(tmp_path: Path) -> None:
    with site() as server:
        repo, program = work(tmp_path, server)
        ended = Running(program, ["apply", "--yes"], {"DIE": "synced 2"}, script=[DYING]).end()

        unlock(program, repo)

        assert ended.code == -signal.SIGKILL
        assert "refs/reconciler/lock/neosc" not in repo.remote_refs()
        converges(tmp_path, server, repo, program)


@pytest.mark.parametrize(("number", "moment"), a_few(WRITES))
def test_killed_while_it_writes_its_journal_it_converges_when_run_again(
    tmp_path: Path, number: int, moment: str
) -> None:
    with site() as server:
        repo, program = work(tmp_path, server)

        ended = Running(program, ["apply", "--yes"], {"DIE": f"{moment} {number}"}, script=[DYING]).end()

        assert ended.code == -signal.SIGKILL
        converges(tmp_path, server, repo, program)
