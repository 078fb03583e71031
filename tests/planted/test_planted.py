"""The simulation can fail: bugs planted in a copy of the source are found. Three on every run, all in `./run heavy`."""

from __future__ import annotations

import difflib
import hashlib
import subprocess
from pathlib import Path

import pytest

from tests.planted.__main__ import FOLDER, ROOT, names, search


def drawn(count: int) -> list[str]:
    """As many names as asked for, others for every commit, the same for everybody who tests that commit."""
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True).stdout.strip()
    return sorted(names(), key=lambda name: hashlib.sha256(f"{head}/{name}".encode()).digest())[:count]


@pytest.mark.parametrize("position", range(3))
def test_a_planted_bug_is_found(position: int) -> None:
    name = drawn(3)[position]

    found = search(FOLDER / f"{name}.patch")

    assert found.seed is not None, str(found)


@pytest.mark.heavy
@pytest.mark.parametrize("name", sorted(names()))
def test_each_planted_bug_is_found(name: str) -> None:
    found = search(FOLDER / f"{name}.patch")

    assert found.seed is not None, str(found)


def test_every_patch_says_in_its_first_line_what_it_plants() -> None:
    firsts = {path.name: path.read_text(encoding="utf-8").splitlines()[:2] for path in FOLDER.glob("*.patch")}

    assert len(firsts) >= 30
    assert [name for name, (what, blank) in firsts.items() if not what.endswith(".") or blank] == []


def test_a_bug_that_is_no_bug_is_not_found(tmp_path: Path) -> None:
    harmless = tmp_path / "harmless.patch"
    before = (ROOT / "reconciler" / "executor.py").read_text(encoding="utf-8")
    after = before.replace("MAX_ATTEMPTS = 3\n", "MAX_ATTEMPTS = 2 + 1\n")
    lines = before.splitlines(keepends=True), after.splitlines(keepends=True)
    diff = difflib.unified_diff(*lines, "a/reconciler/executor.py", "b/reconciler/executor.py")
    harmless.write_text("Nothing.\n\n" + "".join(diff), encoding="utf-8")

    found = search(harmless, seeds=5)

    assert before != after
    assert found.seed is None
    assert found.told == "nothing in 5 seeds"
