"""What looks at the code and at the packages, and that it would find something (reliability.md 5.1, G16)."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.checkout import ROOT, load_run

audit = load_run(ROOT / ".ci" / "audit")
TOOLS = load_run().TOOLS["check"]


def bandit(folder: Path) -> int:
    [options] = [tool for tool in TOOLS if tool.startswith("bandit ")]
    command = [sys.executable, "-m", *options.replace(" -r reconciler run", f" -r {folder}").split()]
    return subprocess.run(command, cwd=folder, capture_output=True).returncode


@pytest.mark.parametrize(
    ("source", "code"),
    [
        ("import json\njson.loads('1')\n", 0),
        ("import pickle\n\n\ndef read(data):\n    return pickle.loads(data)\n", 1),
        ("import subprocess\n\n\ndef run(text):\n    subprocess.run(text, shell=True)\n", 1),
        ("import yaml\n\n\ndef read(text):\n    return yaml.load(text)\n", 1),
    ],
)
def test_bandit_finds_a_planted_fault_and_nothing_else(tmp_path: Path, source: str, code: int) -> None:
    (tmp_path / "planted.py").write_text(source)

    assert bandit(tmp_path) == code


def test_the_linter_has_the_rules_that_were_promised() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "ruff", "check", "--show-settings", "reconciler/errors.py"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )

    enabled = done.stdout.partition("linter.rules.enabled = [")[2].partition("]")[0]
    for code in ("S301", "S506", "BLE001", "TID252"):
        assert f"({code})" in enabled, code


# ----------------------------------------------------------------------------------------- vulnerabilities


def package(name: str, *ids: str) -> dict[str, Any]:
    return {"name": name, "version": "1.0", "vulns": [{"id": each, "fix_versions": ["1.1"]} for each in ids]}


def unknown(name: str) -> dict[str, Any]:
    return {"name": name, "skip_reason": f"Dependency not found: {name} (1.0)"}


@pytest.mark.parametrize(
    ("packages", "ended", "code", "words"),
    [
        ([package("a"), package("b")], 0, 0, "2 packages, no known vulnerability"),
        ([package("a"), package("b", "PYSEC-1")], 1, 1, "b 1.0: PYSEC-1, fixed in 1.1"),
        ([package("a", "PYSEC-1"), unknown("b")], 1, 1, "a 1.0: PYSEC-1"),
        ([package("a"), unknown("b")], 0, 1, "Dependency not found: b"),
        ([unknown("a"), unknown("b")], 0, 0, "SKIP: the package index answered for none of 2"),
        ([], 0, 1, "no package was looked at"),
        ([package("a")], 2, 1, "ended with 2"),
    ],
)
def test_an_audit_is_strict_and_a_skip_is_called_a_skip(
    packages: list[dict[str, Any]], ended: int, code: int, words: str
) -> None:
    result, text = audit.verdict(ended, json.dumps({"dependencies": packages, "fixes": []}), "")

    assert result == code
    assert words in text


@pytest.mark.parametrize(
    ("ended", "err", "code", "words"),
    [
        (1, "requests.exceptions.ConnectionError: Max retries exceeded", 0, "SKIP: nobody could be asked"),
        (1, "Traceback\nKeyError: 'x'", 1, "FAILED: pip-audit ended with 1: KeyError"),
        (1, "", 1, "it said nothing"),
        (0, "", 1, "FAILED"),
    ],
)
def test_an_audit_without_an_answer_is_a_skip_only_without_a_network(
    ended: int, err: str, code: int, words: str
) -> None:
    result, text = audit.verdict(ended, "", err)

    assert result == code
    assert words in text


def test_every_package_that_is_installed_is_looked_at() -> None:
    assert set(audit.LOCKS) == {"requirements.lock"}
    base = {line.split("==")[0] for line in (ROOT / "requirements-base.lock").read_text().splitlines() if "==" in line}
    whole = {line.split("==")[0] for line in (ROOT / "requirements.lock").read_text().splitlines() if "==" in line}
    assert base <= whole
