"""Whole plans, as text and as JSON, for situations a reviewer meets. Each folder of `tests/scenarios` is one.

`policies/` is what git wants, `live.json` what the API says (and how the target is set up), `ledger.json` what was last
applied, `overrides.yaml` the exceptions. A new case is a new folder; `./run golden` writes its plan, review reads it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import pytest

from reconciler.core.documents import read_documents
from reconciler.core.guard import Overrides, parse_overrides
from reconciler.core.model import (
    Applied,
    CommitInfo,
    Confidence,
    Drift,
    Ignore,
    Listing,
    LivePolicy,
    Policy,
    TargetSettings,
)
from reconciler.core.plan import PlanInput, make_plan
from reconciler.providers import aim, neosc, opena2a
from reconciler.reports.plan_json import plan_from_json, plan_to_json
from reconciler.reports.plan_text import render_plan
from reconciler.workflows.session import policy_from
from tests.builders import HEAD, NOW, URLS, inputs, schemas
from tests.conftest import Golden

SCENARIOS = Path(__file__).parent / "scenarios"
NAMES = sorted(folder.name for folder in SCENARIOS.iterdir() if folder.is_dir())
PROVIDERS: Mapping[str, Any] = {"aim": aim, "neosc": neosc, "opena2a": opena2a}


def read_scenario(folder: Path) -> PlanInput:
    """Everything a plan is made from, read with the program's own readers."""
    live = json.loads((folder / "live.json").read_text())
    provider = live["provider"]
    ledger = [Applied(**entry) for entry in read_json(folder / "ledger.json", [])]
    policies, mode = read_policies(folder, provider)
    told = {
        key: Drift(**{**who, "confidence": Confidence(who["confidence"])}) for key, who in live.get("drift", {}).items()
    }
    settings = TargetSettings(
        name=provider,
        provider=provider,
        url=URLS[provider],
        policies=f"policies/{provider}",
        crud=live.get("crud", False),
        max_deletes=live.get("max_deletes", 5),
        ignore=tuple(Ignore(**rule) for rule in live.get("ignore", [])),
    )
    module = PROVIDERS[provider]
    found = tuple(read_live(module, value) for value in live["policies"])
    reason = live.get("incomplete")
    given = inputs(
        policies,
        ledger,
        Listing(found, reason is None, reason, NOW, live.get("mode")),
        provider=provider,
        capabilities=module.capabilities(settings),
        overrides=read_overrides(folder / "overrides.yaml"),
        drift_of=lambda entry, policy, content: told[entry.key],
        mode=mode,
    )
    author = CommitInfo(HEAD, "alice", "Allow SSO cut-over")
    return replace(given, settings=settings, commits=dict.fromkeys(given.commits, author))


def read_live(module: Any, value: dict[str, Any]) -> LivePolicy:
    policy = module.policy_from_wire(value, "a policy")
    assert isinstance(policy, LivePolicy)
    return policy


def read_json(path: Path, otherwise: Any) -> Any:
    return json.loads(path.read_text()) if path.exists() else otherwise


def read_policies(folder: Path, provider: str) -> tuple[list[Policy], str | None]:
    policies, mode = [], None
    for path in sorted((folder / "policies").rglob("*.yaml")):
        documents, problems = read_documents(path.read_bytes(), path.relative_to(folder).as_posix())
        assert problems == ()
        for document in documents:
            if path.name == "settings.yaml":
                assert schemas().check_settings(document) == ()
                mode = str(document.value["enforcement_mode"])
            else:
                assert schemas().check_policy(provider, document) == ()
                policies.append(policy_from(provider, document))
    return policies, mode


def read_overrides(path: Path) -> Overrides:
    if not path.exists():
        return Overrides()
    [document], problems = read_documents(path.read_bytes(), path.name)
    assert problems == ()
    assert schemas().check_overrides(document) == ()
    return parse_overrides(document.value)


@pytest.mark.parametrize("name", NAMES)
def test_a_scenario_has_the_plan_that_was_reviewed(name: str, golden: Golden) -> None:
    plan = make_plan(read_scenario(SCENARIOS / name))

    golden(SCENARIOS / name / "plan.txt", render_plan(plan) + "\n")
    golden(SCENARIOS / name / "plan.json", json.dumps(plan_to_json(plan), indent=2) + "\n")


@pytest.mark.parametrize("name", NAMES)
def test_a_scenarios_plan_keeps_the_promises_of_every_plan(name: str) -> None:
    plan = make_plan(read_scenario(SCENARIOS / name))

    value = json.loads(json.dumps(plan_to_json(plan)))

    assert schemas().violations("plan", value) == ()
    assert plan_from_json(value) == plan
    assert render_plan(plan_from_json(value)) == render_plan(plan)
    assert click.unstyle(render_plan(plan, color=True)) == render_plan(plan)
    assert all(len(line) <= 80 for line in render_plan(plan).splitlines())


def test_there_are_scenarios() -> None:
    assert len(NAMES) >= 8
