"""The first page's view: what needs somebody, worst first, and how it stands. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlencode

from reconciler.server.pages.decisions import DecisionDays
from reconciler.server.pages.facts import OUTSIDE
from reconciler.server.pages.findings import DayCounts, OpenAlerts
from reconciler.server.pages.glass import Glass
from reconciler.server.pages.mode import Mode
from reconciler.server.pages.views import EntryView, PolicyView, decision_words, policy_url


@dataclass(frozen=True, slots=True)
class Attention:
    """Something that somebody should look at. `kind` is `chain`, `glass-over`, `alert`, `outside` or `glass`."""

    kind: str
    tone: str
    icon: str
    title: str
    detail: str
    at: str | float | None
    href: str


@dataclass(frozen=True, slots=True)
class Counts:
    policies: int
    enabled: int
    in_git: int
    outside: int
    not_in_git: int
    open_alerts: int
    violations: int


@dataclass(frozen=True, slots=True)
class Overview:
    """The first page: what needs somebody, how it stands, what happened last, requests and violations by day."""

    mode: Mode
    attention: tuple[Attention, ...]
    counts: Counts
    recent: tuple[EntryView, ...]
    violations: DayCounts
    decisions: DecisionDays


def find_attention(
    policies: Sequence[PolicyView], alerts: Sequence[OpenAlerts], *, broken: str | None, now: datetime
) -> tuple[Attention, ...]:
    """Everything that needs somebody, the worst first. *broken* says where the audit chain breaks, if it does."""
    found: list[Attention] = []
    if broken is not None:
        detail = f"An entry was changed, removed or put in behind the server's back: {broken}."
        found.append(Attention("chain", "bad", "chain", "The audit chain is broken", detail, None, "/trail"))
    held = [(policy, policy.glass) for policy in policies if policy.glass is not None]
    found += [_glass_item(policy, glass, now) for policy, glass in held if glass.is_over(now)]
    found += [_alert_item(alert) for alert in alerts]
    found += [_outside_item(each) for each in policies if each.origin == OUTSIDE and each.glass is None]
    found += [_glass_item(policy, glass, now) for policy, glass in held if not glass.is_over(now)]
    return tuple(found)


def _glass_item(policy: PolicyView, glass: Glass, now: datetime) -> Attention:
    state, over = ("on" if glass.enabled else "off"), glass.is_over(now)
    title = f"Break-glass on {policy.name} {'is over, and it is still' if over else 'is running: it is'} {state}"
    detail = f"{glass.started_by}: {glass.reason}"
    return Attention(
        "glass-over" if over else "glass",
        "bad" if over else "doubt",
        "break",
        title,
        detail,
        glass.ends_at,
        _href(policy),
    )


def _alert_item(alerts: OpenAlerts) -> Attention:
    number = "an open alert" if alerts.count == 1 else f"{alerts.count:,} open alerts"
    title = f"{alerts.policy_name}: {number}, {alerts.severity}"
    detail = f"newest: {alerts.actor}, {alerts.action} on {alerts.resource}, {decision_words(alerts.decision)}"
    wanted = urlencode({"status": "open", "policy": f"{alerts.system}/{alerts.policy_id}"})
    return Attention("alert", "bad", "alert", title, detail, alerts.at, f"/alerts?{wanted}")


def _outside_item(policy: PolicyView) -> Attention:
    title = f"{policy.name} was edited outside git"
    return Attention(
        "outside", "doubt", "hand", title, f"{policy.edited_by}: {policy.edit}", policy.edited_at, _href(policy)
    )


def _href(policy: PolicyView) -> str:
    return policy_url(policy.system, policy.id)
