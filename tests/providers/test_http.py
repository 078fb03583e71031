"""The transport over real sockets: what is tried again, what is not, what never leaves, what never shows."""

from __future__ import annotations

import gc
import logging
import shutil
import socket
import ssl
import subprocess
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from reconciler.clock import SystemClock, SystemRandom
from reconciler.core.ports import Clock
from reconciler.core.secret import Secret
from reconciler.errors import ConfigError, ExitCode, LiveError, UnreachableError
from reconciler.providers.http import Transport
from reconciler.providers.wire import Reply, WireError, expect_array
from tests.fake_api import DEFAULTS, TOKEN, FakeApi, Fault, http_date
from tests.support.clocks import CountingRandom, FakeClock


@pytest.fixture
def api() -> Iterator[FakeApi]:
    with FakeApi("neosc", policies=DEFAULTS) as api:
        yield api


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def make(url: str, clock: Clock | None = None, **options: Any) -> Transport:
    options.setdefault("deadline", 5.0)
    random = CountingRandom() if isinstance(clock, FakeClock) else SystemRandom()
    return Transport(url, Secret(TOKEN), clock=clock or SystemClock(), random=random, **options)


def names(reply: Reply) -> list[object]:
    return [policy.get("id") for policy in expect_array(reply.value, "the list") if isinstance(policy, dict)]


def read(transport: Transport) -> list[object]:
    return transport.get("/policies", names)


# ---------------------------------------------------------------------------------------------------- reading


def test_a_read_carries_the_token_and_asks_for_plain_json(api: FakeApi) -> None:
    read(make(api.url))

    headers = api.requests[0].headers
    assert headers["authorization"] == f"Bearer {TOKEN}"
    assert headers["accept"] == "application/json"
    assert headers["accept-encoding"] == "identity"
    assert headers["user-agent"].startswith("reconciler/")
    assert "cookie" not in headers


@pytest.mark.parametrize(
    "fault",
    [
        Fault.DROP_BEFORE,
        Fault.ERROR_BEFORE,
        Fault.UNAVAILABLE,
        Fault.TOO_MANY,
        Fault.HTML,
        Fault.EMPTY,
        Fault.NULL,
        Fault.CUT,
        Fault.RESET_AFTER,
    ],
)
def test_a_read_is_tried_again_until_the_api_answers(api: FakeApi, clock: FakeClock, fault: Fault) -> None:
    api.fail(fault, times=4)

    assert len(read(make(api.url, clock))) == 3

    assert clock.slept == [0.5, 1.0, 2.0, 4.0]  # half of 1, 2, 4, 8: full jitter, with this randomness


@pytest.mark.parametrize("fault", [Fault.DROP_BEFORE, Fault.ERROR_BEFORE, Fault.UNAVAILABLE, Fault.TOO_MANY])
def test_after_five_tries_the_api_cannot_be_reached(api: FakeApi, clock: FakeClock, fault: Fault) -> None:
    api.fail(fault, times=99)

    with pytest.raises(UnreachableError) as caught:
        read(make(api.url, clock))

    assert caught.value.exit is ExitCode.TRY_AGAIN
    assert len(api.requests) == 5


@pytest.mark.parametrize("fault", [Fault.HTML, Fault.EMPTY, Fault.NULL, Fault.CUT])
def test_after_five_tries_a_reply_that_is_not_the_apis_is_an_error(
    api: FakeApi, clock: FakeClock, fault: Fault
) -> None:
    api.fail(fault, times=99)

    with pytest.raises(LiveError, match="the reply is not the policy API's") as caught:
        read(make(api.url, clock))

    assert caught.value.exit is ExitCode.ERROR
    assert caught.value.code == "not-the-api"
    assert len(api.requests) == 5


def test_a_closed_port_is_tried_five_times(clock: FakeClock) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))

        with pytest.raises(UnreachableError, match="the connection is refused"):
            read(make(f"http://127.0.0.1:{taken.getsockname()[1]}/api", clock))

    assert clock.slept == [0.5, 1.0, 2.0, 4.0]


@pytest.mark.parametrize(
    ("retry_after", "slept"),
    [("3", 3.0), ("-1", 0.5), ("1e9", 0.5), ("soon", 0.5), ("0", 1.0)],
)
def test_a_wait_that_is_asked_for_is_kept(api: FakeApi, clock: FakeClock, retry_after: str, slept: float) -> None:
    api.fail(Fault.TOO_MANY, retry_after=retry_after)

    read(make(api.url, clock))

    assert clock.slept == [slept]


