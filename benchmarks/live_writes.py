"""A live system that can be written to, answers each request after a delay, and remembers when it was asked what.

python -m benchmarks.live_writes TARGET POLICIES DELAY      prints its address, and serves until it is ended

A bare protocol of asyncio, so that what is measured beside it is the client. Its policies differ from the benchmark's
files in what one change each settles: those of NeoSC are switched off, those of OpenA2A have another description.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from benchmarks.corpus import ROOT, values

#: What a request asks for, by its method and how many names its path has below the target's.
KINDS = {("GET", 1): "list", ("GET", 2): "one", ("PATCH", 2): "toggle", ("PUT", 2): "update"}
OTHERS = {"audit-logs": "trail", "enforcement-settings": "mode"}
WRITES = frozenset(("toggle", "update"))


@dataclass(frozen=True, slots=True)
class Phase:
    """The requests from the first read that a write was decided from to the reply that proved the last one.

    `calls`: how many of each kind; `seconds`: from the arrival of the first to the reply to the last.
    """

    calls: dict[str, int]
    seconds: float


def writing_phase(log: list[tuple[str, float, float]]) -> Phase:
    """Find it in a log of (kind, asked at, answered at): between the trail's last read before it and the first after.

    >>> log = [("list", 0, 1), ("trail", 1, 2), ("list", 2, 3), ("toggle", 3, 4), ("list", 4, 5), ("trail", 6, 7)]
    >>> writing_phase(log)
    Phase(calls={'list': 2, 'toggle': 1}, seconds=3)
    """
    log = sorted(log, key=lambda entry: entry[1])
    first = next(index for index, (kind, _, _) in enumerate(log) if kind in WRITES)
    last = max(index for index, (kind, _, _) in enumerate(log) if kind in WRITES)
    before = [index for index, (kind, _, _) in enumerate(log) if kind == "trail" and index < first]
    after = [index for index, (kind, _, _) in enumerate(log) if kind == "trail" and index > last]
    phase = log[max(before, default=-1) + 1 : min(after, default=len(log))]
    seconds = max(done for _, _, done in phase) - phase[0][1]
    return Phase(dict(Counter(kind for kind, _, _ in phase)), seconds)


class Live:
    """The policies of one target, and the log."""

    def __init__(self, target: str, count: int) -> None:
        self.target = target
        self.log: list[tuple[str, float, float]] = []
        self.trail: list[dict[str, Any]] = []
        self._policies: dict[str, dict[str, Any]] = {}
        for number, each in enumerate(values(target, count)):
            policy = {key: value for key, value in each.items() if key != "metadata"}
            if target == "neosc":
                self._put(policy["id"], {**policy, "enabled": False, "created_at": "2026-01-01T00:00:00Z"})
            else:
                changed = {"description": f"Was: {policy.get('description', '')}", "enabled": True}
                identity = f"00000000-0000-4000-8000-{number:012}"
                self._put(identity, {"id": identity, **policy, **changed})

    def _put(self, policy_id: str, policy: dict[str, Any]) -> None:
        self._policies[policy_id] = policy

    def answer(self, method: str, path: str, agent: str, body: bytes) -> tuple[str, Any]:
        """Carry out one request; return its kind and the value to reply with."""
        names = path.strip("/").removeprefix(self.target).removeprefix("/admin").strip("/").split("/")
        kind = OTHERS.get(names[0]) or KINDS[method, len(names)]
        if kind == "list":
            found = list(self._policies.values())
            return kind, found if self.target == "neosc" else {"policies": found, "total": len(found)}
        if kind == "mode":
            return kind, {"enforcementMode": "monitoring"}
        if kind == "trail":
            newest = self.trail[::-1]
            return kind, newest if self.target == "neosc" else {"logs": newest, "total": len(newest)}
        policy = self._policies[names[1]]
        if kind in WRITES:
            number = len(self.trail)
            resource = f"policy:{names[1]}"
            self.trail.append({"id": f"log-{number}", "action": kind, "resource": resource, "user_agent": agent})
        if kind == "toggle":
            policy["enabled"] = not policy["enabled"]
            return kind, {"message": "Policy toggled", "enabled": policy["enabled"]}
        if kind == "update":
            policy |= json.loads(body)
        return kind, policy if self.target == "neosc" else {"policy": policy}


class Connection(asyncio.Protocol):
    """One connection: requests one after another, each answered after the delay."""

    def __init__(self, live: Live, delay: float) -> None:
        self._live, self._delay = live, delay
        self._data = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - TCP gives no other
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._data += data
        head, found, rest = self._data.partition(b"\r\n\r\n")
        if not found:
            return
        lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:])}
        if len(rest) < int(headers.get("content-length", "0")):
            return
        self._data = b""
        method, target, _ = lines[0].split(" ")
        asked = time.monotonic()
        if target == "/log":
            self._reply("log", asked, self._live.log)
            return
        kind, value = self._live.answer(method, target.partition("?")[0], headers.get("user-agent", ""), rest)
        data = json.dumps(value).encode()
        if self._delay:
            asyncio.get_running_loop().call_later(self._delay, self._reply, kind, asked, data, value)
        else:
            self._reply(kind, asked, data, value)

    def _reply(self, kind: str, asked: float, data: Any, value: Any = None) -> None:
        if not isinstance(data, bytes):
            data = json.dumps(data).encode()
        total = f"X-Total-Count: {len(value)}\r\n" if isinstance(value, list) else ""
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(data)}\r\n{total}\r\n"
        self._transport.write(head.encode() + data)
        if kind != "log":
            self._live.log.append((kind, asked, time.monotonic()))


async def serve(target: str, count: int, delay: float) -> None:
    live = Live(target, count)
    server = await asyncio.get_running_loop().create_server(
        lambda: Connection(live, delay), "127.0.0.1", 0, backlog=256
    )
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


@contextmanager
def running(target: str, count: int, delay: float) -> Iterator[str]:
    """Serve *count* policies of *target* in a process of its own, and give its address."""
    command = [sys.executable, "-m", "benchmarks.live_writes", target, str(count), str(delay)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None  # noqa: S101 - a pipe was asked for
            yield process.stdout.readline().strip()
        finally:
            process.kill()


def read_phase(url: str) -> Phase:
    """Return what the server at *url* saw of the writing phase."""
    with urllib.request.urlopen(f"{url}/log") as reply:  # noqa: S310 - our own server
        return writing_phase([(kind, asked, done) for kind, asked, done in json.load(reply)])


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], int(sys.argv[2]), float(sys.argv[3])))
