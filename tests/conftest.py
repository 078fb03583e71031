"""What every test may ask for: expected files that `--update-golden` rewrites, and a place among the heavy ones."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# No test asserts a time. In CI the same examples are tried every time: what is new is found on somebody's desk.
settings.register_profile(
    "project",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize=bool(os.environ.get("CI")),
    database=None,
)
settings.load_profile("project")

# A shell that starts the tests in its background has them ignore Ctrl-C, and every program that they start as well.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

Golden = Callable[[Path, str], None]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="rewrite the expected files; review reads the diff")
    parser.addoption("--screenshots", action="store_true", help="with --heavy: write the screenshots of docs/img anew")
    parser.addoption("--heavy", action="store_true", help="run the tests marked heavy, and no others (./run heavy)")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep the tests marked `heavy` for `./run heavy`, and everything else for `./run test`."""
    wanted = bool(config.getoption("--heavy"))
    dropped = [item for item in items if (item.get_closest_marker("heavy") is not None) != wanted]
    if dropped:
        config.hook.pytest_deselected(items=dropped)
        items[:] = [item for item in items if (item.get_closest_marker("heavy") is not None) == wanted]


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Golden:
    """Return `golden(path, text)`: fail unless the file at *path* holds exactly *text*.

    Line endings count. With `--update-golden` the file is written instead (folders too), unless it is right already.
    """
    update = bool(request.config.getoption("--update-golden"))

    def compare(path: Path, text: str) -> None:
        expected = path.read_bytes().decode() if path.exists() else None
        if expected == text:
            return
        if update:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text.encode())
            return
        hint = "if the new text is right: ./run golden, then read the diff"
        if expected is None:
            pytest.fail(f"{path} is missing; {hint}\nthe text would be:\n{text}")
        assert text == expected, f"{path} differs; {hint}"

    return compare
