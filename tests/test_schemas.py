"""The schemas themselves: valid, described, anchored, bounded, and with a direction for every key that has one."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from reconciler.core.judge import make_validator
from reconciler.core.schema import load_schemas

FOLDER = Path(__file__).parents[1] / "schemas"
FILES = sorted(FOLDER.glob("*.schema.json"))
SCHEMAS = load_schemas()
POLICIES = ("aim.policy", "neosc.policy", "opena2a.policy")
INPUTS = (*POLICIES, "reconciler", "overrides", "settings")
MAX = 2**53

DIRECTIONS = {
    "lower-tightens",
    "higher-tightens",
    "growing-loosens",
    "growing-tightens",
    "true-tightens",
    "false-tightens",
    "pointwise",
    "neutral",
    "unknown",
}
EFFECTS = [
    "allow",
    "log",
    ["alert", "alert_only", "notify"],
    ["block", "block_request", "deny", "block_and_alert", "throttle", "require_approval"],
    ["suspend_agent", "quarantine"],
]


def subschemas(node: Any, pointer: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every schema in a schema, with its place; values that are data (examples, defaults) are left out."""
    if isinstance(node, list):
        for index, entry in enumerate(node):
            yield from subschemas(entry, f"{pointer}/{index}")
    elif isinstance(node, dict):
        yield pointer, node
        for key, entry in node.items():
            if key in ("properties", "$defs", "patternProperties", "dependentSchemas"):
                for name, schema in entry.items():
                    yield from subschemas(schema, f"{pointer}/{key}/{name}")
            elif key not in ("examples", "default", "enum", "const", "x-warnings", "x-direction"):
                yield from subschemas(entry, f"{pointer}/{key}")


