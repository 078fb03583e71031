"""One result in any format by its name: the plans of several targets as one document, or the problems of files.

Which formats there are, and what they have in common for `--format` and `--report`; each rendering is its own module.
"""

from __future__ import annotations

import json
import xml.etree.ElementTree as Xml
from collections.abc import Sequence

from reconciler.core.model import Json, Plan, Problem
from reconciler.errors import UsageError
from reconciler.reports.github import render_github, render_github_problems
from reconciler.reports.gitlab import render_gitlab, render_gitlab_problems
from reconciler.reports.html import render_html
from reconciler.reports.junit import render_junit, render_junit_problems
from reconciler.reports.markdown import SUMMARY_BUDGET, render_markdown
from reconciler.reports.plan_json import plan_to_json, plans_to_json
from reconciler.reports.plan_text import render_plan
from reconciler.reports.problems import problems_to_json, render_problems
from reconciler.reports.sarif import render_sarif, render_sarif_problems


def render_plans(name: str, plans: Sequence[Plan]) -> str:
    """Return *plans* in the format *name*, as one document without colours.

    A page of HTML is about one target; `UsageError` for more.
    """
    if name == "json":
        return _json(plan_to_json(plans[0]) if len(plans) == 1 else plans_to_json(plans))
    if name == "text":
        return "\n".join(f"{render_plan(plan)}\n" for plan in plans)
    if name == "markdown":
        budget = SUMMARY_BUDGET // max(len(plans), 1)
        return "\n".join(render_markdown(plan, budget=budget) for plan in plans)
    if name == "html":
        if len(plans) != 1:
            raise UsageError(
                f"a page is about one target, and there are {len(plans)} plans",
                where="html",
                fix="name one target with -t",
            )
        return render_html(plans[0])
    if name == "github":
        return "".join(map(render_github, plans))
    if name == "gitlab":
        return _json([issue for plan in plans for issue in json.loads(render_gitlab(plan))])
    if name == "sarif":
        return _sarif([render_sarif(plan) for plan in plans])
    if name == "junit":
        return _junit([render_junit(plan) for plan in plans])
    raise ValueError(f"not a format: {name!r}")


def render_problems_as(name: str, problems: Sequence[Problem], *, files: int) -> str:
    """Return the problems of *files* files in the format *name*, without colours."""
    if name == "json":
        return _json(problems_to_json(problems))
    if name == "text":
        return f"{render_problems(problems, files=files)}\n" if problems else ""
    if name == "github":
        return render_github_problems(problems)
    if name == "gitlab":
        return render_gitlab_problems(problems)
    if name == "sarif":
        return render_sarif_problems(problems)
    if name == "junit":
        return render_junit_problems(problems)
    raise ValueError(f"not a format: {name!r}")


def _json(value: Json | dict[str, Json] | list[Json]) -> str:
    return json.dumps(value, indent=2, ensure_ascii=True) + "\n"


def _sarif(logs: Sequence[str]) -> str:
    """One log with the run of each; they tell themselves apart by their category."""
    values = [json.loads(log) for log in logs]
    return _json({**values[0], "runs": [run for value in values for run in value["runs"]]}) if values else ""


def _junit(documents: Sequence[str]) -> str:
    """One document with the suites of each, and the sums of their counts."""
    if len(documents) == 1:
        return documents[0]
    roots = [Xml.fromstring(document) for document in documents]  # nosec B314  # noqa: S314 - we wrote it ourselves
    counts = ("tests", "failures", "errors", "skipped")
    whole = Xml.Element(
        "testsuites",
        {"name": "reconciler", **{name: str(sum(int(root.get(name, "0")) for root in roots)) for name in counts}},
    )
    for root in roots:
        whole.extend(root)
    Xml.indent(whole)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{Xml.tostring(whole, encoding="unicode")}\n'
