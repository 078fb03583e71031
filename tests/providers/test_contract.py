"""The one suite every provider passes: against the stand-in and the reference server, over real sockets."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import pytest

from reconciler.clock import SystemClock, SystemRandom
from reconciler.core.annotation import find_commit, make_headers
from reconciler.core.model import Body, Fate, LivePolicy, Mutation, Receipt, TargetSettings
from reconciler.core.secret import Secret
from reconciler.errors import ExitCode, LiveError
from reconciler.providers.base import Provider
from reconciler.providers.http import Transport
from reconciler.providers.registry import make_provider
from tests.fake_api import FakeApi
from tests.support.servers import reference_server

SHA = "3f9c2ab0" * 5
HEADERS = make_headers("0.1.0", SHA, "a key", "sha256:" + "0" * 64)
BODIES: Mapping[str, Body] = {
    "neosc": {
        "id": "pol-geo-restriction",
        "name": "Geo-Restriction Policy",
        "description": "Block access from specific countries",
        "type": "network",
        "rules": ["Block IPs from sanctioned countries", "Allow EU and US only", "Log all blocked attempts"],
    },
    "opena2a": {
        "name": "IP Allowlist Policy",
        "description": "Only allow agents from approved IP ranges",
        "policy_type": "ip_allowlist",
        "severity": "critical",
        "conditions": {"allowed_ips": ["192.168.1.0/24", "10.0.0.0/8"], "block_vpn": True},
        "actions": {"on_violation": "block_request", "notify_admins": True, "log_violation": True},
    },
    "aim": {
        "name": "Low trust score",
        "description": "Alert when an agent's trust score falls below 0.5",
        "policyType": "trust_score_low",
        "enforcementAction": "alert_only",
        "severityThreshold": "high",
        "rules": {"trust_threshold": 0.5},
        "appliesTo": "agent_type:crawler",
        "priority": 100,
    },
}


@dataclass(frozen=True)
class Server:
    """A running API: where, a token that works, and how to ask what it was asked."""

    url: str
    token: str
    mutations: Callable[[], list[Any]]


@contextmanager
def fake(dialect: str, put: str = "merge") -> Iterator[Server]:
    assert dialect in ("neosc", "opena2a")
    with FakeApi(dialect, put=put) as api:  # type: ignore[arg-type]
        yield Server(api.url, api.token, lambda: list(api.mutations))


@contextmanager
def reference(dialect: str, parts_of: int | None = None) -> Iterator[Server]:
    with reference_server(neosc_crud=True, parts_of=parts_of) as server:
        url = server.neosc_url if dialect == "neosc" else server.opena2a_url
        yield Server(url, server.token, lambda: list(server.mutations))


@contextmanager
def published_neosc(_: str) -> Iterator[Server]:
    with reference_server(neosc_crud=True, quirks=frozenset({"neosc"})) as server:
        yield Server(server.neosc_url, server.token, lambda: list(server.mutations))


@contextmanager
def published_aim(generation: str) -> Iterator[Server]:
    with reference_server(quirks=frozenset({generation})) as server:
        yield Server(server.aim_url, server.token, lambda: list(server.mutations))


SERVERS: Mapping[str, Callable[[str], Any]] = {
    "stand-in": fake,
    "stand-in that blanks": lambda dialect: fake(dialect, "replace"),
    "reference": reference,
    "reference in parts": lambda dialect: reference(dialect, 1),
    "published": published_neosc,
    "aim:a1": lambda _: published_aim("aim:a1"),
    "aim:a2": lambda _: published_aim("aim:a2"),
    "aim:a3": lambda _: published_aim("aim:a3"),
}
CASES = [
    *(
        (kind, dialect)
        for kind in ("stand-in", "stand-in that blanks", "reference")
        for dialect in ("neosc", "opena2a")
    ),
    ("reference in parts", "neosc"),
    pytest.param(("reference in parts", "opena2a"), marks=pytest.mark.heavy),
    ("published", "neosc"),
    *(pytest.param((f"aim:{name}", "aim"), marks=pytest.mark.heavy) for name in ("a1", "a2")),
    ("aim:a3", "aim"),
]


@pytest.fixture(params=CASES, ids=lambda case: " ".join(case))
def case(request: pytest.FixtureRequest) -> tuple[str, str]:
    """Which server, and which provider speaks to it."""
    found: tuple[str, str] = request.param
    return found


@pytest.fixture
def kind(case: tuple[str, str]) -> str:
    return case[0]


@pytest.fixture
def dialect(case: tuple[str, str]) -> str:
    return case[1]


@pytest.fixture
def server(kind: str, dialect: str) -> Iterator[Server]:
    with SERVERS[kind](dialect) as server:
        yield server


def connect(server: Server, dialect: str, token: str | None = None) -> Provider:
    settings = TargetSettings("t", dialect, server.url, "policies", crud=True)
    transport = Transport(
        server.url, Secret(token or server.token), deadline=10.0, clock=SystemClock(), random=SystemRandom()
    )
    return make_provider(settings, transport)


@pytest.fixture
def provider(server: Server, dialect: str) -> Provider:
    return connect(server, dialect)


@pytest.fixture
def made(provider: Provider, dialect: str) -> LivePolicy:
    """A policy just created, as read back."""
    provider.fetch_listing()  # NeoSC makes its defaults now, and not in the middle of a test
    receipt = send(provider, "create", None, BODIES[dialect], enabled=True)
    assert receipt.fate is Fate.APPLIED
    assert receipt.id is not None
    return find(provider, receipt.id)


def send(provider: Provider, operation: str, policy_id: str | None, body: Body | None, *, enabled: bool) -> Receipt:
    return provider.send(Mutation(operation, policy_id, body, enabled, SHA, HEADERS))


def find(provider: Provider, policy_id: str) -> LivePolicy:
    found = [policy for policy in provider.fetch_listing().policies if policy.id == policy_id]
    assert len(found) == 1
    return found[0]


def test_a_first_list_is_whole(provider: Provider) -> None:
    listing = provider.fetch_listing()

    assert listing.complete
    assert listing.reason is None
    assert listing.read_at.utcoffset() is not None


def test_what_is_created_is_read_back_as_it_was_meant(made: LivePolicy, dialect: str) -> None:
    assert made.body == BODIES[dialect]
    assert made.enabled is True
    assert made.natural_key == BODIES[dialect]["id" if dialect == "neosc" else "name"]


def test_a_policy_may_be_created_switched_off(provider: Provider, dialect: str) -> None:
    provider.fetch_listing()

    receipt = send(provider, "create", None, BODIES[dialect], enabled=False)

    assert (receipt.fate, receipt.enabled) == (Fate.APPLIED, False)
    assert receipt.id is not None
    assert find(provider, receipt.id).enabled is False


def test_a_toggle_goes_both_ways_and_says_what_it_did(provider: Provider, made: LivePolicy) -> None:
    for enabled in (False, True):
        receipt = send(provider, "toggle", made.id, None, enabled=enabled)

        assert (receipt.fate, receipt.enabled) == (Fate.APPLIED, enabled)
        assert find(provider, made.id) == replace(made, enabled=enabled, raw=find(provider, made.id).raw)


def test_a_toggle_that_does_the_opposite_is_told_apart(
    provider: Provider, made: LivePolicy, dialect: str, kind: str
) -> None:
    flips = dialect == "neosc" and not kind.startswith("reference")  # which announces that it can set

    receipt = send(provider, "toggle", made.id, None, enabled=made.enabled)

    assert receipt.fate is (Fate.APPLIED_OTHER if flips else Fate.APPLIED)
    assert receipt.enabled is (not made.enabled if flips else made.enabled)


def test_an_update_changes_what_is_nested_and_nothing_else(provider: Provider, made: LivePolicy, dialect: str) -> None:
    change: Body = {
        "neosc": {"rules": ["Allow EU only"]},
        "opena2a": {"conditions": {"allowed_ips": ["203.0.113.0/24"], "block_vpn": False}},
        "aim": {"rules": {"trust_threshold": 0.25}},
    }[dialect]  # type: ignore[assignment]

    receipt = send(provider, "update", made.id, {**made.body, **change}, enabled=made.enabled)

    assert receipt.fate is Fate.APPLIED
    after = find(provider, made.id)
    assert after.body == {**made.body, **change}
    assert after.enabled is True


def test_an_update_never_switches_a_policy(provider: Provider, made: LivePolicy) -> None:
    send(provider, "toggle", made.id, None, enabled=False)

    receipt = send(provider, "update", made.id, {**made.body, "description": "new"}, enabled=False)

    assert (receipt.fate, receipt.enabled) == (Fate.APPLIED, False)
    assert find(provider, made.id).enabled is False


def test_what_is_read_can_be_written_back(provider: Provider, made: LivePolicy) -> None:
    receipt = send(provider, "update", made.id, made.body, enabled=made.enabled)

    assert receipt.fate is Fate.APPLIED
    assert find(provider, made.id).body == made.body


def test_a_deleted_policy_is_gone_and_deleting_it_again_is_refused(
    provider: Provider, made: LivePolicy, kind: str
) -> None:
    before = len(provider.fetch_listing().policies)

    assert send(provider, "delete", made.id, None, enabled=False).fate is Fate.APPLIED
    again = send(provider, "delete", made.id, None, enabled=False).fate
    assert again is (Fate.APPLIED if kind == "aim:a1" else Fate.REJECTED)  # the oldest AIM has no 404 for it

    assert len(provider.fetch_listing().policies) == before - 1
    assert provider.fetch_one(made.id) is None


def test_one_policy_is_read_as_the_list_shows_it(provider: Provider, made: LivePolicy) -> None:
    assert provider.fetch_one(made.id) == made


@pytest.mark.parametrize("operation", ["toggle", "update", "delete"])
def test_a_policy_that_is_not_there_is_a_refusal_in_the_apis_words(
    provider: Provider, dialect: str, operation: str
) -> None:
    body = BODIES[dialect] if operation == "update" else None

    receipt = send(provider, operation, "no-such-policy", body, enabled=True)

    told = (400, "Invalid policy ID") if dialect == "aim" else (404, "Policy not found")
    assert (receipt.fate, receipt.status, receipt.detail) == (Fate.REJECTED, *told)


def test_every_change_leaves_one_entry_with_its_commit(
    provider: Provider, made: LivePolicy, kind: str, dialect: str
) -> None:
    send(provider, "update", made.id, {**made.body, "description": "new"}, enabled=True)
    send(provider, "toggle", made.id, None, enabled=False)
    send(provider, "delete", made.id, None, enabled=False)

    trail = provider.fetch_trail()

    about = [entry for entry in trail.entries if entry.policy_id == made.id]
    assert trail.available
    assert trail.complete
    assert [entry.action.split("_")[0] for entry in about] == ["delete", "toggle", "update", "create"]
    assert {find_commit(entry.texts) for entry in about} == {None if kind == "published" else SHA}
    assert len({entry.id for entry in about}) == 4
    assert {entry.beside for entry in about} == {dialect == "aim"}
    assert dialect == "aim" or {entry.actor for entry in about} == {"gitops@example.com"}


def test_the_annotation_travels_in_the_headers_of_the_very_request(
    server: Server, provider: Provider, made: LivePolicy
) -> None:
    send(provider, "toggle", made.id, None, enabled=False)

    for request in server.mutations():
        assert request.headers["user-agent"] == HEADERS["User-Agent"]
        assert request.headers["baggage"] == f"vcs.ref.head.revision={SHA}"
        assert request.headers["authorization"] == f"Bearer {server.token}"


def test_what_the_server_owns_is_never_sent(server: Server, provider: Provider, made: LivePolicy, dialect: str) -> None:
    send(provider, "update", made.id, {**made.raw, "metadata": {"owner": "x"}}, enabled=True)

    sent = server.mutations()[-1].json()
    assert not sent.keys() & {"created_at", "updated_at", "metadata"}
    assert sent["isEnabled" if dialect == "aim" else "enabled"] is True


def test_a_token_that_is_not_known_can_neither_read_nor_write(server: Server, dialect: str) -> None:
    stranger = connect(server, dialect, "not-a-known-token")

    with pytest.raises(LiveError, match="does not take the token") as caught:
        stranger.fetch_listing()
    receipt = send(stranger, "toggle", "pol-mfa-required", None, enabled=True)

    assert caught.value.exit is ExitCode.ERROR
    assert (receipt.fate, receipt.status) == (Fate.REJECTED, 401)


def test_a_mode_is_set_and_read_back(provider: Provider, dialect: str, kind: str) -> None:
    if dialect == "neosc":
        assert send(provider, "mode", None, {"enforcement_mode": "strict"}, enabled=True).fate is Fate.NOT_SENT
        return
    if kind in ("aim:a1", "aim:a2"):
        assert provider.fetch_listing().mode is None
        assert send(provider, "mode", None, {"enforcement_mode": "strict"}, enabled=True).fate is Fate.REJECTED
        return

    assert provider.fetch_listing().mode == "MONITORING"
    assert send(provider, "mode", None, {"enforcement_mode": "strict"}, enabled=True).fate is Fate.APPLIED
    assert provider.fetch_listing().mode == "STRICT"
