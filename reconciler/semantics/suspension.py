"""Suspension, the one thing that decisions feed on: laid over the outcomes, never inside them (semantics.md B.5).

A trigger is an event on which a suspending policy is violated for sure, whatever the mode. It is blocked by its own
effect; the suspension starts with the next event.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

from reconciler.core.canonical import ascii_lower
from reconciler.semantics.events import Event
from reconciler.semantics.interpret import Verdict
from reconciler.semantics.program import Program, State

#: A policy may suspend in more than one way.
_Source: TypeAlias = "tuple[str, State]"


@dataclass(frozen=True, slots=True)
class Suspended:
    """Who is suspended by which policy, since when; `is_new`: nothing was said of this suspension yet."""

    actor_id: str
    policy: str
    since_us: int
    until_us: int | None
    is_new: bool


@dataclass(frozen=True, slots=True)
class Standing:
    """One suspension as something to keep: how it started, its last trigger, whether anybody was told."""

    actor_id: str
    policy: str
    state: State
    since_us: int
    last_us: int
    is_told: bool


class Suspensions:
    """Who is suspended now. Ask before an event is counted, tell after it was judged.

    They outlast every window, so whoever restarts keeps what `standing` says and gives it back to `restore`.
    """

    def __init__(self, programs: Iterable[Program]) -> None:
        self._rows: dict[str, dict[_Source, _Row]] = {}
        self._resets: dict[str, set[_Source]] = {}
        self._states: dict[str, list[State]] = {}
        for program in programs:
            own = [clause.state for group in program.groups for clause in group.clauses]
            for state in filter(None, (program.state, *own)):
                self._states.setdefault(program.name, []).append(state)
                for action in state.reset:
                    self._resets.setdefault(ascii_lower(action), set()).add((program.name, state))

    def standing(self, actor_id: str) -> tuple[Standing, ...]:
        """Return the suspensions of an actor; one whose time is over may still be among them."""
        rows = self._rows.get(actor_id, {})
        return tuple(
            Standing(actor_id, policy, state, row.since_us, row.last_us, row.is_told)
            for (policy, state), row in rows.items()
        )

    def restore(self, kept: Iterable[Standing]) -> None:
        """Forget everything and take up what was kept.

        A policy that is gone, disabled, or suspends nobody any more holds nobody. One that was edited goes on holding
        those whom it held, on its new terms.
        """
        self._rows = {}
        for each in kept:
            states = self._states.get(each.policy)
            if states:
                row = _Row(each.since_us)
                row.last_us, row.is_told = each.last_us, each.is_told
                state = each.state if each.state in states else states[0]
                self._rows.setdefault(each.actor_id, {})[each.policy, state] = row

    @property
    def policies(self) -> frozenset[str]:
        """The policies that can suspend somebody."""
        return frozenset(self._states)

    def reinstates(self, event: Event) -> bool:
        """Whether what an event does ends suspensions of its actor, if there are any."""
        return event.action_key in self._resets

    def at(self, event: Event) -> tuple[Suspended, ...]:
        """Return the suspensions that hold at an event, by triggers strictly before it.

        Each says once that it is new.
        """
        rows = self._rows.get(event.actor_id)
        if not rows:
            return ()
        found = []
        for (policy, state), row in list(rows.items()):
            if state.duration_us is not None and event.ts_us - row.last_us >= state.duration_us:
                self._drop(event.actor_id, (policy, state))
                continue
            until = None if state.duration_us is None else row.last_us + state.duration_us
            found.append(Suspended(event.actor_id, policy, row.since_us, until, not row.is_told))
            row.is_told = True
        return tuple(found)

    def note(self, event: Event, verdicts: Iterable[Verdict]) -> None:
        """Take in what an event started or ended. What reinstates is never a trigger itself."""
        ended = self._resets.get(event.action_key, set())
        for source in ended:
            self._drop(event.actor_id, source)
        for verdict in verdicts:
            for state in verdict.states:
                source = verdict.policy, state
                if source not in ended:
                    rows = self._rows.setdefault(event.actor_id, {})
                    rows.setdefault(source, _Row(event.ts_us)).last_us = event.ts_us

    def _drop(self, actor_id: str, source: _Source) -> None:
        rows = self._rows.get(actor_id, {})
        rows.pop(source, None)
        if not rows:
            self._rows.pop(actor_id, None)


class _Row:
    """One suspension: its first trigger, its last one, and whether anybody was told."""

    __slots__ = ("is_told", "last_us", "since_us")

    def __init__(self, since_us: int) -> None:
        self.since_us = self.last_us = since_us
        self.is_told = False
