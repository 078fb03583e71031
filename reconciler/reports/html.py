"""A plan as one HTML file: light and dark, no script, nothing loaded from anywhere.

Untrusted text is made safe here and escaped by the template; the page's own policy allows its one style and nothing
else, so that even a slip could not run.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from functools import lru_cache
from hashlib import sha256
from importlib import resources
from typing import TYPE_CHECKING

from reconciler.core.model import MISSING, Change, FieldChange, Origin, Plan, Risk, Side
from reconciler.core.safe import safe
from reconciler.reports import impact_words
from reconciler.reports.view import (
    blocking_guards,
    count,
    drift_words,
    field_name,
    guard_words,
    headline,
    in_reading_order,
    is_drift,
    is_weaker,
    read_time,
    read_words,
    safe_target,
    short,
    summary_line,
    value_text,
    witness_words,
)

if TYPE_CHECKING:
    from jinja2 import Template

#: A page has room: only what no person would read is cut, and then it says by how much.
_LONGEST_VALUE = 100_000
_TONES = {
    Risk.WEAKENS: "bad",
    Risk.MIXED: "doubt",
    Risk.UNKNOWN: "doubt",
    Risk.TIGHTENS: "good",
    Risk.NEUTRAL: "plain",
}


def render_html(plan: Plan) -> str:
    """Return the whole plan as a page that stands alone; nothing is left out of it."""
    style = _read("plan.css")
    return _template().render(
        style=style,
        style_hash=base64.b64encode(sha256(style.encode()).digest()).decode(),
        target={
            "name": safe_target(plan),
            "url": safe(plan.target.url, 2000),
            "provider": safe(plan.target.provider),
            "mode": safe(plan.target.mode or "not known"),
        },
        headline=headline(plan),
        head=safe(plan.git.head),
        dirty=plan.git.dirty,
        shallow=plan.git.shallow,
        complete=plan.complete,
        read_at=safe(read_words(plan) if plan.live.snapshot else read_time(plan)),
        live_count=count(plan.live.count, "live policy"),
        fingerprint=safe(plan.fingerprint),
        summary=summary_line(plan),
        blocked=[_guard(name, blocks=True) for name in plan.blocked],
        blocked_count=count(len(plan.blocked), "guard"),
        overrides=[
            {
                "guard": safe(entry.guard),
                "policy": safe(entry.policy, 300),
                "until": safe(entry.until),
                "owner": safe(entry.owner),
                "reason": safe(entry.reason, 2000),
            }
            for entry in plan.overrides
        ],
        groups=_groups(plan),
        undone=[
            (
                f"{title} ({len(entries):,})",
                [
                    {"action": entry.action.value, "key": safe(entry.key, 300), "reason": safe(entry.reason, 2000)}
                    for entry in entries
                ],
            )
            for title, entries in (("Held back", plan.held), ("The target has no call for this", plan.cannot))
            if entries
        ],
        unmanaged=[safe(key, 300) for key in plan.unmanaged],
        impact=_impact(plan),
        warnings=[safe(text, 2000) for text in plan.warnings],
        calls=[safe(f"{call.method} {call.path}", 2000) for change in plan.changes for call in change.calls],
        tool=safe(plan.tool),
    )


def _groups(plan: Plan) -> Sequence[tuple[str, Sequence[Mapping[str, object]]]]:
    """The changes in the order of reading, under three headings; empty ones are left out."""
    ordered = in_reading_order(plan.changes)
    weaker = [change for change in ordered if is_weaker(change)]
    drift = [change for change in ordered if not is_weaker(change) and change.origin is Origin.DRIFT]
    rest = [change for change in ordered if not is_weaker(change) and change.origin is not Origin.DRIFT]
    titled = (
        ("What weakens, disables, deletes, or may", weaker),
        ("Edits made outside git that apply undoes", drift),
        ("Everything else", rest),
    )
    return [(f"{title} ({len(some):,})", [_card(each, plan) for each in some]) for title, some in titled if some]


def _impact(plan: Plan) -> Mapping[str, object] | None:
    """What the plan would have done to recorded events, with a bar per day and the table under it."""
    impact = plan.impact
    if impact is None:
        return None
    days = impact_words.every_day(impact)
    most = max((max(day.newly_blocked, day.newly_allowed) for day in days), default=0)
    return {
        "title": impact_words.title(impact),
        "headline": impact_words.headline(impact),
        "notes": list(impact_words.notes(impact, plan)),
        "days": [
            {
                "date": safe(day.date),
                "blocked": f"{day.newly_blocked:,}",
                "allowed": f"{day.newly_allowed:,}",
                "x": 28 * at,
                "blocked_height": _height(day.newly_blocked, most),
                "allowed_height": _height(day.newly_allowed, most),
            }
            for at, day in enumerate(days)
        ],
        "width": max(28 * len(days), 28),
        "changes": [
            {
                "key": safe(change.key, 300),
                "rows": list(impact_words.rows(change)),
                "actors": [(safe(actor, 80), f"{requests:,}") for actor, requests in change.actors],
                "first_title": impact_words.first_title(change),
                "first": [impact_words.example_cells(example) for example in change.first],
            }
            for change in impact.changes
        ],
    }


def _height(number: int, most: int) -> int:
    """The height of a bar in a chart of 80; what is there at all can be seen."""
    return max(2, round(80 * number / most)) if number else 0


def _card(change: Change, plan: Plan) -> Mapping[str, object]:
    blocking = blocking_guards(change, plan)
    source, commit = change.source, change.commit
    asked = "Not committed yet."
    if commit is not None:
        asked = f"Commit {short(safe(commit.sha))} by {safe(commit.author)}: {safe(commit.subject)}"
    return {
        "verb": change.action.value.upper(),
        "key": safe(change.key, 300),
        "critical": change.critical,
        "adopts": change.adopts,
        "risk": change.risk.value,
        "origin": change.origin.value,
        "tone": "edit" if is_drift(change) and not is_weaker(change) else _TONES[change.risk],
        "source": None if source is None else f"{safe(source.path, 1000)}:{source.line}",
        "asked": asked,
        "drift": safe(drift_words(change), 500) if is_drift(change) else None,
        "guards": [_guard(name, blocks=name in blocking) for name in change.guards],
        "fields": [_field(field) for field in change.fields],
    }


def _guard(name: str, *, blocks: bool) -> Mapping[str, object]:
    sentence, way_out = guard_words(name)
    return {"name": safe(name), "sentence": sentence, "way_out": way_out, "blocks": blocks}


def _field(field: FieldChange) -> Mapping[str, object]:
    return {
        "name": safe(field_name(field.pointer), 1000),
        "live": _value(field.live),
        "desired": _value(field.desired),
        "risk": field.risk.value,
        "tone": _TONES[field.risk],
        "origin": field.origin.value,
        "witness": None if field.witness is None else safe(witness_words(field.witness), 1000),
    }


def _value(value: Side) -> str | None:
    if value is MISSING:
        return None
    text = value_text(value)
    cut = len(text) - _LONGEST_VALUE
    return safe(text[:_LONGEST_VALUE], 10 * _LONGEST_VALUE) + (f" ({cut:,} more characters)" if cut > 0 else "")


@lru_cache(maxsize=1)
def _template() -> Template:
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined, keep_trailing_newline=True)
    return environment.from_string(_read("plan.html.j2"))


def _read(name: str) -> str:
    return (resources.files("reconciler.reports") / "templates" / name).read_text(encoding="utf-8")
