"""A compiled policy: clauses behind filters, what a violation does, what a missing column means (B.1, B.3, B.5)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from reconciler.semantics.ast import Node


class OnMissing(StrEnum):
    """What the live server takes null for: does somebody have to prove something, or does it have to be found?"""

    VIOLATE = "violate"
    PASS = "pass"  # noqa: S105 - no password


class Effect(StrEnum):
    """What a violation does, weakest first (semantics.md B.3, E.3)."""

    NONE = "none"
    LOG = "log"
    ALERT = "alert"
    BLOCK = "block"
    THROTTLE = "throttle"
    APPROVAL = "approval"
    SUSPEND = "suspend"

    @property
    def blocks(self) -> bool:
        return self in _BLOCKING


_BLOCKING: Final = frozenset({Effect.BLOCK, Effect.THROTTLE, Effect.APPROVAL, Effect.SUSPEND})


@dataclass(frozen=True, slots=True)
class State:
    """Suspension (semantics.md B.5): how long, null until reinstated, and the actions that reinstate."""

    duration_us: int | None = None
    reset: tuple[str, ...] = ("reinstate",)


@dataclass(frozen=True, slots=True)
class Clause:
    """One way to violate: the key that an author wrote, and when. With a `state` of its own it suspends."""

    key: str
    node: Node
    missing: OnMissing = OnMissing.PASS
    state: State | None = None


@dataclass(frozen=True, slots=True)
class Group:
    """Clauses behind the same filters.

    `filters` false: not looked at, and not counted. Null: the live server looks. `applies` is a filter whose null is
    unknown like a clause's, and passes by default. `ready` false: counted, but not judged yet.
    """

    clauses: tuple[Clause, ...]
    filters: Node | None = None
    applies: Node | None = None
    ready: Node | None = None


@dataclass(frozen=True, slots=True)
class Program:
    """A compiled policy: envelope, filters and clauses.

    `state` is what a violation starts when the effect is to suspend. `not_replayed` are keys without a
    meaning for single events, `unchecked` rules that no machine can check.
    """

    name: str
    policy_type: str
    groups: tuple[Group, ...]
    effect: Effect = Effect.ALERT
    enabled: bool = True
    severity: str = "medium"
    priority: int = 0
    on_missing: OnMissing | None = None
    state: State | None = None
    notify_admins: bool = False
    created_us: int = 0
    not_replayed: tuple[str, ...] = ()
    unchecked: tuple[str, ...] = ()


#: Severities, weakest first.
SEVERITIES: Final = ("low", "medium", "high", "critical")
