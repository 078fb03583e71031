"""What a plan would have done to recorded events, in every rendering: the numbers, and nothing for forks."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from reconciler.cli.output import to_json
from reconciler.core.impact import ChangeImpact, Day, Example, Fidelity, Impact
from reconciler.core.model import Plan, TargetInfo
from reconciler.reports.github import render_github
from reconciler.reports.html import render_html
from reconciler.reports.impact_words import every_day
from reconciler.reports.markdown import render_markdown
from reconciler.reports.markdown_parts import Setting
from reconciler.reports.plan_json import plan_from_json, plan_to_json
from reconciler.reports.plan_text import render_plan
from reconciler.reports.sarif import render_sarif
from tests.support.plans import sample_plan

FIRST = Example(
    "2026-03-02T03:14:07Z", "agent-0042", "read_file", "hr/payroll/…a1b2c3", "192.168.200.0/24", "ip-allowlist"
)
IMPACT = Impact(
    1_284_113,
    41,
    "2026-03-01T00:00:00Z",
    "2026-03-07T23:59:59Z",
    (
        ChangeImpact(
            "ip-allowlist",
            newly_blocked=42,
            only=40,
            masked=2,
            maybe_blocked=310,
            blocked_actors=3,
            in_scope=1_284_113,
            actors=(("agent-0042", 30), ("agent-0007", 12)),
            first=(FIRST,),
            coverage=(("source_ip", 0.9997),),
        ),
        ChangeImpact("rate-limit-enforcement"),
    ),
    newly_blocked=42,
    newly_blocked_actors=3,
    maybe_blocked=310,
    days=(Day("2026-03-02", 30, 0), Day("2026-03-03", 12, 0)),
    fidelity=Fidelity(1000, 996, (("source_ip was not recorded", 4),)),
    warnings=("country has one value in all events, so it counts as not recorded",),
)


def previewed() -> Plan:
    return replace(sample_plan(), impact=IMPACT)


def test_the_terminal_says_the_numbers_where_the_change_stands_and_what_they_are_worth() -> None:
    text = " ".join(render_plan(previewed(), color=False, style="default").split())

    assert "Impact 1,284,113 events of 41 actors, 2026-03-01 to 2026-03-07 (UTC)" in text
    assert "newly blocks 42 requests by 3 actors, newly allows 0, may block 310 and may allow 0 more." in text
    assert "newly blocked 42 requests by 3 actors (40 by no other policy)" in text
    assert "masked 2 requests: blocked by another policy anyway" in text
    assert "First 1 of 42 that it newly blocks: 2026-03-02T03:14:07Z agent-0042 read_file" in text
    assert "in scope no event, so the preview says nothing about this policy" in text
    assert "reproduces 99.6 % of 1,000 decisions on record (4 source_ip was not recorded)" in text
    assert "country has one value in all events" in text
    assert "nobody knows whether a blocked agent would have tried again" in text


def test_no_line_of_the_terminal_is_too_long() -> None:
    lines = render_plan(previewed(), color=False, style="default").splitlines()

    assert max(map(len, lines)) <= 80


def test_the_mode_is_said_where_nothing_would_be_blocked() -> None:
    plan = replace(previewed(), target=TargetInfo("prod", "opena2a", "https://policies.example.com/v1", "MONITORING"))

    text = " ".join(render_plan(plan, color=False, style="default").split())

    assert "Mode: MONITORING. The numbers are those of STRICT; in MONITORING nothing is blocked." in text


def test_a_comment_has_a_table_and_the_first_requests_and_a_forks_has_neither() -> None:
    own, fork = render_markdown(previewed()), render_markdown(previewed(), setting=Setting(fork=True))

    assert "| <code>ip-allowlist</code> | 42 | 0 | 310 | 2 |" in own
    assert "agent-0042" in own
    assert "192&#46;168&#46;200&#46;0/24" in own
    assert "Impact" not in fork
    assert "agent-0042" not in fork


def test_a_page_has_bars_by_day_and_the_table_under_them() -> None:
    page = render_html(previewed())

    assert page.count('class="blocked-bar"') == 7
    assert '<tr><th scope="row">2026-03-02</th><td>30</td><td>0</td></tr>' in page
    assert page.count('<tr><th scope="row">2026-03-0') == 7
    assert '<tr><th scope="row">2026-03-05</th><td>0</td><td>0</td></tr>' in page
    assert "First 1 of 42 that it newly blocks" in page


@pytest.mark.parametrize(
    ("first", "last", "count"),
    [
        ("2026-03-01T00:00:00Z", "2026-03-07T00:00:00Z", 7),
        ("2026-03-02T00:00:00Z", "2026-03-03T00:00:00Z", 2),
        ("2026-01-01T00:00:00Z", "2026-07-01T00:00:00Z", 2),
        ("2026-03-03T00:00:00Z", "2026-03-03T00:00:00Z", 2),
        ("2026-03-09T00:00:00Z", "2026-03-01T00:00:00Z", 2),
        ("soon", "2026-03-01T00:00:00Z", 2),
        (None, None, 2),
    ],
)
def test_a_chart_has_every_day_and_loses_none(first: str | None, last: str | None, count: int) -> None:
    found = every_day(replace(IMPACT, first=first, last=last))

    assert len(found) == count
    assert [day for day in found if day.newly_blocked] == list(IMPACT.days)
    assert every_day(replace(IMPACT, days=())) == ()


def test_findings_say_what_would_newly_be_blocked() -> None:
    for text in (render_github(previewed()), render_sarif(previewed())):
        assert "newly blocks 42 requests, newly allows 0, over recorded events" in text


def test_a_saved_plan_keeps_it_and_its_fingerprint_is_the_same_without() -> None:
    saved = json.loads(to_json(plan_to_json(previewed())))

    assert plan_from_json(saved).impact == IMPACT
    assert saved["fingerprint"] == plan_to_json(sample_plan())["fingerprint"]
    assert "impact" not in plan_to_json(sample_plan())
