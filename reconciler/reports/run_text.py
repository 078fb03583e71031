"""What an apply did, as a person reads it (ux.md 1.5): one line per change, then what is left and what to do."""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.core.model import Action, Annotation, Outcome, Plan, Status, Strength
from reconciler.core.safe import safe
from reconciler.errors import ExitCode
from reconciler.reports.layout import WIDTH, Line, Piece, columns, flush, paint, wrap
from reconciler.reports.run_json import FinishedRun, summarize
from reconciler.reports.view import count, guard_words, short

_WHOLE = 4 * 1024 * 1024
_LABEL = 9

_MARKS = {
    Action.CREATE: ("+", "green"),
    Action.UPDATE: ("~", "yellow"),
    Action.ENABLE: ("+", "green"),
    Action.DISABLE: ("!", "danger"),
    Action.DELETE: ("-", "red"),
}
_WORDS = {
    Status.ALREADY: ("=", "already", ""),
    Status.FAILED: ("x", "FAILED", "danger"),
    Status.SKIPPED: (".", "skipped", "yellow"),
    Status.UNKNOWN: ("?", "IN DOUBT", "danger"),
}
_NEXT = {
    ExitCode.DONE: "reconciler status",
    ExitCode.BLOCKED: "mend what the guard names, then: reconciler plan",
    ExitCode.STALE: "reconciler plan   (git or live moved since; review it again)",
    ExitCode.TRY_AGAIN: "try again later",
}


def render_run(run: FinishedRun, *, color: bool = False, width: int = WIDTH) -> str:
    """Return what a run did as text without a final newline.

    A change counts as done only when it was read back; how far its commit got into the audit trail stands beside it,
    in the words of the plan's strengths, and never more than was seen.
    """
    return paint(_lines(run, width), color=color)


def _lines(run: FinishedRun, width: int) -> Iterator[Line]:
    plan = run.plan
    if not run.outcomes and not plan.blocked and run.error is None:
        yield from wrap(_in_sync(plan), width, indent=2)
        return
    mode = plan.target.mode
    badge: Piece = (f" {mode} ", mode.lower()) if mode else ("no mode", "dim")
    left: list[Piece] = [("reconciler apply  at ", ""), (short(plan.git.head), "bold")]
    left.append((f"  plan {plan.fingerprint.removeprefix('sha256:')[:12]}", ""))
    yield from flush(left, [("to ", ""), (safe(plan.target.name), "bold"), ("  ", ""), badge], width)
    total = len(run.outcomes)
    for number, outcome in enumerate(run.outcomes, start=1):
        yield from _outcome(outcome, f"{number}/{total} ".rjust(2 * len(str(total)) + 2), width)
    for name in plan.blocked:
        sentence, way_out = guard_words(name)
        yield from _labelled("Blocked", f"{safe(name)}: {sentence}; {way_out}", width, "danger")
    yield from _labelled("Done", _done(run), width)
    if run.ledger is not None:
        yield from _labelled("Ledger", f"refs/reconciler/ledger/{safe(plan.target.name)} at {short(run.ledger)}", width)
    if run.error is not None:
        yield from _labelled("Error", safe(run.error, _WHOLE), width, "danger")
    text = _NEXT.get(run.exit, "reconciler plan   (shows what is left)")
    yield from flush([("Next".ljust(_LABEL), ""), (text, "")], [(f"exit {int(run.exit)}", "")], width, indent=_LABEL)


def _in_sync(plan: Plan) -> str:
    undone = [f"{len(plan.cannot):,} cannot"] if plan.cannot else []
    undone += [f"{len(plan.held):,} held"] if plan.held else []
    start = ", ".join(["In sync", *undone])
    return f"{start}: nothing was sent to {safe(plan.target.name)} at {short(plan.git.head)}."


def _labelled(label: str, text: str, width: int, style: str = "") -> list[Line]:
    return wrap(text, width, first=label.ljust(_LABEL), indent=_LABEL, style=style)


def _outcome(outcome: Outcome, place: str, width: int) -> Iterator[Line]:
    if outcome.status is Status.APPLIED:
        mark, style = _MARKS[outcome.action]
        word = f"{outcome.action.value}d"
    else:
        mark, word, style = _WORDS[outcome.status]
    left: list[Piece] = [(place, ""), (f"{mark} {word:<9} ", style), (safe(outcome.key, _WHOLE), "bold")]
    told = _told(outcome)
    used = sum(columns(text) for text, _ in left)
    if used + columns(told) + 2 <= width or not told:
        yield from flush(left, [(told, "")], width)
        return
    yield from flush(left, [], width, indent=len(place) + 2)
    yield from wrap(told, width, first=" " * (len(place) + 2), indent=len(place) + 4)


def _told(outcome: Outcome) -> str:
    if outcome.error is not None:
        return safe(outcome.error, _WHOLE)
    if outcome.status is not Status.APPLIED:
        return "somebody else did it" if outcome.status is Status.ALREADY else ""
    commit = f"git:{short(outcome.commit)}" if outcome.commit else "no commit"
    return f"{commit} {_strength(outcome.annotation)}"


def _strength(annotation: Annotation | None) -> str:
    if annotation is None:
        return "not proven"
    if annotation.strength is Strength.LEDGER_ONLY:
        return "ledger-only"
    return f"{annotation.strength.value}, {'read back' if annotation.verified else 'not read back'}"


def _done(run: FinishedRun) -> str:
    counts = summarize(run.outcomes)
    words = (
        ("applied", "done"),
        ("already", "already so"),
        ("failed", "failed"),
        ("unknown", "in doubt"),
        ("skipped", "not tried"),
    )
    parts = [f"{counts[name]:,} {word}" for name, word in words if counts[name]] or ["nothing"]
    text = f"{', '.join(parts)}; {count(counts['calls'], 'call')} sent."
    return f"{text} Nothing was rolled back." if counts["failed"] or counts["unknown"] or counts["skipped"] else text
