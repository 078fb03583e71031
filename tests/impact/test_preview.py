"""What a change would have done: planted flips are recovered, nothing is made up, and nothing raw is shown."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from reconciler.core.impact import Impact, over_budget
from reconciler.impact.preview import open_events, preview
from reconciler.impact.replay import Version
from reconciler.impact.store import write_events
from reconciler.semantics.compile import compile_policy
from reconciler.semantics.decide import Engine, Mode
from reconciler.semantics.events import Event, parse_event
from reconciler.semantics.program import Effect, Program

MONDAY_US = 1_772_409_600_000_000
HOUR_US = 3_600_000_000


def traffic(count: int = 3000) -> list[Event]:
    """Three days of requests by ten agents from forty addresses, the same every time."""
    chance = random.Random(7)
    events = []
    for at in range(count):
        agent = f"agent-{chance.randrange(10):02}"
        found = parse_event(
            {
                "event_id": f"e{at:05}",
                "ts_us": MONDAY_US + chance.randrange(72) * HOUR_US + chance.randrange(60) * 1_000_000,
                "actor_id": agent,
                "actor_type": "ai_agent",
                "action": chance.choice(["read", "write", "delete_row"]),
                "resource": f"hr/payroll/{chance.randrange(50)}/{at % 7}",
                "source_ip": None if at % 10 == 0 else f"192.168.{chance.randrange(4)}.{chance.randrange(10)}",
                "trust_score": chance.randrange(101),
                "bytes": chance.randrange(200_000),
            }
        )
        assert isinstance(found, Event)
        events.append(found)
    return events


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("events") / "week"
    write_events(path, traffic(), mapping={})
    return path


def policy(name: str, policy_type: str, conditions: dict[str, Any], effect: str = "block", **more: Any) -> Program:
    body = {"name": name, "policy_type": policy_type, "conditions": conditions, "actions": {"on_violation": effect}}
    found = compile_policy({**body, **more})
    assert isinstance(found, Program), found
    return found


def of(*programs: Program) -> Version:
    return {program.name: program for program in programs}


def preview_of(old: Version, new: Version, folder: Path) -> Impact:
    with open_events(folder) as (table, stored):
        return preview(old, new, table, stored)


WIDE = policy("ip", "ip_allowlist", {"allowed_ips": ["192.168.0.0/22"]})
NARROW = policy("ip", "ip_allowlist", {"allowed_ips": ["192.168.0.0/23"]})
RATE = policy("rate", "rate_limit", {"max_requests_per_hour": 3}, "throttle")


def in_order(events: list[Event]) -> list[Event]:
    return sorted(events, key=lambda event: (event.ts_us, event.event_id))


def test_a_change_that_is_none_is_zero_everywhere(folder: Path) -> None:
    same = preview_of(of(WIDE, RATE), of(WIDE, replace(RATE, name="rate", priority=3)), folder)

    assert same.events == 3000
    assert same.changes == ()
    assert (same.newly_blocked, same.newly_allowed, same.maybe_blocked, same.maybe_allowed) == (0, 0, 0, 0)
    assert same.days == ()


def test_what_a_smaller_list_of_addresses_stops_is_counted_and_shown(folder: Path) -> None:
    outside = [e for e in traffic() if (e.source_ip or "").startswith(("192.168.2.", "192.168.3."))]

    found = preview_of(of(WIDE), of(NARROW), folder)

    change = found.of("ip")
    assert change is not None
    assert (found.newly_blocked, change.newly_blocked, change.only) == (len(outside),) * 3
    assert (found.newly_allowed, change.masked, found.maybe_blocked) == (0, 0, 0)
    assert change.blocked_actors == found.newly_blocked_actors == len({event.actor_id for event in outside})
    assert dict(change.actors)["agent-00"] == sum(event.actor_id == "agent-00" for event in outside)
    assert sum(day.newly_blocked for day in found.days) == len(outside)
    assert dict(change.coverage) == {"source_ip": 0.9}


def test_addresses_that_nobody_recorded_may_be_blocked_and_are_never_counted_as_blocked(folder: Path) -> None:
    unknown = sum(event.source_ip is None for event in traffic())

    found = preview_of({}, of(NARROW), folder)

    assert found.maybe_blocked == unknown == 300
    assert found.newly_blocked + found.maybe_blocked < 3000


def test_what_another_policy_blocks_anyway_is_masked(folder: Path) -> None:
    every = policy("all", "unauthorized_access", {"restricted_actions": ["write"]})
    hit = [e for e in traffic() if e.action == "write" and (e.source_ip or "").startswith(("192.168.2.", "192.168.3."))]

    found = preview_of(of(WIDE, every), of(NARROW, every), folder)

    change = found.of("ip")
    assert change is not None
    assert change.masked == len(hit) > 0


def test_nothing_that_is_shown_is_raw(folder: Path) -> None:
    found = preview_of(of(WIDE), of(NARROW), folder)

    text = repr(found)
    assert "192.168.2.0/24" in text
    assert not any(f"'{event.source_ip}'" in text or event.resource in text for event in traffic())
    assert [example.at for example in found.changes[0].first] == sorted(x.at for x in found.changes[0].first)
    assert len(found.changes[0].first) == 10


def test_a_policy_that_only_alerts_is_counted_by_its_alerts(folder: Path) -> None:
    quiet = replace(NARROW, effect=Effect.ALERT)
    outside = sum((e.source_ip or "").startswith(("192.168.2.", "192.168.3.")) for e in traffic())

    on = preview_of({}, of(quiet), folder)
    off = preview_of(of(quiet), {}, folder)

    assert (on.newly_blocked, on.changes[0].newly_alerting, on.changes[0].no_longer_alerting) == (0, outside, 0)
    assert (off.newly_allowed, off.changes[0].newly_alerting, off.changes[0].no_longer_alerting) == (0, 0, outside)


def test_a_suspension_is_counted_apart_from_what_starts_it(folder: Path) -> None:
    strict = policy("data", "data_exfiltration", {"patterns": ["delete"]}, "suspend_agent")
    events = in_order(traffic())
    engine = Engine([strict], on_missing=False)
    decisions = [engine.step(replace(event, seq=at)) for at, event in enumerate(events)]

    found = preview_of({}, of(strict), folder)

    change = found.of("data")
    assert change is not None
    assert change.newly_blocked == sum("delete" in event.action for event in events)
    assert found.newly_blocked == sum(decision.would_block for decision in decisions)
    assert change.consequential == found.consequential == found.newly_blocked - change.newly_blocked > 0


def recorded(folder: Path, version: Version, mode: Mode) -> list[Event]:
    """The traffic with the decisions that a server with *version* took, its own reading of what is missing included."""
    engine = Engine(list(version.values()), mode)
    events = [replace(event, seq=at) for at, event in enumerate(in_order(traffic(600)))]
    decided = [replace(e, decision="block" if engine.step(e).is_blocked else "allow") for e in events]
    write_events(folder, decided, mapping={})
    return decided


@pytest.mark.parametrize("mode", [Mode.STRICT, Mode.MONITORING])
def test_the_current_policies_reproduce_what_they_decided(tmp_path: Path, mode: Mode) -> None:
    strict = policy(
        "data", "data_exfiltration", {"patterns": ["delete"]}, "suspend_agent", applies_to="agent_id:agent-01"
    )
    decided = recorded(tmp_path / "events", of(NARROW, RATE, strict), mode)

    with open_events(tmp_path / "events") as (table, stored):
        same = preview(of(NARROW, RATE, strict), of(WIDE, RATE, strict), table, stored, mode=mode.upper())
        other = preview(of(WIDE), of(NARROW), table, stored, mode=mode.upper())

    assert same.fidelity is not None
    assert other.fidelity is not None
    assert (same.fidelity.compared, same.fidelity.agree, same.fidelity.reasons) == (600, 600, ())
    blocked = sum(event.decision == "block" for event in decided)
    assert (blocked > 0) is (mode is Mode.STRICT)
    assert (other.fidelity.agree < 600) is (mode is Mode.STRICT)


def random_policies(count: int) -> Iterator[Program]:
    """Different policies of several types, the same every time."""
    chance = random.Random(11)
    for at in range(count):
        name = f"p{at:03}"
        kind = at % 5
        if kind == 0:
            yield policy(name, "ip_allowlist", {"allowed_ips": [f"192.168.{chance.randrange(4)}.0/24"]})
        elif kind == 1:
            yield policy(name, "trust_score", {"min_trust_score": chance.randrange(1, 60)})
        elif kind == 2:
            yield policy(name, "rate_limit", {"max_requests_per_hour": chance.randrange(3, 30)}, "throttle")
        elif kind == 3:
            yield policy(
                name, "unauthorized_access", {"restricted_resources": [f"hr/payroll/{chance.randrange(50)}/*"]}
            )
        else:
            yield policy(name, "data_exfiltration", {"data_threshold_mb": chance.randrange(1, 4), "patterns": ["zzz"]})


@pytest.mark.heavy
def test_two_hundred_random_changes_are_recovered_exactly(folder: Path) -> None:
    events = [replace(event, seq=at) for at, event in enumerate(in_order(traffic()))]
    several = list(random_policies(400))

    for before, after in zip(several[::2], several[1::2], strict=True):
        old, new = of(replace(before, name="p")), of(replace(after, name="p"))
        blocks = [
            [decision.would_block for decision in map(Engine(list(v.values()), on_missing=False).step, events)]
            for v in (old, new)
        ]
        found = preview_of(old, new, folder)
        pairs = list(zip(*blocks, strict=True))
        lost = sum(was and not now for was, now in pairs)
        assert found.newly_blocked + found.maybe_blocked >= sum(now and not was for was, now in pairs), (before, after)
        assert found.newly_allowed + found.maybe_allowed >= lost, (before, after)


def test_budgets_are_kept_when_they_are_just_reached(folder: Path) -> None:
    found = preview_of(of(WIDE), of(NARROW), folder)
    share = found.newly_blocked / found.events

    assert over_budget(found, {"max_newly_blocked": found.newly_blocked, "max_newly_blocked_share": share}) == ()
    assert over_budget(found, {"max_newly_blocked": found.newly_blocked - 1}) == ("max_newly_blocked",)
    assert over_budget(found, {"max_newly_blocked_actors": 0, "max_newly_blocked_share": 0}) == (
        "max_newly_blocked_actors",
        "max_newly_blocked_share",
    )
