"""What live systems remember becomes a history: each thing once, as often as it is pulled, and losses are told."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pyarrow.parquet as pq
import pytest

from reconciler.clock import SystemClock, SystemRandom
from reconciler.errors import ReconcilerError
from reconciler.impact.store import read_manifest
from reconciler.providers import history
from reconciler.server.trail.retention import prune
from reconciler.workflows.pulling import pull_events
from reconciler.workflows.recording import Recorded, ingest_source
from reconciler.workflows.session import open_session
from tests.fake_api import DEFAULTS, TOKEN, FakeApi
from tests.support.clocks import FakeClock
from tests.support.program import config_text, neosc_target, opena2a_target
from tests.support.servers import RunningServer, reference_server

EVENT = {"actor_id": "agent-1", "action": "read", "resource": "db/1", "source_ip": "10.0.0.7"}


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def server(clock: FakeClock) -> Iterator[RunningServer]:
    with reference_server(clock=clock, neosc_crud=True) as running:
        yield running


def judge(server: RunningServer, *ids: str) -> None:
    events = [{**EVENT, "event_id": each} for each in ids]
    ask(server, "POST", "/v1/evaluate/batch", {"events": events})


def ask(server: RunningServer, method: str, path: str, body: Any = None) -> None:
    headers = {"Authorization": f"Bearer {server.token}"}
    httpx.request(method, server.url + path, json=body, headers=headers, trust_env=False).raise_for_status()


def pull(root: Path, url: str, *targets: str, token: str, seen: list[int] | None = None) -> Recorded:
    """Pull into `events` beside a repository with both targets at *url*."""
    config = config_text(neosc=neosc_target(f"{url}/api"), opena2a=opena2a_target(f"{url}/v1"))
    (root / "reconciler.yaml").write_text(config)
    session = open_session(root, environ={"RECONCILER_TOKEN": token}, clock=SystemClock(), random=SystemRandom())
    return pull_events(session, targets, root / "events", (seen if seen is not None else []).append)


def ids(root: Path) -> list[str]:
    paths = sorted((root / "events").glob("date=*/*.parquet"))
    return [row for path in paths for row in pq.ParquetFile(path).read(["event_id"]).column("event_id").to_pylist()]


def test_requests_and_trail_are_pulled_once_however_often(
    server: RunningServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "PART", 2)
    ask(server, "GET", "/api/policies")  # which makes the defaults
    ask(server, "PATCH", "/api/policies/pol-mfa-required")
    judge(server, "a", "b", "c", "d", "e")
    told: list[int] = []
    first = pull(tmp_path, server.url, token=server.token, seen=told)
    judge(server, "f")
    ask(server, "PATCH", "/api/policies/pol-mfa-required")
    asked = len(server.request_log)

    second = pull(tmp_path, server.url, token=server.token)
    third = pull(tmp_path, server.url, "opena2a", token=server.token)

    assert (first.added, second.added, third.added) == (6, 2, 0)
    assert (first.stored.duplicates, third.stored.duplicates) == (0, 0)
    assert {"a", "b", "c", "d", "e", "f"} < {*ids(tmp_path)}
    assert len(ids(tmp_path)) == len({*ids(tmp_path)}) == third.stored.events == 8
    assert told[-1] == 6
    assert "/v1/admin/events" not in "".join(
        each.path.split("after=0")[0] for each in server.request_log[asked:] if "after=0" in each.path
    )
    assert first.warnings == second.warnings == third.warnings == ()


def test_a_pulled_request_keeps_what_was_recorded_of_it(server: RunningServer, tmp_path: Path) -> None:
    judge(server, "a")

    pull(tmp_path, server.url, "opena2a", token=server.token)

    (path,) = (tmp_path / "events").glob("date=*/*.parquet")
    (row,) = pq.ParquetFile(path).read().to_pylist()
    assert {name: row[name] for name in ("event_id", *EVENT, "decision")} == {
        **EVENT,
        "event_id": "a",
        "decision": "allow",
    }


def test_what_a_short_trail_let_go_between_two_pulls_is_told(tmp_path: Path) -> None:
    with FakeApi("neosc", policies=DEFAULTS) as api:
        url = api.url.removesuffix("/api")
        for _ in range(3):
            api.edit("pol-mfa-required", enabled=False)
        pull(tmp_path, url, "neosc", token=TOKEN)
        api.edit("pol-mfa-required", enabled=True)
        kept = pull(tmp_path, url, "neosc", token=TOKEN)
        api.edit("pol-mfa-required", enabled=False)
        api.audit[:] = api.audit[-1:]

        lost = pull(tmp_path, url, "neosc", token=TOKEN)

    assert (kept.added, kept.warnings) == (1, ())
    assert (lost.added, lost.stored.events) == (1, 5)
    (said,) = lost.warnings
    assert said.startswith("neosc: its audit trail does not reach back to what was pulled last, of 20")
    assert not any("events" in request.path for request in api.requests)


def test_what_retention_let_go_between_two_pulls_is_told(
    server: RunningServer, clock: FakeClock, tmp_path: Path
) -> None:
    judge(server, "a")
    pull(tmp_path, server.url, "opena2a", token=server.token)
    clock.passed += 86_400
    judge(server, "b")
    clock.passed += 3 * 86_400
    judge(server, "c")
    prune(server.store, {"events": 2})

    lost = pull(tmp_path, server.url, "opena2a", token=server.token)

    assert {"a", "c"} == {*ids(tmp_path)}
    assert [said for said in lost.warnings if "let go requests" in said] == list(lost.warnings)
    assert len(lost.warnings) == 1


def test_what_came_before_a_server_failed_is_kept_and_the_next_pull_goes_on(
    server: RunningServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    judge(server, "a", "b", "c", "d")
    monkeypatch.setattr(history, "PART", 2)
    whole = history._judged

    def failing(reply: Any, after: int) -> Any:
        if after == 2:
            raise history.WireError("cut off")
        return whole(reply, after)

    monkeypatch.setattr(history, "_judged", failing)
    monkeypatch.setattr("reconciler.providers.http.READ_TRIES", 1)
    with pytest.raises(ReconcilerError, match="not the policy API's"):
        pull(tmp_path, server.url, "opena2a", token=server.token)
    assert ids(tmp_path) == ["a", "b"]
    monkeypatch.setattr(history, "_judged", whole)

    done = pull(tmp_path, server.url, "opena2a", token=server.token)

    assert (done.added, ids(tmp_path)) == (2, ["a", "b", "c", "d"])


def test_a_folder_is_the_history_of_one_system(server: RunningServer, tmp_path: Path) -> None:
    judge(server, "a")
    pull(tmp_path, server.url, "opena2a", token=server.token)
    (tmp_path / "log.jsonl").write_text(json.dumps({**EVENT, "event_id": "x", "ts_us": 1}))

    with reference_server() as other, pytest.raises(ReconcilerError, match="holds the history of"):
        pull(tmp_path, other.url, token=other.token)
    with pytest.raises(ReconcilerError, match="holds what was pulled"):
        ingest_source(tmp_path / "log.jsonl", "reconciler", tmp_path / "events", lambda count, share: None)

    assert ids(tmp_path) == ["a"]


def test_what_was_ingested_before_stays_unless_its_scores_have_another_scale(
    server: RunningServer, tmp_path: Path
) -> None:
    judge(server, "a")
    (tmp_path / "log.jsonl").write_text(json.dumps({**EVENT, "event_id": "x", "ts_us": 1}) + "\nno json\n")
    ingest_source(tmp_path / "log.jsonl", "reconciler", tmp_path / "events", lambda count, share: None)

    pulled = pull(tmp_path, server.url, "opena2a", token=server.token)

    assert ids(tmp_path) == ["x", "a"]
    assert (pulled.added, pulled.stored.rejected) == (1, 1)
    assert read_manifest(tmp_path / "events").mapping["name"] == "reconciler"
    old = {"id": "y", "timestamp": "2026-03-05T14:30:00Z", "agentId": "a", "action": "verify", "resourceType": "x"}
    (tmp_path / "log.jsonl").write_text(json.dumps(old))
    (tmp_path / "events").rename(tmp_path / "other")
    ingest_source(tmp_path / "log.jsonl", "aim-audit", tmp_path / "events", lambda count, share: None)
    with pytest.raises(ReconcilerError, match="another scale of trust"):
        pull(tmp_path, server.url, token=server.token)
