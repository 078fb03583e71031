"""Agents that change under our eyes, and logins that fail (semantics.md B.11, B.12)."""

from __future__ import annotations

from typing import Final, Literal

from reconciler.semantics.ast import And, Count, Is, Limit, Node, Not, Or, Prev, Sure
from reconciler.semantics.keys import MINUTE_US, Keys
from reconciler.semantics.program import Clause, Effect, OnMissing, State
from reconciler.semantics.shared import Context, Meaning, lift, must_find, must_prove

_ACTOR: Final = ("actor_id",)
_DANGEROUS: Final = ("admin:*", "*:delete", "system:*", "security:*")
_LOGINS: Final = ("login", "sso_login")
#: What ends the quarantine after a change of keys.
_APPROVING: Final = ("approve_key_rotation",)


def config_drift(context: Context) -> Meaning:
    """Capabilities other than before or than agreed, keys that changed without approval, dangerous capabilities."""
    keys = context.keys
    return Meaning((*_capability_changes(keys), *_key_rotations(keys), *_escalation(keys)))


def _capability_changes(keys: Keys) -> list[Clause]:
    baseline = keys.texts("baseline_capabilities")
    direction: Literal["any", "added", "removed"] = "any"
    match keys.choice("direction", ("any", "added", "removed"), "any"):
        case "added":
            direction = "added"
        case "removed":
            direction = "removed"
    if not keys.flag("check_capability_changes"):
        return []
    changed: Node = Prev(_ACTOR, "capabilities", direction)
    if baseline is not None:
        changed = lift("differs", "capabilities", baseline, direction)
    return [must_find("check_capability_changes", changed)]


def _key_rotations(keys: Keys) -> list[Clause]:
    """A key that changed, by its own column or by another fingerprint than before, and nobody approved it.

    One of the two columns is enough to know. Whether the key changed has to be found, that it was approved has to be
    proven: hence two clauses, which only differ in what null means on the live server.
    """
    quarantine = keys.flag("quarantine_until_approved")
    approval = keys.flag("require_key_rotation_approval", default=True)
    if not keys.flag("check_key_rotations") or not approval:
        return []
    said, seen = Is("public_key_changed"), Prev(_ACTOR, "public_key_fp")
    surely = Or((Sure(said), Sure(seen)))
    unapproved = Not(Is("key_rotation_approved"))
    state = State(None, _APPROVING) if quarantine else None
    return [
        must_prove("check_key_rotations", And((surely, unapproved)), state),
        Clause("check_key_rotations", And((Or((surely, And((said, seen)))), unapproved)), OnMissing.PASS, state),
    ]


def _escalation(keys: Keys) -> list[Clause]:
    dangerous = keys.texts("dangerous_capabilities")
    patterns = _DANGEROUS if dangerous is None else dangerous
    only_new = keys.flag("only_new")
    if not keys.flag("check_permission_escalation") or not patterns:
        return []
    found: Node = lift("some_match", "capabilities", patterns, "plain")
    if only_new:
        found = Prev(_ACTOR, "capabilities", "added", patterns)
    return [must_find("check_permission_escalation", found)]


def failed_logins(most: int, window_us: int, actions: tuple[str, ...] = _LOGINS) -> Node:
    """A failed login, and at least so many of them by the actor within the window, this one included."""
    login, failed = lift("matches", "action_key", actions, "folded"), Not(Is("success"))
    count = Count(_ACTOR, window_us, Limit(most - 1), where=And((login, failed)))
    return And((login, failed, count))


def auth_failure(context: Context) -> Meaning:
    """Too many failed logins suspend for as long as the lockout lasts."""
    keys = context.keys
    most = keys.whole("max_attempts", low=1) or 5
    window, lockout = keys.span("time_window") or 15 * MINUTE_US, keys.span("lockout_duration") or 30 * MINUTE_US
    actions = keys.some_texts("login_actions") or _LOGINS
    clause = must_find("max_attempts", failed_logins(most, window, actions))
    return Meaning((clause,), effect=Effect.SUSPEND, duration_us=lockout)
