"""Dated exceptions: what a policy reads as while they last, what a plan says of them, that they end by themselves."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.core.exceptions import apply_exceptions, warnings_about
from reconciler.core.model import Action, Json, Origin, Plan, Policy, Risk
from reconciler.core.plan import ledger_after, make_plan
from tests.builders import applied, inputs, live, policy, rate_limit

DAY = "2026-11-20"
DURING = datetime(2026, 11, 20, 23, 59, 59, tzinfo=UTC)
AFTER = datetime(2026, 11, 21, tzinfo=UTC)
LOOSE: dict[str, Json] = {"conditions": {"max_requests_per_hour": 5000}}


def exception(patch: dict[str, Json], until: Json = DAY, reason: str = "Load test") -> dict[str, Json]:
    return {"reason": reason, "owner": "platform-team", "until": until, "set": patch}


def excepted(*entries: dict[str, Json], **more: Any) -> Policy:
    return policy(metadata={"exceptions": [*entries]}, **more)


def at(now: datetime, wanted: Policy, ledger: Any, found: Any) -> Plan:
    return make_plan(inputs([apply_exceptions(wanted, now)], [ledger], [found], now=now))


def limit(wanted: Policy) -> Json:
    conditions = wanted.body["conditions"]
    assert isinstance(conditions, dict)
    return conditions["max_requests_per_hour"]


# ------------------------------------------------------------------------------------------- what it reads as


def test_an_exception_lasts_to_the_end_of_its_last_day_in_utc() -> None:
    wanted = excepted(exception(LOOSE))

    assert limit(apply_exceptions(wanted, DURING)) == 5000
    assert limit(apply_exceptions(wanted, AFTER)) == 1000


def test_the_end_of_the_day_is_that_of_utc_wherever_the_clock_stands() -> None:
    tokyo = AFTER.astimezone(tz=ZoneInfo("Asia/Tokyo"))
    honolulu = DURING.astimezone(tz=ZoneInfo("Pacific/Honolulu"))

    assert limit(apply_exceptions(excepted(exception(LOOSE)), tokyo)) == 1000
    assert limit(apply_exceptions(excepted(exception(LOOSE)), honolulu)) == 5000


def test_exceptions_change_the_policy_in_list_order() -> None:
    first, second = exception(LOOSE), exception({"conditions": {"max_requests_per_hour": 7000}, "severity": "low"})

    assert limit(apply_exceptions(excepted(first, second), DURING)) == 7000
    assert limit(apply_exceptions(excepted(second, first), DURING)) == 5000
    assert apply_exceptions(excepted(second, first), DURING).body["severity"] == "low"


@pytest.mark.parametrize(("patch", "enabled"), [({"enabled": False}, False), ({"enabled": None}, True)])
def test_an_exception_may_switch_a_policy(patch: dict[str, Json], enabled: bool) -> None:
    assert apply_exceptions(excepted(exception(patch), enabled=not enabled), DURING).enabled is enabled


@pytest.mark.parametrize(
    "until", [None, "", "soon", "2026-13-01", "2026-02-30", "20261120", "2026-W47-5", "2026-11-20 ", 20261120, True]
)
def test_an_exception_without_a_valid_last_day_is_not_granted_and_named(until: Json) -> None:
    wanted = excepted(exception(LOOSE, until))

    plan = at(DURING, wanted, applied(), live())

    assert limit(apply_exceptions(wanted, DURING)) == 1000
    assert plan.changes == ()
    assert any("without a valid last day: not granted" in line for line in plan.warnings)


def test_an_exception_cannot_touch_metadata() -> None:
    wanted = excepted(exception({"metadata": {"critical": False}, "severity": "low"}), critical=True)

    changed = apply_exceptions(wanted, DURING)

    assert changed.metadata["critical"] is True
    assert "metadata" not in changed.body


def test_a_policy_without_exceptions_is_left_as_it_is() -> None:
    wanted = policy()

    assert apply_exceptions(wanted, DURING) is wanted


@settings(deadline=None)  # the machine may be busy
@given(st.lists(st.sampled_from(["2026-11-18", "2026-11-19", DAY, "2026-11-22"]), max_size=4), st.integers(-4, 4))
def test_what_a_policy_reads_as_depends_on_the_exceptions_in_force_only(days: list[str], shift: int) -> None:
    now = DURING + timedelta(days=shift)
    entries = [exception({"conditions": {"max_requests_per_hour": 2000 + at}}, day) for at, day in enumerate(days)]
    today = now.date().isoformat()

    with_all = apply_exceptions(excepted(*entries), now)
    with_those = apply_exceptions(excepted(*[entry for entry in entries if str(entry["until"]) >= today]), now)

    assert with_all.body == with_those.body


# ---------------------------------------------------------------------------------------------- in a plan


def test_a_granted_exception_is_a_change_with_a_reason_and_a_warning() -> None:
    plan = at(DURING, excepted(exception(LOOSE)), applied(), live())

    [change] = plan.changes
    assert (change.action, change.risk, change.origin) == (Action.UPDATE, Risk.WEAKENS, Origin.GIT)
    assert change.why == "exception-granted"
    assert 'exception until 2026-11-20, ends today on "Rate Limit" by platform-team: Load test' in plan.warnings


def test_guards_apply_to_an_exception_as_to_any_change() -> None:
    wanted = excepted(exception({"enabled": False}), critical=True)

    plan = at(DURING, wanted, applied(critical=True), live())

    assert plan.blocked == ("critical-disabled",)


def test_while_it_lasts_there_is_nothing_to_do() -> None:
    wanted, loose = excepted(exception(LOOSE)), rate_limit(limit=5000)

    plan = at(DURING, wanted, applied(loose, metadata=wanted.metadata), live(loose))

    assert plan.changes == ()
    assert len(plan.warnings) == 1


def test_after_it_the_policy_is_restored_and_the_plan_says_why() -> None:
    wanted, loose = excepted(exception(LOOSE)), rate_limit(limit=5000)

    plan = at(AFTER, wanted, applied(loose, metadata=wanted.metadata), live(loose))

    [change] = plan.changes
    assert (change.action, change.risk, change.origin) == (Action.UPDATE, Risk.TIGHTENS, Origin.GIT)
    assert change.why == "exception-ended"
    assert (
        'exception on "Rate Limit" by platform-team ended on 2026-11-20, so the policy is restored: Load test'
        in plan.warnings
    )


def test_the_ledger_remembers_what_was_applied_under_the_exception() -> None:
    wanted, loose = apply_exceptions(excepted(exception(LOOSE)), DURING), rate_limit(limit=5000)
    given = inputs([wanted], [applied()], [live()], now=DURING)

    entries, _ = ledger_after(given, {"Rate Limit": live(loose)}, {})

    assert entries["Rate Limit"].body == loose
    assert entries["Rate Limit"].metadata == wanted.metadata


def test_runs_that_were_missed_for_days_do_not_hide_why() -> None:
    first, second = exception(LOOSE, "2026-11-18"), exception({"severity": "low"}, "2026-11-19")
    wanted, then = excepted(first, second), rate_limit(limit=5000, severity="low")

    plan = at(AFTER, wanted, applied(then, metadata=wanted.metadata), live(then))

    assert plan.changes[0].why == "exception-ended"
    assert sum("so the policy is restored" in line for line in plan.warnings) == 2


def test_the_end_of_one_exception_leaves_the_others_in_force() -> None:
    first, second = exception(LOOSE), exception({"severity": "low"}, "2026-12-24", reason="Freeze")
    wanted, then = excepted(first, second), rate_limit(limit=5000, severity="low")

    plan = at(AFTER, wanted, applied(then, metadata=wanted.metadata), live(then))

    [change] = plan.changes
    assert [field.pointer for field in change.fields] == ["/conditions/max_requests_per_hour"]
    assert change.why == "exception-ended"
    assert any(line.startswith('exception until 2026-12-24 on "Rate Limit"') for line in plan.warnings)


def test_a_change_that_git_asks_for_has_no_such_reason() -> None:
    wanted = excepted(exception({"severity": "low"}, "2026-12-24"))
    now = replace(wanted, body={**wanted.body, "conditions": {"max_requests_per_hour": 500}})
    before = rate_limit(severity="low")

    plan = at(DURING, now, applied(before, metadata=wanted.metadata), live(before))

    assert [field.pointer for field in plan.changes[0].fields] == ["/conditions/max_requests_per_hour"]
    assert plan.changes[0].why is None


def test_an_exception_that_never_was_in_force_explains_nothing() -> None:
    loose = rate_limit(limit=5000)

    plan = at(AFTER, excepted(exception(LOOSE)), applied(loose), live(loose))

    assert plan.changes[0].why is None
    assert any("ended on 2026-11-20, and changes nothing; remove it" in line for line in plan.warnings)


def test_a_hand_that_moved_the_policy_under_its_exception_is_not_the_exceptions_doing() -> None:
    wanted, loose = excepted(exception(LOOSE)), rate_limit(limit=5000)

    plan = at(DURING, wanted, applied(loose, metadata=wanted.metadata), live(rate_limit(limit=9000)))

    assert (plan.changes[0].origin, plan.changes[0].why) == (Origin.DRIFT, None)


@pytest.mark.parametrize(("until", "said"), [("2026-11-27", "ends in 7 days"), ("2026-11-28", None)])
def test_an_exception_that_ends_within_a_week_says_so(until: str, said: str | None) -> None:
    plan = at(DURING, excepted(exception(LOOSE, until)), applied(), live())

    [line] = plan.warnings
    assert line.startswith(f"exception until {until}")
    assert (said in line) if said else ("ends" not in line)


def test_what_people_write_into_an_exception_cannot_forge_a_line() -> None:
    plan = at(DURING, excepted(exception(LOOSE, reason="x\n::error::\x1b[2J")), applied(), live())

    [line] = plan.warnings
    assert "\n" not in line
    assert "\x1b" not in line


def test_the_lines_about_one_policy_cannot_be_forged_by_another_ones_reason() -> None:
    forged = 'x" on "Rate Limit" by nobody: exception until 2026-11-20 on "Rate Limit" by nobody'
    other = policy(
        rate_limit("Other"), metadata={"exceptions": [exception(LOOSE, reason=forged), exception(LOOSE, "2026-12-31")]}
    )

    plan = at(DURING, other, applied(rate_limit("Other")), live(rate_limit("Other")))

    assert warnings_about("Rate Limit", plan.warnings) == ()
    assert warnings_about("Other", plan.warnings) == plan.warnings
    assert len(plan.warnings) == 2
