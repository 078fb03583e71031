"""Plans of several targets as one document of each format, and which formats the commands have."""

from __future__ import annotations

import json
import xml.etree.ElementTree as Xml
from dataclasses import replace

import pytest

from reconciler.cli.reports import PLAN_FORMATS, PROBLEM_FORMATS
from reconciler.core.model import Plan, Problem, Severity
from reconciler.core.plan import make_plan
from reconciler.core.schema import load_schemas
from reconciler.errors import UsageError
from reconciler.reports.formats import render_plans, render_problems_as
from tests.builders import applied, inputs, live, policy, rate_limit


def plan(target: str) -> Plan:
    made = make_plan(inputs([policy(rate_limit(limit=5000))], [applied()], [live()]))
    return replace(made, target=replace(made.target, name=target))


PLANS = (plan("prod"), plan("staging"))
PROBLEM = Problem("unknown-key", Severity.ERROR, "there is no enabld", "policies/a.yaml", 3, 1)


@pytest.mark.parametrize("name", PLAN_FORMATS)
def test_every_format_renders_one_plan(name: str) -> None:
    text = render_plans(name, PLANS[:1])

    assert text.endswith("\n")
    assert "5000" in text


@pytest.mark.parametrize("name", [name for name in PLAN_FORMATS if name != "html"])
def test_every_format_has_the_plans_of_all_targets(name: str) -> None:
    text = render_plans(name, PLANS)

    assert text.count("5000") >= 2


def test_what_is_json_or_xml_stays_so_with_several_plans() -> None:
    plans = json.loads(render_plans("json", PLANS))
    issues = json.loads(render_plans("gitlab", PLANS))
    sarif = json.loads(render_plans("sarif", PLANS))
    junit = Xml.fromstring(render_plans("junit", PLANS))
    one = Xml.fromstring(render_plans("junit", PLANS[:1]))

    assert load_schemas().check("plans", plans) == ()
    assert len({issue["fingerprint"] for issue in issues}) == len(issues) > 1
    assert len({run["automationDetails"]["id"] for run in sarif["runs"]}) == 2
    assert len(junit.findall("testsuite")) == 2
    assert int(junit.attrib["tests"]) == 2 * int(one.attrib["tests"])


def test_a_page_is_about_one_target() -> None:
    with pytest.raises(UsageError, match="about one target"):
        render_plans("html", PLANS)


@pytest.mark.parametrize("name", PROBLEM_FORMATS)
def test_every_format_renders_problems(name: str) -> None:
    assert "enabld" in render_problems_as(name, [PROBLEM], files=1)


def test_a_format_that_is_not_there_is_a_bug() -> None:
    with pytest.raises(ValueError, match="not a format"):
        render_plans("pdf", PLANS)
    with pytest.raises(ValueError, match="not a format"):
        render_problems_as("html", [PROBLEM], files=1)
