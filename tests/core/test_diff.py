from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.core.canonical import canonical, json_equal
from reconciler.core.diff import (
    FieldDiff,
    create_fields,
    delete_fields,
    diff_policy,
    merge_for_put,
    policy_origin,
    unknown_live_keys,
)
from reconciler.core.model import MISSING, Json, Op, Origin
from reconciler.core.schema import load_schemas

SCHEMAS = load_schemas()
RATE = SCHEMAS.policy_schema("opena2a", "rate_limit")
MCP = SCHEMAS.policy_schema("opena2a", "mcp_min_trust")
NEOSC = SCHEMAS.policy_schema("neosc", "access")

#: Defaults, an object of objects, an object that comes and goes as a whole, a map, a set, a keyed list, a plain list.
SCHEMA: Mapping[str, Any] = {
    "properties": {
        "name": {"type": "string"},
        "enabled": {"default": True},
        "level": {"default": "low"},
        "zone": {"default": None},
        "conditions": {
            "type": "object",
            "properties": {
                "limit": {"default": 5},
                "extra": {},
                "ips": {"x-list": "set", "x-set": "cidr"},
                "tiers": {"x-list": "keyed:score", "items": {"type": "object"}},
                "rules": {"x-list": "ordered"},
                "whole": {"x-direction": "growing-tightens", "properties": {"a": {}, "b": {}}},
                "per": {"x-direction": "pointwise", "additionalProperties": {"type": "integer"}},
                "inner": {"type": "object", "properties": {"deep": {"default": 1}, "other": {}}},
            },
        },
    }
}


def diff(git: Any, live: Any, applied: Any = MISSING, schema: Mapping[str, Any] = SCHEMA) -> tuple[FieldDiff, ...]:
    return diff_policy(git, live, applied, schema)


def pointers(fields: tuple[FieldDiff, ...]) -> list[str]:
    return [field.pointer for field in fields]


def without_null(body: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in body.items() if value is not None}


# ------------------------------------------------------------------------------------------- which keys are ours


def test_a_policy_that_is_live_as_written_has_no_difference() -> None:
    body = {"name": "a", "conditions": {"limit": 3, "ips": ["10.0.0.0/8"], "per": {"x": 1}}}

    assert diff(body, body, body) == ()


def test_what_means_the_same_is_no_difference() -> None:
    git = {"name": "a", "conditions": {"ips": ["10.0.0.1/32", "::1"], "tiers": [{"score": 1}, {"score": 2, "f": 1}]}}
    live = {
        "name": "a",
        "enabled": True,
        "level": "low",
        "zone": None,
        "conditions": {"limit": 5.0, "ips": ["::1", "10.0.0.1"], "tiers": [{"score": 2.0, "f": 1.0}, {"score": 1}]},
    }

    assert diff(git, live) == ()
    assert diff(live, git) == ()


def test_true_is_not_one() -> None:
    assert pointers(diff({"conditions": {"extra": True}}, {"conditions": {"extra": 1}})) == ["/conditions/extra"]


def test_a_key_that_begins_with_underscores_cannot_hide() -> None:
    assert pointers(diff({"__allow": ["a"]}, {"__allow": ["b"]})) == ["/__allow"]


def test_a_key_left_out_of_git_is_its_default() -> None:
    (field,) = diff({"name": "a"}, {"name": "a", "level": "high"})

    assert field == FieldDiff("/level", Op.REPLACE, "high", "low", MISSING, Origin.GIT)


def test_a_default_of_null_means_that_the_key_is_gone() -> None:
    (field,) = diff({}, {"zone": "UTC"})

    assert field == FieldDiff("/zone", Op.REMOVE, "UTC", MISSING, MISSING, Origin.GIT)


def test_a_key_without_default_that_git_never_had_is_not_ours() -> None:
    assert diff({"conditions": {}}, {"conditions": {"extra": 1, "strange": 2}, "strange": 3}, {"conditions": {}}) == ()


def test_a_key_that_was_applied_and_left_git_is_removed_at_every_level() -> None:
    applied = {"note": "x", "conditions": {"extra": 1, "inner": {"other": 2}}}

    fields = diff({"conditions": {"inner": {}}}, applied, applied)

    assert [(field.pointer, field.op, field.origin) for field in fields] == [
        ("/conditions/extra", Op.REMOVE, Origin.GIT),
        ("/conditions/inner/other", Op.REMOVE, Origin.GIT),
        ("/note", Op.REMOVE, Origin.GIT),
    ]


