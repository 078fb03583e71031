"""A plan as a person reads it in a terminal (ux.md 1.2): complete, 80 columns, ASCII of our own.

What must never be hidden (ux.md 1.3) is nowhere cut or counted away: long text is wrapped. Only what a saved plan holds
is shown, so that `plan` and `show` say the same; `--full` alone adds fields that a saved plan does not have.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final

from reconciler.core.canonical import canonical_json
from reconciler.core.diff import pointer_to
from reconciler.core.exceptions import warnings_about
from reconciler.core.guard import EVERY, WEAKER
from reconciler.core.model import (
    MISSING,
    Action,
    Change,
    FieldChange,
    Json,
    Kind,
    NotDone,
    Op,
    Origin,
    Plan,
    Risk,
    Side,
)
from reconciler.core.safe import quoted, safe
from reconciler.reports import impact_words
from reconciler.reports.describe import describe_entries
from reconciler.reports.layout import WIDTH, Line, Piece, broken, columns, flush, paint, wrap
from reconciler.reports.view import (
    blocking_guards,
    count,
    field_name,
    guard_words,
    in_reading_order,
    is_drift,
    is_weaker,
    read_time,
    read_words,
    short,
    value_text,
    witness_words,
)

#: Where a limit on length would hide something, this is long enough for any file that can be read.
WHOLE: Final = 4 * 1024 * 1024

STYLES: Final = ("default", "quiet", "oneline", "full")

_LABEL = 9
_VERB = 11
_FIELD = 8
_DETAIL = 10

#: Providers whose switch inverts whatever it finds (systems.md).
_FLIPPING: Final = frozenset(("neosc",))

_RISK_STYLE: Final = {
    Risk.WEAKENS: "danger",
    Risk.MIXED: "yellow",
    Risk.UNKNOWN: "danger",
    Risk.TIGHTENS: "green",
    Risk.NEUTRAL: "",
}
_MARK_STYLE: Final = {"!": "danger", "-": "red", "~": "yellow", "<": "cyan", "+": "green", "x": "yellow", "=": "yellow"}


def render_plan(plan: Plan, *, color: bool = False, style: str = "default", width: int = WIDTH) -> str:
    """Return *plan* as text without a final newline; the colours say nothing that the words do not.

    *style*: `quiet` is the four last lines, `oneline` a line per policy, `full` adds the fields that stay as they are.
    """
    if style not in STYLES:
        raise ValueError(f"not a style: {style!r}")
    if not plan.changes and not plan.held and not plan.blocked:
        return paint(_in_sync(plan, width, alone=style in ("quiet", "oneline")), color=color)
    if style == "quiet":
        return paint(_tail(plan, width), color=color)
    if style == "oneline":
        return paint(_one_line_each(plan, width), color=color)
    lines: list[Line] = [*_head(plan, width), []]
    for change in in_reading_order(plan.changes):
        lines += [*_change(change, plan, width, full=style == "full"), []]
    lines += _asides(plan, width)
    return paint([*lines, *_tail(plan, width)], color=color)


# --------------------------------------------------------------------------------------------- head and tail


def _revision(plan: Plan) -> list[Piece]:
    pieces: list[Piece] = [(short(plan.git.head), "bold")]
    if plan.git.dirty:
        pieces += [(" ", ""), ("DIRTY", "danger")]
    return pieces


def _head(plan: Plan, width: int) -> Iterator[Line]:
    mode = plan.target.mode
    badge: Piece = (f" {mode} ", mode.lower()) if mode else ("no mode", "dim")
    left: list[Piece] = [("reconciler plan  at ", ""), *_revision(plan)]
    if not plan.complete:
        left += [(" ", ""), ("INCOMPLETE", "danger")]
    yield from flush(left, [("to ", ""), (safe(plan.target.name), "bold"), ("  ", ""), badge], width)
    url = safe(plan.target.url, WHOLE)
    yield from wrap(f"live: {count(plan.live.count, 'policy')}, {read_words(plan)}, {url}", width, indent=6)
    applied = f"last applied {short(plan.git.last_applied)}" if plan.git.last_applied else "nothing was applied yet"
    yield from wrap(f"git:  {applied}" + (", history is cut off here" if plan.git.shallow else ""), width, indent=6)
    if plan.git.dirty:
        text = "files differ from the commit; what is shown is the files, and apply refuses them"
        yield from wrap(text, width, first="DIRTY: ", indent=7)
    if not plan.complete:
        text = "not every policy was looked at (--only), or the list of live policies may not be whole"
        yield from wrap(text, width, first="INCOMPLETE: ", indent=12)


def _tail(plan: Plan, width: int) -> Iterator[Line]:
    """The four last lines: what, how risky, what stops it, what next."""
    yield from _labelled("Plan", _plan_words(plan), width)
    yield from _labelled("Risk", _risk_words(plan), width, "danger" if any(map(is_weaker, plan.changes)) else "")
    blocked = ", ".join(safe(name) for name in plan.blocked) or "no"
    yield from _labelled("Blocked", blocked, width, "danger" if plan.blocked else "")
    yield from _labelled("Next", _next_words(plan), width)


def _labelled(label: str, text: str, width: int, style: str = "") -> list[Line]:
    return wrap(text, width, first=label.ljust(_LABEL), indent=_LABEL, style=style)


def _plan_words(plan: Plan) -> str:
    counts: Counter[str] = Counter()
    for change in plan.changes:
        counts["revert" if _is_revert(change) else change.action.value] += 1
    parts = [f"{counts[name]:,} {name}" for name in (*(a.value for a in Action), "revert") if counts[name]]
    rest = [f"{plan.summary.get('in_sync', 0):,} same"]
    rest += [f"{plan.summary[name]:,} {name}" for name in ("unmanaged", "cannot", "held") if plan.summary.get(name, 0)]
    return "; ".join([", ".join(parts) or "no change", ", ".join(rest)])


def _risk_words(plan: Plan) -> str:
    words = {
        Risk.WEAKENS: "weaken",
        Risk.MIXED: "mixed",
        Risk.UNKNOWN: "unknown",
        Risk.TIGHTENS: "tighten",
        Risk.NEUTRAL: "neutral",
    }
    counts = Counter(change.risk for change in plan.changes)
    text = ", ".join(f"{counts[risk]:,} {word}" for risk, word in words.items() if counts[risk]) or "none"
    edits = sum(map(is_drift, plan.changes))
    return text + (f"; {count(edits, 'live edit')} will be overwritten" if edits else "")


def _next_words(plan: Plan) -> str:
    if plan.live.snapshot:
        return "nothing can be sent from a snapshot; plan against the live system to apply"
    hard = [name for name in plan.blocked if name != "incomplete-read"]
    if hard:
        return "mend what blocks or have it overridden, then: reconciler plan"
    if not plan.changes:
        return "nothing to send; see what is held"
    command = f"reconciler apply --target {safe(plan.target.name)}"
    return f"commit the files, then: {command}" if plan.git.dirty else command


# ------------------------------------------------------------------------------------------------ in sync


def _in_sync(plan: Plan, width: int, *, alone: bool) -> Iterator[Line]:
    """One line, and below it only what is worth a word; *alone*: nothing below it, counts instead of names."""
    start = f"In sync, {count_of(plan.cannot, 'cannot')}" if plan.cannot else "In sync"
    start += ", INCOMPLETE" if not plan.complete else ""
    same = count(plan.summary.get("in_sync", 0), "policy")
    verb = "matches" if plan.summary.get("in_sync", 0) == 1 else "match"
    head = short(plan.git.head) + (" DIRTY" if plan.git.dirty else "")
    words = read_words(plan) if plan.live.snapshot else f"read {read_time(plan).partition(' ')[2]}"
    text = f"{start}: {same} at {head} {verb} {safe(plan.target.name)} ({words})."
    if plan.unmanaged and alone:
        text += (
            f" {count(len(plan.unmanaged), 'live policy')} {'is' if len(plan.unmanaged) == 1 else 'are'} not in git."
        )
    yield from wrap(text, width, indent=2)
    if not alone:
        lines = _asides(plan, width)
        while lines and not lines[-1]:
            lines.pop()
        yield from lines


def count_of(entries: Sequence[NotDone], word: str) -> str:
    return f"{len(entries):,} {word}"


# ------------------------------------------------------------------------------------------------- changes


def change_lines(change: Change, width: int = WIDTH) -> list[Line]:
    """Return one change as a plan shows it, without its guards and calls: what `drift` says of it."""
    left, right = _title(change)
    whole = change.action in (Action.CREATE, Action.DELETE)
    fields = [line for field in change.fields for line in (_whole_field if whole else _field)(field, width)]
    drift = _detail(_drift_words(change), width, "cyan") if is_drift(change) else []
    return [*flush(left, right, width, indent=_VERB), *fields, *drift]


def _is_revert(change: Change) -> bool:
    return change.origin is Origin.DRIFT and change.action is Action.UPDATE


def _mark(change: Change) -> str:
    """The sign in column 1. What weakens or goes away keeps its own, whoever moved."""
    if change.action is Action.DELETE:
        return "-"
    if change.action is Action.DISABLE or (change.kind is Kind.SETTINGS and change.risk in WEAKER):
        return "!"
    if change.origin is Origin.DRIFT:
        return "<"
    return "+" if change.action in (Action.CREATE, Action.ENABLE) else "~"


def _title(change: Change) -> tuple[list[Piece], list[Piece]]:
    """Verb and key, and the risk for the right edge."""
    mark = _mark(change)
    verb = "REVERT" if _is_revert(change) else change.action.value.upper()
    left: list[Piece] = [(f"{mark} {verb:<8} ", _MARK_STYLE[mark]), (safe(change.key, WHOLE), "bold")]
    if change.kind is Kind.SETTINGS:
        left.append(("  whole target", ""))
    if change.critical:
        left += [("  ", ""), ("CRITICAL", "red")]
    right: list[Piece] = [(change.risk.value.upper(), _RISK_STYLE[change.risk])]
    if change.origin is not Origin.GIT:
        right += [("  ", ""), (change.origin.value, "cyan")]
    return left, right


def _change(change: Change, plan: Plan, width: int, *, full: bool) -> Iterator[Line]:
    left, right = _title(change)
    yield from flush(left, right, width, indent=_VERB)
    whole = change.action in (Action.CREATE, Action.DELETE)
    for field in change.fields:
        yield from (_whole_field(field, width) if whole else _field(field, width))
        if field.witness is not None:
            yield from _detail(safe(witness_words(field.witness), WHOLE), width, "dim")
    if full:
        yield from _unchanged(change, width)
    yield from _facts(change, plan, width)


def _facts(change: Change, plan: Plan, width: int) -> Iterator[Line]:
    """Who moved it, who asked, how it is sent, what guards say."""
    blocking = blocking_guards(change, plan)
    lifted = {entry.guard: entry for entry in plan.overrides if entry.policy == change.key}
    for name in change.guards:
        if name in blocking:
            yield from _detail(f"guard {safe(name)}: {guard_words(name)[0]}", width, "red")
        elif name in lifted:
            entry = lifted[name]
            yield from _detail(
                f"guard {safe(name)}: lifted until {safe(entry.until)} by {safe(entry.owner)}", width, "yellow"
            )
    for line in warnings_about(change.key, plan.warnings):
        yield from _detail(safe(line, WHOLE), width, "yellow")
    yield from _impact(change, plan, width)
    if is_drift(change):
        yield from _detail(_drift_words(change), width, "cyan")
    if change.adopts:
        what = "setting" if change.kind is Kind.SETTINGS else "policy"
        yield from _detail(f"adopts a live {what} that reconciler did not own until now", width)
    place = f"{safe(change.source.path, WHOLE)}:{change.source.line}" if change.source else ""
    if change.commit is not None:
        commit = change.commit
        text = f"from {short(commit.sha)} {safe(commit.author)} {quoted(commit.subject)}"
    else:
        text = "not committed" if change.source else "from a commit that is not known here"
    if columns(text) + columns(place) + 2 + _DETAIL <= width:
        yield from flush([(" " * _DETAIL, ""), (text, "dim")], [(place, "dim")], width)
    else:
        yield from _detail(text, width, "dim")
        if place:
            yield from _detail(f"in {place}", width, "dim")
    for call in change.calls:
        flips = call.operation == "toggle" and plan.target.provider in _FLIPPING
        yield from _detail(f"by {call.method} {safe(call.path, WHOLE)}", width, "dim")
        if flips:
            yield from _detail("flip, guarded: read before and after", width, "dim")


def _impact(change: Change, plan: Plan, width: int) -> Iterator[Line]:
    """What it would have done to recorded events."""
    found = None if plan.impact is None or change.kind is Kind.SETTINGS else plan.impact.of(change.key)
    if found is None:
        return
    for label, text in impact_words.rows(found):
        yield from _detail(f"{label:<14} {text}", width)
    if found.first:
        yield from _detail(impact_words.first_title(found) + ":", width)
    for example in found.first:
        yield from _detail("  ".join(impact_words.example_cells(example)), width, "dim")


def _detail(text: str, width: int, style: str = "") -> list[Line]:
    return wrap(text, width, first=" " * _DETAIL, indent=_DETAIL + 2, style=style)


def _drift_words(change: Change) -> str:
    drift = change.drift
    what = "deleted" if change.action is Action.CREATE else "edited"
    if drift is None or drift.actor is None:
        who = "; author unknown"
    elif drift.confidence.value == "exact":
        who = f" by {safe(drift.actor)}"
    elif drift.confidence.value == "likely":
        who = f", likely by {safe(drift.actor)}"
    else:
        who = f", perhaps by {safe(drift.actor)}; author unknown"
    at = f" at {safe(drift.at.replace('T', ' '))}" if drift is not None and drift.at else ""
    audit = f" (audit {safe(drift.audit_id)})" if drift is not None and drift.audit_id else ""
    both = "; git changed it as well" if change.origin is Origin.BOTH else ""
    why = f"; {safe(drift.reason)}" if drift is not None and drift.reason else ""
    return f"live was {what} outside git{who}{at}{audit}{both}{why}"


# --------------------------------------------------------------------------------------------------- fields


def _field(field: FieldChange, width: int) -> Iterator[Line]:
    """One field with old and new value and its risk at the right edge."""
    name = safe(field_name(field.pointer), WHOLE)
    risk: list[Piece] = [(field.risk.value, _RISK_STYLE[field.risk])]
    if field.origin is not Origin.GIT:
        risk += [(" ", ""), (field.origin.value, "cyan")]
    if isinstance(field.live, list) and isinstance(field.desired, list):
        yield from _list_field(name, field.live, field.desired, risk, width)
        return
    if field.op is Op.REPLACE:
        old, new, note = _text(field.live), _text(field.desired), _type_note(field.live, field.desired)
        mark = "!" if field.risk in WEAKER else "~"
        text = f"{name}: {old} -> {new}{note}"
        if columns(text) + _FIELD + 4 + sum(columns(piece) for piece, _ in risk) <= width:
            yield from flush([*_marked(mark), (text, "")], risk, width)
            return
        yield from flush([*_marked(mark), (f"{name}:{note}", "")], risk, width, indent=_DETAIL)
        yield from _value("was", old, width)
        yield from _value("now", new, width)
        return
    sign, value = ("+", field.desired) if field.op is Op.ADD else ("-", field.live)
    text = f"{name}: {_text(value)}"
    if columns(text) + _FIELD + 4 + sum(columns(piece) for piece, _ in risk) <= width:
        yield from flush([*_marked(sign), (text, "")], risk, width)
        return
    yield from flush([*_marked(sign), (f"{name}:", "")], risk, width, indent=_DETAIL)
    yield from _value("new" if sign == "+" else "was", _text(value), width)


def _marked(mark: str) -> list[Piece]:
    return [(" " * _FIELD, ""), (f"{mark} ", _MARK_STYLE.get(mark, ""))]


def _value(word: str, text: str, width: int) -> list[Line]:
    return wrap(text, width, first=" " * _DETAIL + f"{word}  ", indent=_DETAIL + 5)


def _text(value: Side) -> str:
    return safe(value_text(value), WHOLE)


def _type_note(old: Side, new: Side) -> str:
    """Say it when only the type tells two values apart."""
    if old is MISSING or new is MISSING or _type_name(old) == _type_name(new):
        return ""
    return f" ({_type_name(old)} -> {_type_name(new)})"


def _type_name(value: Json) -> str:
    if value is None:
        return "null"
    names = {bool: "true/false", int: "number", float: "number", str: "text", list: "list", dict: "object"}
    return names[type(value)]


def _list_field(name: str, old: list[Json], new: list[Json], risk: list[Piece], width: int) -> Iterator[Line]:
    """A list: which entries go and come, where; in another order all of it, because order is what changed."""
    before, after = Counter(map(canonical_json, old)), Counter(map(canonical_json, new))
    reordered = before == after
    note = " (reordered)" if reordered else f" {len(old):,} -> {count(len(new), 'entry')}"
    mark = "!" if Risk(risk[0][0]) in WEAKER else "~"
    yield from flush([*_marked(mark), (f"{name}:{note}", "")], risk, width, indent=_DETAIL)
    inner = () if reordered else describe_entries(old, new)
    for each in inner:
        text = f"{name}{safe(each.path, WHOLE)}: {_text(each.old)} -> {_text(each.new)}"
        yield from wrap(text, width, first=" " * (_FIELD + 2), indent=_DETAIL + 2)
    if inner:
        return
    for sign, entries, kept in (("-", old, Counter(after)), ("+", new, Counter(before))):
        for number, entry in enumerate(entries):
            form = canonical_json(entry)
            if not reordered and kept[form] > 0:
                kept[form] -= 1
                continue
            first = [(" " * _FIELD, ""), (f"{sign} ", _MARK_STYLE[sign])]
            text = f"{name}[{number}]: {_text(entry)}"
            wrapped = wrap(text, width - _FIELD - 2, indent=2)
            for line_number, line in enumerate(wrapped):
                yield [*(first if line_number == 0 else [(" " * (_FIELD + 2), "")]), *line]


def _whole_field(field: FieldChange, width: int) -> Iterator[Line]:
    """A field of a policy that comes or goes, leaf by leaf; the whole body is shown."""
    sign, value = ("+", field.desired) if field.op is Op.ADD else ("-", field.live)
    for pointer, leaf in _leaves(field.pointer, value):
        text = f"{safe(field_name(pointer), WHOLE)}: {_text(leaf)}"
        for number, line in enumerate(wrap(text, width - _FIELD - 2, indent=2)):
            yield [*(_marked(sign) if number == 0 else [(" " * (_FIELD + 2), "")]), *line]


def _leaves(pointer: str, value: Side) -> Iterator[tuple[str, Side]]:
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _leaves(pointer_to(pointer, key), inner)
    else:
        yield pointer, value


def _unchanged(change: Change, width: int) -> Iterator[Line]:
    """The fields of a policy that stay as they are; a saved plan does not have them."""
    if change.action in (Action.CREATE, Action.DELETE):
        return
    if change.live is None or change.desired is None:
        yield from _detail("= fields that stay are not in a saved plan", width, "dim")
        return
    touched = [field.pointer for field in change.fields]
    for key, value in change.live.body.items():
        for pointer, leaf in _leaves(pointer_to("", key), value):
            if not any(pointer == each or pointer.startswith(each + "/") for each in touched):
                text = f"{safe(field_name(pointer), WHOLE)}: {_text(leaf)}"
                yield from wrap(text, width, first=" " * _FIELD + "= ", indent=_DETAIL + 2, style="dim")


# --------------------------------------------------------------------------------------------------- asides


def _asides(plan: Plan, width: int) -> list[Line]:
    """What is not done, what is not ours, what lifted a guard, what to hear besides: each group with a blank line."""
    groups: list[list[Line]] = [
        [line for entry in plan.held for line in _not_done("=", "HELD", entry, width)],
        [line for entry in plan.cannot for line in _not_done("x", "CANNOT", entry, width)],
    ]
    if plan.unmanaged:
        names = ", ".join(safe(name, WHOLE) for name in plan.unmanaged)
        text = f"Not in git: {count(len(plan.unmanaged), 'live policy')}, never touched, not by prune either: {names}"
        groups.append(wrap(text, width, indent=2))
    lifting = []
    for entry in plan.overrides:
        where = "the plan" if entry.policy == EVERY else safe(entry.policy, WHOLE)
        text = f"lifts {safe(entry.guard)} for {where} until {safe(entry.until)}, {safe(entry.owner)}: "
        lifting += _labelled("Override", text + safe(entry.reason, WHOLE), width)
    groups.append(lifting)
    if plan.impact is not None:
        title = f"{impact_words.title(plan.impact)}: {impact_words.headline(plan.impact)}."
        lines = _labelled("Impact", title, width)
        for text in impact_words.notes(plan.impact, plan):
            lines += wrap(text, width, first=" " * _LABEL, indent=_LABEL + 2)
        groups.append(lines)
    groups.append([line for text in plan.warnings for line in _labelled("Warning", safe(text, WHOLE), width, "yellow")])
    groups.append([line for name in plan.blocked for line in _guard(name, plan, width)])
    if plan.changes:
        calls = sum(len(change.calls) for change in plan.changes)
        order = ", ".join(dict.fromkeys(change.action.value for change in plan.changes))
        text = (
            f"{count(calls, 'call')} in this order: {order}. Not all or nothing: when one fails, what was done stays."
        )
        groups.append(_labelled("Order", text, width))
    return [line for group in groups if group for line in [*group, []]]


def _not_done(mark: str, verb: str, entry: NotDone, width: int) -> Iterator[Line]:
    left: list[Piece] = [(f"{mark} {verb:<8} ", _MARK_STYLE[mark]), (safe(entry.key, WHOLE), "bold")]
    yield from flush(left, [(entry.action.value, "")], width, indent=_VERB)
    yield from _detail(safe(entry.reason, WHOLE), width)


def _guard(name: str, plan: Plan, width: int) -> list[Line]:
    sentence, way_out = guard_words(name)
    keys = [safe(change.key, WHOLE) for change in plan.changes if name in blocking_guards(change, plan)]
    about = f" ({', '.join(keys)})" if keys else ""
    lines = _labelled("Guard", f"{safe(name)}: {sentence}{about}", width, "red")
    return [*lines, *wrap(f"way out: {way_out}", width, first=" " * _LABEL, indent=_LABEL + 2)]


# -------------------------------------------------------------------------------------------------- oneline


def _one_line_each(plan: Plan, width: int) -> Iterator[Line]:
    for change in in_reading_order(plan.changes):
        left, right = _title(change)
        yield from flush(left, right, width, indent=_VERB)
    for mark, verb, entries in (("=", "HELD", plan.held), ("x", "CANNOT", plan.cannot)):
        for entry in entries:
            left = [(f"{mark} {verb:<8} ", _MARK_STYLE[mark]), (safe(entry.key, WHOLE), "bold")]
            yield from flush(left, [(entry.action.value, "")], width, indent=_VERB)
    for name in plan.unmanaged:
        yield from broken([("? NOT GIT  ", ""), (safe(name, WHOLE), "bold")], width, _VERB)
    if plan.blocked:
        yield from _labelled("Blocked", ", ".join(safe(name) for name in plan.blocked), width, "danger")
