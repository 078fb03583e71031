"""The one module that opens a connection: what a live API is asked, and what may come back.

One origin per run, a deadline over the whole exchange, a cap on bytes, no redirects, no environment, no cookies, no
compression; the token stands in one header and nowhere else. Reads are tried again, a mutation never is: it goes once,
on a connection of its own, and what was seen of it is told as it was (reliability.md 3.1 to 3.3). `network.py` is its
lower half.
"""

from __future__ import annotations

import re
import socket
import threading
import weakref
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

import httpcore
import httpx

from reconciler import __version__
from reconciler.core.model import Json
from reconciler.core.ports import Clock, Random
from reconciler.core.safe import quoted, safe
from reconciler.core.secret import Secret
from reconciler.errors import ConfigError, LiveError, UnreachableError
from reconciler.providers.keyring import Keyring
from reconciler.providers.network import Exchange, Line, Network, Proxy
from reconciler.providers.origin import ParsedOrigin, check_url
from reconciler.providers.pace import Pace, TooSoonError
from reconciler.providers.wire import (
    Reply,
    TooLargeError,
    WireError,
    count_marks,
    decode_json,
    header_count,
    is_id,
    parse_retry_after,
)

__all__ = ["ParsedOrigin", "Sent", "Transport", "check_url", "quote_id"]

MAX_BYTES: Final = 8 * 1024 * 1024
READ_TRIES: Final = 5
READ_SECONDS: Final = 30.0
#: A change waits this long for its place in the server's window; then it goes back to whoever decided it.
_PATIENCE: Final = 1.0
_BACKOFF: Final = (1.0, 2.0, 4.0, 8.0)
_DETAIL: Final = 65_536
_QUERY: Final = re.compile(r"[a-z_]+=[A-Za-z0-9._-]+(?:&[a-z_]+=[A-Za-z0-9._-]+)*")

#: For a stand-in below this module that cannot say whether a byte left: these errors come before the first one.
_BEFORE_FIRST_BYTE: Final = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.LocalProtocolError)

T = TypeVar("T")
MakeWire = Callable[[], httpx.BaseTransport]


@dataclass(frozen=True, slots=True)
class Sent:
    """What was seen of one mutating request. `wrote`: a byte of it may have left this machine.

    `reply` is None when none came whole; `failure` then says why, in words that are safe to show. It also says why a
    reply that did come has no JSON value. `renewed`: the token was not taken, and there is another one by now.
    """

    wrote: bool
    reply: Reply | None
    failure: str = ""
    retry_after: float | None = None
    renewed: bool = False

    @property
    def status(self) -> int | None:
        return None if self.reply is None else self.reply.status


def quote_id(policy_id: str) -> str:
    """Return *policy_id* for the path of a URL; raise `WireError` when it is no id (reliability.md D14)."""
    if not is_id(policy_id):
        raise WireError(f"{quoted(policy_id)} is not an id that may stand in a URL")
    return policy_id


