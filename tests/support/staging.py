"""Two weeks on a reference server: policies from git, an edit behind its back, a broken glass, agents that misbehave.

Told through the APIs and a clock that the teller moves, so a page of it looks as it does where people work.
"""

from __future__ import annotations

from typing import Any

import httpx

from tests.support.clocks import FakeClock
from tests.support.servers import RunningServer
from tests.support.visitors import from_git, program, visitor

HOUR = 3600.0
COMMITS = ("3f9c2ab1d4e5f60718293a4b5c6d7e8f90a1b2c3", "7d2e901aa4e5f60718293a4b5c6d7e8f90a1b2c3")
POLICIES: tuple[dict[str, Any], ...] = (
    {
        "name": "Maximum Trust Score Required",
        "description": "Agents must maintain trust score above 70",
        "policy_type": "trust_score",
        "severity": "high",
        "conditions": {"min_trust_score": 70, "evaluation_frequency": "continuous"},
        "actions": {"on_violation": "block_request", "notify_admins": True},
    },
    {
        "name": "Rate Limit Enforcement",
        "description": "Limit agents to 1000 requests per hour",
        "policy_type": "rate_limit",
        "severity": "medium",
        "conditions": {"max_requests_per_hour": 1000, "window_size": "1h"},
        "actions": {"on_violation": "throttle", "notify_admins": False},
    },
    {
        "name": "IP Allowlist Policy",
        "description": "Only allow agents from approved IP ranges",
        "policy_type": "ip_allowlist",
        "severity": "critical",
        "conditions": {"allowed_ips": ["192.168.1.0/24", "10.0.0.0/8"], "block_vpn": True},
        "actions": {"on_violation": "block_request", "notify_admins": True},
    },
)


def stage(server: RunningServer, clock: FakeClock) -> dict[str, str]:
    """Tell the story, and return the addresses of the policies by name. It ends two weeks after it began."""
    with program(server, server.store.add_token("ci@example.com", "admin")) as git, program(server) as hand:
        addresses = _apply(git, clock)
        _two_weeks(git, hand, clock, addresses)
        git.put(
            "/v1/admin/enforcement-settings", json={"enforcementMode": "strict"}, headers=from_git("enforcement_mode")
        )
        _events(hand, clock, day=14)
        _behind_gits_back(server, clock, addresses)
    return addresses


def _apply(git: httpx.Client, clock: FakeClock) -> dict[str, str]:
    addresses = {each["name"]: f"/policies/neosc/{each['id']}" for each in git.get("/api/policies").json()}
    for policy_id in ("pol-mfa-required", "pol-session-recording"):
        for commit in COMMITS:
            clock.passed += 2 * HOUR
            git.patch(f"/api/policies/{policy_id}", headers=from_git(policy_id, commit))
    for body in POLICIES:
        clock.passed += 5 * HOUR
        made = git.post("/v1/admin/security-policies", json=body, headers=from_git(_quoted(body["name"])))
        addresses[body["name"]] = f"/policies/opena2a/{made.json()['policy']['id']}"
    return addresses


def _two_weeks(git: httpx.Client, hand: httpx.Client, clock: FakeClock, addresses: dict[str, str]) -> None:
    """Agents ask every day; every few days a change of the rate limit is merged; once somebody flips by hand."""
    rates = addresses["Rate Limit Enforcement"].replace("/policies/opena2a/", "/v1/admin/security-policies/")
    for day in range(12):
        clock.passed += 23 * HOUR
        _events(hand, clock, day=day)
        if day % 3 == 1:
            wider = {"conditions": {"max_requests_per_hour": 1000 + 100 * day, "window_size": "1h"}}
            git.put(rates, json=wider, headers=from_git(_quoted("Rate Limit Enforcement"), COMMITS[1]))
        if day == 6:
            hand.patch("/api/policies/pol-network-zero-trust")
            clock.passed += HOUR
            hand.patch("/api/policies/pol-network-zero-trust")


def _events(hand: httpx.Client, clock: FakeClock, *, day: int) -> None:
    for number in range(2 + day * 5 % 7):
        clock.passed += HOUR / 10
        outside = (day + number) % 3 == 0
        event = {
            "event_id": f"e-{day}-{number}",
            "actor_id": f"agent-{(day + number) % 4}",
            "action": "read",
            "resource": ("crm/customers", "hr/salaries", "reports/q3")[number % 3],
            "source_ip": "203.0.113.9" if outside else "10.20.1.7",
            "trust_score": 55 if number % 4 == 1 else 91,
            "tunnel_status": "encrypted",
            "tunnel_protocol": "wireguard",
            "identity_verified": True,
            "mfa_verified": True,
        }
        assert hand.post("/v1/evaluate", json={**event, "ts_us": 1}).status_code == 200


def _behind_gits_back(server: RunningServer, clock: FakeClock, addresses: dict[str, str]) -> None:
    with program(server) as hand:
        clock.passed += HOUR / 2
        hand.patch("/api/policies/pol-session-recording")
    with visitor(server, "sam@example.com") as sam:
        clock.passed += HOUR / 4
        form = {"enabled": "off", "reason": "Partner's exit address changed; ticket 4711", "until": "2026-12-05T18:00"}
        path = addresses["IP Allowlist Policy"]
        reply = sam.post(f"{path}/break-glass", {**form, "confirm": path.rpartition("/")[2]})
        assert reply.headers["location"] == f"{path}?note=glass", reply.text
        clock.passed += HOUR / 4


def _quoted(name: str) -> str:
    return name.replace(" ", "%20")
