"""The one issue that says what was edited outside git: its text, and what becomes of the one that is there (ux.md 3.2).

Pure: issues in, decisions out. `forges/issues.py` lists and writes them. The text changes once a day although nothing
else does, so that an issue nobody looks after any more can be told from a quiet one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final, Generic, Protocol, TypeVar

from reconciler.core.model import Change, Plan
from reconciler.core.safe import for_markdown
from reconciler.reports.markdown_parts import Setting, Step, address, drift_row, revision
from reconciler.reports.view import count, in_reading_order, safe_target

BUDGET: Final = 60_000
_HEAD: Final = "| Policy | Who, when | Live value | Git value | Protection |\n|---|---|---|---|---|"
_RUN = re.compile(r" \[The last run\]\([^()\s]*\)\.")


@dataclass(frozen=True, slots=True)
class Text:
    """What an issue says."""

    title: str
    body: str


class Act(StrEnum):
    """What is done about the issue."""

    NOTHING = "nothing"
    OPEN = "open"
    EDIT = "edit"
    CLOSE = "close"


class OpenIssue(Protocol):
    """What must be known of an issue that is there."""

    @property
    def title(self) -> str: ...

    @property
    def body(self) -> str: ...

    @property
    def mine(self) -> bool: ...


Found = TypeVar("Found", bound=OpenIssue)


@dataclass(frozen=True, slots=True)
class Decision(Generic[Found]):
    """`issue` is the one to edit; `closes` are to be closed: all when clean, else those a later one took over."""

    act: Act
    issue: Found | None = None
    closes: tuple[Found, ...] = ()


def marker(targets: Iterable[str]) -> str:
    """Return the first line of the issue; there is one issue for each set of targets."""
    return f"<!-- reconciler:drift targets={','.join(sorted(targets))} -->"


def make_issue(
    drifted: Sequence[tuple[Plan, Sequence[Change]]],
    *,
    targets: Sequence[str],
    unread: Sequence[str],
    now: datetime,
    report: str | None,
) -> Text:
    """Return the issue: a row for each edit, what weakens first, in at most 60,000 bytes.

    *targets* are all that were asked about, *unread* those of them that could not be read, *report* the run's address.
    """
    edits = sum(len(changes) for _, changes in drifted)
    on = [safe_target(plan) for plan, changes in drifted if changes]
    where = ", ".join(on) if len(on) <= 3 else count(len(on), "target")
    title = f"Drift: {count(edits, 'live edit')} outside git on {where}"
    day = now.astimezone(UTC).strftime("%Y-%m-%d")
    run = f" [The last run]({address(report)})." if report else ""
    head = [marker(targets)]
    head += [f"Not read this time: {', '.join(for_markdown(name) for name in unread)}."] if unread else []
    foot = (
        "To restore what git says: `reconciler apply`. To keep a live value: `reconciler import --only KEY`, then "
        "commit.\n\n"
        f"<sub>Last looked on {day} (UTC). This issue is closed once live and git agree.{run}</sub>\n"
    )
    room = BUDGET - len("\n\n".join([*head, foot]).encode())
    return Text(title, "\n\n".join([*head, *_tables(drifted, room), foot]))


def _tables(drifted: Sequence[tuple[Plan, Sequence[Change]]], room: int) -> Iterable[str]:
    """A table for each target; rows that do not fit any more are counted, never dropped without a word."""
    blocks, left_out = [], 0
    for plan, changes in drifted:
        if not changes:
            continue
        head = f"**{count(len(changes), 'edit')}** on `{safe_target(plan)}`, compared with {revision(plan.git.head)}:"
        rows = [_HEAD]
        room -= len(f"{head}\n\n{_HEAD}\n\n".encode()) + 100  # the line that counts what is left out
        for change in in_reading_order(changes):
            row = drift_row(change, plan, Setting(), Step.FULL)
            size = len(row.encode()) + 1
            if size > room:
                left_out += 1
                continue
            room -= size
            rows.append(row)
        blocks.append(f"{head}\n\n" + "\n".join(rows))
    if left_out:
        blocks.append(f"**{count(left_out, 'more edit')} did not fit here**: `reconciler drift` shows all.")
    return blocks


def decide(issues: Iterable[Found], text: Text | None, *, sure: bool) -> Decision[Found]:
    """Return what to do, given the open issues with our marker *newest first*; *text* is None without drift.

    Ours are those our account opened. Nothing is closed unless *sure*: every target was read.
    """
    ours = [each for each in issues if each.mine]
    if text is None:
        return Decision(Act.CLOSE, closes=tuple(ours)) if ours and sure else Decision(Act.NOTHING)
    if not ours:
        return Decision(Act.OPEN)
    newest, older = ours[0], tuple(ours[1:])
    same = newest.title == text.title and _plain(newest.body) == _plain(text.body)
    return Decision(Act.NOTHING if same else Act.EDIT, newest, older)


def _plain(body: str) -> str:
    """The text without what is another in every run: line ends and the address of the run."""
    return _RUN.sub("", body.replace("\r\n", "\n")).strip()
