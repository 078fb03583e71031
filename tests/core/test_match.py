"""Files, ledger entries and live policies find each other by id, then by name; what is left is nobody's."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from reconciler.core.match import Matched, match_policies
from reconciler.core.model import Applied, LivePolicy, Policy
from reconciler.errors import ExitCode, LiveError
from tests.builders import applied, live, policy, rate_limit


def match(
    policies: Sequence[Policy] = (),
    ledger: Sequence[Applied] = (),
    found: Sequence[LivePolicy] = (),
    *,
    only: Sequence[str] = (),
) -> Matched:
    return match_policies(policies, {entry.key: entry for entry in ledger}, found, key_field="name", only=only)


def test_a_file_takes_over_the_only_live_policy_with_its_name() -> None:
    found = live(rate_limit("A"))

    matched = match([policy(rate_limit("A"))], [], [found])

    assert [(pair.key, pair.live) for pair in matched.pairs] == [("A", found)]
    assert matched.unmanaged == ()


def test_the_ledgers_id_counts_before_the_name() -> None:
    renamed, namesake = live(rate_limit("renamed"), id="1"), live(rate_limit("A"), id="2")

    matched = match([policy(rate_limit("A"))], [applied(rate_limit("A"), id="1")], [renamed, namesake])

    assert matched.pairs[0].live == renamed
    assert matched.unmanaged == (namesake,)


def test_a_policy_made_anew_under_the_old_name_is_found_by_name() -> None:
    anew = live(rate_limit("A"), id="2")

    matched = match([policy(rate_limit("A"))], [applied(rate_limit("A"), id="1")], [anew])

    assert matched.pairs[0].live == anew
    assert matched.pairs[0].applied is not None


def test_a_namesake_of_what_git_dropped_is_not_ours() -> None:
    by_hand = live(rate_limit("A"), id="2")

    matched = match([], [applied(rate_limit("A"), id="1")], [by_hand])

    assert matched.pairs[0].live is None
    assert matched.unmanaged == (by_hand,)


def test_a_new_key_in_git_keeps_the_policy_and_what_was_last_applied() -> None:
    found = live(rate_limit("A"), id="1")

    matched = match(
        [policy(rate_limit("A"), key="new")], [applied(rate_limit("A"), key="old", id="1", critical=True)], [found]
    )

    [pair] = matched.pairs
    assert (pair.key, pair.live) == ("new", found)
    assert pair.applied is not None
    assert pair.applied.key == "old"


@pytest.mark.parametrize(
    ("policies", "ledger", "found"),
    [
        ([policy(rate_limit("A"))], [], [live(rate_limit("A"), id="1"), live(rate_limit("A"), id="2")]),
        (
            [policy(rate_limit("A"))],
            [applied(rate_limit("A"), id="1")],
            [live(rate_limit("A"), id="1"), live(rate_limit("A"), id="2")],
        ),
        ([], [applied(rate_limit("A"), id="1")], [live(rate_limit("A"), id="1"), live(rate_limit("B"), id="1")]),
        ([policy(rate_limit("A"))], [], [live(rate_limit("A"), id="1"), live(rate_limit("B"), id="1")]),
    ],
    ids=["two with one name", "two with one name, one owned", "two with one owned id", "two with one id, one wanted"],
)
def test_twins_of_a_key_of_ours_stop_everything(
    policies: list[Policy], ledger: list[Applied], found: list[LivePolicy]
) -> None:
    with pytest.raises(LiveError) as caught:
        match(policies, ledger, found)

    assert caught.value.code == "duplicate-live"
    assert caught.value.exit is ExitCode.ERROR
    assert all(policy.id in caught.value.what for policy in found)


def test_twins_of_nobodys_are_unmanaged() -> None:
    twins = [live(rate_limit("X"), id="1"), live(rate_limit("X"), id="2")]

    assert match([policy(rate_limit("A"))], [], twins).unmanaged == tuple(twins)


def test_twins_of_a_key_that_is_not_looked_at_stop_nothing() -> None:
    twins = [live(rate_limit("A"), id="1"), live(rate_limit("A"), id="2")]

    matched = match([policy(rate_limit("A")), policy(rate_limit("B"))], [], twins, only=["B"])

    assert [pair.key for pair in matched.pairs] == ["A", "B"]


def test_one_live_policy_is_taken_once() -> None:
    found = live(rate_limit("A"), id="1")
    ledger = [applied(rate_limit("A"), id="1"), applied(rate_limit("B"), id="1")]

    matched = match([policy(rate_limit("A")), policy(rate_limit("B"))], ledger, [found])

    assert [pair.live for pair in matched.pairs] == [found, None]
