"""Evaluation records: a decision as a row of `events`, a row as the event it was, a row as the reply to its caller.

The reply is made of the row alone, so an event that is sent again is answered as before.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Final

from reconciler.core.canonical import ascii_lower, canonical_json
from reconciler.core.model import Json
from reconciler.semantics.columns import COLUMNS
from reconciler.semantics.decide import Decision
from reconciler.semantics.events import MADE, Event, event_to_json
from reconciler.semantics.interpret import Outcome, Verdict
from reconciler.semantics.normal import parse_address
from reconciler.semantics.program import Effect
from reconciler.server.enforcement.policies import Policy
from reconciler.server.enforcement.tables import LISTS, events

#: What the server says of an event; a caller who says it is refused.
OURS: Final = ("seq", "decision", "policy_revision")
#: Columns that say what happened, as an event and as a row have them.
RECORDED: Final = tuple(name for name in COLUMNS if name in events.c and name not in ("decision", "policy_revision"))
_READ: Final = tuple(each.name for each in fields(Event) if each.name not in MADE and each.name in events.c)


@dataclass(frozen=True, slots=True)
class Submission:
    """An event that somebody wants decided; its time and place in the order are not known yet."""

    event: Event
    fingerprint: str


def make_submission(event: Event) -> Submission:
    """The fingerprint is of what happened: not of the id, and not of the caller's clock, which differs on a retry."""
    told = {key: value for key, value in event_to_json(event).items() if key not in _NOT_TOLD}
    return Submission(event, hashlib.sha256(canonical_json(told).encode("ascii")).hexdigest())


_NOT_TOLD: Final = ("event_id", "ts_us", "seq", "client_ts")


def make_findings(
    decision: Decision, policies: Mapping[str, Policy], make_id: Callable[[str], str]
) -> list[dict[str, Any]]:
    """The rows of `findings` that a decision is worth: its violations, and suspensions that nobody was told of yet.

    *policies* are by the engine's names.
    """
    event = decision.event
    loud = {alert.policy for alert in decision.alerts if not alert.suspension}
    held = dict.fromkeys(alert.policy for alert in decision.alerts if alert.suspension)
    verdicts = {verdict.policy: verdict for verdict in decision.verdicts}
    found: list[tuple[str, str, Effect, bool, Verdict | None]] = [
        (key, "violation", verdicts[key].enforced_effect, key in loud, verdicts[key]) for key in decision.violated
    ]
    found += [(key, "suspension", Effect.SUSPEND, True, None) for key in held]
    rows = []
    for key, kind, effect, is_alert, verdict in found:
        policy = policies[key]
        assert policy.program is not None  # noqa: S101 - the engine runs programs only
        rows.append(
            {
                "id": make_id("find-"),
                "kind": kind,
                "is_alert": is_alert,
                "seq": event.seq,
                "event_id": event.event_id,
                "ts_us": event.ts_us,
                "actor_id": event.actor_id,
                "action": event.action,
                "resource": event.resource,
                "system": policy.system,
                "policy_id": policy.policy_id,
                "policy_name": policy.name,
                "policy_type": policy.program.policy_type,
                "revision": policy.revision,
                "severity": policy.program.severity,
                "effect": effect.value,
                "notify_admins": policy.program.notify_admins,
                "clauses": [] if verdict is None else [*verdict.clauses, *verdict.unknown],
                "decision": _decided(decision),
                "mode": decision.mode.value,
                "status": "open",
            }
        )
    return rows


def make_row(
    decision: Decision,
    policies: Mapping[str, Policy],
    findings: Sequence[Mapping[str, Any]],
    *,
    revision: str | None,
    caller: str,
    fingerprint: str,
) -> dict[str, Any]:
    """The row of a decision, with what `make_findings` made of it."""
    event = decision.event
    outcomes = {policies[each.policy].ref: each.outcome for each in decision.verdicts if each.outcome is not Outcome.NA}
    told = {_ref(each): each["id"] for each in findings if each["kind"] == "suspension"}
    suspended = {
        policies[each.policy].ref: {"since_us": each.since_us, "until_us": each.until_us} for each in decision.suspended
    }
    return {
        **{name: _stored(getattr(event, name)) for name in RECORDED},
        "seq": event.seq,
        "decision": _decided(decision),
        "policy_revision": revision,
        "mode": decision.mode.value,
        "would_block": decision.would_block,
        "label": None if decision.label is None else decision.label.value,
        "status": decision.status,
        "retry_after": decision.retry_after_s,
        "primary_policy": None if decision.primary is None else policies[decision.primary].ref,
        "outcomes": {ref: outcome.value for ref, outcome in outcomes.items()},
        "violations": [
            {"policy": _ref(each), "outcome": outcomes[_ref(each)].value, **{name: each[name] for name in _SHOWN}}
            for each in findings
            if each["kind"] == "violation"
        ],
        "suspended": [{"policy": ref, **times, "alert": told.get(ref)} for ref, times in suspended.items()],
        "caller": caller,
        "fingerprint": fingerprint,
    }


_SHOWN: Final = ("id", "policy_name", "policy_type", "severity", "effect", "clauses", "revision", "is_alert")


def is_notable(row: Mapping[str, Any]) -> bool:
    """Whether a record is kept whatever the sample: something was violated, unknown, blocked or suspended."""
    unknown = Outcome.UNKNOWN.value in row["outcomes"].values()
    return bool(row["violations"] or row["suspended"] or row["would_block"] or unknown)


def to_event(row: Mapping[str, Any]) -> Event:
    """The event that a row of `events` tells of, for engines that count it again."""
    columns = {name: row[name] for name in _READ}
    for name in LISTS:
        if columns[name] is not None:
            columns[name] = frozenset(columns[name])
    address = parse_address(columns["source_ip"]) if columns["source_ip"] is not None else None
    family = None if address is None else (address.version, int(address))
    return Event(**columns, address=family, action_key=ascii_lower(columns["action"]))


def to_reply(row: Mapping[str, Any]) -> dict[str, Json]:
    """What the caller is told; the same for a row just made and for one that was read."""
    by_policy = {each["policy"]: each for each in row["violations"]}
    alerts = [{"id": each["id"], "policy": each["policy"], "kind": "violation"} for each in row["violations"]]
    loud = [each for each, violation in zip(alerts, row["violations"], strict=True) if violation["is_alert"]]
    held = [
        {"id": each["alert"], "policy": each["policy"], "kind": "suspension"}
        for each in row["suspended"]
        if each["alert"] is not None
    ]
    return {
        "event_id": row["event_id"],
        "seq": row["seq"],
        "ts_us": row["ts_us"],
        "mode": row["mode"],
        "decision": row["decision"],
        "would_block": row["would_block"],
        "label": row["label"],
        "status": row["status"],
        "retry_after": row["retry_after"],
        "reason": by_policy.get(row["primary_policy"]),
        "outcomes": row["outcomes"],
        "violations": row["violations"],
        "suspended": row["suspended"],
        "alerts": [*loud, *held],
        "policy_revision": row["policy_revision"],
    }


def _decided(decision: Decision) -> str:
    return "block" if decision.is_blocked else "allow"


def _ref(finding: Mapping[str, Any]) -> str:
    return f"{finding['system']}/{finding['policy_id']}"


def _stored(value: Any) -> Any:
    return sorted(value) if isinstance(value, frozenset) else value
