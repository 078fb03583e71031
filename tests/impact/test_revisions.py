"""Two revisions of several targets over one history: each target has its own numbers, and all are in one file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

import pyarrow.parquet as pq
import pytest

from reconciler.clock import SystemClock, SystemRandom
from reconciler.errors import OutputError
from reconciler.workflows.previewing import Compared, compare_revisions
from reconciler.workflows.recording import ingest_source
from reconciler.workflows.session import open_session
from tests.support.program import config_text, opena2a_target
from tests.support.repos import Repo, make_repo


class Place(NamedTuple):
    """A repository and a folder of events."""

    repo: Repo
    events: Path


URL = "https://policies.example.com/v1"


def allowlist(*addresses: str) -> str:
    policy = {
        "name": "Office Network",
        "policy_type": "ip_allowlist",
        "severity": "high",
        "conditions": {"allowed_ips": list(addresses)},
        "actions": {"on_violation": "block"},
    }
    return json.dumps(policy)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """Two targets of OpenA2A and one of AIM; the second commit narrows the first two by different networks."""
    tmp_path = tmp_path_factory.mktemp("revisions")
    targets = {name: {**opena2a_target(URL), "policies": name} for name in ("prod", "staging")}
    targets["aim"] = {**opena2a_target(URL), "provider": "aim", "policies": "aim"}
    wide = allowlist("10.0.0.0/8", "192.168.0.0/16")
    start = {"reconciler.yaml": config_text(**targets), "prod/network.yaml": wide, "staging/network.yaml": wide}
    aim = {
        "name": "low",
        "policyType": "trust_score_low",
        "rules": {"trust_threshold": 0.5},
        "enforcementAction": "block_and_alert",
    }
    made = make_repo(tmp_path, {**start, "aim/low.yaml": json.dumps(aim)})
    made.commit(
        {
            "prod/network.yaml": allowlist("192.168.0.0/16"),
            "staging/network.yaml": allowlist("10.0.0.0/8"),
            "aim/low.yaml": json.dumps({**aim, "rules": {"trust_threshold": 0.9}}),
        },
        "Narrow",
    )
    sources = ("10.0.0.1", "10.0.0.2", "192.168.0.1", None)
    rows = [
        {"event_id": f"e{at}", "ts_us": 10**15 + at, "actor_id": "a", "action": "x", "resource": "y", "source_ip": ip}
        for at, ip in enumerate(sources)
    ]
    (tmp_path / "log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    ingest_source(tmp_path / "log.jsonl", "reconciler", tmp_path / "events", lambda count, share: None)
    return Place(made, tmp_path / "events")


def compare(place: Place, out: Path) -> list[Compared]:
    session = open_session(place.repo.path, environ=place.repo.env, clock=SystemClock(), random=SystemRandom())
    return compare_revisions(session, (), "HEAD~1", "HEAD", place.events, out=out)


def test_the_events_that_each_target_touches_are_in_one_file(place: Place, tmp_path: Path) -> None:
    out = tmp_path / "impact.parquet"

    found = {each.target: each.impact for each in compare(place, out)}

    rows = pq.read_table(out).select(["target", "event_id", "source_ip", "shift"]).to_pylist()
    assert [tuple(row.values()) for row in rows] == [
        ("prod", "e0", "10.0.0.1", "newly_blocked"),
        ("prod", "e1", "10.0.0.2", "newly_blocked"),
        ("staging", "e2", "192.168.0.1", "newly_blocked"),
    ]
    assert {name: impact.newly_blocked for name, impact in found.items()} == {"prod": 2, "staging": 1, "aim": 0}


def test_a_system_with_rules_of_its_own_is_not_replayed_and_says_so(place: Place, tmp_path: Path) -> None:
    found = {each.target: each.impact for each in compare(place, tmp_path / "impact.parquet")}

    assert found["aim"].changes == ()
    assert found["aim"].warnings == ("AIM judges by rules of its own, which are not replayed",)


def test_a_file_that_cannot_be_written_is_one_error(place: Place, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="cannot be written"):
        compare(place, tmp_path / "nowhere" / "impact.parquet")
