"""`POST /v1/evaluate`: may this happen? One event (semantics.md C) in, a decision out; `/batch` for up to 1,000.

    {"event_id": "e-1", "actor_id": "agent-7", "action": "read_file", "resource": "hr/17", "source_ip": "10.0.0.4"}

An event has the columns of the event schema and no others. `actor_id`, `action` and `resource` have to be there;
without an `event_id` it gets one, and with one it may be sent again, after a timeout for example: it is answered as
before and counts once. `ts_us` is the caller's clock, kept as `client_ts`: the order is the order of arrival
(semantics.md B.2). The reply is 200 whatever was decided; with `?http=true` it is 403 for what is blocked and 429 with
`Retry-After` for what is throttled, and has an `error` beside the decision.

    {"decision": "allow" | "block", "would_block": bool, "mode": "monitoring" | "strict",
     "label": null | "blocked" | "throttled" | "approval_required" | "suspended", "status": 200 | 403 | 429,
     "retry_after": seconds | null, "reason": the violation that blocks first | null,
     "outcomes": {"opena2a/policy_…": "PASS" | "VIOLATE" | "UNKNOWN"}, "violations": […], "suspended": […],
     "alerts": [{"id", "policy", "kind"}], "policy_revision": commit | null, "event_id", "seq", "ts_us"}

A policy that is not among the `outcomes` does not look at such an event.
"""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from reconciler.core.model import Json
from reconciler.semantics.events import Event, parse_event
from reconciler.server import bodies
from reconciler.server.auth import Evaluator
from reconciler.server.enforcement import evaluating
from reconciler.server.enforcement.records import OURS, Submission, make_submission
from reconciler.server.replies import ApiError, reply
from reconciler.server.store import Store

MOST_EVENTS: Final = 1000
_SENTENCES: Final = {
    "blocked": "Blocked by policy",
    "throttled": "Too many requests",
    "approval_required": "Approval required",
    "suspended": "Actor is suspended",
}

router = APIRouter(prefix="/v1")


@router.post("/evaluate")
def evaluate(asked: Evaluator) -> JSONResponse:
    """Decide one event, and record it."""
    as_status = _reads_status(asked.request)
    submission = _read(asked.store, asked.body(), "")
    decided = _evaluator(asked.request).evaluate(asked.caller, [submission])[0]
    if not as_status or decided["status"] == 200:
        return reply(decided)
    label, wait = str(decided["label"]), decided["retry_after"]
    headers = {} if wait is None else {"Retry-After": str(wait)}
    body = {"error": _SENTENCES[label], "code": label, **decided}
    return reply(body, 429 if decided["status"] == 429 else 403, headers)


@router.post("/evaluate/batch")
def evaluate_batch(asked: Evaluator) -> JSONResponse:
    """Decide events in the order given, all or none; the reply has a decision for each, in the same order."""
    body = asked.body()
    bodies.check_fields(body, {"events": _is_list}, status=400, required=("events",))
    given = body["events"]
    assert isinstance(given, list)  # noqa: S101 - checked above
    if not 0 < len(given) <= MOST_EVENTS:
        raise ApiError(400, f"events must be a list of 1 to {MOST_EVENTS} events")
    submissions = [_read(asked.store, each, f"events/{index}") for index, each in enumerate(given)]
    decided = _evaluator(asked.request).evaluate(asked.caller, submissions)
    return reply({"results": decided, "total": len(decided)})


def _evaluator(request: Request) -> evaluating.Evaluator:
    evaluator: evaluating.Evaluator = request.app.state.evaluator
    return evaluator


def _is_list(value: Json) -> str | None:
    return None if isinstance(value, list) else "a list of events"


def _reads_status(request: Request) -> bool:
    given = request.query_params.getlist("http")
    if given not in ([], ["true"], ["false"]):
        raise ApiError(400, "http must be true or false")
    return given == ["true"]


def _read(store: Store, value: Json, where: str) -> Submission:
    """The event that was sent; 400 with what is wrong, as a path, a reason and a way out, of up to five columns."""
    at = f"{where}/" if where else ""
    if not isinstance(value, dict):
        raise ApiError(400, f"{where} must be an object")
    for name in OURS:
        if name in value:
            raise ApiError(400, f"{at}{name} is set by the server")
    columns: dict[str, Json] = dict(value)
    if columns.get("event_id") is None:
        columns["event_id"] = store.make_id("event-")
    if columns.get("client_ts") is None:
        columns["client_ts"] = columns.get("ts_us")
    if columns.get("ts_us") is None:
        columns["ts_us"] = 0
    event = parse_event(columns, seq=0)
    if not isinstance(event, Event):
        shown = "; ".join(f"{at}{fault.pointer.removeprefix('/')} {fault.what} ({fault.fix})" for fault in event[:5])
        raise ApiError(400, shown if len(event) <= 5 else f"{shown}; and {len(event) - 5} more")
    return make_submission(event)