def test_null_in_git_is_as_absent() -> None:
    applied = {"conditions": {"extra": 1}}

    assert pointers(diff({"conditions": {"extra": None}}, applied, applied)) == ["/conditions/extra"]
    assert diff({"conditions": {"extra": None}}, applied) == ()


def test_fields_come_in_schema_order_and_others_after_them_by_name() -> None:
    fields = diff({"z": 1, "y": 1, "conditions": {"extra": 1, "limit": 1}, "name": "a"}, {})

    assert pointers(fields) == ["/name", "/conditions/limit", "/conditions/extra", "/y", "/z"]


def test_pointers_are_escaped_as_rfc_6901_says() -> None:
    assert pointers(diff({"conditions": {"per": {"a/b~c": 1, "": 2}}}, {"conditions": {"per": {}}})) == [
        "/conditions/per/",
        "/conditions/per/a~1b~0c",
    ]


# --------------------------------------------------------------------------------------------- objects and lists


def test_an_object_that_is_absent_means_the_same_as_an_empty_one() -> None:
    assert diff({"conditions": {"inner": {}}}, {"conditions": {}}) == ()
    assert pointers(diff({"conditions": {"inner": {"other": 1}}}, {"conditions": None})) == ["/conditions/inner/other"]


def test_an_object_with_a_direction_of_its_own_comes_and_goes_as_a_whole() -> None:
    whole = {"conditions": {"whole": {"a": 1, "b": 2}}}

    (added,) = diff(whole, {"conditions": {}})
    (removed,) = diff({"conditions": {}}, whole, whole)

    assert (added.pointer, added.op, added.desired) == ("/conditions/whole", Op.ADD, {"a": 1, "b": 2})
    assert (removed.pointer, removed.op, removed.live) == ("/conditions/whole", Op.REMOVE, {"a": 1, "b": 2})
    assert pointers(diff(whole, {"conditions": {"whole": {"a": 1, "b": 3}}})) == ["/conditions/whole/b"]


def test_an_object_that_left_git_goes_back_to_its_defaults() -> None:
    applied = {"conditions": {"inner": {"deep": 7, "other": 2}}}

    fields = diff({"conditions": {}}, applied, applied)

    assert [(f.pointer, f.op, f.desired) for f in fields] == [
        ("/conditions/inner/deep", Op.REPLACE, 1),
        ("/conditions/inner/other", Op.REMOVE, MISSING),
    ]


def test_an_object_that_left_git_with_nothing_to_stay_is_one_removal() -> None:
    applied = {"conditions": {"inner": {"other": 2}}}

    assert pointers(diff({"conditions": {}}, applied, applied)) == ["/conditions/inner"]


def test_an_object_that_becomes_a_scalar_is_one_replace() -> None:
    (field,) = diff({"conditions": {"inner": 3}}, {"conditions": {"inner": {"deep": 2}}})

    assert (field.pointer, field.op) == ("/conditions/inner", Op.REPLACE)


def test_a_map_is_wholly_ours() -> None:
    (field,) = diff({"conditions": {"per": {"a": 1}}}, {"conditions": {"per": {"a": 1.0, "b": 2}}})

    assert (field.pointer, field.op, field.live) == ("/conditions/per/b", Op.REMOVE, 2)


def test_a_list_is_one_field_with_its_values_as_written() -> None:
    (field,) = diff({"conditions": {"ips": ["::2", "10.0.0.1/32"]}}, {"conditions": {"ips": ["10.0.0.1"]}})

    assert field.pointer == "/conditions/ips"
    assert (field.live, field.desired) == (["10.0.0.1"], ["::2", "10.0.0.1/32"])


def test_an_ordered_list_in_another_order_is_another_list() -> None:
    assert pointers(diff({"conditions": {"rules": ["a", "b"]}}, {"conditions": {"rules": ["b", "a"]}})) == [
        "/conditions/rules"
    ]


def test_entries_of_a_keyed_list_are_fields_by_their_key() -> None:
    git = {"conditions": {"tiers": [{"score": 10, "f": 1}, {"score": 20, "f": 2}]}}
    live = {"conditions": {"tiers": [{"score": 20.0, "f": 3}, {"score": 30, "f": 4}]}}

    assert [(field.pointer, field.op) for field in diff(git, live)] == [
        ("/conditions/tiers/10", Op.ADD),
        ("/conditions/tiers/20", Op.REPLACE),
        ("/conditions/tiers/30", Op.REMOVE),
    ]


