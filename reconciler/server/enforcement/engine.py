"""The live engine: an organization's events, one after another, against the policies that it has at that moment.

What policies remember is in this process's memory and can always be made again from the database: at start, after a
failed write, and when another process counted events in between, the recorded ones are shown to the same code. So
several processes on one database decide as one. All of it happens inside the transaction that writes the records, and
writers take turns, so there is no lock of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Final

import sqlalchemy as sa

from reconciler.semantics.ast import Age, Gap
from reconciler.semantics.decide import Composition, Decision, Engine, Mode
from reconciler.semantics.events import Event
from reconciler.semantics.interpret import Runner
from reconciler.semantics.nodes import history_us, is_stateful, parts, remembers
from reconciler.semantics.program import Program, State
from reconciler.semantics.shared import PLAIN_DATA, Data
from reconciler.semantics.suspension import Standing
from reconciler.server.enforcement.policies import Policy, PolicySet, load_policies
from reconciler.server.enforcement.records import to_event
from reconciler.server.enforcement.tables import events, progress, suspensions

#: How long a previous value or a first event is remembered (semantics.md B.2, `history_days`).
HISTORY_US: Final = 30 * 24 * 3600 * 1_000_000
#: How often what is older is looked for, in the time of the events.
_FORGET_US: Final = 3600 * 1_000_000
_CHUNK: Final = 1000


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an organization is: which version of its policies, the last event and its time, which suspensions."""

    policies: int = 0
    seq: int = 0
    ts_us: int = 0
    suspensions: int = 0

    def is_ahead_of(self, other: Progress) -> bool:
        """Whether this one counted events that the other never will: what they were part of was not committed."""
        return self.seq > other.seq or (self.seq == other.seq and self.ts_us != other.ts_us)


class OrganizationEngine:
    """One organization's policies and what they remember. Used only inside `Store.write`."""

    def __init__(self, organization: str, data: Data, composition: Composition) -> None:
        self.organization = organization
        self.policies: dict[str, Policy] = {}  # by what the engine calls them
        self.revision: str | None = None
        self._data, self._composition = data, composition
        self._engine = Engine((), composition=composition)
        self._set = PolicySet((), None)
        self._at: Progress | None = None  # what is in memory belongs to this; None: nothing is
        self._forgotten_us = 0

    def catch_up(self, connection: sa.Connection, mode: str, now_us: int) -> None:
        """Make everything as the database says: policies, events counted elsewhere, suspensions, mode."""
        before, now = self._at, _read_progress(connection, self.organization)
        self._at = now
        if before is not None and before.is_ahead_of(now):
            before, self._engine = None, Engine((), composition=self._composition)
        self._engine.mode = Mode(mode)
        if before is not None and before.seq != now.seq:
            for event in _read_events(connection, self.organization, after=before.seq):
                self._engine.count(event)
        moved = before is None or before.policies != now.policies
        if moved:
            self._take_policies(connection, max(now_us, now.ts_us))
        if moved or before is None or before.suspensions != now.suspensions:
            self._take_suspensions(connection)

    def decide(self, event: Event, now_us: int) -> Decision:
        """Give an event its time and its place in the order, count it, and decide (semantics.md B.2)."""
        at = self._caught_up()
        ts_us = max(at.ts_us, now_us)
        if ts_us >= self._forgotten_us + _FORGET_US:
            self._engine.forget(ts_us - HISTORY_US)
            self._forgotten_us = ts_us
        placed = replace(event, seq=at.seq + 1, ts_us=ts_us)
        decision = self._engine.step(placed)
        self._at = replace(at, seq=placed.seq, ts_us=ts_us)
        return decision

    def matters_later(self) -> bool:
        """Whether some policy remembers the event that was just decided."""
        return self._engine.counted()

    def save(self, connection: sa.Connection, decisions: Sequence[Decision]) -> None:
        """Write how far we are, and the suspensions that these decisions began, refreshed, told of or ended."""
        touched = {
            each.event.actor_id
            for each in decisions
            if any(verdict.states for verdict in each.verdicts)
            or any(held.is_new for held in each.suspended)
            or self._engine.suspensions.reinstates(each.event)
        }
        at = self._caught_up()
        self._at = replace(at, suspensions=at.suspensions + bool(touched))
        for actor_id in sorted(touched):
            self._save_suspensions(connection, actor_id)
        connection.execute(_MOVE_ON, {"own": self.organization, **asdict(self._at)})

    def _caught_up(self) -> Progress:
        if self._at is None:
            raise ValueError("catch_up comes first")
        return self._at

    # ---------------------------------------------------------------------------------------------- policies

    def _take_policies(self, connection: sa.Connection, now_us: int) -> None:
        self._set = load_policies(connection, self.organization, self._data, self._set.by_ref)
        enforced = self._set.enforced
        self.policies, self.revision = {each.key: each for each in enforced}, self._set.revision
        programs = [each.program for each in enforced if each.program is not None]
        fresh = [runner for runner in self._engine.replace(programs) if is_stateful(runner.program)]
        if fresh:
            self._show_past(connection, fresh, now_us)

    def _show_past(self, connection: sa.Connection, fresh: Iterable[Runner], now_us: int) -> None:
        """Show policies that remember nothing yet the recorded events that can still matter to them."""
        runners = list(fresh)
        reach = max(reach_us(runner.program) for runner in runners)
        for event in _read_events(connection, self.organization, since_us=now_us - reach):
            for runner in runners:
                runner.step(event)

    # ------------------------------------------------------------------------------------------- suspensions

    def _take_suspensions(self, connection: sa.Connection) -> None:
        """Those of policies that are gone, off, or suspend nobody any more end here, and do not come back."""
        own = suspensions.c.organization == self.organization
        rows = connection.execute(sa.select(suspensions).where(own).order_by(suspensions.c.number)).all()
        keys = {policy.ref: policy.key for policy in self.policies.values()}
        self._engine.suspensions.restore(
            Standing(
                row.actor_id,
                keys[row.policy],
                State(row.duration_us, tuple(row.reset)),
                row.since_us,
                row.last_us,
                row.is_told,
            )
            for row in rows
            if row.policy in keys
        )
        holding = {self.policies[key].ref for key in self._engine.suspensions.policies}
        if ended := {row.policy for row in rows} - holding:
            connection.execute(suspensions.delete().where(own, suspensions.c.policy.in_(ended)))

    def _save_suspensions(self, connection: sa.Connection, actor_id: str) -> None:
        own = (suspensions.c.organization == self.organization, suspensions.c.actor_id == actor_id)
        connection.execute(suspensions.delete().where(*own))
        rows = [
            {
                "organization": self.organization,
                "actor_id": actor_id,
                "policy": self.policies[each.policy].ref,
                "number": number,
                "duration_us": each.state.duration_us,
                "reset": list(each.state.reset),
                "since_us": each.since_us,
                "last_us": each.last_us,
                "is_told": each.is_told,
            }
            for number, each in enumerate(self._engine.suspensions.standing(actor_id))
        ]
        if rows:
            connection.execute(suspensions.insert(), rows)


