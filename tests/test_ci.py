"""The workflows: no trigger, secret or action that a pull request from outside could turn (reliability.md T1, 9.1).

The rules are one function over a workflow's text, so that planted bad workflows show that each rule finds something.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.checkout import ROOT
from tests.support.commands import check_command

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.y*ml"))
NAMES = {path.name for path in WORKFLOWS}
ZIZMOR = Path(sys.executable).with_name("zizmor")

_PINNED = re.compile(r"\s*(- )?uses: [\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+")
_OWN = re.compile(r"\s*(- )?uses: \./ # zizmor: ignore\[self-repository\]")
_FROM_HERE = "github.event.pull_request.head.repo.full_name == github.repository"
_FORBIDDEN = {"pull_request_target", "workflow_run", "issue_comment"}


def problems(text: str) -> Iterator[str]:
    """Yield everything in a workflow that breaks a rule."""
    value: dict[Any, Any] = yaml.load(text, Loader=yaml.BaseLoader)  # `on` is text; YAML 1.1 reads a truth value
    triggers = value["on"]
    if not isinstance(triggers, dict):
        yield "triggers are not a mapping"
        return
    for name in sorted(triggers.keys() & _FORBIDDEN):
        yield f"{name} runs strangers' code with our rights"
    if value.get("permissions") != {}:
        yield "rights do not start from none"
    if "concurrency" not in value:
        yield "no concurrency group"
    for line in text.splitlines():
        if re.match(r"\s*(- )?uses:", line) and not _PINNED.fullmatch(line) and not _OWN.fullmatch(line):
            yield f"not pinned by SHA with its version beside it: {line.strip()}"
    for name, job in value["jobs"].items():
        yield from (f"{name}: {what}" for what in _problems_of_job(job, "pull_request" in triggers))


def _problems_of_job(job: dict[str, Any], for_strangers: bool) -> Iterator[str]:
    rights = job.get("permissions")
    if not isinstance(rights, dict):
        yield "no rights of its own"
    if not str(job.get("timeout-minutes", "")).isdecimal():
        yield "no time limit"
    if not re.fullmatch(r"ubuntu-\d\d\.\d\d", str(job.get("runs-on"))):
        yield "no fixed image"
    has_secret = "secrets." in str(job)
    if has_secret and "environment" not in job:
        yield "a secret outside of an environment"
    trusted = _FROM_HERE in str(job.get("if", "")) and "||" not in str(job["if"])
    if for_strangers and not trusted:
        if has_secret:
            yield "a secret within reach of a fork"
        if isinstance(rights, dict) and not set(rights.values()) <= {"read", "none"}:
            yield "a right to write within reach of a fork"
    for step in job["steps"]:
        yield from _problems_of_step(step)


def _problems_of_step(step: dict[str, Any]) -> Iterator[str]:
    given = step.get("with", {})
    if "${{" in step.get("run", ""):
        yield "an expression inside a script"
    if step.get("uses", "").startswith("actions/checkout@") and given.get("persist-credentials") != "false":
        yield "credentials stay behind"
    if "cache" in step.get("uses", "") or "cache" in given:
        yield "a cache, which another job can write"


# ------------------------------------------------------------------------------------------------ our own


@pytest.fixture(params=WORKFLOWS, ids=lambda path: path.name)
def workflow(request: pytest.FixtureRequest) -> Path:
    path: Path = request.param
    return path


def read(name: str) -> Any:
    return yaml.load((ROOT / ".github" / "workflows" / name).read_text(), Loader=yaml.BaseLoader)


def test_there_are_the_workflows() -> None:
    assert {"ci.yml", "validate.yml", "plan.yml", "apply.yml", "drift.yml"} <= NAMES


def test_a_workflow_keeps_to_the_rules(workflow: Path) -> None:
    assert list(problems(workflow.read_text())) == []


def test_zizmor_finds_nothing() -> None:
    done = zizmor(ROOT / ".github", ROOT / "action.yml")

    assert done.returncode == 0, done.stdout + done.stderr
    assert "No findings to report" in done.stdout


def test_nothing_is_kept_from_zizmor_but_that_the_tool_is_the_checked_out_one() -> None:
    ignored = re.findall(r"zizmor: *ignore\[([^]]*)\]", "".join(path.read_text() for path in WORKFLOWS))

    assert set(ignored) == {"self-repository"}
    assert "zizmor" not in (ROOT / "action.yml").read_text()
    assert not list((ROOT / ".github").rglob("zizmor.y*ml"))


def test_only_where_a_live_system_is_configured_anything_asks_for_a_token() -> None:
    for name in ("plan.yml", "apply.yml", "drift.yml"):
        for job in read(name)["jobs"].values():
            assert "vars.RECONCILER_TARGETS != ''" in job["if"], name


def test_every_step_with_a_token_says_where_it_may_go() -> None:
    for path in WORKFLOWS:
        for job in read(path.name)["jobs"].values():
            for step in job["steps"]:
                env = step.get("env", {})
                if "RECONCILER_TOKEN" in env:
                    assert env["RECONCILER_ALLOWED_HOSTS"] == "${{ vars.RECONCILER_ALLOWED_HOSTS }}", path.name
                assert "secrets." not in str({**step, "env": {}}), path.name


def test_a_pull_requests_files_are_read_with_tool_and_settings_of_the_base() -> None:
    base = "${{ github.event.pull_request.base.sha }}"
    for name in ("validate.yml", "plan.yml"):
        [job] = read(name)["jobs"].values()
        checkouts = [step["with"] for step in job["steps"] if step.get("uses", "").startswith("actions/checkout@")]
        ours = [step for step in job["steps"] if step.get("uses") == "./"]
        reading = [step for step in ours if not step["with"]["command"].startswith("comment")]

        assert [(each.get("ref"), each.get("path")) for each in checkouts] == [(base, None), (None, "proposed")], name
        assert all(step["env"]["RECONCILER_CONFIG_COMMIT"] == base for step in reading), name
        assert all(step["with"]["repo"] == "proposed" for step in reading), name
        assert all("proposed" not in step.get("run", "") for step in job["steps"]), name


def test_every_command_of_a_workflow_is_one_the_program_has() -> None:
    commands = [
        step["with"]["command"]
        for path in WORKFLOWS
        for job in read(path.name)["jobs"].values()
        for step in job["steps"]
        if step.get("uses") == "./"
    ]

    assert len(commands) > 5
    for command in commands:
        check_command(["reconciler", *re.sub(r"\$\{\{.*?\}\}", "--reviewed plan.json", command).split()])


def test_an_apply_is_never_cancelled_and_takes_the_tip() -> None:
    value = read("apply.yml")
    [job] = value["jobs"].values()

    assert value["concurrency"]["cancel-in-progress"] == "false"
    assert job["environment"] == "production"
    assert job["steps"][0]["with"]["ref"] == "${{ github.event.repository.default_branch }}"


def test_drift_is_not_looked_for_on_the_full_hour() -> None:
    [schedule] = read("drift.yml")["on"]["schedule"]

    assert int(schedule["cron"].split()[0]) % 15 != 0


# ------------------------------------------------------------------------------------------------ planted

GOOD = """\
name: good

