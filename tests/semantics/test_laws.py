"""What holds for all policies and all events: independence, deny-overrides, modes (semantics.md B.1, B.4, B.5, D.5)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.semantics.classify import position, shift
from reconciler.semantics.decide import Decision, Engine, Mode
from reconciler.semantics.events import Event, parse_event
from reconciler.semantics.interpret import Outcome, Runner
from reconciler.semantics.program import Effect, Program
from tests.semantics.test_vectors import GOOD, programs_of
from tests.support.vectors import MIDNIGHT_US

POOL = [
    program
    for vector in GOOD
    if "policy_type" in vector.policies[0] and not vector.data
    for program in programs_of(vector)
    if program.enabled
]
EFFECTS = st.sampled_from([Effect.NONE, Effect.LOG, Effect.ALERT, Effect.BLOCK, Effect.THROTTLE, Effect.APPROVAL])


@st.composite
def programs(draw: st.DrawFn, least: int = 1) -> list[Program]:
    """Some policies of the vectors, under names of their own; those that suspend keep doing so."""
    chosen = draw(st.lists(st.sampled_from(POOL), min_size=least, max_size=6))
    return [
        replace(
            program,
            name=f"p{index}",
            priority=draw(st.integers(0, 2)),
            effect=program.effect if program.state is not None else draw(EFFECTS),
        )
        for index, program in enumerate(chosen)
    ]


#: Seconds at which the windows of the vectors begin and end, and one microsecond to each side.
INSTANTS = st.tuples(
    st.sampled_from([0, 1, 5, 10, 20, 60, 120, 600, 3600, 7200, 28_800, 64_800, 86_400]), st.integers(-1, 1)
).map(lambda pair: MIDNIGHT_US + pair[0] * 1_000_000 + pair[1])
COLUMNS: dict[str, st.SearchStrategy[Any]] = {
    "actor_id": st.sampled_from(["a", "b", "ci-1"]),
    "action": st.sampled_from(["read", "READ", "write", "login", "delete_x", "reinstate"]),
    "resource": st.sampled_from(["db/1", "crm/1", "hr/1/x", "pay/1/2", "plain"]),
    "actor_type": st.sampled_from(["ai_agent", "user", "system"]),
    "actor_roles": st.lists(st.sampled_from(["admin", "analyst", "x"]), max_size=2),
    "tenant": st.sampled_from(["t", "acme"]),
    "source_ip": st.sampled_from(["10.0.0.1", "10.0.0.66", "192.168.1.1", "2001:db8::1", "garbage"]),
    "is_vpn": st.booleans(),
    "country": st.sampled_from(["DE", "US", "KP"]),
    "success": st.booleans(),
    "trust_score": st.sampled_from([0, 29, 50, 59.9, 60, 70, 100]),
    "capabilities": st.lists(st.sampled_from(["a", "b", "admin:x"]), max_size=2),
    "granted_capabilities": st.lists(st.sampled_from(["read", "*", "file:*"]), max_size=2),
    "bytes": st.sampled_from([0, 1, 600_000, 1_048_576]),
    "records": st.sampled_from([0, 1, 100, 101]),
    "data_types": st.lists(st.sampled_from(["pii", "PCI"]), max_size=2),
    "approved": st.booleans(),
    "encrypted": st.booleans(),
    "mcp_server": st.sampled_from(["s", "bad"]),
    "mcp_domain": st.sampled_from(["x.example", "a.example.com"]),
    "mcp_trust_score": st.sampled_from([29, 30, 60]),
    "mcp_verified": st.booleans(),
    "public_key_fp": st.sampled_from(["f1", "f2"]),
    "public_key_changed": st.booleans(),
    "key_rotation_approved": st.booleans(),
}
REQUIRED = {"actor_id", "action", "resource"}


@st.composite
def streams(draw: st.DrawFn) -> list[Event]:
    """Events at the borders of windows, many at one instant, most columns recorded or not."""
    rows = draw(
        st.lists(
            st.fixed_dictionaries(
                {"ts_us": INSTANTS, **{name: COLUMNS[name] for name in REQUIRED}},
                optional={name: column for name, column in COLUMNS.items() if name not in REQUIRED},
            ),
            min_size=1,
            max_size=10,
        )
    )
    events = []
    for index, row in enumerate(sorted(rows, key=lambda row: row["ts_us"])):
        event = parse_event({"event_id": f"e{index}", **row}, seq=index)
        assert isinstance(event, Event)
        events.append(event)
    return events


def run(policies: list[Program], events: list[Event], mode: Mode = Mode.STRICT, **options: Any) -> list[Decision]:
    engine = Engine(policies, mode, **options)
    return [engine.step(event) for event in events]


def record(decision: Decision) -> tuple[Any, ...]:
    """All that a decision says, without the order in which policies were asked."""
    return (
        frozenset(decision.verdicts),
        frozenset(decision.violated),
        frozenset(decision.unknown),
        frozenset(decision.alerts),
        frozenset(decision.suspended),
        *(decision.would_block, decision.is_blocked, decision.primary, decision.label, decision.status),
        decision.retry_after_s,
    )


@settings(max_examples=150, deadline=None)
@given(programs(least=2), streams(), st.randoms())
def test_the_order_of_policies_decides_nothing(policies: list[Program], events: list[Event], chance: Any) -> None:
    shuffled = list(policies)
    chance.shuffle(shuffled)

    assert list(map(record, run(policies, events))) == list(map(record, run(shuffled, events)))


@settings(max_examples=150, deadline=None)
@given(programs(least=2), streams())
def test_a_policy_says_beside_others_what_it_says_alone(policies: list[Program], events: list[Event]) -> None:
    together = run(policies, events)

    for index, program in enumerate(policies):
        runner = Runner(program)
        assert [decision.verdicts[index] for decision in together] == [runner.step(event) for event in events]


@settings(max_examples=150, deadline=None)
@given(programs(least=2), streams(), st.booleans())
def test_one_more_policy_never_unblocks(policies: list[Program], events: list[Event], on_missing: bool) -> None:
    fewer = run(policies[:-1], events, on_missing=on_missing)
    more = run(policies, events, on_missing=on_missing)

    assert all(after.is_blocked for before, after in zip(fewer, more, strict=True) if before.is_blocked)


@settings(max_examples=150, deadline=None)
@given(programs(), streams())
def test_monitoring_never_blocks_and_alerts_as_strict_does(policies: list[Program], events: list[Event]) -> None:
    for watched, strict in zip(run(policies, events, Mode.MONITORING), run(policies, events, Mode.STRICT), strict=True):
        assert (watched.is_blocked, watched.status, watched.retry_after_s) == (False, 200, None)
        assert strict.is_blocked is strict.would_block is watched.would_block
        assert watched.verdicts == strict.verdicts
        assert [alert for alert in watched.alerts if not alert.suspension] == list(strict.alerts)


@settings(max_examples=100, deadline=None)
@given(programs(), streams())
def test_a_disabled_policy_is_as_good_as_none(policies: list[Program], events: list[Event]) -> None:
    disabled = [replace(program, enabled=False) for program in policies]

    decisions = run(disabled, events)

    assert {verdict.outcome for decision in decisions for verdict in decision.verdicts} == {Outcome.NA}
    assert not any(decision.would_block or decision.alerts for decision in decisions)


@settings(max_examples=150, deadline=None)
@given(programs(), streams())
def test_only_the_live_server_decides_what_nobody_can_tell(policies: list[Program], events: list[Event]) -> None:
    for server, preview in zip(run(policies, events), run(policies, events, on_missing=False), strict=True):
        assert server.verdicts == preview.verdicts
        for verdict in server.verdicts:
            if verdict.outcome is Outcome.UNKNOWN:
                assert verdict.policy not in preview.violated
                assert not verdict.states
            else:
                assert verdict.enforced is verdict.outcome


@settings(max_examples=100, deadline=None)
@given(programs(), streams())
def test_a_preview_of_the_same_policies_is_empty(policies: list[Program], events: list[Event]) -> None:
    positions = [
        [position(each.verdicts, is_suspended=bool(each.suspended), primary=each.primary) for each in decisions]
        for decisions in (run(policies, events, on_missing=False), run(policies, events, on_missing=False))
    ]

    assert {shift(old, new).value for old, new in zip(*positions, strict=True)} == {"no_change"}


@settings(max_examples=100, deadline=None)
@given(programs(), streams(), st.integers(0, 10))
def test_what_comes_later_changes_nothing_earlier(policies: list[Program], events: list[Event], cut: int) -> None:
    whole = run(policies, events)

    assert list(map(record, run(policies, events[:cut]))) == list(map(record, whole[:cut]))
