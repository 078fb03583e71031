"""The one comment a plan has on a pull request: what it says, and what becomes of the ones already there (ux.md 2.2).

Pure: comments in, decisions out. `forges.py` lists and writes them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from html import unescape
from typing import Final, Generic, Protocol, TypeVar

from reconciler.core.canonical import canonical_json
from reconciler.core.guard import WEAKER
from reconciler.core.model import MISSING, Action, Plan
from reconciler.reports.markdown import COMMENT_BUDGET, Fitted, fit_markdown
from reconciler.reports.markdown_parts import Setting
from reconciler.reports.view import blocking_guards, blocking_plan_guards, digest_of, safe_target

#: More weaker things than this are told apart by one hash of all, so that the line stays short.
MOST_TOKENS: Final = 300
#: So many plans of one request are told, this one among them.
MOST_PLANS: Final = 10
_OUTDATED: Final = "<!-- reconciler:outdated -->"

_DATA = re.compile(
    r"<!-- reconciler:data v=1 plan=(?P<plan>[0-9a-f]{1,64}) head=(?P<head>[0-9a-f]{1,64}) "
    r"weaken=(?P<weaken>all:[0-9a-f]{16}|(?:[0-9a-f]{8}(?:,[0-9a-f]{8})*)?) -->"
)
_PLANS = re.compile(r"^<!-- reconciler:plans v=1 (?P<plans>[0-9a-fTZ:,;-]{1,2000}) -->$", re.MULTILINE)
_PASSED = re.compile(
    r"(?P<plan>[0-9a-f]{1,12}),(?P<head>[0-9a-f]{1,64}),(?P<read>[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z),"
    r"(?P<changes>[0-9]{1,7}),(?P<weaker>[0-9]{1,7})"
)
_READ_TIME = re.compile(r"(?:(?<=read )|(?<=snapshot of ))[0-9]{4}-[0-9]{2}-[0-9]{2}[ T][0-9]{2}:[0-9]{2}:[0-9]{2}Z")


class Posted(Protocol):
    """A comment as a forge has it. `mine`: written by the account we write with; `hidden`: minimised."""

    @property
    def body(self) -> str: ...

    @property
    def mine(self) -> bool: ...

    @property
    def hidden(self) -> bool: ...


C = TypeVar("C", bound=Posted)


class Act(StrEnum):
    """What becomes of the comment: it says it all already, it gets the new text, or there is a new one."""

    KEEP = "keep"
    EDIT = "edit"
    POST = "post"


@dataclass(frozen=True, slots=True)
class Decision(Generic[C]):
    """What to do: with which comment (None for a new one), and which older ones of ours to mark as outdated."""

    act: Act
    comment: C | None
    outdates: tuple[C, ...] = ()


@dataclass(frozen=True, slots=True)
class Passed:
    """A plan that the comment has told: plan and head in hex, live as read (UTC), how many changes, how many weaken."""

    plan: str
    head: str
    read: str
    changes: int
    weaker: int


def make_comment(
    plan: Plan, *, setting: Setting, earlier: Sequence[Passed] = (), budget: int = COMMENT_BUDGET
) -> Fitted:
    """Return the comment: marker, hidden data, the plan in what is left of *budget*, and the *earlier* plans.

    They are the first to go where the budget is short.
    """
    head = f"{marker(plan)}\n{_data_line(plan)}\n\n"
    for is_folded in (bool(plan.changes), False):
        tail = _history([_passed(plan), *earlier], is_folded=is_folded)
        fitted = fit_markdown(plan, setting=setting, budget=budget - len((head + tail).encode()))
        if fitted.complete:
            break
    return Fitted(head + fitted.text + tail, fitted.complete)


def earlier_plans(comments: Iterable[C], plan: Plan) -> tuple[Passed, ...]:
    """Return the plans that our newest comment on *plan*'s target tells, newest first, without *plan* itself."""
    newest = next(iter(_ours(comments, marker(plan))), None)
    found = _PLANS.findall("\n".join(_lines(newest.body))) if newest is not None else []
    entries = [_PASSED.fullmatch(each) for each in found[-1].split(";")] if found else []
    this = _passed(plan)
    told = [
        Passed(entry["plan"], entry["head"], entry["read"], int(entry["changes"]), int(entry["weaker"]))
        for entry in entries
        if entry is not None
    ]
    return tuple(each for each in told if (each.plan, each.head) != (this.plan, this.head))[: MOST_PLANS - 1]


def _passed(plan: Plan) -> Passed:
    weaker = sum(change.risk in WEAKER for change in plan.changes)
    return Passed(_short(plan), _hex(plan.git.head), plan.live.read_at, len(plan.changes), weaker)


