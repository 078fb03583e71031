"""The reference server on a free port of this machine, for the length of a test, with every request it got.

`with reference_server() as server:` then `server.neosc_url`, `server.opena2a_url`, `server.token`. People who edit
behind git's back: `server.store.add_token("admin@example.com", "admin")`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from reconciler.core.ports import Clock
from reconciler.server.app import create_app
from reconciler.server.edge import App, Message, Receive, Send
from reconciler.server.main import running
from reconciler.server.options import ServerOptions
from reconciler.server.store import Store, open_store
from tests.support.long_lists import LongLists

SERVICE = "gitops@example.com"
#: scrypt that costs nothing: tests log in often.
CHEAP = (2, 1, 1)


@dataclass(frozen=True)
class SeenRequest:
    """A request as it arrived; header names in lower case, the last of repeated ones."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def is_mutating(self) -> bool:
        return self.method not in ("GET", "HEAD", "OPTIONS")

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class RunningServer:
    """Where it is, an admin's token, the database behind it, what it was asked so far."""

    url: str
    token: str
    store: Store
    request_log: list[SeenRequest] = field(default_factory=list)

    @property
    def neosc_url(self) -> str:
        return f"{self.url}/api"

    @property
    def opena2a_url(self) -> str:
        return f"{self.url}/v1"

    @property
    def aim_url(self) -> str:
        """Only with `quirks`, see `ServerOptions`."""
        return f"{self.url}/api/v1"

    @property
    def mutations(self) -> list[SeenRequest]:
        """The mutating requests, in the order their bodies were complete."""
        return [request for request in self.request_log if request.is_mutating]


class _Recorder:
    """ASGI: note a request once its body is complete, and hand it on unchanged."""

    def __init__(self, app: App, log: list[SeenRequest]) -> None:
        self.app, self.log = app, log

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        body = bytearray()

        async def note() -> Message:
            message = await receive()
            if message["type"] == "http.request":
                body.extend(message.get("body", b""))
                if not message.get("more_body", False):
                    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
                    path = scope["raw_path"].decode("latin-1")
                    self.log.append(SeenRequest(scope["method"], path, headers, bytes(body)))
            return message

        await self.app(scope, note, send)


@contextmanager
def reference_server(
    *,
    db: str = ":memory:",
    email: str = SERVICE,
    clock: Clock | None = None,
    parts_of: int | None = None,
    **options: Any,
) -> Iterator[RunningServer]:
    """A server over a fresh (or the given) database; stopped, with its connections, when the block ends.

    *parts_of*: its lists of policies are too long for one reply and come in parts of so many. *options* are those of
    `ServerOptions`.
    """
    store = open_store(db, clock=clock, password_cost=CHEAP)
    log: list[SeenRequest] = []
    try:
        token = store.add_token(email, "admin")
        app: App = create_app(store, ServerOptions(**options))
        app = app if parts_of is None else LongLists(app, parts_of)
        with running(_Recorder(app, log)) as url:
            yield RunningServer(url, token, store, log)
    finally:
        store.close()
