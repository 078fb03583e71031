"""Not one byte reaches another place than the target's url, whatever the url, a reply or the environment says (G9, T4).

`elsewhere` listens on every address of this machine. A program that reads a confusing url in another way than we do, or
follows what it is told, would connect there.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from reconciler.core.secret import Secret
from reconciler.errors import ConfigError, LiveError
from reconciler.providers.http import Transport
from reconciler.providers.wire import Reply
from tests.fake_api import DEFAULTS, TOKEN, FakeApi, Fault
from tests.support.clocks import CountingRandom, FakeClock
from tests.support.listeners import listener


@pytest.fixture
def api() -> Iterator[FakeApi]:
    with FakeApi("neosc", policies=DEFAULTS) as api:
        yield api


def make(url: str, **options: Any) -> Transport:
    return Transport(url, Secret(TOKEN), deadline=3.0, clock=FakeClock(), random=CountingRandom(), **options)


def ask(transport: Transport) -> None:
    """A read and a write, wherever they go."""
    try:
        transport.get("/policies", lambda reply: reply.status)
    except LiveError:
        pass
    finally:
        transport.send("PATCH", "/policies/pol-mfa-required", {}, {})
        transport.close()


def test_the_listener_sees_whoever_comes() -> None:
    with listener() as elsewhere:
        for host in ("127.0.0.1", "127.0.0.2", "::1"):
            with socket.create_connection((host, elsewhere.port)) as connection:
                connection.sendall(b"hello")

    assert elsewhere.received == [b"hello"] * 3


# ------------------------------------------------------------------------------------------------------- urls

#: `BAD` is the port of the other place, `GOOD` that of the API.
CONFUSING = [
    "http://127.0.0.1:GOOD@127.0.0.1:BAD/api",
    "http://127.0.0.1:GOOD:BAD/api",
    "http://127.0.0.1:GOOD#@127.0.0.1:BAD/api",
    "http://127.0.0.1:GOOD?@127.0.0.1:BAD/api",
    "http://127.0.0.1:GOOD/@127.0.0.1:BAD/api",
    "http://127.0.0.1:GOOD\\@127.0.0.1:BAD/api",
    "http://127.0.0.1:BAD\\@127.0.0.1:GOOD/api",
    "http://127.0.0.1:BAD#@127.0.0.1:GOOD/api",
    "http://127.0.0.1:BAD?@127.0.0.1:GOOD/api",
    "http://user:pass@127.0.0.1:BAD/api",
    "http://user@127.0.0.1:BAD/api",
    "http://:@127.0.0.1:BAD/api",
    "http://127.0.0.1:GOOD%40127.0.0.1:BAD/api",
    "http://127.0.0.1%3aGOOD@127.0.0.1:BAD/api",
    "http://127.0.0.1:GOOD\t@127.0.0.1:BAD/api",
    "http://127.0.0.1:GOOD\n@127.0.0.1:BAD/api",
    "http://127.0.0.1:GOOD\r\nHost: 127.0.0.1:BAD/api",
    "http://127.0.0.1:GOOD\x00@127.0.0.1:BAD/api",
    "http://127.0.0.1 @127.0.0.1:BAD/api",
    "http://127.1:BAD/api",
    "http://127.0.1:BAD/api",
    "http://2130706433:BAD/api",
    "http://0x7f000001:BAD/api",
    "http://0x7f.0.0.1:BAD/api",
    "http://0177.0.0.1:BAD/api",
    "http://017700000001:BAD/api",
    "http://127.0.0.01:BAD/api",
    "http://127.0.0.1.:BAD/api",
    "http://0:BAD/api",
    "http://0.0.0.0:BAD/api",
    "http://localhost.:BAD/api",
    "http://localhost%00.example:BAD/api",
    "http://loc\u00adalhost:BAD/api",
    "http://①②⑦.⓪.⓪.①:BAD/api",
    "http://127。0。0。1:BAD/api",
    "http://１２７.0.0.1:BAD/api",
    "http://ⓛocalhost:BAD/api",
    "http://[::]:BAD/api",
    "http://[::ffff:127.0.0.1]:BAD/api",
    "http://[::ffff:7f00:1]:BAD/api",
    "http://[::1%25lo]:BAD/api",
    "http://[::1%lo]:BAD/api",
    "http://[::1]GOOD:BAD/api",
    "http://[127.0.0.1]:BAD/api",
    "http://::1:BAD/api",
    "http:127.0.0.1:BAD/api",
    "http:/127.0.0.1:BAD/api",
    "http:///127.0.0.1:BAD/api",
    "http:\\\\127.0.0.1:BAD\\api",
    "//127.0.0.1:BAD/api",
    "127.0.0.1:BAD/api",
    "http://127.0.0.1:GOOD/../../127.0.0.1:BAD/api",
    "http://127.0.0.1:GOOD//127.0.0.1:BAD/api",
    "http://127.0.0.1:GOOD/%2f%2f127.0.0.1:BAD/api",
    "http://127.0.0.1:+BAD/api",
    "http://127.0.0.1:0BAD/api",
    "http://127.0.0.1: BAD/api",
    "ftp://127.0.0.1:BAD/api",
    "ws://127.0.0.1:BAD/api",
    "gopher://127.0.0.1:BAD/api",
    "http+unix://127.0.0.1:BAD/api",
    "jar:http://127.0.0.1:BAD/api!/",
    "url:http://127.0.0.1:BAD/api",
]


@pytest.mark.parametrize("url", CONFUSING)
def test_a_url_that_can_be_read_in_two_ways_connects_to_neither(api: FakeApi, url: str) -> None:
    with listener() as elsewhere, pytest.raises(ConfigError):
        ask(make(url.replace("GOOD", str(api.port)).replace("BAD", str(elsewhere.port))))

    assert elsewhere.received == []
    assert api.requests == []


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "localhost", "[::1]", "LOCALHOST"])
def test_a_plain_url_outside_the_allowed_hosts_connects_nowhere(api: FakeApi, host: str) -> None:
    with listener() as elsewhere, pytest.raises(ConfigError):
        ask(make(f"http://{host}:{elsewhere.port}/api", allowed_hosts=(f"127.0.0.1:{api.port}",)))

    assert elsewhere.received == []


def _answer_names_with(monkeypatch: pytest.MonkeyPatch, place: tuple[str, int]) -> None:
    """A resolver of somebody else: every name is *place*. Numbers stay what they are."""
    real = socket.getaddrinfo

    def resolve(host: str, *args: Any, **kwargs: Any) -> Any:
        if host.replace(".", "").isdigit():
            return real(host, *args, **kwargs)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", place)]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)


def test_no_resolver_says_where_this_machine_is(api: FakeApi, monkeypatch: pytest.MonkeyPatch) -> None:
    with listener() as elsewhere:
        _answer_names_with(monkeypatch, ("127.0.0.2", elsewhere.port))

        transport = make(f"http://localhost:{api.port}/api")

        assert transport.get("/policies", lambda reply: reply.status) == 200
        transport.close()
    assert elsewhere.received == []


def test_a_name_that_means_another_place_later_gets_no_token_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """DNS rebinding: TLS asks the other place who it is before the first byte of the request."""
    with listener() as elsewhere:
        _answer_names_with(monkeypatch, ("127.0.0.1", elsewhere.port))

        ask(make(f"https://api.example.com:{elsewhere.port}/api"))

    assert elsewhere.received
    assert all(data[:1] in (b"", b"\x16") and TOKEN.encode() not in data for data in elsewhere.received)


# ---------------------------------------------------------------------------------------------------- replies


def raw(status: str, *headers: str, body: str = "") -> bytes:
    return ("\r\n".join([f"HTTP/1.1 {status}", *headers, f"Content-Length: {len(body)}", "", ""]) + body).encode()


REDIRECTS = [
    f"{status} {shape}"
    for status in (300, 301, 302, 303, 305, 306, 307, 308)
    for shape in ("http://127.0.0.1:BAD/api", "//127.0.0.1:BAD/api")
]
OTHERS = {
    "created elsewhere": raw("201 Created", "Location: http://127.0.0.1:BAD/x"),
    "good, with a place": raw("200 OK", "Location: http://127.0.0.1:BAD/x", body="[]"),
    "refresh": raw("200 OK", "Refresh: 0; url=http://127.0.0.1:BAD/x", body="[]"),
    "refused with a place": raw("403 Forbidden", "Location: http://127.0.0.1:BAD/x"),
    "service is elsewhere": raw("503 Unavailable", "Location: http://127.0.0.1:BAD/x", "Retry-After: 1"),
    "alternative service": raw("200 OK", 'Alt-Svc: h2="127.0.0.1:BAD"; ma=1', body="[]"),
    "link": raw(
        "200 OK", 'Link: <http://127.0.0.1:BAD/x>; rel="next", <http://127.0.0.1:BAD/y>; rel=preload', body="[]"
    ),
    "content location": raw("200 OK", "Content-Location: http://127.0.0.1:BAD/x", body="[]"),
    "use a proxy": raw("305 Use Proxy", "Location: http://127.0.0.1:BAD/"),
    "proxy wants a password": raw("407 Proxy Authentication Required", 'Proxy-Authenticate: Basic realm="x"'),
    "who are you": raw("401 Unauthorized", 'WWW-Authenticate: Bearer realm="http://127.0.0.1:BAD/token"'),
    "wrong server": raw("421 Misdirected Request", "Location: http://127.0.0.1:BAD/x"),
    "another protocol": raw("101 Switching Protocols", "Upgrade: h2c", "Location: http://127.0.0.1:BAD/x"),
    "upgrade": raw("426 Upgrade Required", "Upgrade: TLS/1.3", "Location: https://127.0.0.1:BAD/x"),
    "html": raw(
        "200 OK", "Content-Type: text/html", body='<meta http-equiv="refresh" content="0;http://127.0.0.1:BAD">'
    ),
    "early hints": raw("103 Early Hints", "Link: <http://127.0.0.1:BAD/x>; rel=preconnect") + raw("200 OK", body="[]"),
    "cookie": raw("200 OK", "Set-Cookie: a=b; Domain=127.0.0.1", "Location: http://127.0.0.1:BAD/x", body="[]"),
    "two places": raw("302 Found", "Location: /a", "Location: http://127.0.0.1:BAD/x"),
    "a place in pieces": raw("302 Found", "Location: http://127.0.0.1:BAD/x\r\n /y"),
}


@pytest.mark.parametrize("shape", REDIRECTS)
def test_no_redirect_is_followed_by_a_read_or_a_write(api: FakeApi, shape: str) -> None:
    status, location = shape.split(" ")
    with listener() as elsewhere:
        place = location.replace("BAD", str(elsewhere.port))
        api.fail(Fault.RAW, times=9, raw=raw(f"{status} Moved", f"Location: {place}"))

        ask(make(api.url))

    assert elsewhere.received == []
    assert [request.method for request in api.requests] == ["GET", "PATCH"]


@pytest.mark.parametrize("name", OTHERS)
def test_no_header_and_no_page_leads_elsewhere(api: FakeApi, name: str) -> None:
    with listener() as elsewhere:
        api.fail(Fault.RAW, times=99, raw=OTHERS[name].replace(b"BAD", str(elsewhere.port).encode()))

        ask(make(api.url))
        ask(make(api.url))  # what was told before is not remembered

    assert elsewhere.received == []
    assert all("cookie" not in request.headers for request in api.requests)


def test_a_policy_that_is_a_url_is_not_asked(api: FakeApi) -> None:
    with listener() as elsewhere:
        place = f"http://127.0.0.1:{elsewhere.port}/x"
        api.add(
            {"id": "pol-url", "name": place, "description": place, "type": "access", "rules": [place], "$ref": place}
        )
        found: list[Reply] = []

        make(api.url).get("/policies", found.append)

    assert place in str(found[0].value)
    assert elsewhere.received == []


# ------------------------------------------------------------------------------------------------ environment

VARIABLES = [
    *("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy", "WS_PROXY", "ws_proxy"),
    *("FTP_PROXY", "GIT_PROXY_COMMAND", "CGI_HTTP_PROXY", "REQUEST_METHOD", "SOCKS_PROXY", "SOCKS_SERVER", "PROXY"),
]


@pytest.mark.parametrize(
    "form", ["http://127.0.0.1:BAD", "127.0.0.1:BAD", "socks5://127.0.0.1:BAD", "http://u:p@127.0.0.1:BAD"]
)
def test_no_variable_names_a_proxy(api: FakeApi, monkeypatch: pytest.MonkeyPatch, form: str) -> None:
    with listener() as elsewhere:
        for name in VARIABLES:
            monkeypatch.setenv(name, form.replace("BAD", str(elsewhere.port)))
        monkeypatch.setenv("NO_PROXY", "")

        ask(make(api.url))

    assert elsewhere.received == []
    assert [request.method for request in api.requests] == ["GET", "PATCH"]


def test_a_connection_that_was_kept_is_never_lent_to_another_origin(api: FakeApi) -> None:
    with FakeApi("neosc", policies=DEFAULTS) as other:
        first, second = make(api.url), make(other.url)

        threads = [threading.Thread(target=ask, args=(transport,)) for transport in (first, second)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert {request.headers["host"] for request in api.requests} == {f"127.0.0.1:{api.port}"}
        assert {request.headers["host"] for request in other.requests} == {f"127.0.0.1:{other.port}"}
