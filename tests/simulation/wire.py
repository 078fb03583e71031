"""The network: every request gets a fate, drawn from the seed. Stands below `providers/http.py`, at its `wire`.

The engine's own transport and providers are above: what a fate means to them is theirs to find out.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace

import httpx

from tests.simulation.chance import Chance
from tests.simulation.servers import Answer, Asked, Server, encode
from tests.simulation.world import Process, World

#: What can happen to a request that changes something, to one that reads. `deliver` is what is left.
WRITE_FATES = (
    *("refuse", "drop", "reset", "drop-reply", "delay", "duplicate", "429", "401", "403"),
    *("500-before", "500-after", "truncate", "garble", "html", "redirect"),
)
READ_FATES = (
    "refuse",
    "drop",
    "reset",
    "drop-reply",
    "429",
    "401",
    "500",
    "truncate",
    "garble",
    "html",
    "redirect",
    "stale",
)


#: What is seldom sent draws twice, so that it meets every fate as often as the rest.
SELDOM = ("create", "delete", "one")


@dataclass
class Exchange:
    """One request of ours: who sent what, when, which fate it got.

    `closed`: when its sender saw it end. `lands_until`: when it has taken effect, if it ever does. `outcome`: what its
    sender took it for.
    """

    number: int
    process: Process
    asked: Asked
    operation: str
    fate: str
    at: float
    closed: float | None = None
    lands_until: float = 0.0
    outcome: str = ""


@dataclass
class Network:
    """Between one server and everybody who talks to it. `on_send` and `on_read` see what ours send, and get to read."""

    world: World
    chance: Chance
    server: Server
    deadline: float
    quiescence: float
    write_rates: Mapping[str, float]
    read_rates: Mapping[str, float]
    window: int | None = None
    on_send: Callable[[Exchange], None] = lambda exchange: None
    host: str = "policies.example"
    on_wrong: Callable[[str], None] = lambda what: None
    on_read: Callable[[Exchange, float, object], None] = lambda exchange, seen_at, value: None
    exchanges: list[Exchange] = field(default_factory=list)
    is_calm: bool = False
    _wires: list[SimWire] = field(default_factory=list)
    _in_window: tuple[int, int] = (0, 0)

    def wire(self, process: Process) -> SimWire:
        self._wires.append(SimWire(self, process))
        return self._wires[-1]

    def close(self) -> None:
        """Let go of every connection: a transport keeps them, and must not keep a world alive that is over."""
        for wire in self._wires:
            wire.forget()

    # ---------------------------------------------------------------------------------------- one exchange

    def exchange(self, process: Process, request: httpx.Request) -> httpx.Response:
        number = len(self.exchanges) + 1
        label = f"http/{number}"
        asked = _asked(request, number)
        operation = operation_of(asked)
        rates = self.read_rates if asked.method == "GET" else self.write_rates
        drawn = None if self.is_calm else self.chance.weighted(label, rates)
        if drawn is None and operation in SELDOM and not self.is_calm:
            drawn = self.chance.weighted(label + "/again", rates)
        if drawn == "duplicate" and operation == "create" and not self.server.style.unique:
            drawn = None  # nobody could tell the two apart, nor take one of them back
        fate = self.chance.mishap(label, drawn)
        exchange = Exchange(number, process, asked, operation, fate or "deliver", self.world.now)
        self.exchanges.append(exchange)
        if asked.method != "GET":
            self.on_send(exchange)
        limited = self._over_window()
        try:
            if exchange.fate == "deliver" and limited is not None:
                return _response(limited)
            return self._meet(exchange, label)
        finally:
            exchange.closed = self.world.now

    def _meet(self, exchange: Exchange, label: str) -> httpx.Response:
        """Let the fate happen; return or raise what the sender sees of it."""
        there = self.chance.between(label + "/there", 0.005, 0.2)
        service = self.chance.between(label + "/service", 0.002, 0.3)
        back = self.chance.between(label + "/back", 0.005, 0.2)
        fate, asked = exchange.fate, exchange.asked
        box: list[Answer] = []
        now = self.world.now
        if fate == "refuse":
            self.world.pause(there)
            raise httpx.ConnectError("refused")
        if fate in ("drop", "reset"):
            self.world.pause(self.deadline if fate == "drop" else there)
            raise httpx.ReadTimeout("no reply") if fate == "drop" else httpx.RemoteProtocolError("closed")
        refusal = self._without_server(fate, label)
        if refusal is not None:
            self.world.pause(there + back)
            return refusal
        age = self.chance.between(label + "/age", 0.5, 4.5) if fate == "stale" else 0.0
        lost = fate == "500-after" and self.chance.is_true(label + "/audit", 0.5)
        if lost:
            asked = replace(asked, loses_audit=True)
        if fate == "delay":
            # The client gives up at the deadline, or sees the connection close; the request still lands within the
            # quiescence time, counted from when it was given up.
            gone = self.deadline if self.chance.is_true(label + "/timeout", 0.5) else there
            there = gone + self.chance.between(label + "/late", 0.0, self.quiescence - service - 0.1)
        exchange.lands_until = now + there + service
        self.world.at(now + there, lambda: self._deliver(asked, service, box, age))
        if fate == "duplicate":
            # A proxy that saw no reply in time asks again, before the client hears anything. A replica that lags
            # never shows what was between the two.
            again = service if not self.read_rates.get("stale") else 0.0
            self.world.at(now + there + again, lambda: self._deliver(asked, service, box, age))
            service += again
        if fate in ("delay", "drop-reply"):
            early = fate == "drop-reply" and self.chance.is_true(label + "/early", 0.5)
            wait = gone if fate == "delay" else (there + service + back if early else self.deadline)
            self.world.pause(wait)
            raise httpx.ReadTimeout("no reply") if wait >= self.deadline else httpx.ReadError("reset")
        self.world.pause(there + service + back)
        return self._reply(exchange, box, label, now + there - age)

    def _deliver(self, asked: Asked, service: float, box: list[Answer], age: float) -> None:
        self.server.handle(asked, service * 0.9, box.append, age=age)

    def _without_server(self, fate: str, label: str) -> httpx.Response | None:
        """The reply of something in between, or of a server that does nothing; None when the request gets through."""
        if fate == "429":
            asked = self.chance.choose(label + "/after", ("3", "7", "nonsense", None))
            headers = () if asked is None else (("retry-after", asked),)
            return _response(Answer(429, {"detail": "slow down", "error": "slow down"}, headers))
        if fate in ("401", "403"):
            return _response(Answer(int(fate), {"detail": "no", "error": "no"}))
        if fate in ("500", "500-before"):
            return _response(Answer(self.chance.choose(label, (500, 502, 503)), {"detail": "oops", "error": "oops"}))
        if fate == "html" and self.chance.is_true(label + "/lost", 0.5):
            return _html()
        if fate == "redirect" and self.chance.is_true(label + "/lost", 0.5):
            return _redirect()
        return None

    def _reply(self, exchange: Exchange, box: list[Answer], label: str, seen_at: float) -> httpx.Response:
        answer = self.chance.choose(label + "/which", box)
        fate = exchange.fate
        if fate == "html":
            return _html()
        if fate == "redirect":
            return _redirect()
        if fate == "500-after":
            return _response(Answer(500, {"detail": "oops", "error": "oops"}))
        response = _response(answer, self._window_headers())
        if fate == "garble":
            body = encode(answer.body)
            at = self.chance.count(label + "/garbled", 0, len(body) - 1)
            return httpx.Response(answer.status, headers=_JSON, content=body[:at] + b"\xff" + body[at:])
        if fate == "truncate":
            body = encode(answer.body)
            cut = self.chance.count(label + "/cut", 0, len(body) - 1)
            headers = {**_JSON, "content-length": str(len(body))}
            return httpx.Response(answer.status, headers=headers, stream=_Cut(body[:cut]))
        if exchange.asked.method == "GET" and answer.status == 200:
            self.on_read(exchange, seen_at, answer.body)
        return response

    # ----------------------------------------------------------------------------------------- rate limit

    def _over_window(self) -> Answer | None:
        if self.window is None:
            return None
        minute = int(self.world.now // 60)
        count = self._in_window[1] + 1 if self._in_window[0] == minute else 1
        self._in_window = (minute, count)
        if count <= self.window:
            return None
        left = 60 - self.world.now % 60
        body = {"error": "Rate limit exceeded", "detail": "Rate limit exceeded"}
        return Answer(429, body, (("retry-after", str(int(left) + 1)),))

    def _window_headers(self) -> tuple[tuple[str, str], ...]:
        if self.window is None:
            return ()
        left = max(0, self.window - self._in_window[1])
        return (("x-ratelimit-remaining", str(left)), ("x-ratelimit-reset", str(int(60 - self.world.now % 60))))


class SimWire(httpx.BaseTransport):
    """One connection into the network, of one process."""

    def __init__(self, network: Network, process: Process) -> None:
        self._network, self._process = network, process
        self._used = False

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if request.url.host != self._network.host:
            self._network.on_wrong(f"I10 {request.method} to {request.url.host}")
            raise httpx.ConnectError("another origin")
        if request.method != "GET" and self._used:
            self._network.on_wrong("a change sent on a connection that was used before")
        self._used = True
        return self._network.exchange(self._process, request)

    def close(self) -> None:
        return None

    def forget(self) -> None:
        del self._network


class _Cut(httpx.SyncByteStream):
    """A body that ends before its announced length."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    def __iter__(self) -> Iterator[bytes]:
        yield self._body
        raise httpx.RemoteProtocolError("peer closed connection without sending complete message body")


