"""GitLab Code Quality: one JSON list that the merge request shows beside the lines."""

from __future__ import annotations

import json
from collections.abc import Sequence

from reconciler.core.model import Plan, Problem
from reconciler.core.safe import safe
from reconciler.reports.view import WHOLE_PLAN_PATH, Finding, plan_findings, problem_findings

_LONGEST = 1000
_SEVERITIES = {"error": "critical", "warning": "major", "note": "minor"}


def render_gitlab(plan: Plan) -> str:
    """Return the guards, weaker fields and live edits of a plan as Code Quality issues; `[]` when there is none."""
    return _render(plan_findings(plan))


def render_gitlab_problems(problems: Sequence[Problem]) -> str:
    """Return the problems of files as Code Quality issues."""
    return _render(problem_findings(problems))


def _render(findings: Sequence[Finding]) -> str:
    return json.dumps([_issue(each) for each in findings], indent=2, ensure_ascii=True) + "\n"


def _issue(finding: Finding) -> dict[str, object]:
    """One issue. The fingerprint has the field in it and not the line: GitLab keeps only the first of equal ones."""
    return {
        "description": safe(finding.message, _LONGEST),
        "check_name": safe(finding.rule),
        "fingerprint": finding.fingerprint,
        "severity": _SEVERITIES[finding.level],
        "location": {
            "path": safe(finding.path or WHOLE_PLAN_PATH, _LONGEST),
            "lines": {"begin": max(finding.line or 1, 1)},
        },
    }
