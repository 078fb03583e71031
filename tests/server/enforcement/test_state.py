"""What policies remember: across a restart, beside another process, through changes of policies, with samples."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from reconciler.semantics.decide import Decision
from reconciler.semantics.events import Event
from reconciler.server.enforcement.engine import HISTORY_US, LiveEngine
from reconciler.server.enforcement.tables import events, suspensions
from tests.support.evaluations import Agency, HandClock, agency
from tests.support.servers import RunningServer, reference_server

BLOCK = {"on_violation": "block"}
SUSPEND = {"on_violation": "suspend_agent"}


@pytest.fixture
def file(db: str, tmp_path: Path) -> str:
    """A database that outlives the server."""
    return str(tmp_path / "policies.db") if db == ":memory:" else db


@contextmanager
def serving(db: str, clock: HandClock, **options: Any) -> Iterator[Agency]:
    with reference_server(db=db, clock=clock, neosc_crud=True, **options) as server, agency(server, clock) as agents:
        yield agents


def outcomes(agents: Agency, count: int, **columns: Any) -> list[str]:
    """What the only policy says of some events in a row."""
    return [next(iter(agents.ask(**columns)["outcomes"].values())) for _ in range(count)]


def stored(agents: Agency) -> int:
    own = events.c.organization == agents.organization
    with agents.store.read() as connection:
        return connection.execute(sa.select(sa.func.count()).select_from(events).where(own)).scalar_one()


# ---------------------------------------------------------------------------------------------------- restart


@pytest.mark.parametrize(
    ("policy_type", "conditions", "columns", "before", "after"),
    [
        ("rate_limit", {"max_requests_per_hour": 5}, {}, 3, ["PASS", "PASS", "VIOLATE"]),
        ("rate_limit", {"max_requests": 4, "window_size": "7d", "window_type": "tumbling"}, {}, 3, ["PASS", "VIOLATE"]),
        ("data_exfiltration", {"data_threshold_mb": 4}, {"bytes": 1_048_576}, 2, ["PASS", "VIOLATE"]),
        ("auth_failure", {"max_attempts": 4}, {"action": "login", "success": False}, 2, ["PASS", "VIOLATE"]),
        ("unusual_activity", {"api_rate_threshold": 3}, {"source_ip": "10.0.0.1"}, 2, ["PASS", "VIOLATE"]),
        ("config_drift", {"check_capability_changes": True}, {"capabilities": ["b", "a"]}, 1, ["PASS", "PASS"]),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_a_limit_fires_at_the_event_it_would_have_fired_at_without_the_restart(
    policy_type: str,
    conditions: dict[str, Any],
    columns: dict[str, Any],
    before: int,
    after: list[str],
    file: str,
    clock: HandClock,
) -> None:
    with serving(file, clock) as agents:
        agents.policy(policy_type, **conditions)
        assert outcomes(agents, before, **columns) == ["PASS"] * before

    with serving(file, clock) as agents:
        found = outcomes(agents, len(after), **columns)

    assert found == after


def test_a_suspension_outlasts_every_window_and_every_restart(file: str, clock: HandClock) -> None:
    with serving(file, clock) as agents:
        agents.policy(min_trust_score=60, actions=SUSPEND)
        agents.ask(trust_score=1)
        told = agents.ask(trust_score=90)
    clock.at_us += 3 * HISTORY_US

    with serving(file, clock) as agents:
        held = agents.ask(trust_score=90)
        agents.ask("reinstate", trust_score=90)
        free = agents.ask(trust_score=90)

    assert len(told["alerts"]) == 1
    assert (held["would_block"], held["alerts"]) == (True, [])
    assert held["suspended"][0]["since_us"] == told["suspended"][0]["since_us"]
    assert (free["would_block"], free["suspended"]) == (False, [])


def test_events_that_no_window_reaches_any_more_are_not_read_again(file: str, clock: HandClock) -> None:
    with serving(file, clock) as agents:
        agents.policy("rate_limit", max_requests_per_minute=2)
        outcomes(agents, 2)
    clock.at_us += 60_000_000

    with serving(file, clock) as agents:
        assert outcomes(agents, 3) == ["PASS", "PASS", "VIOLATE"]


@pytest.mark.parametrize("restarts", [False, True])
@pytest.mark.parametrize(("days", "outcome"), [(29, "VIOLATE"), (31, "PASS")])
def test_a_previous_value_is_remembered_for_30_days(
    days: int, outcome: str, restarts: bool, file: str, clock: HandClock
) -> None:
    with serving(file, clock) as agents:
        agents.policy("config_drift", check_capability_changes=True)
        outcomes(agents, 1, capabilities=["a"])
        clock.at_us += days * HISTORY_US // 30
        if not restarts:
            assert outcomes(agents, 1, capabilities=["b"]) == [outcome]
            return

    with serving(file, clock) as agents:
        assert outcomes(agents, 1, capabilities=["b"]) == [outcome]


# ------------------------------------------------------------------------------------------- another process


def test_two_servers_on_one_database_count_as_one(file: str, clock: HandClock) -> None:
    with serving(file, clock) as one, serving(file, clock) as other:
        one.policy("rate_limit", max_requests_per_hour=4)

        found = [outcomes(agents, 1)[0] for agents in (one, other, one, other, one, other)]

    assert found == ["PASS"] * 4 + ["VIOLATE"] * 2


def test_two_servers_on_one_database_know_of_each_others_policies_and_suspensions(file: str, clock: HandClock) -> None:
    with serving(file, clock) as one, serving(file, clock) as other:
        one.ask()
        other.ask()
        other.policy(min_trust_score=60, actions=SUSPEND)
        one.ask(trust_score=1)

        held = other.ask(trust_score=90)
        other.set_mode("strict")
        blocked = one.ask(trust_score=90)
        other.ask("reinstate", trust_score=90)
        free = one.ask(trust_score=90)

    assert (held["would_block"], blocked["decision"], free["decision"]) == (True, "block", "allow")


def test_an_evaluation_that_could_not_be_written_did_not_happen(agents: Agency) -> None:
    agents.policy("rate_limit", max_requests_per_hour=2)
    outcomes(agents, 1)
    rename(agents, "trail_heads", "elsewhere")

    event = {"actor_id": "a", "action": "read", "resource": "db/1"}
    failed = agents.http.post("/v1/evaluate", json=event, headers={"Connection": "close"})
    rename(agents, "elsewhere", "trail_heads")

    assert failed.status_code == 500
    assert outcomes(agents, 2) == ["PASS", "VIOLATE"]


def test_an_evaluation_that_failed_is_not_taken_for_another_servers(file: str, clock: HandClock) -> None:
    with serving(file, clock) as one, serving(file, clock) as other:
        one.policy("rate_limit", max_requests_per_hour=1)
        outcomes(one, 1, actor_id="c")
        rename(one, "trail_heads", "elsewhere")
        event = {"actor_id": "a", "action": "read", "resource": "db/1"}
        one.http.post("/v1/evaluate", json=event, headers={"Connection": "close"})
        rename(one, "elsewhere", "trail_heads")
        outcomes(other, 1, actor_id="b")  # as the same number, at the same instant

        found = outcomes(one, 1, actor_id="b") + outcomes(one, 1, actor_id="a")

    assert found == ["VIOLATE", "PASS"]


def test_what_was_decided_and_never_committed_does_not_count(agents: Agency) -> None:
    agents.policy("rate_limit", max_requests_per_hour=1)
    live, now_us = LiveEngine(), agents.clock.at_us
    event = Event("e", 0, "a", "read", "db/1", action_key="read")

    def decide() -> Decision:
        with agents.store.write() as connection:
            engine = live.of(connection, agents.organization, "monitoring", now_us)
            decided.append(engine.decide(event, now_us))
            raise ZeroDivisionError

    decided: list[Decision] = []
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            decide()

    assert [each.violated for each in decided] == [(), ()]


def rename(agents: Agency, table: str, name: str) -> None:
    with agents.store.write() as connection:
        connection.execute(sa.text(f"ALTER TABLE {table} RENAME TO {name}"))


# ------------------------------------------------------------------------------------------- policies change


def test_a_policy_counts_from_the_past_as_soon_as_it_is_there(agents: Agency) -> None:
    agents.policy("rate_limit", name="first", max_requests_per_hour=100)
    for _ in range(3):
        agents.ask()

    later = agents.policy("rate_limit", name="second", max_requests_per_hour=3)

    assert agents.ask()["outcomes"][later] == "VIOLATE"


def test_editing_one_policy_leaves_what_another_counted(agents: Agency) -> None:
    steady = agents.policy("rate_limit", name="steady", max_requests_per_hour=2)
    edited = agents.policy(name="edited", min_trust_score=60)
    for _ in range(2):
        agents.ask(trust_score=50)

    agents.http.put(
        f"/v1/admin/security-policies/{edited.partition('/')[2]}",
        json={"name": "edited", "policy_type": "trust_score", "conditions": {"min_trust_score": 40}},
    )

    assert agents.ask(trust_score=50)["outcomes"] == {steady: "VIOLATE", edited: "PASS"}


@pytest.mark.parametrize("way", ["toggle", "delete"])
def test_a_policy_that_is_off_or_gone_decides_nothing_any_more(way: str, agents: Agency) -> None:
    ref = agents.policy(min_trust_score=60, actions=BLOCK)
    path = f"/v1/admin/security-policies/{ref.partition('/')[2]}"
    on = agents.ask(trust_score=1)

    if way == "toggle":
        agents.done(agents.http.patch(f"{path}/toggle", json={"enabled": False}))
    else:
        agents.done(agents.http.delete(path))
    off = agents.ask(trust_score=1)

    assert (on["outcomes"], off["outcomes"]) == ({ref: "VIOLATE"}, {})


def test_a_suspension_ends_when_its_policy_is_switched_off_and_does_not_come_back(agents: Agency) -> None:
    path = f"/v1/admin/security-policies/{agents.policy(min_trust_score=60, actions=SUSPEND).partition('/')[2]}/toggle"
    agents.ask(trust_score=1)

    held = agents.ask(trust_score=90)
    agents.done(agents.http.patch(path, json={"enabled": False}))
    agents.ask(trust_score=90)
    agents.done(agents.http.patch(path, json={"enabled": True}))
    free = agents.ask(trust_score=90)

    assert (len(held["suspended"]), free["suspended"]) == (1, [])
    with agents.store.read() as connection:
        own = suspensions.c.organization == agents.organization
        assert connection.execute(sa.select(suspensions).where(own)).first() is None


def test_neoscs_policies_hold_for_every_organization_from_the_first_list_on(
    enforcing: RunningServer, agents: Agency
) -> None:
    before = agents.ask("login", mfa_verified=False)
    with agency(enforcing, agents.clock, f"{agents.organization}-other") as others:
        made = others.http.get("/api/policies").json()
        after = agents.ask("login", mfa_verified=False)
        others.http.patch("/api/policies/pol-mfa-required")
        off = agents.ask("login", mfa_verified=False)
        for policy in made:
            others.http.delete(f"/api/policies/{policy['id']}")

    assert "neosc/pol-mfa-required" not in before["outcomes"]
    assert after["outcomes"]["neosc/pol-mfa-required"] == "VIOLATE"
    assert after["violations"][0]["policy_name"] == "MFA Required"
    assert "neosc/pol-mfa-required" not in off["outcomes"]


def test_two_policies_of_one_name_in_two_systems_are_two_policies(agents: Agency) -> None:
    ours = agents.policy(name="p", min_trust_score=60)
    check = {"rules": ["r"], "checks": {"r": {"require_mfa": True}}}
    theirs = agents.neosc({"id": "p", "name": "p", "type": "access", **check})

    reply = agents.ask(trust_score=1, mfa_verified=False)

    agents.http.delete("/api/policies/p")
    assert reply["outcomes"] == {theirs: "VIOLATE", ours: "VIOLATE"}


# ------------------------------------------------------------------------------------------------------ sample


def test_a_sample_leaves_out_nothing_that_counts_or_that_somebody_would_miss(file: str, clock: HandClock) -> None:
    with serving(file, clock, sample=0) as agents:
        limit = {"max_requests_per_hour": 3, "actions": ["drop"]}
        agents.opena2a({"name": "limit", "policy_type": "rate_limit", "conditions": limit})
        agents.policy(name="trust", min_trust_score=60)
        for _ in range(3):
            agents.ask("read", trust_score=90)
        nothing = stored(agents)
        agents.ask("read", trust_score=1)  # violates
        agents.ask("read")  # nobody can tell
        for _ in range(3):
            agents.ask("drop", trust_score=90)  # counts
        kept = stored(agents)

    with serving(file, clock, sample=0) as agents:
        found = agents.ask("drop", trust_score=90)

    assert (nothing, kept) == (0, 5)
    assert found["seq"] == 9
    assert len(found["violations"]) == 1


def test_a_sample_is_about_as_large_as_it_should_be_and_the_same_everywhere(file: str, clock: HandClock) -> None:
    batch = [{"event_id": f"e{n}", "actor_id": "a", "action": "read", "resource": "db/1"} for n in range(1000)]
    with serving(file, clock, sample=0.25) as agents:
        agents.ask_all(batch)

        count = stored(agents)

    assert count == 260


# ------------------------------------------------------------------------------------------------------ at once


def test_many_at_once_are_counted_one_by_one(agents: Agency) -> None:
    agents.policy("rate_limit", max_requests_per_hour=60)

    with ThreadPoolExecutor(8) as pool:
        replies = list(pool.map(lambda n: agents.ask(event_id=f"e{n % 100}"), range(120)))

    decided = {reply["event_id"]: reply for reply in replies}
    assert sorted(reply["seq"] for reply in decided.values()) == list(range(1, 101))
    assert [len(reply["violations"]) for reply in sorted(decided.values(), key=lambda reply: reply["seq"])] == (
        [0] * 60 + [1] * 40
    )
    assert all(reply == decided[reply["event_id"]] for reply in replies)
