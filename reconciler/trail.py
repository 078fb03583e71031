"""Reads the live audit trail for proof: which entry a change of ours made, who made the others.

Decides nothing about policies. Everything in a trail is text of the live system: a commit found there counts only when
this repository knows it, and an actor is reported, never trusted.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace

from reconciler.core.annotation import find_commit
from reconciler.core.model import (
    Action,
    Annotation,
    Applied,
    Confidence,
    Drift,
    LogEntry,
    Strength,
    Trail,
    TrailEntry,
)
from reconciler.core.ports import Clock

#: Trails may be written after the reply (systems.md 5 row 25): read again after these pauses, in seconds.
PAUSES = (0.2, 0.5, 1.0, 2.0)

#: What an entry of the reference server says of a switch that was moved by hand although git manages the policy.
_BREAK_GLASS = re.compile(r"break-glass until \S{1,40}: .+", re.DOTALL)

NO_TRAIL = Annotation(Strength.LEDGER_ONLY, verified=False, audit_id=None)


def new_entries(trail: Trail, known: Collection[str], policy_id: str) -> tuple[TrailEntry, ...]:
    """Return the successful entries about *policy_id* that are not among the *known* ids, newest first.

    A mark beside a change is none: it says what we were told, not what the live system did.
    """
    return tuple(entry for entry in _new(trail, known, policy_id) if not entry.beside)


def _new(trail: Trail, known: Collection[str], policy_id: str) -> tuple[TrailEntry, ...]:
    return tuple(
        entry for entry in trail.entries if entry.policy_id == policy_id and entry.success and entry.id not in known
    )


def count_own(trail: Trail, known: Collection[str], policy_id: str, commit: str) -> int:
    """Return how many new entries about *policy_id* carry *commit*: requests of ours known to have taken effect."""
    return sum(1 for entry in new_entries(trail, known, policy_id) if find_commit(entry.texts) == commit)


def find_annotation(
    trail: Trail, known: Collection[str], policy_id: str, commit: str, *, on_object: bool = False
) -> Annotation:
    """Return the strongest claim the trail supports for one change.

    `same-entry`: an entry of this change holds the commit. `neighbour-entry`: a mark beside it does. `on-object`: the
    policy itself does (*on_object*). Without any the ledger alone ties them together; the entry is named only when
    exactly one can be meant.
    """
    entries = new_entries(trail, known, policy_id)
    for entry in entries:
        if find_commit(entry.texts) == commit:
            return Annotation(Strength.SAME_ENTRY, verified=True, audit_id=entry.id)
    for entry in _new(trail, known, policy_id):
        if entry.beside and find_commit(entry.texts) == commit:
            return Annotation(Strength.NEIGHBOUR_ENTRY, verified=True, audit_id=entry.id)
    only = entries[0].id if len(entries) == 1 else None
    if on_object:
        return Annotation(Strength.ON_OBJECT, verified=True, audit_id=only)
    return Annotation(Strength.LEDGER_ONLY, verified=only is not None, audit_id=only)


def prove(
    wanted: Mapping[str, tuple[str, str, bool]],
    known: Collection[str],
    fetch: Callable[[], Trail],
    clock: Clock,
) -> dict[str, Annotation]:
    """Read the trail until each of *wanted* (key → policy id, commit, on-object) has its entry, or time is up."""
    if not wanted:
        return {}
    found: dict[str, Annotation] = {}
    for pause in (*PAUSES, None):
        trail = fetch()
        if not trail.available:
            return {
                key: Annotation(Strength.ON_OBJECT, True, None) if on_object else NO_TRAIL
                for key, (_, _, on_object) in wanted.items()
            }
        about: dict[str | None, list[TrailEntry]] = {}
        for entry in trail.entries:
            about.setdefault(entry.policy_id, []).append(entry)
        found = {
            key: find_annotation(
                replace(trail, entries=tuple(about.get(policy_id, ()))), known, policy_id, commit, on_object=on_object
            )
            for key, (policy_id, commit, on_object) in wanted.items()
        }
        if pause is None or all(annotation.audit_id is not None for annotation in found.values()):
            break
        clock.sleep(pause)
    return found


# ------------------------------------------------------------------------------------------- who edited it


def explain_drift(
    trail: Trail, applied: Applied, *, enabled: bool | None, content_differs: bool, own_ids: Collection[str]
) -> Drift:
    """Return who brought *applied*'s policy to its live state, as far as *trail* shows it.

    *enabled* is the live value when it drifted, None when it did not; a policy deleted live has both unset. `exact`
    needs an entry that says what is seen and a trail that reaches back to our own last entry (or shows all there is);
    several candidates, or a trail that may have lost some, are `likely`.
    """
    since = []
    reached = trail.complete
    for entry in trail.entries:
        if entry.id == applied.audit_id:
            reached = True
            break
        if entry.policy_id == applied.id and entry.success and not entry.beside and entry.id not in own_ids:
            since.append(entry)
    if enabled is not None:
        since_toggle = [entry for entry in since if _says(entry, "enabled" if enabled else "disabled")]
        fitting = since_toggle or ([] if not content_differs else since)
        exact = bool(since_toggle) and since[0] is since_toggle[0]
    elif content_differs:
        fitting = [entry for entry in since if not _is_toggle(entry)]
        exact = len(fitting) == 1
    else:
        fitting = [entry for entry in since if "delete" in entry.action.lower()]
        exact = bool(fitting)
    if not fitting:
        return Drift(None, None, None, Confidence.UNKNOWN)
    newest = fitting[0]
    confidence = Confidence.EXACT if exact and reached else Confidence.LIKELY
    return Drift(newest.actor, newest.at, newest.id, confidence, _reason(newest))


def _reason(entry: TrailEntry) -> str | None:
    """Why somebody switched by hand what git manages, if they broke the reference server's glass for it."""
    found = _BREAK_GLASS.search(entry.details)
    return None if found is None else found[0]


