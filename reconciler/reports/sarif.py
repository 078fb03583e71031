"""SARIF 2.1.0 (OASIS): findings for code scanning. Only what has a rule and a place; never the only output."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from urllib.parse import quote

from reconciler import __version__
from reconciler.core.model import Plan, Problem
from reconciler.core.safe import safe
from reconciler.reports.view import (
    WHOLE_PLAN_PATH,
    Finding,
    plan_findings,
    problem_findings,
    rule_words,
    safe_target,
)

SCHEMA = "https://raw.githubusercontent.com/oasis-tcs/sarif-spec/master/Schemata/sarif-schema-2.1.0.json"
#: Code scanning keeps the first 5,000 results of a run (ux.md 2.2); ours come worst first.
MOST = 5000
_LONGEST = 1000


def render_sarif(plan: Plan) -> str:
    """Return the guards, weaker fields and live edits of a plan; `ruleId` is the guard's or the risk's name."""
    return _render(plan_findings(plan), plan.tool, f"reconciler/plan/{safe_target(plan)}/")


def render_sarif_problems(problems: Sequence[Problem]) -> str:
    """Return the problems of files; `ruleId` is the problem's code."""
    return _render(problem_findings(problems), __version__, "reconciler/validate/")


def _render(findings: Sequence[Finding], version: str, category: str) -> str:
    shown = findings[:MOST]
    rules = sorted({each.rule for each in shown})
    run: dict[str, object] = {
        "tool": {
            "driver": {
                "name": "reconciler",
                "version": safe(version),
                "rules": [_rule(rule, shown) for rule in rules],
            }
        },
        "automationDetails": {"id": category},
        "columnKind": "unicodeCodePoints",
        "results": [_result(each, rules.index(each.rule)) for each in shown],
    }
    if len(shown) < len(findings):
        run["properties"] = {"resultsLeftOut": len(findings) - len(shown)}
    return json.dumps({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2, ensure_ascii=True) + "\n"


def _rule(rule: str, findings: Iterable[Finding]) -> Mapping[str, object]:
    sentence, way_out = rule_words(rule)
    level = next(each.level for each in findings if each.rule == rule)
    described: dict[str, object] = {
        "id": safe(rule),
        "shortDescription": {"text": _message(sentence)},
        "defaultConfiguration": {"level": level},
    }
    if way_out:
        described["help"] = {"text": way_out}
    return described


def _result(finding: Finding, index: int) -> Mapping[str, object]:
    region: dict[str, object] = {"startLine": max(finding.line or 1, 1)}
    if finding.column:
        region["startColumn"] = finding.column
    artifact = {"uri": quote(finding.path or WHOLE_PLAN_PATH, safe="/", errors="replace")}
    return {
        "ruleId": safe(finding.rule),
        "ruleIndex": index,
        "level": finding.level,
        "message": {"text": _message(finding.message)},
        "locations": [{"physicalLocation": {"artifactLocation": artifact, "region": region}}],
        "partialFingerprints": {"reconciler/v1": finding.fingerprint},
    }


def _message(text: str) -> str:
    """Plain text: a bracket could open a link in a viewer (SARIF 3.11.6), so each is escaped, and the escape itself."""
    return safe(text, _LONGEST).replace("\\", "\\\\").replace("[", "\\[").replace("]", "\\]")
