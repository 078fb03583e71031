"""A stand-in for both documented APIs that can be told to misbehave, over real sockets of this computer.

Unlike the reference server it has the faults of the world: replies that get lost, arrive cut, slowly or as HTML, lists
without a total, a PUT that blanks what is left out, a server that rewrites what it is given. In a test:

    with FakeApi("neosc", policies=[mfa]) as api:
        api.fail(Fault.DROP_AFTER, method="PATCH")      # the next PATCH is applied, its reply is lost
        ...                                             # run the real command against api.url with api.token
        assert len(api.mutations) == 1 and api.policies["pol-mfa-required"]["enabled"] is False

`api.policies` is the live state by id, `api.audit` the trail (newest last), `api.requests` every request as it came.
People who edit behind git's back: `api.edit("pol-mfa-required", enabled=False)`.

By hand: `python -m tests.fake_api neosc --port 8900 --fail PATCH:drop-after` prints its URL and token, then every
request.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import json
import socket
import socketserver
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from enum import Enum
from http.server import BaseHTTPRequestHandler
from types import TracebackType
from typing import Any, Literal

Dialect = Literal["neosc", "opena2a"]
Body = dict[str, Any]

TOKEN = "fake-token-0123456789abcdef"
SERVICE = "gitops@example.com"
PERSON = "admin@example.com"

DEFAULTS: tuple[Body, ...] = tuple(
    {"id": key, "name": name, "description": text, "type": kind, "rules": rules, "enabled": True}
    for key, name, text, kind, rules in (
        (
            "pol-mfa-required",
            "MFA Required",
            "Enforce multi-factor authentication for all users",
            "access",
            ["Require MFA for login", "WebAuthn preferred", "TOTP as fallback"],
        ),
        (
            "pol-network-zero-trust",
            "Zero Trust Network",
            "All connections through encrypted NetBird tunnels",
            "network",
            ["No direct connections", "WireGuard encryption", "Identity verification"],
        ),
        (
            "pol-session-recording",
            "Session Recording",
            "Record all workspace sessions for audit",
            "session",
            ["Record screen activity", "Log keystrokes for audit", "30-day retention"],
        ),
    )
)


class Fault(Enum):
    """What goes wrong with one request. `*_AFTER`: the change was made all the same; `*_BEFORE`: it was not."""

    DROP_BEFORE = "drop-before"  # read, not carried out, connection closed without a byte
    DROP_AFTER = "drop-after"  # carried out, connection closed without a byte
    RESET_AFTER = "reset-after"  # the same with a TCP reset
    HANG_BEFORE = "hang-before"  # never answered (until the client gives up), not carried out
    HANG_AFTER = "hang-after"
    LATE = "late"  # carried out `seconds` later, when the client may have gone
    ERROR_BEFORE = "error-before"  # 500 in the API's own shape
    ERROR_AFTER = "error-after"
    UNAVAILABLE = "unavailable"  # 503 from a proxy, with `retry_after` if given
    TOO_MANY = "too-many"  # 429 in the API's own shape, with `retry_after` if given
    HTML = "html"  # 200 and a login page, not carried out
    HTML_AFTER = "html-after"
    EMPTY = "empty"  # 200 without a body, not carried out
    NULL = "null"  # 200 and `null`, not carried out
    REDIRECT = "redirect"  # 307 to `location`
    SLOW = "slow"  # carried out; the reply comes byte by byte, one each `seconds`
    CUT = "cut"  # carried out; half the reply, then closed
    UNAUTHORIZED = "unauthorized"  # 401 in the API's own shape
    RAW = "raw"  # not carried out; the bytes in `raw`, then closed


@dataclass
class Planned:
    """A fault that waits for its request."""

    fault: Fault
    method: str | None = None
    path: str | None = None
    skip: int = 0
    times: int = 1
    retry_after: str | None = None
    location: str = "http://127.0.0.1:9/elsewhere"
    seconds: float = 0.2
    raw: bytes = b""

    def fits(self, method: str, path: str) -> bool:
        """Whether this request is the one; counts those to be let through first."""
        if self.times <= 0 or self.method not in (None, method) or (self.path is not None and self.path not in path):
            return False
        if self.skip > 0:
            self.skip -= 1
            return False
        self.times -= 1
        return True


@dataclass(frozen=True)
class SeenRequest:
    """A request as it arrived; header names in lower case. `fault` is what was done to it."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    fault: Fault | None = None

    @property
    def is_mutating(self) -> bool:
        return self.method not in ("GET", "HEAD", "OPTIONS")

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Answer:
    """A reply to be written: status, JSON value (None: no body), headers."""

    status: int
    value: Any = None
    headers: dict[str, str] = field(default_factory=dict)


