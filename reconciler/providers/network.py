"""Sockets: one connection to one origin, with one deadline over name resolution, connect, TLS, request and reply.

The lower half of `http.py`, on httpcore's own interfaces, because httpx has a timeout for each step and none for the
whole (reliability.md D10), and cannot say whether a byte of a request has left. Knows no requests, only bytes.
"""

from __future__ import annotations

import contextlib
import queue
import socket
import ssl
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final, NoReturn

import httpcore

from reconciler.core.ports import Clock
from reconciler.core.safe import safe
from reconciler.errors import ConfigError
from reconciler.providers.origin import ParsedOrigin

CONNECT_SECONDS: Final = 5.0
#: Shorter than any server keeps an idle connection open, so that a read seldom meets a closed one.
_IDLE_SECONDS: Final = 3.0


@dataclass(slots=True)
class Exchange:
    """The facts about one request that only its connection knows. `tls` says why TLS failed for good.

    `wrote`: a byte of the request may have left; `received`: a byte of a reply has come.
    """

    ends_at: float
    wrote: bool = False
    received: bool = False
    tls: str | None = None


@dataclass(frozen=True, slots=True)
class Proxy:
    """An explicit HTTP proxy, used for a tunnel only."""

    host: str
    port: int
    auth: tuple[str, str] | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class _Tls:
    """One context for all connections of a run, made when the first one needs it (17 ms)."""

    ca_file: str | None
    made: list[ssl.SSLContext]
    lock: threading.Lock

    def context(self) -> ssl.SSLContext:
        with self.lock:
            if not self.made:
                self.made.append(self._make())
            return self.made[0]

    def _make(self) -> ssl.SSLContext:
        # Not `create_default_context`: it obeys SSLKEYLOGFILE.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if self.ca_file is None:
            context.load_default_certs()
            return context
        try:
            context.load_verify_locations(cafile=self.ca_file)
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(
                f"the certificate authority file cannot be used ({type(error).__name__})",
                where="RECONCILER_CA_FILE",
                fix=f"make {safe(self.ca_file)} a readable file of PEM certificates",
                code="bad-ca-file",
            ) from error
        return context


class Network:
    """Where connections go: the origin, or the proxy in front of it; nowhere else."""

    def __init__(self, origin: ParsedOrigin, clock: Clock, *, ca_file: str | None, proxy: Proxy | None) -> None:
        self.origin, self.clock = origin, clock
        # Plain http is for this computer only, so a proxy has nothing to do there.
        self.proxy = proxy if origin.is_secure else None
        self._tls = _Tls(ca_file, [], threading.Lock())

    def make_connection(self, backend: httpcore.NetworkBackend) -> httpcore.ConnectionInterface:
        """Return a connection that is made when the first request needs it."""
        origin = httpcore.Origin(self.origin.scheme.encode(), self.origin.host.encode(), self.origin.port)
        settings: dict[str, Any] = {
            "ssl_context": self._tls.context() if self.origin.is_secure else None,
            "keepalive_expiry": _IDLE_SECONDS,
            "network_backend": backend,
        }
        if self.proxy is None:
            return httpcore.HTTPConnection(origin, **settings)
        target = httpcore.URL(scheme="http", host=self.proxy.host, port=self.proxy.port, target="/")
        return httpcore.HTTPProxy(target, proxy_auth=self.proxy.auth, **settings).create_connection(origin)

    def connect(self, host: str, port: int, exchange: Exchange) -> httpcore.NetworkStream:
        """Connect within the deadline, name resolution included, and only to where this run may send."""
        if self.proxy is not None:
            if (host, port) != (self.proxy.host, self.proxy.port):
                raise httpcore.ConnectError("not the proxy of this run")
        else:
            if (host, port) != (self.origin.host, self.origin.port):
                raise httpcore.ConnectError("not the origin of this run")
            host = self.origin.connect_host
        error: Exception = httpcore.ConnectError("the name has no address")
        for address in _resolve(host, port, self.left(exchange)):
            try:
                return _SYNC.connect_tcp(address, port, timeout=min(CONNECT_SECONDS, self.left(exchange)))
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as failed:
                error = failed
        raise error

    def left(self, exchange: Exchange) -> float:
        """Seconds to the deadline; raise when it has passed."""
        seconds = exchange.ends_at - self.clock.monotonic()
        if seconds <= 0:
            raise (httpcore.ReadTimeout if exchange.wrote else httpcore.ConnectTimeout)("the deadline has passed")
        return seconds


