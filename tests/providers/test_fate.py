"""The five fates: the pure table, then the same rows as real bytes on a real socket (reliability.md 3.1, 3.2)."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator

import pytest

from reconciler.clock import SystemClock, SystemRandom
from reconciler.core.model import Fate, Mutation, Receipt, TargetSettings
from reconciler.core.secret import Secret
from reconciler.providers.fate import Told, classify
from reconciler.providers.http import Transport
from reconciler.providers.registry import make_provider
from tests.fake_api import DEFAULTS, TOKEN, FakeApi, Fault


@pytest.mark.parametrize(
    ("wrote", "status", "told", "fate"),
    [
        (False, None, Told.NOTHING, Fate.NOT_SENT),
        (True, None, Told.NOTHING, Fate.AMBIGUOUS),
        (True, 200, Told.AS_ASKED, Fate.APPLIED),
        (True, 201, Told.AS_ASKED, Fate.APPLIED),
        (True, 204, Told.AS_ASKED, Fate.APPLIED),
        (True, 200, Told.OTHERWISE, Fate.APPLIED_OTHER),
        (True, 200, Told.NOTHING, Fate.AMBIGUOUS),
        (True, 200, Told.REFUSAL, Fate.AMBIGUOUS),
        (True, 301, Told.NOTHING, Fate.AMBIGUOUS),
        (True, 307, Told.REFUSAL, Fate.AMBIGUOUS),
        (True, 400, Told.REFUSAL, Fate.REJECTED),
        (True, 401, Told.REFUSAL, Fate.REJECTED),
        (True, 404, Told.REFUSAL, Fate.REJECTED),
        (True, 429, Told.REFUSAL, Fate.REJECTED),
        (True, 403, Told.NOTHING, Fate.AMBIGUOUS),
        (True, 404, Told.AS_ASKED, Fate.AMBIGUOUS),
        (True, 500, Told.REFUSAL, Fate.AMBIGUOUS),
        (True, 503, Told.NOTHING, Fate.AMBIGUOUS),
        (True, 502, Told.AS_ASKED, Fate.AMBIGUOUS),
        (True, 100, Told.AS_ASKED, Fate.AMBIGUOUS),
        (True, 600, Told.REFUSAL, Fate.AMBIGUOUS),
    ],
)
def test_each_combination_has_its_fate(wrote: bool, status: int | None, told: Told, fate: Fate) -> None:
    assert classify(wrote=wrote, status=status, told=told) is fate


@pytest.mark.parametrize("told", list(Told))
@pytest.mark.parametrize("status", [None, 200, 302, 404, 500])
def test_what_was_never_written_was_never_sent(told: Told, status: int | None) -> None:
    assert classify(wrote=False, status=status, told=told) is Fate.NOT_SENT


# --------------------------------------------------------------------------------------------- the same as bytes

FLIP = Mutation("toggle", "pol-mfa-required", None, False, "a" * 40, {"User-Agent": "reconciler/test"})


@pytest.fixture
def api() -> Iterator[FakeApi]:
    with FakeApi("neosc", policies=DEFAULTS) as api:
        yield api


def flip(url: str, *, deadline: float = 5.0, mutation: Mutation = FLIP) -> Receipt:
    transport = Transport(url, Secret(TOKEN), deadline=deadline, clock=SystemClock(), random=SystemRandom())
    return make_provider(TargetSettings("t", "neosc", url, "p"), transport).send(mutation)


def http(status: str, body: bytes, *headers: str, length: int | None = None) -> bytes:
    framing = f"Content-Length: {len(body) if length is None else length}"
    lines = [f"HTTP/1.1 {status}", *headers, framing] if length != -1 else [f"HTTP/1.1 {status}", *headers]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


JSON = "Content-Type: application/json"
GOOD = b'{"message":"Policy disabled","enabled":false}'

ZOO = {
    "close after request, no bytes": b"",
    "garbage status line": b"\x00\x01\x02 nonsense\r\n\r\n",
    "not even a line": b"SSH-2.0-OpenSSH_9.2p1\r\n",
    "2 MB header": b"HTTP/1.1 200 OK\r\nX-Big: " + b"x" * 2_000_000 + b"\r\n\r\n",
    "short body with length": http("200 OK", GOOD[:20], JSON, length=len(GOOD)),
    "short body without length": http("200 OK", GOOD[:20], JSON, length=-1),
    "two lengths": http("200 OK", GOOD, JSON, "Content-Length: 3"),
    "html": http("200 OK", b"<html>ok</html>", "Content-Type: text/html"),
    "html that says json": http("200 OK", b"<html>ok</html>", JSON),
    "json that says html": http("200 OK", GOOD, "Content-Type: text/html"),
    "no content type": http("200 OK", GOOD),
    "empty": http("200 OK", b"", JSON),
    "no content": http("204 No Content", b""),
    "null": http("200 OK", b"null", JSON),
    "array": http("200 OK", b"[]", JSON),
    "number": http("200 OK", b"1", JSON),
    "true": http("200 OK", b"true", JSON),
    "enabled is text": http("200 OK", b'{"message":"x","enabled":"false"}', JSON),
    "enabled is a number": http("200 OK", b'{"message":"x","enabled":0}', JSON),
    "enabled is null": http("200 OK", b'{"message":"x","enabled":null}', JSON),
    "enabled is missing": http("200 OK", b'{"message":"Policy disabled"}', JSON),
    "nan": http("200 OK", b'{"enabled":false,"x":NaN}', JSON),
    "1e400": http("200 OK", b'{"enabled":false,"x":1e400}', JSON),
    "duplicate key": http("200 OK", b'{"enabled":true,"enabled":false}', JSON),
    "5000 digits": http("200 OK", b'{"enabled":false,"x":' + b"9" * 5000 + b"}", JSON),
    "invalid utf-8": http("200 OK", b'{"enabled":false,"x":"\xff"}', JSON),
    "surrogate": http("200 OK", b'{"enabled":false,"x":"\\ud800"}', JSON),
    "100000 levels": http("200 OK", b"[" * 100_000 + b"]" * 100_000, JSON),
    "bad gzip": http("200 OK", GOOD, JSON, "Content-Encoding: gzip"),
    "brotli": http("200 OK", GOOD, JSON, "Content-Encoding: br"),
    "bad chunks": b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    "cut chunks": b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{"ena',
    "redirect": http("307 Temporary Redirect", b"", "Location: http://127.0.0.1:9/"),
    "redirect without a place": http("302 Found", b""),
    "not modified": http("304 Not Modified", b""),
    "400 of a proxy": http("400 Bad Request", b"<html>nginx</html>", "Content-Type: text/html"),
    "404 of a proxy": http("404 Not Found", b"not found", "Content-Type: text/plain"),
    "403 empty": http("403 Forbidden", b""),
    "403 of a gateway": http("403 Forbidden", b'{"message":"Forbidden"}', JSON),
    "500": http("500 Internal Server Error", b'{"detail":"x"}', JSON),
    "502 of a proxy": http("502 Bad Gateway", b"<html>", "Content-Type: text/html"),
    "503 with Retry-After": http("503 Service Unavailable", b"", "Retry-After: 1"),
    "status 999": http("999 What", b'{"detail":"x"}', JSON),
}


@pytest.mark.parametrize("name", ZOO)
def test_any_reply_that_is_not_the_apis_leaves_doubt(api: FakeApi, name: str) -> None:
    api.fail(Fault.RAW, method="PATCH", raw=ZOO[name])

    receipt = flip(api.url)

    assert receipt.fate is Fate.AMBIGUOUS
    assert receipt.detail
    assert len(api.mutations) == 1


def test_a_good_reply_is_applied_and_a_different_value_is_told_apart(api: FakeApi) -> None:
    assert flip(api.url) == Receipt(Fate.APPLIED, 200, "", "pol-mfa-required", enabled=False)
    assert flip(api.url) == Receipt(Fate.APPLIED_OTHER, 200, "", "pol-mfa-required", enabled=True)


def test_a_chunked_reply_is_as_good_as_one_with_a_length(api: FakeApi) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    api.fail(Fault.RAW, method="PATCH", raw=head + b"%x\r\n%b\r\n0\r\n\r\n" % (len(GOOD), GOOD))

    assert flip(api.url).fate is Fate.APPLIED


@pytest.mark.parametrize(
    ("status", "detail"),
    [
        (400, "Bad"),
        (401, "Not authenticated"),
        (403, "Forbidden"),
        (404, "Policy not found"),
        (405, "Method Not Allowed"),
        (409, "Conflict"),
        (412, "x"),
        (422, [{"type": "missing", "msg": "Field required", "loc": ["body"]}]),
        (429, "Slow down"),
    ],
)
def test_a_4xx_in_the_apis_own_shape_is_a_refusal_with_its_words(api: FakeApi, status: int, detail: object) -> None:
    api.fail(Fault.RAW, method="PATCH", raw=http(f"{status} No", json.dumps({"detail": detail}).encode(), JSON))

    receipt = flip(api.url)

    assert (receipt.fate, receipt.status) == (Fate.REJECTED, status)
    assert receipt.detail == (detail if isinstance(detail, str) else "Field required")


def test_how_long_to_wait_is_told_with_a_429(api: FakeApi) -> None:
    api.fail(Fault.TOO_MANY, method="PATCH", retry_after="7")
    api.fail(Fault.TOO_MANY, method="PATCH")

    assert flip(api.url).retry_after == 7.0
    assert flip(api.url).retry_after is None


@pytest.mark.parametrize("fault", [Fault.DROP_BEFORE, Fault.DROP_AFTER, Fault.RESET_AFTER, Fault.CUT])
def test_a_lost_reply_leaves_doubt_whether_the_change_was_made_or_not(api: FakeApi, fault: Fault) -> None:
    api.fail(fault, method="PATCH")

    assert flip(api.url).fate is Fate.AMBIGUOUS


@pytest.mark.parametrize("fault", [Fault.HANG_BEFORE, Fault.SLOW])
def test_a_reply_that_does_not_come_in_time_leaves_doubt_at_the_deadline(api: FakeApi, fault: Fault) -> None:
    api.fail(fault, method="PATCH", seconds=0.05)
    clock = SystemClock()
    began = clock.monotonic()

    receipt = flip(api.url, deadline=0.5)

    assert receipt.fate is Fate.AMBIGUOUS
    assert 0.4 < clock.monotonic() - began < 10  # it would hang for ever


def test_a_refused_connection_was_never_sent() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        receipt = flip(f"http://127.0.0.1:{taken.getsockname()[1]}/api")

    assert receipt == Receipt(Fate.NOT_SENT, detail="the connection is refused")


def test_a_name_that_is_not_known_was_never_sent() -> None:
    receipt = flip("https://reconciler-test.invalid/api", deadline=3.0)

    assert receipt.fate is Fate.NOT_SENT


def test_a_backlog_that_is_full_was_never_sent() -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        port = server.getsockname()[1]
        waiting = []
        for _ in range(4):
            client = socket.socket()
            client.setblocking(False)
            client.connect_ex(("127.0.0.1", port))
            waiting.append(client)

        receipt = flip(f"http://127.0.0.1:{port}/api", deadline=0.5)

        for client in waiting:
            client.close()
    assert receipt == Receipt(Fate.NOT_SENT, detail="no connection within the deadline")


def test_a_plaintext_port_that_should_speak_tls_was_never_sent(api: FakeApi) -> None:
    receipt = flip(api.url.replace("http://", "https://"))

    assert receipt.fate is Fate.NOT_SENT
    assert api.requests == []


@pytest.mark.parametrize(
    "headers",
    [{"User-Agent": "a\r\nX-Evil: 1"}, {"User-Agent": "ä"}, {"X\n": "1"}, {"User-Agent": "a\x00b"}],
)
def test_a_header_that_cannot_be_written_was_never_sent(api: FakeApi, headers: dict[str, str]) -> None:
    receipt = flip(api.url, mutation=Mutation("toggle", "pol-mfa-required", None, False, "a" * 40, headers))

    assert receipt == Receipt(Fate.NOT_SENT, detail="the request cannot be written")
    assert api.requests == []


@pytest.mark.parametrize("policy_id", ["..", ".", "", "a/b", "../admin", "a?b", "%2e%2e", "a b", "ä"])
def test_an_id_that_would_change_the_address_was_never_sent(api: FakeApi, policy_id: str) -> None:
    receipt = flip(api.url, mutation=Mutation("toggle", policy_id, None, False, "a" * 40, {}))

    assert receipt.fate is Fate.NOT_SENT
    assert api.requests == []
