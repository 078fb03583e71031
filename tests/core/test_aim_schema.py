"""What a file for AIM may say: each type's own keys, and a word about those that AIM stores and does not read."""

from __future__ import annotations

import re
from typing import Any

import pytest

from reconciler.core.diff import diff_policy
from reconciler.core.documents import read_documents
from reconciler.core.model import Risk, Severity
from reconciler.core.risk import policy_risk
from reconciler.core.schema import load_schemas
from tests.support.checkout import ROOT

SCHEMAS = load_schemas()
TYPES = SCHEMAS.policy_types("aim")
STORED = {"auth_failure", "mcp_allowlist", "mcp_blocklist", "mcp_capabilities", "mcp_unverified"}


def policy(policy_type: str, rules: Any = None, **more: Any) -> dict[str, Any]:
    body = {"name": "A policy", "policyType": policy_type, "enforcementAction": "alert_only", **more}
    return body if rules is None else {**body, "rules": rules}


def example(policy_type: str) -> dict[str, Any]:
    return policy(policy_type, SCHEMAS.policy_schema("aim", policy_type)["properties"]["rules"]["examples"][0])


def errors(value: dict[str, Any]) -> list[tuple[str, str]]:
    found = SCHEMAS.violations_of_policy("aim", value)
    return [(each.code, each.pointer) for each in found if each.severity is Severity.ERROR]


def warnings(value: dict[str, Any]) -> list[str]:
    assert errors(value) == []
    return [each.pointer for each in SCHEMAS.violations_of_policy("aim", value) if each.code == "stored-not-enforced"]


def test_the_types_are_those_that_the_real_server_has() -> None:
    assert set(TYPES) == STORED | {
        *("capability_violation", "trust_score_low", "unusual_activity", "unauthorized_access"),
        *("data_exfiltration", "config_drift"),
    }


@pytest.mark.parametrize("policy_type", TYPES)
def test_the_example_of_each_type_is_valid_and_closed(policy_type: str) -> None:
    value = example(policy_type)

    assert errors(value) == []
    assert errors({**value, "rules": {**value["rules"], "made_up": 1}}) == [("unknown-key", "/rules/made_up")]
    assert ("/policyType" in warnings(value)) is (policy_type in STORED)


@pytest.mark.parametrize(
    ("key", "word"),
    [
        ("policy_type", "write policyType"),
        ("isEnabled", "write enabled"),
        ("conditions", "write rules"),
        ("severity", "write severityThreshold"),
        ("id", "ids are made by the server"),
        ("createdAt", "the server fills in createdAt"),
    ],
)
def test_a_key_of_another_spelling_is_told_the_right_one(key: str, word: str) -> None:
    found = SCHEMAS.violations_of_policy("aim", {**example("trust_score_low"), key: "x"})

    assert [(each.code, each.pointer) for each in found] == [("unknown-key", f"/{key}")]
    assert word in (found[0].fix or "")


@pytest.mark.parametrize(
    ("policy_type", "rules", "pointers"),
    [
        ("trust_score_low", {"threshold": 70}, ["/rules/threshold"]),
        ("trust_score_low", {"trust_threshold": 0.7}, []),
        ("data_exfiltration", {"time_window": "1h"}, ["/rules/time_window"]),
        ("data_exfiltration", {"patterns": ["export", "Export"]}, ["/rules/patterns/1"]),
        ("unusual_activity", {"check_off_hours": True}, ["/rules/check_off_hours"]),
        ("unusual_activity", {"check_off_hours": False}, []),
        ("capability_violation", {"strict_mode": True}, ["/rules/strict_mode"]),
        (
            "unauthorized_access",
            {"check_ip_restrictions": True, "allowed_ips": ["10.0.0.0/8", "10.0.*", "192.0.2.1", "::1"]},
            ["/rules/allowed_ips/0"],
        ),
        (
            "config_drift",
            {"check_permission_escalation": True, "dangerous_capabilities": ["*:delete", "admin:*", "x"]},
            ["/rules/dangerous_capabilities/0"],
        ),
        (
            "mcp_capabilities",
            {"maxCapabilityCount": 3, "maxCapabilities": 3},
            ["/policyType", "/rules/maxCapabilities"],
        ),
        ("mcp_unverified", {"gracePeriodDays": 7}, ["/policyType", "/rules/gracePeriodDays"]),
        ("mcp_allowlist", {"allowedDomains": ["*"]}, ["/policyType", "/rules/allowedDomains/0"]),
        (
            "mcp_allowlist",
            {"allowedNames": ["github-mcp"], "minTrustScore": 60},
            ["/policyType", "/rules/minTrustScore"],
        ),
        ("auth_failure", {"max_attempts": 3}, ["/policyType"]),
    ],
)
def test_what_aim_stores_and_does_not_read_is_warned_about(policy_type: str, rules: Any, pointers: list[str]) -> None:
    assert sorted(warnings(policy(policy_type, rules))) == sorted(pointers)


@pytest.mark.parametrize(
    ("policy_type", "rules"),
    [
        ("unauthorized_access", {"allowed_ips": ["192.0.2.1"]}),
        ("unauthorized_access", {"check_ip_restrictions": True}),
        ("config_drift", {"check_key_rotations": True}),
        ("config_drift", {"check_capability_changes": True}),
        ("mcp_blocklist", {"blockedDomains": []}),
        ("mcp_allowlist", {"requireVerified": True}),
        ("mcp_capabilities", {"maxCapabilityCount": 0}),
    ],
)
def test_a_policy_that_can_never_fire_is_an_error(policy_type: str, rules: Any) -> None:
    assert errors(policy(policy_type, rules)) == [("no-active-clause", "/rules")]