def test_a_keyed_list_with_a_key_twice_is_compared_as_it_stands() -> None:
    git = {"conditions": {"tiers": [{"score": 1, "f": 1}]}}
    live = {"conditions": {"tiers": [{"score": 1, "f": 1}, {"score": 1, "f": 2}]}}

    assert pointers(diff(git, live)) == ["/conditions/tiers"]


# --------------------------------------------------------------------------------------------------- spellings


def test_another_spelling_claims_the_key_and_its_default() -> None:
    git, live = {"conditions": {"minTrustScore": 50}}, {"conditions": {"min_trust_score": 50}}

    fields = diff(git, live, schema=MCP)

    assert [(field.pointer, field.op) for field in fields] == [
        ("/conditions/min_trust_score", Op.REMOVE),
        ("/conditions/minTrustScore", Op.ADD),
    ]
    assert merge_for_put(git, live, MISSING, MCP) == {"conditions": {"minTrustScore": 50}}


def test_a_default_overrules_a_live_value_in_another_spelling() -> None:
    git, live = {"conditions": {}}, {"conditions": {"minTrustScore": 50}}

    assert [(f.pointer, f.desired) for f in diff(git, live, schema=MCP)] == [
        ("/conditions/min_trust_score", 60),
        ("/conditions/minTrustScore", MISSING),
    ]


# ------------------------------------------------------------------------------------------------------ origin

ORIGINS = [
    # desired, live, last-applied, of the field, of the policy
    (1, 2, 2, Origin.GIT, Origin.GIT),
    (1, 2, 1, Origin.DRIFT, Origin.DRIFT),
    (1, 2, 3, Origin.BOTH, Origin.BOTH),
    (1, 2, None, Origin.BOTH, Origin.BOTH),
    (1, None, None, Origin.GIT, Origin.GIT),
    (1, None, 1, Origin.DRIFT, Origin.DRIFT),
    (None, 2, 2, Origin.GIT, Origin.GIT),
    (None, 2, 3, Origin.BOTH, Origin.BOTH),
]


@pytest.mark.parametrize(("git", "live", "applied", "of_field", "of_policy"), ORIGINS)
def test_who_moved_is_told_from_last_applied(
    git: Any, live: Any, applied: Any, of_field: Origin, of_policy: Origin
) -> None:
    bodies = [{"conditions": {"extra": value}} for value in (git, live, applied)]

    (field,) = diff(*bodies)

    assert field.origin is of_field
    assert policy_origin(*bodies, SCHEMA) is of_policy


def test_without_last_applied_all_is_gits() -> None:
    (field,) = diff({"conditions": {"extra": 1}}, {"conditions": {"extra": 2}})

    assert field.origin is Origin.GIT
    assert policy_origin({"conditions": {"extra": 1}}, {"conditions": {"extra": 2}}, MISSING, SCHEMA) is Origin.GIT


def test_fields_that_moved_on_different_sides_make_the_policy_both() -> None:
    git = {"conditions": {"extra": 1, "limit": 1}}
    live = {"conditions": {"extra": 2, "limit": 2}}
    applied = {"conditions": {"extra": 1, "limit": 2}}

    assert [field.origin for field in diff(git, live, applied)] == [Origin.GIT, Origin.DRIFT]
    assert policy_origin(git, live, applied, SCHEMA) is Origin.BOTH


def test_origin_is_told_by_meaning_not_by_spelling() -> None:
    git, live, applied = ({"conditions": {"limit": 1}}, {"conditions": {}}, {"conditions": {"limit": 5.0}})

    assert [field.origin for field in diff(git, live, applied)] == [Origin.GIT]


def test_what_is_not_ours_does_not_make_drift() -> None:
    git, applied = {"conditions": {"extra": 1}}, {"conditions": {"extra": 2}}
    live = {"conditions": {"extra": 2, "strange": 9}, "created_at": "now"}

    assert policy_origin(git, live, applied, SCHEMA) is Origin.GIT


def test_a_policy_that_is_gone_on_one_side_has_one_field_per_top_level_key() -> None:
    body = {"name": "a", "zone": None, "conditions": {"extra": 1, "limit": 2}, "enabled": False}

    created, deleted = create_fields(body, MISSING, SCHEMA), delete_fields(body, body, SCHEMA)

    assert pointers(created) == pointers(deleted) == ["/name", "/enabled", "/conditions"]
    assert {field.op for field in created} == {Op.ADD}
    assert {field.op for field in deleted} == {Op.REMOVE}
    assert {field.live for field in created} == {field.desired for field in deleted} == {MISSING}
    assert {field.origin for field in (*created, *deleted)} == {Origin.GIT}
    assert created == diff(body, MISSING)


