"""The reference pages say what the code says."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from docs.reference import EXIT_CODES, FOLDER, PAGES, commands
from reconciler.cli.app import COMMANDS
from reconciler.core.guard import GUARDS
from reconciler.errors import ExitCode
from reconciler.reports.pages import code_pages
from tests.conftest import Golden
from tests.support.checkout import ROOT

#: Pages that people write.
WRITTEN = {"events.md", "index.md", "environment.md", "server-accounts.md", "server-requests.md"}


@pytest.mark.parametrize("name", PAGES)
def test_a_reference_page_is_what_the_code_says_today(name: str, golden: Golden) -> None:
    golden(FOLDER / name, PAGES[name]())


def test_there_is_no_reference_page_that_nothing_makes() -> None:
    assert {path.name for path in FOLDER.iterdir()} == set(PAGES) | WRITTEN


def test_every_command_code_guard_and_exit_code_has_its_place() -> None:
    texts = {name: (FOLDER / name).read_text(encoding="utf-8").splitlines() for name in PAGES}

    assert {f"### {name}" for group in COMMANDS.values() for name in group} <= set(texts["commands.md"])
    assert {f"## {name}" for name in code_pages()} <= set(texts["errors.md"])
    assert {f"## {name}" for name in GUARDS} <= set(texts["guards.md"])
    assert set(EXIT_CODES) == {code.name for code in ExitCode}


def test_a_help_page_is_the_same_whatever_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    before = commands()

    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("RECONCILER_TARGET", "neosc")

    assert commands() == before


def test_a_help_page_is_the_same_in_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")  # rich-click looks at it once, when it is imported
    monkeypatch.setenv("FORCE_COLOR", "1")
    program = "import sys, docs.reference as r; sys.stdout.buffer.write(r.commands().encode())"

    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, check=True)

    assert done.stdout.decode() == commands()


def test_every_variable_the_program_reads_has_its_line() -> None:
    source = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "reconciler").rglob("*.py"))
    page = (FOLDER / "environment.md").read_text(encoding="utf-8")

    read = set(re.findall(r"""["'](RECONCILER_[A-Z_]+|NO_COLOR|FORCE_COLOR|CLICOLOR_FORCE)["']""", source))
    read -= {name for name in read if name.endswith("_")}

    assert len(read) > 8
    assert {name for name in read if name not in page} == set()
