"""Deques and counters against the plain definition, where windows begin and end (semantics.md B.2, B.8, D.5)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.semantics.ast import Adaptive, Age, Baseline, Count, Distinct, Gap, Limit, Node, Prev, Seen, Sum
from reconciler.semantics.events import Event
from reconciler.semantics.interpret import Outcome, Runner
from reconciler.semantics.limits import backed_off
from reconciler.semantics.program import Clause, Group, Program
from tests.semantics.oracle import truth

W = 10
#: Where windows begin and end, one to each side, and often the same instant (semantics.md D.5).
INSTANTS = st.tuples(st.integers(0, 6), st.sampled_from([-1, 0, 1, 2])).map(lambda pair: max(0, pair[0] * W + pair[1]))
EVENTS = st.lists(
    st.builds(
        lambda ts, actor, action, tenant, kind, size: (ts, actor, action, tenant, kind, size),
        INSTANTS,
        st.sampled_from("ab"),
        st.sampled_from(["read", "READ", "write"]),
        st.sampled_from(["t", None]),
        st.sampled_from(["x", "y", "z", None]),
        st.sampled_from([0, 1, 3, None]),
    ),
    min_size=1,
    max_size=24,
)
WINDOWS = st.sampled_from([W - 1, W, W + 1, 2 * W])
KEYS = st.sampled_from([("actor_id",), ("actor_id", "action"), ("tenant",), ()])
LIMITS = st.integers(0, 4).map(Limit)
BACKING_OFF = st.builds(
    lambda base, factor, least: Limit(base, adaptive=Adaptive(factor, least)),
    st.integers(1, 6),
    st.sampled_from(["0.5", "0.3", "0.9"]),
    st.integers(1, 3),
)
NODES: dict[str, st.SearchStrategy[Node]] = {
    "sliding": st.builds(Count, KEYS, WINDOWS, LIMITS),
    "tumbling": st.builds(Count, KEYS, WINDOWS, LIMITS, st.just(True)),
    "backing off": st.builds(Count, KEYS, WINDOWS, BACKING_OFF, st.just(True)),
    "sum": st.builds(Sum, KEYS, WINDOWS, st.just("bytes"), st.integers(0, 8)),
    "distinct": st.builds(Distinct, KEYS, WINDOWS, st.just("resource_type"), st.integers(0, 3)),
    "previous": st.builds(Prev, KEYS, st.just("resource_type")),
    "age": st.builds(Age, KEYS, st.just(">="), WINDOWS),
    "gap": st.builds(Gap, KEYS, st.just(">"), WINDOWS),
    "seen": st.builds(Seen, KEYS, st.just(">="), st.integers(0, 5)),
    "baseline": st.builds(Baseline, KEYS, WINDOWS, st.integers(2, 4), st.integers(0, 3), st.integers(1, 2)),
}


def program(node: Node) -> Program:
    return Program("p", "t", (Group((Clause("c", node),)),))


def stream(rows: list[tuple[int, str, str, str | None, str | None, int | None]]) -> list[Event]:
    return [
        Event(
            f"e{index}", ts, actor, action, "r", seq=index, tenant=tenant, resource_type=kind, bytes=size,
            action_key=action.lower(),
        )
        for index, (ts, actor, action, tenant, kind, size) in enumerate(sorted(rows, key=lambda row: row[0]))
    ]  # fmt: skip


OUTCOMES = {True: Outcome.VIOLATE, False: Outcome.PASS, None: Outcome.UNKNOWN}


@pytest.mark.parametrize("kind", NODES)
@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_state_agrees_with_looking_at_everything_every_time(kind: str, data: st.DataObject) -> None:
    node, events = data.draw(NODES[kind]), stream(data.draw(EVENTS))
    runner = Runner(program(node))

    outcomes = [runner.step(event).outcome for event in events]

    assert outcomes == [OUTCOMES[truth(node, events[: at + 1])] for at in range(len(events))]


@pytest.mark.parametrize(
    "node",
    [
        Count(("actor_id",), W, Limit(3)),
        Count(("actor_id",), W, Limit(3), tumbling=True),
        Sum(("actor_id",), W, "bytes", 100),
        Distinct(("actor_id",), W, "resource_type", 3),
        Baseline(("actor_id",), W, 2, 1, 1),
    ],
    ids=["sliding", "tumbling", "sum", "distinct", "baseline"],
)
def test_a_key_that_no_window_reaches_any_more_is_dropped(node: Node) -> None:
    runner = Runner(program(node))

    for index in range(1000):
        runner.step(Event("e", index, f"a{index}", "x", "r", bytes=1, resource_type="t"))

    assert len(runner) <= 100


@pytest.mark.parametrize("limit", [Limit(3), Limit(1, overrides=(("a", 3),)), Limit(1, tiers=((0.0, 3),))])
def test_a_window_keeps_no_more_instants_than_the_largest_limit_needs(limit: Limit) -> None:
    runner = Runner(program(Count(("actor_id",), 10**9, limit)))
    for index in range(1000):
        verdict = runner.step(Event("e", index, "a", "x", "r"))

    (group,) = runner._groups
    (tracker,) = group.trackers

    assert verdict.outcome is Outcome.VIOLATE
    assert [len(row) for row in tracker._rows.values()] == [4]  # type: ignore[union-attr]


def test_previous_values_stay_until_they_are_to_be_forgotten() -> None:
    runner = Runner(program(Prev(("actor_id",), "public_key_fp")))
    before = Event("e", 0, "a", "x", "r", public_key_fp="f1")
    after = replace(before, ts_us=10**15, public_key_fp="f2")
    runner.step(before)

    kept = runner.step(after)
    runner.forget(after.ts_us + 1)
    forgotten = runner.step(replace(after, ts_us=after.ts_us + 2, public_key_fp="f3"))

    assert (kept.outcome, forgotten.outcome) == (Outcome.VIOLATE, Outcome.PASS)


def test_forgetting_takes_nothing_from_a_window() -> None:
    runner = Runner(program(Count(("actor_id",), W, Limit(1))))
    runner.step(Event("e", 5, "a", "x", "r"))

    runner.forget(100)

    assert runner.step(Event("e", 6, "a", "x", "r")).outcome is Outcome.VIOLATE


@given(st.integers(0, 10**6), st.sampled_from(["0.5", "0.99", "0.001", "0.1"]), st.integers(1, 100))
def test_backing_off_only_falls_and_ends_at_its_minimum(count: int, factor: str, least: int) -> None:
    steps = backed_off(count, Adaptive(factor, least))

    assert steps[0] == count
    assert list(steps) == sorted(steps, reverse=True)
    assert steps[-1] == min(count, least)
