"""A server under load that is killed: after a restart every change has its entry, every entry its change.

Whoever got no answer sends the same request again under the same key, and in the end every request was carried out
exactly once.
"""

from __future__ import annotations

import itertools
import os
import re
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.postgres import Cluster
from tests.support.servers import reference_server

TOKEN = "a-token-for-the-server-under-load"
MFA = "/api/policies/pol-mfa-required"
POLICIES = "/v1/admin/security-policies"
HANDS = 4


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.heavy)])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """What to give to `--db`: a database that outlives the process."""
    if request.param == "sqlite":
        yield str(tmp_path / "server.db")
        return
    running: Cluster = request.getfixturevalue("postgres")
    url = running.make_database()
    yield url
    running.drop_database(url)


@contextmanager
def served(db: str) -> Iterator[tuple[subprocess.Popen[str], httpx.Client]]:
    """A server process over *db*, and a client that speaks to it as an admin; whatever happens, it is gone then."""
    process = subprocess.Popen(
        [sys.executable, "-m", "reconciler", "serve", "--port", "0", "--db", db, "--neosc-crud", "--rate-limit", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "RECONCILER_SERVER_TOKEN": TOKEN, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    with process:
        try:
            assert process.stdout is not None
            found = re.search(r"http://[^/]+", process.stdout.readline())
            assert found is not None
            headers = {"Authorization": f"Bearer {TOKEN}"}
            with httpx.Client(base_url=found[0], headers=headers, trust_env=False, timeout=60) as client:
                yield process, client
        finally:
            process.kill()


@dataclass
class Hand:
    """One client: what it asked for, and the request it got no answer to."""

    number: int
    asked: Counter[str] = field(default_factory=Counter)
    pending: tuple[str, str, Any, str] | None = None

    @property
    def name(self) -> str:
        return f"hand-{self.number}"

    def send(self, client: httpx.Client, method: str, path: str, body: Any, key: str) -> None:
        self.pending = (method, path, body, key)
        reply = client.request(method, path, json=body, headers={"Idempotency-Key": key})
        assert reply.status_code in (200, 201), reply.text
        self.pending = None

    def send_again(self, client: httpx.Client) -> None:
        if self.pending is not None:
            self.send(client, *self.pending)

    def work(self, client: httpx.Client, own: str, begun: threading.Event) -> None:
        """Change one shared policy and one of its own, in both dialects, until the server is gone."""
        mine = f"/api/policies/{self.name}"
        for number in itertools.count(1):
            steps: list[tuple[str, str, str, Any]] = [
                ("flip", "PATCH", MFA, None),
                ("describe", "PUT", f"{POLICIES}/{own}", {"description": str(number)}),
                ("toggle", "PATCH", f"{POLICIES}/{own}/toggle", {"enabled": number % 2 == 0}),
                ("create", "POST", POLICIES, {"name": f"{self.name}-{number}", "policy_type": "trust_score"}),
                ("make", "POST", "/api/policies", {"id": self.name, "name": "x", "type": "access"}),
                ("drop", "DELETE", mine, None),
                ("mode", "PUT", "/v1/admin/enforcement-settings", {"enforcementMode": "strict"}),
            ]
            for kind, method, path, body in steps:
                self.asked[kind] += 1
                try:
                    self.send(client, method, path, body, f"{self.name}-{kind}-{number}-{os.getpid()}")
                except httpx.TransportError:
                    return
            begun.set()


@pytest.mark.parametrize(
    "seconds", [0.3, *(pytest.param(each, marks=pytest.mark.heavy) for each in (0.0, 0.11, 0.7, 1.5))]
)
def test_a_kill_under_load_loses_nothing_and_doubles_nothing(database: str, seconds: float) -> None:
    hands = [Hand(number) for number in range(HANDS)]
    with served(database) as (process, client):
        client.get("/api/policies")
        made = [client.post(POLICIES, json={"name": hand.name, "policy_type": "trust_score"}) for hand in hands]
        own = [reply.json()["policy"]["id"] for reply in made]
        begun = threading.Event()
        threads = [
            threading.Thread(target=hand.work, args=(client, policy, begun))
            for hand, policy in zip(hands, own, strict=True)
        ]
        for thread in threads:
            thread.start()
        assert begun.wait(60)
        threading.Event().wait(seconds)
        process.send_signal(signal.SIGKILL)
        process.wait(10)
        for thread in threads:
            thread.join()

    with served(database) as (_, client):
        unanswered = [hand for hand in hands if hand.pending is not None]
        for hand in unanswered:
            hand.send_again(client)
        entries = client.get("/v1/admin/audit-logs", params={"system": "all"}).json()["logs"]
        policies = {each["id"]: each for each in client.get(POLICIES).json()["policies"]}
        neosc = {each["id"]: each for each in client.get("/api/policies").json()}
        chain = client.get("/v1/admin/audit-logs/verify").json()

    told = Counter((entry["action"], entry["resource"]) for entry in entries)
    asked = sum((hand.asked for hand in hands), Counter[str]())
    assert unanswered
    assert chain["ok"] is True
    assert told["toggle_policy", "policy:pol-mfa-required"] == asked["flip"]
    assert neosc["pol-mfa-required"]["enabled"] is (asked["flip"] % 2 == 0)
    for hand, policy in zip(hands, own, strict=True):
        assert told["update_policy", f"policy:{policy}"] == hand.asked["describe"]
        assert policies[policy].get("description", "0") == str(hand.asked["describe"])
        assert told["toggle_policy", f"policy:{policy}"] == hand.asked["toggle"]
        assert policies[policy]["enabled"] is (hand.asked["toggle"] % 2 == 0)
        assert told["create_policy", f"policy:{hand.name}"] == hand.asked["make"]
        assert told["delete_policy", f"policy:{hand.name}"] == hand.asked["drop"]
        assert (hand.name in neosc) is (hand.asked["make"] > hand.asked["drop"])
        created = {policies[each]["name"] for each in policies if policies[each]["name"].startswith(f"{hand.name}-")}
        assert created == {f"{hand.name}-{number}" for number in range(1, hand.asked["create"] + 1)}
    assert sum(count for (action, _), count in told.items() if action == "create_policy") == (
        asked["create"] + asked["make"] + HANDS
    )
    assert told["update_enforcement_settings", "enforcement-settings"] == asked["mode"]


@pytest.mark.heavy
def test_1000_flips_at_once_end_in_the_parity_of_their_entries(database: str) -> None:
    with reference_server(db=database) as server:
        headers = {"Authorization": f"Bearer {server.token}"}
        limits = httpx.Limits(max_connections=100)
        with httpx.Client(
            base_url=server.neosc_url, headers=headers, trust_env=False, timeout=120, limits=limits
        ) as client:
            client.get("/policies")

            with ThreadPoolExecutor(100) as pool:
                replies = list(pool.map(lambda _: client.patch("/policies/pol-mfa-required"), range(1001)))

            enabled = client.get("/policies").json()[0]["enabled"]
            entries = client.get("/audit-logs").json()

    assert {reply.status_code for reply in replies} == {200}
    assert Counter(reply.json()["enabled"] for reply in replies) == {False: 501, True: 500}
    assert len(entries) == 1001
    assert enabled is False
    assert [entry["details"] for entry in entries] == (["Policy disabled", "Policy enabled"] * 501)[:1001]
