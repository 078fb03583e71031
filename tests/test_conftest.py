"""The expected files: compared byte for byte, rewritten only when asked."""

from __future__ import annotations

from pathlib import Path

import pytest

CONFTEST = Path(__file__).with_name("conftest.py")
USES_GOLDEN = """
from pathlib import Path

def test_it(golden):
    golden(Path("expected") / "plan.txt", "in sync\\n")
"""

pytest_plugins = ["pytester"]


@pytest.fixture
def inner(pytester: pytest.Pytester) -> pytest.Pytester:
    """Return a small project with one golden test and this project's own conftest."""
    pytester.makeconftest(CONFTEST.read_text())
    pytester.makepyfile(USES_GOLDEN)
    return pytester


def run(inner: pytest.Pytester, *args: str) -> pytest.RunResult:
    return inner.runpytest_inprocess("-p", "no:cacheprovider", "-p", "no:xdist", "-p", "no:hypothesispytest", *args)


def test_a_missing_expected_file_fails_and_says_how_to_make_it(inner: pytest.Pytester) -> None:
    result = run(inner)

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*plan.txt is missing*./run golden*", "*in sync*"])
    assert not (inner.path / "expected").exists()


def test_a_different_expected_file_fails_and_stays(inner: pytest.Pytester) -> None:
    inner.path.joinpath("expected").mkdir()
    inner.path.joinpath("expected/plan.txt").write_bytes(b"in sync\r\n")

    result = run(inner)

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*plan.txt differs*./run golden*"])
    assert inner.path.joinpath("expected/plan.txt").read_bytes() == b"in sync\r\n"


def test_update_golden_writes_the_file_and_then_the_test_passes(inner: pytest.Pytester) -> None:
    updated = run(inner, "--update-golden")
    again = run(inner)

    updated.assert_outcomes(passed=1)
    again.assert_outcomes(passed=1)
    assert inner.path.joinpath("expected/plan.txt").read_bytes() == b"in sync\n"