_JSON = {"content-type": "application/json"}


def _response(answer: Answer, more: tuple[tuple[str, str], ...] = ()) -> httpx.Response:
    body = encode(answer.body)
    return httpx.Response(answer.status, headers=[*_JSON.items(), *answer.headers, *more], content=body)


def _html() -> httpx.Response:
    return httpx.Response(200, headers={"content-type": "text/html"}, content=b"<html>Please sign in</html>")


def _redirect() -> httpx.Response:
    return httpx.Response(302, headers={"location": "https://elsewhere.example/"}, content=b"")


def _asked(request: httpx.Request, number: int) -> Asked:
    data = request.read()
    path = request.url.raw_path.decode("ascii").split("?")[0]
    for prefix in ("/api", "/v1"):
        path = path.removeprefix(prefix)
    return Asked(
        request.method,
        path,
        json.loads(data) if data else None,
        request.headers.get("user-agent", ""),
        sent=number,
    )


def operation_of(asked: Asked) -> str:
    """create, update, toggle or delete; list, one or trail."""
    if asked.method == "GET":
        if "settings" in asked.path:
            return "mode"
        if "audit" in asked.path:
            return "trail"
        return "list" if asked.path.rstrip("/").endswith("policies") else "one"
    return {"POST": "create", "PUT": "update", "PATCH": "toggle", "DELETE": "delete"}[asked.method]
