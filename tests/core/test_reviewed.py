"""What binds approval to apply: the set of what gets weaker may shrink after a review, and never grow."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.core.model import Plan
from reconciler.core.plan import make_plan
from reconciler.core.reviewed import beyond_review
from tests.builders import applied, inputs, live, policy, rate_limit

NAMES = ("A", "B", "C")


def plan(*wanted: Any, found: Any = None) -> Plan:
    """The plan for these bodies over live rate limits of 1000, all owned."""
    before = [rate_limit(name) for name in NAMES]
    return make_plan(inputs(wanted, [applied(body) for body in before], found or [live(body) for body in before]))


def limits(a: int = 1000, b: int = 1000, c: int = 1000) -> Plan:
    return plan(*(policy(rate_limit(name, limit)) for name, limit in zip(NAMES, (a, b, c), strict=True)))


def test_the_reviewed_plan_itself_may_go_on() -> None:
    assert beyond_review(limits(a=5000, b=10), limits(a=5000, b=10)) == ()


def test_a_weakening_that_nobody_reviewed_is_named() -> None:
    assert beyond_review(limits(a=5000, b=5000), limits(a=5000)) == ("update B (/conditions/max_requests_per_hour)",)


def test_what_tightens_may_come_at_any_time() -> None:
    assert beyond_review(limits(a=5000, b=1, c=1), limits(a=5000)) == ()


def test_a_weakening_that_went_away_is_no_reason_to_stop() -> None:
    assert beyond_review(limits(), limits(a=5000, b=5000)) == ()


def test_another_value_than_the_reviewed_one_is_new() -> None:
    assert beyond_review(limits(a=6000), limits(a=5000)) == ("update A (/conditions/max_requests_per_hour)",)


def test_a_field_more_on_a_reviewed_policy_is_new() -> None:
    loose = rate_limit("A", 5000)
    more = {**loose, "actions": {"on_violation": "alert"}}
    rest = [policy(rate_limit(name)) for name in NAMES[1:]]

    assert beyond_review(plan(policy(more), *rest), plan(policy(loose), *rest)) == ("update A (/actions/on_violation)",)


def test_another_action_on_a_reviewed_policy_is_new() -> None:
    rest = [policy(rate_limit(name)) for name in NAMES[1:]]
    disabled, deleted = plan(policy(rate_limit("A"), enabled=False), *rest), plan(*rest)

    [line] = beyond_review(deleted, disabled)

    assert line.startswith("delete A (")
    assert beyond_review(disabled, deleted) == ("disable A (/enabled)",)


def test_what_nobody_can_judge_counts_as_weakening() -> None:
    kind = {**rate_limit("A"), "policy_type": "custom_kind"}
    rest = [policy(rate_limit(name)) for name in NAMES[1:]]

    assert beyond_review(plan(policy(kind), *rest), limits()) != ()


def test_undoing_a_live_edit_that_tightened_was_to_be_reviewed_as_well() -> None:
    edited = [live(rate_limit("A", 10)), *(live(rate_limit(name)) for name in NAMES[1:])]
    wanted = [policy(rate_limit(name)) for name in NAMES]

    assert beyond_review(plan(*wanted, found=edited), limits()) == ("update A (/conditions/max_requests_per_hour)",)


def test_a_hostile_key_is_shown_harmless() -> None:
    before = rate_limit("x\x1b[2J")
    wanted = policy(rate_limit("x\x1b[2J", 5000))
    fresh = make_plan(inputs([wanted], [applied(before)], [live(before)]))

    [line] = beyond_review(fresh, limits())

    assert "\x1b" not in line


@settings(deadline=None)  # the machine may be busy
@given(st.tuples(*[st.sampled_from((10, 1000, 5000, 9000))] * 3), st.tuples(*[st.sampled_from((10, 1000, 5000))] * 3))
def test_nothing_is_beyond_itself_and_every_new_weakening_is(fresh: Any, reviewed: Any) -> None:
    new = {name for name, now, then in zip(NAMES, fresh, reviewed, strict=True) if now > 1000 and now != then}

    lines = beyond_review(limits(*fresh), limits(*reviewed))

    assert {line.split()[1] for line in lines} == new
    assert beyond_review(limits(*fresh), limits(*fresh)) == ()
