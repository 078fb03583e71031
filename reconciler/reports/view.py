"""What the renderings of a plan share: order, words, values, and the findings worth a line of their own.

Nothing here is safe to show yet. Every rendering escapes for its own channel, and all of them through `core/safe.py`.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from reconciler.core.canonical import canonical_json
from reconciler.core.diff import pointer_to
from reconciler.core.guard import EVERY, GUARDS, WEAKER
from reconciler.core.impact import Impact
from reconciler.core.model import (
    MISSING,
    Action,
    Change,
    FieldChange,
    Json,
    Kind,
    Op,
    Origin,
    Plan,
    Problem,
    Risk,
    Side,
    Stance,
    Witness,
    WitnessKind,
)

#: Where a finding points that belongs to no file: code scanning and code quality want some file.
WHOLE_PLAN_PATH: Final = "reconciler.yaml"

RISK_ORDER: Final = (Risk.WEAKENS, Risk.MIXED, Risk.UNKNOWN, Risk.TIGHTENS, Risk.NEUTRAL)

#: What each risk word means, for rules and legends.
RISK_SENTENCES: Final[Mapping[str, str]] = {
    "weakens": "protection becomes weaker",
    "mixed": "protection becomes weaker in one place and stronger in another",
    "unknown": "nobody can prove that protection does not become weaker",
    "tightens": "protection becomes stronger",
    "neutral": "protection stays as it is",
    "drift": "the live policy was edited outside git and the next apply undoes that",
}

_PLAIN_NAME = re.compile(r"[A-Za-z0-9_-]+(?: [A-Za-z0-9_-]+)*")
_PLAIN_TARGET = re.compile(r"[a-z0-9-]{1,100}")


# -------------------------------------------------------------------------------------------------- order


def is_weaker(change: Change) -> bool:
    """Whether a reviewer must see all of it: it weakens, may weaken, deletes or disables (ux.md 1.3)."""
    return change.risk in WEAKER or change.action in (Action.DELETE, Action.DISABLE)


def is_drift(change: Change) -> bool:
    """Whether applying it overwrites a live edit."""
    return change.origin in (Origin.DRIFT, Origin.BOTH)


def must_show(change: Change) -> bool:
    """Whether no budget may ever shrink it."""
    return is_weaker(change) or is_drift(change)


def in_reading_order(changes: Iterable[Change]) -> tuple[Change, ...]:
    """Return *changes* in the order of ux.md 1.2: weakens, mixed, unknown, drift, tightens, neutral; critical first."""

    def rank(change: Change) -> tuple[int, bool, str, str]:
        if change.risk in WEAKER:
            group = RISK_ORDER.index(change.risk)
        elif is_drift(change):
            group = 3
        else:
            group = 1 + RISK_ORDER.index(change.risk)
        return group, not change.critical, change.key, change.action.value

    return tuple(sorted(changes, key=rank))


def weaker_fields(change: Change) -> tuple[FieldChange, ...]:
    return tuple(field for field in change.fields if field.risk in WEAKER)


# -------------------------------------------------------------------------------------------------- words


def count(number: int, noun: str) -> str:
    """Return `1 change`, `2 changes`; `policy` becomes `policies`."""
    if number == 1:
        return f"1 {noun}"
    return f"{number:,} {noun[:-1]}ies" if noun.endswith("y") else f"{number:,} {noun}s"


def short(sha: str) -> str:
    """Return a revision or a fingerprint as people read it: seven characters, without the algorithm."""
    return sha.removeprefix("sha256:")[:7]


def read_time(plan: Plan) -> str:
    """Return `2026-11-20 09:14:07Z`."""
    return plan.live.read_at.replace("T", " ")


def read_words(plan: Plan) -> str:
    """Return of when the live side is; one that stood in a file is never taken for a read of the live system."""
    return f"against a snapshot of {read_time(plan)}" if plan.live.snapshot else f"read {read_time(plan)}"


def headline(plan: Plan) -> str:
    """Return in a few words what a reviewer must know first; no untrusted text is in it."""
    weaker = sum(change.risk in WEAKER for change in plan.changes)
    unproven = all(change.risk is Risk.UNKNOWN for change in plan.changes if change.risk in WEAKER)
    if weaker:
        verb = "may weaken" if unproven else "weakens" if weaker == 1 else "weaken"
        return f"{count(weaker, 'change')} {verb} protection"
    if plan.changes:
        return f"{count(len(plan.changes), 'change')}, none weakens protection"
    return in_sync(plan)


def in_sync(plan: Plan) -> str:
    """Return `In sync`, with what stays undone."""
    left = [f"{len(plan.cannot):,} cannot"] if plan.cannot else []
    left += [f"{len(plan.held):,} held"] if plan.held else []
    return ", ".join(["In sync" if not plan.held else "Nothing to apply", *left])


def summary_line(plan: Plan) -> str:
    """Return the counts of a plan on one line, zeros left out."""
    names = ("create", "update", "enable", "disable", "delete")
    parts = [f"{plan.summary.get(name, 0):,} {name}" for name in names if plan.summary.get(name, 0)]
    parts.append(f"{plan.summary.get('in_sync', 0):,} in sync")
    for name in ("unmanaged", "cannot", "held"):
        if plan.summary.get(name, 0):
            parts.append(f"{plan.summary[name]:,} {name}")
    return ", ".join(parts)


def drift_words(change: Change) -> str:
    """Return who edited live, when, and the audit entry, or the words "author unknown" (ux.md 1.3)."""
    drift = change.drift
    if drift is None or drift.actor is None:
        words = "author unknown"
    elif drift.confidence.value == "likely":
        words = f"{drift.actor} (likely)"
    elif drift.confidence.value == "unknown":
        words = f"author unknown (perhaps {drift.actor})"
    else:
        words = drift.actor
    if drift is not None and drift.at:
        words += f", {drift.at}"
    if drift is not None and drift.audit_id:
        words += f", audit {drift.audit_id}"
    if drift is not None and drift.reason:
        words += f"; {drift.reason}"
    return words


def blocking_guards(change: Change, plan: Plan) -> tuple[str, ...]:
    """Return the guards on *change* that no override lifts."""
    lifted = {(entry.guard, entry.policy) for entry in plan.overrides}
    return tuple(name for name in change.guards if (name, change.key) not in lifted)


def blocking_plan_guards(plan: Plan) -> tuple[str, ...]:
    """Return the guards that stop the plan without standing on one of its changes."""
    on_changes = {name for change in plan.changes for name in blocking_guards(change, plan)}
    return tuple(name for name in plan.blocked if name not in on_changes)


def rule_words(rule: str) -> tuple[str, str | None]:
    """Return what the rule of a finding says, and the way out where it is a guard's. A problem's code says itself."""
    if rule in GUARDS:
        return guard_words(rule)
    return RISK_SENTENCES.get(rule.removeprefix("risk-"), rule.replace("-", " ")), None


def guard_words(name: str) -> tuple[str, str]:
    """Return what a guard says and the way out; for a name of another version, that it is not known here."""
    guard = GUARDS.get(name)
    if guard is None:
        return "this version does not know the guard", "read the notes of the version that made the plan"
    return guard.sentence, guard.way_out


def safe_target(plan: Plan) -> str:
    """Return the target's name where it keeps to the grammar of design.md 3, else a name made of its hash."""
    name = plan.target.name
    return name if _PLAIN_TARGET.fullmatch(name) else f"x{digest_of(name)[:12]}"


