"""A plan against a snapshot says so wherever it is read, and never that it was read live."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

import pytest

from reconciler.core.model import Plan
from reconciler.core.plan import Facts, make_plan
from reconciler.forges import Comment
from reconciler.reports.comment import Act, decide, make_comment
from reconciler.reports.html import render_html
from reconciler.reports.markdown import Setting, render_markdown
from reconciler.reports.plan_text import render_plan
from tests.builders import applied, inputs, live, policy

TIME = "2026-11-20 09:14:07Z"


def planned(*, enabled: bool) -> Plan:
    plain = inputs([policy(enabled=enabled)], [applied()], [live()])
    return make_plan(replace(plain, facts=Facts(snapshot=True)))


READERS: dict[str, Callable[[Plan], str]] = {
    "text": render_plan,
    "markdown": render_markdown,
    "markdown for a fork": lambda plan: render_markdown(plan, setting=Setting(fork=True)),
    "html": render_html,
}


@pytest.mark.parametrize("enabled", [True, False], ids=["in sync", "with a change"])
@pytest.mark.parametrize("reader", READERS)
def test_the_reader_is_told(reader: str, enabled: bool) -> None:
    text = re.sub(r"\s+", " ", READERS[reader](planned(enabled=enabled)))

    assert f"against a snapshot of {TIME}" in text
    assert f"read {TIME}" not in text


def test_a_later_snapshot_that_says_the_same_is_no_news() -> None:
    plan = planned(enabled=False)
    later = replace(
        plan,
        live=replace(plan.live, read_at="2026-11-20T10:14:07Z"),
        warnings=tuple(text.replace("T09:", "T10:") for text in plan.warnings),
    )
    setting = Setting()
    there = Comment("1", "handle", make_comment(plan, setting=setting).text, mine=True)

    assert plan.warnings != later.warnings
    assert decide([there], make_comment(later, setting=setting).text).act is Act.KEEP
