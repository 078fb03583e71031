"""A plan as GitHub and GitLab Markdown: short enough for a comment, and never short of what weakens (ux.md 1.3, 2).

Values stand in fences and code spans only. What does not fit is left out in steps, the harmless first; the rows of
what weakens, deletes, disables or overwrites a live edit are whole in every step, or the first line says they are not.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from reconciler.core.impact import ChangeImpact
from reconciler.core.model import Action, Change, NotDone, Origin, Override, Plan
from reconciler.core.safe import for_markdown
from reconciler.reports import impact_words
from reconciler.reports.markdown_parts import Setting, Step, address, body, code, drift_row, listed, revision, row
from reconciler.reports.view import (
    RISK_ORDER,
    blocking_guards,
    count,
    guard_words,
    headline,
    in_reading_order,
    in_sync,
    is_drift,
    must_show,
    read_words,
    safe_target,
    summary_line,
)

#: Bytes of UTF-8. GitHub refuses a comment over 65,536 characters; a job summary over 1 MiB is thrown away whole.
COMMENT_BUDGET: Final = 60_000
SUMMARY_BUDGET: Final = 900_000

_NAMES_SHOWN = 20


_ANYBODY = Setting()


@dataclass(frozen=True, slots=True)
class Fitted:
    """A text within its budget, and whether every row that must be shown is in it."""

    text: str
    complete: bool


def render_markdown(plan: Plan, *, setting: Setting = _ANYBODY, budget: int = COMMENT_BUDGET) -> str:
    """Return the plan as Markdown of at most *budget* bytes (see `fit_markdown`)."""
    return fit_markdown(plan, setting=setting, budget=budget).text


def fit_markdown(plan: Plan, *, setting: Setting = _ANYBODY, budget: int = COMMENT_BUDGET) -> Fitted:
    """Return the fullest text of at most *budget* bytes of UTF-8.

    When even the rows that must be shown do not fit, the first line says so and how many are missing.
    """
    if not _has_content(plan):
        return Fitted(_one_line(plan, setting), complete=True)
    for step in Step:
        text = _render(plan, setting, step)
        if _size(text) <= budget:
            return Fitted(text, complete=True)
    return Fitted(_overflowing(plan, setting, budget), complete=False)


def _has_content(plan: Plan) -> bool:
    return bool(plan.changes or plan.blocked or plan.held or plan.cannot or not plan.complete)


def _size(text: str) -> int:
    return len(text.encode("utf-8"))


def _one_line(plan: Plan, setting: Setting) -> str:
    """The line of a clean plan. Short, and still with everything undone and every warning by number."""
    counted = "" if setting.fork else f", {count(plan.live.count, 'live policy')} {read_words(plan)}"
    if setting.fork and plan.live.snapshot:
        counted = f", {read_words(plan)}"
    notes = []
    if plan.unmanaged and not setting.fork:
        verb = "is" if len(plan.unmanaged) == 1 else "are"
        notes.append(f"{count(len(plan.unmanaged), 'live policy')} {verb} not in git (left alone).")
    if plan.warnings:
        notes.append(f"{count(len(plan.warnings), 'warning')}: see the job's log.")
    if plan.git.dirty:
        notes.append("The files differ from the commit.")
    line = f"**{in_sync(plan)}**: `{safe_target(plan)}` at {revision(plan.git.head)}{counted}."
    return " ".join([line, *notes]) + "\n"


# -------------------------------------------------------------------------------------------------- parts


def _render(plan: Plan, setting: Setting, step: Step) -> str:
    ordered = in_reading_order(plan.changes)
    own = [change for change in ordered if _is_own(change, setting)]
    older = [change for change in ordered if not _is_own(change, setting) and change.origin is not Origin.DRIFT]
    drifted = [change for change in ordered if is_drift(change)]
    blocks = [_title(plan), *_banners(plan, setting)]
    blocks += _table(own, plan, setting, step)
    blocks.append(_where(plan, setting))
    blocks += _bodies(own, setting, step)
    blocks += _impact(plan, setting, step)
    blocks += _others(older, drifted, plan, setting, step)
    blocks += _left_undone(plan, setting, step)
    blocks += _checked(plan, setting, step)
    blocks.append(_footer(plan, setting))
    return "\n\n".join(blocks) + "\n"


def _title(plan: Plan) -> str:
    return f"### Policy plan for `{safe_target(plan)}`: {headline(plan)}"


def _banners(plan: Plan, setting: Setting) -> Iterator[str]:
    if plan.blocked:
        lines = [f"> **Blocked by {count(len(plan.blocked), 'guard')}.** `apply` stops until each is settled:", ">"]
        shown = [change for change in plan.changes if not (setting.fork and change.origin is Origin.DRIFT)]
        for name in plan.blocked:
            sentence, way_out = guard_words(name)
            keys = [change.key for change in shown if name in blocking_guards(change, plan)]
            on = f" on {listed(keys)}" if keys else ""
            lines.append(f"> - {for_markdown(name)}{on}: {sentence}. Way out: {way_out}.")
        yield "> [!CAUTION]\n" + "\n".join(lines)
    doubts = []
    if plan.live.snapshot:
        doubts.append(f"**SNAPSHOT**: planned {read_words(plan)}. Live may have moved since; this plan is not applied.")
    if not plan.complete:
        doubts.append("**INCOMPLETE**: not everything was looked at; creates and deletes wait.")
    if plan.git.dirty:
        doubts.append("**DIRTY**: the files differ from the commit; this plan cannot be applied as it stands.")
    if plan.git.shallow:
        doubts.append("The clone is shallow, so a commit named here may not be the one that asked (`fetch-depth: 0`).")
    if doubts:
        yield "> [!WARNING]\n" + "\n>\n".join(f"> {doubt}" for doubt in doubts)
    if plan.overrides:
        yield "**Overrides in use:**\n\n" + "\n".join(map(_override, plan.overrides))


def _override(entry: Override) -> str:
    """Guard, policy, until when, who and why (ux.md 1.3)."""
    until, owner, reason = (for_markdown(text) for text in (entry.until, entry.owner, entry.reason))
    return f"- {for_markdown(entry.guard)} for {for_markdown(entry.policy)} until {until}, by {owner}: {reason}"


def _where(plan: Plan, setting: Setting) -> str:
    """Target, address, mode: the frame of everything else (ux.md 1.3)."""
    if setting.fork:
        return "Live values, the live mode and edits outside git are not shown to forks."
    mode = {
        "STRICT": "is in **STRICT** mode: blocking policies really block",
        "MONITORING": "is in **MONITORING** mode: policies report and do not block",
    }.get(plan.target.mode or "", "has no mode that was read")
    return f"`{safe_target(plan)}` ({for_markdown(plan.target.url)}) {mode}. Plan: {summary_line(plan)}."


def _table(changes: Sequence[Change], plan: Plan, setting: Setting, step: Step) -> Iterator[str]:
    shown = [change for change in changes if must_show(change) or step < Step.HARMLESS_AS_COUNTS]
    if shown:
        rows = [row(change, plan, setting, step) for change in shown]
        yield "\n".join(["| Change | Policy | What changes | Protection |", "|---|---|---|---|", *rows])
    if len(shown) < len(changes):
        yield _counts(change for change in changes if not must_show(change))


def _counts(changes: Iterable[Change]) -> str:
    """The harmless changes by type; their rows did not fit."""
    by_type = Counter((change.action, change.risk) for change in changes)
    ordered = sorted(by_type, key=lambda pair: (list(Action).index(pair[0]), RISK_ORDER.index(pair[1])))
    parts = [f"{by_type[pair]:,} {pair[0].value} ({pair[1].value})" for pair in ordered]
    return f"And {', '.join(parts)}: left out here for length, none of them weakens."


def _bodies(changes: Iterable[Change], setting: Setting, step: Step) -> Iterator[str]:
    for change in changes:
        risky = must_show(change)
        if step >= Step.ROWS_ONLY or (not risky and step >= Step.HARMLESS_WITHOUT_BODIES):
            continue
        yield body(change, setting, is_open=risky)


# --------------------------------------------------------------------------------- not from this pull request


def _is_own(change: Change, setting: Setting) -> bool:
    """Whether the pull request asked for the change; when nobody knows its commits, git's changes count as its own."""
    if change.origin is Origin.DRIFT:
        return False
    return setting.own_commits is None or change.commit is None or change.commit.sha in setting.own_commits


