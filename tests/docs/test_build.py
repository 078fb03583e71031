"""The pages build without a warning, from a complete lock; skipped until `./run docs` has run once."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.support.checkout import ROOT, load_run

LOCK = ROOT / "requirements-docs.lock"


def locked() -> list[str]:
    text = re.sub(r"\\\n", " ", LOCK.read_text())
    return [line.strip() for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]


def test_every_package_is_pinned_and_hashed_and_no_place_is_named() -> None:
    pinned = re.compile(r"[a-z0-9.-]+==[^\s;]+( ; [^#]+?)?( +--hash=sha256:[0-9a-f]{64})+")

    assert len(locked()) > 20
    assert [line for line in locked() if not pinned.fullmatch(line)] == []
    assert not re.search(r"https?:|file:|git\+|--index|--find-links| @ |(?<!\w)/\w", LOCK.read_text())


def test_everything_asked_for_is_locked_in_a_version_that_fits() -> None:
    asked = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]["docs"]
    pins: dict[str, list[str]] = {}
    for line in locked():
        name, _, version = line.partition(" ")[0].partition("==")
        pins.setdefault(canonicalize_name(name), []).append(version)

    for need in map(Requirement, asked):
        assert pins[need.name], need
        assert all(need.specifier.contains(version) for version in pins[need.name]), need


def test_ci_makes_the_pages() -> None:
    jobs = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())["jobs"]

    assert "./run docs" in [step.get("run") for job in jobs.values() for step in job["steps"]]


def test_the_pages_build_without_a_warning_and_load_nothing(tmp_path: Path) -> None:
    run = load_run()
    if not run.is_made(run.wanted(run.DOCS), run.DOCS):
        pytest.skip("there is no .venv-docs; ./run docs makes it")
    command = [str(run.DOCS.python), "-m", "sphinx", "--fail-on-warning", "--quiet", "docs", str(tmp_path / "html")]

    done = subprocess.run([*command, "-d", str(tmp_path / "trees")], cwd=ROOT, capture_output=True, text=True)

    assert (done.returncode, done.stderr) == (0, "")
    for page in (tmp_path / "html").rglob("*.html"):
        loads = re.findall(r"<(?:script|link|img|iframe)\b[^>]*\b(?:src|href)=\"(\S+?)\"", page.read_text())
        assert [link for link in loads if re.match(r"(?:https?:)?//", link)] == [], page.name
