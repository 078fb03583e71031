"""How often one token may ask: a fixed window of a minute, told on every reply, refused with 429 when it is used up.

Counted in this process's memory. `auth.py` takes a place once it knows the token; the layer here writes the headers,
whatever the reply turns out to be.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass
from typing import Any, Final

from reconciler.server.edge import App, Message, Receive, Send

WINDOW: Final = 60.0
#: Windows that are over are forgotten when there are so many.
_CROWD: Final = 4096
_SCOPE: Final = "reconciler.rate"


@dataclass(frozen=True, slots=True)
class Place:
    """What a token has left of its window, and whether this request still had a place in it."""

    limit: int
    remaining: int
    reset: int  # seconds, rounded up
    is_taken: bool

    def headers(self) -> dict[str, str]:
        """`X-RateLimit-*`, with `Retry-After` for a request that came too soon."""
        shown = {"Limit": self.limit, "Remaining": self.remaining, "Reset": self.reset}
        headers = {f"X-RateLimit-{name}": str(value) for name, value in shown.items()}
        return headers if self.is_taken else {**headers, "Retry-After": str(self.reset)}


class Limiter:
    """At most *limit* requests of one key in a minute, which begins with the key's first request."""

    def __init__(self, limit: int, now: Callable[[], float]) -> None:
        self._limit, self._now = limit, now
        self._lock = threading.Lock()
        self._windows: dict[str, tuple[float, int]] = {}  # when it began, how many came

    def take(self, key: str) -> Place:
        """Count one request of *key*. Requests that are refused are not counted: the window ends when it says."""
        now = self._now()
        with self._lock:
            if len(self._windows) >= _CROWD:
                self._windows = {key: each for key, each in self._windows.items() if _is_open(each[0], now)}
            began, used = self._windows.get(key, (now, 0))
            if not _is_open(began, now):
                began, used = now, 0
            is_taken = used < self._limit
            used += is_taken
            self._windows[key] = (began, used)
        return Place(self._limit, self._limit - used, math.ceil(began + WINDOW - now), is_taken)


class RateHeaders:
    """ASGI middleware: the place that was taken while a request was answered stands in its reply's headers."""

    def __init__(self, app: App) -> None:
        self.app = app

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        noted: dict[str, str] = {}
        scope[_SCOPE] = noted

        async def write(message: Message) -> None:
            if message["type"] == "http.response.start" and noted:
                added = [(name.lower().encode(), value.encode()) for name, value in noted.items()]
                message = {**message, "headers": [*message.get("headers", ()), *added]}
            await send(message)

        await self.app(scope, receive, write)


def note_place(scope: MutableMapping[str, Any], place: Place) -> None:
    """Have the reply to this request say so."""
    scope[_SCOPE].update(place.headers())


def _is_open(began: float, now: float) -> bool:
    return began <= now < began + WINDOW