def _says(entry: TrailEntry, state: str) -> bool:
    return _is_toggle(entry) and state in entry.details.lower()


def _is_toggle(entry: TrailEntry) -> bool:
    return "toggle" in entry.action.lower()


# ------------------------------------------------------------------------------------------------ the log

#: What the vendors' action names mean for people; anything else is shown as the server spells it.
_ACTIONS = {"create": "created", "update": "updated", "toggle": "toggled", "delete": "deleted"}


def join_log(
    trail: Trail,
    history: Iterable[Applied],
    names: Mapping[str, str],
    is_known: Callable[[Sequence[str]], Collection[str]],
) -> tuple[LogEntry, ...]:
    """Join *trail* with the ledger's *history*, newest first: entry → commit and commit → entry.

    An entry that carries a commit this repository knows belongs to it; else the ledger may have tied its id to one;
    else it was made outside git. *names* maps live ids to keys; *is_known* returns which commits the repository has.
    """
    by_audit_id: dict[str, Applied] = {}
    keys = dict(names)
    for record in history:
        keys.setdefault(record.id, record.key)
        if record.audit_id is not None:
            by_audit_id.setdefault(record.audit_id, record)
    about = [entry for entry in trail.entries if entry.policy_id is not None]
    carried = {entry.id: commit for entry in about if (commit := find_commit(entry.texts)) is not None}
    known = set(is_known(sorted(set(carried.values()))))
    joined = []
    for entry in about:
        recorded = by_audit_id.get(entry.id)
        commit = carried.get(entry.id)
        strength: Strength | None = None
        if commit in known:
            strength = Strength.NEIGHBOUR_ENTRY if entry.beside else Strength.SAME_ENTRY
        elif recorded is not None:
            commit, strength = recorded.commit, Strength.LEDGER_ONLY
        else:
            commit = None
        policy_id = entry.policy_id or ""
        joined.append(
            LogEntry(
                at=entry.at,
                action=_ACTIONS.get(entry.action.lower().split("_")[0], entry.action),
                key=keys.get(policy_id, policy_id),
                actor=entry.actor,
                audit_id=entry.id,
                commit=commit,
                strength=strength,
                outside_git=commit is None,
            )
        )
    return tuple(joined)


def action_word(action: Action) -> str:
    """Return the past form people read in logs.

    >>> action_word(Action.DISABLE)
    'disabled'
    """
    return f"{action.value}d"
