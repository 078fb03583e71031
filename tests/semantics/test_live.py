"""An engine that lives long: policies change under it, it is restarted, others count for it (semantics.md B.5, D.7)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.core.model import Json
from reconciler.semantics.compile import compile_policy
from reconciler.semantics.decide import Engine, Mode
from reconciler.semantics.events import Event
from reconciler.semantics.program import Program
from tests.semantics.test_laws import programs, streams

MINUTE_US = 60_000_000


def suspending(name: str = "p", **actions: Any) -> Program:
    policy: dict[str, Json] = {
        "name": name,
        "policy_type": "trust_score",
        "conditions": {"min_trust_score": 60},
        "actions": {"on_violation": "suspend_agent", **actions},
    }
    found = compile_policy(policy)
    assert isinstance(found, Program)
    return found


def limit(name: str, most: int) -> Program:
    found = compile_policy({"name": name, "policy_type": "rate_limit", "conditions": {"max_requests_per_minute": most}})
    assert isinstance(found, Program)
    return found


def event(seq: int, minute: float = 0, *, action: str = "read", **columns: Any) -> Event:
    return Event(f"e{seq}", round(minute * MINUTE_US), "a", action, "db/1", seq=seq, action_key=action, **columns)


@given(programs(least=2), streams(), st.data())
@settings(max_examples=30)
def test_an_engine_restarted_in_the_middle_decides_as_one_that_never_stopped(
    policies: list[Program], stream: list[Event], data: st.DataObject
) -> None:
    cut = data.draw(st.integers(0, len(stream)))
    steady, before, after = (Engine(policies, Mode.STRICT) for _ in range(3))
    wanted = [steady.step(each) for each in stream][cut:]

    for each in stream[:cut]:
        before.step(each)
        after.count(each)
    actors = {each.actor_id for each in stream}
    after.suspensions.restore(kept for actor in actors for kept in before.suspensions.standing(actor))

    assert [after.step(each) for each in stream[cut:]] == wanted


@given(programs(least=2), streams(), st.data())
@settings(max_examples=30)
def test_a_policy_that_comes_later_judges_as_one_that_was_always_there(
    policies: list[Program], stream: list[Event], data: st.DataObject
) -> None:
    cut = data.draw(st.integers(0, len(stream)))
    changed = [replace(policies[0], priority=7), *policies[1:]]
    fresh_start = Engine(changed)
    wanted = [fresh_start.step(each).verdicts for each in stream][cut:]
    engine = Engine(policies)
    for each in stream[:cut]:
        engine.step(each)

    fresh = engine.replace(changed)
    for runner in fresh:
        for each in stream[:cut]:
            runner.step(each)

    assert len(fresh) == 1
    assert [engine.step(each).verdicts for each in stream[cut:]] == wanted


def test_a_policy_that_stays_keeps_its_windows_when_others_come_and_go() -> None:
    engine = Engine([limit("stays", 1), limit("goes", 1)])
    engine.step(event(0))

    fresh = engine.replace([limit("comes", 1), limit("stays", 1)])

    assert [runner.program.name for runner in fresh] == ["comes"]
    assert engine.step(event(1)).violated == ("stays",)


def test_a_suspension_that_was_kept_holds_and_is_told_once() -> None:
    engine = Engine([suspending()])
    engine.step(event(0, trust_score=1.0))
    told = engine.step(event(1, trust_score=90.0))
    kept = engine.suspensions.standing("a")

    engine.replace([suspending()])
    free = engine.step(event(2, trust_score=90.0))
    engine.suspensions.restore(kept)
    again = engine.step(event(3, trust_score=90.0))

    assert told.alerts
    assert free.suspended == ()
    assert again.suspended
    assert again.alerts == ()


def test_a_suspension_ends_with_its_policy() -> None:
    engine = Engine([suspending("p"), suspending("q")])
    engine.step(event(0, trust_score=1.0))
    kept = engine.suspensions.standing("a")

    engine.replace([replace(suspending("p"), enabled=False)])
    engine.suspensions.restore(kept)

    assert len(kept) == 2
    assert engine.step(event(1, trust_score=90.0)).suspended == ()


def test_an_edited_policy_holds_on_its_new_terms_those_whom_it_held() -> None:
    engine = Engine([suspending()])
    engine.step(event(0, trust_score=1.0))
    kept = engine.suspensions.standing("a")

    engine.replace([suspending(suspend_duration="5m")])
    engine.suspensions.restore(kept)
    inside = engine.step(event(1, 4.9, trust_score=90.0))
    outside = engine.step(event(2, 5, trust_score=90.0))

    assert [each.until_us for each in inside.suspended] == [5 * MINUTE_US]
    assert outside.suspended == ()


def test_an_event_that_ends_suspensions_is_known_as_such() -> None:
    suspensions = Engine([suspending(), limit("counts", 1)]).suspensions

    assert suspensions.policies == {"p"}
    assert suspensions.reinstates(event(1, action="reinstate"))
    assert not suspensions.reinstates(event(1, action="read"))


def test_an_event_is_counted_when_some_policy_remembers_it() -> None:
    engine = Engine([suspending(), replace(limit("off", 1), enabled=False)])
    engine.step(event(0, trust_score=90.0))
    nobody = engine.counted()

    engine.replace([suspending(), limit("on", 1)])
    engine.step(event(1, trust_score=90.0))

    assert not nobody
    assert engine.counted()