class Transport:
    """The way to one live API. May be used from several threads; `close` (or the end of the object) frees its sockets.

    *wire* replaces the network below, for a simulation. *renew* looks again where the token came from: asked once, when
    the server no longer takes the one we have (reliability.md F18).
    """

    def __init__(
        self,
        url: str,
        token: Secret | None,
        *,
        deadline: float,
        clock: Clock,
        random: Random,
        ca_file: str | None = None,
        proxy: str | None = None,
        allowed_hosts: Sequence[str] | None = None,
        max_bytes: int = MAX_BYTES,
        wire: MakeWire | None = None,
        renew: Callable[[], Secret | None] | None = None,
    ) -> None:
        self.origin = check_url(url, allowed_hosts)
        self.clock = clock
        self._keyring = Keyring(token, renew)
        self._deadline = deadline
        self._random = random
        self._max_bytes = max_bytes
        self._pace = Pace(clock)
        network = Network(self.origin, clock, ca_file=ca_file, proxy=_check_proxy(proxy))
        self._make_wire: MakeWire = wire or (lambda: _Wire(network))
        self._idle: list[httpx.BaseTransport] = []
        self._lock = threading.Lock()
        self._finalizer = weakref.finalize(self, _close_all, self._idle)

    @property
    def token(self) -> Secret | None:
        """What the next request shows."""
        return self._keyring.token

    def use(self, token: Secret | None, renew: Callable[[], Secret | None] | None, *hidden: Secret) -> None:
        """Show *token* from now on, and ask *renew* for its successor; *hidden* are taken out of texts, too."""
        self._keyring.put(token, renew, *hidden)

    def close(self) -> None:
        """Close the connections that wait for the next read."""
        with self._lock:
            _close_all(self._idle)

    def make_nonce(self) -> str:
        """Text that no other run has."""
        return self._random.nonce()

    def clean(self, text: str, limit: int = 200) -> str:
        """Return text of the server fit to be shown: the token taken out, one line, nothing hidden, cut."""
        text = text[:_DETAIL]
        return safe(self._keyring.redact(text), limit)

    # ---------------------------------------------------------------------------------------------------- reading

    def get(
        self,
        path: str,
        parse: Callable[[Reply], T],
        *,
        query: Mapping[str, str] | None = None,
        has_parts: Callable[[Mapping[str, str]], bool] | None = None,
    ) -> T:
        """Read *path* and return what *parse* makes of a 200; `parse` raises `WireError` for what is not the API's.

        Network errors, 429, 5xx and replies that are not the API's are tried again with growing pauses, 5 times or 30
        seconds in all; then `UnreachableError`, or `LiveError` when a reply came that is not the API's. A redirect, any
        other 4xx and a certificate that is not trusted are a `LiveError` at once. A 200 that is larger than a reply may
        be is a `TooLargeError` at once where *has_parts* says of its headers that less of it can be asked for.
        """
        asked = f"{path}?{'&'.join(f'{name}={value}' for name, value in query.items())}" if query else path
        found = self._read(asked, parse, frozenset(), has_parts)
        assert found is not None  # noqa: S101 - None is for statuses that count as absent
        return found[0]

    def find(self, path: str, parse: Callable[[Reply], T], absent: Collection[int] = (404,)) -> T | None:
        """As `get`, but a status of *absent* gives None."""
        found = self._read(path, parse, frozenset(absent))
        return None if found is None else found[0]

    def _read(
        self,
        path: str,
        parse: Callable[[Reply], T],
        absent: Collection[int],
        has_parts: Callable[[Mapping[str, str]], bool] | None = None,
    ) -> tuple[T] | None:
        ends_at = self.clock.monotonic() + READ_SECONDS
        where = f"GET {self.origin}{self.origin.prefix}{path}"
        for attempt in range(READ_TRIES):
            ends_at += self._pace.enter(is_write=False)
            seconds = min(self._deadline, ends_at - self.clock.monotonic())
            seen = self._exchange("GET", path, None, {}, seconds=max(seconds, 0.1), is_write=False)
            trouble: LiveError
            if seen.exchange.tls is not None:
                raise _untrusted(seen.exchange.tls, where)
            if seen.status in absent:
                return None
            if seen.status == 401 and attempt < READ_TRIES - 1 and self._keyring.has_another(seen.token):
                continue
            if seen.status is not None:
                self._refuse_final(seen, where)
            try:
                reply = seen.reply()
                if reply.status != 200:
                    raise WireError(f"expected status 200, got {reply.status}")
                return (parse(reply),)
            except WireError as error:
                if isinstance(error, TooLargeError) and seen.status == 200 and has_parts and has_parts(seen.headers):
                    raise
                trouble = LiveError(
                    f"the reply is not the policy API's: {self.clean(str(error))}",
                    where=where,
                    fix="check the target's url; something else may be answering there",
                    code="not-the-api",
                )
            except _NoReplyError as error:
                trouble = UnreachableError(
                    f"the live API cannot be reached: {error}",
                    where=where,
                    fix="try again later; check the target's url and the network if it stays so",
                )
            pause = self._random.uniform(0.0, _BACKOFF[min(attempt, len(_BACKOFF) - 1)])
            asked = parse_retry_after(seen.headers) if seen.status in (429, 503) else None
            pause = pause if asked is None else asked
            if attempt == READ_TRIES - 1 or self.clock.monotonic() + pause >= ends_at:
                raise trouble
            self.close()  # the next try is not to stumble over a connection that ended after this one
            if pause > 0:
                self.clock.sleep(pause)
        raise AssertionError("unreachable")

    def _refuse_final(self, seen: _Seen, where: str) -> None:
        """Raise for a status that trying again does not change."""
        status = seen.status or 0
        if 300 <= status < 400:
            target = _origin_of(seen.headers.get("location", ""), self.origin)
            raise LiveError(
                f"the live API redirects ({status}) to {self.clean(target, 120)}; redirects are never followed",
                where=where,
                fix="write the url where the API really is into reconciler.yaml",
                code="redirect",
            )
        if status in (401, 403):
            what = "does not take the token" if status == 401 else "does not let this token read"
            raise LiveError(
                f"the live API {what} ({status}{self._told(seen)})",
                where=where,
                fix="check which token RECONCILER_TOKEN_<TARGET> holds, and its rights",
                code="refused",
            )
        if 400 <= status < 500 and status != 429:
            raise LiveError(
                f"the live API refuses to be read ({status}{self._told(seen)})",
                where=where,
                fix="check the target's url and provider",
                code="refused",
            )

    def _told(self, seen: _Seen) -> str:
        try:
            detail = error_detail(seen.reply().value)
        except (WireError, _NoReplyError):
            return ""
        return f": {self.clean(detail)}" if detail else ""

    # ---------------------------------------------------------------------------------------------------- writing

    def send(
        self, method: str, path: str, body: Json | bytes, headers: Mapping[str, str], *, anonymous: bool = False
    ) -> Sent:
        """Send one mutating request, once, on a connection of its own, and return what was seen; no error is raised.

        *body* None sends none; bytes are JSON already, to be sent as they are (they may be signed). *headers* carry the
        annotation. *anonymous* is for getting a token: none is shown, and none is taken out of the reply.
        """
        try:
            # What is about to be sent was decided from what was read a moment ago; a long wait makes that old.
            self._pace.enter(is_write=True, patience=_PATIENCE)
        except TooSoonError as error:
            return Sent(False, None, "the server's limit of requests is used up for now", error.seconds)
        keyring = Keyring(None) if anonymous else self._keyring
        seen = self._exchange(method, path, body, headers, seconds=self._deadline, is_write=True, keyring=keyring)
        try:
            reply = seen.reply(strict=False)
        except _NoReplyError as error:
            return Sent(seen.exchange.wrote, None, str(error))
        except WireError as error:
            status = Reply(seen.status or 0, seen.headers) if seen.status is not None else None
            return Sent(seen.exchange.wrote, status, self.clean(str(error)), parse_retry_after(seen.headers))
        renewed = reply.status == 401 and keyring.has_another(seen.token)
        return Sent(seen.exchange.wrote, reply, retry_after=parse_retry_after(seen.headers), renewed=renewed)

    # --------------------------------------------------------------------------------------------------- exchange

    def _exchange(
        self,
        method: str,
        path: str,
        body: Json | bytes,
        headers: Mapping[str, str],
        *,
        seconds: float,
        is_write: bool,
        keyring: Keyring | None = None,
    ) -> _Seen:
        """One request and its reply within *seconds*, whatever happens; errors become part of what was seen."""
        seen = _Seen(self.clock.monotonic() + seconds, self._keyring if keyring is None else keyring)
        wire: httpx.BaseTransport | None = None
        done = False
        try:
            request = self._request(method, path, body, headers, seconds, seen.token)
            wire = self._make_wire() if is_write else self._borrow()
            if isinstance(wire, _Wire):
                wire.line.exchange = seen.exchange
            response = wire.handle_request(request)
            seen.exchange.wrote = True
            try:
                self._receive(response, seen)
                done = seen.is_whole
            finally:
                response.close()
        except httpx.TransportError as error:
            if wire is not None and not isinstance(wire, _Wire):
                seen.exchange.wrote = not isinstance(error, _BEFORE_FIRST_BYTE)
            seen.error = error
        except ConfigError:
            raise
        except Exception as error:  # noqa: BLE001 - after the first byte any error at all is doubt, not a crash
            seen.error = error
        finally:
            self._pace.leave(seen.headers)
            if wire is not None:
                self._give_back(
                    wire, keep=done and not is_write and (not isinstance(wire, _Wire) or wire.line.is_clean)
                )
        return seen

    def _request(
        self,
        method: str,
        path: str,
        body: Json | bytes,
        headers: Mapping[str, str],
        seconds: float,
        token: Secret | None,
    ) -> httpx.Request:
        target = self.origin.prefix + path
        plain, mark, query = path.partition("?")
        if not plain.startswith("/") or not all(is_id(part) for part in plain[1:].split("/")):
            raise ValueError("a path may only be made of names and checked ids")
        if mark and not _QUERY.fullmatch(query):
            raise ValueError("a query may only be made of names and plain values")
        sent = {
            "Host": self.origin.authority,
            "Accept": "application/json",
            "Accept-Encoding": "identity",
            "User-Agent": f"reconciler/{__version__}",
            **headers,
        }
        ready = body if isinstance(body, bytes) else None
        if ready is not None:
            sent["Content-Type"] = "application/json"
        for name, value in sent.items():
            if not (re.fullmatch("[A-Za-z0-9-]+", name) and value.isascii() and value.isprintable()):
                raise ValueError(f"the header {safe(name, 40)} holds what no header may hold")
        if token is not None:
            sent["Authorization"] = f"Bearer {token.reveal()}"
        request = httpx.Request(
            method,
            f"{self.origin}{target}",
            headers=sent,
            json=body if ready is None else None,
            content=ready,
            extensions={"timeout": dict.fromkeys(("connect", "read", "write", "pool"), seconds)},
        )
        url = request.url
        asked = (url.scheme, url.host, url.port or self.origin.port, url.raw_path.decode("ascii"))
        if asked != (self.origin.scheme, self.origin.host, self.origin.port, target):
            raise ValueError("the request would go to another place than the target's url")
        return request

    def _receive(self, response: httpx.Response, seen: _Seen) -> None:
        """Read the whole body; no more than the cap, no longer than the deadline, nothing that must be unpacked."""
        seen.status = response.status_code
        seen.headers = _header_map(response.headers)
        if seen.headers.get("content-encoding", "identity").strip().lower() not in ("", "identity"):
            seen.wrong = WireError("the body is compressed, which was not asked for")
            return
        if not isinstance(response.stream, httpx.SyncByteStream):
            raise TypeError("the wire below answers without a synchronous stream")
        size = header_count(seen.headers, "content-length") or 0
        if size > self._max_bytes:
            seen.wrong = TooLargeError(f"the body is longer than {self._max_bytes} bytes")
            return
        size = 0
        for chunk in response.stream:
            size += len(chunk)
            if size > self._max_bytes:
                seen.wrong = TooLargeError(f"the body is longer than {self._max_bytes} bytes")
                return
            seen.chunks.append(chunk)
            if self.clock.monotonic() > seen.exchange.ends_at:
                raise httpx.ReadTimeout("the deadline has passed")
        seen.is_whole = True

    def _borrow(self) -> httpx.BaseTransport:
        with self._lock:
            if self._idle:
                return self._idle.pop()
        return self._make_wire()

    def _give_back(self, wire: httpx.BaseTransport, *, keep: bool) -> None:
        if not keep:
            wire.close()
            return
        with self._lock:
            self._idle.append(wire)


