"""NeoSC's rules are sentences. What a machine can say about a change of them (semantics.md B.12, E.3).

A sentence means something only through `metadata.checks` of its own side, or by standing in the phrase table. All
others are text whose change nobody can judge.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeAlias

from reconciler.core.canonical import ascii_lower
from reconciler.core.model import Body, Json, Risk

Check: TypeAlias = Mapping[str, Json]
_Rules: TypeAlias = "Sequence[tuple[str, Check | None]]"

#: Sentences that mean one thing, in lower case; nothing is read into any other text.
PHRASES: Final[Mapping[str, Check]] = {
    "require mfa for login": {"require_mfa": True, "actions": ["login", "sso_login"]},
    "no direct connections": {"require_tunnel": True},
    "all connections through encrypted netbird tunnels": {"require_tunnel": True},
    "wireguard encryption": {"tunnel_protocols": ["wireguard"]},
    "identity verification": {"require_identity_verified": True},
    "record screen activity": {"require_recording": True, "actions": ["launch_workspace*"]},
    "allow eu and us only": {"allowed_countries": ["EU", "US"]},
}
#: Known sentences that no event can tell kept from broken: a preference, a state, or a list that is not there.
NOT_CHECKABLE: Final = frozenset(
    {
        "webauthn preferred",
        "totp as fallback",
        "log keystrokes for audit",
        "30-day retention",
        "log all blocked attempts",
        "block ips from sanctioned countries",
    }
)


def check_of(rule: str, checks: Body | None) -> Check | None:
    """Return what a rule demands: its check in git if it has one, else its meaning in the phrase table, else None."""
    check = None if checks is None else checks.get(rule)
    if isinstance(check, dict):
        return check
    return PHRASES.get(ascii_lower(rule))


def rules_risk(
    old: Sequence[str],
    new: Sequence[str],
    old_checks: Body | None,
    new_checks: Body | None,
    compare: Callable[[Check, Check], Risk],
) -> Risk:
    """Return the direction of a change of rules; unknown as soon as one text that changed has no check.

    Rules are violated when any of them is. Old ones are covered if a new one demands as much, and new ones are no
    addition if an old one demanded as much; *compare* says how one check relates to another. New order alone is
    unknown too, unless every rule has a check.
    """
    if list(old) == list(new):
        return Risk.NEUTRAL
    touched = set(old) ^ set(new)
    if [rule for rule in old if rule in new] != [rule for rule in new if rule in old]:
        touched = {*old, *new}
    before = [(rule, check_of(rule, old_checks)) for rule in old]
    after = [(rule, check_of(rule, new_checks)) for rule in new]
    if any(check is None for rule, check in (*before, *after) if rule in touched):
        return Risk.UNKNOWN

    def covered(checks: _Rules, others: _Rules, fine: Risk, *, turned: bool) -> bool:
        return all(
            any(
                (compare(other, check) if turned else compare(check, other)) in (Risk.NEUTRAL, fine)
                for _, other in others
                if other is not None
            )
            for rule, check in checks
            if rule in touched and check is not None
        )

    stays = covered(before, after, Risk.TIGHTENS, turned=False)
    adds_nothing = covered(after, before, Risk.WEAKENS, turned=True)
    if stays:
        return Risk.NEUTRAL if adds_nothing else Risk.TIGHTENS
    return Risk.WEAKENS if adds_nothing else Risk.UNKNOWN
