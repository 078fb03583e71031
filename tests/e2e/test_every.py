"""`apply --every`: a loop of fresh runs that nothing but a signal ends (reliability.md G5, F28)."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from reconciler.errors import ExitCode, UsageError
from reconciler.workflows.looping import MARK, Child, loop, parse_every
from tests.fake_api import FakeApi, Fault
from tests.support.clocks import CountingRandom, FakeClock
from tests.support.processes import children, open_descriptors
from tests.support.program import Program, config_text, neosc_defaults, neosc_policy, neosc_target, program_in
from tests.support.repos import Repo, clone, make_repo

MFA = "pol-mfa-required"
FILE = f"policies/neosc/{MFA}.yaml"


# ------------------------------------------------------------------------------------------------ the loop


@pytest.mark.parametrize(
    ("text", "seconds"), [("1s", 1.0), ("1000ms", 1.0), ("5m", 300.0), ("2h", 7200.0), ("90d", 7_776_000.0)]
)
def test_an_interval_is_a_number_and_a_unit(text: str, seconds: float) -> None:
    assert parse_every(text) == seconds


@pytest.mark.parametrize("text", ["", "5", "m", "-5m", "5 m", "5min", "0s", "1.5h", "999ms", "91d", "٥m", "5m\n"])
def test_any_other_interval_is_wrong_usage(text: str) -> None:
    with pytest.raises(UsageError):
        parse_every(text)


def test_runs_start_an_interval_apart_and_up_to_a_tenth_more() -> None:
    clock, began = FakeClock(), list[float]()

    def run() -> int:
        began.append(clock.passed)
        clock.passed += 40.0
        return 0

    loop(100.0, run, clock=clock, random=CountingRandom(), stop=lambda: len(began) == 4, notice=lambda line: None)

    assert began == [0.0, 105.0, 210.0, 315.0]  # this randomness is always half of what is allowed


def test_a_run_that_takes_longer_than_the_interval_moves_the_next_one() -> None:
    clock, began = FakeClock(), list[float]()

    def run() -> int:
        began.append(clock.passed)
        clock.passed += 250.0
        return 0

    loop(100.0, run, clock=clock, random=CountingRandom(), stop=lambda: len(began) == 3, notice=lambda line: None)

    assert began == [0.0, 251.0, 502.0]


def test_a_bad_end_is_told_and_the_loop_goes_on() -> None:
    clock, told = FakeClock(), list[str]()
    ends = iter([75, 0, -9, 4])

    def run() -> int:
        return next(ends)

    loop(60.0, run, clock=clock, random=CountingRandom(), stop=lambda: len(told) == 3, notice=told.append)

    assert [line.split(";")[0] for line in told] == [
        "the run ended with exit code 75 (try again later)",
        "the run ended with signal 9",
        "the run ended with exit code 4 (stopped half-way or in doubt)",
    ]


def test_a_stop_between_two_runs_is_noticed_at_once() -> None:
    clock, runs = FakeClock(), list[int]()

    loop(
        3600.0,
        lambda: runs.append(1) or 0,
        clock=clock,
        random=CountingRandom(),
        stop=lambda: clock.passed > 10.0,
        notice=lambda line: None,
    )

    assert runs == [1]
    assert clock.passed < 11.0


def test_a_child_is_a_fresh_process_without_the_loops_own_settings(tmp_path: Path) -> None:
    (tmp_path / "reconciler.py").write_text("raise SystemExit(99)\n")
    environ = {**os.environ, "RECONCILER_APPLY_EVERY": "1s", "PYTHONPATH": str(Path(__file__).parents[2])}
    here = Path.cwd()

    os.chdir(tmp_path)  # a policies repository that brings a module of our name
    try:
        code = Child(["--version"], environ, print).run()
    finally:
        os.chdir(here)

    assert code == 0
    child = Child([], environ, print)
    assert "RECONCILER_APPLY_EVERY" not in child._environ
    assert child._environ[MARK] == "1"


def test_hundreds_of_children_leave_nothing_behind() -> None:
    child = Child([], os.environ, print)
    child._command = ["/bin/true"]
    child.run()
    open_before = open_descriptors()

    for _ in range(200):
        assert child.run() == 0

    assert open_descriptors() == open_before
    assert children() == []


def test_a_program_that_cannot_be_started_is_told_and_tried_again_later() -> None:
    told: list[str] = []
    child = Child([], os.environ, told.append)
    child._command = ["/nowhere/at/all"]

    assert child.run() == ExitCode.TRY_AGAIN
    assert told == ["error: no run can be started (No such file or directory)"]


def test_a_stop_that_comes_before_the_child_ends_it() -> None:
    child = Child([], os.environ, print)
    child._command = ["/bin/sleep", "60"]
    child.stop()

    assert child.run() == -signal.SIGTERM


# -------------------------------------------------------------------------------------------- real processes


class Looping:
    """The real command with `--every`, and what it printed so far."""

    def __init__(self, program: Program, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "reconciler", "apply", "--yes", *arguments],
            cwd=program.folder,
            env=dict(program.env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self.out = self.err = ""

    def read_until(self, fits: object, seconds: float = 60.0) -> None:
        """Read what it prints until *fits* holds."""
        assert callable(fits)
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        ends_at = time.monotonic() + seconds
        while not fits():
            assert time.monotonic() < ends_at, (self.out, self.err)
            ready, _, _ = select.select([self.process.stdout, self.process.stderr], [], [], 0.05)
            for stream in ready:
                text = os.read(stream.fileno(), 65_536).decode()
                if stream is self.process.stdout:
                    self.out += text
                else:
                    self.err += text

    def end(self, number: int = signal.SIGTERM) -> int:
        if self.process.poll() is None:
            self.process.send_signal(number)
        out, err = self.process.communicate(timeout=60)
        self.out, self.err = self.out + out.decode(), self.err + err.decode()
        assert "Traceback" not in self.err, self.err
        return self.process.returncode


@contextmanager
def looping(program: Program, *arguments: str) -> Iterator[Looping]:
    running = Looping(program, *arguments)
    try:
        yield running
    finally:
        if running.process.poll() is None:
            running.process.kill()
        running.process.communicate()


def setup(tmp_path: Path, api: FakeApi) -> Repo:
    return make_repo(tmp_path, {"reconciler.yaml": config_text(neosc=neosc_target(api.url)), **neosc_defaults()})


def test_what_is_merged_meanwhile_is_applied_and_hand_made_edits_are_undone(tmp_path: Path) -> None:
    with FakeApi("neosc") as api:
        author = setup(tmp_path, api)
        copy = clone(author, tmp_path / "copy")

        with looping(program_in(copy, token=api.token), "--every", "1s") as running:
            running.read_until(lambda: "refs/reconciler/ledger/neosc" in author.remote_refs())
            asked = author.commit({FILE: neosc_policy(enabled=False)}, "Switch MFA off")
            author.push()
            running.read_until(lambda: api.policies[MFA]["enabled"] is False)
            api.edit("pol-session-recording", enabled=False)
            running.read_until(lambda: api.policies["pol-session-recording"]["enabled"] is True)
            code = running.end()

        assert code == ExitCode.INTERRUPTED
        assert copy.git("rev-parse", "HEAD") == asked
        assert f"commit={asked}" in api.mutations[0].headers["user-agent"]
        assert len(api.mutations) == 2


def test_a_run_that_fails_is_told_and_the_next_one_works(tmp_path: Path) -> None:
    with FakeApi("neosc") as api:
        repo = setup(tmp_path, api)
        api.fail(Fault.UNAUTHORIZED)

        with looping(program_in(repo, token=api.token), "--every", "1s", "--json") as running:
            running.read_until(lambda: '"ledger": "' in running.out)
            code = running.end(signal.SIGINT)

        assert code == ExitCode.INTERRUPTED
        assert "the run ended with exit code 1 (error); the next one begins in" in running.err
        decoder = json.JSONDecoder()
        first, end = decoder.raw_decode(running.out)
        second, _ = decoder.raw_decode(running.out[end:].lstrip())
        assert (first["format"], second["format"]) == ("reconciler.error/1", "reconciler.run/1")


def test_a_signal_lets_the_call_in_flight_finish_and_its_change_is_recorded(tmp_path: Path) -> None:
    with FakeApi("neosc") as api:
        repo = setup(tmp_path, api)
        program = program_in(repo, token=api.token)
        program.ok("apply", "--yes")
        repo.commit({FILE: neosc_policy(enabled=False)}, "Switch MFA off")
        api.fail(Fault.SLOW, method="PATCH", seconds=0.01)

        with looping(program, "--every", "1s") as running:
            running.read_until(lambda: len(api.mutations) == 1)
            code = running.end()

        assert code == ExitCode.INTERRUPTED
        assert running.err.count("stopping after the call in flight") == 1
        assert len(api.mutations) == 1
        assert program.ok("plan", "--json").json()["changes"] == []


def test_a_rewritten_branch_is_not_followed(tmp_path: Path) -> None:
    with FakeApi("neosc") as api:
        author = setup(tmp_path, api)
        copy = clone(author, tmp_path / "copy")
        before = copy.git("rev-parse", "HEAD")
        author.git("commit", "--quiet", "--amend", "-m", "Another history")
        author.git("push", "--quiet", "--force", "origin", "HEAD:refs/heads/main")

        with looping(program_in(copy, token=api.token), "--every", "1s") as running:
            running.read_until(lambda: "the run ended" in running.err)
            running.end()

        assert "does not descend from" in running.err
        assert copy.git("rev-parse", "HEAD") == before
        assert api.requests == []


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (("--every", "5m"), "nobody is asked in a loop"),
        (("--every", "soon", "--yes"), "the interval is not a duration"),
        (("plan.json", "--every", "5m", "--yes"), "a saved plan is applied once"),
    ],
)
def test_a_loop_that_cannot_work_is_wrong_usage(tmp_path: Path, arguments: tuple[str, ...], what: str) -> None:
    with FakeApi("neosc") as api:
        program = program_in(setup(tmp_path, api), token=api.token)

        ended = program.run("apply", *arguments)

        assert (ended.code, api.requests) == (ExitCode.USAGE, [])
        assert what in ended.err
