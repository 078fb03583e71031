"""What holds of every change, on both embedded engines (semantics.md D.5 "Metamorphic", E.1).

The last laws tie the static label of a change to what it does to events: what tightens allows nothing that was blocked.
"""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.core.impact import Impact
from reconciler.core.model import Json, Risk
from reconciler.core.risk import join, policy_risk
from reconciler.core.schema import load_schemas
from reconciler.impact.lift import Values
from reconciler.impact.preview import open_events, preview
from reconciler.impact.replay import Version, replay
from reconciler.impact.store import write_events
from reconciler.impact.summary import summarise
from reconciler.semantics.classify import Shift
from reconciler.semantics.compile import compile_policy
from reconciler.semantics.events import Event, parse_event
from reconciler.semantics.program import Program
from tests.core.test_witness import PLAIN, SPANS, TYPES, some
from tests.impact.test_agreement import ENGINES
from tests.impact.test_preview import NARROW, RATE, WIDE, of, policy, traffic
from tests.impact.test_replay import VERSIONS, shifts_by_event, shifts_by_relation
from tests.semantics.test_laws import streams
from tests.support.replays import events_table
from tests.support.vectors import MIDNIGHT_US

SCHEMAS = load_schemas()
TIGHT = policy("rate", "rate_limit", {"max_requests_per_hour": 2}, "throttle")
HIGH, LOW = (policy("trust", "trust_score", {"min_trust_score": least}) for least in (40, 20))
OLD, NEW = of(WIDE, RATE, HIGH), of(NARROW, TIGHT, LOW)


def summary(old: Version, new: Version, events: list[Event], engine: str) -> Impact:
    with events_table(engine, events) as table:
        values = Values(table)
        return summarise(replay(old, new, table, values), old, new, table, values)


def is_zero(found: Impact) -> bool:
    counts = (found.newly_blocked, found.newly_allowed, found.maybe_blocked, found.maybe_allowed, found.consequential)
    return not any(counts) and found.days == ()


def numbered(count: int) -> list[Event]:
    ordered = sorted(traffic(count), key=lambda event: (event.ts_us, event.event_id))
    return [replace(event, seq=at) for at, event in enumerate(ordered)]


# ----------------------------------------------------------------------------------------------- the input


@pytest.mark.parametrize("engine", ENGINES)
def test_the_same_policies_are_zero_everywhere(engine: str) -> None:
    found = summary(OLD, dict(OLD), numbered(100), engine)

    assert found.events == 100
    assert found.changes == ()
    assert is_zero(found)


@pytest.mark.parametrize("engine", ENGINES)
def test_the_order_in_which_rows_lie_decides_nothing(engine: str) -> None:
    events = numbered(200)
    shuffled = list(events)
    random.Random(3).shuffle(shuffled)

    found = summary(OLD, NEW, shuffled, engine)

    assert found == summary(OLD, NEW, events, engine)
    assert found.newly_blocked
    assert found.newly_allowed


def test_how_events_come_into_a_folder_decides_nothing(tmp_path: Path) -> None:
    events = traffic(500)
    pieces = [events[at::3] for at in range(3)]
    whole, grown = tmp_path / "whole", tmp_path / "grown"

    write_events(whole, reversed(events), mapping={})
    stored = None
    for piece in pieces:
        stored = write_events(grown, piece, mapping={}, kept=stored)

    found = [previewed(folder) for folder in (whole, grown)]
    assert found[0] == found[1]
    assert found[0].newly_blocked


def previewed(folder: Path) -> Impact:
    with open_events(folder) as (table, stored):
        return preview(OLD, NEW, table, stored)


@pytest.mark.heavy
@pytest.mark.parametrize("engine", ENGINES)
def test_any_order_of_rows_is_as_good(engine: str) -> None:
    @settings(max_examples=40)
    @given(VERSIONS, VERSIONS, streams(), st.randoms(use_true_random=False))
    def check(old: Version, new: Version, events: list[Event], chance: random.Random) -> None:
        shuffled = list(events)
        chance.shuffle(shuffled)

        assert shifts_by_relation(old, new, shuffled, engine) == shifts_by_relation(old, new, events, engine)

    check()


