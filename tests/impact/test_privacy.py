"""What a preview shows of recorded requests: who, what, roughly from where and on what; nothing else that was recorded.

A comment can be public (semantics.md F). Every column is filled with something of its own, and every rendering is
searched for all of it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from html import unescape
from typing import Any, Final

import pytest

from reconciler.core.impact import Impact
from reconciler.core.model import Plan
from reconciler.impact.kinds import SETS, kind_of
from reconciler.impact.preview import open_events, preview
from reconciler.impact.store import write_events
from reconciler.reports.comment import make_comment
from reconciler.reports.formats import render_plans
from reconciler.reports.impact_json import impact_to_json
from reconciler.reports.impact_words import render_impact
from reconciler.reports.markdown_parts import Setting
from reconciler.semantics.columns import COLUMNS
from reconciler.semantics.compile import compile_policy
from reconciler.semantics.events import Event, parse_event
from reconciler.semantics.program import Program
from tests.support.plans import sample_plan

#: Columns that stand in a rendering as they are: the ids of actors, what they did, and how it was decided.
SHOWN: Final = frozenset({"actor_id", "action", "decision", "decision_source", "country", "seq", "ts_us"})
FORMATS: Final = ("text", "markdown", "html", "json", "github", "gitlab", "sarif", "junit")
KEY: Final = "ip-allowlist"


def request(at: int) -> dict[str, Any]:
    """A request with every column filled; a text says which column it stands in."""
    row: dict[str, Any] = {}
    for name in COLUMNS:
        if name in SETS:
            row[name] = [f"raw-{name}-{at}"]
        elif kind_of(name) == "string":
            row[name] = f"raw-{name}-{at}"
        elif kind_of(name) == "boolean":
            row[name] = True
        else:
            row[name] = 90 if "score" in name else 71_234_560 + at
    addresses = (f"198.51.100.{100 + at}", f"2001:db8:77:abcd::{at + 1:x}")
    resources = (
        f"hr/payroll/raw-resource-{at}/{at}",
        f"customer:file:raw-resource-{at}",
        f"https://crm.example.com/raw-resource-{at}",
    )
    return {
        **row,
        "actor_id": f"agent-{at}",
        "ts_us": 1_772_409_600_000_000 + at,
        "resource": resources[at % 3],
        "source_ip": addresses[at % 2],
        "country": "DE",
        "decision": "allow",
        "decision_source": "service",
        "mcp_domain": f"raw-mcp-domain-{at}.example.com",
        "mcp_url": f"https://raw-mcp-url-{at}.example.com/x",
        "extra": json.dumps({"note": f"raw-extra-{at}"}),
    }


REQUESTS: Final = [request(at) for at in range(12)]


def raw_texts() -> list[str]:
    """Everything recorded that nobody may read in a rendering."""
    found = {str(row["source_ip"]) for row in REQUESTS} | {"raw-resource-", "raw-extra-", "7123456"}
    found |= {f"raw-{name.replace('_', mark)}" for name in COLUMNS if name not in SHOWN for mark in "_-"}
    return sorted(found)


def allowlist(*addresses: str) -> Mapping[str, Program]:
    conditions = {"allowed_ips": list(addresses)}
    actions = {"on_violation": "block"}
    found = compile_policy({"name": KEY, "policy_type": "ip_allowlist", "conditions": conditions, "actions": actions})
    assert isinstance(found, Program)
    return {KEY: found}


@pytest.fixture(scope="module")
def impact(tmp_path_factory: pytest.TempPathFactory) -> Impact:
    """What shutting everybody out would have done."""
    folder = tmp_path_factory.mktemp("private") / "events"
    events = [parse_event(row) for row in REQUESTS]
    write_events(folder, [event for event in events if isinstance(event, Event)], mapping={})
    with open_events(folder) as (table, stored):
        found = preview(
            allowlist("198.51.100.0/24", "2001:db8::/32"), allowlist("10.0.0.0/8"), table, stored, mode="STRICT"
        )
    assert found.newly_blocked == len(REQUESTS)
    return found


@pytest.fixture(scope="module")
def plan(impact: Impact) -> Plan:
    found = replace(sample_plan(), impact=impact)
    assert any(change.key == KEY for change in found.changes)
    return found


def found_in(text: str) -> list[str]:
    plain = unescape(text).replace("\\", "")
    return [each for each in raw_texts() if each in text or each in plain]


@pytest.mark.parametrize("format", FORMATS)
def test_no_rendering_of_a_plan_shows_what_was_recorded(plan: Plan, format: str) -> None:
    text = render_plans(format, [plan])

    assert (str(len(REQUESTS)) in text and "newly" in text) or format == "junit"  # which only has guards
    assert found_in(text) == []


def test_neither_does_the_comment_on_a_pull_request(plan: Plan) -> None:
    own = make_comment(plan, setting=Setting()).text
    fork = make_comment(plan, setting=Setting(fork=True)).text

    assert found_in(own) == []
    assert "agent-3" in own
    assert "hr/payroll/…" in unescape(own)
    assert "198.51.100.0/24" in unescape(own)
    for text in (fork, unescape(fork)):
        assert found_in(text) == []
        assert not any(word in text for word in ("agent-", "newly block", "198.51.100", "hr/payroll", "recorded"))


def test_neither_does_a_comparison_of_two_revisions(impact: Impact) -> None:
    shown = render_impact("prod", "a" * 40, "b" * 40, impact) + json.dumps(impact_to_json(impact), ensure_ascii=False)

    assert "agent-3" in shown
    assert found_in(shown) == []


def test_the_search_finds_what_it_looks_for() -> None:
    assert all(found_in(json.dumps(row)) for row in REQUESTS)
    assert found_in("198&#46;51&#46;100&#46;102") == ["198.51.100.102"]
    assert {"raw-event_id", "raw-session_id", "raw-tenant", "raw-purpose", "raw-public_key_fp"} <= {*raw_texts()}
