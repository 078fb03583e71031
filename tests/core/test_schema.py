"""Violations in our own words, located; schemas chosen by type; nothing fetched."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from typing import Any

import pytest
from referencing.exceptions import Unresolvable

from reconciler.core.documents import Document, read_documents
from reconciler.core.judge import make_validator
from reconciler.core.model import Json, Problem, Severity
from reconciler.core.schema import (
    find_key_conflicts,
    load_schemas,
    merge_patch,
    policy_key,
)

SCHEMAS = load_schemas()

MFA: dict[str, Json] = {"id": "pol-mfa-required", "name": "MFA Required", "type": "access", "rules": ["Require MFA"]}
TRUST: dict[str, Json] = {"name": "Trust", "policy_type": "trust_score", "conditions": {"min_trust_score": 70}}


def document(text: str, path: str = "policies/a.yaml") -> Document:
    documents, problems = read_documents(text.encode(), path)
    assert not problems
    (only,) = documents
    return only


def opena2a(policy_type: str, conditions: Mapping[str, Json], **more: Json) -> dict[str, Json]:
    return {"name": "A policy", "policy_type": policy_type, "conditions": dict(conditions), **more}


def codes(provider: str, value: Mapping[str, Json]) -> list[tuple[str, str]]:
    return sorted((found.code, found.pointer) for found in SCHEMAS.violations_of_policy(provider, value))


def test_a_misspelt_value_is_located_and_the_nearest_one_named() -> None:
    text = "name: Rate\npolicy_type: rate_limit\nseverity: medum\nconditions: {max_requests_per_hour: 5}\n"

    (problem,) = SCHEMAS.check_policy("opena2a", document(text))

    assert problem == Problem(
        code="unknown-value",
        severity=Severity.ERROR,
        message='severity cannot be "medum"',
        path="policies/a.yaml",
        line=3,
        column=11,
        pointer="/severity",
        fix="write medium",
        span=5,
        label='did you mean "medium"?',
        allowed=("low", "medium", "high", "critical"),
        why="How serious a violation is; it sorts reports and decides nothing.",
        excerpt=problem.excerpt,
    )
    assert (3, "severity: medum") in problem.excerpt


def test_a_misspelt_key_is_underlined_itself_and_not_reported_as_missing_as_well() -> None:
    text = "name: Rate\npolicy_type: rate_limit\nconditons: {max_requests_per_hour: 5}\n"

    (problem,) = SCHEMAS.check_policy("opena2a", document(text))

    assert (problem.code, problem.line, problem.column, problem.span) == ("unknown-key", 3, 1, len("conditons"))
    assert problem.fix == "write `conditions`"


def test_rules_between_keys_are_silent_where_a_key_is_misspelt() -> None:
    assert codes("opena2a", opena2a("trust_score", {"min_trust_scor": 70})) == [
        ("unknown-key", "/conditions/min_trust_scor")
    ]


def test_a_key_one_level_too_high_is_sent_to_its_place() -> None:
    (found,) = SCHEMAS.violations_of_policy("opena2a", {**TRUST, "auto_disable": True})

    assert found.fix == "move it under `conditions`"


def test_an_id_in_an_opena2a_file_is_told_where_ids_come_from() -> None:
    (found,) = SCHEMAS.violations_of_policy("opena2a", {**TRUST, "id": "policy_abc123"})

    assert found.code == "unknown-key"
    assert found.fix == "ids are made by the server and never stand in files; delete the line"


@pytest.mark.parametrize("provider", ["neosc", "opena2a"])
def test_a_typo_in_any_top_level_key_names_the_nearest(provider: str) -> None:
    for policy_type in SCHEMAS.policy_types(provider):
        keys = SCHEMAS.policy_schema(provider, policy_type)["properties"]
        for key in keys:
            for typo in {key[:-1] + key[-1] * 2, key[0] + key, key.upper(), key.replace("_", "-") + "s"} - set(keys):
                discriminator = {"neosc": "type", "opena2a": "policy_type"}[provider]
                value: dict[str, Json] = {discriminator: policy_type, typo: 1}

                found = SCHEMAS.violations_of_policy(provider, value)

                at = [each for each in found if each.pointer == f"/{typo}"]
                assert [each.fix for each in at] == [f"write `{key}`"], (policy_type, typo)


@pytest.mark.parametrize(
    ("value", "message", "fix"),
    [
        ({**MFA, "enabled": "yes"}, "enabled must be true or false, not text", "write true"),
        ({**MFA, "enabled": "off"}, "enabled must be true or false, not text", "write false"),
        ({**MFA, "enabled": 1}, "enabled must be true or false, not a number", None),
        ({**MFA, "enabled": None}, "enabled must be true or false, not null", None),
        ({**MFA, "name": 5}, "name must be text, not a number", 'write "5" in quotes'),
        ({**MFA, "rules": "Require MFA"}, "rules must be a list, not text", 'write a list: ["Require MFA"]'),
        ({**MFA, "rules": ["a", {"b": "c"}]}, "entry 2 of rules must be text, not a mapping of keys", None),
        ({**MFA, "name": ""}, "name must not be empty", "fill it in, or delete the key"),
        ({**MFA, "name": "n" * 256}, "name is too long: at most 255", None),
    ],
)
def test_a_wrong_type_is_said_in_the_readers_words(value: dict[str, Json], message: str, fix: str | None) -> None:
    (found,) = SCHEMAS.violations_of_policy("neosc", value)

    assert (found.message, found.fix) == (message, fix)


def test_a_document_of_nothing_but_mistakes_is_judged_by_its_first_hundred() -> None:
    value: dict[str, Json] = {**MFA, "rules": [True] * 100_000, **{f"key{number}": 1 for number in range(100_000)}}

    found = SCHEMAS.violations_of_policy("neosc", value)

    assert len(found) == 100


def test_messages_never_repeat_whole_values() -> None:
    secret = "s3cret" * 500
    value: dict[str, Json] = {**MFA, "enabled": {"token": secret}, "rules": {"token": secret}, "type": secret}

    found = SCHEMAS.violations_of_policy("neosc", value)

    assert len(found) == 3
    assert all(len(each.message) < 200 for each in found)


@pytest.mark.parametrize(
    ("policy_type", "conditions", "expected"),
    [
        ("trust_score", {}, [("rule-conflict", "/conditions")]),
        ("trust_score", {"min_trust_score": 5, "threshold": 5}, [("rule-conflict", "/conditions")]),
        ("trust_score", {"threshold": 5}, []),
        ("trust_score", {"min_trust_score": 101}, [("out-of-range", "/conditions/min_trust_score")]),
        (
            "trust_score",
            {"min_trust_score": 70, "trust_scale": "unit"},
            [("out-of-range", "/conditions/min_trust_score")],
        ),
        ("trust_score", {"min_trust_score": 0.7, "trust_scale": "unit"}, []),
        ("trust_score", {"min_trust_score": 0.7}, [("trust-scale", "/conditions/min_trust_score")]),
        ("trust_score", {"min_trust_score": True}, [("wrong-type", "/conditions/min_trust_score")]),
        ("rate_limit", {"max_requests_per_hour": 10, "window_size": "1h"}, []),
        (
            "rate_limit",
            {"max_requests_per_hour": 10, "window_size": "2h"},
            [("rule-conflict", "/conditions/window_size")],
        ),
        ("rate_limit", {"max_requests": 10}, [("rule-conflict", "/conditions")]),
        ("rate_limit", {"max_requests": 10, "window_size": "10m"}, []),
        (
            "rate_limit",
            {"max_requests_per_hour": 1, "max_requests_per_day": 2},
            [("rule-conflict", "/conditions")],
        ),
        ("rate_limit", {"window_size": "1h"}, [("rule-conflict", "/conditions")]),
        (
            "rate_limit",
            {"max_requests_per_hour": 1, "adaptive": {"backoff_factor": 0.5, "min_requests": 1}},
            [("rule-conflict", "/conditions")],
        ),
        ("rate_limit", {"max_requests_per_hour": 2**53 + 2}, [("out-of-range", "/conditions/max_requests_per_hour")]),
        ("ip_allowlist", {"allowed_ips": []}, [("wrong-size", "/conditions/allowed_ips")]),
        ("ip_allowlist", {"block_vpn": True}, [("missing-key", "/conditions")]),
        ("ip_allowlist", {"allowed_ips": ["10.0.0.1/8"]}, [("bad-format", "/conditions/allowed_ips/0")]),
        ("ip_allowlist", {"allowed_ips": ["10.0.0.0/8\n"]}, [("bad-format", "/conditions/allowed_ips/0")]),
        ("access_control", {"resources": ["crm/**"]}, [("no-active-clause", "/conditions")]),
        ("access_control", {"block_vpn": False}, [("no-active-clause", "/conditions")]),
        ("access_control", {"allowed_roles": ["a"], "resources": ["*"]}, [("bare-star", "/conditions/resources/0")]),
        ("access_control", {"allowed_days": []}, [("wrong-size", "/conditions/allowed_days")]),
        ("access_control", {"allowed_hours_start": 24}, [("out-of-range", "/conditions/allowed_hours_start")]),
        ("access_control", {"allowed_hours_end": 24}, []),
        ("access_control", {"allowed_hours_end": "24:00"}, []),
        (
            "access_control",
            {"allowed_hours_start": 9, "allowed_hours_end": "09:00"},
            [("empty-hours", "/conditions/allowed_hours_start")],
        ),
        ("access_control", {"allowed_hours_end": 0}, [("empty-hours", "/conditions/allowed_hours_end")]),
        ("access_control", {"allowed_hours_start": 22, "allowed_hours_end": 6}, []),
        ("access_control", {"denied_roles": ["\u202e"]}, []),
        ("unauthorized_access", {"allowed_ips": ["::1"], "check_ip_restrictions": True}, []),
        (
            "unauthorized_access",
            {"allowed_ips": ["::1"], "check_ip_restrictions": False},
            [("no-active-clause", "/conditions")],
        ),
        (
            "unauthorized_access",
            {"allowed_ips": ["::1"], "check_time_restrictions": True},
            [("rule-conflict", "/conditions")],
        ),
        ("capability_violation", {}, []),
        ("mcp_min_trust", {}, []),
        ("mcp_min_trust", {"minTrustScore": 50}, []),
        ("mcp_min_trust", {"minTrustScore": 50, "min_trust_score": 50}, [("rule-conflict", "/conditions")]),
        ("mcp_capabilities", {"max_capability_count": 0}, [("no-active-clause", "/conditions")]),
        ("mcp_allowlist", {"allowed_domains": ["https://a"]}, [("bad-format", "/conditions/allowed_domains/0")]),
        ("audit_logging", {"required_fields": ["actor"]}, [("unknown-value", "/conditions/required_fields/0")]),
        ("unusual_activity", {"time_window_minutes": 5}, [("no-active-clause", "/conditions")]),
        ("config_drift", {"check_key_rotations": False}, [("no-active-clause", "/conditions")]),
        ("auth_failure", {}, []),
        ("auth_failure", {"time_window": "91d"}, [("bad-format", "/conditions/time_window")]),
    ],
)
def test_rules_between_conditions(
    policy_type: str, conditions: dict[str, Json], expected: list[tuple[str, str]]
) -> None:
    assert codes("opena2a", opena2a(policy_type, conditions)) == expected


@pytest.mark.parametrize(
    ("on_violation", "enforcement_action", "agrees"),
    [
        ("allow", "allow", True),
        ("notify", "alert_only", True),
        ("suspend_agent", "block_and_alert", True),
        ("throttle", "block_and_alert", True),
        ("block", None, True),
        ("block", "alert_only", False),
        ("alert", "block_and_alert", False),
        ("log", "allow", False),
    ],
)
def test_the_two_spellings_of_an_effect_may_not_contradict(
    on_violation: str, enforcement_action: str | None, agrees: bool
) -> None:
    value: dict[str, Json] = {
        **TRUST,
        "actions": {"on_violation": on_violation},
        "enforcement_action": enforcement_action,
    }

    assert codes("opena2a", value) == ([] if agrees else [("rule-conflict", "/actions/on_violation")])


def test_audit_logging_may_not_block() -> None:
    value = opena2a("audit_logging", {"required_fields": ["actor_id"]}, actions={"on_violation": "block"})

    assert codes("opena2a", value) == [("unknown-value", "/actions/on_violation")]


def test_an_unknown_policy_type_is_one_problem_and_the_shared_keys_are_still_checked() -> None:
    value = opena2a("trust_scor", {"anything": 1}, severity="x")

    assert codes("opena2a", value) == [("unknown-policy-type", "/policy_type"), ("unknown-value", "/severity")]


def test_an_exception_must_lead_to_a_policy_as_well() -> None:
    exception: dict[str, Json] = {
        "reason": "r",
        "owner": "o",
        "until": "2027-01-31",
        "set": {"conditions": {"min_trust_scor": 5}},
    }

    found = SCHEMAS.violations_of_policy("opena2a", {**TRUST, "metadata": {"exceptions": [exception]}})

    assert [(each.code, each.pointer) for each in found] == [
        ("unknown-key", "/metadata/exceptions/0/set/conditions/min_trust_scor")
    ]
    assert found[0].message.startswith("while this exception lasts, ")


def test_an_exception_may_not_set_metadata() -> None:
    exception: dict[str, Json] = {
        "reason": "r",
        "owner": "o",
        "until": "2027-01-31",
        "set": {"metadata": {"critical": False}},
    }

    assert codes("opena2a", {**TRUST, "metadata": {"exceptions": [exception]}}) == [
        ("exception-sets-metadata", "/metadata/exceptions/0/set")
    ]


@pytest.mark.parametrize("until", [None, "soon", "2026-13-01", 20270131])
def test_an_exception_without_a_valid_day_is_a_warning_because_it_is_not_granted(until: Json) -> None:
    exception: dict[str, Json] = {"reason": "r", "owner": "o", "set": {"enabled": False}}
    if until is not None:
        exception["until"] = until

    (found,) = SCHEMAS.violations_of_policy("opena2a", {**TRUST, "metadata": {"exceptions": [exception]}})

    assert (found.code, found.severity) == ("exception-not-granted", Severity.WARNING)


def test_an_override_of_a_plan_wide_guard_needs_a_star_and_any_other_a_key() -> None:
    entry: dict[str, Json] = {"reason": "r", "owner": "o", "until": "2027-01-31"}
    wide: Json = {**entry, "guard": "too-many-deletes", "policy": "pol-a"}
    one: Json = {**entry, "guard": "critical-disabled", "policy": "*"}
    never: Json = {**entry, "guard": "dirty-tree", "policy": "*"}

    found = SCHEMAS.violations("overrides", {"overrides": [wide, one, never]})

    assert sorted((each.code, each.pointer) for each in found) == [
        ("rule-conflict", "/overrides/0/policy"),
        ("rule-conflict", "/overrides/1/policy"),
        ("unknown-value", "/overrides/2/guard"),
    ]


def test_a_list_of_overrides_without_its_key_is_no_overrides_file() -> None:
    assert [found.code for found in SCHEMAS.violations("overrides", [])] == ["wrong-type"]


def test_a_token_in_the_repositorys_config_is_told_where_tokens_live() -> None:
    target: Json = {"provider": "neosc", "url": "https://neosc.example.com/api", "policies": "p", "token": "abc"}

    (found,) = SCHEMAS.violations("reconciler", {"version": 1, "targets": {"a": target}})

    assert found.pointer == "/targets/a/token"
    assert found.fix == "tokens come from RECONCILER_TOKEN_<TARGET>, never from a file in the repository"
    assert "abc" not in found.message


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"url": "http://user:password@127.0.0.1/api"}, "/targets/a/url"),
        ({"url": "ftp://127.0.0.1"}, "/targets/a/url"),
        ({"provider": "nesoc"}, "/targets/a/provider"),
        ({"annotate": "description"}, "/targets/a/annotate"),
        ({"provider": "opena2a", "crud": True}, "/targets/a/crud"),
        ({"max_deletes": -1}, "/targets/a/max_deletes"),
        ({"max_deletes": True}, "/targets/a/max_deletes"),
        ({"deadline": 0}, "/targets/a/deadline"),
        ({"concurrency": 1.5}, "/targets/a/concurrency"),
        ({"prune": "always"}, "/targets/a/prune"),
        ({"ignore": [{"key": "a", "pointer": "enabled", "reason": "r"}]}, "/targets/a/ignore/0/pointer"),
        ({"overlays": [{"pol-a": None}]}, "/targets/a/overlays/0/pol-a"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(change: dict[str, Json], pointer: str) -> None:
    target: Json = {"provider": "neosc", "url": "http://127.0.0.1:8800/api", "policies": "p", **change}

    found = SCHEMAS.violations("reconciler", {"version": 1, "targets": {"a": target}})

    assert [each.pointer for each in found] == [pointer]


def test_a_targets_name_is_judged_as_a_key() -> None:
    target: Json = {"provider": "neosc", "url": "http://127.0.0.1:8800/api", "policies": "p"}

    (found,) = SCHEMAS.violations("reconciler", {"version": 1, "targets": {"Prod": target}})

    assert (found.code, found.pointer, found.key) == ("bad-format", "/targets/Prod", True)


# -------------------------------------------------------------------------------------------------- keys


def test_the_key_of_a_policy_is_what_the_design_says() -> None:
    assert policy_key("neosc", MFA) == "pol-mfa-required"
    assert policy_key("opena2a", TRUST) == "Trust"
    assert policy_key("opena2a", {**TRUST, "metadata": {"key": "trust"}}) == "trust"
    assert policy_key("opena2a", {"name": 5}) == ""


def test_two_documents_with_one_key_name_both_places() -> None:
    first = document("name: Trust\n", "policies/a.yaml")
    second = document("# a comment\nname: Trust\n", "policies/b.yaml")

    (problem,) = find_key_conflicts("opena2a", [second, first])

    assert (problem.code, problem.path, problem.line) == ("duplicate-policy", "policies/b.yaml", 2)
    assert problem.label == "also in policies/a.yaml:1"


def test_two_documents_of_one_file_with_one_key_show_both_lines() -> None:
    documents, _ = read_documents(b"id: pol-a\n---\nid: pol-a\n", "policies/a.yaml")

    (problem,) = find_key_conflicts("neosc", documents)

    assert problem.line == 3
    assert problem.related == ((1, 5, 5, "the first one"),)


@pytest.mark.parametrize("twin", ["TRUST", "\uff34rust", "tru\u017ft"])
def test_keys_that_look_the_same_are_a_conflict(twin: str) -> None:
    documents = [document("name: Trust\n", "policies/a.yaml"), document(f"name: {twin}\n", "policies/b.yaml")]

    (problem,) = find_key_conflicts("opena2a", documents)

    assert problem.code == "duplicate-policy"
    assert "differ only by case" in problem.message


def test_documents_without_a_key_are_no_conflict() -> None:
    documents = [document("type: access\n", "policies/a.yaml"), document("type: access\n", "policies/b.yaml")]

    assert find_key_conflicts("neosc", documents) == ()


@pytest.mark.parametrize(
    ("target", "patch", "result"),
    [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": "foo"}, "bar", "bar"),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_merge_patches_are_those_of_rfc_7396(target: Json, patch: Json, result: Json) -> None:
    assert merge_patch(target, patch) == result


# ------------------------------------------------------------------------------------------------ schemas


def test_the_schema_of_a_type_has_no_references_left() -> None:
    def references(node: Any) -> bool:
        if isinstance(node, dict):
            return "$ref" in node or any(map(references, node.values()))
        return isinstance(node, list) and any(map(references, node))

    for provider in SCHEMAS.providers:
        for policy_type in (*SCHEMAS.policy_types(provider), None, "never heard of"):
            assert not references(SCHEMAS.policy_schema(provider, policy_type))


def test_a_type_nobody_knows_gets_the_schema_all_types_share() -> None:
    shared = SCHEMAS.policy_schema("opena2a", "made_up_by_a_newer_server")

    assert shared["properties"]["severity"]["default"] == "medium"
    assert "properties" not in shared["properties"]["conditions"]


def test_no_connection_is_opened_for_a_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        pytest.fail("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)

    with pytest.raises(Exception) as caught:  # jsonschema wraps it in a class of its own
        make_validator({"$ref": "http://127.0.0.1:1/schema.json"}).is_valid(1)

    assert isinstance(caught.value, Unresolvable) or isinstance(caught.value.__cause__, Unresolvable)


def test_a_final_newline_is_not_the_end() -> None:
    assert not make_validator({"pattern": "^a$"}).is_valid("a\n")
