"""Alerts and violations over HTTP: listed, filtered, acknowledged, resolved; and what is enforced at all.

`GET /v1/admin/alerts` and `/v1/admin/violations` take `policy` (id, name or system/id), `agent` or `actor`,
`severity`, `status`, `from`, `to`, `limit` (100; up to 1,000) and `cursor`; newest first, with `total` and `next`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from reconciler.semantics.program import SEVERITIES
from reconciler.server import bodies
from reconciler.server.auth import Admin, Asked, Viewer
from reconciler.server.enforcement.findings import (
    FindingFilter,
    Kind,
    Status,
    list_findings,
    read_finding,
    settle,
)
from reconciler.server.enforcement.policies import load_policies
from reconciler.server.opena2a import read_mode
from reconciler.server.preconditions.changing import changing
from reconciler.server.preconditions.paging import NEXT, make_cursor, read_page
from reconciler.server.replies import ApiError, list_reply, reply
from reconciler.server.trail.query import read_choice, read_instant, read_parameters

_FILTERS: Final = ("policy", "agent", "actor", "severity", "status", "from", "to")
_USUAL_LIMIT: Final = 100
_MOST_REASON: Final = 2000

router = APIRouter(prefix="/v1/admin")


@router.get("/alerts")
def list_alerts(asked: Viewer) -> JSONResponse:
    return _list(asked, Kind.ALERTS)


@router.get("/alerts/{finding_id}")
def get_alert(finding_id: str, asked: Viewer) -> JSONResponse:
    return _get(asked, Kind.ALERTS, finding_id)


@router.post("/alerts/{finding_id}/acknowledge")
def acknowledge_alert(finding_id: str, asked: Admin) -> JSONResponse:
    return _settle(asked, Kind.ALERTS, finding_id, Status.ACKNOWLEDGED)


@router.post("/alerts/{finding_id}/resolve")
def resolve_alert(finding_id: str, asked: Admin) -> JSONResponse:
    return _settle(asked, Kind.ALERTS, finding_id, Status.RESOLVED)


@router.get("/violations")
def list_violations(asked: Viewer) -> JSONResponse:
    return _list(asked, Kind.VIOLATIONS)


@router.get("/violations/{finding_id}")
def get_violation(finding_id: str, asked: Viewer) -> JSONResponse:
    return _get(asked, Kind.VIOLATIONS, finding_id)


@router.post("/violations/{finding_id}/acknowledge")
def acknowledge_violation(finding_id: str, asked: Admin) -> JSONResponse:
    return _settle(asked, Kind.VIOLATIONS, finding_id, Status.ACKNOWLEDGED)


@router.post("/violations/{finding_id}/resolve")
def resolve_violation(finding_id: str, asked: Admin) -> JSONResponse:
    return _settle(asked, Kind.VIOLATIONS, finding_id, Status.RESOLVED)


@router.get("/enforcement-status")
def get_enforcement_status(asked: Viewer) -> JSONResponse:
    """Which policies are enforced, and of the others why not: off, nothing a machine can check, or not understood."""
    organization = asked.caller.organization
    with asked.store.read() as connection:
        mode = read_mode(connection, organization)
        found = load_policies(connection, organization, asked.request.app.state.options.data)
    enforced = {policy.ref for policy in found.enforced}
    policies = [
        {
            "policy": each.ref,
            "name": each.name,
            "enabled": each.enabled,
            "enforced": each.ref in enforced,
            "problems": list(each.problems),
            "not_checked": [] if each.program is None else [*each.program.unchecked, *each.program.not_replayed],
            "revision": each.revision,
        }
        for each in found.policies
    ]
    return reply({"mode": mode, "policies": policies, "total": len(policies), "policy_revision": found.revision})


def _list(asked: Asked, kind: Kind) -> JSONResponse:
    given = read_parameters(asked.request.query_params.multi_items(), (*_FILTERS, "limit", "cursor"), 400)
    page = read_page(asked.request, 400)
    with asked.store.read() as connection:
        found = list_findings(
            connection,
            asked.caller.organization,
            _wanted(given, kind),
            limit=page.limit or _USUAL_LIMIT,
            below=page.after if "cursor" in given else None,
        )
    cursor = None if found.below is None else make_cursor(found.below)
    headers = {} if cursor is None else {NEXT: cursor}
    return list_reply({kind.value: found.findings, "total": found.total, "next": cursor}, found.total, headers)


def _wanted(given: Mapping[str, str], kind: Kind) -> FindingFilter:
    if "agent" in given and "actor" in given:
        raise ApiError(400, "agent and actor ask for the same: give one of them")
    return FindingFilter(
        kind,
        policy=given.get("policy"),
        actor=given.get("actor", given.get("agent")),
        severity=read_choice(given, "severity", SEVERITIES, 400),
        status=read_choice(given, "status", tuple(Status), 400),
        since=read_instant(given, "from", 400),
        until=read_instant(given, "to", 400),
    )


def _get(asked: Asked, kind: Kind, finding_id: str) -> JSONResponse:
    with asked.store.read() as connection:
        found = read_finding(connection, asked.caller.organization, kind, finding_id)
    return reply({_ONE[kind]: found})


def _settle(asked: Asked, kind: Kind, finding_id: str, status: Status) -> JSONResponse:
    """The body may be left out, or be `{"reason": "…"}`."""
    body = asked.body() if asked.request.scope["reconciler.body"] else {}
    bodies.check_fields(body, {"reason": bodies.text(_MOST_REASON)}, status=400, nullable=("reason",))
    given = body.get("reason")
    with changing(asked) as change:
        reason = None if given is None else str(given)
        found = settle(change.connection, asked, kind, finding_id, status, reason)
        return change.reply({_ONE[kind]: found})


_ONE: Final = {Kind.ALERTS: "alert", Kind.VIOLATIONS: "violation"}
