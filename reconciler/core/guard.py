"""The rules that may stop a plan, and the dated exceptions to them (design.md 6, Guards).

A guard looks at what a plan would do and has no opinion on how. It fires whether or not somebody lifted it, so that a
plan reads the same before and after an override ends; what is not lifted is in `blocked`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from math import ceil
from typing import Final

from reconciler.core.model import (
    Action,
    Body,
    Change,
    FieldChange,
    GitInfo,
    Json,
    Kind,
    Override,
    Risk,
    TargetSettings,
)
from reconciler.core.safe import quoted, safe

#: What a guard counts as weaker: what nobody can prove harmless is harmful.
WEAKER: Final = frozenset((Risk.WEAKENS, Risk.MIXED, Risk.UNKNOWN))
#: Stands for every policy in an override of a plan-wide guard, and in a hold.
EVERY: Final = "*"


@dataclass(frozen=True, slots=True)
class Guard:
    """What a guard says and how to go on. `liftable`: an override can lift it; `whole`: it looks at the whole plan."""

    sentence: str
    way_out: str
    liftable: bool = True
    whole: bool = False


_OVERRIDE: Final = "revert the change, or add a dated entry for this policy to overrides.yaml and have it reviewed"
_BUDGET: Final = 'narrow the change, or add a dated entry with policy "*" to overrides.yaml'

GUARDS: Final[Mapping[str, Guard]] = {
    "critical-deleted": Guard("a critical policy would be deleted", _OVERRIDE),
    "critical-disabled": Guard("a critical policy would be disabled", _OVERRIDE),
    "critical-weakened": Guard("a critical policy would become weaker, or nobody can tell", _OVERRIDE),
    "dirty-tree": Guard("the files differ from the commit", "commit or revert them, then apply again", liftable=False),
    "incomplete-read": Guard(
        "the list of live policies may not be whole, so nothing is created or deleted",
        "see why the list is short; the rest is applied meanwhile",
        liftable=False,
    ),
    "mode-weakened": Guard("the whole target would stop blocking and only report", _OVERRIDE),
    "must-stay-allowed": Guard(
        "a request of must_stay_allowed would be blocked, or nobody can tell",
        'narrow the change, or add a dated entry with policy "*" to overrides.yaml',
        whole=True,
    ),
    "newly-blocked": Guard(
        "more recorded requests would newly be blocked than max_newly_blocked allows", _BUDGET, whole=True
    ),
    "newly-blocked-actors": Guard(
        "more actors would newly be blocked than max_newly_blocked_actors allows", _BUDGET, whole=True
    ),
    "newly-blocked-share": Guard(
        "a larger share of recorded requests would newly be blocked than max_newly_blocked_share allows",
        _BUDGET,
        whole=True,
    ),
    "not-a-descendant": Guard(
        "this commit does not follow the one that was applied last",
        'merge the newer commit, or add a dated entry with policy "*" to overrides.yaml',
        whole=True,
    ),
    "too-many-changes": Guard(
        "more policies would change than max_changes_percent allows",
        'apply in parts, or add a dated entry with policy "*" to overrides.yaml',
        whole=True,
    ),
    "too-many-deletes": Guard(
        "more policies would be deleted than max_deletes allows",
        'delete in parts, or add a dated entry with policy "*" to overrides.yaml',
        whole=True,
    ),
    "weakens": Guard("this target wants an override for whatever weakens it", _OVERRIDE),
}


# ---------------------------------------------------------------------------------------------- overrides


@dataclass(frozen=True, slots=True)
class Hold:
    """A policy (or `*`) that apply leaves alone until the end of a day, UTC."""

    policy: str
    reason: str
    until: str


@dataclass(frozen=True, slots=True)
class Overrides:
    """What `overrides.yaml` says, in the order of the file."""

    entries: tuple[Override, ...] = ()
    holds: tuple[Hold, ...] = ()

    def hold_on(self, key: str, now: datetime) -> Hold | None:
        """The hold in force on a policy, its own before one on all."""
        found = [hold for hold in self.holds if hold.policy in (key, EVERY) and is_in_force(hold.until, now)]
        return min(found, key=lambda hold: hold.policy == EVERY, default=None)


def parse_overrides(value: Body) -> Overrides:
    """Return what a checked `overrides.yaml` says. An entry that is not whole grants nothing and is left out."""
    entries = tuple(
        Override(
            guard=_text(entry, "guard"),
            policy=_text(entry, "policy"),
            target=_text(entry, "target") or None,
            reason=_text(entry, "reason"),
            owner=_text(entry, "owner"),
            until=_text(entry, "until"),
        )
        for entry in _objects(value, "overrides")
        if all(_text(entry, name) for name in ("guard", "policy", "reason", "owner", "until"))
        and (entry.get("target") is None or _text(entry, "target"))
    )
    holds = tuple(
        Hold(_text(entry, "policy"), _text(entry, "reason"), _text(entry, "until"))
        for entry in _objects(value, "hold")
        if all(_text(entry, name) for name in ("policy", "reason", "until"))
    )
    return Overrides(entries, holds)


def is_in_force(until: str, now: datetime) -> bool:
    """Whether *now* is before the end of the day *until* in UTC; a day nobody can read has ended.

    >>> is_in_force("2026-11-20", datetime(2026, 11, 20, 23, 59, tzinfo=UTC))
    True
    >>> is_in_force("2026-11-20", datetime(2026, 11, 21, tzinfo=UTC))
    False
    """
    try:
        last = date.fromisoformat(until)
    except ValueError:
        return False
    return now.astimezone(UTC).date() <= last


def _objects(value: Body, name: str) -> list[dict[str, Json]]:
    entries = value.get(name)
    return [entry for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []


def _text(entry: Mapping[str, Json], name: str) -> str:
    value = entry.get(name)
    return value if isinstance(value, str) else ""


# ------------------------------------------------------------------------------------------------- firing


def guards_on(
    *, kind: Kind, action: Action, risk: Risk, critical: bool, fields: Sequence[FieldChange], require_override: str
) -> tuple[str, ...]:
    """Return the names of the guards that one change sets off, sorted.

    A critical policy that is switched off and changed at once sets off `critical-weakened` only for its content.
    """
    fired = set()
    if critical and action is Action.DELETE:
        fired.add("critical-deleted")
    if critical and (action is Action.DISABLE or (action is Action.UPDATE and _switches_off(fields))):
        fired.add("critical-disabled")
    if critical and action is Action.UPDATE and any(f.risk in WEAKER for f in fields if f.pointer != "/enabled"):
        fired.add("critical-weakened")
    if kind is Kind.SETTINGS and risk in WEAKER:
        fired.add("mode-weakened")
    if require_override == "weakens" and risk in WEAKER:
        fired.add("weakens")
    return tuple(sorted(fired))


def _switches_off(fields: Sequence[FieldChange]) -> bool:
    return any(field.pointer == "/enabled" and field.desired is False for field in fields)


def guards_on_plan(
    changes: Sequence[Change],
    *,
    owned: int,
    settings: TargetSettings,
    git: GitInfo,
    descends: bool,
    applying: bool,
    incomplete: bool,
) -> tuple[str, ...]:
    """Return the names of the guards that the plan as a whole sets off, sorted.

    Updates, disables and deletes count against `max_changes_percent` of the *owned* policies, rounded up and never
    below one; what only takes over a policy does not. `incomplete`: the read was, and something is held for it.
    """
    policies = [change for change in changes if change.kind is Kind.POLICY]
    counts = Counter(change.action for change in policies)
    disturbing = (Action.UPDATE, Action.DISABLE, Action.DELETE)
    disturbed = sum(change.action in disturbing and not change.adopts for change in policies)
    fired = set()
    if counts[Action.DELETE] > settings.max_deletes:
        fired.add("too-many-deletes")
    if settings.max_changes_percent is not None and disturbed > changes_allowed(settings.max_changes_percent, owned):
        fired.add("too-many-changes")
    if incomplete:
        fired.add("incomplete-read")
    if not descends:
        fired.add("not-a-descendant")
    if applying and git.dirty:
        fired.add("dirty-tree")
    return tuple(sorted(fired))


def changes_allowed(percent: float, owned: int) -> int:
    """How many policies one plan may disturb: *percent* of the owned ones, rounded up, at least one.

    >>> changes_allowed(30, 10), changes_allowed(30, 3), changes_allowed(1, 0)
    (3, 1, 1)
    """
    from fractions import Fraction  # as slow to import as it is rarely needed

    return max(1, ceil(Fraction(str(percent)) * owned / 100))


# ------------------------------------------------------------------------------------------------ lifting


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of a plan's guards: those that still block, the overrides that lifted others, what to tell people."""

    blocked: tuple[str, ...]
    used: tuple[Override, ...]
    warnings: tuple[str, ...]


