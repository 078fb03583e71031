"""Every key of semantics.md in both directions, keys that are judged together, and the laws of E.1 and E.2."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.core.canonical import properties_of
from reconciler.core.diff import diff_policy, merge_for_put
from reconciler.core.model import MISSING, Action, Risk
from reconciler.core.risk import change_risk, field_label, field_risk, join, policy_risk, rules_risk, whole_field_risk
from reconciler.core.schema import load_schemas

SCHEMAS = load_schemas()
TYPES = {name: SCHEMAS.policy_schema("opena2a", name) for name in SCHEMAS.policy_types("opena2a")}
NEOSC = SCHEMAS.policy_schema("neosc", "access")
CHECK = NEOSC["properties"]["metadata"]["properties"]["checks"]["additionalProperties"]
MODE = SCHEMAS.raw["settings"]

SWAPPED = {Risk.WEAKENS: Risk.TIGHTENS, Risk.TIGHTENS: Risk.WEAKENS}

#: type, key (below `conditions` unless it begins with a slash), looser, stricter. MISSING: the key is not there.
TABLE: list[tuple[str, str, Any, Any]] = [
    # The envelope (B.3)
    ("trust_score", "/enabled", False, True),
    ("trust_score", "/applies_to", ["role:analyst"], ["role:analyst", "role:auditor"]),
    ("trust_score", "/applies_to", "role:analyst", MISSING),
    ("trust_score", "/applies_to", ["agent_id:ci-*"], "all"),
    ("trust_score", "/actions/on_violation", "allow", "log"),
    ("trust_score", "/actions/on_violation", "log", MISSING),
    ("trust_score", "/actions/on_violation", "alert", "block"),
    ("trust_score", "/actions/on_violation", "notify", "require_approval"),
    ("trust_score", "/actions/on_violation", "throttle", "quarantine"),
    ("rate_limit", "/actions/on_violation", "alert", MISSING),
    ("mcp_blocklist", "/actions/on_violation", "alert_only", MISSING),
    ("auth_failure", "/actions/on_violation", "block", MISSING),
    ("trust_score", "/actions/suspend_duration", "1h", "90m"),
    ("trust_score", "/actions/suspend_duration", "90d", MISSING),
    ("trust_score", "/enforcement_action", "allow", "alert_only"),
    ("trust_score", "/enforcement_action", MISSING, "block_and_alert"),
    ("trust_score", "/on_missing", "pass", "violate"),
    ("trust_score", "/on_missing", "pass", MISSING),
    ("trust_score", "/on_missing", "default", "violate"),
    # Filters and exceptions, in every type (B.6)
    ("rate_limit", "resources", ["crm/*"], ["crm/**"]),
    ("rate_limit", "resources", ["crm/**"], MISSING),
    ("rate_limit", "actions", ["read_*"], ["read_*", "LIST_*"]),
    ("rate_limit", "actions", ["login"], MISSING),
    ("rate_limit", "resource_types", ["database"], ["database", "file"]),
    ("rate_limit", "except_actors", ["ci-*"], ["ci-1"]),
    ("rate_limit", "except_actors", ["ci-1"], MISSING),
    ("rate_limit", "except_resources", ["public/**"], ["public/*"]),
    ("rate_limit", "except_ips", ["10.0.0.0/8"], ["10.0.0.1"]),
    # Trust score
    ("trust_score", "min_trust_score", 60, 70),
    ("trust_score", "trust_threshold", 60, 60.5),
    ("trust_score", "threshold", 0, 1),
    ("trust_score_low", "min_trust_score", 10, 11),
    ("trust_score", "min_trust_score", MISSING, 1),
    ("trust_score", "auto_disable", False, True),
    ("trust_score", "auto_disable", MISSING, True),
    # Addresses, countries, roles, resources, actions
    ("ip_allowlist", "allowed_ips", ["10.0.0.0/8"], ["10.0.0.0-10.1.255.255"]),
    ("ip_allowlist", "allowed_ips", MISSING, ["0.0.0.0/0"]),
    ("ip_allowlist", "denied_ips", ["192.168.1.0/24"], ["192.168.*"]),
    ("ip_allowlist", "denied_ips", MISSING, ["::1"]),
    ("ip_allowlist", "block_vpn", MISSING, True),
    ("access_control", "allowed_countries", ["EU"], ["de", "fr"]),
    ("access_control", "allowed_countries", MISSING, ["EU"]),
    ("access_control", "denied_countries", ["FR"], ["EU"]),
    ("access_control", "allowed_roles", ["a", "b"], ["a"]),
    ("access_control", "denied_roles", ["a"], ["a", "b"]),
    ("access_control", "required_roles", ["a"], ["a", "b"]),
    ("access_control", "min_trust_score", 10, 20),
    ("unauthorized_access", "restricted_resources", ["hr/*"], ["hr/**"]),
    ("unauthorized_access", "allowed_resources", ["crm/**"], ["crm/*/eu"]),
    ("unauthorized_access", "allowed_resources", MISSING, ["*"]),
    ("unauthorized_access", "restricted_actions", ["delete_a"], ["Delete_*"]),
    ("unauthorized_access", "allowed_actions", ["*"], ["read_*"]),
    ("unauthorized_access", "check_ip_restrictions", False, True),
    ("unauthorized_access", "check_time_restrictions", False, MISSING),
    ("unauthorized_access", "check_resource_access", False, True),
    ("unauthorized_access", "check_action_restrictions", False, True),
    # Hours
    ("access_control", "allowed_days", MISSING, ["mon", "tue"]),
    ("access_control", "allowed_days", ["monday", "TUE"], ["mon"]),
    ("access_control", "allowed_hours_start", MISSING, 8),
    ("access_control", "allowed_hours_start", 8, "08:30"),
    ("access_control", "allowed_hours_end", "18:30", 18),
    ("access_control", "allowed_hours_end", 24, 23),
    ("unusual_activity", "business_hours_start", 8, 9),
    ("unusual_activity", "business_hours_end", MISSING, 17),
    ("unusual_activity", "business_days", MISSING, ["mon", "tue", "wed", "thu", "fri"]),
    # Data
    ("data_access", "data_types", ["pii"], ["pii", "PHI"]),
    ("data_access", "data_types", ["pii"], MISSING),
    ("data_access", "requires_approval", MISSING, True),
    ("data_access", "max_records_per_request", 100, 99),
    ("data_access", "max_records_per_request", MISSING, 100),
    ("data_protection", "require_encryption", False, True),
    ("data_protection", "require_secure_deletion", False, True),
    ("data_protection", "allowed_purposes", ["billing", "audit"], ["audit"]),
    # MCP
    ("mcp_min_trust", "min_trust_score", MISSING, 61),
    ("mcp_min_trust", "minTrustScore", 50, 60),
    ("mcp_min_trust", "minTrustScore", 50, MISSING),
    ("mcp_min_trust", "min_attestations", 1, 2),
    ("mcp_min_trust", "minAttestations", MISSING, 2),
    ("mcp_min_trust", "min_confidence_score", 0.1, 0.2),
    ("mcp_min_trust", "minConfidenceScore", 10, 20),
    ("mcp_capabilities", "required_capabilities", ["a", "b"], ["a"]),
    ("mcp_capabilities", "required_capabilities", MISSING, ["a", "b"]),
    ("mcp_capabilities", "requiredCapabilities", ["a", "b"], ["B"]),
    ("mcp_capabilities", "require_all_capabilities", False, True),
    ("mcp_capabilities", "requireAllCapabilities", MISSING, True),
    ("mcp_capabilities", "forbidden_capabilities", ["shell"], ["shell*"]),
    ("mcp_capabilities", "forbiddenCapabilities", MISSING, ["a"]),
    ("mcp_capabilities", "max_capability_count", 10, 9),
    ("mcp_capabilities", "max_capability_count", 0, 1000),
    ("mcp_capabilities", "maxCapabilityCount", MISSING, 5),
    ("mcp_capabilities", "require_capability_declaration", False, True),
    ("mcp_capabilities", "requireCapabilityDeclaration", MISSING, True),
    ("mcp_allowlist", "allowed_domains", ["*.example.com"], ["api.example.com"]),
    ("mcp_allowlist", "allowedDomains", MISSING, ["*.example.com"]),
    ("mcp_allowlist", "allowed_names", ["crm-*"], ["crm-1"]),
    ("mcp_allowlist", "allowedNames", MISSING, ["crm"]),
    ("mcp_allowlist", "require_verified", False, True),
    ("mcp_allowlist", "requireVerified", False, True),
    ("mcp_allowlist", "min_trust_score", MISSING, 1),
    ("mcp_allowlist", "minTrustScore", 1, 2),
    ("mcp_allowlist", "min_attestations", 1, 2),
    ("mcp_allowlist", "minAttestations", 1, 2),
    ("mcp_allowlist", "min_confidence_score", 1, 2),
    ("mcp_allowlist", "minConfidenceScore", 1, 2),
    ("mcp_blocklist", "blocked_domains", ["evil.example"], ["*.evil.example"]),
    ("mcp_blocklist", "blockedDomains", ["evil.example"], ["*"]),
    ("mcp_blocklist", "blocked_names", ["a"], ["a*"]),
    ("mcp_blocklist", "blockedNames", MISSING, ["a"]),
    ("mcp_blocklist", "blocked_urls", ["https://a/*"], ["https://a/**"]),
    ("mcp_blocklist", "blockedUrls", [], ["https://a/**"]),
    ("mcp_blocklist", "blocked_capabilities", ["exec"], ["EXEC", "shell"]),
    ("mcp_blocklist", "blockedCapabilities", ["exec"], ["e*"]),
    ("mcp_high_risk", "min_trust_score", MISSING, 31),
    ("mcp_high_risk", "minTrustScore", 29, MISSING),
    ("mcp_high_risk", "require_verified", False, MISSING),
    ("mcp_high_risk", "requireVerified", False, True),
    ("mcp_unverified", "grace_period_days", 1, MISSING),
    ("mcp_unverified", "gracePeriodDays", 2, 1),
    ("audit_logging", "required_fields", ["actor_id"], ["actor_id", "source_ip"]),
    # Rates
    ("rate_limit", "max_requests_per_second", 10, 9),
    ("rate_limit", "max_requests_per_minute", 10, 9),
    ("rate_limit", "max_requests_per_hour", 1000, 500),
    ("rate_limit", "max_requests_per_hour", MISSING, 10**9),
    ("rate_limit", "max_requests_per_day", 10, 0),
    ("rate_limit", "max_requests", 10, 9),
    ("rate_limit", "window_size", "10m", "1h"),
    ("rate_limit", "window_type", "tumbling", MISSING),
    ("rate_limit", "key", "actor_action", "actor"),
    ("rate_limit", "key", "actor", "global"),
    ("rate_limit", "overrides", {"ci-*": 10}, {"ci-*": 9}),
    ("rate_limit", "/conditions/overrides/ci-*", 10, 9),
    ("rate_limit", "burst_limit", 20, 10),
    ("rate_limit", "burst_limit", MISSING, 10),
    ("rate_limit", "burst_window", "1s", "2s"),
    (
        "rate_limit",
        "trust_tiers",
        [{"min_trust_score": 0, "multiplier": 2}],
        [{"min_trust_score": 0, "multiplier": 1.5}],
    ),
    ("rate_limit", "trust_tiers", MISSING, [{"min_trust_score": 0, "multiplier": 0.5}]),
    (
        "rate_limit",
        "trust_tiers",
        [{"min_trust_score": 50, "multiplier": 3}],
        [{"min_trust_score": 60, "multiplier": 3}],
    ),
    ("rate_limit", "adaptive", MISSING, {"backoff_factor": 0.5, "min_requests": 10}),
    ("rate_limit", "/conditions/adaptive/backoff_factor", 0.5, 0.4),
    ("rate_limit", "/conditions/adaptive/min_requests", 10, 9),
    # Activity, exfiltration, drift, logins
    ("unusual_activity", "api_rate_threshold", 100, 50),
    ("unusual_activity", "api_rate_threshold", MISSING, 50),
    ("unusual_activity", "time_window_minutes", MISSING, 90),
    ("unusual_activity", "time_window", "30m", MISSING),
    ("unusual_activity", "rate_scope", MISSING, "all"),
    ("unusual_activity", "check_off_hours", False, True),
    ("unusual_activity", "check_unusual_patterns", False, True),
    ("unusual_activity", "unusual_pattern_threshold", 6, MISSING),
    ("unusual_activity", "min_agent_age", "1d", "12h"),
    ("unusual_activity", "min_agent_age", "1ms", MISSING),
    ("unusual_activity", "min_events", 10, MISSING),
    ("unusual_activity", "baseline", MISSING, {"buckets": 24, "bucket": "1h", "sigma": 3}),
    ("unusual_activity", "/conditions/baseline/sigma", 3, 2.5),
    ("data_exfiltration", "patterns", ["dump"], ["DUMP", "export"]),
    ("data_exfiltration", "data_threshold_mb", 100, 0.5),
    ("data_exfiltration", "time_window_mins", 30, MISSING),
    ("config_drift", "check_capability_changes", MISSING, True),
    ("config_drift", "check_key_rotations", False, True),
    ("config_drift", "require_key_rotation_approval", False, MISSING),
    ("config_drift", "quarantine_until_approved", False, True),
    ("config_drift", "check_permission_escalation", False, True),
    ("config_drift", "dangerous_capabilities", ["admin:*"], ["admin:*", "*:delete"]),
    ("config_drift", "only_new", True, MISSING),
    ("auth_failure", "max_attempts", MISSING, 4),
    ("auth_failure", "time_window", MISSING, "16m"),
    ("auth_failure", "lockout_duration", "10m", MISSING),
    ("auth_failure", "login_actions", ["login"], MISSING),
]

NEUTRAL_CHANGES: list[tuple[str, str, Any, Any]] = [
    ("trust_score", "/name", "a", "b"),
    ("trust_score", "/description", MISSING, "b"),
    ("trust_score", "/severity", "low", "critical"),
    ("trust_score", "/priority", 0, 9),
    ("trust_score", "/actions/notify_admins", False, True),
    ("trust_score", "/actions/log_violation", True, False),
    ("trust_score", "/actions/log_attempt", True, False),
    ("trust_score", "evaluation_frequency", "hourly", "daily"),
    ("trust_score", "/timezone", "UTC", "Europe/Berlin"),
    ("trust_score", "/actions/on_violation", "block", "deny"),
    ("trust_score", "/actions/on_violation", "throttle", "require_approval"),
    ("trust_score", "/actions/on_violation", MISSING, "notify"),
    ("trust_score", "/enforcement_action", "alert_only", MISSING),
    ("trust_score", "/applies_to", ["all"], MISSING),
    ("capability_violation", "attack_patterns", ["a"], ["b"]),
    ("ip_allowlist", "allowed_ips", ["10.0.0.0/8"], ["10.0.0.0/9", "10.128.0.0/9"]),
    ("ip_allowlist", "allowed_ips", MISSING, ["0.0.0.0/0", "::/0"]),
    ("unauthorized_access", "allowed_resources", MISSING, ["**"]),
    ("access_control", "allowed_countries", ["DE", "EU"], ["eu"]),
    ("access_control", "allowed_days", ["monday"], ["Mon"]),
    ("access_control", "allowed_hours_start", "08:00", 8),
    ("access_control", "timezone", "Not/AZone", "UTC"),
    ("unauthorized_access", "check_time_restrictions", MISSING, True),
    ("unauthorized_access", "resource_match", "glob", "contains"),
    ("unusual_activity", "time_window", "60m", "1h"),
    ("rate_limit", "window_size", "60m", "1h"),
    ("rate_limit", "trust_tiers", MISSING, [{"min_trust_score": 0, "multiplier": 1}]),
    ("mcp_capabilities", "max_capability_count", 0, MISSING),
]

UNKNOWN_CHANGES: list[tuple[str, str, Any, Any]] = [
    ("trust_score", "/policy_type", "trust_score", "rate_limit"),
    ("trust_score", "trust_scale", "percent", "unit"),
    ("trust_score", "/actions/on_violation", "alert", "explode"),
    ("trust_score", "/nobody_knows", 1, 2),
    ("trust_score", "min_trust_score", 60, "sixty"),
    ("trust_score", "min_trust_score", 60, True),
    ("trust_score", "auto_disable", False, "yes"),
    ("ip_allowlist", "allowed_ips", ["10.0.0.0/8"], ["192.168.1*"]),
    ("ip_allowlist", "allowed_ips", ["10.0.0.0/8"], []),
    ("ip_allowlist", "allowed_ips", ["10.0.0.0/8"], [10]),
    ("ip_allowlist", "allowed_ips", ["10.0.0.0/8"], {"a": 1}),
    ("ip_allowlist", "block_vpn", False, 1),
    ("data_access", "retention_days", 30, 60),
    ("rate_limit", "key", "actor", "tenant"),
    ("rate_limit", "key", "global", "source_ip"),
    ("rate_limit", "trust_tiers", MISSING, [{"min_trust_score": "x", "multiplier": 1}]),
    ("rate_limit", "overrides", MISSING, {"ci-*": 10}),
    ("rate_limit", "burst_limit", 1, "x"),
    ("config_drift", "baseline_capabilities", ["a"], ["a", "b"]),
    ("config_drift", "direction", "any", "added"),
    ("config_drift", "actions", ["a"], ["a", "b"]),
    ("config_drift", "resources", ["a"], MISSING),
    ("access_control", "allowed_hours_start", 8, "8am"),
    ("unusual_activity", "/conditions/baseline/bucket", "1h", "2h"),
    ("unusual_activity", "/conditions/baseline/buckets", 24, 25),
]

#: Proven in both directions (E.1).
MIXED_CHANGES: list[tuple[str, str, Any, Any]] = [
    ("ip_allowlist", "allowed_ips", ["10.0.0.0/8"], ["192.168.*"]),
    ("unauthorized_access", "restricted_resources", ["hr/*"], ["crm/**"]),
    ("access_control", "allowed_days", ["mon", "tue"], ["tue", "wed"]),
    (
        "rate_limit",
        "trust_tiers",
        [{"min_trust_score": 0, "multiplier": 2}],
        [{"min_trust_score": 50, "multiplier": 3}],
    ),
]


def pointer(key: str) -> str:
    return key if key.startswith("/") else f"/conditions/{key}"


def ids(rows: list[tuple[str, str, Any, Any]]) -> list[str]:
    return [f"{name}-{key.strip('/').replace('/', '.')}-{number}" for number, (name, key, _, _) in enumerate(rows)]


@pytest.mark.parametrize(("name", "key", "looser", "stricter"), TABLE, ids=ids(TABLE))
def test_a_key_tightens_one_way_and_weakens_the_other(name: str, key: str, looser: Any, stricter: Any) -> None:
    schema, where = TYPES[name], pointer(key)

    assert field_risk(schema, where, looser, stricter) is Risk.TIGHTENS
    assert field_risk(schema, where, stricter, looser) is Risk.WEAKENS
    assert field_risk(schema, where, looser, looser) is Risk.NEUTRAL


@pytest.mark.parametrize(
    ("rows", "expected"),
    [(NEUTRAL_CHANGES, Risk.NEUTRAL), (UNKNOWN_CHANGES, Risk.UNKNOWN), (MIXED_CHANGES, Risk.MIXED)],
    ids=["neutral", "unknown", "mixed"],
)
def test_other_changes_read_the_same_both_ways(rows: list[tuple[str, str, Any, Any]], expected: Risk) -> None:
    for name, key, old, new in rows:
        assert field_risk(TYPES[name], pointer(key), old, new) is expected, (name, key)
        assert field_risk(TYPES[name], pointer(key), new, old) is expected, (name, key)


def keys_with_a_direction(schema: Mapping[str, Any], at: str) -> Iterator[str]:
    for key, named in properties_of(schema).items():
        if key == "metadata":
            continue
        if named.get("x-direction") not in (None, "neutral"):
            yield f"{at}/{key}"
        yield from keys_with_a_direction(named, f"{at}/{key}")


def test_every_key_of_every_type_is_in_the_tables() -> None:
    everywhere = {"resources", "actions", "resource_types", "except_actors", "except_resources", "except_ips"}
    shared = {"min_trust_score", "trust_threshold", "threshold", "trust_scale", "auto_disable"}
    rows = {(name, pointer(key)) for name, key, _, _ in (*TABLE, *UNKNOWN_CHANGES, *NEUTRAL_CHANGES)}
    by_pointer = {where for _, where in rows}

    missing = [
        (name, where)
        for name, schema in TYPES.items()
        for where in keys_with_a_direction(schema, "")
        if (name, where) not in rows
        and not (where in by_pointer and (where.count("/") == 1 or where.startswith("/actions/")))
        and not (where in by_pointer and where.rpartition("/")[2] in everywhere | shared | CLAUSES_OF_SEVERAL_TYPES)
    ]

    assert missing == []


#: One definition in the schema, used by several types.
CLAUSES_OF_SEVERAL_TYPES = {
    *("allowed_ips", "denied_ips", "block_vpn", "allowed_days", "allowed_hours_start", "allowed_hours_end", "timezone"),
    *("requires_approval", "max_records_per_request", "require_encryption", "require_secure_deletion", "data_types"),
    *("allowed_purposes", "retention_days"),
}


def test_a_global_mode_that_reports_only_weakens() -> None:
    assert field_risk(MODE, "/enforcement_mode", "strict", "monitoring") is Risk.WEAKENS
    assert field_risk(MODE, "/enforcement_mode", "monitoring", "strict") is Risk.TIGHTENS


# ---------------------------------------------------------------------------------------------- judged together


def conditions_risk(name: str, old: Mapping[str, Any], new: Mapping[str, Any], **top: Any) -> dict[str, Risk]:
    bodies = [{"conditions": dict(each), **top} for each in (old, new)]
    changed = sorted(key for key in old.keys() | new.keys() if old.get(key) != new.get(key))
    found = policy_risk(TYPES[name], *bodies, [f"/conditions/{key}" for key in changed])
    return {where.rpartition("/")[2]: risk for where, risk in found.items()}


@pytest.mark.parametrize(
    ("name", "old", "new", "expected"),
    [
        # A limit and its window are one pair, however they are spelled.
        ("rate_limit", {"max_requests_per_hour": 1000}, {"max_requests": 1000, "window_size": "1h"}, Risk.NEUTRAL),
        ("rate_limit", {"max_requests_per_hour": 1000}, {"max_requests_per_minute": 20}, Risk.MIXED),
        ("rate_limit", {"max_requests_per_minute": 20}, {"max_requests_per_hour": 20}, Risk.TIGHTENS),
        ("rate_limit", {"max_requests_per_minute": 20}, {"max_requests": 20, "window_size": "30s"}, Risk.WEAKENS),
        ("rate_limit", {"max_requests_per_hour": 9}, {"max_requests_per_hour": 9, "window_size": "1h"}, Risk.NEUTRAL),
        ("rate_limit", {"max_requests_per_hour": 9}, {"max_requests_per_minute": 0}, Risk.TIGHTENS),
        (
            "rate_limit",
            {"max_requests": 9, "window_size": "1h", "window_type": "tumbling"},
            {"max_requests": 9, "window_size": "2h", "window_type": "tumbling"},
            Risk.TIGHTENS,
        ),
        (
            "rate_limit",
            {"max_requests": 9, "window_size": "2h", "window_type": "tumbling"},
            {"max_requests": 9, "window_size": "3h", "window_type": "tumbling"},
            Risk.MIXED,
        ),
        (
            "rate_limit",
            {"max_requests_per_hour": 9, "window_type": "tumbling"},
            {"max_requests_per_hour": 8, "window_type": "sliding"},
            Risk.TIGHTENS,
        ),
        (
            "rate_limit",
            {"max_requests_per_hour": 9, "window_type": "sliding"},
            {"max_requests_per_hour": 8, "window_type": "tumbling"},
            Risk.MIXED,
        ),
        (
            "rate_limit",
            {"max_requests": 9, "window_size": "1h", "window_type": "tumbling", "adaptive": {"backoff_factor": 0.5}},
            {"max_requests": 9, "window_size": "2h", "window_type": "tumbling", "adaptive": {"backoff_factor": 0.5}},
            Risk.UNKNOWN,
        ),
        ("rate_limit", {"max_requests": 9}, {"max_requests": 9, "window_size": "1h"}, Risk.UNKNOWN),
        ("rate_limit", {"max_requests_per_hour": 9}, {}, Risk.WEAKENS),
        (
            "rate_limit",
            {"burst_limit": 10, "burst_window": "1s"},
            {"burst_limit": 20, "burst_window": "2s"},
            Risk.MIXED,
        ),
        ("rate_limit", {"burst_limit": 10}, {"burst_limit": 10, "burst_window": "2s"}, Risk.TIGHTENS),
        # An override that comes or goes is measured by the limit its callers had, or get.
        (
            "rate_limit",
            {"max_requests_per_hour": 100},
            {"max_requests_per_hour": 100, "overrides": {"ci-*": 500}},
            Risk.WEAKENS,
        ),
        (
            "rate_limit",
            {"max_requests_per_hour": 100, "overrides": {"ci-*": 500}},
            {"max_requests_per_hour": 100, "overrides": {"ci-*": 500, "batch-*": 300}},
            Risk.WEAKENS,
        ),
        (
            "rate_limit",
            {"max_requests_per_hour": 100, "overrides": {"ci-*": 500}},
            {"max_requests_per_hour": 100, "overrides": {"ci-*": 500, "*-1": 300}},
            Risk.UNKNOWN,
        ),
        (
            "rate_limit",
            {"max_requests_per_hour": 100},
            {"max_requests_per_hour": 100, "overrides": {"ci-*": 100}},
            Risk.NEUTRAL,
        ),
        # The scale is how the minimum is written.
        ("trust_score", {"min_trust_score": 60}, {"min_trust_score": 0.6, "trust_scale": "unit"}, Risk.NEUTRAL),
        ("trust_score", {"min_trust_score": 57}, {"min_trust_score": 0.58, "trust_scale": "unit"}, Risk.TIGHTENS),
        # Another spelling with the same value.
        ("trust_score", {"trust_threshold": 60}, {"min_trust_score": 60.0}, Risk.NEUTRAL),
        ("trust_score", {"trust_threshold": 60}, {"min_trust_score": 50}, Risk.WEAKENS),
        ("unusual_activity", {"time_window": "1h"}, {"time_window_minutes": 60}, Risk.NEUTRAL),
        ("unusual_activity", {"time_window": "1h"}, {"time_window_minutes": 61}, Risk.TIGHTENS),
        # Hours are one set of minutes.
        (
            "access_control",
            {"allowed_hours_start": 8, "allowed_hours_end": 18},
            {"allowed_hours_start": 9, "allowed_hours_end": 19},
            Risk.MIXED,
        ),
        (
            "access_control",
            {"allowed_hours_start": 8, "allowed_hours_end": 18, "timezone": "Europe/Berlin"},
            {"allowed_hours_start": 7, "allowed_hours_end": 18, "timezone": "Europe/Rome"},
            Risk.WEAKENS,
        ),
        (
            "access_control",
            {"allowed_hours_start": 9, "allowed_hours_end": 17, "timezone": "Europe/Berlin"},
            {"allowed_hours_start": 6, "allowed_hours_end": 18, "timezone": "UTC"},
            Risk.WEAKENS,  # 09:00 to 17:00 in Berlin is 07:00 to 16:00 in UTC, over the year
        ),
        (
            "access_control",
            {"allowed_hours_start": 9, "timezone": "Not/AZone"},
            {"allowed_hours_start": 9, "timezone": "UTC"},
            Risk.UNKNOWN,
        ),
        # Capabilities: any of them, or all.
        (
            "mcp_capabilities",
            {"required_capabilities": ["a", "b"], "require_all_capabilities": True},
            {"required_capabilities": ["a"], "require_all_capabilities": True},
            Risk.WEAKENS,
        ),
        (
            "mcp_capabilities",
            {"required_capabilities": ["a", "b"]},
            {"required_capabilities": ["a", "b"], "require_all_capabilities": True},
            Risk.TIGHTENS,
        ),
        (
            "mcp_capabilities",
            {"required_capabilities": ["a"]},
            {"required_capabilities": ["a"], "require_all_capabilities": True},
            Risk.NEUTRAL,
        ),
        (
            "mcp_capabilities",
            {"required_capabilities": ["a"]},
            {"required_capabilities": ["b"], "require_all_capabilities": True},
            Risk.UNKNOWN,
        ),
        # Two lists that list servers together.
        (
            "mcp_allowlist",
            {"allowed_domains": ["a.b"]},
            {"allowed_domains": ["a.b"], "allowed_names": ["x"]},
            Risk.WEAKENS,
        ),
        ("mcp_allowlist", {}, {"allowed_domains": ["a.b"], "allowed_names": ["x"]}, Risk.TIGHTENS),
        # What is switched off counts for nothing.
        (
            "unauthorized_access",
            {"check_ip_restrictions": False, "allowed_ips": ["10.0.0.0/8"]},
            {"check_ip_restrictions": False, "allowed_ips": ["0.0.0.0/0"]},
            Risk.NEUTRAL,
        ),
        (
            "unauthorized_access",
            {"check_ip_restrictions": False, "allowed_ips": ["10.0.0.0/8"]},
            {"check_ip_restrictions": True, "allowed_ips": ["0.0.0.0/0"]},
            Risk.TIGHTENS,
        ),
        (
            "unauthorized_access",
            {"check_time_restrictions": False, "allowed_hours_start": 8},
            {"check_time_restrictions": False, "allowed_hours_start": 9},
            Risk.NEUTRAL,
        ),
        # `contains` finds more than the pattern does.
        (
            "unauthorized_access",
            {"restricted_resources": ["hr"]},
            {"restricted_resources": ["hr"], "resource_match": "contains"},
            Risk.TIGHTENS,
        ),
        (
            "unauthorized_access",
            {"allowed_resources": ["hr"]},
            {"allowed_resources": ["hr"], "resource_match": "contains"},
            Risk.WEAKENS,
        ),
    ],
)
def test_keys_that_belong_together_are_judged_together(
    name: str, old: dict[str, Any], new: dict[str, Any], expected: Risk
) -> None:
    assert join(conditions_risk(name, old, new).values()) is expected
    assert join(conditions_risk(name, new, old).values()) is SWAPPED.get(expected, expected)


def test_every_field_of_a_pair_gets_the_direction_of_the_pair() -> None:
    found = conditions_risk("rate_limit", {"max_requests_per_hour": 10}, {"max_requests": 9, "window_size": "2h"})

    assert found == dict.fromkeys(("max_requests_per_hour", "max_requests", "window_size"), Risk.TIGHTENS)


def test_each_of_two_lists_that_trade_places_has_its_own_direction() -> None:
    found = conditions_risk("mcp_allowlist", {"allowed_domains": ["a.b"]}, {"allowed_names": ["x"]})

    assert found == {"allowed_domains": Risk.TIGHTENS, "allowed_names": Risk.WEAKENS}


def test_the_zone_of_the_policy_counts_where_conditions_name_none() -> None:
    hours = {"allowed_hours_start": 9, "allowed_hours_end": 17}
    own = {**hours, "timezone": "UTC"}
    schema = TYPES["access_control"]

    def of_zones(conditions: dict[str, Any]) -> Risk:
        bodies = [{"conditions": conditions, "timezone": zone} for zone in ("Europe/Berlin", "Asia/Tokyo")]
        return policy_risk(schema, *bodies, ["/timezone"])["/timezone"]

    assert of_zones(hours) is Risk.MIXED
    assert of_zones(own) is Risk.NEUTRAL


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ({"enforcement_action": "block_and_alert"}, {"actions": {"on_violation": "block"}}, Risk.NEUTRAL),
        ({"enforcement_action": "alert_only"}, {"actions": {"on_violation": "throttle"}}, Risk.TIGHTENS),
        ({"actions": {"on_violation": "quarantine"}, "enforcement_action": "block_and_alert"}, {}, Risk.WEAKENS),
        ({}, {"conditions": {"auto_disable": True}}, Risk.TIGHTENS),
        ({"actions": {"on_violation": "suspend_agent"}}, {"conditions": {"auto_disable": True}}, Risk.NEUTRAL),
        ({"actions": {"on_violation": "allow"}, "enforcement_action": "block_and_alert"}, {}, Risk.UNKNOWN),
    ],
)
def test_all_spellings_of_an_effect_are_one_effect(old: dict[str, Any], new: dict[str, Any], expected: Risk) -> None:
    where = ["/actions/on_violation", "/enforcement_action", "/conditions/auto_disable"]

    assert set(policy_risk(TYPES["trust_score"], old, new, where).values()) == {expected}
    assert set(policy_risk(TYPES["trust_score"], new, old, where).values()) == {SWAPPED.get(expected, expected)}


def test_an_entry_of_a_keyed_list_is_judged_with_the_whole_list() -> None:
    old = {
        "conditions": {
            "trust_tiers": [{"min_trust_score": 0, "multiplier": 1}, {"min_trust_score": 80, "multiplier": 2}]
        }
    }
    new = {"conditions": {"trust_tiers": [{"min_trust_score": 0, "multiplier": 1}]}}

    fields = diff_policy(new, old, MISSING, TYPES["rate_limit"])

    assert [field.pointer for field in fields] == ["/conditions/trust_tiers/80"]
    assert policy_risk(TYPES["rate_limit"], old, new, [fields[0].pointer]) == {fields[0].pointer: Risk.TIGHTENS}


def test_a_whole_object_has_the_direction_of_all_its_keys() -> None:
    old = {"conditions": {"allowed_ips": ["10.0.0.0/8"], "block_vpn": True}}

    assert (
        field_risk(TYPES["ip_allowlist"], "/conditions", old["conditions"], {"allowed_ips": ["10.*"]}) is Risk.WEAKENS
    )
    assert field_risk(TYPES["ip_allowlist"], "/conditions", old["conditions"], {"block_vpn": False}) is Risk.WEAKENS
    assert field_risk(TYPES["ip_allowlist"], "/conditions", old["conditions"], "none") is Risk.UNKNOWN
    assert field_risk(TYPES["ip_allowlist"], "", old, {}) is Risk.WEAKENS
    assert field_risk(TYPES["ip_allowlist"], "", old, old) is Risk.NEUTRAL


def test_a_policy_of_a_type_nobody_knows_is_unknown() -> None:
    schema = SCHEMAS.policy_schema("opena2a", None)

    assert field_risk(schema, "/conditions/limit", 1, 2) is Risk.UNKNOWN
    assert field_risk(schema, "/conditions", {"a": 1}, {"a": 2}) is Risk.UNKNOWN


# ------------------------------------------------------------------------------------------------- NeoSC rules

MFA, TUNNEL, RECORD = "Require MFA for login", "No direct connections", "Record screen activity"
SESSION = {"8h": {"max_session_minutes": 480}, "4h": {"max_session_minutes": 240}, "idle": {"idle_timeout_minutes": 15}}


@pytest.mark.parametrize(
    ("old", "new", "checks", "expected"),
    [
        ([MFA], [MFA], {}, Risk.NEUTRAL),
        ([], [MFA], {}, Risk.TIGHTENS),
        ([MFA, TUNNEL], [TUNNEL], {}, Risk.WEAKENS),
        ([MFA, TUNNEL], [TUNNEL, MFA], {}, Risk.NEUTRAL),
        ([MFA], [MFA.upper()], {}, Risk.NEUTRAL),
        ([TUNNEL], ["All connections through encrypted NetBird tunnels"], {}, Risk.NEUTRAL),
        ([MFA], [RECORD], {}, Risk.UNKNOWN),
        ([MFA], [MFA, "TOTP as fallback"], {}, Risk.UNKNOWN),
        ([MFA, "WebAuthn preferred"], [MFA], {}, Risk.UNKNOWN),
        ([MFA, "Be careful"], ["Be careful", MFA], {}, Risk.UNKNOWN),
        ([MFA, "Be careful"], ["Be careful"], {}, Risk.WEAKENS),
        ([MFA], ["Require MFA for logins"], {}, Risk.UNKNOWN),
        ([MFA], [MFA + " "], {}, Risk.UNKNOWN),
        (["8h"], ["4h"], SESSION, Risk.TIGHTENS),
        (["8h", MFA], ["4h", MFA], SESSION, Risk.TIGHTENS),
        (["8h"], ["8h", "4h"], SESSION, Risk.TIGHTENS),
        (["8h", "4h"], ["4h"], SESSION, Risk.NEUTRAL),
        (["8h"], ["idle"], SESSION, Risk.UNKNOWN),
        (["a", "a"], ["a"], {}, Risk.UNKNOWN),
        (["a", "a"], ["a"], {"a": {"require_mfa": True}}, Risk.NEUTRAL),
    ],
)
def test_rules_are_judged_by_their_checks_and_never_by_their_words(
    old: list[str], new: list[str], checks: dict[str, Any], expected: Risk
) -> None:
    assert rules_risk(old, new, checks, checks, CHECK) is expected
    assert rules_risk(new, old, checks, checks, CHECK) is SWAPPED.get(expected, expected)


def test_a_check_counts_on_its_own_side_only() -> None:
    body, other = {"rules": ["8h"]}, {"rules": ["4h"]}

    def judged(old: Any, new: Any) -> Risk:
        return policy_risk(NEOSC, body, other, ["/rules"], old_checks=old, new_checks=new)["/rules"]

    assert judged(SESSION, SESSION) is Risk.TIGHTENS
    assert judged(None, SESSION) is Risk.UNKNOWN
    assert judged(SESSION, None) is Risk.UNKNOWN
    assert field_risk(NEOSC, "/rules", ["8h"], "8h") is Risk.UNKNOWN


def test_rules_that_were_not_there_are_judged_as_text() -> None:
    assert field_risk(NEOSC, "/rules", [MFA], [MFA, TUNNEL]) is Risk.TIGHTENS
    assert field_risk(NEOSC, "/type", "access", "session") is Risk.UNKNOWN


# ------------------------------------------------------------------------------------------------ whole changes


@pytest.mark.parametrize(
    ("risks", "expected"),
    [
        ([], Risk.NEUTRAL),
        ([Risk.NEUTRAL, Risk.NEUTRAL], Risk.NEUTRAL),
        ([Risk.NEUTRAL, Risk.TIGHTENS], Risk.TIGHTENS),
        ([Risk.WEAKENS, Risk.WEAKENS], Risk.WEAKENS),
        ([Risk.WEAKENS, Risk.TIGHTENS], Risk.MIXED),
        ([Risk.MIXED, Risk.TIGHTENS], Risk.MIXED),
        ([Risk.UNKNOWN, Risk.TIGHTENS], Risk.UNKNOWN),
        ([Risk.UNKNOWN, Risk.WEAKENS], Risk.UNKNOWN),
        ([Risk.UNKNOWN, Risk.WEAKENS, Risk.TIGHTENS], Risk.MIXED),
        ([Risk.UNKNOWN, Risk.MIXED], Risk.MIXED),
    ],
)
def test_a_change_is_the_join_of_its_fields(risks: list[Risk], expected: Risk) -> None:
    assert join(risks) is expected
    assert join(reversed(risks)) is expected
    assert change_risk(Action.UPDATE, risks, was_enabled=False, enabled=False) is expected


@pytest.mark.parametrize(
    ("action", "was_enabled", "enabled", "expected"),
    [
        (Action.CREATE, False, True, Risk.TIGHTENS),
        (Action.CREATE, False, False, Risk.NEUTRAL),
        (Action.DELETE, True, False, Risk.WEAKENS),
        (Action.DELETE, False, False, Risk.NEUTRAL),
        (Action.ENABLE, False, True, Risk.TIGHTENS),
        (Action.DISABLE, True, False, Risk.WEAKENS),
    ],
)
def test_coming_going_and_switching_count_by_what_is_switched_on(
    action: Action, was_enabled: bool, enabled: bool, expected: Risk
) -> None:
    assert change_risk(action, [Risk.UNKNOWN], was_enabled=was_enabled, enabled=enabled) is expected
    assert whole_field_risk(action, "/enabled", was_enabled=was_enabled, enabled=enabled) is expected
    assert whole_field_risk(action, "/conditions", was_enabled=was_enabled, enabled=enabled) is Risk.NEUTRAL


def test_a_single_field_is_never_called_mixed_in_a_plan() -> None:
    assert [field_label(risk) for risk in Risk] == [risk if risk is not Risk.MIXED else Risk.UNKNOWN for risk in Risk]


# -------------------------------------------------------------------------------------------------------- laws


def values_of(key: str, schema: Mapping[str, Any]) -> st.SearchStrategy[Any]:
    """Values that a key may have live, right ones first."""
    odd = st.sampled_from([True, 0, 1.0, "x", "*", "10.0.0.1/8"])
    direction = schema.get("x-direction")
    if "enum" in schema:
        return st.sampled_from([each for each in schema["enum"] if each is not None]) | odd
    if key == "trust_tiers":
        tier = st.fixed_dictionaries({"min_trust_score": st.integers(0, 3), "multiplier": st.sampled_from([0.5, 1, 2])})
        return st.lists(tier, max_size=3)
    if key == "overrides":
        return st.dictionaries(st.sampled_from(["*", "a*", "ab", "c"]), st.integers(0, 3), max_size=3)
    if properties_of(schema):
        return body_of(schema)
    if "x-time" in schema and schema["x-time"] != "days":
        return st.sampled_from([0, 8, "08:30", 24, "UTC", "Europe/Berlin", "Asia/Tokyo"])
    if "x-list" in schema:
        pool = [
            "a",
            "A",
            "a*",
            "**",
            "a/b",
            "EU",
            "DE",
            "10.0.0.0/8",
            "10.1.*",
            "::1",
            "*.a",
            "b.a",
            "mon",
            "tue",
            "all",
        ]
        return st.lists(st.sampled_from([*pool, "agent_id:a*", "agent_id:a", "Login"]), max_size=3) | odd
    if direction in ("lower-tightens", "higher-tightens"):
        return st.integers(0, 3) | st.sampled_from(["1s", "2s", "1m", "60s", 0.5]) | odd
    return st.booleans() | odd


def body_of(schema: Mapping[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    named = properties_of(schema)
    fields = {key: values_of(key, each) for key, each in named.items() if key != "metadata"}
    return st.fixed_dictionaries({}, optional=fields)


PAIRS = st.sampled_from(sorted(TYPES)).flatmap(lambda n: st.tuples(st.just(n), body_of(TYPES[n]), body_of(TYPES[n])))


def every_pointer(schema: Mapping[str, Any], old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    inner = [
        f"/conditions/{key}"
        for body in (old, new)
        if isinstance(body.get("conditions"), dict)
        for key in body["conditions"]
    ]
    return ["", *(f"/{key}" for key in {*old, *new}), *inner, "/actions/on_violation", "/conditions/overrides/ab"]


@settings(max_examples=1000, deadline=None)
@given(PAIRS)
def test_swapping_old_and_new_swaps_the_direction(pair: tuple[str, dict[str, Any], dict[str, Any]]) -> None:
    name, old, new = pair
    where = every_pointer(TYPES[name], old, new)

    there, back = policy_risk(TYPES[name], old, new, where), policy_risk(TYPES[name], new, old, where)

    assert back == {pointer: SWAPPED.get(risk, risk) for pointer, risk in there.items()}


@settings(max_examples=300, deadline=None)
@given(PAIRS)
def test_what_is_equal_is_neutral(pair: tuple[str, dict[str, Any], dict[str, Any]]) -> None:
    name, body, other = pair

    found = policy_risk(TYPES[name], body, body, every_pointer(TYPES[name], body, other))

    assert set(found.values()) == {Risk.NEUTRAL}


@settings(max_examples=300, deadline=None)
@given(PAIRS)
def test_what_does_not_differ_has_no_direction(pair: tuple[str, dict[str, Any], dict[str, Any]]) -> None:
    name, live, git = pair
    merged = merge_for_put(git, live, MISSING, TYPES[name])

    fields = {field.pointer for field in diff_policy(git, live, MISSING, TYPES[name])}

    if not fields:
        assert policy_risk(TYPES[name], live, merged, [""])[""] is Risk.NEUTRAL
