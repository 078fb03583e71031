"""Schedules that broke an invariant once, made small, each in a file of its own; none may break one again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.simulation.scenario import tell

FILES = sorted(Path(__file__).parent.glob("*.json"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_schedule_that_failed_once_fails_no_more(path: Path) -> None:
    saved = json.loads(path.read_text(encoding="utf-8"))

    told = tell(saved["seed"], tuple(saved["mishaps"]))

    assert told.violations == []
    assert told.style == saved["server"]
