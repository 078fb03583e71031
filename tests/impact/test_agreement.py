"""Both engines say the same: event by event and as relations, on DuckDB and on SQLite (semantics.md D.5)."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.impact.lift import Values
from reconciler.impact.outcomes import PASSES, UNKNOWN, VIOLATES, outcomes, states_of
from reconciler.semantics.events import Event
from reconciler.semantics.interpret import Outcome, Runner
from reconciler.semantics.program import Effect, Program
from tests.semantics.test_laws import POOL, streams
from tests.semantics.test_vectors import GOOD, events_of, programs_of
from tests.support.replays import events_table

ENGINES = ["duckdb", "sqlite"]
CODES = {Outcome.PASS: PASSES, Outcome.UNKNOWN: UNKNOWN, Outcome.VIOLATE: VIOLATES}
CASES = [(program, events_of(vector)) for vector in GOOD for program in programs_of(vector) if vector.events]


def event_by_event(program: Program, events: list[Event]) -> dict[int, tuple[Any, ...]]:
    """What the interpreter says, as the relation says it; an event that is not looked at has no row."""
    runner, found = Runner(program), {}
    for event in events:
        verdict = runner.step(event)
        if verdict.outcome is not Outcome.NA:
            suspends = verdict.effect is Effect.SUSPEND and program.effect is not Effect.SUSPEND
            starts = tuple(state in verdict.states for state in states_of(program))
            enforced = verdict.enforced is Outcome.VIOLATE
            found[event.seq] = (CODES[verdict.outcome], enforced, suspends, *starts)
    return found


def relation(program: Program, events: list[Event], engine: str, *, dense: bool = True) -> dict[int, tuple[Any, ...]]:
    with events_table(engine, events) as table:
        rows = outcomes(program, table, Values(table), dense=dense).to_pyarrow().to_pylist()
    states = [f"s{index}" for index in range(len(states_of(program)))]
    found = {}
    for row in rows:
        assert row["seq"] not in found
        flags = (bool(row[name]) for name in ("enforced", "suspends", *states))
        found[row["seq"]] = (int(row["outcome"]), *flags)
    return found


def disagreement(program: Program, events: list[Event], engine: str) -> str | None:
    want, got = event_by_event(program, events), relation(program, events, engine)
    return None if want == got else f"{program}\n{events}\nevent by event: {want}\nas a relation: {got}"


@pytest.mark.parametrize("engine", ENGINES)
def test_some_golden_vectors_come_out_alike(engine: str) -> None:
    assert [found for program, events in CASES[::45] if (found := disagreement(program, events, engine))] == []


@pytest.mark.heavy
@pytest.mark.parametrize("engine", ENGINES)
def test_all_golden_vectors_come_out_alike(engine: str) -> None:
    assert [found for program, events in CASES if (found := disagreement(program, events, engine))] == []


@settings(max_examples=8)
@given(st.sampled_from(POOL), streams(), st.sampled_from(ENGINES))
def test_any_policy_on_any_events_comes_out_alike(program: Program, events: list[Event], engine: str) -> None:
    assert disagreement(program, events, engine) is None


@pytest.mark.heavy
@settings(max_examples=250)
@given(st.sampled_from(POOL), streams(), st.sampled_from(ENGINES))
def test_hundreds_of_policies_and_events_come_out_alike(program: Program, events: list[Event], engine: str) -> None:
    assert disagreement(program, events, engine) is None


def test_what_passes_has_no_row() -> None:
    program, events = next((program, events) for program, events in CASES if program.policy_type == "ip_allowlist")

    rows = relation(program, events, "duckdb", dense=False)

    assert rows == {seq: row for seq, row in event_by_event(program, events).items() if row[0] != PASSES}
    assert 0 < len(rows) < len(events)
