"""Routes of evaluation, alerts and violations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from reconciler.core.schema import load_schemas
from reconciler.server.enforcement.records import OURS
from reconciler.server.openapi.operation import (
    BOOLEAN,
    COUNT,
    CURSOR,
    EMPTY,
    INSTANT,
    LIMIT,
    STRING,
    TIME,
    Operation,
    Schema,
    choice,
    items,
    nullable,
    parameter,
    record,
    ref,
    text,
)

_INTEGER: Final[Schema] = {"type": "integer"}
_WORD: Final[Schema] = {"type": "string", "minLength": 1, "maxLength": 512, "pattern": "^[^\\u0000]+$"}
_STATUS: Final = ("open", "acknowledged", "resolved")
_QUERY: Final = (
    parameter("policy", _WORD, "About this policy: its id, its name, or system/id."),
    parameter("agent", _WORD, "By this actor; in place of `actor`."),
    parameter("actor", _WORD, "By this actor."),
    parameter("severity", choice("low", "medium", "high", "critical"), "Of this severity."),
    parameter("status", choice(*_STATUS), "In this state."),
    parameter("from", INSTANT, "From this date or time on."),
    parameter("to", INSTANT, "Up to, and without, this date or time."),
    LIMIT,
    CURSOR,
)
_REASON: Final = record({}, {"reason": nullable(text(2000))})


def event_schema() -> Schema:
    """The event schema without what the server says itself; it also makes an id and a time where there is none."""
    whole: Any = load_schemas().whole_schema("event")
    properties: dict[str, Any] = {key: dict(each) for key, each in whole["properties"].items() if key not in OURS}
    for each in properties.values():
        if "maximum" in each:  # greater numbers lose digits on their way through other readers
            each["maximum"] = min(each["maximum"], 2**53)
    for name in ("event_id", "ts_us"):
        properties[name] = nullable(properties[name])
    return {
        "type": "object",
        "additionalProperties": False,
        "required": ["actor_id", "action", "resource"],
        "properties": properties,
    }


def schemas() -> Mapping[str, Schema]:
    return {
        "Event": event_schema(),
        "Finding": {"type": "object", "required": ["id", "kind", "status", "severity", "at"], "properties": _FINDING},
        "Decision": {
            "type": "object",
            "required": list(_DECISION),
            "properties": {**_DECISION, "error": STRING, "code": STRING},
        },
    }


_FINDING: Final[Mapping[str, Schema]] = {
    "id": STRING,
    "kind": STRING,
    "is_alert": BOOLEAN,
    "severity": STRING,
    "status": choice(*_STATUS),
    "at": TIME,
    "actor_id": STRING,
    "reason": nullable(STRING),
}
_DECISION: Final[Mapping[str, Schema]] = {
    "decision": choice("allow", "block"),
    "would_block": BOOLEAN,
    "mode": choice("monitoring", "strict"),
    "label": nullable(choice("blocked", "throttled", "approval_required", "suspended")),
    "status": {"type": "integer", "enum": [200, 403, 429]},
    "retry_after": nullable(_INTEGER),
    "reason": nullable(EMPTY),
    "outcomes": {"type": "object", "additionalProperties": choice("PASS", "VIOLATE", "UNKNOWN")},
    "violations": items(EMPTY),
    "suspended": {"type": "array"},
    "alerts": items(EMPTY),
    "policy_revision": nullable(STRING),
    "event_id": STRING,
    "seq": COUNT,
    "ts_us": COUNT,
}
_EVENT: Final = {"actor_id": "agent-7", "action": "read_file", "resource": "hr/17", "source_ip": "10.0.0.4"}


def _findings(kind: str, one: str) -> dict[str, Operation]:
    listed = record({kind: items(ref("Finding")), "total": COUNT, "next": nullable(STRING)})
    answer = record({one: ref("Finding")})
    settled = {
        f"POST /v1/admin/{kind}/{{finding_id}}/{verb}": Operation(
            f"{verb.capitalize()} it; the reason is optional, and so is the body.",
            answer,
            body=_REASON,
            body_required=False,
            example={"reason": "known test traffic"},
            errors=(404, 409),
            conditions=True,
        )
        for verb in ("acknowledge", "resolve")
    }
    return {
        f"GET /v1/admin/{kind}": Operation(f"The {kind}, newest first.", listed, query=_QUERY, listed=True),
        f"GET /v1/admin/{kind}/{{finding_id}}": Operation(f"One of the {kind}.", answer, errors=(404,)),
        **settled,
    }


ENFORCEMENT: Final[Mapping[str, Operation]] = {
    "POST /v1/evaluate": Operation(
        "Decide one event, and record it.",
        ref("Decision"),
        body=ref("Event"),
        example=_EVENT,
        query=(parameter("http", choice("true", "false"), "Answer 403 or 429 for what is blocked or throttled."),),
        errors=(409,),
    ),
    "POST /v1/evaluate/batch": Operation(
        "Decide up to 1,000 events in the order given, all or none.",
        record({"results": items(ref("Decision")), "total": COUNT}),
        body=record({"events": {"type": "array", "items": ref("Event"), "minItems": 1, "maxItems": 1000}}),
        example={"events": [_EVENT]},
        errors=(409,),
    ),
    **_findings("alerts", "alert"),
    **_findings("violations", "violation"),
    "GET /v1/admin/enforcement-status": Operation(
        "Which policies are enforced, and of the others why not.",
        record(
            {
                "mode": choice("monitoring", "strict"),
                "policies": items(EMPTY),
                "total": COUNT,
                "policy_revision": nullable(STRING),
            }
        ),
    ),
    "GET /v1/admin/stream": Operation(
        "What happens, as it happens, as server-sent events.",
        STRING,
        media=("text/event-stream",),
        errors=(503,),
    ),
}
