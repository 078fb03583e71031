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
_OUTDATED: Final = "<!-- reconciler:outdated -->"

_DATA = re.compile(
    r"<!-- reconciler:data v=1 plan=(?P<plan>[0-9a-f]{1,64}) head=(?P<head>[0-9a-f]{1,64}) "
    r"weaken=(?P<weaken>all:[0-9a-f]{16}|(?:[0-9a-f]{8}(?:,[0-9a-f]{8})*)?) -->"
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


def make_comment(plan: Plan, *, setting: Setting, budget: int = COMMENT_BUDGET) -> Fitted:
    """Return the comment: marker, hidden data, and the plan in what is left of *budget*."""
    head = f"{marker(plan)}\n{_data_line(plan)}\n\n"
    fitted = fit_markdown(plan, setting=setting, budget=budget - len(head.encode()))
    return Fitted(head + fitted.text, fitted.complete)


def marker(plan: Plan) -> str:
    """Return the first line of the comment; there is one comment for each target."""
    return f"<!-- reconciler:plan target={safe_target(plan)} -->"


def decide(comments: Iterable[C], text: str) -> Decision[C]:
    """Return what to do with *text*, given the comments *newest first*.

    Ours has our marker as its whole first line **and** our account as its author: anybody can paste a marker. Minimised
    ones are past. A text that differs in the time of the live read alone is no news. Older ones of ours that are still
    open were left by a run that died between posting and marking.
    """
    first = text.split("\n", 1)[0]
    ours = [each for each in comments if each.mine and not each.hidden and _lines(each.body)[0] == first]
    if not ours:
        return Decision(Act.POST, None)
    newest, older = ours[0], tuple(ours[1:])
    if _plain(newest.body) == _plain(text):
        return Decision(Act.KEEP, newest, older)
    if rises(newest.body, text):
        return Decision(Act.POST, None, tuple(ours))
    return Decision(Act.EDIT, newest, older)


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
    plain = _hex(plan.fingerprint.removeprefix("sha256:"))[:12]
    return f"<!-- reconciler:data v=1 plan={plain} head={_hex(plan.git.head)} weaken={listed} -->"


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
    """The text without what changes though nothing changed: line ends, blanks at the end, the time of the read."""
    return _READ_TIME.sub("", unescape("\n".join(_lines(body)))).strip()
