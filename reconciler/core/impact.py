"""What a change of policies would have done to recorded events, as values (semantics.md F).

Counts are of requests. Everything is computed as if the mode were strict; `mode` says what it is. Actors are shown as
recorded, addresses and resources only as far as a reader of a pull request may know them: see `redacted`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import Final

#: Examples and actors that are listed; the counts are complete.
MOST_LISTED: Final = 10


@dataclass(frozen=True, slots=True)
class Example:
    """One request that the change touches; `at` in RFC 3339, `policy` the key of the policy that decides."""

    at: str
    actor: str
    action: str
    resource: str
    address: str | None
    policy: str


@dataclass(frozen=True, slots=True)
class ChangeImpact:
    """What one changed policy does.

    `masked`: blocked by another policy anyway. `only`: blocked by this policy and no other. `throttled` and
    `needs_approval` are kinds of block, and not counted in `newly_blocked`. `consequential` are requests of actors that
    this policy suspends. What alerts is counted whatever it does besides. `in_scope` is how many events it looked at;
    of these `coverage` says for each column that it needs which share was recorded.
    """

    key: str
    newly_blocked: int = 0
    throttled: int = 0
    needs_approval: int = 0
    consequential: int = 0
    masked: int = 0
    only: int = 0
    maybe_blocked: int = 0
    newly_allowed: int = 0
    maybe_allowed: int = 0
    newly_alerting: int = 0
    no_longer_alerting: int = 0
    blocked_actors: int = 0
    in_scope: int = 0
    actors: tuple[tuple[str, int], ...] = ()
    first: tuple[Example, ...] = ()
    coverage: tuple[tuple[str, float], ...] = ()
    not_replayed: tuple[str, ...] = ()
    unchecked: tuple[str, ...] = ()

    @property
    def blocked(self) -> int:
        """Requests that the policy itself would newly stop, whatever the kind."""
        return self.newly_blocked + self.throttled + self.needs_approval


@dataclass(frozen=True, slots=True)
class Fidelity:
    """The current policies replayed against the decisions on record: how many agree, and why others do not."""

    compared: int
    agree: int
    reasons: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Day:
    """One UTC day: requests newly stopped and newly let through."""

    date: str
    newly_blocked: int
    newly_allowed: int


@dataclass(frozen=True, slots=True)
class Impact:
    """The preview of one plan over one folder of events.

    `newly_blocked` and the rest count each request once, however many policies stop it; `consequential` are those among
    them that only a suspension stops. `warnings` say what the events cannot tell.
    """

    events: int
    actors: int
    first: str | None
    last: str | None
    changes: tuple[ChangeImpact, ...]
    newly_blocked: int = 0
    newly_blocked_actors: int = 0
    newly_allowed: int = 0
    maybe_blocked: int = 0
    maybe_allowed: int = 0
    consequential: int = 0
    days: tuple[Day, ...] = ()
    fidelity: Fidelity | None = None
    warnings: tuple[str, ...] = ()

    def of(self, key: str) -> ChangeImpact | None:
        """Return what the change of one policy does."""
        return next((each for each in self.changes if each.key == key), None)


def shortened_address(text: str | None) -> str | None:
    """Return the network of an address: /24, or /48 for IPv6; None for what is no address.

    >>> shortened_address("192.168.200.7"), shortened_address("2001:db8:1:2::1"), shortened_address("me")
    ('192.168.200.0/24', '2001:db8:1::/48', None)
    """
    if text is None:
        return None
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return str(ip_network((address, 24 if address.version == 4 else 48), strict=False))


def shortened_resource(text: str) -> str:
    """Return the first two segments of a resource, and a hash of the rest: equal resources stay equal.

    Segments end with `/` or `:`; the scheme of a URL is one.

    >>> shortened_resource("hr/payroll/us/17"), shortened_resource("policy:pol-1")
    ('hr/payroll/…b8dcc1', 'policy:pol-1')
    >>> shortened_resource("https://crm.example.com/anna"), shortened_resource("customer:4711:phone")
    ('https://crm.example.com/…6d7c10', 'customer:4711:…1b6e89')
    """
    parts = re.split(r"(?<=[/:])(?!/)", text, maxsplit=2)
    if len(parts) < 3 or not parts[2]:
        return text
    return f"{parts[0]}{parts[1]}…{hashlib.sha256(text.encode()).hexdigest()[:6]}"


def redacted(example: Example) -> Example:
    """Return an example as a pull request may show it (semantics.md F)."""
    return Example(
        example.at,
        example.actor,
        example.action,
        shortened_resource(example.resource),
        shortened_address(example.address),
        example.policy,
    )


def over_budget(impact: Impact, budgets: Mapping[str, float]) -> tuple[str, ...]:
    """Return the names of the budgets that *impact* exceeds; equal to a budget is within it."""
    share = impact.newly_blocked / impact.events if impact.events else 0.0
    measured = {
        "max_newly_blocked": float(impact.newly_blocked),
        "max_newly_blocked_actors": float(impact.newly_blocked_actors),
        "max_newly_blocked_share": share,
    }
    return tuple(name for name, value in measured.items() if name in budgets and value > budgets[name])