def fields(node: Any, pointer: str = "") -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Every field an author can write below an inlined schema: pointer, name, schema; rules between keys are none."""
    if not isinstance(node, dict):
        return
    for name, schema in node.get("properties", {}).items():
        yield f"{pointer}/{name}", name, schema
        yield from fields(schema, f"{pointer}/{name}")
    for key in ("items", "additionalProperties"):
        yield from fields(node.get(key), f"{pointer}/*")


def policy_fields() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for provider in SCHEMAS.providers:
        for policy_type in SCHEMAS.policy_types(provider):
            for pointer, name, schema in fields(SCHEMAS.policy_schema(provider, policy_type)):
                yield f"{provider} {policy_type} {pointer}", name, schema


def test_the_schemas_of_the_design_are_there() -> None:
    assert {path.name.removesuffix(".schema.json") for path in FILES} >= {
        *INPUTS,
        *("plan", "plans", "run", "problems", "error", "drift", "log", "status"),
    }


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_schema_is_a_schema_with_an_address_of_its_own(path: Path) -> None:
    schema = json.loads(path.read_text(encoding="utf-8"))

    Draft202012Validator.check_schema(schema)

    name = path.name.removesuffix(".schema.json")
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["$id"] == f"urn:reconciler:schema:{name}:1"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_pattern_is_anchored_ascii_and_stops_before_a_last_newline(path: Path) -> None:
    for pointer, schema in subschemas(json.loads(path.read_text(encoding="utf-8"))):
        assert "patternProperties" not in schema, pointer
        pattern = schema.get("pattern")
        if pattern is None:
            continue
        assert pattern.startswith("^(?:"), pointer
        assert pattern.endswith(r")$(?!\n)"), pointer
        assert not re.search(r"\\[dwDWZzA]", pattern), pointer
        assert not re.search(r"[+*}]\)[+*]", pattern), f"{pointer}: a repeated group that repeats"
        re.compile(pattern)


@pytest.mark.parametrize("name", INPUTS)
def test_every_object_is_closed_and_every_number_and_text_bounded(name: str) -> None:
    schema = dict(SCHEMAS.raw[name])
    if name in POLICIES:
        schema = {"$defs": {key: value for key, value in schema["$defs"].items() if key != schema["x-any"]}}
        if name == "neosc.policy":
            schema["$defs"]["policy"] = SCHEMAS.raw[name]["$defs"]["policy"]
    for pointer, node in subschemas(schema):
        types = node.get("type", [])
        types = [types] if isinstance(types, str) else types
        if "properties" in node and "object" in types:
            assert node.get("additionalProperties") is not None, pointer
        if {"integer", "number"} & set(types) and "description" in node and "until" not in pointer:
            low = node.get("minimum", node.get("exclusiveMinimum"))
            high = node.get("maximum", node.get("exclusiveMaximum"))
            assert low is not None, pointer
            assert high is not None, pointer
            assert low >= -MAX, pointer
            assert high <= MAX, pointer
        if types == ["string"] and "until" not in pointer:
            assert "pattern" in node or "maxLength" in node, pointer
        if "array" in types:
            assert "maxItems" in node, pointer


def test_every_field_of_a_policy_is_described_exemplified_and_directed() -> None:
    for where, _, schema in policy_fields():
        assert schema.get("description"), where
        assert schema.get("examples"), where
        is_object = schema.get("type") == "object"
        if not is_object or "properties" not in schema:
            direction = schema.get("x-direction")
            assert direction in DIRECTIONS if isinstance(direction, str) else set(direction) == {"order"}, where
        if "array" in str(schema.get("type")):
            assert re.fullmatch("set|ordered|keyed:[a-z_]+", schema.get("x-list", "")), where


@pytest.mark.parametrize("name", ["reconciler", "overrides", "settings"])
def test_every_field_of_our_own_files_is_described_and_exemplified(name: str) -> None:
    for pointer, node in subschemas(SCHEMAS.raw[name]):
        for key, field in node.get("properties", {}).items():
            if "/if" not in pointer and "/then" not in pointer and "$ref" not in field:
                assert field.get("description"), f"{pointer}/{key}"
                assert field.get("examples"), f"{pointer}/{key}"


def test_every_example_and_default_fits_its_own_field() -> None:
    for where, _, schema in policy_fields():
        for value in (*schema["examples"], *([schema["default"]] if "default" in schema else [])):
            if value is None and "enum" in schema:
                assert None in schema["enum"], where
                continue
            assert make_validator(schema).is_valid(value), f"{where}: {value!r}"


@pytest.mark.parametrize("name", ["reconciler", "overrides", "settings"])
def test_every_example_in_our_own_files_fits(name: str) -> None:
    root = SCHEMAS.raw[name]
    for pointer, node in subschemas(root):
        for value in node.get("examples", ()):
            wrapped = {"$defs": root.get("$defs", {}), **{key: entry for key, entry in node.items() if key != "$defs"}}
            assert make_validator(wrapped).is_valid(value), f"{pointer}: {value!r}"


def test_what_both_providers_have_is_written_the_same() -> None:
    neosc, opena2a = SCHEMAS.raw["neosc.policy"]["$defs"], SCHEMAS.raw["opena2a.policy"]["$defs"]
    shared = (set(neosc) & set(opena2a)) - {"metadata", "timezone"}  # only opena2a's policies have a zone, UTC

    assert len(shared) > 20
    assert {name for name in shared if neosc[name] != opena2a[name]} == set()


#: semantics.md E.3, key by key. Keys that are judged with their neighbours carry `unknown` and say with whom.
E3: dict[str, object] = {
    "enabled": "true-tightens",
    "on_violation": {"order": EFFECTS},
    "enforcement_action": {"order": ["allow", "alert_only", "block_and_alert"]},
    "applies_to": "growing-tightens",
    "resources": "growing-tightens",
    "actions": "growing-tightens",
    "resource_types": "growing-tightens",
    "except_actors": "growing-loosens",
    "except_resources": "growing-loosens",
    "except_ips": "growing-loosens",
    "on_missing": {"order": ["pass", "violate"]},
    "min_trust_score": "higher-tightens",
    "min_attestations": "higher-tightens",
    "min_confidence_score": "higher-tightens",
    "trust_scale": "unknown",
    "allowed_ips": "growing-loosens",
    "allowed_countries": "growing-loosens",
    "allowed_domains": "growing-loosens",
    "allowed_names": "growing-loosens",
    "allowed_roles": "growing-loosens",
    "allowed_actions": "growing-loosens",
    "allowed_resources": "growing-loosens",
    "allowed_purposes": "growing-loosens",
    "allowed_mfa_methods": "growing-loosens",
    "denied_ips": "growing-tightens",
    "denied_countries": "growing-tightens",
    "denied_roles": "growing-tightens",
    "restricted_resources": "growing-tightens",
    "restricted_actions": "growing-tightens",
    "blocked_domains": "growing-tightens",
    "blocked_names": "growing-tightens",
    "blocked_urls": "growing-tightens",
    "blocked_capabilities": "growing-tightens",
    "forbidden_capabilities": "growing-tightens",
    "dangerous_capabilities": "growing-tightens",
    "patterns": "growing-tightens",
    "data_types": "growing-tightens",
    "required_roles": "growing-tightens",
    "required_fields": "growing-tightens",
    "required_capabilities": "growing-tightens",
    "require_all_capabilities": "true-tightens",
    "block_vpn": "true-tightens",
    "requires_approval": "true-tightens",
    "require_encryption": "true-tightens",
    "require_secure_deletion": "true-tightens",
    "require_verified": "true-tightens",
    "require_capability_declaration": "true-tightens",
    "require_key_rotation_approval": "true-tightens",
    "require_mfa": "true-tightens",
    "require_tunnel": "true-tightens",
    "require_identity_verified": "true-tightens",
    "require_recording": "true-tightens",
    "check_ip_restrictions": "true-tightens",
    "check_time_restrictions": "true-tightens",
    "check_resource_access": "true-tightens",
    "check_action_restrictions": "true-tightens",
    "check_off_hours": "true-tightens",
    "check_unusual_patterns": "true-tightens",
    "check_capability_changes": "true-tightens",
    "check_key_rotations": "true-tightens",
    "check_permission_escalation": "true-tightens",
    "allowed_days": "growing-loosens",
    "allowed_hours_start": "unknown",
    "allowed_hours_end": "unknown",
    "timezone": "unknown",
    "business_days": "growing-loosens",
    "business_hours_start": "unknown",
    "business_hours_end": "unknown",
    "max_records_per_request": "lower-tightens",
    "max_capability_count": "lower-tightens",
    "data_threshold_mb": "lower-tightens",
    "api_rate_threshold": "lower-tightens",
    "unusual_pattern_threshold": "lower-tightens",
    "max_attempts": "lower-tightens",
    "max_login_attempts": "lower-tightens",
    "max_concurrent_sessions": "lower-tightens",
    "idle_timeout_minutes": "lower-tightens",
    "max_session_minutes": "lower-tightens",
    "max_requests_per_second": "lower-tightens",
    "max_requests_per_minute": "lower-tightens",
    "max_requests_per_hour": "lower-tightens",
    "max_requests_per_day": "lower-tightens",
    "max_requests": "lower-tightens",
    "window_size": "higher-tightens",
    "window_type": {"order": ["tumbling", "sliding"]},
    "burst_limit": "lower-tightens",
    "burst_window": "higher-tightens",
    "overrides": "pointwise",
    "trust_tiers": "pointwise",
    "multiplier": "lower-tightens",
    "adaptive": "growing-tightens",
    "backoff_factor": "lower-tightens",
    "min_requests": "lower-tightens",
    "time_window_minutes": "higher-tightens",
    "time_window_mins": "higher-tightens",
    "time_window": "higher-tightens",
    "window": "higher-tightens",
    "suspend_duration": "higher-tightens",
    "lockout_duration": "higher-tightens",
    "grace_period_days": "lower-tightens",
    "min_agent_age": "lower-tightens",
    "min_events": "lower-tightens",
    "baseline_capabilities": "unknown",
    "only_new": "false-tightens",
    "severity": "neutral",
    "priority": "neutral",
    "description": "neutral",
    "notify_admins": "neutral",
    "evaluation_frequency": "neutral",
    "policy_type": "unknown",
    "rules": "unknown",
    "enforcementAction": {"order": ["allow", "alert_only", "block_and_alert"]},
    "severityThreshold": "neutral",
    "appliesTo": "growing-tightens",
    "policyType": "unknown",
    "trust_threshold": "higher-tightens",
    "allowedDomains": "growing-loosens",
    "allowedNames": "growing-loosens",
    "allowedCapabilities": "growing-loosens",
    "requireVerified": "true-tightens",
    "minTrustScore": "higher-tightens",
    "minConfidenceScore": "higher-tightens",
    "minAttestations": "higher-tightens",
    "blockedDomains": "growing-tightens",
    "blockedNames": "growing-tightens",
    "blockedUrls": "growing-tightens",
    "blockedCapabilities": "growing-tightens",
    "requiredCapabilities": "growing-tightens",
    "requireAllCapabilities": "true-tightens",
    "forbiddenCapabilities": "growing-tightens",
    "maxCapabilityCount": "lower-tightens",
}

#: Where AIM deviates (semantics.md B.13, E.3): the first match of a type decides, and some keys are read nowhere.
AIM: dict[str, object] = {
    "priority": "unknown",
    "max_attempts": "neutral",
    "time_window": "neutral",
    "lockout_duration": "neutral",
    "auth_failure /rules/time_window_minutes": "neutral",
    "capability_violation /appliesTo": "unknown",
}


def wanted(where: str, key: str) -> object:
    provider, _, place = where.partition(" ")
    return AIM.get(place, AIM.get(key, E3[key])) if provider == "aim" else E3[key]


@pytest.mark.parametrize("key", E3)
def test_a_key_has_the_direction_of_the_semantics_page(key: str) -> None:
    found = [
        (where, schema["x-direction"])
        for where, name, schema in policy_fields()
        if name == key and "x-direction" in schema and not where.endswith("/trust_tiers/*/min_trust_score")
    ]

    assert found
    assert [where for where, direction in found if direction != wanted(where, key)] == []


def test_the_keys_of_a_rate_limit_are_ordered_by_what_counts_more() -> None:
    schema = SCHEMAS.policy_schema("opena2a", "rate_limit")["properties"]["conditions"]["properties"]["key"]

    assert schema["x-direction"] == {"order": ["actor_action", "actor", "global"]}


def test_the_global_mode_is_ordered() -> None:
    mode = SCHEMAS.raw["settings"]["properties"]["enforcement_mode"]

    assert mode["x-direction"] == {"order": ["monitoring", "strict"]}


@pytest.mark.parametrize(
    ("policy_type", "key", "default"),
    [
        ("unauthorized_access", "denied_ips", []),
        ("unauthorized_access", "block_vpn", False),
        ("unauthorized_access", "allowed_hours_start", 0),
        ("unauthorized_access", "allowed_hours_end", 24),
        ("unauthorized_access", "resource_match", "glob"),
        ("rate_limit", "window_type", "sliding"),
        ("rate_limit", "key", "actor"),
        ("rate_limit", "burst_window", "1s"),
        ("mcp_min_trust", "min_trust_score", 60),
        ("mcp_high_risk", "min_trust_score", 30),
        ("mcp_high_risk", "require_verified", True),
        ("mcp_unverified", "grace_period_days", 0),
        ("mcp_capabilities", "require_all_capabilities", False),
        ("mcp_capabilities", "require_capability_declaration", False),
        ("unusual_activity", "time_window_minutes", 60),
        ("unusual_activity", "business_hours_start", 8),
        ("unusual_activity", "business_hours_end", 18),
        ("unusual_activity", "unusual_pattern_threshold", 5),
        ("unusual_activity", "rate_scope", "action"),
        ("data_exfiltration", "time_window_mins", 60),
        ("config_drift", "direction", "any"),
        ("config_drift", "dangerous_capabilities", ["admin:*", "*:delete", "system:*", "security:*"]),
        ("auth_failure", "max_attempts", 5),
        ("auth_failure", "time_window", "15m"),
        ("auth_failure", "lockout_duration", "30m"),
        ("auth_failure", "login_actions", ["login", "sso_login"]),
    ],
)
def test_defaults_are_those_of_the_semantics_page(policy_type: str, key: str, default: object) -> None:
    conditions = SCHEMAS.policy_schema("opena2a", policy_type)["properties"]["conditions"]

    assert conditions["properties"][key]["default"] == default


@pytest.mark.parametrize(
    ("policy_type", "effect"),
    [
        ("trust_score", "alert"),
        ("rate_limit", "throttle"),
        ("auth_failure", "suspend_agent"),
        ("mcp_blocklist", "block"),
        ("mcp_high_risk", "block"),
        ("mcp_allowlist", "alert"),
        ("audit_logging", "alert"),
    ],
)
def test_each_type_has_its_own_default_effect(policy_type: str, effect: str) -> None:
    actions = SCHEMAS.policy_schema("opena2a", policy_type)["properties"]["actions"]

    assert actions["properties"]["on_violation"]["default"] == effect


@pytest.mark.parametrize("key", ["name", "description", "conditions", "actions", "policy_type", "metadata"])
def test_content_has_no_default(key: str) -> None:
    for policy_type in SCHEMAS.policy_types("opena2a"):
        assert "default" not in SCHEMAS.policy_schema("opena2a", policy_type)["properties"][key]


def test_the_page_on_our_keywords_names_every_one_in_use() -> None:
    page = (FOLDER.parent / "docs/schema-keywords.md").read_text(encoding="utf-8")
    used = {
        key for path in FILES for _, node in subschemas(json.loads(path.read_text())) for key in node if key[:2] == "x-"
    }

    assert {key for key in used if f"`{key}`" not in page} == set()