# ------------------------------------------------------------------------------------------------- values


def field_name(pointer: str) -> str:
    """Return a JSON pointer in dots, or as it is when dots would not be plain.

    >>> field_name("/conditions/burst/per_minute"), field_name("/conditions/a.b")
    ('conditions.burst.per_minute', '/conditions/a.b')
    """
    parts = [part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:]]
    return ".".join(parts) if parts and all(map(_PLAIN_NAME.fullmatch, parts)) else pointer


def value_text(value: Side) -> str:
    """Return a value as JSON on one line, so that `"1"` never looks like `1`; an absent one in words."""
    if value is MISSING:
        return "(absent)"
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a field's diff: `-`, `+`, `!` or `#`, and what stands behind the sign, untrusted."""

    sign: str
    text: str


def field_lines(field: FieldChange, *, fork: bool = False) -> Iterator[Line]:
    """Yield the lines of one field, old before new; of a list only what left and what came.

    With *fork*, nothing of the live system: only what git wants.
    """
    name = field_name(field.pointer)
    if fork:
        if field.desired is MISSING:
            yield Line("-", f"{name}: (value not shown to forks)")
        for pointer, leaf in leaves(field.pointer, field.desired):
            yield Line("+", _pair(field_name(pointer), leaf))
        return
    if field.pointer == "/enabled" and isinstance(field.live, bool) and isinstance(field.desired, bool):
        yield Line("!", f"{name}: {value_text(field.live)} -> {value_text(field.desired)}")
        return
    if isinstance(field.live, list) and isinstance(field.desired, list):
        yield from _list_lines(name, field.live, field.desired)
    else:
        for sign, value in (("-", field.live), ("+", field.desired)):
            for pointer, leaf in leaves(field.pointer, value):
                yield Line(sign, _pair(field_name(pointer), leaf))
    if field.witness is not None:
        yield Line("#", witness_words(field.witness))


