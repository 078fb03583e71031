"""JUnit XML: a test case for each change, failed where a guard stops it; for `validate`, one for each file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from xml.etree import ElementTree as Xml

from reconciler.core.model import Change, NotDone, Plan, Problem, Severity
from reconciler.core.safe import safe
from reconciler.reports.view import (
    blocking_guards,
    blocking_plan_guards,
    drift_words,
    field_words,
    guard_words,
    in_reading_order,
    is_drift,
)

_LONGEST = 1000


def render_junit(plan: Plan) -> str:
    """Return a suite with one case for each change, guard of the whole plan, and thing left undone.

    A guard is a failure; what is held or cannot be done is skipped; a change that only weakens passes and says so.
    """
    target = safe(plan.target.name)
    suite = Xml.Element("testsuite", name=f"reconciler plan {target}")
    for name in blocking_plan_guards(plan):
        sentence, way_out = guard_words(name)
        case = Xml.SubElement(suite, "testcase", classname=target, name=f"guard {safe(name)}")
        _failure(case, safe(name), sentence, way_out)
    for change in in_reading_order(plan.changes):
        _change(suite, change, plan)
    for word, entries in (("held", plan.held), ("cannot", plan.cannot)):
        for entry in entries:
            _skipped(suite, target, word, entry)
    return _finished(suite)


def render_junit_problems(problems: Sequence[Problem]) -> str:
    """Return a suite with one case for each file that has a problem; warnings do not fail it."""
    suite = Xml.Element("testsuite", name="reconciler validate")
    ordered = sorted(problems, key=lambda each: each.sort_key)
    for path, group in groupby(ordered, key=lambda each: each.path):
        case = Xml.SubElement(suite, "testcase", classname="validate", name=safe(path, _LONGEST), file=safe(path))
        warnings = []
        for problem in group:
            place = f"{problem.path}:{problem.line or 1}:{problem.column or 1}"
            if problem.severity is Severity.ERROR:
                _failure(case, problem.code, problem.message, f"{place}\n{problem.fix or ''}".strip())
            else:
                warnings.append(safe(f"{place} {problem.code}: {problem.message}", _LONGEST))
        if warnings:
            Xml.SubElement(case, "system-out").text = "\n".join(warnings)
    return _finished(suite)


def _change(suite: Xml.Element, change: Change, plan: Plan) -> None:
    name = safe(f"{change.action.value} {change.key}", _LONGEST)
    place = _place(change)
    case = Xml.SubElement(suite, "testcase", {"classname": safe(plan.target.name), "name": name, **place})
    lines = [f"risk: {change.risk.value}, origin: {change.origin.value}{', critical' if change.critical else ''}"]
    lines += [f"{field.risk.value}: {field_words(field)}" for field in change.fields]
    if is_drift(change):
        lines.append(f"live was edited outside git by {drift_words(change)}")
    text = "\n".join(safe(line, _LONGEST) for line in lines)
    for guard in blocking_guards(change, plan):
        sentence, way_out = guard_words(guard)
        _failure(case, guard, sentence, f"{way_out}\n{text}")
    Xml.SubElement(case, "system-out").text = text


def _place(change: Change) -> Mapping[str, str]:
    if change.source is None:
        return {}
    return {"file": safe(change.source.path, _LONGEST), "line": str(change.source.line)}


def _failure(case: Xml.Element, kind: str, message: str, text: str) -> None:
    failure = Xml.SubElement(case, "failure", type=safe(kind), message=safe(message, _LONGEST))
    failure.text = "\n".join(safe(line, _LONGEST) for line in text.split("\n"))


def _skipped(suite: Xml.Element, target: str, word: str, entry: NotDone) -> None:
    name = safe(f"{word}: {entry.action.value} {entry.key}", _LONGEST)
    case = Xml.SubElement(suite, "testcase", classname=target, name=name)
    Xml.SubElement(case, "skipped", message=safe(entry.reason, _LONGEST))


def _finished(suite: Xml.Element) -> str:
    cases = suite.findall("testcase")
    failures = sum(case.find("failure") is not None for case in cases)
    skipped = sum(case.find("skipped") is not None for case in cases)
    counts = {"tests": str(len(cases)), "failures": str(failures), "errors": "0", "skipped": str(skipped)}
    suite.attrib.update(counts)
    root = Xml.Element("testsuites", {"name": "reconciler", **counts})
    root.append(suite)
    Xml.indent(root)
    return Xml.tostring(root, encoding="unicode", xml_declaration=False).join(
        ('<?xml version="1.0" encoding="UTF-8"?>\n', "\n")
    )