def error_detail(value: object) -> str:
    """Return what an error body says, in any of the shapes the APIs have (systems.md 5 row 21); untrusted, uncut."""
    if not isinstance(value, dict):
        return ""
    for key in ("detail", "error", "message"):
        told = value.get(key)
        if isinstance(told, str) and told:
            return told
        if isinstance(told, list):
            texts = [item.get("msg") for item in told if isinstance(item, dict)]
            return "; ".join(text for text in texts[:3] if isinstance(text, str))
    return ""


def _untrusted(reason: str, where: str) -> LiveError:
    return LiveError(
        f"the TLS connection is not trusted: {reason}",
        where=where,
        fix="correct the url, or name the certificate authority in RECONCILER_CA_FILE; it is never ignored",
        code="tls",
    )


def _origin_of(location: str, here: ParsedOrigin) -> str:
    """The origin a Location header points at, for people; nothing is ever sent there."""
    if not location:
        return "nowhere"
    try:
        url = httpx.URL(location)
    except httpx.InvalidURL:
        return "an address that is none"
    if not url.host:
        return str(here)
    host = f"[{url.host}]" if ":" in url.host else url.host
    return f"{url.scheme or here.scheme}://{host}" + (f":{url.port}" if url.port else "")


def _header_map(headers: httpx.Headers) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in headers.raw:
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        found[key] = f"{found[key]}, {text}" if key in found else text
    return found


