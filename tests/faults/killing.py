"""The reference server with a hook at every HTTP boundary, and the program as a process that can be killed there."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from reconciler.server.app import create_app
from reconciler.server.edge import App, Message, Receive, Send
from reconciler.server.main import running
from reconciler.server.options import ServerOptions
from reconciler.server.store import Store, open_store
from tests.support.program import Ended, Program
from tests.support.servers import SERVICE

#: What happens at a boundary: number of the request, "before" the server sees it or "after" it has committed, method.
Hook = Callable[[int, str, str], bool]


@dataclass
class Boundaries:
    """ASGI: calls *hook* twice for each request. When it returns False nothing more of the request happens."""

    app: App
    hook: Hook = lambda number, moment, method: True
    count: int = 0
    methods: list[str] = field(default_factory=list)

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        self.count += 1
        number, method = self.count, scope["method"]
        self.methods.append(method)
        if not self.hook(number, "before", method):
            await send({"type": "http.response.start", "status": 503, "headers": []})
            await send({"type": "http.response.body", "body": b""})
            return

        async def reply(message: Message) -> None:
            if message["type"] == "http.response.start":
                self.hook(number, "after", method)
            await send(message)

        await self.app(scope, receive, reply)


@dataclass
class Site:
    """A running server: where it is, its boundaries, its token, what is in it."""

    url: str
    boundaries: Boundaries
    store: Store
    token: str

    @property
    def neosc_url(self) -> str:
        return f"{self.url}/api"

    def read(self, path: str) -> Any:
        """What NeoSC's API says, without the hook."""
        hook, self.boundaries.hook = self.boundaries.hook, lambda number, moment, method: True
        headers = {"Authorization": f"Bearer {self.token}"}
        found = httpx.get(self.neosc_url + path, headers=headers, trust_env=False, verify=False).json()
        self.boundaries.hook = hook
        return found


@contextmanager
def site() -> Iterator[Site]:
    """A server with NeoSC's announced calls, in memory, for the length of a test."""
    store = open_store(":memory:")
    token = store.add_token(SERVICE, "admin")
    boundaries = Boundaries(create_app(store, ServerOptions(neosc_crud=True)))
    with running(boundaries) as url:
        yield Site(url, boundaries, store, token)
    store.close()


class Running:
    """The program under way; its process can be signalled from the server's thread."""

    def __init__(
        self,
        program: Program,
        arguments: Sequence[str],
        env: Mapping[str, str] | None = None,
        script: Sequence[str] = ("-m", "reconciler"),
        **options: Any,
    ) -> None:
        self._ready = threading.Event()
        self.process = subprocess.Popen(
            [sys.executable, *script, *arguments],
            cwd=program.folder,
            env={**program.env, **(env or {})},
            **{"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options},
        )
        self._ready.set()

    def signal(self, number: int) -> None:
        self._ready.wait(10)
        os.kill(self.process.pid, number)
        if number == signal.SIGKILL:
            self.process.wait(10)

    def end(self, timeout: float = 60.0) -> Ended:
        out, err = self.process.communicate(timeout=timeout)
        return Ended(self.process.returncode, (out or b"").decode(), (err or b"").decode())


def journal_of(folder: Path, target: str = "neosc") -> Path:
    return folder / ".git" / "reconciler" / f"{target}.jsonl"