def judge(
    changes: Iterable[Change],
    whole: Iterable[str],
    overrides: Overrides,
    *,
    target: str,
    now: datetime,
    known: Collection[str] = (),
) -> Verdict:
    """Lift every guard that an override in force speaks of, and name the overrides that lift nothing.

    One override lifts one guard for one policy; plan-wide guards take the policy `*`, and nothing else does. *known*
    are the keys of this target: an entry without a target that speaks of another one's policy is not worth a word.
    """
    fired = [(guard, change.key) for change in changes for guard in change.guards]
    fired += [(guard, EVERY) for guard in whole]
    here = [entry for entry in overrides.entries if entry.target in (None, target)]
    used: list[Override] = []
    warnings: list[str] = []
    lifted: set[tuple[str, str]] = set()
    for entry in here:
        spoken = (entry.guard, entry.policy)
        guard = GUARDS.get(entry.guard)
        fits = spoken in fired and guard is not None and guard.liftable
        name = f"override of {safe(entry.guard)} for {quoted(entry.policy)} by {safe(entry.owner)}"
        if not is_in_force(entry.until, now):
            warnings.append(f"{name} ended on {safe(entry.until)} and lifts nothing")
        elif fits:
            used.append(entry)
            lifted.add(spoken)
        elif guard is not None and not guard.liftable:
            warnings.append(f"{name} lifts nothing: this guard cannot be lifted")
        elif entry.target is not None or entry.policy == EVERY or entry.policy in known:
            warnings.append(f"{name} lifts nothing now; remove it")
    warnings += [
        f"hold on {quoted(hold.policy)} ended on {safe(hold.until)} and holds nothing"
        for hold in overrides.holds
        if not is_in_force(hold.until, now)
    ]
    blocked = {guard for guard, key in fired if (guard, key) not in lifted}
    return Verdict(tuple(sorted(blocked)), tuple(used), tuple(dict.fromkeys(warnings)))


def held_reason(hold: Hold) -> str:
    """The reason an entry of `held` gives for a hold."""
    return f"hold until {hold.until}: {hold.reason}"
