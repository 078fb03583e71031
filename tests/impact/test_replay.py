"""A change of policies over recorded events: every shift, as the interpreter says it event by event."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.impact.replay import Version, changed_keys, replay
from reconciler.semantics.classify import Position, Shift, position, shift
from reconciler.semantics.decide import Engine
from reconciler.semantics.events import Event
from reconciler.semantics.program import Effect, Program
from tests.semantics.test_laws import POOL, streams
from tests.support.replays import events_table


def positions(version: Version, events: list[Event]) -> list[Position]:
    engine = Engine([replace(program, name=key) for key, program in version.items()], on_missing=False)
    decisions = [engine.step(event) for event in events]
    return [position(decision.verdicts, is_suspended=bool(decision.suspended)) for decision in decisions]


def shifts_by_event(old: Version, new: Version, events: list[Event]) -> dict[int, str]:
    pairs = zip(events, positions(old, events), positions(new, events), strict=True)
    found = {event.seq: shift(was, now) for event, was, now in pairs}
    return {seq: each.value for seq, each in found.items() if each not in (Shift.NONE, Shift.REATTRIBUTED)}


def shifts_by_relation(old: Version, new: Version, events: list[Event], engine: str = "duckdb") -> dict[int, str]:
    with events_table(engine, events) as table:
        rows = replay(old, new, table).shifts.to_pyarrow().to_pylist()
    return {row["seq"]: row["shift"] for row in rows if row["shift"] != Shift.NONE.value}


EFFECTS = st.sampled_from([Effect.ALERT, Effect.BLOCK, Effect.THROTTLE])
PROGRAMS = st.builds(
    lambda program, effect, enabled: replace(
        program, effect=program.effect if program.state is not None else effect, enabled=enabled
    ),
    st.sampled_from(POOL),
    EFFECTS,
    st.booleans(),
)
VERSIONS = st.dictionaries(st.sampled_from(["p1", "p2", "p3"]), PROGRAMS, max_size=3)


def check(old: Version, new: Version, events: list[Event], engine: str) -> None:
    want = shifts_by_event(old, new, events)

    got = shifts_by_relation(old, new, events, engine)

    assert got == want, (old, new, events)


@settings(max_examples=8)
@given(VERSIONS, VERSIONS, streams())
def test_every_shift_is_the_interpreters(old: Version, new: Version, events: list[Event]) -> None:
    check(old, {**old, **new}, events, "duckdb")


@pytest.mark.heavy
@settings(max_examples=100)
@given(VERSIONS, VERSIONS, streams(), st.sampled_from(["duckdb", "sqlite"]))
def test_hundreds_of_changes_shift_as_the_interpreter_says(
    old: Version, new: Version, events: list[Event], engine: str
) -> None:
    check(old, new, events, engine)


@settings(max_examples=8)
@given(VERSIONS, streams())
def test_the_same_policies_touch_nothing(version: Version, events: list[Event]) -> None:
    with events_table("duckdb", events) as table:
        found = replay(version, dict(version), table)

        assert found.changed == ()
        assert found.shifts.to_pyarrow().num_rows == 0


def test_texts_severities_and_switched_off_policies_change_no_outcome() -> None:
    program = next(program for program in POOL if program.policy_type == "ip_allowlist")
    other = replace(program, name="x", severity="critical", priority=9, notify_admins=True)
    off = replace(program, enabled=False)

    assert changed_keys({"p": program}, {"p": other}) == ()
    assert changed_keys({"p": off}, {}) == ()
    assert changed_keys({"p": program}, {"p": off}) == ("p",)
    assert changed_keys({}, {"p": replace(program, effect=Effect.BLOCK)}) == ("p",)


def test_what_is_switched_off_allows_again_what_it_blocked() -> None:
    program: Program = replace(
        next(program for program in POOL if program.policy_type == "ip_allowlist"), effect=Effect.BLOCK
    )
    inside, outside = (Event(f"e{at}", 10 + at, "a", "read", "db/1", seq=at) for at in range(2))
    inside, outside = (
        replace(each, source_ip=ip, address=None) for each, ip in ((inside, "10.0.0.1"), (outside, "8.8.8.8"))
    )

    got = shifts_by_relation({"p": program}, {"p": replace(program, enabled=False)}, [inside, outside])

    assert got == {1: Shift.NEWLY_ALLOWED.value}