def test_a_policy_deleted_live_is_drift_and_one_deleted_in_git_after_a_live_edit_is_both() -> None:
    body, edited = {"name": "a", "conditions": {"extra": 1}}, {"name": "a", "conditions": {"extra": 2}}

    assert {field.origin for field in create_fields(body, body, SCHEMA)} == {Origin.DRIFT}
    assert [field.origin for field in delete_fields(edited, body, SCHEMA)] == [Origin.GIT, Origin.BOTH]
    assert policy_origin(body, MISSING, body, SCHEMA) is Origin.DRIFT
    assert policy_origin(body, MISSING, MISSING, SCHEMA) is Origin.GIT
    assert policy_origin(MISSING, body, body, SCHEMA) is Origin.GIT
    assert policy_origin(MISSING, edited, body, SCHEMA) is Origin.BOTH


# ------------------------------------------------------------------------------------------------ unknown keys


def test_live_keys_that_nobody_knows_are_named_and_map_entries_are_not() -> None:
    live = {"name": "a", "owner": "x", "gone": None, "conditions": {"odd": 1, "per": {"z": 1}, "inner": {"odder": 2}}}

    assert unknown_live_keys({"name": "a"}, live, MISSING, SCHEMA) == (
        "/conditions/inner/odder",
        "/conditions/odd",
        "/owner",
    )
    assert unknown_live_keys({"name": "a", "owner": "y"}, live, {"conditions": {"odd": 3}}, SCHEMA) == (
        "/conditions/inner/odder",
    )


# ------------------------------------------------------------------------------------------------------ merging


def test_an_update_sends_back_what_is_not_ours_and_leaves_out_what_goes() -> None:
    git = {"name": "a", "conditions": {"limit": 1, "per": {"x": 1}}}
    live = {
        "name": "b",
        "level": "high",
        "zone": "UTC",
        "note": "old",
        "created_at": "now",
        "enabled": False,
        "conditions": {"limit": 2, "strange": 3, "rules": ["old"], "per": {"x": 1, "y": 2}, "inner": {"deep": 9}},
    }
    applied = {"name": "b", "note": "old", "conditions": {"rules": ["old"], "limit": 2}}

    assert merge_for_put(git, live, applied, SCHEMA) == {
        "name": "a",
        "level": "low",
        "zone": None,
        "note": None,
        "created_at": "now",
        "enabled": False,
        "conditions": {"limit": 1, "strange": 3, "per": {"x": 1}, "inner": {"deep": 9}},
    }


def test_an_update_leaves_a_default_that_is_live_already_as_it_is_and_adds_none() -> None:
    git = {"conditions": {"extra": 1}}

    assert merge_for_put(git, {"level": "low", "conditions": {"limit": 5.0}}, MISSING, SCHEMA) == {
        "level": "low",
        "conditions": {"limit": 5.0, "extra": 1},
    }
    assert merge_for_put(git, {}, MISSING, SCHEMA) == git


def test_an_update_never_switches() -> None:
    assert merge_for_put({"enabled": True}, {"enabled": False}, {"enabled": True}, SCHEMA) == {"enabled": False}
    assert merge_for_put({"enabled": True}, {}, MISSING, SCHEMA) == {}


SCALARS = st.none() | st.booleans() | st.integers(0, 2) | st.sampled_from([1.0, "a", "low"])
INNER = st.fixed_dictionaries({}, optional={"deep": SCALARS, "other": SCALARS, "odd": SCALARS})
CONDITIONS = st.fixed_dictionaries(
    {},
    optional={
        "limit": SCALARS,
        "extra": SCALARS | INNER,
        "ips": st.lists(st.sampled_from(["::1", "10.0.0.0/8", "10.0.0.1/32", "10.0.0.1"]), max_size=3),
        "tiers": st.lists(st.fixed_dictionaries({"score": st.integers(0, 2), "f": SCALARS}), max_size=3),
        "rules": st.lists(SCALARS, max_size=2),
        "whole": st.none() | st.fixed_dictionaries({"a": SCALARS}, optional={"b": SCALARS}),
        "per": st.none() | st.dictionaries(st.sampled_from(["a", "b/~"]), st.integers(0, 2), max_size=2),
        "inner": INNER | SCALARS,
        "odd": SCALARS,
    },
)
BODIES = st.fixed_dictionaries(
    {},
    optional={
        "name": st.sampled_from(["a", "b"]),
        "level": SCALARS,
        "zone": SCALARS,
        "conditions": CONDITIONS,
        "odd": SCALARS,
    },
)


