"""3,000 seeds of the simulated world: no invariant breaks, and every reachable cell is met. More: see __main__.py."""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path

import pytest

from tests.simulation.chance import Chance
from tests.simulation.coverage import SEEDS, impossible, missed, reachable
from tests.simulation.scenario import Cell, make_story, tell
from tests.simulation.tally import play
from tests.simulation.trace import trace

PARTS = 4
PART = SEEDS // PARTS


@pytest.fixture
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all processes of this test run have in common, and no other run."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base


def add_up(shared: Path, part: int, cells: Counter[Cell]) -> Counter[Cell] | None:
    """Put down what one part met; return what all parts met together, to whoever is the last to put down his."""
    half = shared / f"cells-{part}.tmp"
    half.write_text(json.dumps([[*cell, count] for cell, count in cells.items()]))
    half.rename(shared / f"cells-{part}.json")
    found = [shared / f"cells-{each}.json" for each in range(PARTS)]
    if not all(path.exists() for path in found):
        return None
    whole: Counter[Cell] = Counter()
    for path in found:
        whole.update(
            {(operation, fate, outcome): count for operation, fate, outcome, count in json.loads(path.read_text())}
        )
    return whole


@pytest.mark.parametrize("part", range(PARTS))
def test_no_seed_breaks_an_invariant_and_all_together_meet_every_reachable_cell(part: int, shared: Path) -> None:
    tally = play(part * PART, PART)

    assert tally.failed == []
    assert impossible(tally.cells) == []
    assert tally.seeds == PART
    whole = add_up(shared, part, tally.cells)
    assert whole is None or missed(whole, SEEDS) == []


def test_the_last_of_the_parts_sees_what_all_of_them_met(tmp_path: Path) -> None:
    cell = ("toggle", "drop-reply", "ambiguous")

    sums = [add_up(tmp_path, part, Counter({cell: part + 1})) for part in (2, 0, 3, 1)]

    assert sums == [None, None, None, Counter({cell: 10})]


def test_a_seed_gives_the_same_story_every_time() -> None:
    seeds = (3, 36, 72, 148)

    told = [[trace(seed) for seed in seeds] for _ in range(2)]

    assert told[0] == told[1]


def test_leaving_one_mishap_out_changes_no_other_draw() -> None:
    whole = Chance(7)
    without = Chance(7, kept=())

    assert [whole.number(f"http/{n}") for n in range(50)] == [without.number(f"http/{n}") for n in range(50)]
    assert whole.mishap("http/1", "drop") == "drop"
    assert without.mishap("http/1", "drop") is None


def test_without_mishaps_there_are_none() -> None:
    told = tell(4, kept=())

    assert told.happened == {}
    assert told.violations == []


def test_a_cell_that_nobody_met_is_a_hole() -> None:
    cells = Counter(dict.fromkeys(reachable(), 20))
    cells["toggle", "drop-reply", "ambiguous"] = 19
    cells["toggle", "drop-reply", "applied"] = 1

    assert missed(cells, SEEDS) == [("toggle", "drop-reply", "ambiguous")]
    assert impossible(cells) == [("toggle", "drop-reply", "applied")]


def test_one_seed_in_ten_is_free_of_faults() -> None:
    calm = sum(make_story(Chance(seed)).network.is_calm for seed in range(300))

    assert 15 <= calm <= 50
