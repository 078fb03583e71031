"""`status`, `drift` and `log` as text (ux.md 1.5) and as JSON (design.md 5)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from reconciler.core.model import Change, Json, LogEntry, PolicyState
from reconciler.core.planform import change_to_json
from reconciler.core.safe import safe
from reconciler.reports.layout import WIDTH, Line, Piece, columns, flush, paint, wrap
from reconciler.reports.plan_text import change_lines
from reconciler.reports.view import count, in_reading_order, short

_WHOLE: Final = 4 * 1024 * 1024

_STATES: Final[Mapping[str, tuple[str, str]]] = {
    "in_sync": ("in sync", "green"),
    "pending": ("PENDING", "yellow"),
    "drift": ("DRIFTED", "cyan"),
    "both": ("PENDING+DRIFTED", "cyan"),
    "unmanaged": ("not in git", "dim"),
    "cannot": ("CANNOT", "yellow"),
    "held": ("HELD", "yellow"),
}


# ------------------------------------------------------------------------------------------------- status


def render_status(states: Mapping[str, Sequence[PolicyState]], *, color: bool = False, width: int = WIDTH) -> str:
    """Return one line per policy under its target: key, commit, state. What does not fit goes on below, uncut."""
    lines: list[Line] = []
    for target, policies in states.items():
        if lines:
            lines.append([])
        keys = [safe(state.key, _WHOLE) for state in policies]
        room = min(max([columns(key) for key in keys] + [len("policy")]), 40)
        lines.append([("policy".ljust(room), "dim"), ("  git      ", "dim"), (safe(target), "bold")])
        for state, key in zip(policies, keys, strict=True):
            lines += _state(state, key, room, width)
        if not policies:
            lines.append([("no policies in git and none live", "")])
    return paint(lines, color=color)


def _state(state: PolicyState, key: str, room: int, width: int) -> Iterator[Line]:
    word, style = _STATES.get(state.state, (safe(state.state), ""))
    commit = short(state.commit) if state.commit else "-"
    start: list[Piece] = [(key + " " * (room - columns(key)), "bold"), (f"  {commit:<7}  ", "")]
    if columns(key) > room:
        yield from wrap(key, width, indent=2, style="bold")
        start = [(" " * room, ""), (f"  {commit:<7}  ", "")]
    indent = room + 11
    detail = f" {safe(state.detail, _WHOLE)}" if state.detail else ""
    wrapped = wrap(detail, width - indent - len(word), indent=0) if detail else [[]]
    yield [*start, (word, style), *wrapped[0]]
    for line in wrapped[1:]:
        yield [(" " * (indent + 2), ""), *line]


def status_to_json(states: Mapping[str, Sequence[PolicyState]]) -> dict[str, Json]:
    """Return `reconciler.status/1`, targets one after the other."""
    return {
        "format": "reconciler.status/1",
        "policies": [
            {"key": state.key, "state": state.state, "commit": state.commit}
            for policies in states.values()
            for state in policies
        ],
    }


# -------------------------------------------------------------------------------------------------- drift


def render_drift(changes: Mapping[str, Sequence[Change]], *, color: bool = False, width: int = WIDTH) -> str:
    """Return the live edits of each target, with who made them and what an apply would do about it."""
    lines: list[Line] = []
    for target, found in changes.items():
        if lines:
            lines.append([])
        if not found:
            lines += wrap(f"No drift: nothing we own at {safe(target)} was edited outside git.", width, indent=2)
            continue
        verb = "was" if len(found) == 1 else "were"
        lines += wrap(f"{count(len(found), 'policy')} at {safe(target)} {verb} edited outside git:", width, indent=2)
        for change in in_reading_order(found):
            lines += [[], *change_lines(change, width)]
    return paint(lines, color=color)


def drift_to_json(changes: Mapping[str, Sequence[Change]]) -> dict[str, Json]:
    """Return `reconciler.drift/1`: changes as in a plan, targets one after the other."""
    return {
        "format": "reconciler.drift/1",
        "changes": [change_to_json(change) for found in changes.values() for change in found],
    }


# ---------------------------------------------------------------------------------------------------- log


def render_log(entries: Mapping[str, Sequence[LogEntry]], *, color: bool = False, width: int = WIDTH) -> str:
    """Return the joined log, newest first per target: when, what, and the commit or `OUTSIDE GIT` with who did it.

    The second line has the ids in full, to be copied.
    """
    lines: list[Line] = []
    for target, found in entries.items():
        for entry in found:
            lines += _entry(target, entry, width)
        if not found:
            lines += wrap(f"The audit trail of {safe(target)} has no entry about a policy.", width, indent=2)
    return paint(lines, color=color)


def _entry(target: str, entry: LogEntry, width: int) -> Iterator[Line]:
    at = safe(entry.at.replace("T", " "))
    left: list[Piece] = [(f"{at} ", ""), (f"{safe(target)}  ", ""), (f"{safe(entry.action):<8} ", "")]
    left.append((safe(entry.key, _WHOLE), "bold"))
    actor = safe(entry.actor, _WHOLE) if entry.actor else "author unknown"
    if entry.outside_git or entry.commit is None:
        right: list[Piece] = [("OUTSIDE GIT", "danger")]
        details = [f"audit {safe(entry.audit_id, _WHOLE)}"] if entry.audit_id else []
        if sum(columns(text) for text, _ in left) + len("  OUTSIDE GIT ") + columns(actor) <= width:
            right.append((f" {actor}", "bold"))
        else:
            details.insert(0, f"by {actor}")
    else:
        right = [(f"git {short(entry.commit)}", "bold")]
        details = [f"commit {entry.commit}"]
        details.append(f"audit {safe(entry.audit_id, _WHOLE)}" if entry.audit_id else "no audit entry found")
        details += [entry.strength.value] if entry.strength else []
        details += [f"by {actor}"] if entry.actor else []
    yield from flush(left, right, width, indent=4)
    if details:
        yield from wrap(", ".join(details), width, first="    ", indent=4, style="dim")


def log_to_json(entries: Mapping[str, Sequence[LogEntry]]) -> dict[str, Json]:
    """Return `reconciler.log/1`, targets one after the other."""
    return {
        "format": "reconciler.log/1",
        "entries": [
            {
                "at": entry.at,
                "action": entry.action,
                "key": entry.key,
                "actor": entry.actor,
                "audit_id": entry.audit_id,
                "commit": entry.commit,
                "strength": None if entry.strength is None else entry.strength.value,
                "outside_git": entry.outside_git,
            }
            for found in entries.values()
            for entry in found
        ],
    }
