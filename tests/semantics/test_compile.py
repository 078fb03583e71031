"""Policies from systems that check nothing: every fault at once, never an exception; and what a program needs."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.core.documents import load_yaml
from reconciler.core.judge import make_validator
from reconciler.core.schema import load_schemas
from reconciler.semantics.compile import FAMILIES, compile_policy
from reconciler.semantics.decide import Engine
from reconciler.semantics.events import Event
from reconciler.semantics.interpret import Runner
from reconciler.semantics.nodes import columns, from_json, history_us, is_stateful, remembers
from reconciler.semantics.program import Program
from tests.semantics.test_vectors import VECTORS

SCHEMAS = load_schemas()
BODIES = [vector.policies[0] for vector in VECTORS]
EVENT = Event("e", 0, "a", "read", "db/1", action_key="read")


def program(policy_type: str, conditions: dict[str, Any], **envelope: Any) -> Program:
    found = compile_policy({"name": "p", "policy_type": policy_type, "conditions": conditions, **envelope})
    assert isinstance(found, Program), [str(fault) for fault in found]
    return found


def test_every_type_of_the_schema_has_a_meaning() -> None:
    assert set(SCHEMAS.policy_types("opena2a")) == set(FAMILIES)


def test_all_faults_come_at_once_and_say_where() -> None:
    faults = compile_policy(
        {
            "policy_type": "access_control",
            "severity": "urgent",
            "applies_to": ["role:", "all"],
            "conditions": {"denied_ips": ["10.0.0.1/8"], "allowed_countries": [], "allowd_roles": ["x"]},
            "actions": {"on_violation": "block", "suspend_duration": "1y"},
        }
    )

    assert not isinstance(faults, Program)
    assert {fault.pointer for fault in faults} == {
        "/name",
        "/severity",
        "/applies_to",
        "/conditions/denied_ips/0",
        "/conditions/allowed_countries",
        "/conditions/allowd_roles",
        "/actions/suspend_duration",
    }
    assert next(fault for fault in faults if fault.pointer.endswith("allowd_roles")).fix == "write allowed_roles"
    assert "write 10.0.0.0/8" in str(next(fault for fault in faults if fault.pointer.endswith("/0")))


@pytest.mark.parametrize("body", [{}, {"policy_type": None}, {"policy_type": 7}, {"policy_type": "x"}, {"type": "x"}])
def test_a_policy_of_no_type_is_a_fault(body: dict[str, Any]) -> None:
    assert not isinstance(compile_policy(body), Program)


SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats(), st.text(max_size=5), st.just("10.0.0.0/8")
)
JSON = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner))


def places(body: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path] if path else []
    pairs = body.items() if isinstance(body, dict) else enumerate(body) if isinstance(body, list) else ()
    return found + [place for key, value in pairs for place in places(value, (*path, key))]


@settings(max_examples=800, deadline=None)
@given(st.data())
def test_no_value_anywhere_in_a_policy_is_an_exception_and_the_schema_agrees(data: st.DataObject) -> None:
    body = copy.deepcopy(data.draw(st.sampled_from(BODIES)))
    *way, last = data.draw(st.sampled_from(places(body)))
    parent: Any = body
    for key in way:
        parent = parent[key]
    parent[last] = data.draw(JSON)

    found = compile_policy(body)

    if isinstance(found, Program):
        Runner(found).step(EVENT)
        if body.get("policy_type") in FAMILIES:
            schema = SCHEMAS.policy_schema("opena2a", str(body["policy_type"]))
            body.pop("created_at", None)
            assert make_validator(schema).is_valid(without_nulls(body))


def without_nulls(value: Any) -> Any:
    """A policy as the reconciler reads it: a key that is null is as absent."""
    if isinstance(value, dict):
        return {key: without_nulls(entry) for key, entry in value.items() if entry is not None}
    return [without_nulls(entry) for entry in value] if isinstance(value, list) else value


def test_backing_off_too_slowly_is_refused_instead_of_computed() -> None:
    faults = compile_policy(
        {
            "name": "p",
            "policy_type": "rate_limit",
            "conditions": {
                "max_requests": 2**53,
                "window_size": "1m",
                "window_type": "tumbling",
                "adaptive": {"backoff_factor": 0.9999999, "min_requests": 1},
            },
        }
    )

    assert not isinstance(faults, Program)
    assert [fault.pointer for fault in faults] == ["/conditions/adaptive/backoff_factor"]


@pytest.mark.parametrize(
    ("policy_type", "conditions", "expected"),
    [
        ("trust_score", {"min_trust_score": 60}, {"trust_score"}),
        ("ip_allowlist", {"allowed_ips": ["10.0.0.0/8"]}, {"source_ip"}),
        ("capability_violation", {}, {"granted_capabilities", "requested_capability", "action"}),
        ("rate_limit", {"max_requests_per_hour": 1}, {"actor_id", "ts_us", "seq"}),
        (
            "rate_limit",
            {"max_requests_per_hour": 1, "trust_tiers": [{"min_trust_score": 0, "multiplier": 1}]},
            {"actor_id", "ts_us", "seq", "trust_score"},
        ),
        ("unusual_activity", {"check_off_hours": True}, {"ts_us"}),
    ],
)
def test_a_program_names_the_columns_it_needs(policy_type: str, conditions: dict[str, Any], expected: set[str]) -> None:
    assert columns(program(policy_type, conditions)) == expected


@pytest.mark.parametrize(
    ("policy_type", "conditions", "seconds", "lasting"),
    [
        ("trust_score", {"min_trust_score": 60}, 0, False),
        ("rate_limit", {"max_requests": 5, "window_size": "10s", "burst_limit": 3}, 10, False),
        ("rate_limit", {"max_requests": 5, "window_size": "10s", "window_type": "tumbling"}, 20, False),
        ("unusual_activity", {"baseline": {"buckets": 3, "bucket": "1m", "sigma": 3}}, 240, False),
        ("data_exfiltration", {"data_threshold_mb": 1}, 3600, False),
        ("config_drift", {"check_capability_changes": True}, 0, True),
        ("auth_failure", {}, 1800, False),
        ("trust_score", {"min_trust_score": 60, "auto_disable": True}, 0, True),
    ],
)
def test_a_program_says_how_far_back_it_looks(
    policy_type: str, conditions: dict[str, Any], seconds: int, lasting: bool
) -> None:
    found = program(policy_type, conditions)

    assert history_us(found) == seconds * 1_000_000
    assert remembers(found) is lasting
    assert is_stateful(found) is (seconds > 0 or lasting)


def test_a_tree_that_nobody_wrote_is_refused() -> None:
    with pytest.raises(ValueError, match="no node is called 'Exec'"):
        from_json({"is": "Exec", "code": "1"})
    with pytest.raises(ValueError, match="Cmp"):
        from_json({"is": "Cmp", "volume": 11})


def test_an_engine_refuses_two_policies_of_one_name_and_events_that_run_backwards() -> None:
    one = program("trust_score", {"min_trust_score": 60})
    engine = Engine([one])
    engine.step(EVENT)

    with pytest.raises(ValueError, match="one name"):
        Engine([one, one])
    engine.step(EVENT)
    later = Event("e", 5, "a", "read", "db/1", seq=7)
    engine.step(later)
    with pytest.raises(ValueError, match="order"):
        engine.step(Event("e", 5, "a", "read", "db/1", seq=6))


def test_checks_of_the_metadata_are_read_where_none_are_given() -> None:
    body = {
        "id": "pol-1",
        "type": "access",
        "name": "P",
        "rules": ["r"],
        "metadata": {"checks": {"r": {"require_mfa": True}}},
    }

    found = compile_policy(body)

    assert isinstance(found, Program)
    assert found.name == "pol-1"
    assert columns(found) == {"mfa_verified"}


SHIPPED = sorted((Path(__file__).parents[2] / "policies").rglob("*.yaml"))


def test_policies_ship_with_the_program() -> None:
    assert len(SHIPPED) > 5


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_every_policy_that_ships_with_the_program_compiles(path: Path) -> None:
    for body in load_yaml(path.read_bytes()):
        if isinstance(body, dict) and ("policy_type" in body or "rules" in body):
            found = compile_policy(body)

            assert isinstance(found, Program), [str(fault) for fault in found]


def test_what_a_server_fills_in_is_no_fault() -> None:
    found = program(
        "trust_score",
        {"min_trust_score": 70, "evaluation_frequency": "continuous"},
        id="policy_abc123",
        description="Agents must maintain trust score above 70",
        created_at="2024-01-15T10:00:00Z",
        updated_at="2024-01-15T10:00:00Z",
    )

    assert found.created_us == 1_705_312_800_000_000
