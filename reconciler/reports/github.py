"""Annotations on lines of a pull request: GitHub's workflow commands, as lines of the job's log.

GitHub shows ten of a kind for each step and drops the rest without a word (ux.md 2.2). So the worst come first, nine
at most, and the last line says how many are left.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from reconciler.core.model import Plan, Problem
from reconciler.core.safe import safe
from reconciler.reports.view import Finding, count, plan_findings, problem_findings

MOST = 9
_LONGEST = 1000
_COMMANDS = {"error": "error", "warning": "warning", "note": "notice"}
_OLD_COMMAND = re.compile(r"#(?=#\w*\[)")


def render_github(plan: Plan) -> str:
    """Return one annotation for each guard, weaker field and live edit, worst first; empty when there is none."""
    return _render(plan_findings(plan))


def render_github_problems(problems: Sequence[Problem]) -> str:
    """Return one annotation for each problem, errors first."""
    return _render(sorted(problem_findings(problems), key=lambda each: each.level != "error"))


def _render(findings: Sequence[Finding]) -> str:
    # Ten of one kind fit; with nine in all, the tenth line always fits, too.
    shown = findings if len(findings) <= MOST else findings[:MOST]
    lines = [_command(each) for each in shown]
    left = len(findings) - len(shown)
    if left:
        lines.append(f"::notice title=reconciler::{count(left, 'finding').replace(' ', ' more ', 1)} in the summary")
    return "".join(f"{line}\n" for line in lines)


def _command(finding: Finding) -> str:
    place = [("file", finding.path), ("line", finding.line), ("col", finding.column), ("title", finding.title)]
    properties = ",".join(f"{name}={_property(str(value))}" for name, value in place if value is not None)
    return f"::{_COMMANDS[finding.level]} {properties}::{_message(finding.message)}"


def _message(text: str) -> str:
    """Percent, CR and LF as the runner decodes them; the older `##[command]` is broken up."""
    text = _OLD_COMMAND.sub(r"\\x23", safe(text, _LONGEST))
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _message(text).replace(":", "%3A").replace(",", "%2C")
