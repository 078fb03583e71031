"""Each guard fires where design.md 6 says, and only a dated entry in force lifts it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from reconciler.core.guard import GUARDS, Hold, Overrides, changes_allowed, is_in_force, parse_overrides
from reconciler.core.model import Override, Plan
from reconciler.core.plan import make_plan
from tests.builders import applied, inputs, listing, live, policy, rate_limit


def override(guard: str, key: str = "A", *, until: str = "2026-11-21", target: str | None = None) -> Override:
    return Override(guard, key, target, "Cut-over", "identity-team", until)


def lifted(*entries: Override, holds: tuple[Hold, ...] = ()) -> Overrides:
    return Overrides(entries, holds)


def plan_disable(*, in_git: bool = True, in_ledger: bool = True, **given: Any) -> Plan:
    """A plan that switches one policy off, with `critical` in git, in the ledger, or in both."""
    body = rate_limit("A")
    return make_plan(
        inputs(
            [policy(body, enabled=False, critical=in_git)], [applied(body, critical=in_ledger)], [live(body)], **given
        )
    )


@pytest.mark.parametrize(("in_git", "in_ledger"), [(True, True), (True, False), (False, True)])
def test_disabling_a_critical_policy_is_blocked_wherever_it_is_called_critical(in_git: bool, in_ledger: bool) -> None:
    plan = plan_disable(in_git=in_git, in_ledger=in_ledger)

    assert plan.blocked == ("critical-disabled",)
    assert plan.changes[0].guards == ("critical-disabled",)
    assert plan.changes[0].critical


def test_disabling_another_policy_is_not_blocked() -> None:
    assert plan_disable(in_git=False, in_ledger=False).blocked == ()


def test_switching_off_and_tightening_at_once_needs_one_override_only() -> None:
    wanted = policy(rate_limit("A", 500), enabled=False, critical=True)

    plan = make_plan(inputs([wanted], [applied(rate_limit("A"))], [live(rate_limit("A"))]))

    assert plan.blocked == ("critical-disabled",)


@pytest.mark.parametrize("enabled", [True, False])
def test_deleting_a_critical_policy_is_blocked_even_when_it_is_off(enabled: bool) -> None:
    body = rate_limit("A")

    plan = make_plan(inputs([], [applied(body, enabled=enabled, critical=True)], [live(body, enabled=enabled)]))

    assert plan.blocked == ("critical-deleted",)


@pytest.mark.parametrize(
    ("body", "blocked"),
    [
        (rate_limit("A", 2000), ("critical-weakened",)),
        (rate_limit("A", 500), ()),
        (rate_limit("A", description="other words"), ()),
        (rate_limit("A", 500, severity="low", enforcement_action="allow"), ("critical-weakened",)),
        ({**rate_limit("A"), "conditions": {"max_requests_per_minute": 10}}, ("critical-weakened",)),
    ],
    ids=["weakens", "tightens", "neutral", "mixed", "another window"],
)
def test_weakening_a_critical_policy_is_blocked(body: dict[str, Any], blocked: tuple[str, ...]) -> None:
    plan = make_plan(inputs([policy(body, critical=True)], [applied(rate_limit("A"))], [live(rate_limit("A"))]))

    assert plan.blocked == blocked


def test_a_drift_that_tightened_a_critical_policy_is_not_undone_in_silence() -> None:
    body = rate_limit("A")

    plan = make_plan(inputs([policy(body, critical=True)], [applied(body)], [live(rate_limit("A", 10))]))

    assert plan.blocked == ("critical-weakened",)


@pytest.mark.parametrize(
    ("live_mode", "wanted", "blocked"), [("STRICT", "monitoring", ("mode-weakened",)), ("MONITORING", "strict", ())]
)
def test_only_the_way_to_monitoring_is_blocked(live_mode: str, wanted: str, blocked: tuple[str, ...]) -> None:
    assert make_plan(inputs(found=listing(mode=live_mode), mode=wanted)).blocked == blocked


@pytest.mark.parametrize(("limit", "blocked"), [(2000, ("weakens",)), (500, ())])
def test_a_target_may_want_an_override_for_whatever_weakens(limit: int, blocked: tuple[str, ...]) -> None:
    plan = make_plan(
        inputs(
            [policy(rate_limit("A", limit))],
            [applied(rate_limit("A"))],
            [live(rate_limit("A"))],
            require_override="weakens",
        )
    )

    assert plan.blocked == blocked


@pytest.mark.parametrize(("limit", "blocked"), [(1, ("too-many-deletes",)), (2, ())])
def test_more_deletes_than_the_limit_are_blocked(limit: int, blocked: tuple[str, ...]) -> None:
    gone = [rate_limit("A"), rate_limit("B")]

    plan = make_plan(inputs([], [applied(body) for body in gone], [live(body) for body in gone], max_deletes=limit))

    assert plan.blocked == blocked
    assert all(change.guards == () for change in plan.changes)


@pytest.mark.parametrize(
    ("percent", "owned", "changed", "blocked"),
    [(30, 3, 1, False), (30, 3, 2, True), (30, 10, 3, False), (30, 10, 4, True), (1, 3, 1, False), (34, 3, 2, False)],
)
def test_the_share_of_changes_is_rounded_up_and_never_below_one(
    percent: int, owned: int, changed: int, blocked: bool
) -> None:
    names = [f"P{number}" for number in range(owned)]
    wanted = [policy(rate_limit(name, 500 if index < changed else 1000)) for index, name in enumerate(names)]

    plan = make_plan(
        inputs(
            wanted,
            [applied(rate_limit(name)) for name in names],
            [live(rate_limit(name)) for name in names],
            max_changes_percent=percent,
        )
    )

    assert plan.blocked == (("too-many-changes",) if blocked else ())


def test_creates_enables_and_adoptions_never_count_as_changes() -> None:
    owned, adopted = rate_limit("owned"), rate_limit("adopted", 500)

    plan = make_plan(
        inputs(
            [policy(owned), policy(adopted), policy(rate_limit("new 1")), policy(rate_limit("new 2"))],
            [applied(owned)],
            [live(owned, enabled=False), live(rate_limit("adopted"))],
            max_changes_percent=1,
        )
    )

    assert plan.blocked == ()
    assert plan.summary["create"] == 2
    assert plan.summary["enable"] == 1
    assert plan.summary["update"] == 1


def test_a_fraction_of_a_percent_is_exact() -> None:
    assert changes_allowed(0.1, 1000) == 1
    assert changes_allowed(0.1, 1001) == 2


def test_a_commit_that_does_not_follow_the_last_is_blocked() -> None:
    assert make_plan(inputs(descends=False)).blocked == ("not-a-descendant",)


@pytest.mark.parametrize(
    ("dirty", "applying", "blocked"), [(True, True, ("dirty-tree",)), (True, False, ()), (False, True, ())]
)
def test_dirty_files_stop_an_apply_and_no_plan(dirty: bool, applying: bool, blocked: tuple[str, ...]) -> None:
    assert make_plan(inputs(dirty=dirty, applying=applying)).blocked == blocked


# ---------------------------------------------------------------------------------------------- overrides


@pytest.mark.parametrize(
    ("until", "blocked"),
    [("2026-11-21", ()), ("2026-11-20", ()), ("2026-11-19", ("critical-disabled",)), ("soon", ("critical-disabled",))],
)
def test_an_override_counts_to_the_end_of_its_day(until: str, blocked: tuple[str, ...]) -> None:
    plan = plan_disable(overrides=lifted(override("critical-disabled", until=until)))

    assert plan.blocked == blocked
    assert len(plan.overrides) == (0 if blocked else 1)
    assert len(plan.warnings) == (1 if blocked else 0)


@pytest.mark.parametrize(
    "entry",
    [
        override("critical-disabled", "B"),
        override("critical-deleted"),
        override("critical-disabled", "*"),
        override("critical-disabled", target="other"),
    ],
    ids=["another policy", "another guard", "every policy", "another target"],
)
def test_an_override_lifts_one_guard_of_one_policy(entry: Override) -> None:
    plan = plan_disable(overrides=lifted(entry))

    assert plan.blocked == ("critical-disabled",)
    assert plan.overrides == ()


def test_the_fingerprint_does_not_change_when_an_override_ends() -> None:
    before = plan_disable(overrides=lifted(override("critical-disabled", until="2026-11-20")))
    after = plan_disable(overrides=lifted(override("critical-disabled", until="2026-11-19")))

    assert before.fingerprint == after.fingerprint
    assert before.changes == after.changes


def test_a_guard_on_the_whole_plan_is_lifted_for_every_policy_at_once() -> None:
    plan = make_plan(inputs(descends=False, overrides=lifted(override("not-a-descendant", "*"))))

    assert plan.blocked == ()
    assert [entry.guard for entry in plan.overrides] == ["not-a-descendant"]


@pytest.mark.parametrize("guard", [name for name, guard in GUARDS.items() if not guard.liftable])
def test_what_cannot_be_lifted_is_not_lifted(guard: str) -> None:
    read = listing(complete=False)

    plan = make_plan(
        inputs([policy()], [], read, dirty=True, applying=True, overrides=lifted(override(guard, "*"), override(guard)))
    )

    assert guard in plan.blocked
    assert plan.overrides == ()
    assert any("cannot be lifted" in warning for warning in plan.warnings)


def test_an_override_that_lifts_nothing_is_named() -> None:
    body = rate_limit("A")

    plan = make_plan(
        inputs([policy(body)], [applied(body)], [live(body)], overrides=lifted(override("critical-disabled")))
    )

    assert any("critical-disabled" in warning and '"A"' in warning for warning in plan.warnings)


def test_an_override_for_another_targets_policy_is_not_worth_a_word() -> None:
    plan = make_plan(inputs(overrides=lifted(override("critical-disabled", "elsewhere"))))

    assert plan.warnings == ()


@pytest.mark.parametrize("key", ["A", "*"])
def test_a_hold_leaves_a_policy_alone_and_says_so(key: str) -> None:
    plan = plan_disable(overrides=lifted(holds=(Hold(key, "Incident 311", "2026-11-20"),)))

    assert plan.changes == ()
    assert plan.blocked == ()
    assert [(entry.key, entry.action.value) for entry in plan.held] == [("A", "disable")]
    assert plan.held[0].reason == "hold until 2026-11-20: Incident 311"


def test_a_hold_that_ended_holds_nothing_and_is_named() -> None:
    plan = plan_disable(overrides=lifted(holds=(Hold("A", "Incident 311", "2026-11-19"),)))

    assert plan.held == ()
    assert len(plan.changes) == 1
    assert any("ended on 2026-11-19" in warning for warning in plan.warnings)


def test_a_hold_with_nothing_to_do_is_in_sync() -> None:
    body = rate_limit("A")

    plan = make_plan(
        inputs(
            [policy(body)],
            [applied(body)],
            [live(body)],
            overrides=lifted(holds=(Hold("A", "Incident 311", "2026-11-20"),)),
        )
    )

    assert plan.held == ()
    assert plan.summary["in_sync"] == 1


def test_the_last_day_ends_at_midnight_utc() -> None:
    assert is_in_force("2026-11-20", datetime(2026, 11, 20, 23, 59, 59, tzinfo=UTC))
    assert not is_in_force("2026-11-20", datetime(2026, 11, 21, tzinfo=UTC))
    assert is_in_force("2026-11-20", datetime.fromisoformat("2026-11-21T01:00:00+02:00"))


def test_overrides_are_read_from_the_file_as_documented() -> None:
    entry = {"guard": "weakens", "policy": "A", "reason": "r", "owner": "o", "until": "2027-01-31"}

    parsed = parse_overrides(
        {"overrides": [{**entry, "target": "neosc"}, entry], "hold": [{"policy": "*", "reason": "r", "until": "x"}]}
    )

    assert parsed.entries == (
        Override("weakens", "A", "neosc", "r", "o", "2027-01-31"),
        Override("weakens", "A", None, "r", "o", "2027-01-31"),
    )
    assert parsed.holds == (Hold("*", "r", "x"),)


@pytest.mark.parametrize("name", ["guard", "policy", "reason", "owner", "until"])
def test_an_override_that_is_not_whole_grants_nothing(name: str) -> None:
    entry = {"guard": "weakens", "policy": "A", "reason": "r", "owner": "o", "until": "2027-01-31"}

    without = {key: value for key, value in entry.items() if key != name}

    assert parse_overrides({"overrides": [without]}).entries == ()
    assert parse_overrides({"overrides": [{**entry, name: 1}]}).entries == ()


def test_an_override_with_a_broken_target_does_not_count_everywhere() -> None:
    entry = {"guard": "weakens", "policy": "A", "target": 5, "reason": "r", "owner": "o", "until": "2027-01-31"}

    assert parse_overrides({"overrides": [entry]}).entries == ()


def test_every_guard_has_a_sentence_and_a_way_out() -> None:
    assert all(guard.sentence and guard.way_out for guard in GUARDS.values())
    assert sorted(GUARDS) == list(GUARDS)