# ---------------------------------------------------------------------------------------------- the policies


@settings(max_examples=50)
@given(VERSIONS, st.sampled_from(["p1", "p2", "p3"]), streams())
def test_switching_a_policy_on_never_unblocks(version: Version, key: str, events: list[Event]) -> None:
    old, new = switched(version, key)

    assert not {Shift.NEWLY_ALLOWED.value, Shift.MAYBE_ALLOWED.value} & set(shifts_by_event(old, new, events).values())


@settings(max_examples=4)
@given(VERSIONS, st.sampled_from(["p1", "p2", "p3"]), streams(), st.sampled_from(ENGINES))
def test_switching_a_policy_on_never_unblocks_recorded_events(
    version: Version, key: str, events: list[Event], engine: str
) -> None:
    old, new = switched(version, key)

    found = shifts_by_relation(old, new, events, engine)

    assert not {Shift.NEWLY_ALLOWED.value, Shift.MAYBE_ALLOWED.value} & set(found.values())


@pytest.mark.heavy
@pytest.mark.parametrize("engine", ENGINES)
def test_switching_policies_on_never_unblocks_hundreds_of_streams(engine: str) -> None:
    @settings(max_examples=100)
    @given(VERSIONS, st.sampled_from(["p1", "p2", "p3"]), streams())
    def check(version: Version, key: str, events: list[Event]) -> None:
        found = shifts_by_relation(*switched(version, key), events, engine)

        assert not {Shift.NEWLY_ALLOWED.value, Shift.MAYBE_ALLOWED.value} & set(found.values())

    check()


def switched(version: Version, key: str) -> tuple[Version, Version]:
    """The version with one of its policies off, and on."""
    if key not in version:
        return version, version
    return tuple({**version, key: replace(version[key], enabled=on)} for on in (False, True))  # type: ignore[return-value]


# ------------------------------------------------------------------------------------- the label of a change

DURATIONS = st.sampled_from(SPANS)
FEW = st.integers(0, 4)
#: Keys that only this file draws: no witness stands for them, but a direction does.
MORE: list[tuple[str, dict[str, st.SearchStrategy[Any]], dict[str, st.SearchStrategy[Any]]]] = [
    (
        "rate_limit",
        {"max_requests": FEW, "window_size": DURATIONS},
        {
            "window_type": st.sampled_from(["sliding", "tumbling"]),
            "key": st.sampled_from(["actor", "actor_action", "actor_resource", "tenant", "global"]),
            "overrides": st.dictionaries(st.sampled_from(["zz", "z*", "ci-*", "*"]), FEW, min_size=1, max_size=2),
            "burst_limit": FEW,
            "burst_window": DURATIONS,
            "trust_tiers": st.lists(
                st.fixed_dictionaries(
                    {"min_trust_score": st.sampled_from([0, 30, 60]), "multiplier": st.sampled_from([0.5, 1, 2])}
                ),
                min_size=1,
                max_size=2,
                unique_by=lambda tier: tier["min_trust_score"],
            ),
        },
    ),
    (
        "rate_limit",
        {"max_requests": st.integers(1, 4), "window_size": DURATIONS, "window_type": st.just("tumbling")},
        {
            "adaptive": st.fixed_dictionaries(
                {"backoff_factor": st.sampled_from([0.25, 0.5, 0.75]), "min_requests": st.integers(1, 2)}
            ),
            "overrides": st.dictionaries(st.sampled_from(["zz", "ci-*"]), FEW, min_size=1, max_size=1),
        },
    ),
    (
        "unusual_activity",
        {"api_rate_threshold": FEW},
        {
            "rate_scope": st.sampled_from(["action", "all"]),
            "time_window_minutes": st.sampled_from([1, 60]),
            "min_events": FEW,
            "min_agent_age": DURATIONS,
            "check_off_hours": st.booleans(),
            "check_unusual_patterns": st.booleans(),
            "unusual_pattern_threshold": FEW,
            "actions": some(["read", "w*"]),
        },
    ),
    (
        "config_drift",
        {"check_permission_escalation": st.booleans(), "check_capability_changes": st.just(True)},
        {
            "baseline_capabilities": some(["read", "admin:x"]),
            "dangerous_capabilities": some(["admin:*", "read"]),
            "only_new": st.booleans(),
            "direction": st.sampled_from(["any", "added", "removed"]),
            "actions": some(["read", "w*"]),
        },
    ),
    (
        "mcp_capabilities",
        {"required_capabilities": some(["read", "admin:x", "w*"])},
        {
            "require_all_capabilities": st.booleans(),
            "forbidden_capabilities": some(["admin:*", "read"]),
            "max_capability_count": FEW,
            "require_capability_declaration": st.booleans(),
        },
    ),
    (
        "access_control",
        {"required_roles": some(["zz", "ops"])},
        {"allowed_roles": some(["ops", "admin"]), "block_vpn": st.booleans(), "except_actors": some(["z*", "ci-1"])},
    ),
]
EFFECTS = st.sampled_from(["log", "alert", "block", "deny", "throttle", "require_approval", "suspend_agent"])


