"""What only looks writes nothing: not to the live systems, not to the remote, not to the policy files."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.people import call_neosc
from tests.support.program import (
    Program,
    config_text,
    neosc_defaults,
    neosc_target,
    opena2a_policy,
    opena2a_target,
    program_in,
)
from tests.support.repos import Repo, make_repo
from tests.support.servers import RunningServer, reference_server

RATE = "policies/opena2a/rate.yaml"

LOOKS = (
    ("validate",),
    ("plan",),
    ("plan", "--commit", "HEAD", "--json", "--detailed-exitcode"),
    ("plan", "--out", "../plan.json", "--report", "markdown=../plan.md"),
    ("show", "../plan.json", "--full"),
    ("status",),
    ("drift", "--snapshot", "../snapshot.json"),
    ("plan", "--live", "../snapshot.json"),
    ("log",),
    ("blame", "pol-mfa-required"),
    ("explain", "pol-mfa-required"),
    ("doctor",),
    ("schema", "print", "plan"),
    ("schema", "check"),
    ("completion", "bash"),
)


def files_of(repo: Repo) -> dict[str, bytes]:
    listed = subprocess.run(["git", "ls-files", "-z", "-co"], cwd=repo.path, capture_output=True, check=True).stdout
    return {name: (repo.path / name).read_bytes() for name in listed.decode().split("\0") if name}


@pytest.fixture
def busy(tmp_path: Path) -> Iterator[tuple[Repo, Program, RunningServer]]:
    """Both targets applied once, then one policy changed in git and another one by hand."""
    with reference_server() as server:
        config = config_text(neosc=neosc_target(server.neosc_url), opena2a=opena2a_target(server.opena2a_url))
        files = {"reconciler.yaml": config, RATE: opena2a_policy(), **neosc_defaults()}
        repo = make_repo(tmp_path, files)
        program = program_in(repo, token=server.token)
        for target in ("neosc", "opena2a"):
            program.ok("apply", "--target", target, "--yes")
        repo.commit({RATE: opena2a_policy(severity="high")}, "Raise the severity")
        repo.push()
        call_neosc(server, "PATCH", "/pol-mfa-required")
        yield repo, program, server


def test_what_only_looks_writes_nothing(busy: tuple[Repo, Program, RunningServer]) -> None:
    repo, program, server = busy
    sent, refs, files = len(server.mutations), repo.remote_refs("refs"), files_of(repo)
    assert sent

    codes = {" ".join(words): program.run(*words).code for words in LOOKS}

    assert len(server.mutations) == sent
    assert repo.remote_refs("refs") == refs
    assert files_of(repo) == files
    odd = {words: code for words, code in codes.items() if code}
    assert odd == {
        "plan --commit HEAD --json --detailed-exitcode": 2,  # there is something to do
        "drift --snapshot ../snapshot.json": 2,  # and somebody to name
        "schema check": 1,  # no copies here
    }
