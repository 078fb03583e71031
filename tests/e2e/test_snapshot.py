"""A plan without a secret: a job that may read live publishes it, one that may not plans against that."""

from __future__ import annotations

import json
import stat
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from reconciler.core.schema import load_schemas
from tests.support.program import (
    Program,
    config_text,
    neosc_defaults,
    neosc_policy,
    neosc_target,
    opena2a_policy,
    opena2a_target,
    program_in,
)
from tests.support.repos import Repo, make_repo
from tests.support.servers import RunningServer, reference_server

MFA = "pol-mfa-required"
FILE = f"policies/neosc/{MFA}.yaml"


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    with reference_server() as running:
        yield running


@dataclass(frozen=True)
class Published:
    """A repository whose live state was published, and the program as a stranger's pull request runs it."""

    repo: Repo
    trusted: Program
    stranger: Program
    snapshot: Path

    def value(self) -> Any:
        return json.loads(self.snapshot.read_text())


@pytest.fixture
def published(tmp_path: Path, server: RunningServer) -> Published:
    config = config_text(
        neosc=neosc_target(server.neosc_url),
        opena2a=opena2a_target(server.opena2a_url),
    )
    files = {"reconciler.yaml": config, **neosc_defaults(), "policies/opena2a/rate.yaml": opena2a_policy()}
    repo = make_repo(tmp_path, files)
    trusted = program_in(repo, token=server.token)
    snapshot = tmp_path / "snapshot.json"
    trusted.run("drift", "--snapshot", str(snapshot))
    env = {name: value for name, value in trusted.env.items() if not name.startswith("RECONCILER_TOKEN")}
    return Published(repo, trusted, Program(repo.path, env, server.token), snapshot)


def test_drift_writes_what_it_read_for_its_owner_only(published: Published, server: RunningServer) -> None:
    value = published.value()

    assert load_schemas().check("snapshot", value) == ()
    assert [read["target"]["name"] for read in value["targets"]] == ["neosc", "opena2a"]
    assert value["targets"][0]["target"]["url"] == server.neosc_url
    assert [policy["id"] for policy in value["targets"][0]["policies"]].count(MFA) == 1
    assert value["targets"][0]["complete"] is True
    assert stat.S_IMODE(published.snapshot.stat().st_mode) == 0o600
    assert server.token not in published.snapshot.read_text()


def test_a_snapshot_names_nobody(published: Published, server: RunningServer) -> None:
    published.trusted.ok("apply", "-t", "neosc", "--yes")
    flip(server, MFA, by="admin@example.com")

    drift = published.trusted.run("drift", "-t", "neosc", "--snapshot", str(published.snapshot))
    planned = published.stranger.ok("plan", "-t", "neosc", "--live", str(published.snapshot), "--json").json()
    flip(server, MFA, by="admin@example.com")

    assert "admin@example.com" in drift.out
    assert "admin@example.com" not in published.snapshot.read_text()
    [change] = planned["changes"]
    assert change["origin"] == "drift"
    assert change["drift"] == {"actor": None, "at": None, "audit_id": None, "confidence": "unknown"}


def test_a_plan_against_a_snapshot_needs_no_token_and_no_network(published: Published) -> None:
    published.repo.commit({FILE: neosc_policy(enabled=False)}, "Switch MFA off")

    cut = subprocess.run(
        [
            "unshare",
            "-rn",
            sys.executable,
            "-m",
            "reconciler",
            "plan",
            "--live",
            str(published.snapshot),
            "-t",
            "neosc",
        ],
        cwd=published.repo.path,
        env={**published.stranger.env},
        capture_output=True,
        text=True,
    )
    if "unshare" in cut.stderr and cut.returncode == 1:
        pytest.skip("this machine gives no network namespace")

    assert cut.returncode == 0, cut.stderr
    assert "DISABLE" in cut.stdout
    read_at = published.value()["targets"][0]["read_at"]
    assert f"against a snapshot of {read_at.replace('T', ' ')}" in cut.stdout
    assert f"against a snapshot of {read_at}" in cut.stdout.partition("Warning")[2]
    assert "plan against the live system" in cut.stdout


def test_a_plan_against_a_snapshot_is_the_live_plan_but_for_its_mark(published: Published) -> None:
    published.repo.commit({FILE: neosc_policy(enabled=False)}, "Switch MFA off")

    live = published.trusted.ok("plan", "-t", "neosc", "--json").json()
    planned = published.stranger.ok("plan", "-t", "neosc", "--live", str(published.snapshot), "--json").json()

    assert planned["live"].pop("snapshot") is True
    assert [text for text in planned.pop("warnings") if "snapshot" in text]
    live.pop("warnings")
    planned["live"].pop("read_at"), live["live"].pop("read_at")
    assert planned == live
    assert [change["action"] for change in planned["changes"]] == ["disable"]


def test_every_target_is_planned_and_the_plans_fit_their_schema(published: Published) -> None:
    planned = published.stranger.ok("plan", "--live", str(published.snapshot), "--json").json()

    assert load_schemas().check("plans", planned) == ()
    assert [plan["live"]["snapshot"] for plan in planned["plans"]] == [True, True]