def test_a_date_to_wait_for_counts_from_the_servers_own_clock(api: FakeApi, clock: FakeClock) -> None:
    sent, until = http_date(-86_400), http_date(-86_380)
    api.fail(Fault.RAW, raw=f"HTTP/1.1 429 Slow\r\nDate: {sent}\r\nRetry-After: {until}\r\n\r\n".encode())

    read(make(api.url, clock))

    assert clock.slept == [pytest.approx(20.0, abs=1.0)]


def test_a_wait_beyond_thirty_seconds_is_given_up_at_once(api: FakeApi, clock: FakeClock) -> None:
    api.fail(Fault.TOO_MANY, retry_after="31")

    with pytest.raises(UnreachableError, match="429"):
        read(make(api.url, clock))

    assert clock.slept == []


def test_thirty_seconds_are_the_end_however_few_tries(api: FakeApi, clock: FakeClock) -> None:
    api.fail(Fault.TOO_MANY, retry_after="14", times=99)

    with pytest.raises(UnreachableError):
        read(make(api.url, clock))

    assert clock.slept == [14.0, 14.0]


@pytest.mark.parametrize(
    ("location", "shown"),
    [
        ("https://evil.example:8443/x?token=1", "https://evil.example:8443"),
        ("//evil.example/x", "http://evil.example"),
        ("/login", "http://127.0.0.1:"),
        ("http://user:pass@evil.example/", "http://evil.example"),
    ],
)
def test_a_redirect_ends_a_read_and_names_where_it_points(api: FakeApi, location: str, shown: str) -> None:
    api.fail(Fault.REDIRECT, location=location)

    with pytest.raises(LiveError) as caught:
        read(make(api.url))

    assert (caught.value.code, caught.value.exit) == ("redirect", ExitCode.ERROR)
    assert f"to {shown}" in caught.value.what
    assert "pass" not in caught.value.what
    assert "token" not in caught.value.what
    assert len(api.requests) == 1


def test_no_byte_reaches_the_place_a_redirect_points_at(api: FakeApi) -> None:
    with FakeApi("neosc") as other:
        api.fail(Fault.REDIRECT, location=f"{other.url}/policies", times=2)

        with pytest.raises(LiveError):
            read(make(api.url))
        sent = make(api.url).send("PATCH", "/policies/pol-mfa-required", {}, {})

        assert sent.status == 307
        assert other.requests == []


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 409, 410, 422])
def test_a_refused_read_is_not_tried_again(api: FakeApi, status: int) -> None:
    body = b'{"detail":"because"}'
    raw = b"HTTP/1.1 %d No\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (
        status,
        len(body),
        body,
    )
    api.fail(Fault.RAW, raw=raw)

    with pytest.raises(LiveError, match=f"{status}: because") as caught:
        read(make(api.url))

    assert caught.value.exit is ExitCode.ERROR
    assert caught.value.code == "refused"
    assert len(api.requests) == 1


def test_a_status_that_counts_as_absent_gives_none(api: FakeApi) -> None:
    assert make(api.url).find("/nothing", names, absent=(405,)) is None
    with pytest.raises(LiveError):
        make(api.url).find("/nothing", names, absent=(404,))


def test_reads_share_a_connection_and_mutations_have_their_own(api: FakeApi) -> None:
    ports: list[int] = []
    with _counting_connections(api, ports):
        transport = make(api.url)
        for _ in range(5):
            read(transport)
        assert len(ports) == 1
        for _ in range(3):
            transport.send("PATCH", "/policies/pol-mfa-required", {}, {})
        assert len(ports) == 4
        read(transport)

    assert len(ports) == 4


@contextmanager
def _counting_connections(api: FakeApi, seen: list[int]) -> Iterator[None]:
    accept = api._server.process_request

    def count(request: Any, address: Any) -> None:
        seen.append(address[1])
        accept(request, address)

    api._server.process_request = count  # type: ignore[method-assign]
    yield


def test_many_threads_may_read_and_write_at_once(api: FakeApi) -> None:
    transport = make(api.url)
    found: list[int] = []

    def work() -> None:
        for _ in range(10):
            found.append(len(read(transport)))
            transport.send("PATCH", "/policies/pol-mfa-required", {}, {})

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert found == [3] * 80
    assert len(api.mutations) == 80


def test_a_transport_nobody_holds_any_more_leaves_no_open_socket(api: FakeApi) -> None:
    transport = make(api.url)
    read(transport)

    del transport
    gc.collect()  # an unclosed socket would be a warning here, and warnings are errors


