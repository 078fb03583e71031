"""`GET /v1/admin/stream`: what happens, as it happens, as server-sent events (text/event-stream).

Events, each with an `id` and one JSON object as `data`:

- `alert`: an alert as `GET /v1/admin/alerts/{id}` shows it, when it is raised and when somebody settles it
- `violation`: the same for violations; one that alerts is told as both when it happens
- `mode`: the enforcement mode was set: `details`, `action`, `by`, `at`, `commit`
- `policy`: a policy changed: `system`, `policy_id`, `action`, `by`, `at`, `commit`
- `lost`: what happened between the `Last-Event-ID` that was sent and the oldest event we still have is not here; read
  the lists again

A reader who comes back sends `Last-Event-ID` (browsers do) and misses nothing of the newest 10,000 events; without it
the stream begins now. A comment is sent every 15 seconds. Nothing is queued for a reader: the next events are read from
the database when the last ones were taken. One who takes nothing for 30 seconds is dropped, every stream ends after ten
minutes so that the token or session is looked at again, and the server's end ends all. Who comes back missed nothing.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from typing import Any, Final

import anyio.to_thread
import sqlalchemy as sa
from fastapi import APIRouter, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from reconciler.server.auth import Viewer
from reconciler.server.edge import STOPPING
from reconciler.server.enforcement.changes import KEPT_MESSAGES
from reconciler.server.enforcement.tables import messages
from reconciler.server.replies import ApiError
from reconciler.server.store import Store

#: How often the database is asked, how often a silent stream says that it lives, and how long a reader may stall.
POLL_SECONDS: Final = 0.5
BEAT_SECONDS: Final = 15.0
STALL_SECONDS: Final = 30.0
#: A stream ends after this, so that who may read is asked again.
LIFE_SECONDS: Final = 600.0
MOST_READERS: Final = 64
_CHUNK: Final = 100

router = APIRouter(prefix="/v1/admin")


@router.get("/stream")
def stream(asked: Viewer) -> Response:
    last = _read_last_id(asked.request)
    readers: Readers = asked.request.app.state.stream_readers
    return _Stream(asked.store, asked.caller.organization, last, readers)


class Readers:
    """How many streams are open."""

    def __init__(self, most: int = MOST_READERS) -> None:
        self.most, self.count = most, 0


def read_messages(store: Store, organization: str, after: int) -> list[tuple[int, str, Mapping[str, Any]]]:
    """The next messages of an organization after a number, oldest first."""
    own = (messages.c.organization == organization, messages.c.number > after)
    query = sa.select(messages).where(*own).order_by(messages.c.number).limit(_CHUNK)
    with store.read() as connection:
        return [(row.number, row.name, row.data) for row in connection.execute(query)]


def newest_number(store: Store) -> int:
    with store.read() as connection:
        return connection.execute(sa.select(sa.func.max(messages.c.number))).scalar() or 0


def render(number: int, name: str, data: Mapping[str, Any]) -> bytes:
    """One event as it is sent. JSON has no line breaks, so nobody's text can end one."""
    return f"id: {number}\nevent: {name}\ndata: {json.dumps(data, separators=(',', ':'))}\n\n".encode()


def _read_last_id(request: Request) -> int | None:
    given = request.headers.get("last-event-id", "")
    if not given:
        return None
    if not (given.isascii() and given.isdigit() and len(given) <= 18):
        raise ApiError(400, "Last-Event-ID must be an id that this stream gave")
    return int(given)


class _Stream(Response):
    """The reply: events until the reader goes, stalls, or the server stops."""

    def __init__(self, store: Store, organization: str, last: int | None, readers: Readers) -> None:
        super().__init__(media_type="text/event-stream")
        del self.headers["content-length"]
        self.headers.update({"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        self.headers["X-Content-Type-Options"] = "nosniff"
        self._store, self._organization, self._last, self._readers = store, organization, last, readers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._readers.count >= self._readers.most:
            await Response(status_code=503, headers={"Retry-After": "10"})(scope, receive, send)
            return
        self._readers.count += 1
        try:
            await self._serve(scope, receive, send)
        finally:
            self._readers.count -= 1

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        gone = asyncio.create_task(_until_gone(receive))
        is_stopping: Callable[[], bool] = scope.get(STOPPING, lambda: False)
        try:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            await self._tell(send, gone, is_stopping)
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        except (TimeoutError, OSError):
            pass  # it stalled or went away; what it missed is in the database
        finally:
            gone.cancel()

    async def _tell(self, send: Send, gone: asyncio.Task[None], is_stopping: Callable[[], bool]) -> None:
        newest = await anyio.to_thread.run_sync(newest_number, self._store)
        last, silent, lived = newest, 0.0, 0.0
        await _send(send, b"retry: 2000\n: connected\n\n")
        if self._last is not None:
            last = min(self._last, newest)
            if self._last > newest or self._last < newest - KEPT_MESSAGES:
                await _send(send, render(max(last, newest - KEPT_MESSAGES), "lost", {}))
        while not (gone.done() or is_stopping() or lived >= LIFE_SECONDS):
            found = await anyio.to_thread.run_sync(read_messages, self._store, self._organization, last)
            if found:
                await _send(send, b"".join(render(*each) for each in found))
                last, silent = found[-1][0], 0.0
                continue
            if silent >= BEAT_SECONDS:
                await _send(send, b": \n\n")
                silent = 0.0
            await asyncio.wait({gone}, timeout=POLL_SECONDS)
            silent, lived = silent + POLL_SECONDS, lived + POLL_SECONDS


async def _send(send: Send, data: bytes) -> None:
    async with asyncio.timeout(STALL_SECONDS):
        await send({"type": "http.response.body", "body": data, "more_body": True})


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
