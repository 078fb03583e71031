"""One policy, event by event: what came of it, and why (semantics.md B.1, B.3).

The outcome of an event depends on the policy, the event and earlier events, and on nothing else: no clock, no other
policy, no decision. `enforced` is what the live server makes of it, which has to decide even where a column is missing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from reconciler.semantics.ast import Node
from reconciler.semantics.build import build
from reconciler.semantics.events import Event
from reconciler.semantics.history import Tracker
from reconciler.semantics.nodes import columns
from reconciler.semantics.program import Clause, Effect, Group, OnMissing, Program, State
from reconciler.semantics.windows import Sliding, Test, Tumbling


class Outcome(StrEnum):
    """Of one policy on one event; `NA`: disabled, or not looked at."""

    NA = "NA"
    PASS = "PASS"  # noqa: S105 - no password
    VIOLATE = "VIOLATE"
    UNKNOWN = "UNKNOWN"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one policy says of one event.

    `outcome` keeps what is unknown, `enforced` has it decided; each has its effect. `clauses` are the keys that are
    violated, `unknown` those that nobody can tell. `states` are the suspensions that start here; `retry_us` is the time
    until a limit lets one more through.
    """

    policy: str
    outcome: Outcome
    enforced: Outcome
    effect: Effect
    enforced_effect: Effect
    clauses: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    states: tuple[State, ...] = ()
    retry_us: int | None = None


class Runner:
    """A program and what it remembers. Events come in the order of the stream, each once.

    `counted`: the last event was remembered in some way, so that it may matter to a later one.
    """

    def __init__(self, program: Program) -> None:
        self.program = program
        self.counted = False
        self._groups = [_Group(group, program) for group in program.groups]
        self._na = Verdict(program.name, Outcome.NA, Outcome.NA, program.effect, program.effect)
        self._pass = Verdict(program.name, Outcome.PASS, Outcome.PASS, program.effect, program.effect)

    def step(self, event: Event) -> Verdict:
        """Count an event and judge it; a disabled policy does neither."""
        self.counted = False
        if not self.program.enabled:
            return self._na
        found: _Findings | None = None
        applied = False
        for group in self._groups:
            inside = group.filters(event) if group.filters is not None else True
            if inside is False:
                continue
            fits = group.applies(event) if group.applies is not None else True
            if fits is False:
                continue
            if fits is None:
                found = found or _Findings()
                found.unknown.append(group.applies_key)
                found.violates = found.violates or self.program.on_missing is OnMissing.VIOLATE
                continue
            if group.trackers:
                self.counted = True
                for tracker in group.trackers:
                    tracker.see(event)
            if group.ready is not None and group.ready(event) is False:
                continue
            applied = True
            if inside is None:
                found = found or _Findings()
                found.unknown.append("scope")
            for clause in group.clauses:
                value = clause.test(event)
                if value is False:
                    continue
                found = found or _Findings()
                found.add(clause, event, sure=inside is True, value=value)
        if found is None:
            return self._pass if applied else self._na
        return self._verdict(found)

    def forget(self, before_us: int) -> None:
        """Forget previous values and first events of keys that were last seen before an instant; windows are kept."""
        for group in self._groups:
            for tracker in group.trackers:
                tracker.forget(before_us)

    def __len__(self) -> int:
        """How many keys are remembered."""
        return sum(len(tracker) for group in self._groups for tracker in group.trackers)

    def _verdict(self, found: _Findings) -> Verdict:
        outcome = Outcome.VIOLATE if found.sure else Outcome.UNKNOWN
        states: tuple[State, ...] = ()
        if found.sure:
            own = (state or self.program.state for state in found.states)
            states = tuple(dict.fromkeys(state for state in own if state is not None))
        suspends = any(found.states)
        return Verdict(
            self.program.name,
            outcome,
            Outcome.VIOLATE if found.violates else Outcome.PASS,
            Effect.SUSPEND if suspends or (not found.states and any(found.maybe)) else self.program.effect,
            Effect.SUSPEND if suspends or any(found.presumed) else self.program.effect,
            tuple(dict.fromkeys(found.clauses)),
            tuple(dict.fromkeys(found.unknown)),
            states,
            found.retry_us,
        )


class _Findings:
    """What the clauses of one policy say of one event."""

    __slots__ = ("clauses", "maybe", "presumed", "retry_us", "states", "sure", "unknown", "violates")

    def __init__(self) -> None:
        self.clauses: list[str] = []
        self.unknown: list[str] = []
        self.states: list[State | None] = []  # of violated clauses
        self.maybe: list[State | None] = []  # of those that nobody can tell
        self.presumed: list[State | None] = []  # of those among them that the live server takes for violated
        self.retry_us: int | None = None
        self.sure = False  # violated, and everything that says so is known
        self.violates = False  # violated for the live server

    def add(self, clause: _Clause, event: Event, *, sure: bool, value: bool | None) -> None:
        if value is None:
            self.unknown.append(clause.key)
            self.maybe.append(clause.state)
            if clause.missing_violates:
                self.violates = True
                self.presumed.append(clause.state)
            return
        self.violates = True
        self.sure = self.sure or sure
        self.clauses.append(clause.key)
        self.states.append(clause.state)
        for tracker in clause.limits:
            self.retry_us = max(self.retry_us or 0, tracker.retry_us(event))


class _Clause:
    """A clause as a function; `limits` are the windows that know when one more event passes."""

    __slots__ = ("key", "limits", "missing_violates", "state", "test")

    def __init__(self, clause: Clause, test: Test, trackers: Iterable[Tracker], *, missing: OnMissing) -> None:
        self.key, self.test, self.state = clause.key, test, clause.state
        self.limits = [each for each in trackers if isinstance(each, (Sliding, Tumbling))]
        self.missing_violates = missing is OnMissing.VIOLATE


class _Group:
    """A group as functions; every tracker of it sees the events that the filters let through."""

    __slots__ = ("applies", "applies_key", "clauses", "filters", "ready", "trackers")

    def __init__(self, group: Group, program: Program) -> None:
        shared: dict[Node, Tracker] = {}
        self.filters = None if group.filters is None else build(group.filters, {})
        self.applies = None if group.applies is None else build(group.applies, {})
        self.applies_key = ", ".join(sorted(columns(group.applies)))
        self.ready = None if group.ready is None else build(group.ready, shared)
        self.clauses: list[_Clause] = []
        for clause in group.clauses:
            before = len(shared)
            test = build(clause.node, shared)
            own = list(shared.values())[before:]
            self.clauses.append(_Clause(clause, test, own, missing=program.on_missing or clause.missing))
        self.trackers = list(shared.values())