@settings(max_examples=1000)
@given(BODIES, BODIES, st.just(MISSING) | BODIES)
def test_after_an_update_nothing_differs_and_what_is_not_ours_is_as_it_was(git: Any, live: Any, applied: Any) -> None:
    merged = merge_for_put(git, live, applied, SCHEMA)

    assert diff(git, merged, applied) == ()
    assert without_null(merge_for_put(git, merged, applied, SCHEMA)) == without_null(merged)
    if "odd" in live and git.get("odd") is None and (applied is MISSING or applied.get("odd") is None):
        assert merged["odd"] == live["odd"]


@settings(max_examples=500)
@given(BODIES, BODIES, st.just(MISSING) | BODIES)
def test_no_field_is_listed_twice_or_without_a_difference(git: Any, live: Any, applied: Any) -> None:
    fields = diff(git, live, applied)

    assert len(set(pointers(fields))) == len(fields)
    for field in fields:
        sides = [side for side in (field.live, field.desired) if side is not MISSING]
        assert len(sides) == 1 or not json_equal(sides[0], sides[1])


@settings(max_examples=500)
@given(BODIES)
def test_a_body_does_not_differ_from_its_canonical_form(body: Any) -> None:
    assert diff(body, canonical(body, SCHEMA)) == ()
    assert diff(canonical(body, SCHEMA), body) == ()


@pytest.mark.parametrize("provider", ["neosc", "opena2a"])
def test_examples_of_the_shipped_schemas_are_in_sync_with_themselves(provider: str) -> None:
    examples = [
        (schema, example)
        for schema in (SCHEMAS.policy_schema(provider, name) for name in SCHEMAS.policy_types(provider))
        for example in [{"conditions": each} for each in schema["properties"].get("conditions", {}).get("examples", [])]
        or schema["examples"]
    ]

    assert len(examples) >= 3
    for schema, example in examples:
        assert diff(example, canonical(example, schema), example, schema) == ()


def test_shipped_schemas_tell_sentences_from_sets_and_fill_in_defaults() -> None:
    assert pointers(diff({"rules": ["a", "b"]}, {"rules": ["b", "a"]}, schema=NEOSC)) == ["/rules"]
    assert pointers(diff({"conditions": {}}, {"conditions": {"key": "tenant"}}, schema=RATE)) == ["/conditions/key"]
    assert diff({"conditions": {"actions": ["a", "B"]}}, {"conditions": {"actions": ["b", "A"]}}, schema=RATE) == ()


# ------------------------------------------------------------------------------------- what an API keeps of nothing

EMPTY: Mapping[str, Any] = {
    "properties": {
        "description": {"type": "string", "x-empty": ""},
        "priority": {"type": "integer", "x-empty": 0},
        "rules": {"type": "object", "properties": {"limit": {}}, "x-empty": {}},
    }
}


@pytest.mark.parametrize(("key", "value", "empty"), [("description", "x", ""), ("priority", 7, 0)])
def test_a_key_that_left_git_is_gone_when_the_api_shows_its_empty_value(key: str, value: Json, empty: Json) -> None:
    removed = diff_policy({}, {key: value}, {key: value}, EMPTY)
    after = diff_policy({}, {key: empty}, {key: value}, EMPTY)

    assert [(field.pointer, field.op) for field in removed] == [(f"/{key}", Op.REMOVE)]
    assert after == ()


def test_an_object_that_left_git_is_gone_when_the_api_shows_an_empty_one() -> None:
    before: dict[str, Json] = {"rules": {"limit": 1}}

    assert diff_policy({}, before, before, EMPTY) != ()
    assert diff_policy({}, {"rules": {}}, before, EMPTY) == ()


def test_an_empty_value_that_git_names_is_wanted_like_any_other() -> None:
    [field] = diff_policy({"priority": 0}, {"priority": 7}, {}, EMPTY)

    assert (field.live, field.desired) == (7, 0)
    assert diff_policy({"priority": 0}, {"priority": 0}, {}, EMPTY) == ()


def test_what_git_never_named_is_not_compared_whatever_is_live() -> None:
    assert diff_policy({}, {"priority": 7, "description": "by hand"}, {}, EMPTY) == ()