@st.composite
def versions(draw: st.DrawFn) -> tuple[dict[str, Json], dict[str, Json]]:
    """Two versions of one policy, of any type, that differ in some keys of conditions or envelope."""
    policy_type, always, maybe = draw(st.sampled_from([*TYPES, *MORE]))
    conditions = draw(st.fixed_dictionaries(always, optional=maybe))
    every = {**always, **maybe}
    others = dict(conditions)
    for key in draw(st.lists(st.sampled_from(sorted(every)), max_size=2, unique=True)):
        if key in others and key in maybe and draw(st.booleans()):
            del others[key]
        else:
            others[key] = draw(every[key])
    body = {"name": "p", "policy_type": policy_type}
    return {**body, "conditions": conditions, **draw(envelopes())}, {**body, "conditions": others, **draw(envelopes())}


@st.composite
def envelopes(draw: st.DrawFn) -> dict[str, Json]:
    """Mostly the same; now and then another effect, scope or word on what is missing."""
    found: dict[str, Json] = {"actions": {"on_violation": "block"}, "applies_to": "all", "enabled": True}
    if draw(st.integers(0, 5)) == 0:
        found["actions"] = {"on_violation": draw(EFFECTS)}
    if draw(st.integers(0, 5)) == 0:
        scopes: st.SearchStrategy[Any] = st.sampled_from([["agent_id:zz"], ["agent_id:z*"], ["role:ops"], "all_agents"])
        found["applies_to"] = draw(scopes)
    if draw(st.integers(0, 5)) == 0:
        found["on_missing"] = draw(st.sampled_from(["pass", "violate"]))
    if draw(st.integers(0, 3)) == 0:
        found["severity"] = draw(st.sampled_from(["low", "critical"]))
    return found


#: Values that the drawn policies tell apart.
VALUES: dict[str, list[Any]] = {
    "actor_id": ["zz", "z1", "ci-1"],
    "actor_type": ["ai_agent", "user"],
    "actor_roles": [["zz"], ["ops"], ["zz", "ops"], []],
    "action": ["read", "Read_x", "write", "delete_x", "login", "zz", "dump_all"],
    "resource": ["hr/a", "hr/a/b", "crm/x/eu/y", "zz", "a/b"],
    "resource_type": ["read", "zz", "wide", None],
    "source_ip": ["10.0.0.0", "10.200.0.1", "192.168.1.1", "2001:db8::1", "203.0.113.99", None],
    "country": ["DE", "US", "KP", "JP", None],
    "is_vpn": [True, False, None],
    "success": [True, False],
    "trust_score": [0, 29, 30, 59, 60, 100, None],
    "capabilities": [["zz"], ["read"], ["read", "admin:x"], [], None],
    "mcp_server": ["zz", "read_it", None],
    "mcp_domain": ["zz.example", "b.a.example", "corp.test", None],
    "mcp_trust_score": [0, 50, 100, None],
    "mcp_attestations": [0, 3, None],
    "mcp_capabilities": [["zz"], ["read"], ["read", "admin:x", "write"], [], None],
    "mcp_verified": [True, False, None],
    "records": [0, 1, 3, 9, None],
    "bytes": [0, 1_048_576, 3_000_000, None],
    "purpose": ["zz", "ops", None],
    "data_types": [["zz"], ["admin", "ops"], None],
    "tenant": ["zz", "other", None],
}
INSTANTS = st.tuples(st.sampled_from([1, 10, 60, 3600]), st.integers(0, 3), st.sampled_from([-1, 0, 0, 1])).map(
    lambda drawn: MIDNIGHT_US + drawn[0] * drawn[1] * 1_000_000 + drawn[2]
)


