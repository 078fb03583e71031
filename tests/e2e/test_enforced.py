"""From a commit to a decision: what is merged is what the reference server then enforces, and says so."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx

from reconciler.errors import ExitCode
from tests.support.evaluations import NO_TLS
from tests.support.program import config_text, opena2a_policy, opena2a_target, program_in
from tests.support.repos import make_repo
from tests.support.servers import RunningServer, reference_server

SETTINGS = "policies/opena2a/settings.yaml"
TRUST = opena2a_policy(
    "Minimum Trust Score",
    policy_type="trust_score",
    conditions={"min_trust_score": 60},
    actions={"on_violation": "block"},
)


def ask(server: RunningServer) -> Any:
    event = {"actor_id": "agent-7", "action": "read_file", "resource": "hr/17", "trust_score": 12}
    headers = {"Authorization": f"Bearer {server.token}"}
    url = f"{server.opena2a_url}/evaluate?http=true"
    return httpx.post(url, json=event, headers=headers, trust_env=False, verify=NO_TLS)


def override(guard: str, policy: str) -> str:
    entry = {"guard": guard, "policy": policy, "reason": "Rollout", "owner": "sec", "until": "2099-01-01"}
    return json.dumps({"overrides": [entry]})


def test_a_mode_that_is_merged_is_enforced_and_one_that_weakens_is_guarded(tmp_path: Path) -> None:
    with reference_server() as server:
        config = config_text(opena2a=opena2a_target(server.opena2a_url))
        repo = make_repo(tmp_path, {"reconciler.yaml": config, "policies/opena2a/trust.yaml": TRUST})
        program = program_in(repo, token=server.token)
        made = repo.git("rev-parse", "HEAD")
        program.ok("apply", "--yes")
        monitored = ask(server)

        strict = repo.commit({SETTINGS: "enforcement_mode: strict\n"}, "Enforce")
        program.ok("apply", "--yes")
        blocked = ask(server)

        repo.commit({SETTINGS: "enforcement_mode: monitoring\n"}, "Only watch")
        guarded = program.run("apply", "--yes", "--json")
        still = ask(server)
        repo.commit({"overrides.yaml": override("mode-weakened", "enforcement_mode")}, "Allow it")
        program.ok("apply", "--yes")
        allowed = ask(server)
        set_by = [
            entry["annotation"]
            for entry in httpx.get(
                f"{server.opena2a_url}/admin/audit-logs",
                headers={"Authorization": f"Bearer {server.token}"},
                trust_env=False,
                verify=NO_TLS,
            ).json()["logs"]
            if entry["resource"] == "enforcement-settings"
        ]

    assert (monitored.status_code, monitored.json()["would_block"], monitored.json()["policy_revision"]) == (
        200,
        True,
        made,
    )
    assert (blocked.status_code, blocked.json()["reason"]["revision"]) == (403, made)
    assert (guarded.code, guarded.json()["blocked"]) == (ExitCode.BLOCKED, ["mode-weakened"])
    assert (still.status_code, allowed.status_code) == (403, 200)
    assert len(set_by) == 2
    assert set_by[-1] == strict
