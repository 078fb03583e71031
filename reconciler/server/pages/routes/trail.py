"""The audit trail: a timeline with a lane for git and one for everything else, filters, parts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from fastapi import APIRouter
from starlette.responses import Response

from reconciler.server.pages import views
from reconciler.server.pages.facts import read_policies
from reconciler.server.pages.pictures import draw_lanes
from reconciler.server.pages.query import read_before, read_filters
from reconciler.server.pages.render import page
from reconciler.server.pages.trail import LANES, Chain, read_trail
from reconciler.server.pages.visit import Looking, chains_of
from reconciler.server.trail.query import Wanted

_FILTERS: Final = {"lane": LANES, "actor": None, "action": None, "policy": None, "commit": None, "q": None}

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True, slots=True)
class TrailPage:
    """The entries of this part, newest first; how many fit; where the next part goes on; whether the chain holds."""

    entries: tuple[views.EntryView, ...]
    total: int
    next: int | None
    chain: Chain


@router.get("/trail")
@router.get("/trail.json")
def trail(visit: Looking) -> Response:
    filters, before = read_filters(visit.request, _FILTERS), read_before(visit.request)
    organization, policy = visit.caller.organization, filters.get("policy")
    wanted = Wanted(
        user=filters.get("actor"),
        action=filters.get("action"),
        resource=None if policy is None else f"policy:{policy}",
        commit=filters.get("commit"),
        text=filters.get("q"),
    )
    asked = visit.request.query_params.get("check") == "now"
    chain = chains_of(visit).look(visit.store, organization, asked=asked)
    with visit.store.read() as connection:
        part = read_trail(connection, organization, wanted, lane=filters.get("lane"), before=before)
        policies = views.by_place(read_policies(connection, organization))
    view = TrailPage(tuple(views.entry_view(each, policies) for each in part.entries), part.total, part.next, chain)
    shown = {name: filters.get(name, "") for name in _FILTERS} | {"before": before}
    return page(visit, "trail", view, title="Audit trail", filters=shown, kept=filters, draw_lanes=draw_lanes)
