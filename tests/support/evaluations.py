"""Agents for a test: a clock that is set by hand, and somebody who asks the reference server for decisions."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from reconciler.server.store import Store
from tests.support.servers import RunningServer

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MINUTE_US = 60_000_000
#: Nothing here is encrypted, and httpx would read all certificates of the machine for each client.
NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


class HandClock:
    """`core.ports.Clock` that stands still unless somebody sets `at_us`."""

    def __init__(self, at_us: int = 1_772_409_600_000_000) -> None:
        self.at_us = at_us

    def now(self) -> datetime:
        return EPOCH + timedelta(microseconds=self.at_us)

    def monotonic(self) -> float:
        return self.at_us / 1_000_000

    def sleep(self, seconds: float) -> None:
        self.at_us += round(seconds * 1_000_000)


@dataclass(frozen=True)
class Agency:
    """An organization's admin, who makes policies and asks for decisions. `http` speaks to the server's root."""

    http: httpx.Client
    store: Store
    clock: HandClock
    organization: str

    def policy(self, policy_type: str = "trust_score", name: str = "p", **fields: Any) -> str:
        """Make a policy (OpenA2A) and return its reference; *fields* that are no column of it are conditions."""
        known = ("severity", "priority", "applies_to", "enabled", "actions", "enforcement_action", "on_missing")
        envelope = {key: fields.pop(key) for key in known if key in fields}
        return self.opena2a({"name": name, "policy_type": policy_type, "conditions": fields, **envelope})

    def opena2a(self, policy: dict[str, Any]) -> str:
        made = self.done(self.http.post("/v1/admin/security-policies", json=policy))
        return f"opena2a/{made['policy']['id']}"

    def neosc(self, policy: dict[str, Any]) -> str:
        """Make a NeoSC policy on a server with `neosc_crud`."""
        return f"neosc/{self.done(self.http.post('/api/policies', json=policy))['id']}"

    def set_mode(self, mode: str) -> None:
        self.done(self.http.put("/v1/admin/enforcement-settings", json={"enforcementMode": mode}))

    def ask(self, action: str = "read", *, at: float | None = None, **columns: Any) -> dict[str, Any]:
        """Have one event decided, at a minute after the clock's start if that is given."""
        if at is not None:
            self.clock.at_us = 1_772_409_600_000_000 + round(at * MINUTE_US)
        event = {"actor_id": "a", "action": action, "resource": "db/1", **columns}
        return self.done(self.http.post("/v1/evaluate", json=event))

    def ask_all(self, events: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.done(self.http.post("/v1/evaluate/batch", json={"events": events}))[
            "results"
        ]
        return found

    def get(self, path: str, **query: str | int) -> dict[str, Any]:
        return self.done(self.http.get(path, params=query))

    def done(self, response: httpx.Response) -> dict[str, Any]:
        """The body of a request that has to succeed."""
        assert response.is_success, response.text
        body: dict[str, Any] = response.json()
        return body


def wait_until(condition: Callable[[], object]) -> None:
    """Return once something is so; a test that waits in vain is ended by whoever runs it."""
    pause = threading.Event()
    while not condition():
        pause.wait(0.01)


@contextmanager
def agency(server: RunningServer, clock: HandClock, organization: str = "default") -> Iterator[Agency]:
    """The admin of an organization, made when it is not there yet."""
    token = server.store.add_token(f"admin@{organization}.example", "admin", organization=organization)
    headers = {"Authorization": f"Bearer {token}"}
    with httpx.Client(base_url=server.url, headers=headers, trust_env=False, timeout=30, verify=NO_TLS) as client:
        yield Agency(client, server.store, clock, organization)
