"""A change of policies and what it would have done to last week's requests: from the log to the plan."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from reconciler.errors import ExitCode
from tests.support.program import Program, config_text, opena2a_target, program_in
from tests.support.repos import Repo, make_repo
from tests.support.servers import RunningServer, reference_server

FILE = "policies/opena2a/network.yaml"
MONDAY_US = 1_772_409_600_000_000


def network(*addresses: str) -> str:
    """An allowlist that blocks, as a policy file."""
    policy = {
        "name": "Office Network",
        "policy_type": "ip_allowlist",
        "severity": "high",
        "conditions": {"allowed_ips": list(addresses)},
        "actions": {"on_violation": "block"},
    }
    return json.dumps(policy, indent=1)


def requests() -> list[dict[str, Any]]:
    """An hour of requests: every third from an address that the change shuts out, every tenth without any."""
    return [
        {
            "event_id": f"e{at:03}",
            "ts_us": MONDAY_US + at * 30_000_000,
            "actor_id": f"agent-{at % 4}",
            "actor_type": "ai_agent",
            "action": "read_file",
            "resource": f"hr/payroll/secret-{at}",
            "source_ip": None if at % 10 == 0 else f"10.{at % 3}.7.{at}",
        }
        for at in range(120)
    ]


SHUT_OUT = [row for row in requests() if (row["source_ip"] or "").startswith("10.2.")]


@pytest.fixture
def server() -> Iterator[RunningServer]:
    with reference_server() as running:
        yield running


@pytest.fixture
def repo(tmp_path: Path, server: RunningServer) -> Repo:
    config = config_text(opena2a=opena2a_target(server.opena2a_url))
    made = make_repo(tmp_path, {"reconciler.yaml": config, FILE: network("10.0.0.0/8")})
    (tmp_path / "log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in requests()))
    return made


@pytest.fixture
def program(repo: Repo, server: RunningServer, tmp_path: Path) -> Program:
    made = program_in(repo, token=server.token)
    made.ok("apply", "--yes")
    made.ok(
        "events", "ingest", str(tmp_path / "log.jsonl"), "--mapping", "reconciler", "--out", str(tmp_path / "events")
    )
    return made


def configured(repo: Repo, **settings: Any) -> str:
    """reconciler.yaml with more settings of its target."""
    config = json.loads((repo.path / "reconciler.yaml").read_text())
    config["targets"]["opena2a"].update(settings)
    return json.dumps(config, indent=1)


def test_a_plan_says_what_it_would_have_done_and_keeps_secrets(repo: Repo, program: Program, tmp_path: Path) -> None:
    repo.commit({FILE: network("10.0.0.0/16", "10.1.0.0/16")}, "Shut out the third floor")

    plan = program.ok("plan", "--events", str(tmp_path / "events"), "--json").json()
    text = program.ok("plan", "--events", str(tmp_path / "events")).out
    markdown = program.ok("plan", "--events", str(tmp_path / "events"), "--format", "markdown").out

    impact = plan["impact"]
    (change,) = impact["changes"]
    assert (impact["events"], impact["newly_blocked"], impact["newly_allowed"]) == (120, len(SHUT_OUT), 0)
    assert (change["key"], change["newly_blocked"], change["blocked_actors"]) == ("Office Network", len(SHUT_OUT), 4)
    assert change["coverage"] == {"source_ip": 0.9}
    assert f"newly blocked {len(SHUT_OUT)} requests by 4 actors" in " ".join(text.split())
    assert "Mode: MONITORING" in text
    shown = text + markdown + json.dumps(impact)
    assert [
        row["source_ip"] for row in SHUT_OUT if f'{row["source_ip"]}"' in shown or f"{row['source_ip']} " in shown
    ] == []
    assert "secret-" not in shown


@pytest.mark.heavy
def test_a_plan_that_changes_nothing_is_zero_everywhere(program: Program, tmp_path: Path) -> None:
    impact = program.ok("plan", "--events", str(tmp_path / "events"), "--json").json()["impact"]

    assert impact["changes"] == []
    assert impact["newly_blocked"] == impact["newly_allowed"] == impact["maybe_blocked"] == 0


@pytest.mark.heavy
def test_a_budget_is_a_guard_that_an_override_lifts(repo: Repo, program: Program, tmp_path: Path) -> None:
    limited = configured(repo, max_newly_blocked=3)
    repo.commit({FILE: network("10.0.0.0/16"), "reconciler.yaml": limited}, "Shut out two floors")
    arguments = ("plan", "--events", str(tmp_path / "events"), "--detailed-exitcode", "--json")

    stopped = program.run(*arguments)
    override = {
        "guard": "newly-blocked",
        "policy": "*",
        "reason": "The floors are empty",
        "owner": "security",
        "until": "2099-12-31",
    }
    repo.commit({"overrides.yaml": json.dumps({"version": 1, "overrides": [override]})}, "They moved out")
    lifted = program.run(*arguments)

    assert stopped.code == ExitCode.BLOCKED
    assert stopped.json()["blocked"] == ["newly-blocked"]
    assert lifted.code == ExitCode.CHANGES
    assert [each["guard"] for each in lifted.json()["overrides"]] == ["newly-blocked"]


@pytest.mark.heavy
def test_what_must_stay_allowed_stops_a_plan_that_blocks_it(repo: Repo, program: Program, tmp_path: Path) -> None:
    guarded = configured(repo, must_stay_allowed="oncall.jsonl")
    event = {**SHUT_OUT[0], "event_id": "break-glass"}
    files = {"reconciler.yaml": guarded, "oncall.jsonl": json.dumps(event), FILE: network("10.0.0.0/16")}
    repo.commit(files, "Shut out, but not on call")

    done = program.run("plan", "--events", str(tmp_path / "events"), "--detailed-exitcode", "--json")

    assert done.code == ExitCode.BLOCKED
    assert done.json()["blocked"] == ["must-stay-allowed"]
    assert any("break-glass" in warning for warning in done.json()["impact"]["warnings"])


@pytest.mark.heavy
def test_two_revisions_are_compared_without_a_token_or_a_network(repo: Repo, program: Program, tmp_path: Path) -> None:
    repo.commit({FILE: network("10.0.0.0/16", "10.1.0.0/16")}, "Shut out the third floor")
    offline = program_in(repo, token="of-nobody-at-all")
    out = tmp_path / "impact.parquet"

    found = offline.ok("impact", "--from", "HEAD~1", "--events", str(tmp_path / "events"), "--out", str(out), "--json")
    back = offline.ok("impact", "--from", "HEAD", "--to", "HEAD~1", "--events", str(tmp_path / "events"))

    (target,) = found.json()["targets"]
    assert target["impact"]["newly_blocked"] == len(SHUT_OUT)
    assert pq.read_table(out).column("event_id").to_pylist() == [row["event_id"] for row in SHUT_OUT]
    assert f"newly allows {len(SHUT_OUT)}" in back.out


@pytest.mark.heavy
def test_the_trail_of_a_live_system_becomes_events_and_grows(repo: Repo, program: Program, tmp_path: Path) -> None:
    first = program.ok("events", "pull", "--target", "opena2a", "--out", str(tmp_path / "trail"), "--json").json()
    repo.commit({FILE: network("10.0.0.0/16")}, "Move")
    program.ok("apply", "--yes")
    second = program.ok("events", "pull", "--target", "opena2a", "--out", str(tmp_path / "trail"), "--json").json()
    third = program.ok("events", "pull", "--target", "opena2a", "--out", str(tmp_path / "trail"), "--json").json()

    assert first["events"] == first["added"] >= 1
    assert second["added"] >= 1
    assert (third["added"], third["events"]) == (0, second["events"])


@pytest.mark.heavy
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("plan", "--events", "nowhere"), "holds no events"),
        (("impact", "--from", "HEAD", "--events", "nowhere"), "holds no events"),
        (("events", "ingest", "nowhere", "--mapping", "reconciler", "--out", "x"), "is not there"),
        (("events", "ingest", "reconciler.yaml", "--mapping", "neosc-audti", "--out", "x"), "neosc-audit"),
    ],
)
def test_what_cannot_be_replayed_is_one_error(program: Program, arguments: tuple[str, ...], words: str) -> None:
    done = program.run(*arguments)

    assert done.code == ExitCode.ERROR
    assert words in done.err
    assert "Traceback" not in done.err
    assert done.err.count("error") == 1