def _check_proxy(proxy: str | None) -> Proxy | None:
    if proxy is None:
        return None
    try:
        url = httpx.URL(proxy)
    except httpx.InvalidURL:
        url = httpx.URL("")
    if url.scheme != "http" or not url.host or url.path not in ("", "/"):
        raise ConfigError(
            "the proxy is not a URL such as http://proxy.example.com:3128",
            where="RECONCILER_PROXY",
            fix="write it so; only https targets use it, through a tunnel, so it never sees the token",
            code="bad-proxy",
        )
    return Proxy(url.host, url.port or 80, (url.username, url.password) if url.userinfo else None)


def _close_all(wires: list[httpx.BaseTransport]) -> None:
    while wires:
        wires.pop().close()


class _NoReplyError(Exception):
    """No whole reply came; the text says why, without anything secret."""


class _Seen:
    """The facts of one exchange, collected while it runs."""

    def __init__(self, ends_at: float, keyring: Keyring) -> None:
        self.exchange = Exchange(ends_at)
        self._keyring = keyring
        self.token = keyring.token
        self.status: int | None = None
        self.headers: Mapping[str, str] = {}
        self.chunks: list[bytes] = []
        self.is_whole = False
        self.wrong: WireError | None = None
        self.error: Exception | None = None

    def reply(self, *, strict: bool = True) -> Reply:
        """Return the reply; raise `WireError` when one came that is not the API's, `_NoReplyError` when none came.

        With *strict* a 429 or 5xx counts as none, and an empty body is not the API's.
        """
        status = self.status
        if self.wrong is not None:
            raise self.wrong
        if self.error is not None:
            if isinstance(self.error, httpx.RemoteProtocolError) and self.exchange.received:
                raise WireError("the reply is cut off" if status is not None else "what came is not HTTP")
            raise _NoReplyError(_reason(self.error)) from self.error
        if status is None or not self.is_whole:
            raise _NoReplyError("no reply came")
        if strict and (status == 429 or status >= 500):
            raise _NoReplyError(f"it answers {status}")
        framed = "content-length" in self.headers or "chunked" in self.headers.get("transfer-encoding", "")
        body = b"".join(self.chunks)
        if not body:
            if strict:
                raise WireError("the body is empty")
            return Reply(status, self.headers, framed=framed)
        value = decode_json(body, self.headers.get("content-type"))
        return Reply(status, self.headers, self._keyring.mask(value), framed, count_marks(body))


