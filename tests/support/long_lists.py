"""A server whose lists of policies are too long for one reply: whole they are padded beyond it, parts are small."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any
from urllib.parse import parse_qsl, urlencode

from reconciler.providers.http import MAX_BYTES
from reconciler.server.edge import App, Message, Receive, Send

LISTS = ("/api/policies", "/v1/admin/security-policies")


class LongLists:
    """ASGI: a list comes in parts of at most *size* policies, however many are asked for."""

    def __init__(self, app: App, size: int) -> None:
        self.app, self.size = app, size

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "GET" or scope["path"] not in LISTS:
            await self.app(scope, receive, send)
            return
        query = dict(parse_qsl(scope["query_string"].decode("latin-1")))
        if "limit" in query:
            asked = {**query, "limit": str(min(int(query["limit"]), self.size))}
            await self.app({**scope, "query_string": urlencode(asked).encode()}, receive, send)
            return

        async def pad(message: Message) -> None:
            if message["type"] == "http.response.start":
                length = b"content-length"
                headers = [
                    (name, str(int(value) + MAX_BYTES).encode() if name == length else value)
                    for name, value in message["headers"]
                ]
                message = {**message, "headers": headers}
            elif not message.get("more_body", False):
                message = {**message, "body": message.get("body", b"") + b" " * MAX_BYTES}
            await send(message)

        await self.app(scope, receive, pad)
