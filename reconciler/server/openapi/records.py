"""Routes of the audit trail: lists, the check of the chain, exports."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

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
)

_WORD: Final[Schema] = {"type": "string", "minLength": 1, "maxLength": 512, "pattern": "^[^\\u0000]+$"}
_TIMES: Final = (
    parameter("from", INSTANT, "From this date or time on."),
    parameter("to", INSTANT, "Up to, and without, this date or time."),
)
#: `annotation` and `policy` are other words for `commit` and `resource`; two words for one are 400 (NeoSC: 422).
_FILTERS: Final = (
    parameter("user", _WORD, "By this id or address."),
    parameter("action", _WORD, "With this action."),
    parameter("resource", _WORD, "About this resource."),
    parameter("policy", _WORD, "About this policy; in place of `resource`."),
    parameter("commit", {"type": "string", "pattern": "^[0-9a-f]{7,40}$"}, "That name this commit."),
    parameter("annotation", {"type": "string", "pattern": "^[0-9a-f]{7,40}$"}, "The same, in place of `commit`."),
    *_TIMES,
    parameter("success", choice("true", "false"), "That went well, or did not."),
    parameter("q", _WORD, "With this text in who, what or details, literally."),
)
_SYSTEM: Final = parameter("system", choice("all", "neosc", "opena2a", "aim", "server"), "Of this system.")
_FILE: Final = (
    parameter("format", choice("jsonl", "csv", "parquet"), "Of the file; jsonl without it."),
    parameter("schema", choice("event", "entry"), "Columns of the event schema, or the records as they are kept."),
)
_KIND: Final = parameter("kind", choice("events", "sessions"), "Which records; without it, both or evaluations.")
_KNOWN: Final = parameter(
    "known",
    {"type": "string", "pattern": "^[1-9][0-9]{0,14}:[0-9a-f]{64}$"},
    "A head that was kept, its `seq` and `hash`; whether that row is still the same.",
)
_MEDIA: Final = ("application/jsonl", "text/csv", "application/vnd.apache.parquet")

_LISTED: Final = record(
    {
        "events": items(EMPTY),
        "next": nullable(COUNT),
        "removed_until": nullable(COUNT),
    }
)
_AFTER: Final = (
    parameter(
        "after", {"type": "integer", "minimum": 0, "maximum": 10**15 - 1}, "Only those after the record of this `seq`."
    ),
    LIMIT,
)

SCHEMAS: Final[Mapping[str, Schema]] = {
    "AuditEntry": record(
        {
            **dict.fromkeys(("id", "user_id", "user_email", "action", "resource", "details"), STRING),
            "timestamp": TIME,
            "success": BOOLEAN,
            "user_agent": nullable(STRING),
            "annotation": nullable(STRING),
        }
    ),
    "Verdict": record(
        {
            "ok": BOOLEAN,
            "entries": COUNT,
            "first_broken": nullable(record({"id": nullable(STRING), "seq": COUNT})),
            "problem": nullable(STRING),
            "head": nullable(record({"seq": COUNT, "hash": STRING})),
            "pruned": record({"entries": COUNT, "runs": COUNT, "newest": items(EMPTY)}),
        }
    ),
}

TRAIL: Final[Mapping[str, Operation]] = {
    "GET /api/audit-logs": Operation(
        "NeoSC's audit log, newest first.",
        items(ref("AuditEntry")),
        query=(*_FILTERS, LIMIT, CURSOR),
        listed=True,
    ),
    "GET /v1/admin/audit-logs": Operation(
        "OpenA2A's audit log, newest first; `system` shows another's.",
        record({"logs": items(ref("AuditEntry")), "total": COUNT}, {"next": STRING}),
        query=(*_FILTERS, LIMIT, CURSOR, _SYSTEM),
        listed=True,
    ),
    "GET /v1/admin/audit-logs/verify": Operation(
        "Whether the chain of audit entries is whole.", ref("Verdict"), query=(_KNOWN,), errors=(400,)
    ),
    "GET /v1/admin/audit-logs/export": Operation(
        "Audit entries as a file.", STRING, media=_MEDIA, query=(*_FILTERS, *_FILE, _SYSTEM)
    ),
    "GET /v1/admin/events": Operation(
        "Evaluation records, oldest first, as columns of the event schema; `next` is the `after` of the next part. "
        "`removed_until` is the time of the newest record that is not kept any more, in microseconds.",
        _LISTED,
        query=_AFTER,
    ),
    "GET /api/events": Operation("The same, below NeoSC's base address.", _LISTED, query=_AFTER),
    "GET /v1/admin/events/verify": Operation(
        "Whether the chain of evaluation records is whole.", ref("Verdict"), query=(_KIND, _KNOWN)
    ),
    "GET /v1/admin/events/export": Operation(
        "Evaluation records as a file.", STRING, media=_MEDIA, query=(*_FILE, *_TIMES, _KIND)
    ),
}