class LiveEngine:
    """The engines of all organizations, made when one is first asked for."""

    def __init__(self, data: Data = PLAIN_DATA, composition: Composition = Composition.DENY_OVERRIDES) -> None:
        self._data, self._composition = data, composition
        self._engines: dict[str, OrganizationEngine] = {}

    def of(self, connection: sa.Connection, organization: str, mode: str, now_us: int) -> OrganizationEngine:
        """The engine of an organization as the database says it is now. Only in a transaction of `Store.write`."""
        engine = self._engines.get(organization)
        if engine is None:
            engine = self._engines[organization] = OrganizationEngine(organization, self._data, self._composition)
        try:
            engine.catch_up(connection, mode, now_us)
        except BaseException:
            self.drop(organization)
            raise
        return engine

    def drop(self, organization: str) -> None:
        """Forget what is in memory, because the transaction that it belongs to failed; it is made again when needed."""
        self._engines.pop(organization, None)


#: Made once: these are run for every event.
_PROGRESS: Final = sa.select(progress).where(progress.c.organization == sa.bindparam("own"))
_MOVE_ON: Final = progress.update().where(progress.c.organization == sa.bindparam("own"))


def reach_us(program: Program) -> int:
    """How far back recorded events can matter to a policy: its windows, and what it remembers beyond them."""
    spans = [part.span_us for part in parts(program) if isinstance(part, (Age, Gap))]
    lasting = HISTORY_US + max(spans, default=0) if remembers(program) else 0
    return max(history_us(program), lasting)


def _read_progress(connection: sa.Connection, organization: str) -> Progress:
    """How far an organization is; its row is made with its first event."""
    row = connection.execute(_PROGRESS, {"own": organization}).first()
    if row is not None:
        return Progress(row.policies, row.seq, row.ts_us, row.suspensions)
    connection.execute(progress.insert().values(organization=organization, **asdict(Progress())))
    return Progress()


def _read_events(
    connection: sa.Connection, organization: str, *, after: int = 0, since_us: int | None = None
) -> Iterable[Event]:
    """Recorded events in their order, in constant memory."""
    wanted = [events.c.organization == organization, events.c.seq > after]
    if since_us is not None:
        wanted.append(events.c.ts_us > since_us)
    query = sa.select(events).where(*wanted).order_by(events.c.seq)
    rows = connection.execute(query, execution_options={"yield_per": _CHUNK}).mappings()
    return (to_event(dict(row)) for row in rows)