def _others(
    older: Sequence[Change], drifted: Sequence[Change], plan: Plan, setting: Setting, step: Step
) -> Iterator[str]:
    if not older and not drifted:
        return
    yield "#### Not from this pull request"
    if older:
        yield f"{count(len(older), 'change')} of earlier commits still pending:"
        yield from _table(older, plan, setting, step)
        yield from _bodies(older, setting, step)
    if not drifted:
        return
    if setting.fork:
        yield f"{count(len(drifted), 'drift item')} not shown to forks."
        return
    yield f"The next apply would also undo **{count(len(drifted), 'edit')} made outside git**:"
    yield _drift_table(drifted, plan, setting, step)
    yield "To keep a live value instead: `reconciler import --only KEY`, then commit."


def _drift_table(changes: Sequence[Change], plan: Plan, setting: Setting, step: Step) -> str:
    head = "| Policy | Who, when | Live value, will be lost | Git value, restored | Protection |"
    rows = [drift_row(change, plan, setting, step) for change in changes]
    return "\n".join([head, "|---|---|---|---|---|", *rows])


# ---------------------------------------------------------------------------------- what was not done, checked


def _left_undone(plan: Plan, setting: Setting, step: Step) -> Iterator[str]:
    for title, entries in (("Held back", plan.held), ("x CANNOT: the target's API has no such call", plan.cannot)):
        if entries:
            yield f"**{title}** ({len(entries):,}):\n\n" + "\n".join(_entries(entries, setting, step))


