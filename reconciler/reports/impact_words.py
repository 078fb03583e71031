"""The preview of a plan in words: the same sentences in the terminal, the comment and the page (semantics.md F)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date, timedelta
from math import floor
from typing import Final

from reconciler.core.impact import MOST_LISTED, ChangeImpact, Day, Example, Impact
from reconciler.core.model import Plan
from reconciler.core.safe import safe
from reconciler.reports.view import count, short

_MOST_DAYS: Final = 100
#: What replay cannot know (semantics.md B.5).
OPEN_LOOP: Final = (
    "Each request is judged again as it was recorded; nobody knows whether a blocked agent would have tried again, "
    "stopped or been reinstated."
)


def title(impact: Impact) -> str:
    """Return how much was replayed: events, actors, days."""
    return f"{count(impact.events, 'event')} of {count(impact.actors, 'actor')}{_span(impact)}"


def _span(impact: Impact) -> str:
    if impact.first is None:
        return ""
    first, last = impact.first[:10], (impact.last or impact.first)[:10]
    return f", on {first} (UTC)" if first == last else f", {first} to {last} (UTC)"


def headline(impact: Impact) -> str:
    """Return what the whole plan would have done, as one sentence."""
    blocked = f"newly blocks {count(impact.newly_blocked, 'request')}"
    if impact.newly_blocked:
        blocked += f" by {count(impact.newly_blocked_actors, 'actor')}"
    parts = [blocked, f"newly allows {impact.newly_allowed:,}"]
    if impact.maybe_blocked or impact.maybe_allowed:
        parts.append(f"may block {impact.maybe_blocked:,} and may allow {impact.maybe_allowed:,} more")
    return ", ".join(parts)


def every_day(impact: Impact) -> tuple[Day, ...]:
    """Return the days from the first event to the last, also those on which nothing comes out differently.

    None where nothing does on any day; only those where something does if there are over a hundred days, or no dates.
    """
    try:
        first, last = (date.fromisoformat(str(at)[:10]) for at in (impact.first, impact.last))
    except ValueError:
        return impact.days
    several = (last - first).days + 1
    if not impact.days or not 0 < several <= _MOST_DAYS:
        return impact.days
    known = {day.date: day for day in impact.days}
    names = [(first + timedelta(days=at)).isoformat() for at in range(several)]
    return tuple(known.pop(name, Day(name, 0, 0)) for name in names) if known.keys() <= {*names} else impact.days


def notes(impact: Impact, plan: Plan, quote: Callable[[str], str] = safe) -> Iterator[str]:
    """Yield what a reader has to know about the numbers; *quote* makes what others wrote safe to show."""
    fidelity = impact.fidelity
    if fidelity is not None and fidelity.compared:
        share = percent(fidelity.agree / fidelity.compared)
        why = "; ".join(f"{number:,} {quote(reason)}" for reason, number in fidelity.reasons)
        text = f"Fidelity: replaying the current policies reproduces {share} of {fidelity.compared:,} decisions"
        yield f"{text} on record{f' ({why})' if why else ''}."
    elif fidelity is not None:
        yield "Fidelity: no decision is on record to compare with."
    if plan.target.mode != "STRICT":
        mode = quote(plan.target.mode or "not known")
        yield f"Mode: {mode}. The numbers are those of STRICT; in MONITORING nothing is blocked."
    if impact.consequential:
        several = count(impact.consequential, "request")
        yield f"{several} would be blocked only because their actor is suspended by then."
    for text in impact.warnings:
        yield f"{quote(text)}."
    if impact.changes:
        yield OPEN_LOOP


def rows(change: ChangeImpact, quote: Callable[[str], str] = safe) -> Iterator[tuple[str, str]]:
    """Yield (what, how many) of one change; counts of nothing are left out but for the first. *quote* as in `notes`."""
    if not change.in_scope:
        yield "in scope", "no event, so the preview says nothing about this policy"
    else:
        yield from _counts(change)
    for column, share in change.coverage:
        if share < 1 and change.in_scope:
            yield "recorded", f"{quote(column)} in {percent(share)} of {count(change.in_scope, 'event')} in scope"
    for key in change.not_replayed:
        yield "not replayed", f"{quote(key)}: it has no meaning for a single request"
    if change.unchecked:
        yield "not checked", f"{count(len(change.unchecked), 'rule')} that no machine can check"


def _counts(change: ChangeImpact) -> Iterator[tuple[str, str]]:
    whom = f" by {count(change.blocked_actors, 'actor')}" if change.blocked_actors else ""
    stopped = (
        ("newly blocked", change.newly_blocked),
        ("newly throttled", change.throttled),
        ("needs approval", change.needs_approval),
    )
    for label, number in stopped:
        if number or (label == "newly blocked" and not change.blocked):
            detail = f" ({change.only:,} by no other policy)" if number and change.only != number else ""
            yield label, f"{count(number, 'request')}{whom if number else ''}{detail}"
    more = (
        ("masked", change.masked, "blocked by another policy anyway"),
        ("suspended", change.consequential, "of actors that this policy suspends"),
        ("maybe blocked", change.maybe_blocked, "a column that decides was not recorded"),
        ("newly allowed", change.newly_allowed, ""),
        ("maybe allowed", change.maybe_allowed, "a column that decides was not recorded"),
        ("newly alerts", change.newly_alerting, ""),
        ("alerts no more", change.no_longer_alerting, ""),
    )
    for label, number, why in more:
        if number:
            yield label, f"{count(number, 'request')}{f': {why}' if why else ''}"


def short_words(change: ChangeImpact | None) -> str:
    """Return one clause for renderings that have a line per change; empty where nothing is known.

    >>> short_words(ChangeImpact("k", newly_blocked=42, blocked_actors=3, in_scope=50))
    'newly blocks 42 requests by 3 actors, newly allows 0'
    """
    if change is None:
        return ""
    if not change.in_scope:
        return "no recorded event is in its scope"
    whom = f" by {count(change.blocked_actors, 'actor')}" if change.blocked_actors else ""
    return f"newly blocks {count(change.blocked, 'request')}{whom}, newly allows {change.newly_allowed:,}"


def first_title(change: ChangeImpact) -> str:
    """Return the heading of the examples."""
    if change.blocked <= MOST_LISTED:
        return "What it newly blocks"
    return f"First {len(change.first)} of {change.blocked:,} that it newly blocks"


def example_cells(example: Example) -> tuple[str, str, str, str, str]:
    """Return when, who, what, on what, from where; safe to show."""
    return (
        safe(example.at),
        safe(example.actor, 80),
        safe(example.action, 80),
        safe(example.resource, 120),
        safe(example.address or "not recorded"),
    )


def render_impact(target: str, old: str, new: str, impact: Impact) -> str:
    """Return the preview of two revisions as lines for a terminal."""
    lines = [
        f"Impact on {safe(target)} from {short(old)} to {short(new)}, over {title(impact)}:",
        f"{headline(impact)}.",
    ]
    if not impact.changes:
        lines.append("No policy changes in a way that events can feel.")
    for change in impact.changes:
        lines += ["", safe(change.key, 300)]
        lines += [f"  {label:<15} {text}" for label, text in rows(change)]
        if change.first:
            lines.append(f"  {first_title(change)}:")
        lines += ["    " + "  ".join(example_cells(example)) for example in change.first]
    said = [*_about(impact), *([OPEN_LOOP] if impact.changes else [])]
    return "\n".join([*lines, *([""] if said else []), *said])


def _about(impact: Impact) -> Iterator[str]:
    for text in impact.warnings:
        yield f"warning: {safe(text, 500)}."


def percent(share: float) -> str:
    """Rounded down: what is not all is never shown as 100.

    >>> percent(0.9999), percent(0.57), percent(0)
    ('99.9 %', '57.0 %', 'none')
    """
    return f"{floor(round(1000 * share, 6)) / 10:.1f} %" if share else "none"