def test_apply_refuses_a_plan_against_a_snapshot_and_sends_nothing(
    published: Published, server: RunningServer, tmp_path: Path
) -> None:
    published.repo.commit({FILE: neosc_policy(enabled=False)}, "Switch MFA off")
    saved = tmp_path / "plan.json"
    published.stranger.ok("plan", "-t", "neosc", "--live", str(published.snapshot), "--out", str(saved))
    before = len(server.mutations)

    shown = published.stranger.ok("show", str(saved))
    refused = published.trusted.run("apply", str(saved), "--yes", "--json")

    assert "against a snapshot of" in shown.out
    assert refused.code == 5
    assert refused.json()["error"]["code"] == "snapshot-plan"
    assert len(server.mutations) == before


def test_a_plan_that_is_marked_with_anything_but_true_is_not_a_plan(published: Published, tmp_path: Path) -> None:
    saved = tmp_path / "plan.json"
    published.stranger.ok("plan", "-t", "neosc", "--live", str(published.snapshot), "--out", str(saved))
    saved.write_text(saved.read_text().replace('"snapshot": true', '"snapshot": false'))

    shown = published.stranger.run("show", str(saved))

    assert shown.code == 1
    assert "/live/snapshot" in shown.err


def test_a_snapshot_of_another_place_is_refused(published: Published) -> None:
    config = config_text(neosc=neosc_target("https://policies.example.invalid/api"))
    published.repo.commit({"reconciler.yaml": config}, "Move")

    planned = published.stranger.run("plan", "--live", str(published.snapshot), "--json")

    assert planned.code == 1
    assert planned.json()["error"]["code"] == "snapshot-target"


def test_no_snapshot_is_written_when_a_target_could_not_be_read(published: Published) -> None:
    before = published.snapshot.read_bytes()

    ended = published.trusted.run(
        "drift", "--snapshot", str(published.snapshot), env={"RECONCILER_TOKEN_NEOSC": "no-such-token"}
    )

    assert ended.code == 1
    assert "is not written" in ended.err
    assert published.snapshot.read_bytes() == before


@pytest.mark.parametrize("odd", [7, None, [None], {"a": [{}]}])
def test_odd_values_in_a_snapshot_end_in_words(published: Published, odd: Any) -> None:
    value = published.value()
    for read in value["targets"]:
        for policy in read["policies"]:
            policy["body"] = dict.fromkeys([*policy["body"], "conditions", "actions"], odd)
    published.snapshot.write_text(json.dumps(value))

    planned = published.stranger.run("plan", "--live", str(published.snapshot), "--json")

    assert planned.code in (0, 1)
    assert planned.json()["format"] in ("reconciler.plans/1", "reconciler.error/1")


# --------------------------------------------------------------------------------- the config of the base


def test_the_settings_of_the_base_hold_whatever_the_files_under_review_say(
    published: Published, server: RunningServer
) -> None:
    base = published.repo.git("rev-parse", "HEAD")
    evil = config_text(neosc=neosc_target("https://collector.example.invalid/api"))
    head = published.repo.commit({"reconciler.yaml": evil, FILE: neosc_policy(enabled=False)}, "Send it elsewhere")

    planned = published.stranger.ok(
        "plan",
        "--commit",
        head,
        "--live",
        str(published.snapshot),
        "--json",
        env={"RECONCILER_CONFIG_COMMIT": base},
    )

    plans = planned.json()["plans"]
    assert [plan["target"]["url"] for plan in plans] == [server.neosc_url, server.opena2a_url]
    assert [change["key"] for change in plans[0]["changes"]] == [MFA]
    assert f"reconciler.yaml is read from commit {base[:7]}" in planned.err


def test_with_a_token_the_base_decides_where_it_goes(published: Published, server: RunningServer) -> None:
    base = published.repo.git("rev-parse", "HEAD")
    with reference_server() as elsewhere:
        evil = config_text(neosc=neosc_target(elsewhere.neosc_url))
        head = published.repo.commit({"reconciler.yaml": evil}, "Send it elsewhere")

        published.trusted.ok("plan", "--commit", head, "-t", "neosc", env={"RECONCILER_CONFIG_COMMIT": base})

        assert elsewhere.request_log == []


def test_files_are_validated_with_the_settings_of_the_base(published: Published) -> None:
    base = published.repo.git("rev-parse", "HEAD")
    published.repo.commit({"reconciler.yaml": "version: 1\ntargets: {}\n"}, "Break it")

    alone = published.stranger.run("validate")
    with_base = published.stranger.run("validate", env={"RECONCILER_CONFIG_COMMIT": base})

    assert alone.code == 1
    assert with_base.code == 0, with_base
    assert "is read from commit" in with_base.err


@pytest.mark.parametrize(
    ("revision", "says"), [("nowhere", "no commit has this name"), ("--upload-pack=x", "revision")]
)
def test_a_base_that_is_not_there_is_an_error(published: Published, revision: str, says: str) -> None:
    ended = published.stranger.run("validate", env={"RECONCILER_CONFIG_COMMIT": revision})

    assert ended.code == 1
    assert says in ended.err + ended.out


def test_apply_takes_its_settings_from_the_commit_it_applies(published: Published, server: RunningServer) -> None:
    before = len(server.mutations)

    ended = published.trusted.run("apply", "-t", "neosc", "--yes", env={"RECONCILER_CONFIG_COMMIT": "HEAD"})

    assert ended.code == 64
    assert len(server.mutations) == before


def flip(server: RunningServer, policy_id: str, *, by: str) -> None:
    """One flip by a person, with their own token."""
    token = server.store.add_token(by, "admin")
    request = urllib.request.Request(
        f"{server.neosc_url}/policies/{policy_id}",
        method="PATCH",
        data=b"{}",
        headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request) as reply:
        assert reply.status == 200