def _reason(error: Exception) -> str:
    """Say what went wrong in words of our own: an exception's text may quote what must not be shown."""
    if isinstance(error, httpx.ConnectTimeout | httpx.PoolTimeout):
        return "no connection within the deadline"
    if isinstance(error, httpx.TimeoutException):
        return "no whole reply within the deadline"
    if isinstance(error, httpx.ConnectError):
        cause: BaseException | None = error
        while cause is not None:
            if isinstance(cause, ConnectionRefusedError):
                return "the connection is refused"
            if isinstance(cause, socket.gaierror):
                return "its name is not known"
            cause = cause.__cause__ or cause.__context__
        return "no connection"
    if isinstance(error, httpx.NetworkError | httpx.RemoteProtocolError):
        return "the connection was closed before a reply came"
    if isinstance(error, httpx.ProxyError):
        return "the proxy refuses"
    if isinstance(error, ValueError):
        return "the request cannot be written"
    return f"{type(error).__name__}"


# ----------------------------------------------------------------------------------------------------- the wire


class _Body(httpx.SyncByteStream):
    def __init__(self, parts: Iterable[bytes]) -> None:
        self._parts = parts

    def __iter__(self) -> Iterator[bytes]:
        with _errors_of_httpx():
            yield from self._parts

    def close(self) -> None:
        close = getattr(self._parts, "close", None)
        if close is not None:
            close()


class _errors_of_httpx:  # noqa: N801 - a context manager
    """Raise httpcore's errors under the names httpx has for them, so that a wire from elsewhere looks the same."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if error is None or type(error).__module__.split(".")[0] != "httpcore":
            return
        known = getattr(httpx, type(error).__name__, None)
        if isinstance(known, type) and issubclass(known, httpx.TransportError):
            raise known(str(error)) from error
        raise httpx.ProtocolError(str(error)) from error


class _Wire(httpx.BaseTransport):
    """One connection to the origin, as httpx sees it. No client above it, so nothing is followed, kept or added."""

    def __init__(self, network: Network) -> None:
        self.line = Line(network)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        with _errors_of_httpx():
            response = self.line.connection().handle_request(
                httpcore.Request(
                    request.method,
                    httpcore.URL(
                        scheme=request.url.raw_scheme,
                        host=request.url.raw_host,
                        port=request.url.port,
                        target=request.url.raw_path,
                    ),
                    headers=request.headers.raw,
                    content=request.read(),
                    extensions=request.extensions,
                )
            )
        assert isinstance(response.stream, Iterable)  # noqa: S101 - the pool is synchronous
        return httpx.Response(response.status, headers=response.headers, stream=_Body(response.stream))

    def close(self) -> None:
        self.line.close()
