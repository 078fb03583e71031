"""What every policy has whatever its type: whom it looks at, how much it matters, what a violation does (B.3)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from reconciler.core.formats import scope as check_scope
from reconciler.semantics.ast import And, Cmp, Node, Not, Sure
from reconciler.semantics.keys import Keys
from reconciler.semantics.nodes import any_of
from reconciler.semantics.normal import parse_instant
from reconciler.semantics.program import SEVERITIES, Effect, OnMissing
from reconciler.semantics.shared import PERCENT, Data, Meaning, lift, scaled

_EFFECTS: Final[Mapping[str, Effect]] = {
    "allow": Effect.NONE,
    "log": Effect.LOG,
    **dict.fromkeys(("alert", "alert_only", "notify"), Effect.ALERT),
    **dict.fromkeys(("block", "block_request", "deny", "block_and_alert"), Effect.BLOCK),
    "throttle": Effect.THROTTLE,
    "require_approval": Effect.APPROVAL,
    **dict.fromkeys(("suspend_agent", "quarantine"), Effect.SUSPEND),
}
#: AIM's word for the mode of a policy, and what may stand beside it.
_ENFORCED: Final[Mapping[str, tuple[Effect, ...]]] = {
    "allow": (Effect.NONE,),
    "alert_only": (Effect.ALERT,),
    "block_and_alert": (Effect.BLOCK, Effect.THROTTLE, Effect.APPROVAL, Effect.SUSPEND),
}
_RANKS: Final = list(Effect)
_PEOPLE: Final = ("user", "system")
#: Written by servers and reviewers, and of no meaning for events.
_NOTED: Final = ("id", "description", "metadata", "updated_at", "created_by", "organization_id")


@dataclass(frozen=True, slots=True)
class Envelope:
    """The keys around `conditions`; `scope` None is everybody."""

    name: str
    enabled: bool
    severity: str
    priority: int
    scope: Node | None
    on_missing: OnMissing | None
    zone: str
    created_us: int


def read_envelope(keys: Keys, data: Data) -> Envelope:
    """Return everything but the effect, which depends on the type."""
    missing = keys.choice("on_missing", ("default", "violate", "pass"), "default")
    keys.present(_NOTED)
    created = keys.take("created_at")
    priority = keys.whole("priority", low=-(2**53))
    if not keys.has("name"):
        keys.fault("name", "is not there", "write the policy's name", "missing-key")
    return Envelope(
        name=keys.text("name", ""),
        enabled=keys.flag("enabled", default=True),
        severity=keys.choice("severity", SEVERITIES, "medium"),
        priority=priority or 0,
        scope=read_scope(keys, data),
        on_missing=None if missing == "default" else OnMissing(missing),
        zone=keys.zone("UTC"),
        created_us=(parse_instant(created) if isinstance(created, str) else None) or 0,
    )


def read_scope(keys: Keys, data: Data) -> Node | None:
    """Return whom `applies_to` names; None for everybody. Any of several is enough."""
    value = keys.take("applies_to")
    entries = [value] if isinstance(value, str) else value
    if entries is None:
        return None
    if not isinstance(entries, list) or not 0 < len(entries) <= 10_000:
        keys.fault("applies_to", "is no scope", "write all, or a list of scopes")
        return None
    nodes: list[Node] = []
    for entry in entries:
        flaw = check_scope(entry) if isinstance(entry, str) else None
        if not isinstance(entry, str) or len(entry) > 600:
            keys.fault("applies_to", "has an entry that is no scope", "write texts such as role:analyst")
        elif flaw is not None:
            keys.flaw("applies_to", flaw)
        elif entry != "all":
            nodes.append(_scope(entry, data))
    return any_of(tuple(nodes)) if nodes and "all" not in entries else None


def _scope(entry: str, data: Data) -> Node:
    """An id decides by itself; a recorded type of actor only excludes, so that a log without types still counts."""
    kind, _, value = entry.partition(":")
    person = lift("one_of", "actor_type", _PEOPLE)
    match kind:
        case "agent_id":
            return And((lift("matches", "actor_id", (value,), "plain"), Not(Sure(person))))
        case "user":
            other = Not(lift("one_of", "actor_type", ("user",)))
            return And((lift("matches", "actor_id", (value,), "plain"), Not(Sure(other))))
        case "agent_type":
            return lift("one_of", "actor_type", (value,))
        case "role":
            return lift("meets", "actor_roles", (value,))
        case "tenant":
            return lift("one_of", "tenant", (value,))
        case "trust_score_below":
            return Cmp("trust_score", "<", scaled(Decimal(value), PERCENT, data.trust_scale))
        case _:
            return Not(person)


@dataclass(frozen=True, slots=True)
class Consequence:
    """What a violation does."""

    effect: Effect
    duration_us: int | None
    notify_admins: bool


def read_consequence(keys: Keys, meaning: Meaning) -> Consequence:
    """Return the effect that is written, or that of the type; two that contradict each other are a fault."""
    actions = keys.under("actions")
    written = actions.choice("on_violation", _EFFECTS, "") if actions.has("on_violation") else ""
    enforced = keys.choice("enforcement_action", _ENFORCED, "") if keys.has("enforcement_action") else ""
    notify = actions.flag("notify_admins")
    actions.flag("log_violation", "log_attempt")
    duration = actions.span("suspend_duration")
    actions.present(["on_violation"])
    effect = _EFFECTS[written] if written else meaning.demanded or meaning.effect
    if enforced and effect not in _ENFORCED[enforced]:
        if written or meaning.demanded:
            actions.fault("on_violation", f"contradicts enforcement_action: {enforced}", "keep one", "rule-conflict")
        effect = _ENFORCED[enforced][0]
    elif meaning.demanded and effect is not meaning.demanded:
        actions.fault("on_violation", "contradicts the conditions, which suspend", "keep one", "rule-conflict")
    if _RANKS.index(effect) > _RANKS.index(meaning.strongest):
        actions.fault("on_violation", "is more than an alert, and this type is no gate", "write alert", "rule-conflict")
    actions.finish()
    keys.merge(actions)
    return Consequence(effect, meaning.duration_us if duration is None else duration, notify)