def test_a_slow_server_is_slowed_down_for_before_it_says_429() -> None:
    with FakeApi("neosc", policies=DEFAULTS, rate_limit=(5, 1.5)) as api:
        transport = make(api.url)

        waits = []
        for _ in range(8):
            while (sent := transport.send("PATCH", "/policies/pol-mfa-required", {}, {})).status is None:
                assert not sent.wrote
                assert sent.retry_after is not None  # what was decided goes stale while it waits: decide again then
                waits.append(sent.retry_after)
                time.sleep(sent.retry_after)
            assert sent.status == 200
        assert waits


def test_waiting_for_the_next_window_is_not_taken_off_the_time_to_read(clock: FakeClock) -> None:
    timeouts: list[float] = []

    def handle(request: httpx.Request) -> httpx.Response:
        timeouts.append(request.extensions["timeout"]["read"])
        return httpx.Response(200, json=[], headers={"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "60"})

    transport = make("http://127.0.0.1:8800/api", clock, wire=lambda: httpx.MockTransport(handle))
    read(transport)
    read(transport)

    assert clock.slept == [61.0]
    assert timeouts == [5.0, 5.0]


# ----------------------------------------------------------------------------------------------- hostile replies


@pytest.mark.parametrize("size", [8 * 1024 * 1024 + 1, 64 * 1024 * 1024])
def test_a_body_over_the_cap_is_not_read_to_its_end(size: int) -> None:
    sent = 0

    def flood(connection: socket.socket) -> None:
        nonlocal sent
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n")
        while sent < size:
            sent += connection.send(b"[" * 65_536)

    with raw_server(flood) as url:
        sent_request = make(url).send("DELETE", "/policies/x", None, {})

    assert sent_request.failure == "the body is longer than 8388608 bytes"
    assert sent_request.reply is not None
    assert sent < 8 * 1024 * 1024 + 8 * 1024 * 1024  # what the sockets between hold


@pytest.mark.parametrize("part", ["status line", "headers", "body", "chunks"])
def test_the_deadline_covers_every_part_of_a_reply_that_drips(part: str) -> None:
    start = {
        "status line": b"",
        "headers": b"HTTP/1.1 200 OK\r\nX-Long: ",
        "body": b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 9999\r\n\r\n",
        "chunks": b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n",
    }[part]
    drop = b"1\r\n \r\n" if part == "chunks" else b" " if part == "body" else b"H"
    clock, over = SystemClock(), threading.Event()

    def drip(connection: socket.socket) -> None:
        connection.sendall(start)
        while not over.wait(0.05):
            connection.sendall(drop)

    with raw_server(drip) as url:
        began = clock.monotonic()
        sent = make(url, deadline=0.6).send("PATCH", "/policies/x", {}, {})
        took = clock.monotonic() - began
        over.set()

    assert (sent.wrote, sent.failure) == (True, "no whole reply within the deadline")
    assert 0.5 < took < 10  # it would drip for ever


def test_slow_name_resolution_counts_against_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    over = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **kwargs: [None for _ in range(10) if not over.wait(1)])
    clock = SystemClock()
    began = clock.monotonic()

    sent = make("https://api.example.com/", deadline=0.3).send("PATCH", "/policies/x", {}, {})
    took = clock.monotonic() - began
    over.set()

    assert (sent.wrote, sent.failure) == (False, "no connection within the deadline")
    assert took < 9  # it would take ten seconds


@contextmanager
def raw_server(serve: Callable[[socket.socket], None], *, context: ssl.SSLContext | None = None) -> Iterator[str]:
    """Take one request after the other and answer each with what *serve* does."""
    listener = socket.create_server(("127.0.0.1", 0))
    received: list[bytes] = []

    def loop() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            try:
                if context is not None:
                    connection = context.wrap_socket(connection, server_side=True)
                received.append(connection.recv(65_536))
                serve(connection)
            except OSError:
                pass
            finally:
                connection.close()

    thread = threading.Thread(target=loop)
    thread.start()
    try:
        yield f"{'http' if context is None else 'https'}://127.0.0.1:{listener.getsockname()[1]}/api"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


# ------------------------------------------------------------------------------------------------ where bytes go


@pytest.mark.parametrize(
    "path", ["/policies/..", "/policies/../x", "//x", "/policies/a b", "policies", "/", "", "/policies/a?x", "/a#b"]
)
def test_a_path_that_is_not_made_of_names_is_never_asked_for(api: FakeApi, path: str) -> None:
    sent = make(api.url).send("DELETE", path, None, {})

    assert not sent.wrote
    assert api.requests == []


def test_the_environment_names_no_proxy(api: FakeApi, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")

    assert len(read(make(api.url))) == 3


def test_an_explicit_proxy_is_not_used_for_this_computer(api: FakeApi) -> None:
    assert len(read(make(api.url, proxy="http://127.0.0.1:9"))) == 3


def test_a_proxy_sees_a_tunnel_and_never_the_token() -> None:
    seen: list[bytes] = []

    def refuse(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")

    with recording_proxy(refuse, seen) as proxy:
        sent = make("https://api.example.com/v1", proxy=proxy).send("PATCH", "/policies/x", {}, {})

    assert seen[0].startswith(b"CONNECT api.example.com:443 HTTP/1.1\r\n")
    assert TOKEN.encode() not in b"".join(seen)
    assert (sent.wrote, sent.failure) == (False, "the proxy refuses")


@contextmanager
def recording_proxy(serve: Callable[[socket.socket], None], seen: list[bytes]) -> Iterator[str]:
    listener = socket.create_server(("127.0.0.1", 0))

    def loop() -> None:
        connection, _ = listener.accept()
        with connection:
            seen.append(connection.recv(65_536))
            serve(connection)

    thread = threading.Thread(target=loop)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        thread.join()
        listener.close()


@pytest.mark.parametrize("proxy", ["https://proxy", "socks5://proxy:1080", "proxy:3128", "", "http://proxy/path"])
def test_a_proxy_that_is_not_understood_is_a_setting_to_correct(proxy: str) -> None:
    with pytest.raises(ConfigError) as caught:
        make("https://api.example.com/", proxy=proxy)

    assert caught.value.code == "bad-proxy"


def test_a_url_that_is_not_allowed_is_refused_before_anything_is_sent(api: FakeApi) -> None:
    with pytest.raises(ConfigError, match="not among the hosts"):
        make(api.url, allowed_hosts=("api.example.com",))


# ----------------------------------------------------------------------------------------------------------- TLS


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An authority, and three certificates of it: good, for another name, and expired."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed, so no certificates can be made")
    folder = tmp_path_factory.mktemp("tls")

    def openssl(*words: str) -> None:
        subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)

    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    openssl("req", "-x509", *curve, "-keyout", "ca.key", "-out", "ca.pem", "-days", "2", "-subj", "/CN=Test CA")
    for name, alt, dates in (
        ("good", "IP:127.0.0.1", ["-days", "2"]),
        ("other", "DNS:other.example", ["-days", "2"]),
        ("expired", "IP:127.0.0.1", ["-days", "-1"]),
    ):
        (folder / "ext").write_text(f"subjectAltName={alt}\n")
        openssl("req", *curve, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", "/CN=x")
        signing = ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-extfile", "ext"]
        openssl("x509", "-req", "-in", f"{name}.csr", *signing, *dates, "-out", f"{name}.pem")
    return folder


def tls(folder: Path, name: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / f"{name}.pem", folder / f"{name}.key")
    return context


def answer_list(connection: socket.socket) -> None:
    body = b'[{"id":"a"}]'
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
    connection.sendall(head + body)


def test_a_server_of_the_given_authority_is_trusted(certificates: Path) -> None:
    with raw_server(answer_list, context=tls(certificates, "good")) as url:
        assert read(make(url, ca_file=str(certificates / "ca.pem"))) == ["a"]


def test_all_connections_of_a_run_share_one_context(certificates: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[object] = []
    make_context = ssl.SSLContext.__new__

    def count(kind: type[ssl.SSLContext], *arguments: Any) -> ssl.SSLContext:
        made.append(arguments)
        return make_context(kind, *arguments)

    with raw_server(answer_list, context=tls(certificates, "good")) as url:
        monkeypatch.setattr(ssl.SSLContext, "__new__", count)
        transport = make(url, ca_file=str(certificates / "ca.pem"))
        for _ in range(3):
            with ThreadPoolExecutor(4) as pool:
                asked = [pool.submit(read, transport) for _ in range(4)]
                sent = [pool.submit(transport.send, "PATCH", "/policies/x", {}, {}) for _ in range(4)]
            assert [each.result() for each in asked] == [["a"]] * 4
            assert [each.result().status for each in sent] == [200] * 4

    assert len(made) == 1


@pytest.mark.parametrize(
    ("name", "ca", "reason"),
    [
        ("good", None, "certificate"),
        ("other", "ca.pem", "IP address mismatch"),
        ("expired", "ca.pem", "expired"),
    ],
)
def test_a_server_that_is_not_trusted_gets_no_token_and_no_second_try(
    certificates: Path, name: str, ca: str | None, reason: str
) -> None:
    requests: list[socket.socket] = []
    clock = FakeClock()
    with raw_server(requests.append, context=tls(certificates, name)) as url:
        options = {} if ca is None else {"ca_file": str(certificates / ca)}
        with pytest.raises(LiveError, match=reason) as caught:
            read(make(url, clock, **options))
        sent = make(url, **options).send("PATCH", "/policies/x", {}, {})

    assert (caught.value.code, caught.value.exit) == ("tls", ExitCode.ERROR)
    assert "RECONCILER_CA_FILE" in caught.value.fix
    assert not sent.wrote
    assert requests == []
    assert clock.slept == []


def test_keys_of_tls_sessions_are_written_nowhere(
    certificates: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "keys"))

    with raw_server(answer_list, context=tls(certificates, "good")) as url:
        read(make(url, ca_file=str(certificates / "ca.pem")))

    assert not (tmp_path / "keys").exists()


def test_an_old_version_of_tls_is_not_spoken(certificates: Path) -> None:
    context = tls(certificates, "good")
    context.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1

    with raw_server(answer_list, context=context) as url, pytest.raises(LiveError) as caught:
        read(make(url, FakeClock(), ca_file=str(certificates / "ca.pem")))

    assert caught.value.code == "tls"


def test_an_authority_file_that_cannot_be_read_is_a_setting_to_correct(tmp_path: Path) -> None:
    (tmp_path / "empty.pem").write_text("nothing")

    for path in ("empty.pem", "missing.pem"):
        with pytest.raises(ConfigError) as caught:
            read(make("https://127.0.0.1:9/api", ca_file=str(tmp_path / path)))
        assert caught.value.code == "bad-ca-file"


# ------------------------------------------------------------------------------------------------------ secrecy


def test_a_token_that_is_echoed_in_an_error_is_not_repeated(api: FakeApi, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    echo = f'{{"detail":"no such token {TOKEN} (%66ake-token-0123456789abcdef)"}}'.encode()
    head = b"HTTP/1.1 401 No\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(echo)
    api.fail(Fault.RAW, raw=head + echo)

    with pytest.raises(LiveError) as caught:
        read(make(api.url))

    assert "no such token *** (***)" in caught.value.what
    assert TOKEN not in caplog.text
    assert "Bearer" not in caplog.text


def test_a_servers_words_are_cut_and_cannot_move_the_cursor(api: FakeApi) -> None:
    echo = b'{"detail":"\\u001b[2J\\u202egood' + b"x" * 5000 + b'"}'
    head = b"HTTP/1.1 403 No\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(echo)
    api.fail(Fault.RAW, raw=head + echo)

    with pytest.raises(LiveError) as caught:
        read(make(api.url))

    assert r"\x1b[2J\u202egood" in caught.value.what
    assert len(caught.value.what) < 400
    assert caught.value.what.isprintable()


# ------------------------------------------------------------------------------------- a network that is simulated


def test_a_simulated_network_decides_what_was_seen() -> None:
    raised: list[Exception] = [
        httpx.ConnectError("no"),
        httpx.ReadTimeout("no"),
        httpx.WriteError("no"),
        httpx.PoolTimeout("no"),
        RuntimeError("a bug"),
    ]

    def handle(request: httpx.Request) -> httpx.Response:
        raise raised.pop(0)

    transport = make("http://127.0.0.1:8800/api", FakeClock(), wire=lambda: httpx.MockTransport(handle))

    wrote = [transport.send("PATCH", "/policies/x", {}, {}).wrote for _ in range(4)]

    assert wrote == [False, True, True, False]


def test_a_simulated_network_answers_as_a_real_one() -> None:
    def handle(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json=[{"id": "a"}])

    transport = make("http://127.0.0.1:8800/api", FakeClock(), wire=lambda: httpx.MockTransport(handle))

    assert read(transport) == ["a"]


def test_a_parser_that_refuses_is_asked_again(api: FakeApi, clock: FakeClock) -> None:
    asked = 0

    def parse(reply: Reply) -> str:
        nonlocal asked
        asked += 1
        if asked == 1:
            raise WireError("not yet")
        return "found"

    assert make(api.url, clock).get("/policies", parse) == "found"
