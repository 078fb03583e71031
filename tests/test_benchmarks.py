"""`./run bench`: ratios, verdicts and the page they are written to."""

from __future__ import annotations

import pytest

from benchmarks.__main__ import read_sections, write_sections
from benchmarks.applying import calls_needed
from benchmarks.cases import SECTIONS
from benchmarks.live_writes import writing_phase
from benchmarks.measure import Cost, Fact, Row, Section, render, rotate


def costs(*seconds: float) -> list[Cost]:
    return [Cost(each, each) for each in seconds]


def test_a_ratio_is_taken_round_by_round() -> None:
    row = Row("ours", costs(1, 4), "theirs", costs(2, 4), goal=0.8)

    assert row.ratios == [0.5, 1.0]
    assert row.met() is True


def test_where_the_goal_is_to_be_so_many_times_faster_the_ratio_is_the_other_way_round() -> None:
    row = Row("ours", costs(1, 2), "theirs", costs(10, 30), goal=12, at_least=True)

    assert row.ratios == [10, 15]
    assert row.met() is True


def test_each_round_begins_with_another_one() -> None:
    order: list[str] = []

    def go(name: str) -> Cost:
        order.append(name)
        return Cost(1, 1)

    rotate({"a": lambda: go("a"), "b": lambda: go("b")}, rounds=2, warm=False)

    assert order == ["a", "b", "b", "a"]


def test_a_missed_goal_is_shown_as_missed_with_its_reason() -> None:
    section = Section(
        "start: x", [Row("slow", costs(2), "theirs", costs(1), 1.5)], [Fact("all", "9", "≤ 1", False, "why")]
    )

    text = render(section)

    assert text.count("**missed**") == 2
    assert "- all: why" in text


def test_a_section_that_is_not_measured_keeps_what_it_said() -> None:
    sections = {name: f"## {name}: what\n\ntext of {name}\n" for name in SECTIONS}

    assert read_sections(write_sections(sections)) == sections


def test_the_writing_phase_lies_between_two_looks_at_the_trail() -> None:
    log = [
        ("list", 0.0, 0.1),
        ("trail", 0.1, 0.2),
        ("list", 0.3, 0.4),
        ("toggle", 0.5, 0.9),
        ("toggle", 0.6, 0.7),
        ("list", 1.0, 1.3),
        ("trail", 1.4, 1.5),
    ]

    phase = writing_phase(log)

    assert phase.calls == {"list": 2, "toggle": 2}
    assert phase.seconds == pytest.approx(1.0)


@pytest.mark.parametrize(("target", "calls"), [("neosc", 1_000 + 6), ("opena2a", 3_000 + 2)])
def test_the_calls_that_a_thousand_changes_need(target: str, calls: int) -> None:
    assert calls_needed(target, 1_000) == calls