_SYNC: Final = httpcore.SyncBackend()


def _resolve(host: str, port: int, seconds: float) -> list[str]:
    """Return a host's addresses. `getaddrinfo` knows no timeout, so a thread of its own waits for it (F2)."""
    box: queue.SimpleQueue[list[str] | OSError] = queue.SimpleQueue()

    def ask() -> None:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            box.put(list(dict.fromkeys(str(entry[4][0]) for entry in found)))
        except OSError as error:
            box.put(error)
        except UnicodeError:
            box.put(socket.gaierror("not a name"))

    if ":" in host or host.replace(".", "").isdigit():
        return [host]
    threading.Thread(target=ask, daemon=True, name="resolve").start()
    try:
        found = box.get(timeout=seconds)
    except queue.Empty:
        raise httpcore.ConnectTimeout("name resolution took too long") from None
    if isinstance(found, OSError):
        raise httpcore.ConnectError("the name cannot be resolved") from found
    return found


class _Stream(httpcore.NetworkStream):
    """A connection that knows the exchange it serves: one deadline for all its steps, and whether a byte has left.

    What is written is held until something is to be read, so that a request leaves in one piece.
    """

    def __init__(self, inner: httpcore.NetworkStream, line: Line, *, is_final: bool) -> None:
        self._inner, self._line, self._is_final = inner, line, is_final
        self._held = b""

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        exchange = self._line.exchange
        # A server may refuse a request before it has read it, so a broken write is no end: it may have said why.
        with contextlib.suppress(httpcore.WriteError):
            self._write_held()
        data = self._inner.read(max_bytes, self._line.network.left(exchange))
        exchange.received = exchange.received or (bool(data) and self._is_final)
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._line.network.left(self._line.exchange)
        self._held += buffer

    def _write_held(self) -> None:
        if not self._held:
            return
        exchange, held = self._line.exchange, self._held
        left = self._line.network.left(exchange)
        self._held = b""
        # What goes to a proxy before TLS stands is not the request.
        exchange.wrote = exchange.wrote or self._is_final
        self._inner.write(held, left)

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        left = self._line.network.left(self._line.exchange)
        try:
            inner = self._inner.start_tls(ssl_context, server_hostname, min(CONNECT_SECONDS, left))
        except httpcore.ConnectError as error:
            self._line.exchange.tls = _tls_reason(error)
            raise
        return _Stream(inner, self._line, is_final=True)

    def close(self) -> None:
        self._inner.close()

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


def _tls_reason(error: BaseException) -> str | None:
    """Why TLS failed for good; None when the connection just broke, which another try may mend."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return safe(cause.verify_message or "certificate verify failed")
        if isinstance(cause, ssl.SSLEOFError | ssl.SSLZeroReturnError | ssl.SSLSyscallError):
            return None
        if isinstance(cause, ssl.SSLError):
            return safe((cause.reason or "handshake failed").replace("_", " ").lower())
        cause = cause.__cause__ or cause.__context__
    return None


class _Backend(httpcore.NetworkBackend):
    def __init__(self, line: Line) -> None:
        self._line = line

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        network = self._line.network
        inner = network.connect(host, port, self._line.exchange)
        return _Stream(inner, self._line, is_final=not network.origin.is_secure)

    def connect_unix_socket(
        self, path: str, timeout: float | None = None, socket_options: Iterable[Any] | None = None
    ) -> NoReturn:
        raise httpcore.ConnectError("only TCP")

    def sleep(self, seconds: float) -> NoReturn:
        raise httpcore.ConnectError("nothing here is tried again")


class Line:
    """One connection at a time, used by one thread at a time, for the exchange it is told of."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self.exchange = Exchange(0.0)
        self._connection: httpcore.ConnectionInterface | None = None

    def connection(self) -> httpcore.ConnectionInterface:
        """Return the connection, or another one when it cannot be used again."""
        found = self._connection
        if found is None or not found.is_idle() or found.has_expired():
            self.close()
            found = self._connection = self.network.make_connection(_Backend(self))
        return found

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    @property
    def is_clean(self) -> bool:
        """Whether nothing is left of what came: bytes after the end of a reply would answer the next request.

        Looks inside httpcore, which has no question for it; where it cannot, the answer is no, and the next request
        has a connection of its own.
        """
        state = getattr(getattr(self._connection, "_connection", None), "_h11_state", None)
        return state is not None and not any(state.trailing_data)
