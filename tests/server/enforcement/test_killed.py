"""The real server, killed in the middle of a window and started again on what it left."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.support.evaluations import NO_TLS, wait_until
from tests.support.hooks import hook

TOKEN = "a-token-for-the-killed-server"
SECRET = "alert-secret-0123456789abcdef"
EVENT = {"actor_id": "a", "action": "read", "resource": "db/1"}


@contextmanager
def serving(db: Path, *arguments: str) -> Iterator[httpx.Client]:
    """`reconciler serve` until it is killed at the end of the block."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("RECONCILER_")}
    with subprocess.Popen(
        [sys.executable, "-m", "reconciler", "serve", "--db", str(db), "--port", "0", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**inherited, "RECONCILER_SERVER_TOKEN": TOKEN, "RECONCILER_ALERT_SECRET": SECRET},
    ) as process:
        try:
            assert process.stdout is not None
            lines = [process.stdout.readline() for _ in range(2)]
            url = lines[1].split()[1]
            headers = {"Authorization": f"Bearer {TOKEN}"}
            with httpx.Client(base_url=url, headers=headers, trust_env=False, verify=NO_TLS, timeout=60) as http:
                yield http
        finally:
            process.kill()


def ask(http: httpx.Client, **columns: Any) -> Any:
    return http.post("/evaluate", json={**EVENT, **columns}).json()


def test_a_limit_fires_at_the_right_event_although_the_server_was_killed_before_it(tmp_path: Path) -> None:
    policy = {"name": "p", "policy_type": "rate_limit", "conditions": {"max_requests_per_day": 4}}
    with serving(tmp_path / "policies.db") as http:
        http.post("/admin/security-policies", json=policy).raise_for_status()
        before = [ask(http, event_id=f"e{n}") for n in range(3)]

    with hook() as receiver, serving(tmp_path / "policies.db", "--alert-webhook", receiver.url) as http:
        again = ask(http, event_id="e2")
        after = [ask(http, event_id=f"e{n}") for n in range(3, 5)]
        wait_until(lambda: receiver.posted)
        verdict = http.get("/admin/events/verify").json()

    assert [list(each["outcomes"].values()) for each in before] == [["PASS"]] * 3
    assert again == before[2]
    assert [list(each["outcomes"].values()) for each in after] == [["PASS"], ["VIOLATE"]]
    assert [each["seq"] for each in after] == [4, 5]
    assert (verdict["ok"], verdict["entries"]) == (True, 5)
    assert receiver.posted[0].json()["id"] == after[1]["alerts"][0]["id"]
    assert receiver.posted[0].is_signed_with(SECRET)
