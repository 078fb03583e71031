"""Violations and alerts: two lists of one kind, with filters, live, and buttons that settle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from fastapi import APIRouter
from starlette.responses import Response

from reconciler.core.model import Json
from reconciler.semantics.program import SEVERITIES
from reconciler.server.enforcement.findings import FindingFilter, Kind, Status, list_findings, settle
from reconciler.server.pages.findings import policies_with_findings
from reconciler.server.pages.problems import PageError
from reconciler.server.pages.query import read_before, read_filters
from reconciler.server.pages.render import back, go, page
from reconciler.server.pages.visit import AdminSending, Looking, Visit
from reconciler.server.preconditions.changing import changing
from reconciler.server.replies import ApiError

PAGE_SIZE: Final = 50
_FILTERS: Final = {"status": tuple(Status), "severity": SEVERITIES, "policy": None, "actor": None}
_VERBS: Final = {"acknowledge": Status.ACKNOWLEDGED, "resolve": Status.RESOLVED}

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True, slots=True)
class Findings:
    """The part of the list, newest first, as the API shows findings; how many fit; where the next part goes on."""

    findings: Sequence[Mapping[str, Json]]
    total: int
    next: int | None


@router.get("/violations")
@router.get("/violations.json")
def violations(visit: Looking) -> Response:
    return _list(visit, Kind.VIOLATIONS)


@router.get("/alerts")
@router.get("/alerts.json")
def alerts(visit: Looking) -> Response:
    return _list(visit, Kind.ALERTS)


@router.post("/alerts/{finding_id}/{verb}")
def settle_alert(finding_id: str, verb: str, sent: AdminSending) -> Response:
    return _settle(sent, Kind.ALERTS, finding_id, verb)


@router.post("/violations/{finding_id}/{verb}")
def settle_violation(finding_id: str, verb: str, sent: AdminSending) -> Response:
    return _settle(sent, Kind.VIOLATIONS, finding_id, verb)


def _list(visit: Visit, kind: Kind) -> Response:
    filters, before = read_filters(visit.request, _FILTERS), read_before(visit.request)
    wanted = FindingFilter(
        kind,
        policy=filters.get("policy"),
        actor=filters.get("actor"),
        severity=filters.get("severity"),
        status=filters.get("status"),
    )
    organization = visit.caller.organization
    with visit.store.read() as connection:
        found = list_findings(connection, organization, wanted, limit=PAGE_SIZE, below=before)
        policies = policies_with_findings(connection, organization)
    url = visit.request.url
    return page(
        visit,
        kind.value,
        Findings(found.findings, found.total, found.below),
        title=kind.value.capitalize(),
        template="findings.html",
        filters={name: filters.get(name, "") for name in _FILTERS} | {"before": before},
        kept=filters,
        policies=policies,
        severities=SEVERITIES,
        statuses=tuple(Status),
        here=f"{url.path}?{url.query}" if url.query else url.path,
    )


def _settle(sent: AdminSending, kind: Kind, finding_id: str, verb: str) -> Response:
    """Acknowledge or resolve by the function that the API calls; what it refuses is said as a page."""
    visit, status = sent.visit, _VERBS.get(verb)
    if status is None:
        raise PageError(404, "There is no such page", "Findings are acknowledged or resolved.")
    reason = sent.text("reason")[:2000] or None
    try:
        with changing(visit.asked) as change:
            settle(change.connection, visit.asked, kind, finding_id, status, reason)
    except ApiError as error:
        raise PageError(error.status, "That was not possible", f"{error.sentence}. Nothing was changed.") from error
    return go(back(visit.request, f"/{kind.value}"), note=status.value)