def leaves(pointer: str, value: Side) -> Iterator[tuple[str, Side]]:
    """Yield the values inside an object with their pointers; anything else is one value, an absent one none."""
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from leaves(pointer_to(pointer, key), inner)
    elif value is not MISSING:
        yield pointer, value


def _pair(name: str, value: Side) -> str:
    return f"{name}: {value_text(value)}"


def _list_lines(name: str, old: Sequence[Json], new: Sequence[Json]) -> Iterator[Line]:
    before, after = Counter(map(canonical_json, old)), Counter(map(canonical_json, new))
    gone, come = before - after, after - before
    same = sum((before & after).values())
    if len(old) + len(new) <= 8 or not (gone or come):
        note = "" if gone or come else " (reordered)"
        yield Line("-", _pair(name, list(old)))
        yield Line("+", _pair(name, list(new)) + note)
        return
    for sign, entries, left in (("-", old, gone), ("+", new, come)):
        for entry in entries:
            if left[canonical_json(entry)] > 0:
                left[canonical_json(entry)] -= 1
                yield Line(sign, f"{name}[]: {value_text(entry)}")
    if same:
        yield Line("#", f"{name}: {same:,} entries stay")


#: How a reader is told which way a witness went.
_TURNS: Final = {
    (Stance.ALLOWED, Stance.VIOLATES): "was allowed, now violates",
    (Stance.VIOLATES, Stance.ALLOWED): "was a violation, now allowed",
    (Stance.OUTSIDE, Stance.INSIDE): "was out of scope, now in scope",
    (Stance.INSIDE, Stance.OUTSIDE): "was in scope, now out of scope",
}


def witness_words(witness: Witness) -> str:
    """Return an example of what changes: `e.g. 192.168.200.7 was allowed, now violates`; untrusted text."""
    turn = _TURNS.get((witness.was, witness.now), f"{witness.was.value} -> {witness.now.value}")
    if witness.kind is WitnessKind.COUNT and witness.value != 1:
        turn = turn.replace("was", "were").replace("violates", "violate")
    match witness.kind:
        case WitnessKind.TEXT:
            subject = value_text(witness.value)
        case WitnessKind.MINUTE:
            subject = f"{witness.local} ({witness.value})" if witness.local else str(witness.value)
        case WitnessKind.COUNT:
            when = f", the first {span_words(witness.span_ms)} before the rest," if witness.span_ms else " at once"
            subject = f"{witness.value:,} {witness.of or 'requests'}{when}"
        case WitnessKind.NUMBER:
            subject = f"{witness.value} {witness.of}" if witness.of else str(witness.value)
        case _:
            subject = str(witness.value)
    return f"e.g. {subject} {turn}"


