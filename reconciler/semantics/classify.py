"""What a change of policies does to one event: allowed, blocked, or nobody can tell (semantics.md B.4).

Computed as if the mode were strict, and on outcomes as they are known: a log that never recorded a column must not
turn into ten thousand blocked requests.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from reconciler.semantics.interpret import Outcome, Verdict


class Standing(StrEnum):
    """Of one event under one version of the policies."""

    ALLOW = "allow"
    MAYBE = "maybe"
    BLOCK = "block"


class Shift(StrEnum):
    """From one version to another; `REATTRIBUTED` is blocked as before, for another reason."""

    NONE = "no_change"
    NEWLY_BLOCKED = "newly_blocked"
    NEWLY_ALLOWED = "newly_allowed"
    MAYBE_BLOCKED = "maybe_blocked"
    MAYBE_ALLOWED = "maybe_allowed"
    UNKNOWN_CHANGE = "unknown_change"
    REATTRIBUTED = "reattributed"


@dataclass(frozen=True, slots=True)
class Position:
    """Standing, the policies that cannot be told, and the reason of a block."""

    standing: Standing
    unknown: frozenset[str] = frozenset()
    primary: str | None = None


def position(verdicts: Iterable[Verdict], *, is_suspended: bool, primary: str | None = None) -> Position:
    """Return where an event stands: blocked if one blocking policy is violated or the actor is suspended."""
    unknown, blocked = set(), is_suspended
    for verdict in verdicts:
        if verdict.effect.blocks:
            blocked = blocked or verdict.outcome is Outcome.VIOLATE
            if verdict.outcome is Outcome.UNKNOWN:
                unknown.add(verdict.policy)
    if blocked:
        return Position(Standing.BLOCK, frozenset(unknown), primary)
    return Position(Standing.MAYBE if unknown else Standing.ALLOW, frozenset(unknown))


def shift(old: Position, new: Position) -> Shift:
    """Return what the change does to the event, by the table of B.4."""
    match old.standing, new.standing:
        case Standing.ALLOW, Standing.BLOCK:
            return Shift.NEWLY_BLOCKED
        case Standing.BLOCK, Standing.ALLOW:
            return Shift.NEWLY_ALLOWED
        case (Standing.ALLOW, Standing.MAYBE) | (Standing.MAYBE, Standing.BLOCK):
            return Shift.MAYBE_BLOCKED
        case (Standing.MAYBE, Standing.ALLOW) | (Standing.BLOCK, Standing.MAYBE):
            return Shift.MAYBE_ALLOWED
        case Standing.MAYBE, Standing.MAYBE:
            return Shift.NONE if old.unknown == new.unknown else Shift.UNKNOWN_CHANGE
        case Standing.BLOCK, Standing.BLOCK:
            return Shift.NONE if old.primary == new.primary else Shift.REATTRIBUTED
        case _:
            return Shift.NONE
