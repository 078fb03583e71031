"""action.yml: its two scripts, run as a runner runs them, with what a stranger could put into their inputs."""

from __future__ import annotations

import base64
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.checkout import ROOT
from tests.support.program import config_text, neosc_defaults, neosc_policy, neosc_target
from tests.support.repos import make_repo

ACTION: dict[str, Any] = yaml.safe_load((ROOT / "action.yml").read_text())
INSTALL, RUN = ACTION["runs"]["steps"]
FILE = "policies/neosc/pol-mfa-required.yaml"


@dataclass(frozen=True)
class Ended:
    """How the script ended, and what it left for the runner."""

    code: int
    out: str
    err: str
    output: str
    summary: str


@dataclass(frozen=True)
class Runner:
    """A runner's folders, with a `python` in the place where the first step puts one."""

    temp: Path
    work: Path

    def python(self, script: str) -> None:
        """Put a shell script where the installed Python is looked for."""
        path = self.temp / "reconciler" / "bin" / "python"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/bash\n{script}\n")
        path.chmod(0o755)

    def run(self, command: str, *, repo: str = ".", accept: str = "0", git_token: str = "") -> Ended:
        output, summary = self.temp / "output", self.temp / "summary"
        output.write_text("")
        summary.write_text("")
        env = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.temp),
            "RUNNER_TEMP": str(self.temp),
            "GITHUB_OUTPUT": str(output),
            "GITHUB_STEP_SUMMARY": str(summary),
            "GITHUB_SERVER_URL": "https://github.com",
            "COMMAND": command,
            "REPO": repo,
            "ACCEPT": accept,
            "GIT_TOKEN": git_token,
        }
        done = bash(RUN["run"], self.work, env)
        return Ended(done.returncode, done.stdout, done.stderr, output.read_text(), summary.read_text())


