"""Policies: the list, the matrix, one with its history, and its switch."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import sqlalchemy as sa
from fastapi import APIRouter
from starlette.responses import Response

from reconciler.server.pages import differences, views
from reconciler.server.pages.facts import (
    GIT,
    OUTSIDE,
    SWITCHABLE,
    SYSTEMS,
    UNMANAGED,
    Policy,
    find_policy,
    read_policies,
)
from reconciler.server.pages.findings import DayCounts, count_by_day
from reconciler.server.pages.glass import read_glasses
from reconciler.server.pages.pictures import draw_bars
from reconciler.server.pages.problems import PageError
from reconciler.server.pages.query import read_filters
from reconciler.server.pages.render import back, go, page
from reconciler.server.pages.routes.overview import DAYS
from reconciler.server.pages.states import read_states
from reconciler.server.pages.switching import flip
from reconciler.server.pages.trail import read_trail
from reconciler.server.pages.views import policy_url
from reconciler.server.pages.visit import AdminSending, Looking
from reconciler.server.preconditions.changing import changing
from reconciler.server.trail.query import Wanted

_FILTERS: Final = {
    "system": tuple(SYSTEMS),
    "origin": (GIT, OUTSIDE, UNMANAGED),
    "switch": ("on", "off"),
    "q": None,
}
_SUFFIX: Final = ".json"
_SHOWN_HISTORY: Final = 50

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True, slots=True)
class Policies:
    """The policies that fit, and how many there are."""

    policies: tuple[views.PolicyView, ...]
    total: int


@dataclass(frozen=True, slots=True)
class PolicyPage:
    """One policy: what its last change did, how often it was violated, what to type for more, its history."""

    policy: views.PolicyView
    diff: differences.Difference | None
    violations: DayCounts
    commands: tuple[str, ...]
    history: tuple[views.EntryView, ...]


@router.get("/policies")
@router.get("/policies.json")
def policies(visit: Looking) -> Response:
    filters = read_filters(visit.request, _FILTERS)
    with visit.store.read() as connection:
        found = read_policies(connection, visit.caller.organization)
        glasses = read_glasses(connection, visit.caller.organization)
    shown = tuple(views.policy_view(each, glasses) for each in found if _fits(each, filters))
    kept = {name: filters.get(name, "") for name in _FILTERS}
    here = _here(visit.request.url.path, visit.request.url.query)
    view = Policies(shown, len(found))
    return page(visit, "policies", view, title="Policies", filters=kept, systems=SYSTEMS, here=here)


@router.get("/matrix")
@router.get("/matrix.json")
def matrix(visit: Looking) -> Response:
    with visit.store.read() as connection:
        found = read_policies(connection, visit.caller.organization)
    return page(visit, "matrix", views.matrix(found), title="Matrix")


@router.get("/policies/{system}/{policy_id}")
def policy(system: str, policy_id: str, visit: Looking) -> Response:
    """The policy of that id; else, for an id that ends in `.json`, the JSON of the one without it."""
    organization, now = visit.caller.organization, datetime.fromtimestamp(visit.store.seconds(), UTC)
    with visit.store.read() as connection:
        found = read_policies(connection, organization)
        chosen = find_policy(found, system, policy_id)
        as_json = chosen is None and policy_id.endswith(_SUFFIX)
        if as_json:
            chosen = find_policy(found, system, policy_id.removesuffix(_SUFFIX))
        if chosen is None:
            raise no_policy()
        glasses = read_glasses(connection, organization)
        wanted = Wanted(system=system, resource=f"policy:{chosen.id}")
        entries = read_trail(connection, organization, wanted, limit=_SHOWN_HISTORY).entries
        states = read_states(connection, organization, system, chosen.id)
        violations = count_by_day(connection, organization, now, days=DAYS, policy=(system, chosen.id))
    shown = views.policy_view(chosen, glasses)
    view = PolicyPage(
        policy=shown,
        diff=differences.last_difference(system, states, entries),
        violations=violations,
        commands=views.commands(shown),
        history=tuple(views.entry_view(each, views.by_place(found)) for each in entries),
    )
    return page(visit, "policy", view, title=chosen.name, as_json=as_json, draw_bars=draw_bars)


@router.post("/policies/{system}/{policy_id}/switch")
def switch(system: str, policy_id: str, sent: AdminSending) -> Response:
    """Set the switch to what the form says. Sent twice it is set once; what git manages is refused."""
    wanted = sent.text("enabled")
    if wanted not in ("on", "off"):
        raise PageError(400, "That form could not be used", "It does not say on or off. Nothing was changed.")
    with changing(sent.visit.asked) as change:
        found = find_switchable(change.connection, sent.visit.caller.organization, system, policy_id)
        if found.origin.git is not None:
            sentence = f"Git manages {found.name}. Change it there, or break the glass. Nothing was changed."
            raise PageError(409, "This switch is locked", sentence)
        if found.enabled != (wanted == "on"):
            flip(change.connection, sent.visit.asked, found)
    own = policy_url(system, policy_id)
    is_from_own = sent.visit.request.headers.get("referer", "").partition("?")[0].endswith(own)
    return go(own if is_from_own else back(sent.visit.request, "/policies"), note=wanted)


def find_switchable(connection: sa.Connection, organization: str, system: str, policy_id: str) -> Policy:
    """The policy whose switch is to be moved here; 404 when there is none, 409 when its switch is not ours to move."""
    found = find_policy(read_policies(connection, organization), system, policy_id)
    if found is None:
        raise no_policy()
    if system not in SWITCHABLE:
        sentence = f"{SYSTEMS[system]} records no change of a policy, so only its own API makes them."
        raise PageError(409, "This switch is not moved here", sentence)
    return found


def _fits(policy: Policy, filters: dict[str, str]) -> bool:
    text = filters.get("q", "").casefold()
    return (
        filters.get("system") in (None, policy.system)
        and filters.get("origin") in (None, policy.origin.state)
        and filters.get("switch") in (None, "on" if policy.enabled else "off")
        and any(text in each.casefold() for each in (policy.name, policy.id, policy.description, policy.kind))
    )


def _here(path: str, query: str) -> str:
    return f"{path}?{query}" if query else path


def no_policy() -> PageError:
    return PageError(404, "There is no such policy", "It was removed, or never was. The list has what is there.")
