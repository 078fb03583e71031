"""Where two versions of a policy can differ: nothing is missed, whatever else changes, and little is looked at."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.impact.lift import Values
from reconciler.impact.narrow import narrowed
from reconciler.impact.replay import Version
from reconciler.semantics.compile import compile_policy
from reconciler.semantics.events import Event, parse_event
from reconciler.semantics.program import Effect, Program
from tests.impact.test_replay import POOL, check
from tests.semantics.test_laws import streams
from tests.support.replays import events_table

#: A kind of policy, what stays the same in it, and what is varied.
FAMILIES: list[tuple[str, dict[str, Any], str, list[Any]]] = [
    ("ip_allowlist", {}, "allowed_ips", [["10.0.0.0/24"], ["10.0.0.0/26"], ["192.168.1.*", "2001:db8::/32"]]),
    ("trust_score", {}, "min_trust_score", [29, 50, 60, 70]),
    ("unauthorized_access", {"denied_ips": ["10.0.0.66"]}, "restricted_resources", [["db/*"], ["hr/**"], ["crm/1"]]),
    ("unauthorized_access", {"restricted_actions": ["write"]}, "allowed_hours_end", [1, 2, 8, 18]),
    ("access_control", {"denied_roles": ["x"]}, "actions", [["read"], ["write", "login"], ["delete_*"]]),
    ("rate_limit", {"window_size": "1m"}, "max_requests", [1, 2, 3]),
    ("rate_limit", {"window_size": "1h", "window_type": "tumbling"}, "max_requests", [1, 2, 3]),
    ("rate_limit", {"window_size": "10m", "key": "global", "actions": ["read"]}, "max_requests", [1, 2]),
    ("rate_limit", {"window_size": "1m", "key": "source_ip"}, "max_requests", [1, 2]),
    ("rate_limit", {"window_size": "1m", "overrides": {"a": 2}}, "max_requests", [1, 3]),
    ("data_exfiltration", {"patterns": ["delete"], "time_window_mins": 1}, "data_threshold_mb", [1, 2, 3]),
    ("data_exfiltration", {"time_window_mins": 10}, "data_threshold_mb", [1, 5]),
]


def program(kind: str, conditions: dict[str, Any], effect: Effect = Effect.BLOCK) -> Program:
    found = compile_policy({"name": "p", "policy_type": kind, "conditions": conditions})
    assert isinstance(found, Program), found
    return replace(found, effect=effect, state=None)


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Program, Program]:
    kind, fixed, name, values = draw(st.sampled_from(FAMILIES))
    effect = draw(st.sampled_from([Effect.BLOCK, Effect.THROTTLE]))
    old, new = (program(kind, {**fixed, name: draw(st.sampled_from(values))}, effect) for _ in range(2))
    return old, new


@st.composite
def changes(draw: st.DrawFn) -> tuple[Version, Version]:
    """One or two policies that vary, and some that stay."""
    varied = dict(zip(["p", "q"], draw(st.lists(pairs(), min_size=1, max_size=2)), strict=False))
    stays = {key: replace(draw(st.sampled_from(POOL)), enabled=True) for key in draw(st.sets(st.sampled_from(["r"])))}
    return {**{k: old for k, (old, _) in varied.items()}, **stays}, {
        **{k: new for k, (_, new) in varied.items()},
        **stays,
    }


@settings(max_examples=6)
@given(changes(), streams())
def test_no_shift_is_missed_where_one_constant_changes(versions: tuple[Version, Version], events: list[Event]) -> None:
    check(*versions, events, "duckdb")


@pytest.mark.heavy
@settings(max_examples=120)
@given(changes(), streams(), st.sampled_from(["duckdb", "sqlite"]))
def test_no_shift_is_missed_in_hundreds_of_changes(
    versions: tuple[Version, Version], events: list[Event], engine: str
) -> None:
    check(*versions, events, engine)


def event(number: int, **more: Any) -> Event:
    value = {"event_id": f"e{number}", "ts_us": number * 1_000_000, "actor_id": "a", "action": "read", "resource": "x"}
    found = parse_event({**value, "seq": number, **more})
    assert isinstance(found, Event), found
    return found


def looked_at(old: Program, new: Program, events: list[Event]) -> list[int] | None:
    with events_table("duckdb", events) as table:
        small = narrowed(old, new, table, Values(table))
        return None if small is None else sorted(small.seq.to_pyarrow().to_pylist())


def test_only_events_with_a_value_whose_truth_changed_are_looked_at() -> None:
    events = [event(at, source_ip=f"10.0.0.{at}") for at in range(9)]
    old = program("ip_allowlist", {"allowed_ips": ["10.0.0.0/29"]})
    new = program("ip_allowlist", {"allowed_ips": ["10.0.0.0/30"]})

    assert looked_at(old, new, events) == [4, 5, 6, 7]


def test_of_a_limit_only_stretches_that_are_full_are_looked_at() -> None:
    quiet = [event(at * 1000) for at in range(5)]
    rush = [event(7000 + at) for at in range(5)]
    old, new = (program("rate_limit", {"max_requests_per_minute": n}) for n in (4, 3))

    assert looked_at(old, new, quiet + rush) == [each.seq for each in rush]
    assert looked_at(old, new, quiet) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (
            program("trust_score", {"min_trust_score": 50}),
            program("trust_score", {"min_trust_score": 50}, Effect.ALERT),
        ),
        (program("trust_score", {"min_trust_score": 50}), program("ip_allowlist", {"allowed_ips": ["10.0.0.0/29"]})),
        (
            program("rate_limit", {"max_requests_per_minute": 4}),
            program("rate_limit", {"max_requests_per_minute": 4, "window_type": "tumbling"}),
        ),
    ],
)
def test_where_more_than_a_constant_changes_every_event_is_looked_at(old: Program, new: Program) -> None:
    assert looked_at(old, new, [event(0)]) is None
    assert looked_at(new, old, [event(0)]) is None


@pytest.mark.heavy
def test_no_policy_beside_a_change_is_too_deep_for_sqlites_parser() -> None:
    old, new = (program("ip_allowlist", {"allowed_ips": [f"10.0.0.0/{bits}"]}) for bits in (29, 30))
    events = [event(at, source_ip=f"10.0.0.{at}") for at in range(6)]

    for beside in dict.fromkeys(replace(each, name="beside", enabled=True) for each in POOL):
        check({"p": old, "beside": beside}, {"p": new, "beside": beside}, events, "sqlite")