@pytest.mark.parametrize(
    "changed",
    [
        {"policyType": "trust_score"},
        {"enforcementAction": "block"},
        {"severityThreshold": "urgent"},
        {"appliesTo": "everybody"},
        {"appliesTo": "agent_id:7"},
        {"appliesTo": ["all"]},
        {"priority": 2**31},
        {"priority": 1.5},
        {"name": ""},
        {"rules": {"trust_threshold": 70}},
    ],
)
def test_what_the_real_server_would_swallow_is_refused_here(changed: dict[str, Any]) -> None:
    assert errors({**example("trust_score_low"), **changed}) != []


@pytest.mark.parametrize(
    "scope",
    ["all", "all_agents", "agent_type:x", "agent_id:0b7e5a1c-0000-4000-8000-000000000001", "trust_score_below:0.5"],
)
def test_every_scope_that_the_server_reads_may_be_written(scope: str) -> None:
    assert errors({**example("trust_score_low"), "appliesTo": scope}) == []


T, W, N, U = Risk.TIGHTENS, Risk.WEAKENS, Risk.NEUTRAL, Risk.UNKNOWN


@pytest.mark.parametrize(
    ("policy_type", "old", "new", "risk"),
    [
        ("trust_score_low", {"trust_threshold": 0.3}, {"trust_threshold": 0.5}, T),
        ("trust_score_low", {}, {"trust_threshold": 0.3}, N),
        ("trust_score_low", {"threshold": 70}, {"threshold": 10}, N),
        ("unusual_activity", {"api_rate_threshold": 100}, {"api_rate_threshold": 200}, W),
        ("unusual_activity", {"time_window_minutes": 60}, {"time_window_minutes": 120}, T),
        ("unusual_activity", {"business_hours_start": 8}, {"business_hours_start": 9}, U),
        ("data_exfiltration", {"patterns": ["a"]}, {"patterns": ["a", "b"]}, T),
        (
            "unauthorized_access",
            {"check_ip_restrictions": True, "allowed_ips": ["10.0.*", "192.0.2.1"]},
            {"check_ip_restrictions": True, "allowed_ips": ["10.0.*"]},
            T,
        ),
        (
            "unauthorized_access",
            {"check_ip_restrictions": True, "allowed_ips": ["10.0.0.*"]},
            {"check_ip_restrictions": True, "allowed_ips": ["10.0.*"]},
            W,
        ),
        ("unauthorized_access", {"check_ip_restrictions": True, "allowed_ips": ["::1"]}, {"allowed_ips": ["::1"]}, W),
        ("unauthorized_access", {"allowed_ips": ["::1"]}, {"allowed_ips": ["::2"]}, N),
        ("config_drift", {"check_permission_escalation": True}, {"check_permission_escalation": False}, W),
        ("mcp_capabilities", {"maxCapabilityCount": 0}, {"maxCapabilityCount": 9}, T),
        ("mcp_capabilities", {"requiredCapabilities": ["a"]}, {"requiredCapabilities": ["a", "b"]}, W),
        (
            "mcp_capabilities",
            {"requiredCapabilities": ["a"], "requireAllCapabilities": True},
            {"requiredCapabilities": ["a", "b"], "requireAllCapabilities": True},
            T,
        ),
        ("mcp_allowlist", {"allowedDomains": ["*.a.example"]}, {"allowedDomains": ["x.a.example"]}, T),
        ("capability_violation", {"attack_patterns": ["a"]}, {"attack_patterns": ["b"]}, N),
    ],
)
def test_rules_have_the_direction_that_aims_evaluators_give_them(
    policy_type: str, old: Any, new: Any, risk: Risk
) -> None:
    schema = SCHEMAS.policy_schema("aim", policy_type)
    before, after = policy(policy_type, old), policy(policy_type, new)

    found = policy_risk(schema, before, after, [field.pointer for field in diff_policy(after, before, before, schema)])

    assert set(found.values()) - {N} == ({risk} - {N})


@pytest.mark.parametrize(
    ("key", "old", "new", "risk"),
    [
        ("enforcementAction", "alert_only", "block_and_alert", T),
        ("enforcementAction", "alert_only", "allow", W),
        ("appliesTo", "agent_type:x", "all", T),
        ("priority", 1, 2, U),
        ("severityThreshold", "low", "high", N),
        ("description", "a", "b", N),
    ],
)
def test_the_other_keys_have_theirs(key: str, old: Any, new: Any, risk: Risk) -> None:
    schema = SCHEMAS.policy_schema("aim", "trust_score_low")
    before, after = (policy("trust_score_low", {"trust_threshold": 0.5}, **{key: value}) for value in (old, new))

    assert policy_risk(schema, before, after, [f"/{key}"]) == {f"/{key}": risk}


def test_the_policy_in_the_documentation_is_valid() -> None:
    page = (ROOT / "docs/how-to/aim.md").read_text(encoding="utf-8")
    [text] = [block for block in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL) if "policyType" in block]

    [document], problems = read_documents(text.encode(), "policies/aim/trust.yaml")

    assert problems == ()
    assert SCHEMAS.check_policy("aim", document) == ()