def _history(plans: Sequence[Passed], *, is_folded: bool) -> str:
    """The hidden line that the next run reads, and the table people do, where there is one to fold it under."""
    entries = ";".join(f"{p.plan},{p.head},{p.read},{p.changes},{p.weaker}" for p in plans)
    hidden = f"<!-- reconciler:plans v=1 {entries} -->\n" if _PASSED.fullmatch(entries.split(";")[0]) else ""
    if len(plans) < 2 or not is_folded or not hidden:
        return f"\n{hidden}" if hidden else ""
    rows = [
        f"| `{p.head[:7]}`{' (this one)' if at == 0 else ''} | {p.read.replace('T', ' ')} | `{p.plan[:6]}` "
        f"| {p.changes:,} | {p.weaker:,} |"
        for at, p in enumerate(plans)
    ]
    table = "\n".join(["| Commit | Read at | Plan | Changes | Weaken |", "|---|---|---|---|---|", *rows])
    title = f"Earlier plans on this request ({len(plans) - 1})"
    return f"\n{hidden}\n<details><summary>{title}</summary>\n\n{table}\n\n</details>\n"


def marker(plan: Plan) -> str:
    """Return the first line of the comment; there is one comment for each target."""
    return f"<!-- reconciler:plan target={safe_target(plan)} -->"


def decide(comments: Iterable[C], text: str) -> Decision[C]:
    """Return what to do with *text*, given the comments *newest first*.

    Ours has our marker as its whole first line **and** our account as its author: anybody can paste a marker. Minimised
    ones are past. A text that differs in the time of the live read alone is no news. Older ones of ours that are still
    open were left by a run that died between posting and marking.
    """
    ours = _ours(comments, text.split("\n", 1)[0])
    if not ours:
        return Decision(Act.POST, None)
    newest, older = ours[0], tuple(ours[1:])
    if _plain(newest.body) == _plain(text):
        return Decision(Act.KEEP, newest, older)
    if rises(newest.body, text):
        return Decision(Act.POST, None, tuple(ours))
    return Decision(Act.EDIT, newest, older)


def _ours(comments: Iterable[C], first: str) -> list[C]:
    return [each for each in comments if each.mine and not each.hidden and _lines(each.body)[0] == first]


def rises(old: str, new: str) -> bool:
    """Whether *new* has a weaker change, a guard or a delete that *old* has not.

    An old comment without readable data has not shown anything, so whatever weakens is new.
    """
    before, after = _tokens(old), _tokens(new)
    if after is None:
        return False
    if before is None:
        return bool(after)
    return not after <= before


def outdated(body: str) -> str:
    """Return the text of a comment that a newer one took the place of: said in its first line, the rest folded.

    For forges that cannot minimise. The marker is gone, so nobody takes it for the present one.
    """
    lines = _lines(body)
    rest = "\n".join(line for line in lines if not line.startswith("<!-- reconciler:")).strip("\n")
    fold = f"<details><summary>The outdated plan</summary>\n\n{rest}\n\n</details>"
    return f"**Outdated: a newer plan below weakens more than this one.** {_OUTDATED}\n\n{fold}\n"


def weaker_tokens(plan: Plan) -> frozenset[str]:
    """Return one short hash for each thing that weakens: a field with its new value, a guard, a delete.

    Nothing of the live system goes into them, so that a fork learns nothing from them.
    """
    found = {digest_of("guard", name) for name in blocking_plan_guards(plan)}
    for change in plan.changes:
        found |= {digest_of("guard", name, change.key) for name in blocking_guards(change, plan)}
        if change.action is Action.DELETE:
            found.add(digest_of("delete", change.key))
        for field in change.fields:
            if field.risk in WEAKER:
                value = "" if field.desired is MISSING else canonical_json(field.desired)
                found.add(digest_of("field", change.key, field.pointer, value))
        if change.risk in WEAKER:
            found.add(digest_of("change", change.kind.value, change.key, change.action.value))
    return frozenset(token[:8] for token in found)


def _data_line(plan: Plan) -> str:
    tokens = sorted(weaker_tokens(plan))
    listed = ",".join(tokens) if len(tokens) <= MOST_TOKENS else f"all:{digest_of(*tokens)[:16]}"
    return f"<!-- reconciler:data v=1 plan={_short(plan)} head={_hex(plan.git.head)} weaken={listed} -->"


def _short(plan: Plan) -> str:
    return _hex(plan.fingerprint.removeprefix("sha256:"))[:12]


def _hex(text: str) -> str:
    return text if re.fullmatch(r"[0-9a-f]{1,64}", text) else "0"


def _tokens(body: str) -> frozenset[str] | None:
    """The hashes in the second line; a single `all:` one stands for itself. None when there is no such line."""
    second = _lines(body)[1:2]
    found = _DATA.fullmatch(second[0]) if second else None
    if found is None:
        return None
    return frozenset(token for token in found["weaken"].split(",") if token)


def _lines(body: str) -> Sequence[str]:
    return body.replace("\r\n", "\n").split("\n")


def _plain(body: str) -> str:
    """The text without what changes though nothing changed: line ends, blanks at the end, the time of the read.

    Nor what came before it: the earlier plans stand after their hidden line.
    """
    text = "\n".join(_lines(body))
    told = [found.start() for found in _PLANS.finditer(text)]
    return _READ_TIME.sub("", unescape(text[: told[-1]] if told else text)).strip()
