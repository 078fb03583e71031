"""A witness really flips: the interpreter decides otherwise under the old and the new policy (semantics.md E.2)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.core.model import Json, Risk, Stance, Witness, WitnessKind
from reconciler.core.risk import policy_risk
from reconciler.core.schema import load_schemas
from reconciler.core.witness import witness_of
from reconciler.reports.view import witness_words
from reconciler.semantics.compile import compile_policy
from reconciler.semantics.events import Event, parse_event
from reconciler.semantics.interpret import Outcome, Runner
from reconciler.semantics.normal import parse_instant
from reconciler.semantics.program import Program
from tests.support.vectors import MIDNIGHT_US

SCHEMAS = load_schemas()
#: An event that no policy drawn here objects to; every list that allows has `zz` in it, and none that denies.
PLAIN: Mapping[str, Json] = {
    "event_id": "e",
    "ts_us": MIDNIGHT_US,
    "actor_id": "zz",
    "actor_type": "ai_agent",
    "actor_roles": ["zz"],
    "tenant": "zz",
    "action": "zz",
    "resource": "zz",
    "resource_type": "zz",
    "source_ip": "203.0.113.99",
    "is_vpn": False,
    "country": "JP",
    "success": True,
    "trust_score": 100,
    "capabilities": ["zz"],
    "mcp_server": "zz",
    "mcp_domain": "zz.example",
    "mcp_url": "zz",
    "mcp_trust_score": 100,
    "mcp_attestations": 1000,
    "mcp_confidence_score": 100,
    "mcp_capabilities": ["zz"],
    "mcp_verified": True,
    "mcp_registered_at": 0,
    "records": 0,
    "bytes": 0,
    "data_types": ["zz"],
    "purpose": "zz",
}
COLUMN = {
    **dict.fromkeys(("allowed_ips", "denied_ips", "except_ips"), "source_ip"),
    **dict.fromkeys(("allowed_resources", "restricted_resources", "resources", "except_resources"), "resource"),
    **dict.fromkeys(("allowed_actions", "restricted_actions", "actions", "patterns"), "action"),
    **dict.fromkeys(("allowed_countries", "denied_countries"), "country"),
    **dict.fromkeys(("allowed_roles", "denied_roles"), "actor_roles"),
    **dict.fromkeys(("allowed_domains", "blocked_domains"), "mcp_domain"),
    **dict.fromkeys(("allowed_names", "blocked_names"), "mcp_server"),
    **dict.fromkeys(("forbidden_capabilities", "blocked_capabilities"), "mcp_capabilities"),
    "blocked_urls": "mcp_url",
    "dangerous_capabilities": "capabilities",
    "allowed_purposes": "purpose",
    "resource_types": "resource_type",
    "data_types": "data_types",
    "except_actors": "actor_id",
    "min_attestations": "mcp_attestations",
    "min_confidence_score": "mcp_confidence_score",
    "max_records_per_request": "records",
}
LISTS = {"actor_roles", "mcp_capabilities", "capabilities", "data_types"}

# ------------------------------------------------------------------------------------------- drawn policies

ADDRESSES = ["10.0.0.0/8", "10.0.0.0/9", "10.1.2.3", "10.1.0.0-10.2.0.255", "192.168.*", "2001:db8::/64", "::/8"]
RESOURCES = ["hr/*", "hr/**", "hr/a", "hr/?", "crm/*/eu/*", "crm/**", "a*/b", "**/b", "hr/a/*"]
NAMES = ["read*", "read", "delete*", "*_x", "Read_?", "w*e"]
COUNTRIES = ["EU", "DE", "FR", "US", "KP"]
WORDS = ["analyst", "admin", "ops"]
DOMAINS = ["a.example", "*.a.example", "b.a.example", "*.corp.test", "corp.test"]
DAYS = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata"]
SPANS = ["1s", "10s", "1m", "1h"]


def some(entries: list[str], *always: str) -> st.SearchStrategy[Any]:
    """A list that allows: any of *entries*, and what the plain event has."""
    drawn = st.lists(st.sampled_from(entries), min_size=0 if always else 1, max_size=3, unique=True)
    return drawn.map(lambda several: [*several, *always])


ADDRESS_KEYS = {
    "allowed_ips": some(ADDRESSES, "203.0.113.99"),
    "denied_ips": some(ADDRESSES[:5]),
    "except_ips": some(ADDRESSES[:3]),
}
TIME_KEYS = {
    "allowed_hours_start": st.sampled_from([0, 6, 9, "08:30", 20]),
    "allowed_hours_end": st.sampled_from([5, 12, "18:15", 24]),
    "allowed_days": st.lists(st.sampled_from(DAYS), min_size=1, max_size=7, unique=True),
    "timezone": st.sampled_from(ZONES),
}
FILTER_KEYS = {
    "resources": some(RESOURCES, "zz"),
    "actions": some(NAMES, "zz"),
    "except_resources": some(RESOURCES),
    "resource_types": some(NAMES, "zz"),
    "except_actors": some(NAMES),
}
COUNT = st.integers(1, 6)
#: (policy type, keys that are always there, keys that may be).
TYPES: list[tuple[str, dict[str, st.SearchStrategy[Any]], dict[str, st.SearchStrategy[Any]]]] = [
    ("ip_allowlist", {"allowed_ips": ADDRESS_KEYS["allowed_ips"]}, {"denied_ips": ADDRESS_KEYS["denied_ips"]}),
    (
        "unauthorized_access",
        {"restricted_actions": some(NAMES)},
        {
            **ADDRESS_KEYS,
            "allowed_resources": some(RESOURCES, "zz"),
            "restricted_resources": some(RESOURCES),
            "allowed_actions": some(NAMES, "zz"),
            "resource_match": st.sampled_from(["glob", "contains"]),
            **FILTER_KEYS,
        },
    ),
    ("unauthorized_access", {**TIME_KEYS, "denied_ips": st.just(["10.0.0.0/8"])}, {}),
    (
        "access_control",
        {"allowed_roles": some(WORDS, "zz")},
        {
            "denied_roles": some(WORDS),
            "allowed_countries": some(COUNTRIES, "JP"),
            "denied_countries": some(COUNTRIES),
            **FILTER_KEYS,
        },
    ),
    ("trust_score", {"min_trust_score": st.integers(1, 99)}, {}),
    (
        "data_access",
        {"max_records_per_request": COUNT},
        {"allowed_purposes": some(WORDS, "zz"), "data_types": some(WORDS, "zz")},
    ),
    (
        "rate_limit",
        {"max_requests": COUNT, "window_size": st.sampled_from(SPANS)},
        {"window_type": st.sampled_from(["sliding", "tumbling"]), "overrides": st.just({"ci-*": 9})},
    ),
    (
        "rate_limit",
        {"max_requests_per_minute": st.integers(3, 9), "burst_limit": COUNT},
        {"burst_window": st.sampled_from(SPANS[:2])},
    ),
    ("unusual_activity", {"api_rate_threshold": COUNT}, {"time_window_minutes": st.sampled_from([1, 60])}),
    (
        "unusual_activity",
        {
            "check_unusual_patterns": st.booleans(),
            "unusual_pattern_threshold": COUNT,
            "api_rate_threshold": st.just(99),
        },
        {},
    ),
    ("unusual_activity", {"check_unusual_patterns": st.just(True), "unusual_pattern_threshold": COUNT}, {}),
    (
        "unusual_activity",
        {
            "check_off_hours": st.booleans(),
            "api_rate_threshold": st.just(50),
            "business_hours_start": st.sampled_from([7, 8, 9]),
        },
        {"business_days": TIME_KEYS["allowed_days"], "timezone": TIME_KEYS["timezone"]},
    ),
    ("data_exfiltration", {"data_threshold_mb": COUNT}, {"patterns": some(["export", "Dump", "dump_all", "x"])}),
    (
        "auth_failure",
        {"max_attempts": COUNT},
        {"time_window": st.sampled_from(SPANS), "lockout_duration": st.sampled_from(SPANS)},
    ),
    (
        "config_drift",
        {"check_permission_escalation": st.just(True)},
        {"dangerous_capabilities": some(["admin:*", "admin:x", "*:delete", "w?"])},
    ),
    ("mcp_allowlist", {"allowed_domains": some(DOMAINS, "zz.example")}, {"allowed_names": some(NAMES, "zz")}),
    ("mcp_allowlist", {"allowed_names": some(NAMES, "zz")}, {}),
    (
        "mcp_blocklist",
        {"blocked_domains": some(DOMAINS)},
        {"blocked_names": some(NAMES), "blocked_urls": some(RESOURCES), "blocked_capabilities": some(NAMES)},
    ),
    ("mcp_capabilities", {"forbidden_capabilities": some(NAMES)}, {"max_capability_count": st.integers(0, 5)}),
    (
        "mcp_min_trust",
        {"min_trust_score": st.integers(1, 99)},
        {"min_attestations": COUNT, "min_confidence_score": COUNT},
    ),
    ("mcp_unverified", {"grace_period_days": st.integers(0, 9)}, {}),
]
SCOPES = st.one_of(
    st.just("all"),
    st.lists(st.sampled_from(["agent_id:zz", "agent_id:ci-*", "agent_id:c?", "agent_id:*"]), min_size=1, unique=True),
    st.lists(st.sampled_from(["role:zz", "role:ops", "role:admin"]), min_size=1, unique=True),
    st.lists(st.sampled_from(["user:zz", "role:zz"]), min_size=1, unique=True),
)


@st.composite
def pairs(draw: st.DrawFn) -> tuple[dict[str, Json], dict[str, Json]]:
    """Two versions of one policy that differ in a key or two."""
    policy_type, always, maybe = draw(st.sampled_from(TYPES))
    conditions = draw(st.fixed_dictionaries(always, optional=maybe))
    every = {**always, **maybe}
    others = dict(conditions)
    for key in draw(st.lists(st.sampled_from(sorted(every)), min_size=1, max_size=2, unique=True)):
        if key in others and key in maybe and draw(st.booleans()):
            del others[key]
        else:
            others[key] = draw(every[key])
    scopes: tuple[Any, Any] = ("all", "all")
    if draw(st.integers(0, 4)) == 0:
        others, scopes = conditions, (draw(SCOPES), draw(SCOPES))
    old, new = (
        {"name": "p", "policy_type": policy_type, "applies_to": scope, "conditions": each}
        for each, scope in zip((conditions, others), scopes, strict=True)
    )
    return old, new


def witnesses(old: dict[str, Json], new: dict[str, Json]) -> dict[str, Witness]:
    """What a plan shows of each changed field, by its key."""
    schema = SCHEMAS.policy_schema("opena2a", str(old["policy_type"]))
    before, after = (each["conditions"] for each in (old, new))
    assert isinstance(before, dict)
    assert isinstance(after, dict)
    pointers = [f"/conditions/{key}" for key in {**before, **after} if before.get(key) != after.get(key)]
    pointers += ["/applies_to"] if old["applies_to"] != new["applies_to"] else []
    risks = policy_risk(schema, old, new, pointers)
    found = {pointer: witness_of(schema, old, new, pointer, risks[pointer]) for pointer in pointers}
    for pointer, witness in found.items():
        if witness is not None:
            tightens = (witness.was, witness.now) in (
                (Stance.ALLOWED, Stance.VIOLATES),
                (Stance.OUTSIDE, Stance.INSIDE),
            )
            assert risks[pointer] is (Risk.TIGHTENS if tightens else Risk.WEAKENS)
    return {pointer.rpartition("/")[2]: witness for pointer, witness in found.items() if witness is not None}


# ------------------------------------------------------------------------------------------- their events


def stream(key: str, witness: Witness, policy_type: str) -> list[Event]:
    """The plain event with the witness in it; of a count, so many of them."""
    rows: list[dict[str, Any]] = [dict(PLAIN)]
    row, value = rows[0], witness.value
    match witness.kind:
        case WitnessKind.COUNT:
            assert isinstance(value, int)
            span = 1000 * (witness.span_ms or 0)
            rows = [{**row, "ts_us": MIDNIGHT_US + (span if at else 0)} for at in range(value)]
            for at, each in enumerate(rows):
                each.update({"action": "login", "success": False} if witness.of == "failed logins" else {})
                each.update({"resource_type": f"t{at}", "action": f"a{at}"} if witness.of == "resource types" else {})
        case WitnessKind.MINUTE:
            row["ts_us"] = parse_instant(str(value))
        case WitnessKind.NUMBER:
            assert isinstance(value, int | float)
            row.update(number(key, value, policy_type))
        case _ if key == "applies_to":
            prefix, _, name = str(value).partition(":")
            row["actor_roles" if prefix == "role" else "actor_id"] = [name] if prefix == "role" else name
            row["actor_type"] = "user" if prefix == "user" else "ai_agent"
        case _:
            row[COLUMN[key]] = [value] if COLUMN[key] in LISTS else value
    events = [parse_event({**each, "event_id": f"e{at}"}, seq=at) for at, each in enumerate(rows)]
    assert all(isinstance(each, Event) and not each.dropped for each in events), events
    return [each for each in events if isinstance(each, Event)]


def number(key: str, value: float, policy_type: str) -> dict[str, Any]:
    match key:
        case "min_trust_score":
            return {"mcp_trust_score" if policy_type.startswith("mcp") else "trust_score": value}
        case "max_capability_count":
            return {"mcp_capabilities": [f"z{at}" for at in range(int(value))]}
        case "data_threshold_mb":
            return {"bytes": int(value * 1_048_576)}
        case "grace_period_days":
            return {"mcp_verified": False, "mcp_registered_at": MIDNIGHT_US - int(value * 86_400_000_000)}
        case _:
            return {COLUMN[key]: value}


STANDS = {
    Stance.ALLOWED: {Outcome.PASS},
    Stance.VIOLATES: {Outcome.VIOLATE},
    Stance.OUTSIDE: {Outcome.NA},
    Stance.INSIDE: {Outcome.PASS, Outcome.VIOLATE},
}


def check(old: dict[str, Json], new: dict[str, Json]) -> dict[str, Witness]:
    found = witnesses(old, new)
    for key, witness in found.items():
        for version, stance in ((old, witness.was), (new, witness.now)):
            program = compile_policy(version)
            assert isinstance(program, Program), program
            runner = Runner(program)
            outcomes = [runner.step(event).outcome for event in stream(key, witness, program.policy_type)]
            assert outcomes[-1] in STANDS[stance], (key, witness, old, new, outcomes)
    return found


@settings(max_examples=250)
@given(pairs())
def test_a_witness_flips_what_the_interpreter_says(pair: tuple[dict[str, Json], dict[str, Json]]) -> None:
    check(*pair)


@pytest.mark.heavy
@settings(max_examples=5000)
@given(pairs())
def test_thousands_of_witnesses_flip_what_the_interpreter_says(
    pair: tuple[dict[str, Json], dict[str, Json]],
) -> None:
    check(*pair)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=150)
@given(pairs(), st.data())
def test_whatever_a_live_policy_holds_a_witness_is_small_or_there_is_none(
    pair: tuple[dict[str, Json], dict[str, Json]], data: st.DataObject
) -> None:
    old, new = pair
    conditions = new["conditions"]
    assert isinstance(conditions, dict)
    key = data.draw(st.sampled_from(sorted(conditions)))
    hostile: Any = data.draw(JSON | st.lists(st.text(max_size=300), max_size=3) | st.just(10**400))

    found = witnesses(old, {**new, "conditions": {**conditions, key: hostile}})

    assert all(len(str(witness.value)) <= 200 for witness in found.values())


#: Type, key, old, new, and what is shown of it.
SHOWN: list[tuple[str, str, Json, Json, str]] = [
    ("ip_allowlist", "allowed_ips", ["192.168.0.0/16"], ["192.168.0.0/17"], "192.168.128.0 was allowed, now violates"),
    ("ip_allowlist", "allowed_ips", ["10.0.0.1"], ["10.0.0.1", "::1"], "::1 was a violation, now allowed"),
    (
        "unauthorized_access",
        "allowed_resources",
        ["crm/*/*/*"],
        ["crm/*/eu/*", "crm/*/us/*"],
        '"crm///" was allowed, now violates',
    ),
    ("unauthorized_access", "restricted_actions", ["drop*"], ["drop_*"], '"drop" was a violation, now allowed'),
    ("access_control", "allowed_countries", ["DE"], ["EU"], "AT was a violation, now allowed"),
    ("access_control", "actions", ["read"], ["read", "write"], '"write" was out of scope, now in scope'),
    (
        "access_control",
        "allowed_hours_start",
        9,
        8,
        "Mon 08:00 Europe/Berlin (2026-01-05T07:00:00Z) was a violation, now allowed",
    ),
    ("trust_score", "min_trust_score", 50, 60, "50 was allowed, now violates"),
    ("data_exfiltration", "data_threshold_mb", 100, 50, "50 MiB was allowed, now violates"),
    ("rate_limit", "max_requests", 100, 50, "51 requests at once were allowed, now violate"),
    ("rate_limit", "max_requests", 5000, 10_000, "5,001 requests at once were a violation, now allowed"),
    (
        "rate_limit",
        "window_size",
        "1h",
        "2h",
        "101 requests, the first 1h before the rest, were allowed, now violate",
    ),
]
BESIDE: Mapping[str, dict[str, Json]] = {
    "window_size": {"max_requests": 100},
    "max_requests": {"window_size": "1h"},
    "allowed_hours_start": {"timezone": "Europe/Berlin", "allowed_hours_end": 18},
}


@pytest.mark.parametrize(("policy_type", "key", "old", "new", "words"), SHOWN)
def test_the_smallest_witness_is_shown_in_words(policy_type: str, key: str, old: Json, new: Json, words: str) -> None:
    versions: list[dict[str, Json]] = [
        {
            "name": "p",
            "policy_type": policy_type,
            "applies_to": "all",
            "conditions": {**BESIDE.get(key, {}), key: each},
        }
        for each in (old, new)
    ]

    (found,) = witnesses(*versions).values()

    assert witness_words(found) == f"e.g. {words}"
