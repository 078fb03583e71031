"""Shell completion: click's own for commands and options; ours for targets, policy keys and words."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

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


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    config = config_text(neosc=neosc_target("http://127.0.0.1:9/api"), opena2a=opena2a_target("http://127.0.0.1:9/v1"))
    return make_repo(
        tmp_path,
        {"reconciler.yaml": config, **neosc_defaults(), "policies/opena2a/rate-limit.yaml": opena2a_policy()},
    )


@pytest.fixture
def program(repo: Repo) -> Program:
    return program_in(repo)


def complete(program: Program, *words: str, shell: str = "bash") -> list[str]:
    """Return what is offered for the last of *words*."""
    typed = " ".join(word.replace(" ", "\\ ") for word in ("reconciler", *words))
    env = {"_RECONCILER_COMPLETE": f"{shell}_complete", "COMP_WORDS": typed, "COMP_CWORD": str(len(words))}
    if shell == "fish":
        env["COMP_CWORD"] = words[-1]
    ended = program.ok(env=env)
    assert ended.err == ""
    return [line.split(",", 1)[1].split("\t")[0] for line in ended.out.splitlines() if "," in line]


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (("expl",), ["explain"]),
        (("plan", "--detailed"), ["--detailed-exitcode"]),
        (("plan", "--target", ""), ["neosc", "opena2a"]),
        (("plan", "-t", "o"), ["opena2a"]),
        (("apply", "--only", "pol-m"), ["pol-mfa-required"]),
        (("plan", "-t", "opena2a", "--only", ""), ["Rate\\ Limit\\ Enforcement"]),
        (("explain", "too-many-d"), ["too-many-deletes"]),
        (("explain", "pol-n"), ["pol-network-zero-trust"]),
        (("explain", "conditions.max_requests_per_h"), ["conditions.max_requests_per_hour"]),
        (("completion", "z"), ["zsh"]),
    ],
)
def test_names_are_offered(program: Program, words: tuple[str, ...], offered: list[str]) -> None:
    assert complete(program, *words) == offered


def test_fish_quotes_by_itself(program: Program) -> None:
    assert complete(program, "plan", "--only", "R", shell="fish") == ["Rate Limit Enforcement"]


def test_the_folder_of_dash_c_is_the_one_looked_at(program: Program, tmp_path: Path) -> None:
    outside = Program(tmp_path, program.env)

    assert complete(outside, "-C", str(program.folder), "plan", "-t", "n") == ["neosc"]
    assert complete(outside, "plan", "-t", "n") == []


def test_a_key_with_a_command_in_it_is_offered_as_text(repo: Repo, program: Program) -> None:
    repo.write({"policies/opena2a/evil.yaml": opena2a_policy("x$(touch evil)`id`;id")})

    (offered,) = complete(program, "plan", "--only", "x")

    assert offered == "x\\$\\(touch\\ evil\\)\\`id\\`\\;id"


def test_broken_files_offer_what_can_be_read_and_say_nothing(repo: Repo, program: Program) -> None:
    repo.write({"policies/neosc/broken.yaml": "id: [", "policies/opena2a/odd.yaml": "name: 'a\\u202eb'\n"})

    assert "pol-mfa-required" in complete(program, "plan", "--only", "pol")
    repo.write({"reconciler.yaml": "targets: ["})
    assert complete(program, "plan", "--only", "pol") == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_of_each_shell_is_accepted_by_it(program: Program, shell: str, tmp_path: Path) -> None:
    script = program.ok("completion", shell).out

    assert "_RECONCILER_COMPLETE" in script
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    file = tmp_path / "script"
    file.write_text(script)
    done = subprocess.run([shell, "-n", str(file)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_bash_completes_a_target_through_the_script(program: Program, tmp_path: Path) -> None:
    if shutil.which("bash") is None:
        pytest.skip("bash is not installed")
    script = tmp_path / "script"
    script.write_text(program.ok("completion", "bash").out)
    binary = tmp_path / "bin" / "reconciler"
    binary.parent.mkdir()
    binary.write_text(f'#!/bin/sh\nexec {sys.executable} -m reconciler "$@"\n')
    binary.chmod(0o755)
    play = (
        f"source {script}; COMP_WORDS=(reconciler plan --target op); COMP_CWORD=3; "
        '_reconciler_completion reconciler; echo "${COMPREPLY[@]}"'
    )

    done = subprocess.run(
        ["bash", "-c", play],
        cwd=program.folder,
        env={**program.env, "PATH": f"{binary.parent}:{program.env['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.stdout.strip() == "opena2a", done.stderr