def bash(script: str, cwd: Path, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run a script with the shell of `shell: bash`."""
    words = ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail", "-c", script]
    return subprocess.run(words, cwd=cwd, env=env, capture_output=True, text=True, check=False)


@pytest.fixture
def runner(tmp_path: Path) -> Runner:
    made = Runner(tmp_path / "temp", tmp_path / "work")
    made.temp.mkdir()
    made.work.mkdir()
    made.python(f'export PYTHONPATH={ROOT}\nexec {sys.executable} "$@"')
    return made


def policies(runner: Runner, **more: Any) -> None:
    target = neosc_target("http://127.0.0.1:9/api")
    files = {"reconciler.yaml": config_text(neosc=target), **neosc_defaults(), FILE: neosc_policy(**more)}
    make_repo(runner.work.parent / "made", files, remote=False).path.rename(runner.work / "policies")


def unseen(out: str) -> str:
    """What the runner does not look at for commands: everything between the two marks."""
    found = re.fullmatch(r"(?:::add-mask::\S+\n)?::stop-commands::([0-9a-f]{32})\n(.*)::\1::\n(.*)", out, re.DOTALL)
    assert found is not None, out
    return found[2]


def test_inputs_reach_scripts_by_the_environment_alone() -> None:
    for step in ACTION["runs"]["steps"]:
        assert "${{" not in step["run"]
        assert step["shell"] == "bash"
    assert sorted(RUN["env"].values()) == sorted(f"${{{{ inputs.{name} }}}}" for name in ACTION["inputs"])


def test_a_command_runs_in_the_named_folder(runner: Runner) -> None:
    policies(runner)

    ended = runner.run("validate", repo="policies")

    assert (ended.code, ended.output) == (0, "code=0\n"), ended
    assert "Valid:" in unseen(ended.out)


def test_code_in_a_proposal_is_data(runner: Runner) -> None:
    policies(runner)
    trap = f"import pathlib\npathlib.Path({str(runner.temp / 'sprung')!r}).touch()\n"
    for name in ("reconciler/__init__.py", "reconciler/__main__.py", "sitecustomize.py", "yaml.py", "conftest.py"):
        for folder in (runner.work / "policies", runner.work):
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text(trap)
    hook = runner.work / "policies" / ".git" / "hooks" / "post-checkout"
    hook.write_text(f"#!/bin/sh\ntouch {runner.temp}/sprung\n")
    hook.chmod(0o755)

    for command in ("validate", "plan --commit HEAD --live snapshot.json"):
        runner.run(command, repo="policies")

    assert not (runner.temp / "sprung").exists()


def test_a_problem_fails_the_step_and_stands_on_its_line(runner: Runner) -> None:
    policies(runner, enabld=True)

    ended = runner.run("validate", repo="policies")

    assert (ended.code, ended.output) == (1, "code=1\n")
    assert f"\n::error file={FILE}," in ended.out
    assert "::error" not in unseen(ended.out)


def test_nothing_that_is_printed_is_a_command_of_the_runner(runner: Runner) -> None:
    runner.python("echo '::set-env name=PATH::/evil'; echo '::stop-commands::x'; echo '::x::'; echo '::add-path::y'")

    first, second = runner.run("status"), runner.run("status")

    assert unseen(first.out).count("::") == 8
    assert first.out != second.out  # nobody knows the mark beforehand


@pytest.mark.parametrize(
    ("code", "accept", "ends"), [(2, "0", 2), (2, "0 2", 0), (1, "0 2", 1), (0, "2", 0), (75, "", 75)]
)
def test_the_accepted_codes_do_not_fail_the_step(runner: Runner, code: int, accept: str, ends: int) -> None:
    runner.python(f"exit {code}")

    ended = runner.run("drift", accept=accept)

    assert ended.code == ends
    assert ended.output == f"code={code}\n"


def test_words_are_words_and_nothing_else(runner: Runner) -> None:
    (runner.work / "a-file").touch()
    runner.python("printf '<%s>' \"$@\"")

    ended = runner.run('show * $(touch made) `touch made` ; touch made "a b" $HOME')

    expected = '<-P><-m><reconciler><-C><.><show><*><$(touch><made)><`touch><made`><;><touch><made><"a><b"><$HOME>'
    assert expected in ended.out
    assert not (runner.work / "made").exists()


def test_a_plan_also_becomes_lines_and_the_summary(runner: Runner) -> None:
    runner.python(
        'for word in "$@"; do case "$word" in\n'
        'github=*) echo "::warning ::weaker" >"${word#github=}" ;;\n'
        'markdown=*) echo "### Plan" >"${word#markdown=}" ;;\n'
        "esac; done"
    )

    ended = runner.run("plan --out plan.json")

    assert ended.summary == "### Plan\n"
    assert ended.out.endswith("::warning ::weaker\n")
    assert "::warning" not in unseen(ended.out)
    assert runner.run("apply plan.json --yes").summary == ""


def test_what_an_earlier_step_left_is_not_reported_again(runner: Runner) -> None:
    (runner.temp / "reconciler-lines").write_text("::error ::old\n")
    (runner.temp / "reconciler-summary").write_text("old\n")
    runner.python("exit 1")

    ended = runner.run("plan")

    assert "old" not in ended.out + ended.summary


def test_git_gets_the_token_for_one_host_and_nobody_sees_it(runner: Runner) -> None:
    runner.python(
        "git config --get-urlmatch http.extraheader https://github.com/o/r || true\n"
        "echo there\n"
        "git config --get-urlmatch http.extraheader https://github.com.evil.invalid/o/r || echo nothing\n"
        'echo "[$GIT_TOKEN]"'
    )

    ended = runner.run("status", git_token="ghs_secret")
    without = runner.run("status")

    header = base64.b64encode(b"x-access-token:ghs_secret").decode()
    assert ended.out.startswith(f"::add-mask::{header}\n")
    assert unseen(ended.out).splitlines() == [f"AUTHORIZATION: basic {header}", "there", "nothing", "[]"]
    assert "ghs_secret" not in ended.out + ended.err
    assert unseen(without.out).splitlines() == ["there", "nothing", "[]"]


def test_the_tool_is_installed_from_the_actions_own_files_by_hash(runner: Runner) -> None:
    fake = runner.temp / "fake"
    fake.mkdir()
    site = runner.temp / "site"
    site.mkdir()
    made = runner.temp / "reconciler"
    python3 = fake / "python3"
    python3.write_text(
        f'#!/bin/bash\necho "$@" >>{runner.temp}/calls\n'
        f'case "$*" in *purelib*) echo {site} ;; "-m venv"*) mkdir -p {made}/bin; cp "$0" {made}/bin/python ;; esac\n'
    )
    python3.chmod(0o755)
    env = {"PATH": f"{fake}:{os.environ['PATH']}", "RUNNER_TEMP": str(runner.temp), "GITHUB_ACTION_PATH": str(ROOT)}

    first = bash(INSTALL["run"], runner.work, env)
    calls = (runner.temp / "calls").read_text().splitlines()
    second = bash(INSTALL["run"], runner.work, env)

    assert (first.returncode, second.returncode) == (0, 0), first.stderr
    assert calls[0] == f"-m venv --clear {made}"
    assert {"--require-hashes", "--no-deps", "--no-cache-dir", f"{ROOT}/requirements-base.lock"} <= set(
        calls[1].split()
    )
    assert (site / "reconciler-checkout.pth").read_text() == f"{ROOT}\n"
    assert (runner.temp / "calls").read_text().splitlines() == calls  # the second step of a job finds it there