def _entries(entries: Sequence[NotDone], setting: Setting, step: Step) -> Iterator[str]:
    most = len(entries) if step < Step.LISTS_AS_COUNTS else _NAMES_SHOWN
    for entry in entries[:most]:
        reason = f": {for_markdown(entry.reason)}" if not setting.fork else ""
        yield f"- {entry.action.value} {for_markdown(entry.key, 300)}{reason}"
    if len(entries) > most:
        yield f"- and {len(entries) - most:,} more in the full report"


def _impact(plan: Plan, setting: Setting, step: Step) -> Iterator[str]:
    """What the plan would have done to recorded events; readers of a fork's pull request are told nothing of them."""
    impact = plan.impact
    if impact is None or setting.fork:
        return
    table = ["| Policy | Newly blocked | Newly allowed | Maybe blocked | Masked |", "|---|---|---|---|---|"]
    most = len(impact.changes) if step < Step.LISTS_AS_COUNTS else _NAMES_SHOWN
    for change in impact.changes[:most]:
        counts = (change.blocked, change.newly_allowed, change.maybe_blocked, change.masked)
        table.append(f"| {for_markdown(change.key, 300)} | {' | '.join(f'{number:,}' for number in counts)} |")
    if len(impact.changes) > most:
        table.append(f"| and {len(impact.changes) - most:,} more | | | | |")
    lines = [f"**Impact** over {impact_words.title(impact)}: {impact_words.headline(impact)}."]
    if impact.changes:
        lines.append("\n".join(table))
    said = list(impact_words.notes(impact, plan, for_markdown))
    facts = [
        f"{for_markdown(change.key, 300)}: {label} {text}"
        for change in impact.changes[:most]
        for label, text in impact_words.rows(change, for_markdown)
    ]
    items = "\n".join(f"- {line}" for line in [*said, *facts])
    if step < Step.ROWS_ONLY:
        lines += [_first_blocked(change) for change in impact.changes if change.first]
        lines.append(
            f"<details><summary>What was replayed, and what cannot be known</summary>\n\n{items}\n\n</details>"
        )
    yield "\n\n".join(lines)


