"""`serve --retain`: what is said at the start, and that it is done."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import httpx
import pytest

from reconciler.cli.serve import run_server
from reconciler.errors import ConfigError
from reconciler.server.options import ServerOptions
from reconciler.server.store import open_store
from tests.server.trail.rows import add_events
from tests.support.clocks import FakeClock

TOKEN = "a-token-for-the-retention-test"


@pytest.mark.heavy
def test_the_server_says_what_it_will_remove_and_removes_it(tmp_path: Path) -> None:
    db, long_ago = str(tmp_path / "server.db"), FakeClock()
    long_ago.skew = -20 * 365 * 86_400.0
    store = open_store(db, clock=long_ago)
    add_events(store, long_ago, {"resource": "session:s-1"}, {"resource": "db/1"}, {"resource": "session:s-2"})
    store.close()
    program = "import sys; from reconciler.cli.serve import serve_command as s; s(sys.argv[1:])"
    command = [sys.executable, "-c", program, "--port", "0", "--db", db, "--retain", "audit=365"]

    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "RECONCILER_SERVER_TOKEN": TOKEN},
    ) as process:
        try:
            assert process.stdout is not None
            url = process.stdout.readline().split()[1].removesuffix("/api")
            headers = {"Authorization": f"Bearer {TOKEN}"}
            with httpx.Client(base_url=url, headers=headers, trust_env=False, verify=False) as client:
                turn, pruned = threading.Event(), 0
                while not pruned:
                    verdict = client.get("/v1/admin/events/verify?kind=sessions").json()
                    pruned = verdict["pruned"]["entries"]
                    turn.wait(0.02)
                left = client.get("/v1/admin/events/export").text.splitlines()
                told = client.get("/v1/admin/audit-logs?system=server&action=prune_trail").json()["logs"]
            process.send_signal(signal.SIGINT)
            _, said = process.communicate(timeout=30)
        finally:
            process.kill()

    assert "kept for ever: events; removed when older: audit (365 days), sessions (30 days)" in said
    assert (verdict["ok"], pruned, len(left)) == (True, 2, 1)
    assert [entry["resource"] for entry in told] == ["trail:sessions"]


def test_a_rule_that_cannot_be_read_stops_the_start() -> None:
    with pytest.raises(ConfigError, match="cannot read `events`"):
        run_server(db=None, port=0, options=ServerOptions(retain=("events",)))
