"""What deepdiff may say, and that it never decides."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from reconciler.core.canonical import json_equal
from reconciler.core.model import MISSING, Json
from reconciler.reports.describe import Inner, describe_entries

scalars = st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from(["", "a", "1", "true"])
keys = st.sampled_from(["a", "b", "__allow", "_x", "1"])
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(keys, inner, max_size=2))
entries = st.lists(st.dictionaries(keys, values, max_size=3), min_size=1, max_size=3)


def test_a_tier_that_changes_is_told_by_its_place() -> None:
    old: list[Json] = [{"min_trust_score": 0, "multiplier": 1}, {"min_trust_score": 80, "multiplier": 2}]
    new: list[Json] = [{"min_trust_score": 0, "multiplier": 1}, {"min_trust_score": 90, "note": "vip"}]

    assert describe_entries(old, new) == (
        Inner("[1].min_trust_score", 80, 90),
        Inner("[1].multiplier", 2, MISSING),
        Inner("[1].note", MISSING, "vip"),
    )


def test_keys_that_look_private_are_not_hidden() -> None:
    assert describe_entries([{"__allow": ["a"]}], [{"__allow": ["b"]}]) == (Inner("[0].__allow[0]", "a", "b"),)


def test_lists_of_other_lengths_or_of_texts_are_shown_whole() -> None:
    assert describe_entries([{"a": 1}], [{"a": 2}, {"a": 3}]) == ()
    assert describe_entries(["a"], ["b"]) == ()


@given(entries, entries)
def test_a_description_is_never_empty_for_what_differs_in_canonical_form(old: list[Json], new: list[Json]) -> None:
    if len(old) != len(new) or json_equal(old, new):
        return

    assert describe_entries(old, new)
