"""The first page: what needs somebody, how it stands, what happened last."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from fastapi import APIRouter
from starlette.responses import Response

from reconciler.server.pages import views
from reconciler.server.pages.attention import Counts, Overview, find_attention
from reconciler.server.pages.decisions import count_decisions
from reconciler.server.pages.facts import GIT, OUTSIDE, UNMANAGED, read_policies
from reconciler.server.pages.findings import count_by_day, open_alerts
from reconciler.server.pages.glass import read_glasses
from reconciler.server.pages.mode import read_mode
from reconciler.server.pages.pictures import draw_bars, draw_decisions
from reconciler.server.pages.render import page
from reconciler.server.pages.trail import read_trail
from reconciler.server.pages.visit import Looking, Visit, chains_of
from reconciler.server.trail.query import Wanted

DAYS: Final = 14
_SHOWN_ENTRIES: Final = 8

router = APIRouter(include_in_schema=False)


@router.get("/")
@router.get("/overview.json")
def overview(visit: Looking) -> Response:
    return page(
        visit, "overview", make_overview(visit), title="Overview", draw_bars=draw_bars, draw_decisions=draw_decisions
    )


def make_overview(visit: Visit) -> Overview:
    """Read everything in one transaction but the chain, which has its own way of reading."""
    organization, now = visit.caller.organization, datetime.fromtimestamp(visit.store.seconds(), UTC)
    chain = chains_of(visit).look(visit.store, organization)
    with visit.store.read() as connection:
        policies, glasses = read_policies(connection, organization), read_glasses(connection, organization)
        alerts = open_alerts(connection, organization)
        recent = read_trail(connection, organization, Wanted(), limit=_SHOWN_ENTRIES).entries
        mode = read_mode(connection, organization)
        violations = count_by_day(connection, organization, now, days=DAYS)
        decisions = count_decisions(connection, organization, now, days=DAYS)
    shown, places = [views.policy_view(each, glasses) for each in policies], views.by_place(policies)
    states = [each.origin for each in shown]
    return Overview(
        mode=mode,
        attention=find_attention(shown, alerts, broken=chain.broken, now=now),
        counts=Counts(
            policies=len(shown),
            enabled=sum(each.enabled for each in shown),
            in_git=states.count(GIT),
            outside=states.count(OUTSIDE),
            not_in_git=states.count(UNMANAGED),
            open_alerts=sum(each.count for each in alerts),
            violations=violations.total,
        ),
        recent=tuple(views.entry_view(each, places) for each in recent),
        violations=violations,
        decisions=decisions,
    )