on:
  pull_request:

permissions: {}

concurrency:
  group: good-${{ github.ref }}
  cancel-in-progress: true

jobs:
  look:
    name: Look
    runs-on: ubuntu-24.04
    timeout-minutes: 5
    permissions:
      contents: read # the checkout
    steps:
      - name: Check out
        uses: actions/checkout@11bd71901bbe5b1630ceea73d27597364c9af683 # v4.2.2
        with:
          persist-credentials: false
      - name: Look
        run: ls
"""

#: What is planted: a name, what stands in the good workflow, what takes its place, words of the rule that finds it.
PLANTED = [
    ("target", "  pull_request:\n", "  pull_request_target:\n", "strangers' code"),
    ("after-a-run", "  pull_request:\n", "  workflow_run:\n    workflows: [ci]\n", "strangers' code"),
    ("on-comments", "  pull_request:\n", "  issue_comment:\n", "strangers' code"),
    ("list-of-triggers", "on:\n  pull_request:\n", "on: [pull_request_target]\n", "not a mapping"),
    ("all-rights", "permissions: {}\n", "permissions: write-all\n", "start from none"),
    ("no-rights-said", "permissions: {}\n", "", "start from none"),
    ("rights-of-the-job", "    permissions:\n      contents: read # the checkout\n", "", "no rights of its own"),
    ("write", "contents: read # the checkout", "contents: write # oh", "right to write within reach"),
    ("by-tag", "@11bd71901bbe5b1630ceea73d27597364c9af683 # v4.2.2", "@v4", "not pinned"),
    ("without-version", " # v4.2.2", "", "not pinned"),
    ("credentials", "        with:\n          persist-credentials: false\n", "", "credentials stay"),
    ("script", "run: ls", 'run: echo "${{ github.event.pull_request.title }}"', "expression inside a script"),
    ("multi-line", "run: ls", "run: |\n          echo ${{ github.head_ref }}", "expression inside a script"),
    ("secret", "run: ls", "run: ls\n        env:\n          T: ${{ secrets.TOKEN }}", "within reach of a fork"),
    ("forever", "    timeout-minutes: 5\n", "", "no time limit"),
    ("moving-image", "ubuntu-24.04", "ubuntu-latest", "no fixed image"),
    ("own-machine", "ubuntu-24.04", "self-hosted", "no fixed image"),
    ("cached", "persist-credentials: false", "persist-credentials: false\n          cache: pip", "a cache"),
    ("crowd", "concurrency:\n  group: good-${{ github.ref }}\n  cancel-in-progress: true\n", "", "no concurrency"),
]
#: Beside our own rules zizmor knows these, too.
KNOWN_TO_ZIZMOR = ("target", "after-a-run", "all-rights", "by-tag", "credentials", "script", "secret", "crowd")


def plant(name: str) -> str:
    [(old, new)] = [(old, new) for each, old, new, _ in PLANTED if each == name]
    assert old in GOOD
    return GOOD.replace(old, new)


def test_the_good_workflow_is_good(tmp_path: Path) -> None:
    (tmp_path / "good.yml").write_text(GOOD)

    assert list(problems(GOOD)) == []
    assert zizmor(tmp_path / "good.yml").returncode == 0


@pytest.mark.parametrize(("name", "words"), [(name, words) for name, _, _, words in PLANTED])
def test_a_planted_fault_is_found(name: str, words: str) -> None:
    assert [found for found in problems(plant(name)) if words in found]


@pytest.mark.parametrize("name", KNOWN_TO_ZIZMOR)
def test_zizmor_finds_a_planted_fault(tmp_path: Path, name: str) -> None:
    (tmp_path / "bad.yml").write_text(plant(name))

    done = zizmor(tmp_path / "bad.yml")

    assert done.returncode > 10, done.stdout + done.stderr  # 11 to 14: the worst severity found


@pytest.mark.parametrize(
    "condition",
    ["", "    if: always()\n", f"    if: always() || {_FROM_HERE}\n", "    if: vars.RECONCILER_TARGETS != ''\n"],
)
def test_a_secret_needs_a_condition_that_keeps_forks_out(condition: str) -> None:
    job = GOOD.replace("    runs-on", f"    environment: policy-read\n{condition}    runs-on")
    with_secret = job.replace("run: ls", "run: ls\n        env:\n          T: ${{ secrets.TOKEN }}")
    guarded = with_secret.replace("    environment", f"    if: {_FROM_HERE}\n    environment").replace(condition, "")

    assert "look: a secret within reach of a fork" in list(problems(with_secret))
    assert list(problems(guarded)) == []


def zizmor(*paths: Path) -> subprocess.CompletedProcess[str]:
    options = ["--offline", "--quiet", "--no-config", "--persona", "auditor", "--color", "never"]
    return subprocess.run([ZIZMOR, *options, *paths], capture_output=True, text=True, check=False)


# --------------------------------------------------------------------------------------------- what CI runs


@pytest.mark.parametrize(
    ("fails", "ran", "code"),
    [
        ("", "check test packages heavy audit ", 0),
        ("check", "check ", 9),
        ("test", "check test ", 9),
        ("packages", "check test packages ", 9),
        ("heavy", "check test packages heavy ", 9),
        ("audit", "check test packages heavy audit ", 9),
    ],
)
def test_ci_runs_everything_and_stops_at_a_failure(tmp_path: Path, fails: str, ran: str, code: int) -> None:
    (tmp_path / ".ci").mkdir()
    shutil.copy(ROOT / ".ci" / "run", tmp_path / ".ci")
    run = tmp_path / "run"
    run.write_text('#!/bin/sh\nread line && exit 1\nprintf "%s " "$1" >>ran\n[ "$1" != "$FAILS" ] || exit 9\n')
    run.chmod(0o755)
    for name in ("packages", "audit"):
        script = tmp_path / ".ci" / name
        script.write_text(f"#!/bin/sh\nexec ./run {name}\n")
        script.chmod(0o755)

    done = subprocess.run([tmp_path / ".ci" / "run"], cwd="/", env={**os.environ, "FAILS": fails}, capture_output=True)

    assert done.returncode == code
    assert (tmp_path / "ran").read_text() == ran


@pytest.mark.parametrize(
    ("there", "user", "apt", "said", "asked"),
    [
        ("postgresql chromium", "0", 1, "packages: postgresql and chromium are there", ""),
        ("chromium", "1000", 0, "without postgresql, which only root can install; tests that need it skip", ""),
        ("postgresql", "0", 0, "packages: installed chromium", "update|install chromium|"),
        ("", "0", 0, "packages: installed postgresql chromium", "update|install postgresql chromium|"),
        ("", "0", 100, "could not install postgresql chromium; tests that need it skip", "update|"),
    ],
)
def test_packages_that_are_missing_are_installed_or_said_to_be_missing(
    tmp_path: Path, there: str, user: str, apt: int, said: str, asked: str
) -> None:
    words = 'while [ "${1#-}" != "$1" ]; do shift; done'
    fakes = {
        "dpkg-query": f'for last; do :; done; case " {there} " in *" $last "*) echo installed;; *) exit 1;; esac',
        "id": f"echo {user}",
        "apt-get": f'{words}; verb=$1; shift; {words}; echo "$verb${{1:+ $*}}" >>asked; exit {apt}',
    }
    for name, text in fakes.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / name).chmod(0o755)
    env = {**os.environ, "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}

    done = subprocess.run([ROOT / ".ci" / "packages"], cwd=tmp_path, env=env, capture_output=True, text=True)

    log = tmp_path / "asked"
    assert done.returncode == 0
    assert said in done.stdout + done.stderr
    assert (log.read_text().replace("\n", "|") if log.exists() else "") == asked
