"""Evaluating: submitted events are decided, recorded and told of in one transaction, or nothing of them is.

What `--sample` leaves out is only what nobody will miss: events that passed everything and that no policy remembers.
So whatever the sample, a restart rebuilds exactly what was remembered, and no violation is lost. Which of them are left
out is read off the event's id, so every process leaves out the same ones.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import sqlalchemy as sa

from reconciler.core.model import Json
from reconciler.semantics.decide import Decision
from reconciler.server.enforcement.changes import tell_all
from reconciler.server.enforcement.delivering import queue_notices
from reconciler.server.enforcement.engine import LiveEngine, OrganizationEngine
from reconciler.server.enforcement.records import Submission, is_notable, make_findings, make_row, to_reply
from reconciler.server.enforcement.tables import events, findings, progress
from reconciler.server.enforcement.wire import finding_to_wire
from reconciler.server.opena2a import read_mode
from reconciler.server.replies import ApiError
from reconciler.server.store import Caller, Store
from reconciler.server.trail.records import add_records


@dataclass(frozen=True, slots=True)
class Evaluator:
    """What evaluating needs beside the events: where to write, the engines, how much is kept of what is not notable."""

    store: Store
    engines: LiveEngine
    sample: float = 1.0
    notifies: bool = False

    def warm_up(self) -> None:
        """Show every organization's policies the recorded events that still matter, so that no request waits for it."""
        with self.store.read() as connection:
            organizations = connection.execute(sa.select(progress.c.organization)).scalars().all()
        now_us = round(self.store.seconds() * 1_000_000)
        for organization in organizations:
            with self.store.write() as connection:
                self.engines.of(connection, organization, read_mode(connection, organization), now_us)

    def evaluate(self, caller: Caller, submissions: Sequence[Submission]) -> list[dict[str, Json]]:
        """Decide events in the order given, and return what their caller is told.

        An id that was used before is answered as before and counts once; 409 when it was another event's then.
        """
        organization, now_us = caller.organization, round(self.store.seconds() * 1_000_000)
        batch = _Batch(self.store, caller)
        try:
            with self.store.write() as connection:
                known = _find_known(connection, organization, submissions)
                _refuse_reused(known, submissions)
                engine = self.engines.of(connection, organization, read_mode(connection, organization), now_us)
                for each in submissions:
                    if each.event.event_id not in known:
                        known[each.event.event_id] = batch.add(engine, each, now_us)
                self._write(connection, engine, batch)
        except BaseException:
            if batch.decisions:  # in memory they happened
                self.engines.drop(organization)
            raise
        return [to_reply(known[each.event.event_id]) for each in submissions]

    def _write(self, connection: sa.Connection, engine: OrganizationEngine, batch: _Batch) -> None:
        if not batch.decisions:
            return
        organization = batch.caller.organization
        add_records(connection, organization, [row for row, lasts in batch.rows if lasts or self._is_sampled(row)])
        if batch.findings:
            rows = [{"organization": organization, **each} for each in batch.findings]
            connection.execute(findings.insert(), rows)
            told = [finding_to_wire(row) for row in rows]
            violations = [("violation", each) for each in told if each["kind"] == "violation"]
            alerts = [("alert", each) for each in told if each["is_alert"]]
            tell_all(connection, organization, [*violations, *alerts])
            if self.notifies and alerts:
                queue_notices(connection, organization, [each for _, each in alerts], self.store.seconds())
        engine.save(connection, batch.decisions)

    def _is_sampled(self, row: dict[str, Any]) -> bool:
        if self.sample >= 1:
            return True
        digest = hashlib.sha256(row["event_id"].encode()).digest()
        return int.from_bytes(digest[:8], "big") < self.sample * 2**64


@dataclass(slots=True)
class _Batch:
    """What came of the events so far; a row stands with whether it is kept whatever the sample."""

    store: Store
    caller: Caller
    decisions: list[Decision] = field(default_factory=list)
    rows: list[tuple[dict[str, Any], bool]] = field(default_factory=list)
    findings: list[dict[str, Any]] = field(default_factory=list)

    def add(self, engine: OrganizationEngine, submission: Submission, now_us: int) -> dict[str, Any]:
        decision = engine.decide(submission.event, now_us)
        self.decisions.append(decision)
        found = make_findings(decision, engine.policies, self.store.make_id)
        row = make_row(
            decision,
            engine.policies,
            found,
            revision=engine.revision,
            caller=self.caller.user_id,
            fingerprint=submission.fingerprint,
        )
        self.findings += found
        self.rows.append((row, engine.matters_later() or is_notable(row)))
        return row


def _find_known(
    connection: sa.Connection, organization: str, submissions: Sequence[Submission]
) -> dict[str, dict[str, Any]]:
    """The rows of those ids that were used before."""
    ids = [each.event.event_id for each in submissions]
    rows = connection.execute(_KNOWN, {"organization": organization, "ids": ids}).mappings()
    return {row["event_id"]: dict(row) for row in rows}


#: Made once: this is asked for every event.
_KNOWN: Final = sa.select(events).where(
    events.c.organization == sa.bindparam("organization"),
    events.c.event_id.in_(sa.bindparam("ids", expanding=True)),
)


def _refuse_reused(known: dict[str, dict[str, Any]], submissions: Sequence[Submission]) -> None:
    """Otherwise whoever chooses ids could have an allowed event's answer for another event."""
    used = {event_id: row["fingerprint"] for event_id, row in known.items()}
    for each in submissions:
        if used.setdefault(each.event.event_id, each.fingerprint) != each.fingerprint:
            raise ApiError(409, f"event_id was used for another event: {each.event.event_id[:100]}")
