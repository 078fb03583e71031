"""Annotations, Code Quality, SARIF, JUnit, and the page: their formats kept, their limits, their identities."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from xml.etree import ElementTree

import jsonschema
import pytest

from reconciler.core.guard import GUARDS
from reconciler.core.model import Action, Plan, Problem, Risk, Severity, Source
from reconciler.reports.github import render_github, render_github_problems
from reconciler.reports.gitlab import render_gitlab, render_gitlab_problems
from reconciler.reports.html import render_html
from reconciler.reports.junit import render_junit, render_junit_problems
from reconciler.reports.sarif import render_sarif, render_sarif_problems
from tests.conftest import Golden
from tests.support.plans import change, field, hostile_plan, plan, sample_plan

FOLDER = Path(__file__).parent / "golden"
SARIF_SCHEMA = Path(__file__).parents[1] / "vendor" / "sarif-schema-2.1.0.json"
SARIF_SHA256 = "6352a05f9d03f181b8d9c71a46bdacc4fcff9d8ade5364858b425ba0c0994ed7"

PROBLEMS = (
    Problem("wrong-type", Severity.ERROR, "enabled must be true or false", "a/b.yaml", 3, 10, "/enabled", "write true"),
    Problem("yaml-1.1-number", Severity.WARNING, "read as a number", "a/b.yaml", 2, 4, "/size"),
    Problem("duplicate-key", Severity.ERROR, '"a" is set twice', "a/a.yaml", 9, 1, fix="delete one"),
    Problem("duplicate-key", Severity.ERROR, '"a" is set twice', "a/a.yaml", 12, 1, fix="delete one"),
    Problem("file-too-large", Severity.ERROR, "over 1 MiB: 100 % of it, [link](1)", "a/big.yaml"),
)


@pytest.mark.parametrize(
    ("name", "render"),
    [
        ("plan.github.txt", render_github),
        ("plan.gitlab.json", render_gitlab),
        ("plan.sarif", render_sarif),
        ("plan.junit.xml", render_junit),
        ("plan.html", render_html),
    ],
)
def test_a_plan_reads_as_the_golden_file(name: str, render: object, golden: Golden) -> None:
    assert callable(render)
    golden(FOLDER / name, render(sample_plan()))


@pytest.mark.parametrize(
    ("name", "render"),
    [
        ("problems.github.txt", render_github_problems),
        ("problems.gitlab.json", render_gitlab_problems),
        ("problems.sarif", render_sarif_problems),
        ("problems.junit.xml", render_junit_problems),
    ],
)
def test_problems_read_as_the_golden_file(name: str, render: object, golden: Golden) -> None:
    assert callable(render)
    golden(FOLDER / name, render(PROBLEMS))


def weaker(count: int) -> Plan:
    changes = (
        change(f"limit-{n:04}", Action.UPDATE, Risk.WEAKENS, field("/limit", 1, n + 2, Risk.WEAKENS))
        for n in range(count)
    )
    return plan(*changes)


# ------------------------------------------------------------------------------------------------ GitHub


@pytest.mark.parametrize(("findings", "lines"), [(0, 0), (1, 1), (9, 9), (10, 10), (40, 10)])
def test_github_gets_nine_annotations_and_the_number_of_the_others(findings: int, lines: int) -> None:
    shown = render_github(weaker(findings)).splitlines()

    assert len(shown) == lines
    if findings > 9:
        more = "finding" if findings == 10 else "findings"
        assert shown[-1] == f"::notice title=reconciler::{findings - 9} more {more} in the summary"


def test_github_sees_guards_before_weaker_fields() -> None:
    blocked = change(
        "z-critical",
        Action.DISABLE,
        Risk.WEAKENS,
        field("/enabled", True, False, Risk.WEAKENS),
        critical=True,
        guards=["critical-disabled"],
    )
    many = replace(plan(*weaker(20).changes, blocked), blocked=("critical-disabled", "too-many-changes"))

    first, second = render_github(many).splitlines()[:2]

    assert first.startswith("::error title=prod%3A too-many-changes::")
    assert second.startswith("::error file=policies/z-critical.yaml,line=1,col=1,title=prod%3A critical-disabled")


def test_a_percent_sign_reaches_github_as_a_percent_sign() -> None:
    assert "100 %25 of it" in render_github_problems(PROBLEMS)


# ------------------------------------------------------------------------------------------------ GitLab


def test_gitlab_knows_a_finding_again_when_its_line_moves_and_its_value_changes() -> None:
    before = change("a", Action.UPDATE, Risk.WEAKENS, field("/x", 1, 2, Risk.WEAKENS), field("/y", 1, 2, Risk.WEAKENS))
    after = replace(
        before, source=Source("policies/a.yaml", 99), fields=tuple(replace(each, desired=3) for each in before.fields)
    )

    old = [issue["fingerprint"] for issue in json.loads(render_gitlab(plan(before)))]
    new = [issue["fingerprint"] for issue in json.loads(render_gitlab(plan(after)))]

    assert old == new
    assert len(set(old)) == 2


def test_gitlab_tells_equal_problems_apart_in_every_run() -> None:
    issues = json.loads(render_gitlab_problems(PROBLEMS))

    fingerprints = [issue["fingerprint"] for issue in issues]
    assert len(set(fingerprints)) == len(PROBLEMS)
    assert fingerprints == [issue["fingerprint"] for issue in json.loads(render_gitlab_problems(PROBLEMS[::-1]))]
    for issue in issues:
        assert set(issue) == {"description", "check_name", "fingerprint", "severity", "location"}
        assert issue["location"]["lines"]["begin"] >= 1
        assert issue["severity"] in {"info", "minor", "major", "critical", "blocker"}


# ------------------------------------------------------------------------------------------------- SARIF


def test_the_sarif_schema_is_the_one_that_is_listed() -> None:
    listed = (SARIF_SCHEMA.parent / "README.md").read_text()

    assert sha256(SARIF_SCHEMA.read_bytes()).hexdigest() == SARIF_SHA256
    assert SARIF_SHA256 in listed


@pytest.mark.parametrize(
    "text",
    [
        render_sarif(sample_plan()),
        render_sarif(plan()),
        render_sarif(hostile_plan("::x [a](b) \x1b é{0}")),
        render_sarif_problems(PROBLEMS),
        render_sarif_problems(()),
    ],
    ids=["plan", "empty plan", "hostile plan", "problems", "no problems"],
)
def test_sarif_keeps_to_the_official_schema(text: str) -> None:
    schema = json.loads(SARIF_SCHEMA.read_text())

    validator = jsonschema.Draft7Validator(schema, format_checker=jsonschema.Draft7Validator.FORMAT_CHECKER)

    assert [error.message for error in validator.iter_errors(json.loads(text))] == []
    assert list(validator.iter_errors({"version": "2.1.0"})) != []


def test_every_sarif_result_has_a_described_rule_and_an_identity_of_its_own() -> None:
    run = json.loads(render_sarif(sample_plan()))["runs"][0]

    rules = run["tool"]["driver"]["rules"]
    assert [rules[result["ruleIndex"]]["id"] for result in run["results"]] == [r["ruleId"] for r in run["results"]]
    prints = [result["partialFingerprints"]["reconciler/v1"] for result in run["results"]]
    assert len(set(prints)) == len(prints) > 0
    assert {rule["id"] for rule in rules} <= {*GUARDS, "risk-weakens", "risk-unknown", "drift"}


def test_sarif_keeps_to_the_number_of_results_that_are_stored() -> None:
    run = json.loads(render_sarif(weaker(5001)))["runs"][0]

    assert len(run["results"]) == 5000
    assert run["properties"] == {"resultsLeftOut": 1}


# ------------------------------------------------------------------------------------------------- JUnit


def test_junit_fails_for_guards_only_and_counts_right() -> None:
    suite = ElementTree.fromstring(
        render_junit(replace(sample_plan(), blocked=("critical-disabled", "too-many-deletes")))
    )[0]

    failed = {case.get("name") for case in suite if case.find("failure") is not None}
    assert failed == {"guard too-many-deletes", "disable pol-mfa-required"}
    assert suite.get("tests") == str(len(suite)) == "7"
    assert suite.get("failures") == "2"
    assert suite.get("skipped") == "1"


# -------------------------------------------------------------------------------------------------- page


def test_the_page_allows_its_own_style_and_nothing_else() -> None:
    page = render_html(sample_plan())

    style = re.search(r"<style>(.*?)</style>", page, re.DOTALL)
    assert style is not None
    allowed = base64.b64encode(sha256(style[1].encode()).digest()).decode()
    assert f"default-src 'none'; style-src 'sha256-{allowed}'" in page
    assert "prefers-color-scheme: dark" in style[1]
    assert not re.search(r"url\(|@import|<script|<link|src=|href=", page)


def test_the_page_has_every_change_whole() -> None:
    page = render_html(big := weaker(300))

    assert page.count("<article") == len(big.changes)
    assert "<code>301</code>" in page
