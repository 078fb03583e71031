from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.core.canonical import canonical, canonical_json, digest, json_equal
from reconciler.core.model import Json

SET = {"type": "array", "x-list": "set"}
KEYED = {"type": "array", "x-list": "keyed:name"}

VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.sampled_from([0.0, 1.0, 1.5, -2.0, 2.0**60])
    | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=3),
    max_leaves=12,
)


@pytest.mark.parametrize(
    ("a", "b", "equal"),
    [
        (1, 1.0, True),
        (0.0, -0.0, True),
        (True, 1, False),
        (False, 0, False),
        ([True], [1], False),
        ({"a": [{"b": True}]}, {"a": [{"b": 1.0}]}, False),
        ({"a": 1, "b": 2}, {"b": 2.0, "a": 1.0}, True),
        (2**53 + 1, 2.0**53, False),
        ("1", 1, False),
        (None, False, False),
        (None, {}, False),
        ([], {}, False),
        ({"__allow": ["a"]}, {"__allow": ["b"]}, False),
        (["a", "a", "b"], ["a", "b"], False),
    ],
)
def test_numbers_compare_by_value_and_never_with_booleans(a: Json, b: Json, equal: bool) -> None:
    assert json_equal(a, b) is equal
    assert json_equal(b, a) is equal
    assert (canonical_json(a) == canonical_json(b)) is equal


@settings(max_examples=500)
@given(VALUES, VALUES)
def test_equal_values_are_those_with_one_canonical_text(a: Json, b: Json) -> None:
    assert json_equal(a, b) is (canonical_json(a) == canonical_json(b))


@given(VALUES)
def test_the_canonical_text_reads_back_as_the_same_value(value: Json) -> None:
    assert json_equal(json.loads(canonical_json(value)), value)


def test_the_canonical_text_has_sorted_keys_no_blanks_and_only_ascii() -> None:
    text = canonical_json({"b": [1.0, 2.5, True, None], "a": "ü\ud800"})

    assert text == '{"a":"\\u00fc\\ud800","b":[1,2.5,true,null]}'


def test_a_digest_names_its_hash_and_does_not_see_how_numbers_are_written() -> None:
    assert digest({"a": 1}) == digest({"a": 1.0}) != digest({"a": True})
    assert digest(None) == "sha256:74234e98afe7498fb5daf1f36ac2d78acc339464f950703b8c019892f982b90b"


@pytest.mark.parametrize(
    ("schema", "a", "b"),
    [
        (SET, ["b", "a", "a"], ["a", "b"]),
        (SET, [1.0, 1, True], [True, 1]),
        (SET | {"x-case": "insensitive"}, ["EU", "us", "Us"], ["us", "eu"]),
        (SET | {"x-set": "cidr"}, ["2001:DB8:0:0::/32", "10.0.0.1/32"], ["10.0.0.1", "2001:db8::/32"]),
        (KEYED, [{"name": "b"}, {"name": "a", "n": 1}], [{"name": "a", "n": 1.0}, {"name": "b"}]),
        ({"x-case": "insensitive"}, "ABC", "abc"),
        ({"properties": {"a": {"default": 5}}}, {}, {"a": 5.0}),
        ({"properties": {"a": {"default": None}}}, {}, {"a": None}),
        ({}, {"a": None, "b": {"c": None}}, {"b": {}}),
        ({"properties": {"o": {"properties": {"a": {"default": True}}}}}, {"o": {}}, {"o": {"a": True}}),
        ({"additionalProperties": SET}, {"x": ["b", "a"]}, {"x": ["a", "b"]}),
    ],
)
def test_values_of_equal_meaning_have_one_form(schema: dict[str, Any], a: Json, b: Json) -> None:
    assert json_equal(canonical(a, schema), canonical(b, schema))


@pytest.mark.parametrize(
    ("schema", "a", "b"),
    [
        ({"x-list": "ordered"}, ["a", "b"], ["b", "a"]),
        ({"x-list": "ordered"}, ["a", "a"], ["a"]),
        ({}, ["a", "b"], ["b", "a"]),
        (SET, ["Ä"], ["ä"]),
        (SET | {"x-case": "insensitive"}, ["Ä"], ["ä"]),
        (SET, [True], [1]),
        (SET | {"x-set": "cidr"}, ["10.0.0.0/8"], ["10.0.0.0/9", "10.128.0.0/9"]),
        (KEYED, [{"name": "a", "n": 1}, {"name": "a", "n": 2}], [{"name": "a", "n": 2}, {"name": "a", "n": 1}]),
        (KEYED, [{"name": "a"}, "b"], ["b", {"name": "a"}]),
        ({"properties": {"a": {"default": 5}}}, {}, {"a": 6}),
        ({"properties": {"a": {"default": 1}}}, {}, {"a": True}),
        (SET, "a", ["a"]),
        ({}, [None], []),
    ],
)
def test_values_of_another_meaning_stay_apart(schema: dict[str, Any], a: Json, b: Json) -> None:
    assert not json_equal(canonical(a, schema), canonical(b, schema))


def test_no_default_is_filled_in_beside_another_spelling_of_the_key() -> None:
    schema = {"properties": {"minimum": {"default": 60}, "min": {"x-alias-of": "minimum"}}}

    assert canonical({"min": 50}, schema) == {"min": 50}
    assert canonical({"min": None}, schema) == {"minimum": 60}


@given(VALUES)
def test_the_canonical_form_of_a_canonical_form_is_itself(value: Json) -> None:
    schema = {"x-list": "set", "x-case": "insensitive", "properties": {"a": {"default": [3]}}}

    form = canonical(value, schema)

    assert json_equal(canonical(form, schema), form)


@given(VALUES)
def test_the_value_that_was_handed_in_is_left_alone(value: Json) -> None:
    before = canonical_json(value)

    canonical(value, {"x-list": "set", "properties": {"a": {"default": 1}}})

    assert canonical_json(value) == before
