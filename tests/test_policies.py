"""The sample policies: valid, and value for value what the vendors' documents say."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from reconciler.core.documents import Document, read_documents
from reconciler.core.model import Json
from reconciler.core.schema import find_key_conflicts, load_schemas, policy_key

ROOT = Path(__file__).parents[1]
SCHEMAS = load_schemas()
FILES = sorted((ROOT / "policies").rglob("*.yaml"))


def read(path: Path) -> tuple[Document, ...]:
    documents, problems = read_documents(path.read_bytes(), path.relative_to(ROOT).as_posix())
    assert problems == ()
    return documents


def by_key(provider: str) -> dict[str, dict[str, Json]]:
    documents = [document for path in FILES if path.parent.name == provider for document in read(path)]
    return {policy_key(provider, document.value): document.value for document in documents}


#: As in the vendors' documents, less `id` (opena2a) and what the server fills in.
SEEDS: dict[str, list[dict[str, Json]]] = {
    "neosc": [
        {
            "id": "pol-mfa-required",
            "name": "MFA Required",
            "description": "Enforce multi-factor authentication for all users",
            "type": "access",
            "rules": ["Require MFA for login", "WebAuthn preferred", "TOTP as fallback"],
            "enabled": True,
        },
        {
            "id": "pol-network-zero-trust",
            "name": "Zero Trust Network",
            "description": "All connections through encrypted NetBird tunnels",
            "type": "network",
            "rules": ["No direct connections", "WireGuard encryption", "Identity verification"],
            "enabled": True,
        },
        {
            "id": "pol-session-recording",
            "name": "Session Recording",
            "description": "Record all workspace sessions for audit",
            "type": "session",
            "rules": ["Record screen activity", "Log keystrokes for audit", "30-day retention"],
            "enabled": True,
        },
        {
            "id": "pol-geo-restriction",
            "name": "Geo-Restriction Policy",
            "description": "Block access from specific countries",
            "type": "network",
            "rules": ["Block IPs from sanctioned countries", "Allow EU and US only", "Log all blocked attempts"],
            "enabled": True,
        },
    ],
    "opena2a": [
        {
            "name": "Maximum Trust Score Required",
            "description": "Agents must maintain trust score above 70",
            "policy_type": "trust_score",
            "enabled": True,
            "severity": "high",
            "conditions": {"min_trust_score": 70, "evaluation_frequency": "continuous"},
            "actions": {"on_violation": "suspend_agent", "notify_admins": True},
        },
        {
            "name": "Rate Limit Enforcement",
            "description": "Limit agents to 1000 requests per hour",
            "policy_type": "rate_limit",
            "enabled": True,
            "severity": "medium",
            "conditions": {"max_requests_per_hour": 1000, "window_size": "1h"},
            "actions": {"on_violation": "throttle", "notify_admins": False},
        },
        {
            "name": "IP Allowlist Policy",
            "description": "Only allow agents from approved IP ranges",
            "policy_type": "ip_allowlist",
            "enabled": True,
            "severity": "critical",
            "conditions": {"allowed_ips": ["192.168.1.0/24", "10.0.0.0/8", "172.16.0.0/12"], "block_vpn": True},
            "actions": {"on_violation": "block_request", "notify_admins": True, "log_violation": True},
        },
        {
            "name": "Minimum Trust Score",
            "policy_type": "trust_score",
            "conditions": {"min_trust_score": 60, "check_frequency": "hourly"},
            "actions": {"on_violation": "alert", "notify_admins": True},
        },
        {
            "name": "PII Access Control",
            "policy_type": "data_access",
            "conditions": {"data_types": ["pii", "phi"], "requires_approval": True, "max_records_per_request": 100},
            "actions": {"on_violation": "block", "log_attempt": True},
        },
    ],
}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_sample_policy_has_no_problem(path: Path) -> None:
    for document in read(path):
        assert SCHEMAS.check_policy(path.parent.name, document) == ()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_first_line_leads_an_editor_to_the_schema(path: Path) -> None:
    first = path.read_text(encoding="utf-8").splitlines()[0]

    schema = os.path.relpath(ROOT / f"schemas/{path.parent.name}.policy.schema.json", path.parent)
    assert first == f"# yaml-language-server: $schema={schema}"


@pytest.mark.parametrize("provider", sorted(SEEDS))
def test_the_samples_are_the_vendors_policies_value_for_value(provider: str) -> None:
    samples = by_key(provider)

    bare = [{key: value for key, value in sample.items() if key != "metadata"} for sample in samples.values()]
    assert sorted(bare, key=str) == sorted(SEEDS[provider], key=str)


@pytest.mark.parametrize(
    ("provider", "seed"),
    [(provider, seed) for provider, seeds in SEEDS.items() for seed in seeds],
    ids=lambda value: str(value["name"]) if isinstance(value, dict) else value,
)
def test_every_policy_of_the_vendors_documents_is_valid_as_it_stands(provider: str, seed: dict[str, Json]) -> None:
    assert SCHEMAS.violations_of_policy(provider, seed) == ()


@pytest.mark.parametrize("provider", sorted(SEEDS))
def test_no_two_samples_have_one_key(provider: str) -> None:
    documents = [document for path in FILES if path.parent.name == provider for document in read(path)]

    assert find_key_conflicts(provider, documents) == ()


@pytest.mark.parametrize("provider", sorted(SEEDS))
def test_every_sample_says_who_answers_for_it_and_why(provider: str) -> None:
    for key, sample in by_key(provider).items():
        metadata = sample["metadata"]
        assert isinstance(metadata, dict)
        assert {"owner", "rationale", "review_by"} <= set(metadata), key
        assert str(metadata["review_by"]).startswith("2027-"), key


def test_what_neosc_calls_critical_is() -> None:
    critical = {
        key
        for key, sample in by_key("neosc").items()
        if isinstance(sample["metadata"], dict) and sample["metadata"].get("critical") is True
    }

    assert critical == {"pol-mfa-required", "pol-network-zero-trust", "pol-session-recording"}


def test_checks_speak_of_rules_that_are_there() -> None:
    for key, sample in by_key("neosc").items():
        metadata, rules = sample["metadata"], sample["rules"]
        assert isinstance(metadata, dict)
        assert isinstance(rules, list)
        checks = metadata.get("checks")
        assert isinstance(checks, dict)
        assert set(checks) <= set(rules), key


def test_the_config_of_this_repository_has_no_problem() -> None:
    (document,) = read(ROOT / "reconciler.yaml")

    assert SCHEMAS.check_config(document) == ()
    targets = document.value["targets"]
    assert isinstance(targets, dict)
    for target in targets.values():
        assert isinstance(target, dict)
        assert (ROOT / str(target["policies"])).is_dir()