@st.composite
def recorded(draw: st.DrawFn) -> list[Event]:
    """Events that mostly are the plain one, and differ in a few columns each."""
    rows = []
    for _ in range(draw(st.integers(1, 10))):
        row: dict[str, Any] = {**PLAIN, "ts_us": draw(INSTANTS)}
        for column in draw(st.lists(st.sampled_from(sorted(VALUES)), max_size=5, unique=True)):
            row[column] = draw(st.sampled_from(VALUES[column]))
        rows.append({name: value for name, value in row.items() if value is not None})
    events = []
    for at, row in enumerate(sorted(rows, key=lambda row: row["ts_us"])):
        event = parse_event({**row, "event_id": f"e{at}"}, seq=at)
        assert isinstance(event, Event), event
        events.append(event)
    return events


def label(old: dict[str, Json], new: dict[str, Json]) -> Risk:
    """What a plan says of the change."""
    schema = SCHEMAS.policy_schema("opena2a", str(old["policy_type"]))
    return join(policy_risk(schema, old, new, sorted({f"/{key}" for key in (*old, *new)})).values())


#: What the label of a change promises that no event does.
FORBIDDEN = {
    Risk.TIGHTENS: {Shift.NEWLY_ALLOWED.value},
    Risk.WEAKENS: {Shift.NEWLY_BLOCKED.value},
    Risk.NEUTRAL: {each.value for each in Shift} - {Shift.NONE.value, Shift.REATTRIBUTED.value},
}


def broken(old: dict[str, Json], new: dict[str, Json], events: list[Event], engine: str | None) -> str | None:
    """How events contradict the label of a change, by the interpreter or by an engine."""
    programs = [compile_policy(each) for each in (old, new)]
    risk = label(old, new)
    was, now = (program for program in programs)
    if not isinstance(was, Program) or not isinstance(now, Program) or risk not in FORBIDDEN:
        return None
    if engine is None:
        found = shifts_by_event({"p": was}, {"p": now}, events)
    else:
        found = shifts_by_relation({"p": was}, {"p": now}, events, engine)
    wrong = {seq: each for seq, each in found.items() if each in FORBIDDEN[risk]}
    return f"{risk}: {wrong}\n{old}\n{new}\n{events}" if wrong else None


@settings(max_examples=200)
@given(versions(), recorded())
def test_no_event_contradicts_the_label_of_a_change(pair: tuple[Any, Any], events: list[Event]) -> None:
    assert broken(*pair, events, None) is None


@pytest.mark.heavy
@settings(max_examples=4000)
@given(versions(), recorded())
def test_no_event_contradicts_any_label(pair: tuple[Any, Any], events: list[Event]) -> None:
    assert broken(*pair, events, None) is None


@settings(max_examples=4)
@given(versions(), recorded(), st.sampled_from(ENGINES))
def test_no_replay_contradicts_the_label_of_a_change(pair: tuple[Any, Any], events: list[Event], engine: str) -> None:
    assert broken(*pair, events, engine) is None


@pytest.mark.heavy
@pytest.mark.parametrize("engine", ENGINES)
def test_no_replay_contradicts_any_label(engine: str) -> None:
    @settings(max_examples=150)
    @given(versions(), recorded())
    def check(pair: tuple[Any, Any], events: list[Event]) -> None:
        assert broken(*pair, events, engine) is None

    check()
