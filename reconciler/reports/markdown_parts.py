"""The pieces a plan's Markdown is made of: rows, bodies, code spans, fences; all of them harmless.

Which pieces there are, and how much of them fits, is `markdown.py`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from urllib.parse import quote

from reconciler.core.guard import WEAKER
from reconciler.core.model import Action, Change, FieldChange, Kind, Origin, Plan
from reconciler.core.safe import for_markdown, for_markdown_block, safe
from reconciler.reports.view import (
    RISK_ORDER,
    blocking_guards,
    count,
    drift_words,
    field_lines,
    field_name,
    field_words,
    is_drift,
    is_weaker,
    short,
    value_text,
)

#: No single value may be longer than any comment; what is cut says how much is missing.
_LONGEST_VALUE = 20_000
_NAMES_SHOWN = 20
_ID = re.compile(r"[0-9a-f]{1,64}")


@dataclass(frozen=True, slots=True)
class Setting:
    """Where the text will stand. `fork`: its readers may not learn the live state (ux.md 3.2).

    `own_commits` are the commits of the pull request, None when nobody knows; `files` is the address that a path and a
    line can be put behind; `report` is where the whole plan can be read.
    """

    fork: bool = False
    own_commits: frozenset[str] | None = None
    files: str | None = None
    report: str | None = None


class Step(IntEnum):
    """How much is left out; each step includes the ones before it."""

    FULL = 0
    HARMLESS_WITHOUT_BODIES = 1
    HARMLESS_AS_COUNTS = 2
    LISTS_AS_COUNTS = 3
    ROWS_ONLY = 4


# --------------------------------------------------------------------------------------------------- rows


def row(change: Change, plan: Plan, setting: Setting, step: Step) -> str:
    verb = f"**{change.action.value.upper()}**" if is_weaker(change) else change.action.value.upper()
    flags = [" critical"] if change.critical else []
    flags += [" adopted"] if change.adopts else []
    guards = _guards(change, plan)
    risk = f"**{change.risk.value}**" if is_weaker(change) else change.risk.value
    drift = ", live was edited" if change.origin is not Origin.GIT and not setting.fork else ""
    name = _link(for_markdown(change.key, 300), change, setting, step)
    return f"| {verb} | {name}{','.join(flags)} | {_what(change, setting, step)} | {risk}{guards}{drift} |"


def _what(change: Change, setting: Setting, step: Step) -> str:
    """What changes, in a cell. Without bodies the cell has every field that must be shown, with both values."""
    every = _fields(change, setting)
    if change.kind is Kind.SETTINGS or step >= Step.ROWS_ONLY or len(every) == 1:
        fields = every if change.action in (Action.DELETE, Action.DISABLE) or len(every) == 1 else ()
        fields = fields or [field for field in every if field.risk in WEAKER]
        rest = len(every) - len(fields)
        cells = [code(field_words(field, fork=setting.fork)) for field in fields]
        cells += [f"{count(rest, 'other field') if cells else count(rest, 'field')}"] if rest else []
        return "<br>".join(cells) or "nothing but ownership"
    if change.action is Action.CREATE:
        return "new policy"
    if change.action is Action.DELETE:
        return "whole policy"
    risks = Counter(field.risk for field in every)
    words = [f"{risks[risk]} {risk.value}" for risk in RISK_ORDER if risks[risk]]
    return f"{count(len(every), 'field')}: {', '.join(words)}" if every else "nothing but ownership"


def _guards(change: Change, plan: Plan) -> str:
    blocking = blocking_guards(change, plan)
    return "".join(f", guard {for_markdown(name)}{'' if name in blocking else ' (lifted)'}" for name in change.guards)


def _fields(change: Change, setting: Setting) -> Sequence[FieldChange]:
    """The fields to show: for a fork those that git moved."""
    return [field for field in change.fields if not (setting.fork and field.origin is Origin.DRIFT)]


def drift_row(change: Change, plan: Plan, setting: Setting, step: Step) -> str:
    fields = [field for field in change.fields if field.origin is not Origin.GIT] or list(change.fields)
    live = "<br>".join(_side(field, "live") for field in fields) or "(nothing)"
    if change.action is Action.CREATE:
        live = "deleted live"
    desired = "<br>".join(_side(field, "desired") for field in fields) or "(nothing)"
    guards = _guards(change, plan)
    risk = f"**{change.risk.value}**" if is_weaker(change) else change.risk.value
    name = _link(for_markdown(change.key, 300), change, setting, step)
    critical = " critical" if change.critical else ""
    who = for_markdown(drift_words(change))
    return f"| {change.action.value.upper()} {name}{critical} | {who} | {live} | {desired} | {risk}{guards} |"


def _side(field: FieldChange, side: str) -> str:
    value = field.live if side == "live" else field.desired
    return code(f"{field_name(field.pointer)}: {value_text(value)}")


# ------------------------------------------------------------------------------------------------- bodies


def body(change: Change, setting: Setting, *, is_open: bool) -> str:
    bold = ("<b>", "</b>") if is_open else ("", "")
    verb = f"{bold[0]}{change.action.value.upper()} {for_markdown(change.key, 300)}{bold[1]}"
    lines = []
    for field in _fields(change, setting):
        if change.action not in (Action.CREATE, Action.DELETE, Action.DISABLE, Action.ENABLE):
            lines.append(f"@@ {field.risk.value}{'' if field.origin is Origin.GIT or setting.fork else ', drift'} @@")
        lines += [f"{line.sign} {_in_fence(line.text)}" for line in field_lines(field, fork=setting.fork)]
    parts = [f"<details{' open' if is_open else ''}><summary>{verb}: {change.risk.value}</summary>"]
    if lines:
        parts.append(for_markdown_block("\n".join(lines), "diff"))
    parts.append(_asked_by(change))
    if is_drift(change) and not setting.fork:
        parts.append(f"Live was edited outside git by {for_markdown(drift_words(change))}.")
    return "\n\n".join(parts) + "\n</details>"


def _asked_by(change: Change) -> str:
    if change.commit is None:
        return "Not committed yet."
    commit = change.commit
    return f"Commit {revision(commit.sha)} by {for_markdown(commit.author)}: {for_markdown(commit.subject)}."


# ----------------------------------------------------------------------------------------------- escaping


def code(text: str) -> str:
    """A code span of the whole text, or of its beginning with the number of characters that are missing."""
    return for_markdown(text, _LONGEST_VALUE) + _missing(text)


def _in_fence(text: str) -> str:
    r"""Text on one line of a fence; `<` as JSON may write it, so that no comment marker or tag stands there."""
    return safe(text, _LONGEST_VALUE).replace("<", "\\u003c") + _missing(text)


def _missing(text: str) -> str:
    if len(text) <= _LONGEST_VALUE // 10:  # no escape is longer than ten characters
        return ""
    cut = len(safe(text, 100 * len(text))) - _LONGEST_VALUE
    return f" ({cut:,} more characters)" if cut > 0 else ""


def revision(text: str) -> str:
    """Seven characters of a revision or fingerprint in a code span, also when a stranger wrote the plan."""
    plain = short(text)
    return f"`{plain}`" if _ID.fullmatch(plain) else for_markdown(plain)


def listed(keys: Sequence[str], most: int = _NAMES_SHOWN) -> str:
    names = ", ".join(for_markdown(key, 300) for key in keys[:most])
    return names + (f" and {len(keys) - most:,} more" if len(keys) > most else "")


def _link(shown: str, change: Change, setting: Setting, step: Step) -> str:
    if setting.files is None or change.source is None or step >= Step.LISTS_AS_COUNTS:
        return shown
    path = quote(change.source.path, safe="/", errors="replace")
    return f"[{shown}]({address(setting.files)}/{path}#L{change.source.line})"


def address(text: str | None) -> str:
    """An address of ours that can stand in parentheses."""
    return quote(text or "", safe=":/?#&=%@+,;~", errors="replace")
