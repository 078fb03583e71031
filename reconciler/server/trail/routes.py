"""The trail over HTTP: both dialects' lists as documented, and what this server adds to them.

Without parameters a list is whole and has the documents' shape. With them it is filtered (`user action resource policy
commit annotation from to success q`) and comes in parts: `limit` up to 1,000, then `cursor`, which the header
`X-Next-Cursor` (and `next` in OpenA2A's envelope) names as long as there is more. `X-Total-Count` counts all that fit
the filters, whatever part was asked for. OpenA2A's list takes `system` too: `all`, `neosc`, `aim`, or `server` for
what belongs to no dialect.

Evaluation records are listed oldest first, after the number that `after` gives; see `listing.py`.

`verify` checks a chain, `export` hands one out as a file; see `verifying.py` and `shapes.py`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from fastapi import APIRouter
from fastapi.responses import Response, StreamingResponse

from reconciler.server.auth import Asked, User, Viewer
from reconciler.server.preconditions.paging import NEXT
from reconciler.server.replies import list_reply, reply, streamed
from reconciler.server.trail.chain import AUDIT, Chain, Link
from reconciler.server.trail.exporting import Export, export_audit, export_events, read_pages
from reconciler.server.trail.formats import FORMATS
from reconciler.server.trail.listing import list_events
from reconciler.server.trail.query import (
    FILTERS,
    MAX_LIMIT,
    Wanted,
    make_cursor,
    read_choice,
    read_instant,
    read_known,
    read_number,
    read_parameters,
    read_slice,
    read_wanted,
)
from reconciler.server.trail.reading import Found, read_entries, read_on
from reconciler.server.trail.records import CHAINS, EVENTS, SESSIONS
from reconciler.server.trail.verifying import verify

_PART: Final = ("limit", "cursor")
_FILE: Final = ("format", "schema")
_RECORDS: Final = (EVENTS.name, SESSIONS.name)

router = APIRouter()


@router.get("/api/audit-logs")
def list_neosc_audit_logs(asked: User) -> Response:
    """NeoSC's audit log: a bare list, newest first."""
    given = _given(asked, (*FILTERS, *_PART), 422)
    wanted = read_wanted(given, 422, system="neosc")
    part = read_slice(given, wanted, 422)
    found = read_entries(asked.store, asked.caller.organization, wanted, part)
    if found.before is not None and part.limit is None:
        return _whole_list(asked, wanted, found, "[", "]")
    return list_reply(found.entries, found.total, _next(found, wanted))


@router.get("/v1/admin/audit-logs")
def list_opena2a_audit_logs(asked: User) -> Response:
    """OpenA2A's audit log: the same in an envelope."""
    given = _given(asked, (*FILTERS, *_PART, "system"), 400)
    wanted = read_wanted(given, 400, system="opena2a")
    part = read_slice(given, wanted, 400)
    found = read_entries(asked.store, asked.caller.organization, wanted, part)
    if found.before is not None and part.limit is None:
        return _whole_list(asked, wanted, found, '{"logs":[', f'],"total":{found.total}}}')
    cursor = _next(found, wanted)
    body = {"logs": found.entries, "total": found.total, **({"next": cursor[NEXT]} if cursor else {})}
    return list_reply(body, found.total, cursor)


@router.get("/v1/admin/audit-logs/verify")
def verify_audit_logs(asked: Viewer) -> Response:
    """The chain of audit entries. With `known=SEQ:HASH` of an earlier head, whether that row is still the same."""
    return _verdict(asked, AUDIT, _given(asked, ("known",), 400))


@router.get("/v1/admin/audit-logs/export")
def export_audit_logs(asked: Viewer) -> Response:
    """Audit entries of every system as a file, filtered as the list is."""
    given = _given(asked, (*FILTERS, *_FILE, "system"), 400)
    wanted = read_wanted(given, 400)
    return _file(asked, given, "audit-logs", export_audit(asked.caller.organization, wanted, as_entries=_raw(given)))


@router.get("/v1/admin/events")
def list_evaluations(asked: Viewer) -> Response:
    """Evaluation records in order of arrival."""
    return _evaluations(asked, 400)


@router.get("/api/events")
def list_evaluations_for_neosc(asked: Viewer) -> Response:
    """The same below NeoSC's base address: policies of both systems judge one stream of requests."""
    return _evaluations(asked, 422)


@router.get("/v1/admin/events/verify")
def verify_events(asked: Viewer) -> Response:
    """The chain of evaluation records, or that of sessions' with `kind=sessions`."""
    given = _given(asked, ("known", "kind"), 400)
    return _verdict(asked, CHAINS[read_choice(given, "kind", _RECORDS, 400) or EVENTS.name], given)


@router.get("/v1/admin/events/export")
def export_evaluations(asked: Viewer) -> Response:
    """Evaluation records as a file; both kinds, or the one that `kind` names."""
    given = _given(asked, (*_FILE, "from", "to", "kind"), 400)
    kind = read_choice(given, "kind", _RECORDS, 400)
    since, until = read_instant(given, "from", 400), read_instant(given, "to", 400)
    wanted = export_events(asked.caller.organization, kind, since, until, as_entries=_raw(given))
    return _file(asked, given, "events", wanted)


def _evaluations(asked: Asked, status: int) -> Response:
    given = _given(asked, ("after", "limit"), status)
    after = read_number(given, "after", 0, 10**15 - 1, status)
    limit = read_number(given, "limit", 1, MAX_LIMIT, status)
    with asked.store.read() as connection:
        found = list_events(connection, asked.caller.organization, after=after or 0, limit=limit or MAX_LIMIT)
    return reply(found.to_wire())


def _given(asked: Asked, known: tuple[str, ...], status: int) -> Mapping[str, str]:
    return read_parameters(asked.request.query_params.multi_items(), known, status)


def _next(found: Found, wanted: Wanted) -> dict[str, str]:
    return {} if found.before is None else {NEXT: make_cursor(found.before, wanted)}


def _whole_list(asked: Asked, wanted: Wanted, found: Found, opening: str, closing: str) -> StreamingResponse:
    """A list that is longer than a page, byte for byte as if it had been made at once."""

    def parts() -> Iterator[bytes]:
        before = opening
        for page in read_on(asked.store, asked.caller.organization, wanted, found):
            text = ",".join(map(_json, page))
            yield (before + text).encode() if text else b""
            before = ","
        yield closing.encode()

    return streamed(parts(), "application/json", {"X-Total-Count": str(found.total)})


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def _verdict(asked: Asked, chain: Chain, given: Mapping[str, str]) -> Response:
    known = read_known(given, 400)
    verdict = verify(asked.store, chain, asked.caller.organization, None if known is None else Link(*known))
    return reply(verdict.to_wire())


def _raw(given: Mapping[str, str]) -> bool:
    return read_choice(given, "schema", ("event", "entry"), 400) == "entry"


def _file(asked: Asked, given: Mapping[str, str], name: str, export: Export) -> Response:
    """A download. Its first part is made before anything is answered, so that a failure can still be told."""
    ending = read_choice(given, "format", tuple(FORMATS), 400) or "jsonl"
    render, media_type = FORMATS[ending]
    parts = render(read_pages(asked.store, export), export.shape.kinds)
    first = next(parts, b"")
    made_at = asked.store.timestamp(milliseconds=False).replace("-", "").replace(":", "")
    filename = f"{name}-{made_at}.{ending}"

    def whole() -> Iterator[bytes]:
        yield first
        yield from parts

    return streamed(whole(), media_type, {"Content-Disposition": f'attachment; filename="{filename}"'})
