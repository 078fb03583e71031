"""Whoever reads what apply prints may go away at any moment: the run goes on, and none of it is lost (F31)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.fake_api import FakeApi, SeenRequest
from tests.faults.killing import journal_of
from tests.support.program import Program, config_text, neosc_defaults, neosc_target, program_in
from tests.support.repos import Repo, make_repo

KEYS = ("pol-mfa-required", "pol-session-recording")


@dataclass
class Ends:
    """What the program gets for its streams, and what happens to them when its first change arrives."""

    options: dict[str, Any]
    midway: Callable[[], None] = lambda: None


@contextmanager
def reader_gone(*names: str) -> Iterator[Ends]:
    """As `| head -0`: nobody has the other end of the pipe."""
    with ExitStack() as stack:
        options: dict[str, Any] = {}
        for name in names:
            there, here = os.pipe()
            os.close(there)
            options[name] = stack.enter_context(os.fdopen(here, "wb"))
        yield Ends(options)


@contextmanager
def closed() -> Iterator[Ends]:
    """As `<&- >&- 2>&-`: the next three files to be opened would have the numbers of the streams."""
    yield Ends({"stdin": None, "stdout": None, "stderr": None})


@contextmanager
def full() -> Iterator[Ends]:
    with open("/dev/full", "wb") as device:
        yield Ends({"stdout": device, "stderr": device})


@contextmanager
def terminal_that_goes_away() -> Iterator[Ends]:
    """Somebody closes the window when the first change is under way."""
    window, terminal = os.openpty()
    with os.fdopen(terminal, "wb") as file:
        yield Ends({"stdout": file, "stderr": file}, lambda: os.close(window))
    with suppress(OSError):
        os.close(window)


CASES: dict[str, Callable[[], Any]] = {
    "stdout, reader gone": lambda: reader_gone("stdout"),
    "stderr, reader gone": lambda: reader_gone("stderr"),
    "both, readers gone": lambda: reader_gone("stdout", "stderr"),
    "closed from the start": closed,
    "full": full,
    "the terminal goes away": terminal_that_goes_away,
}


def setup(tmp_path: Path, api: FakeApi) -> tuple[Repo, Program]:
    files = neosc_defaults(**{key: {"enabled": False} for key in KEYS})
    repo = make_repo(tmp_path, {"reconciler.yaml": config_text(neosc=neosc_target(api.url)), **files})
    return repo, program_in(repo, token=api.token)


def run(program: Program, arguments: list[str], options: dict[str, Any]) -> subprocess.CompletedProcess[bytes]:
    """The command with these streams; with none at all it is the shell that closes them."""
    command = [sys.executable, "-m", "reconciler", *arguments]
    if None in options.values():
        command = ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", *command]
    given = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    streams = {name: options.get(name) or pipe for name, pipe in given.items()}
    return subprocess.run(command, cwd=program.folder, env=dict(program.env), timeout=60, check=False, **streams)


@pytest.mark.parametrize("name", CASES)
def test_nobody_has_to_listen_to_an_apply(tmp_path: Path, name: str) -> None:
    with FakeApi("neosc") as api, CASES[name]() as ends:
        repo, program = setup(tmp_path, api)

        def hook(request: SeenRequest) -> None:
            if request.is_mutating and len(api.mutations) == 1:
                ends.midway()

        api.on_request = hook

        done = run(program, ["apply", "--yes", "--json"], ends.options)

        assert done.returncode == 0, done
        assert b"Traceback" not in (done.stderr or b"")
        assert b"Exception ignored" not in (done.stderr or b"")
        assert [api.policies[key]["enabled"] for key in KEYS] == [False, False]
        assert len(api.mutations) == 2
        lines = [json.loads(line) for line in journal_of(repo.path).read_text().splitlines() if line]
        assert {line["key"] for line in lines if line["event"] == "outcome"} == set(KEYS)
        refs = repo.remote_refs()
        assert "refs/reconciler/ledger/neosc" in refs
        assert "refs/reconciler/lock/neosc" not in refs


def test_what_cannot_be_written_anywhere_is_told_to_people_instead(tmp_path: Path) -> None:
    with FakeApi("neosc") as api, open("/dev/full", "wb") as device:
        _, program = setup(tmp_path, api)

        planned = run(program, ["plan", "--json"], {"stdout": device})
        applied = run(program, ["apply", "--yes"], {"stdout": device})

        told = b"the result cannot be written (No space left on device)"
        assert planned.returncode == 1
        assert told in planned.stderr
        assert applied.returncode == 0
        assert told in applied.stderr
        assert KEYS[0].encode() in applied.stderr
        assert b"Traceback" not in planned.stderr + applied.stderr


def test_a_reader_that_has_seen_enough_is_no_error(tmp_path: Path) -> None:
    with FakeApi("neosc") as api, reader_gone("stdout") as ends:
        _, program = setup(tmp_path, api)

        done = run(program, ["plan", "--json", "--detailed-exitcode"], ends.options)

        assert (done.returncode, done.stderr) == (2, b"")
