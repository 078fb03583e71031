"""3,000 seeds of the simulated world: no invariant breaks, and every reachable cell is met. More: see __main__.py."""

from __future__ import annotations

from collections import Counter

from tests.simulation.chance import Chance
from tests.simulation.coverage import SEEDS, impossible, missed, reachable
from tests.simulation.scenario import make_story, tell
from tests.simulation.tally import play_all
from tests.simulation.trace import trace


def test_no_seed_breaks_an_invariant_and_every_reachable_cell_is_met() -> None:
    tally = play_all(0, SEEDS)

    assert tally.failed == []
    assert missed(tally.cells, SEEDS) == []
    assert impossible(tally.cells) == []
    assert tally.seeds == SEEDS


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