class FakeApi:
    """One dialect on a free port, from entering the block to leaving it. Everything may be changed while it runs."""

    def __init__(
        self,
        dialect: Dialect,
        policies: Iterable[Body] | None = None,
        *,
        crud: bool = True,
        total: bool = True,
        list_cap: int | None = None,
        trail: bool = True,
        keeps_user_agent: bool = True,
        put: Literal["merge", "replace"] = "merge",
        mode: str | None = "monitoring",
        normalize: Callable[[Body], Body] = lambda policy: policy,
        rate_limit: tuple[int, float] | None = None,
        port: int = 0,
    ) -> None:
        """*policies* None: NeoSC makes its three defaults on the first list, OpenA2A has none.

        *crud* False: create, update and delete answer 405 (NeoSC as documented). *total*: whether lists tell one.
        *list_cap*: only so many are listed. *trail* False: audit logs answer 404. *keeps_user_agent*: whether an audit
        entry carries the request's. *mode* None: no enforcement settings (404). *normalize*: what the server makes of a
        policy it stores. *rate_limit*: (requests, seconds) of a window, told in `X-RateLimit-*` headers; then 429.
        """
        self.dialect, self.crud, self.total, self.list_cap = dialect, crud, total, list_cap
        self.trail, self.keeps_user_agent, self.put, self.mode = trail, keeps_user_agent, put, mode
        self.normalize, self.rate_limit = normalize, rate_limit
        self.token = TOKEN
        self.policies: dict[str, Body] = {}
        self.audit: list[Body] = []
        self.requests: list[SeenRequest] = []
        self.on_request: Callable[[SeenRequest], None] = lambda request: None
        self._makes_defaults = policies is None and dialect == "neosc"
        self._faults: list[Planned] = []
        self._made = 0
        self._window_ends, self._counted = 0.0, 0
        self._lock = threading.RLock()
        self._stopping = threading.Event()
        for policy in policies or ():
            self.add(policy)
        self._server = _Server(("127.0.0.1", port), self)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})

    # ---------------------------------------------------------------------------------------------- for the test

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        """The target's `url`."""
        return f"http://127.0.0.1:{self.port}{'/api' if self.dialect == 'neosc' else '/v1'}"

    @property
    def mutations(self) -> list[SeenRequest]:
        """The mutating requests, in the order they came."""
        return [request for request in self.requests if request.is_mutating]

    def fail(
        self,
        fault: Fault,
        *,
        method: str | None = None,
        path: str | None = None,
        skip: int = 0,
        times: int = 1,
        **details: Any,
    ) -> None:
        """Let *fault* happen to the next *times* requests with this method and this text in the path, after *skip*.

        *details*: `retry_after`, `location`, `seconds`, `raw`, for the faults that have them.
        """
        with self._lock:
            self._faults.append(Planned(fault, method, path, skip, times, **details))

    def add(self, policy: Body) -> Body:
        """Store a policy as if it had always been there: no audit entry."""
        with self._lock:
            made = self._stored({**_times(self.dialect), **policy, "id": policy.get("id") or self._next_id("policy_")})
            self.policies[made["id"]] = made
            return made

    def edit(self, policy_id: str, *, actor: str = PERSON, **fields: Any) -> None:
        """Change a policy as a person would on the vendor's page: with an audit entry in their name."""
        with self._lock:
            self.policies[policy_id].update(fields)
            toggled = set(fields) == {"enabled"}
            self._record(
                "toggle_policy" if toggled else "update_policy",
                policy_id,
                f"Policy {'enabled' if fields['enabled'] else 'disabled'}" if toggled else "Policy updated",
                actor,
                "Mozilla/5.0",
            )

    def remove(self, policy_id: str, *, actor: str = PERSON) -> None:
        """Delete a policy as a person would."""
        with self._lock:
            del self.policies[policy_id]
            self._record("delete_policy", policy_id, "Policy deleted", actor, "Mozilla/5.0")

    def __enter__(self) -> FakeApi:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        self._server.shutdown()
        self._server.close_connections()
        self._server.server_close()
        self._thread.join()

    # ---------------------------------------------------------------------------------------------- for the handler

    def receive(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Planned | None:
        """Note a request and say what is to go wrong with it."""
        with self._lock:
            planned = next((planned for planned in self._faults if planned.fits(method, path)), None)
            request = SeenRequest(method, path, headers, body, planned.fault if planned else None)
            self.requests.append(request)
        self.on_request(request)
        return planned

    def wait(self, seconds: float) -> None:
        """Sleep, but not past the end of the block."""
        self._stopping.wait(seconds)

    @property
    def is_stopping(self) -> bool:
        return self._stopping.is_set()

    def error(self, status: int, sentence: str, headers: dict[str, str] | None = None) -> Answer:
        return Answer(status, {"detail" if self.dialect == "neosc" else "error": sentence}, headers or {})

    def answer(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Carry out one request, whole and alone, and return the reply."""
        with self._lock:
            if headers.get("authorization") != f"Bearer {self.token}":
                return self.error(401, "Not authenticated")
            try:
                sent = json.loads(body) if body else {}
            except ValueError:
                return self.error(400, "Invalid request body")
            if self.rate_limit is not None and (seconds := self._count(*self.rate_limit)) > 0:
                wait = {"Retry-After": str(int(seconds) + 1)}
                return self.error(429, "Rate limit exceeded. Please try again later.", wait)
            agent = headers.get("user-agent", "") if self.keeps_user_agent else None
            prefix = "/api" if self.dialect == "neosc" else "/v1/admin"
            if not path.startswith(prefix + "/") or not isinstance(sent, dict):
                return self.error(404, "Not Found")
            names = path[len(prefix) + 1 :].split("/")
            found = (self._neosc if self.dialect == "neosc" else self._opena2a)(method, names, sent, agent)
            if self.rate_limit is not None:
                found.headers |= self._window_headers(self.rate_limit[0])
            return found

    def _count(self, limit: int, seconds: float) -> float:
        """Count one request in its fixed window; return how long to wait when the window is full."""
        now = time.monotonic()
        if now >= self._window_ends:
            self._window_ends, self._counted = now + seconds, 0
        self._counted += 1
        return self._window_ends - now if self._counted > limit else 0.0

    def _window_headers(self, limit: int) -> dict[str, str]:
        left = max(self._window_ends - time.monotonic(), 0.0)
        return {
            "X-RateLimit-Limit": str(limit),
            "X-RateLimit-Remaining": str(max(limit - self._counted, 0)),
            "X-RateLimit-Reset": str(int(left)),
        }

    # ------------------------------------------------------------------------------------------------- dialects

    def _neosc(self, method: str, names: list[str], sent: Body, agent: str | None) -> Answer:
        match (method, *names):
            case ("GET", "policies"):
                return self._list_neosc()
            case ("GET", "audit-logs") if self.trail:
                return self._trail()
            case ("GET", "audit-logs"):
                return self.error(404, "Not Found")
            case ("PATCH", "policies", policy_id):
                if policy_id not in self.policies:
                    return self.error(404, "Policy not found")
                enabled = not self.policies[policy_id].get("enabled", True)
                return Answer(200, {"message": self._set_enabled(policy_id, enabled, agent), "enabled": enabled})
            case ("POST", "policies") if self.crud:
                made = self._create({**sent, "id": sent.get("id") or self._next_id("pol-")}, agent)
                return made if isinstance(made, Answer) else Answer(201, made)
            case ("PUT", "policies", policy_id) if self.crud:
                updated = self._update(policy_id, sent, agent)
                return updated if isinstance(updated, Answer) else Answer(200, updated)
            case ("DELETE", "policies", policy_id) if self.crud:
                return self._delete(policy_id, agent) or Answer(200, {"message": "Policy deleted"})
        return self.error(405, "Method Not Allowed", {"Allow": "GET, PATCH"})

    def _list_neosc(self) -> Answer:
        found = [copy.deepcopy(policy) for policy in self.policies.values()]
        if not found and self._makes_defaults:
            for policy in DEFAULTS:
                self.add(policy)
            found = [dict(policy) for policy in DEFAULTS]  # the list that makes them has no created_at
        shown = found[: self.list_cap]
        return Answer(200, shown, {"X-Total-Count": str(len(found))} if self.total else {})

    def _opena2a(self, method: str, names: list[str], sent: Body, agent: str | None) -> Answer:
        match (method, *names):
            case ("GET", "security-policies"):
                found = [copy.deepcopy(policy) for policy in self.policies.values()]
                value: Body = {"policies": found[: self.list_cap]}
                return Answer(200, {**value, "total": len(found)} if self.total else value)
            case ("GET", "security-policies", policy_id) if policy_id in self.policies:
                return Answer(200, {"policy": copy.deepcopy(self.policies[policy_id])})
            case ("POST", "security-policies"):
                if any(policy["name"] == sent.get("name") for policy in self.policies.values()):
                    return self.error(500, "Failed to create policy")
                made = self._create({"enabled": True, **sent, "id": self._next_id("policy_")}, agent)
                return made if isinstance(made, Answer) else Answer(201, {"policy": made})
            case ("PUT", "security-policies", policy_id):
                updated = self._update(policy_id, sent, agent)
                return updated if isinstance(updated, Answer) else Answer(200, {"policy": updated})
            case ("PATCH", "security-policies", policy_id, "toggle") if policy_id in self.policies:
                enabled = sent.get("enabled") is True
                message = self._set_enabled(policy_id, enabled, agent)
                shown = {key: self.policies[policy_id][key] for key in ("id", "name", "enabled", "updated_at")}
                return Answer(200, {"policy": shown, "message": f"{message} successfully"})
            case ("DELETE", "security-policies", policy_id):
                gone = {"message": "Security policy deleted successfully", "policy_id": policy_id}
                return self._delete(policy_id, agent) or Answer(200, gone)
            case ("GET", "audit-logs") if self.trail:
                return self._trail()
            case ("GET", "enforcement-settings") if self.mode is not None:
                return Answer(200, {"enforcementMode": self.mode, "description": "", "explanation": "", "impact": ""})
            case ("PUT", "enforcement-settings") if self.mode is not None:
                self.mode = str(sent.get("enforcementMode"))
                return Answer(200, {"enforcementMode": self.mode})
        return self.error(404, "Policy not found")

    def _trail(self) -> Answer:
        entries = list(reversed(self.audit))
        value = entries if self.dialect == "neosc" else {"logs": entries, "total": len(entries)}
        return Answer(200, value, {"X-Total-Count": str(len(entries))})

    def _create(self, policy: Body, agent: str | None) -> Body | Answer:
        if policy["id"] in self.policies:
            return self.error(409, "Policy already exists")
        made = self._stored({**policy, **_times(self.dialect)})
        self.policies[made["id"]] = made
        self._record("create_policy", made["id"], "Policy created", SERVICE, agent)
        return copy.deepcopy(made)

    def _update(self, policy_id: str, sent: Body, agent: str | None) -> Body | Answer:
        before = self.policies.get(policy_id)
        if before is None:
            return self.error(404, "Policy not found")
        owned = {key: value for key, value in before.items() if key in ("id", "created_at", "updated_at")}
        if self.put == "replace":
            after = {"name": "", "description": "", "enabled": False, **sent, **owned}
        else:
            after = {key: value for key, value in {**before, **sent}.items() if value is not None}
        self.policies[policy_id] = self._stored(after)
        self._record("update_policy", policy_id, "Policy updated", SERVICE, agent)
        return copy.deepcopy(self.policies[policy_id])

    def _delete(self, policy_id: str, agent: str | None) -> Answer | None:
        if self.policies.pop(policy_id, None) is None:
            return self.error(404, "Policy not found")
        self._record("delete_policy", policy_id, "Policy deleted", SERVICE, agent)
        return None

    def _set_enabled(self, policy_id: str, enabled: bool, agent: str | None) -> str:
        self.policies[policy_id]["enabled"] = enabled
        message = f"Policy {'enabled' if enabled else 'disabled'}"
        self._record("toggle_policy", policy_id, message, SERVICE, agent)
        return message

    def _stored(self, policy: Body) -> Body:
        return {"enabled": True, **self.normalize(copy.deepcopy(policy))}

    def _record(self, action: str, policy_id: str, details: str, actor: str, agent: str | None) -> None:
        entry = {
            "id": self._next_id("log-"),
            "user_id": f"user-{actor.split('@', maxsplit=1)[0]}",
            "user_email": actor,
            "action": action,
            "resource": f"policy:{policy_id}",
            "details": details,
            "timestamp": datetime.now(UTC).isoformat(),
            "success": True,
        }
        self.audit.append(entry if agent is None else {**entry, "user_agent": agent})

    def _next_id(self, prefix: str) -> str:
        self._made += 1
        return f"{prefix}{self._made:06x}"


def http_date(seconds: float = 0.0) -> str:
    """An HTTP date so many seconds from now."""
    return format_datetime(datetime.now(UTC) + timedelta(seconds=seconds), usegmt=True)


def _times(dialect: Dialect) -> Body:
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    return {"created_at": now} if dialect == "neosc" else {"created_at": now, "updated_at": now}


# --------------------------------------------------------------------------------------------------- sockets


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = False
    request_queue_size = 64

    def __init__(self, address: tuple[str, int], api: FakeApi) -> None:
        self.api = api
        self.connections: set[socket.socket] = set()
        super().__init__(address, _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        self.connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self.connections.discard(request)
        super().shutdown_request(request)

    def close_connections(self) -> None:
        """Wake up handlers that wait for a next request or hang."""
        for connection in list(self.connections):
            _shut(connection)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is part of the game; anything else is a bug of this file."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def _handle(self) -> None:
        api = self.server.api
        headers = {name.lower(): value for name, value in self.headers.items()}
        body = self.rfile.read(int(headers.get("content-length") or 0))
        planned = api.receive(self.command, self.path, headers, body)
        if planned is None:
            self._write(api.answer(self.command, self.path, headers, body))
        else:
            self._misbehave(planned, lambda: api.answer(self.command, self.path, headers, body))

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _handle  # noqa: N815 - the base class wants these names

    def _misbehave(self, planned: Planned, carry_out: Callable[[], Answer]) -> None:
        api, fault = self.server.api, planned.fault
        wait = {} if planned.retry_after is None else {"Retry-After": planned.retry_after}
        match fault:
            case Fault.DROP_BEFORE:
                self._drop()
            case Fault.DROP_AFTER:
                carry_out()
                self._drop()
            case Fault.RESET_AFTER:
                carry_out()
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.close_connection = True
                self.connection.close()
            case Fault.HANG_BEFORE | Fault.HANG_AFTER:
                if fault is Fault.HANG_AFTER:
                    carry_out()
                self._hang()
            case Fault.LATE:
                api.wait(planned.seconds)
                carry_out()
                self._drop()
            case Fault.ERROR_BEFORE:
                self._write(api.error(500, "Internal Server Error"))
            case Fault.ERROR_AFTER:
                carry_out()
                self._write(api.error(500, "Internal Server Error"))
            case Fault.UNAVAILABLE:
                self._write_html(503, wait)
            case Fault.TOO_MANY:
                self._write(api.error(429, "Rate limit exceeded. Please try again later.", wait))
            case Fault.HTML:
                self._write_html(200, {})
            case Fault.HTML_AFTER:
                carry_out()
                self._write_html(200, {})
            case Fault.EMPTY:
                self._write(Answer(200))
            case Fault.NULL:
                self._write_bytes(200, b"null", {"Content-Type": "application/json"})
            case Fault.REDIRECT:
                self._write(Answer(307, {}, {"Location": planned.location}))
            case Fault.SLOW:
                data = _message(carry_out())
                for index in range(len(data)):
                    self.wfile.write(data[index : index + 1])
                    api.wait(planned.seconds)
                    if api.is_stopping:
                        break
                self.close_connection = True
            case Fault.CUT:
                data = _message(carry_out())
                self.wfile.write(data[: data.index(b"\r\n\r\n") + 4 + (len(data) - data.index(b"\r\n\r\n") - 4) // 2])
                self._drop()
            case Fault.UNAUTHORIZED:
                self._write(api.error(401, "Invalid token"))
            case Fault.RAW:
                self.wfile.write(planned.raw)
                self._drop()

    def _write(self, answer: Answer) -> None:
        self.wfile.write(_message(answer))

    def _write_html(self, status: int, headers: dict[str, str]) -> None:
        page = b"<!doctype html><title>Sign in</title><h1>Sign in</h1>"
        self._write_bytes(status, page, {"Content-Type": "text/html; charset=utf-8", **headers})

    def _write_bytes(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.wfile.write(_head(status, {**headers, "Content-Length": str(len(body))}) + body)

    def _drop(self) -> None:
        self.close_connection = True
        _shut(self.connection)

    def _hang(self) -> None:
        """Say nothing until the client goes away or the block ends."""
        self.close_connection = True
        self.connection.settimeout(0.05)
        while not self.server.api.is_stopping:
            try:
                if not self.connection.recv(1024):
                    return
            except TimeoutError:
                continue


def _message(answer: Answer) -> bytes:
    body = b"" if answer.value is None else json.dumps(answer.value).encode()
    kind = {"Content-Type": "application/json"} if body else {}
    return _head(answer.status, {**kind, "Content-Length": str(len(body)), **answer.headers}) + body


def _head(status: int, headers: Mapping[str, str]) -> bytes:
    lines = [
        f"HTTP/1.1 {status} Status",
        f"Date: {http_date()}",
        *(f"{name}: {text}" for name, text in headers.items()),
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def _shut(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


def main(arguments: list[str] | None = None) -> None:
    """Serve by hand until Ctrl-C."""
    parser = argparse.ArgumentParser(description="A stand-in API that can be told to misbehave.")
    parser.add_argument("dialect", choices=["neosc", "opena2a"])
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--no-crud", action="store_true", help="NeoSC as documented: list and toggle only")
    parser.add_argument("--no-total", action="store_true", help="lists without a total")
    parser.add_argument("--no-trail", action="store_true", help="audit logs answer 404")
    parser.add_argument("--fail", action="append", default=[], metavar="METHOD:FAULT", help="next request of METHOD")
    options = parser.parse_args(arguments)
    api = FakeApi(
        options.dialect,
        crud=not options.no_crud,
        total=not options.no_total,
        trail=not options.no_trail,
        port=options.port,
    )
    for text in options.fail:
        method, _, name = text.partition(":")
        api.fail(Fault(name), method=method.upper())
    api.on_request = lambda request: print(request.method, request.path, request.fault or "", flush=True)
    with api:
        print(f"url: {api.url}\ntoken: {api.token}\nfaults: {', '.join(fault.value for fault in Fault)}", flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            threading.Event().wait()


if __name__ == "__main__":
    main()
