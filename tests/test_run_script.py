"""`./run`: what it runs, when it makes `.venv` anew, and that what it prepares is what was asked for."""

from __future__ import annotations

import ast
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.checkout import ROOT, load_run

run = load_run()
BANDIT = "bandit --quiet --severity-level medium -r reconciler run"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Return a small checkout in a folder with a space: the real `run`, and a program that shows its arguments."""
    root = tmp_path / "check out"
    root.mkdir()
    shutil.copy(ROOT / "run", root)
    (root / "requirements.lock").write_text("# nothing\n")
    (root / "pyproject.toml").write_text("[project]\n")
    package = root / "reconciler"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "__main__.py").write_text(
        "import os, sys\nprint(sys.argv[1:], os.getcwd())\nsys.exit(int(os.environ.get('END', '0')))\n"
    )
    return root


@pytest.fixture
def made(checkout: Path) -> Path:
    """Return the small checkout with a real, empty `.venv` in it, made by the real `venv` and the real pip."""
    here = load_run(checkout / "run")
    subprocess.run([*start(checkout), "x"], check=True, capture_output=True)
    assert here.is_made(here.wanted())
    return checkout


def start(checkout: Path) -> list[str]:
    return [base_python(), str(checkout / "run")]


def base_python() -> str:
    """The Python that this environment was made by; it is the one that has pip."""
    return getattr(sys, "_base_executable", None) or sys.executable


def test_another_lock_pyproject_python_or_place_asks_for_a_new_venv() -> None:
    before = run.fingerprint(b"lock", b"pyproject", "3.11.2", "/a")

    others = {
        run.fingerprint(b"lock2", b"pyproject", "3.11.2", "/a"),
        run.fingerprint(b"lock", b"pyproject2", "3.11.2", "/a"),
        run.fingerprint(b"lock", b"pyproject", "3.11.3", "/a"),
        run.fingerprint(b"lock", b"pyproject", "3.11.2", "/b"),
        run.fingerprint(b"lockp", b"yproject", "3.11.2", "/a"),
    }

    assert run.fingerprint(b"lock", b"pyproject", "3.11.2", "/a") == before
    assert len(others) == 5
    assert before not in others


@pytest.mark.parametrize(
    ("verb", "modules"),
    [
        ("test", ["pytest -n 4 --dist worksteal"]),
        ("golden", ["pytest -n 4 --dist worksteal --update-golden"]),
        ("check", ["ruff format --check", "ruff check", "mypy", BANDIT]),
        ("fix", ["ruff check --fix", "ruff format"]),
    ],
)
def test_a_verb_runs_its_tools_in_order_with_the_arguments_behind_each(verb: str, modules: list[str]) -> None:
    commands = run.commands(verb, ["-x", "a b"])

    assert commands == [[str(run.PYTHON), "-m", *module.split(), "-x", "a b"] for module in modules]


@pytest.mark.parametrize("verb", ["demo", "plan", "--version", "-C"])
def test_anything_else_goes_to_the_program(verb: str) -> None:
    assert run.commands(verb, ["--json"]) == [[str(run.PYTHON), "-P", "-m", "reconciler", verb, "--json"]]


def test_the_pages_are_made_in_an_environment_of_their_own_and_a_warning_fails_them() -> None:
    [command] = run.commands("docs", ["--fresh-env"])

    assert run.environment("docs") == run.DOCS != run.VENV == run.environment("plan")
    assert command[:3] == [str(run.DOCS.python), "-m", "sphinx"]
    assert "--fail-on-warning" in command
    assert command[-3:] == ["docs", "docs/_build", "--fresh-env"]


def test_peers_are_measured_in_an_environment_of_their_own() -> None:
    (command,) = run.commands("bench", ["start"])

    assert run.environment("bench") == run.BENCH
    assert command == [str(run.BENCH.python), "-m", "benchmarks", "start"]
    assert (ROOT / run.BENCH.lock).is_file()


def test_each_environment_is_made_from_its_own_lock(checkout: Path) -> None:
    (checkout / "requirements-docs.lock").write_text("# nothing either\n")
    here = load_run(checkout / "run")

    subprocess.run([*start(checkout), "docs"], capture_output=True)
    (checkout / "requirements.lock").write_text("# changed\n")

    assert here.is_made(here.wanted(here.DOCS), here.DOCS)
    assert not (checkout / ".venv").exists()
    assert not (checkout / ".venv-docs" / "bin" / "reconciler").exists()
    (checkout / "requirements-docs.lock").write_text("# changed\n")
    assert not here.is_made(here.wanted(here.DOCS), here.DOCS)


def test_the_script_uses_the_standard_library_only() -> None:
    tree = ast.parse((ROOT / "run").read_text())

    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}

    assert {name.split(".")[0] for name in names} <= sys.stdlib_module_names


def test_without_arguments_it_explains_itself_and_makes_nothing(checkout: Path) -> None:
    done = subprocess.run(start(checkout), capture_output=True, text=True)

    assert done.returncode == 64
    assert done.stdout == ""
    assert "./run test" in done.stderr
    assert not (checkout / ".venv").exists()


def test_the_first_run_makes_the_venv_and_the_second_does_not(checkout: Path) -> None:
    first = subprocess.run([*start(checkout), "plan", "--json"], capture_output=True, text=True, cwd=checkout.parent)
    second = subprocess.run([*start(checkout), "plan", "--json"], capture_output=True, text=True, cwd=checkout.parent)

    assert (first.returncode, second.returncode) == (0, 0)
    assert first.stdout == second.stdout == f"['plan', '--json'] {checkout.parent}\n"
    assert "--require-hashes --no-deps --only-binary :all:" in first.stderr
    assert len(second.stderr.splitlines()) == 1
    assert second.stderr.startswith("+ ")
    assert not (checkout / ".venv" / "bin" / "pip").exists()


def test_the_program_is_found_from_anywhere_and_nothing_beside_it_is(made: Path, tmp_path: Path) -> None:
    hostile = tmp_path / "policies"
    (hostile / "reconciler").mkdir(parents=True)
    (hostile / "reconciler" / "__main__.py").write_text("print('owned')")

    passed = subprocess.run([*start(made), "x"], capture_output=True, text=True, cwd=hostile)
    installed = subprocess.run(
        [made / ".venv" / "bin" / "reconciler", "x"], capture_output=True, text=True, cwd=hostile
    )

    assert passed.stdout == installed.stdout == f"['x'] {hostile}\n"


def test_the_exit_code_is_the_programs_own(made: Path) -> None:
    done = subprocess.run([*start(made), "apply"], capture_output=True, env={**os.environ, "END": "75"})

    assert done.returncode == 75


def test_all_checks_run_and_the_first_failure_is_the_exit_code(made: Path) -> None:
    done = subprocess.run([*start(made), "check"], capture_output=True, text=True)

    assert done.returncode == 1
    assert [line.split(" -m ")[1] for line in done.stderr.splitlines() if line.startswith("+ ")] == [
        "ruff format --check",
        "ruff check",
        "mypy",
        BANDIT,
    ]


def test_a_signal_reaches_the_program_itself(made: Path) -> None:
    (made / "reconciler" / "__main__.py").write_text(
        "import signal, sys\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(130))\n"
        "print('ready', flush=True)\n"
        "signal.pause()\n"
    )

    process = subprocess.Popen([*start(made), "serve"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGTERM)

    assert process.returncode == 130


def test_another_lock_makes_the_venv_anew_even_from_inside_it(made: Path) -> None:
    inside = [str(made / ".venv" / "bin" / "python"), str(made / "run"), "x"]
    (made / "requirements.lock").write_text("# changed\n")
    (made / ".venv" / "leftover").touch()

    done = subprocess.run(inside, capture_output=True, text=True)
    again = subprocess.run(inside, capture_output=True, text=True)

    assert (done.returncode, again.returncode) == (0, 0)
    assert "run: making .venv" in done.stderr
    assert "run: making .venv" not in again.stderr
    assert not (made / ".venv" / "leftover").exists()


@pytest.mark.parametrize("damage", ["python", "stamp", "unfinished", "lock", "moved"])
def test_a_venv_that_is_damaged_or_out_of_date_does_not_count(checkout: Path, damage: str) -> None:
    here = load_run(checkout / "run")
    here.PYTHON.parent.mkdir(parents=True)
    here.PYTHON.symlink_to(base_python())
    here.STAMP.write_text(here.wanted())
    assert here.is_made(here.wanted())

    match damage:
        case "python":
            here.PYTHON.unlink()
            here.PYTHON.symlink_to("/nowhere/python")
        case "stamp":
            here.STAMP.write_bytes(b"\xff")
        case "unfinished":
            here.STAMP.unlink()
        case "lock":
            (checkout / "requirements.lock").write_text("# other\n")
        case _:
            here = load_run(checkout.rename(checkout.with_name("moved")) / "run")

    assert not here.is_made(here.wanted())


def test_a_failed_installation_is_said_and_tried_again_next_time(checkout: Path) -> None:
    (checkout / "requirements.lock").write_text("this is no requirement\n")

    failed = subprocess.run([*start(checkout), "x"], capture_output=True, text=True)
    (checkout / "requirements.lock").write_text("# nothing\n")
    repaired = subprocess.run([*start(checkout), "x"], capture_output=True, text=True)

    assert failed.returncode == 1
    assert failed.stdout == ""
    assert ".venv is unfinished" in failed.stderr
    assert "Traceback" not in failed.stderr
    assert repaired.returncode == 0


def test_two_first_runs_at_once_make_one_venv(checkout: Path) -> None:
    both = [
        subprocess.Popen([*start(checkout), name], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for name in ("one", "two")
    ]
    answers = [process.communicate(timeout=120) for process in both]

    assert [process.returncode for process in both] == [0, 0]
    assert [out.split()[0] for out, _ in answers] == ["['one']", "['two']"]
    assert sum("run: making .venv" in err for _, err in answers) == 1


def test_a_python_without_pip_is_told_how_to_get_it(checkout: Path, tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    subprocess.run([base_python(), "-m", "venv", "--without-pip", bare], check=True)
    program = f"import sys, runpy; sys._base_executable = {str(bare / 'bin' / 'python')!r}; sys.argv = ['run', 'x']; "

    done = subprocess.run(
        [base_python(), "-c", program + f"runpy.run_path({str(checkout / 'run')!r}, run_name='__main__')"],
        capture_output=True,
        text=True,
    )

    assert done.returncode == 1
    assert "has no pip" in done.stderr
    assert "python3-pip" in done.stderr
    assert not (checkout / ".venv").exists()
