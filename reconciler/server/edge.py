"""The outermost layer: a request's body is read whole, up to a cap and a time, before anything acts on the request.

So a request that was cut off on its way never changes anything, and no handler waits for its sender.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

from fastapi import Response

from reconciler.server.replies import error_reply

MAX_BODY: Final = 64 * 1024
#: How much more is read and thrown away before a 413, so that the sender reads the reply and not a reset connection.
MAX_DISCARDED: Final = 1024 * 1024
READ_SECONDS: Final = 30.0
#: Paths whose bodies may be larger.
LARGER: Final = {"/v1/evaluate/batch": 4 * 1024 * 1024}
#: The key in the scope under which `main.py` says whether the server is about to stop.
STOPPING: Final = "reconciler.is_stopping"

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]


class BodyLimit:
    """ASGI middleware that leaves the body under `reconciler.body`, or answers 413 or 408 and closes the connection."""

    def __init__(self, app: App) -> None:
        self.app = app

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        most = LARGER.get(scope["path"], MAX_BODY)
        try:
            async with asyncio.timeout(READ_SECONDS):
                body = await _read(receive, most)
        except TimeoutError:
            refusal = error_reply(scope["path"], 408, "Request body did not arrive in time", {"Connection": "close"})
            await refusal(scope, receive, send)
            return
        except ConnectionError:
            return
        if body is None:
            sentence = f"Request body is larger than {most} bytes"
            await error_reply(scope["path"], 413, sentence, {"Connection": "close"})(scope, receive, send)
            return
        nameless = _refuse_nul(scope)
        if nameless is not None:
            await nameless(scope, receive, send)
            return
        scope["reconciler.body"] = body
        await self.app(scope, receive, send)


def _refuse_nul(scope: MutableMapping[str, Any]) -> Response | None:
    """A refusal of an address with NUL in it: nothing is named so. SQLite would look for it, PostgreSQL refuse to.

    The status is the dialect's for a parameter that cannot be read.
    """
    if "\0" in scope["path"]:
        return error_reply(scope["path"], 404, "Not Found")
    if b"%00" in scope["query_string"]:
        return error_reply(scope["path"], 400 if scope["path"].startswith("/v1/") else 422, "A parameter holds NUL")
    return None


async def _read(receive: Receive, most: int) -> bytes | None:
    """The body, or None when it is over the cap; `ConnectionError` when the sender went away."""
    body, size, more = bytearray(), 0, True
    while more and size <= most + MAX_DISCARDED:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ConnectionResetError
        part = message.get("body", b"")
        size += len(part)
        if size <= most:
            body += part
        more = message.get("more_body", False)
    return bytes(body) if size <= most else None