def span_words(milliseconds: int) -> str:
    """Return a length of time as a policy would write it.

    >>> span_words(3_600_000), span_words(90_000)
    ('1h', '90s')
    """
    units = (("w", 604_800_000), ("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1))
    unit, size = next((unit, size) for unit, size in units if milliseconds % size == 0)
    return f"{milliseconds // size}{unit}"


def field_words(field: FieldChange, *, fork: bool = False) -> str:
    """Return one field on one line: `conditions.limit: 1000 -> 5000`."""
    name = field_name(field.pointer)
    if fork:
        return f"{name} -> {value_text(field.desired)}"
    if field.op is Op.ADD:
        return f"{name}: {value_text(field.desired)} (new)"
    if field.op is Op.REMOVE:
        return f"{name}: {value_text(field.live)} (removed)"
    return f"{name}: {value_text(field.live)} -> {value_text(field.desired)}"


# ----------------------------------------------------------------------------------------------- findings


@dataclass(frozen=True, slots=True)
class Finding:
    """One line for a machine that shows lines: rule, level, sentence, place. Untrusted text, not escaped yet.

    `level` is error, warning or note. `identity` is what stays equal when lines move and values change.
    """

    rule: str
    level: str
    title: str
    message: str
    path: str | None
    line: int | None
    column: int | None
    identity: tuple[str, ...]

    @property
    def fingerprint(self) -> str:
        return digest_of(*self.identity)


def digest_of(*parts: str) -> str:
    """Return the hash of several texts, each with its length before it, so that no two lists collide."""
    return sha256("".join(f"{len(part)}:{part}" for part in parts).encode("utf-8", "surrogatepass")).hexdigest()


def plan_findings(plan: Plan) -> tuple[Finding, ...]:
    """Return what stops or weakens, worst first: guards, then weaker fields, then live edits that will be undone."""
    target = plan.target.name
    found = [_plan_guard(name, target) for name in blocking_plan_guards(plan)]
    ordered = in_reading_order(plan.changes)
    for change in ordered:
        found += [_change_guard(name, change, target) for name in blocking_guards(change, plan)]
    for change in ordered:
        found += _risks(change, target)
    found += [_drift(change, target) for change in ordered if is_drift(change)]
    found += [_impact(change, plan.impact, target) for change in ordered if _blocks_anybody(change, plan.impact)]
    return _distinct(found)


def _plan_guard(name: str, target: str) -> Finding:
    sentence, way_out = guard_words(name)
    message = f"{sentence}; {way_out}"
    return Finding(name, "error", f"{target}: {name}", message, None, None, None, ("guard", target, name, EVERY))


def _change_guard(name: str, change: Change, target: str) -> Finding:
    sentence, way_out = guard_words(name)
    message = f"{change.action.value} {change.key}: {sentence}; {way_out}"
    return _finding(name, "error", message, change, target, "")


def _risks(change: Change, target: str) -> Iterator[Finding]:
    fields = weaker_fields(change)
    for field in fields:
        message = f"{change.action.value} {change.key}: {RISK_SENTENCES[field.risk.value]}: {field_words(field)}"
        yield _finding(f"risk-{field.risk.value}", "warning", message, change, target, field.pointer)
    if not fields and is_weaker(change):
        message = f"{change.action.value} {change.key}: {RISK_SENTENCES[change.risk.value]}"
        yield _finding(f"risk-{change.risk.value}", "warning", message, change, target, "")


def _drift(change: Change, target: str) -> Finding:
    message = f"{change.action.value} {change.key}: apply undoes a live edit by {drift_words(change)}"
    return _finding("drift", "note", message, change, target, "")


def _blocks_anybody(change: Change, impact: Impact | None) -> bool:
    found = None if impact is None or change.kind is Kind.SETTINGS else impact.of(change.key)
    return found is not None and bool(found.blocked or found.newly_allowed)


def _impact(change: Change, impact: Impact | None, target: str) -> Finding:
    """What it would have done to recorded events."""
    found = None if impact is None else impact.of(change.key)
    blocked, allowed = (found.blocked, found.newly_allowed) if found is not None else (0, 0)
    words = f"newly blocks {count(blocked, 'request')}, newly allows {allowed:,}, over recorded events"
    return _finding("impact", "note", f"{change.action.value} {change.key}: {words}", change, target, "")


def _finding(rule: str, level: str, message: str, change: Change, target: str, pointer: str) -> Finding:
    path, line = (change.source.path, change.source.line) if change.source else (None, None)
    title = f"{target}: {rule} {change.key}"
    identity = ("change", target, rule, change.kind.value, change.key, pointer)
    return Finding(rule, level, title, message, path, line, 1 if line else None, identity)


def problem_findings(problems: Iterable[Problem]) -> tuple[Finding, ...]:
    """Return problems of files as findings, in the order of the text."""
    found = []
    for problem in sorted(problems, key=lambda each: each.sort_key):
        message = problem.message if problem.fix is None else f"{problem.message}; fix: {problem.fix}"
        identity = ("problem", problem.code, problem.path, problem.pointer or "", problem.message)
        found.append(
            Finding(
                problem.code,
                problem.severity.value,
                problem.code,
                message,
                problem.path or None,
                problem.line,
                problem.column,
                identity,
            )
        )
    return _distinct(found)


def _distinct(found: Sequence[Finding]) -> tuple[Finding, ...]:
    """Number findings with equal identities: GitLab keeps only the first of equal fingerprints."""
    seen: Counter[tuple[str, ...]] = Counter()
    result = []
    for each in found:
        seen[each.identity] += 1
        nth = seen[each.identity]
        if nth > 1:
            parts = (each.rule, each.level, each.title, each.message, each.path, each.line, each.column)
            each = Finding(*parts, identity=(*each.identity, str(nth)))
        result.append(each)
    return tuple(result)