def _first_blocked(change: ChangeImpact) -> str:
    rows = ["| When | Who | What | On | From |", "|---|---|---|---|---|"]
    for example in change.first:
        rows.append(f"| {' | '.join(for_markdown(cell, 120) for cell in impact_words.example_cells(example))} |")
    heading = f"{impact_words.first_title(change)}: {for_markdown(change.key, 300)}"
    body = "\n".join(rows)
    return f"<details><summary>{heading}</summary>\n\n{body}\n\n</details>"


def _checked(plan: Plan, setting: Setting, step: Step) -> Iterator[str]:
    lines: list[str] = []
    many = step >= Step.LISTS_AS_COUNTS
    if not setting.fork:
        state = "all pages" if plan.complete else "**not all**"
        lines.append(f"{count(plan.live.count, 'live policy')} read, {state}.")
    calls = [call for change in plan.changes for call in change.calls]
    if calls:
        order = ", ".join(dict.fromkeys(call.operation or call.method for call in calls)) if not setting.fork else ""
        order = f", in this order: {for_markdown(order)}" if order else ""
        lines.append(f"{count(len(calls), 'API call')}, not atomic{order}.")
        lines.append("After a failure apply stops, rolls nothing back and says what is left.")
    if plan.unmanaged and not setting.fork:
        names = listed(plan.unmanaged, len(plan.unmanaged) if not many else _NAMES_SHOWN)
        lines.append(f"{count(len(plan.unmanaged), 'live policy')} not in git, left alone: {names}.")
    if plan.warnings:
        if setting.fork:
            lines.append(f"{count(len(plan.warnings), 'warning')} not shown to forks.")
        else:
            most = len(plan.warnings) if not many else _NAMES_SHOWN
            lines += [f"Warning: {code(text)}" for text in plan.warnings[:most]]
            if most < len(plan.warnings):
                lines.append(f"{len(plan.warnings) - most:,} more warnings in the full report.")
    if lines:
        items = "\n".join(f"- {line}" for line in lines)
        yield f"<details><summary>What was checked, and what was not</summary>\n\n{items}\n\n</details>"


def _footer(plan: Plan, setting: Setting) -> str:
    when = "" if setting.fork else f", live {read_words(plan)}"
    report = f" [Full report]({address(setting.report)})." if setting.report else ""
    plain = f"Plan {revision(plan.fingerprint)} for {revision(plan.git.head)}{when}."
    tool = for_markdown(plan.tool, 40)
    return f"<sub>{plain} Apply refuses it once git or live changes.{report} reconciler {tool}</sub>"


# ----------------------------------------------------------------------------------------------- overflow


def _overflowing(plan: Plan, setting: Setting, budget: int) -> str:
    """As many whole rows as fit, worst first, under a first line that says how many are missing."""
    shown = [change for change in in_reading_order(plan.changes) if must_show(change)]
    if setting.fork:
        shown = [change for change in shown if change.origin is not Origin.DRIFT]
    rows = [
        drift_row(change, plan, setting, Step.ROWS_ONLY)
        if change.origin is Origin.DRIFT
        else row(change, plan, setting, Step.ROWS_ONLY)
        for change in shown
    ]
    return _with_rows(plan, setting, rows, budget)


def _with_rows(plan: Plan, setting: Setting, rows: Sequence[str], budget: int) -> str:
    def assemble(kept: Sequence[str]) -> str:
        missing = len(rows) - len(kept)
        where = f"[the full report]({address(setting.report)})" if setting.report else "the full report of the job"
        first = (
            f"**This plan does not fit here: {missing:,} of {len(rows):,} rows that must be read are missing. "
            f"Do not approve by this text; read {where}.**"
        )
        blocked = f"Blocked by {', '.join(map(for_markdown, plan.blocked))}." if plan.blocked else ""
        table = ["| Change | | | | |", "|---|---|---|---|---|", *kept]
        lifted = f"{count(len(plan.overrides), 'override')} in use." if plan.overrides else ""
        parts = [first, _title(plan), blocked, lifted, _where(plan, setting), "\n".join(table), _footer(plan, setting)]
        return "\n\n".join(part for part in parts if part) + "\n"

    room = budget - _size(assemble(())) - 16
    kept: list[str] = []
    for each in rows:
        room -= _size(each) + 1
        if room < 0:
            break
        kept.append(each)
    return assemble(kept)
