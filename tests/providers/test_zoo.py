"""Replies that no API should give, as real bytes through the real providers (reliability.md 3.2, F14 to F17, F35, F36).

`test_fate.py` has the replies to a flip, `test_parts.py` those to lists that come in parts (F37, F38). Here are the
replies to reads, those to every other kind of write, and what they cost: a reply may be endless, large when unpacked,
or slow, and takes neither memory nor time.
"""

from __future__ import annotations

import contextlib
import gzip
import json
import select
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from reconciler.clock import SystemClock
from reconciler.core.model import Fate, Mutation, TargetSettings
from reconciler.core.secret import Secret
from reconciler.errors import ExitCode, LiveError, UnreachableError
from reconciler.providers.base import Provider
from reconciler.providers.http import Transport
from reconciler.providers.registry import make_provider
from tests.fake_api import DEFAULTS, TOKEN, FakeApi, Fault
from tests.support.clocks import CountingRandom, FakeClock
from tests.support.program import opena2a_policy

JSON = "Content-Type: application/json"
Send = Callable[[bytes], None]
DEADLINE = 0.3
GOOD = json.dumps([{**policy, "created_at": "2026-01-01T00:00:00Z"} for policy in DEFAULTS]).encode()


def http(status: str, body: bytes, *headers: str, length: int | None = None) -> bytes:
    """A reply; *length* None: as long as the body, -1: no length at all."""
    framing = [] if length == -1 else [f"Content-Length: {len(body) if length is None else length}"]
    return "\r\n".join([f"HTTP/1.1 {status}", *headers, *framing, "", ""]).encode("latin-1") + body


def chunked(*chunks: bytes, end: bytes = b"0\r\n\r\n") -> bytes:
    head = f"HTTP/1.1 200 OK\r\n{JSON}\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    return head + b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + end


def provider(api: FakeApi) -> Provider:
    transport = Transport(api.url, Secret(TOKEN), deadline=5.0, clock=FakeClock(), random=CountingRandom())
    return make_provider(TargetSettings("t", api.dialect, api.url, "p", crud=True), transport)


# ---------------------------------------------------------------------------------------------------- reads

#: What is not the API's: tried five times, then exit 1.
NOT_THE_API = {
    "garbage": b"\x00\x01\x02 nonsense\r\n\r\n",
    "ssh": b"SSH-2.0-OpenSSH_9.2p1\r\n",
    "http/2": b"\x00\x00\x12\x04\x00\x00\x00\x00\x00",
    "2 MB header": b"HTTP/1.1 200 OK\r\nX-Big: " + b"x" * 2_000_000 + b"\r\n\r\n",
    "50,000 headers": b"HTTP/1.1 200 OK\r\n" + b"X-A: 1\r\n" * 50_000 + b"\r\n",
    "short body with length": http("200 OK", GOOD[:-9], JSON, length=len(GOOD)),
    "short body without length": http("200 OK", GOOD[:-9], JSON, length=-1),
    "two lengths": http("200 OK", GOOD, JSON, "Content-Length: 3"),
    "negative length": http("200 OK", GOOD, JSON, "Content-Length: -1", length=-1),
    "length and chunks": http("200 OK", GOOD, JSON, "Transfer-Encoding: chunked"),
    "cut chunks": chunked(GOOD, end=b"5\r\n[1"),
    "bad chunk size": chunked(end=b"zz\r\n"),
    "empty": http("200 OK", b"", JSON),
    "created": http("201 Created", GOOD, JSON),
    "no content": http("204 No Content", b""),
    "partial": http("206 Partial Content", GOOD, JSON),
    "html": http("200 OK", b"<!doctype html><title>Sign in</title>", "Content-Type: text/html"),
    "html that says json": http("200 OK", b"<!doctype html>", JSON),
    "json that says html": http("200 OK", GOOD, "Content-Type: text/html"),
    "no content type": http("200 OK", GOOD),
    "two content types": http("200 OK", GOOD, JSON, "Content-Type: text/html"),
    "null": http("200 OK", b"null", JSON),
    "object": http("200 OK", b"{}", JSON),
    "text": http("200 OK", b'"[]"', JSON),
    "true": http("200 OK", b"true", JSON),
    "array of nulls": http("200 OK", b"[null]", JSON),
    "array of arrays": http("200 OK", b"[[]]", JSON),
    "without ids": http("200 OK", b'[{"name":"x","enabled":true}]', JSON),
    "id is a number": http("200 OK", GOOD.replace(b'"pol-mfa-required"', b"7"), JSON),
    "id leads away": http("200 OK", GOOD.replace(b"pol-mfa-required", b"../admin"), JSON),
    "id is a dot": http("200 OK", GOOD.replace(b"pol-mfa-required", b"."), JSON),
    "enabled is text": http("200 OK", GOOD.replace(b"true", b'"true"'), JSON),
    "enabled is a number": http("200 OK", GOOD.replace(b"true", b"1"), JSON),
    "rules are text": http("200 OK", GOOD.replace(b'["Require', b'"x", "y": ["Require'), JSON),
    "nan": http("200 OK", b"[NaN]", JSON),
    "infinity": http("200 OK", b"[-Infinity]", JSON),
    "1e400": http("200 OK", b"[1e400]", JSON),
    "5,000 digits": http("200 OK", b"[" + b"9" * 5_000 + b"]", JSON),
    "key twice": http("200 OK", GOOD.replace(b'"enabled": true', b'"enabled": true, "enabled": false'), JSON),
    "key twice, escaped": http(
        "200 OK", GOOD.replace(b'"enabled": true', b'"enabled": true, "en\\u0061bled": false'), JSON
    ),
    "invalid utf-8": http("200 OK", GOOD.replace(b"MFA", b"\xff\xfe"), JSON),
    "utf-16": http("200 OK", GOOD.decode().encode("utf-16"), JSON),
    "byte order mark": http("200 OK", b"\xef\xbb\xbf" + GOOD, JSON),
    "half a character": http("200 OK", GOOD.replace(b"MFA", b"\\udc00"), JSON),
    "100,000 levels": http("200 OK", b"[" * 100_000 + b"]" * 100_000, JSON),
    "100,000 levels of objects": http("200 OK", b'{"a":' * 100_000 + b"1" + b"}" * 100_000, JSON),
    "trailing": http("200 OK", GOOD + b"x", JSON),
    "two values": http("200 OK", GOOD + GOOD, JSON),
    "comment": http("200 OK", b"/**/" + GOOD, JSON),
    "json lines": http("200 OK", GOOD + b"\n{}", JSON),
    "says gzip and is not": http("200 OK", GOOD, JSON, "Content-Encoding: gzip"),
    "brotli": http("200 OK", GOOD, JSON, "Content-Encoding: br"),
    "an encoding nobody knows": http("200 OK", GOOD, JSON, "Content-Encoding: x-rot13"),
    "another protocol": http("101 Switching Protocols", b"", "Upgrade: h2c"),
}
#: Nobody answers, or not now: tried five times, then exit 75.
NOT_NOW = {
    "closed at once": b"",
    "500": http("500 Internal Server Error", b'{"detail":"x"}', JSON),
    "502 of a proxy": http("502 Bad Gateway", b"<html>", "Content-Type: text/html"),
    "503": http("503 Service Unavailable", b""),
    "504": http("504 Gateway Timeout", GOOD, JSON),
    "429": http("429 Too Many Requests", b"{}", JSON),
    "599": http("599 What", GOOD, JSON),
}
#: Asking again would not help: exit 1 at once.
FINAL = {
    "400 of a proxy": http("400 Bad Request", b"<html>", "Content-Type: text/html"),
    "401": http("401 Unauthorized", b'{"detail":"x"}', JSON),
    "403 of a gateway": http("403 Forbidden", b"no"),
    "404": http("404 Not Found", b'{"detail":"Not Found"}', JSON),
    "418": http("418 I'm a teapot", b"", JSON),
    "301": http("301 Moved Permanently", b"", "Location: /elsewhere"),
    "302 to nowhere": http("302 Found", b""),
    "303 with a list": http("303 See Other", GOOD, JSON, "Location: /x"),
    "304": http("304 Not Modified", b""),
    "308 to a strange place": http("308 Permanent Redirect", b"", "Location: \x7f://["),
}


@pytest.mark.parametrize("name", NOT_THE_API)
def test_a_list_that_is_not_the_apis_is_asked_for_again_and_never_taken_for_an_empty_one(name: str) -> None:
    with FakeApi("neosc", policies=DEFAULTS) as api:
        api.fail(Fault.RAW, times=99, raw=NOT_THE_API[name])

        with pytest.raises(LiveError) as caught:
            provider(api).fetch_listing()

        assert (caught.value.code, caught.value.exit) == ("not-the-api", ExitCode.ERROR)
        assert caught.value.what.isprintable()
        assert len(caught.value.what) < 400
        assert len(api.requests) == 5


@pytest.mark.parametrize("name", NOT_THE_API)
def test_one_bad_reply_before_a_good_one_changes_nothing(name: str) -> None:
    with FakeApi("neosc", policies=DEFAULTS) as api:
        api.fail(Fault.RAW, raw=NOT_THE_API[name])

        listing = provider(api).fetch_listing()

        assert [policy.id for policy in listing.policies] == [policy["id"] for policy in DEFAULTS]
        assert listing.complete


@pytest.mark.parametrize("name", NOT_NOW)
def test_an_api_that_does_not_answer_now_may_later(name: str) -> None:
    with FakeApi("neosc", policies=DEFAULTS) as api:
        api.fail(Fault.RAW, times=99, raw=NOT_NOW[name])

        with pytest.raises(UnreachableError) as caught:
            provider(api).fetch_listing()

        assert caught.value.exit is ExitCode.TRY_AGAIN
        assert len(api.requests) == 5


@pytest.mark.parametrize("name", FINAL)
def test_an_answer_that_will_not_change_ends_a_read_at_once(name: str) -> None:
    with FakeApi("neosc", policies=DEFAULTS) as api:
        api.fail(Fault.RAW, times=99, raw=FINAL[name])

        with pytest.raises(LiveError) as caught:
            provider(api).fetch_listing()

        assert caught.value.exit is ExitCode.ERROR
        assert caught.value.what.isprintable()
        assert len(api.requests) == 1


def test_a_list_that_may_have_lost_its_end_is_not_whole() -> None:
    """`[]` cut from `[…` cannot be told from `[]`, unless something announces where it ends (3.2)."""
    with FakeApi("neosc", policies=DEFAULTS) as api:
        api.fail(Fault.RAW, times=99, raw=http("200 OK", b"[]", JSON, length=-1))

        listing = provider(api).fetch_listing()

        assert (listing.policies, listing.complete) == ((), False)


@pytest.mark.parametrize(
    "raw",
    [
        chunked(GOOD),
        chunked(GOOD[:10], GOOD[10:]),
        chunked(*(GOOD[at : at + 1] for at in range(len(GOOD)))),
        b"HTTP/1.1 100 Continue\r\n\r\n" + http("200 OK", GOOD, JSON),
        b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + http("200 OK", GOOD, JSON),
        http("200", GOOD, "content-TYPE:application/json; charset=UTF-8"),
        http("200 OK", GOOD, "Content-Type: application/problem+json"),
        http("200 OK", GOOD, JSON, "Content-Encoding: identity"),
        http("200 OK", GOOD.replace(b"MFA", b"\\u004dFA"), JSON),
    ],
    ids=["chunked", "two chunks", "bytes", "continue", "early hints", "odd case", "+json", "identity", "escaped"],
)
def test_what_is_unusual_and_right_is_read(raw: bytes) -> None:
    with FakeApi("neosc", policies=DEFAULTS) as api:
        api.fail(Fault.RAW, raw=raw)

        listing = provider(api).fetch_listing()

        assert [policy.body["name"] for policy in listing.policies] == [policy["name"] for policy in DEFAULTS]
        assert len(api.requests) == 1


def test_what_comes_after_a_reply_belongs_to_no_other() -> None:
    """A second reply in the same bytes is not the answer to the next request (response splitting)."""
    good, forged = (http("200 OK", body, JSON) for body in (GOOD, b"[]"))
    asked: list[bytes] = []

    def serve(connection: socket.socket) -> None:
        """One connection that stays open, as long as the other side likes."""
        while data := connection.recv(65_536):
            asked.append(data)
            connection.sendall(good + forged if len(asked) == 1 else good)

    with listening(serve) as url:
        transport = Transport(url, Secret(TOKEN), deadline=5.0, clock=FakeClock(), random=CountingRandom())
        reader = make_provider(TargetSettings("t", "neosc", url, "p"), transport)
        found = [len(reader.fetch_listing().policies) for _ in range(3)]
        transport.close()

    assert found == [3, 3, 3]
    assert len(asked) == 3


# --------------------------------------------------------------------------------------------------- writes

POLICY = {key: value for key, value in json.loads(opena2a_policy()).items() if key != "enabled"}
HEADERS = {"User-Agent": "reconciler/test"}
WRITES = {
    "create": Mutation("create", None, POLICY, True, "a" * 40, HEADERS),
    "update": Mutation("update", "policy_1", POLICY, True, "a" * 40, HEADERS),
    "toggle": Mutation("toggle", "policy_1", None, False, "a" * 40, HEADERS),
    "delete": Mutation("delete", "policy_1", None, False, "a" * 40, HEADERS),
    "mode": Mutation("mode", None, {"enforcement_mode": "strict"}, False, "a" * 40, HEADERS),
}
#: Replies to a write that leave doubt, whatever was written.
DOUBT = {
    "closed at once": b"",
    "garbage": b"\x00\x01\x02 nonsense\r\n\r\n",
    "2 MB header": NOT_THE_API["2 MB header"],
    "cut": http("200 OK", b'{"pol', JSON, length=100),
    "cut without length": http("200 OK", b'{"policy":{"id":"policy_1"', JSON, length=-1),
    "cut chunks": chunked(b'{"policy":', end=b"9\r\n{"),
    "html": http("200 OK", b"<html>ok</html>", "Content-Type: text/html"),
    "json that says html": http("200 OK", b"{}", "Content-Type: text/html"),
    "nan": http("200 OK", b'{"policy":NaN}', JSON),
    "key twice": http("200 OK", b'{"a":1,"a":2}', JSON),
    "invalid utf-8": http("200 OK", b'{"policy":"\xff"}', JSON),
    "100,000 levels": http("200 OK", b"[" * 100_000 + b"]" * 100_000, JSON),
    "gzip": http("200 OK", b"{}", JSON, "Content-Encoding: gzip"),
    "301": http("301 Moved", b"", "Location: http://127.0.0.1:9/"),
    "303": http("303 See Other", b"{}", JSON, "Location: /x"),
    "307": http("307 Temporary Redirect", b'{"error":"x"}', JSON, "Location: /x"),
    "400 of a proxy": http("400 Bad Request", b"<html>nginx</html>", "Content-Type: text/html"),
    "403 empty": http("403 Forbidden", b""),
    "408": http("408 Request Timeout", b""),
    "413 of a proxy": http("413 Payload Too Large", b"too large", "Content-Type: text/plain"),
    "429 of a proxy": http("429 Too Many Requests", b"slow down", "Content-Type: text/plain", "Retry-After: 1"),
    "500": http("500 Internal Server Error", b'{"error":"x"}', JSON),
    "502": http("502 Bad Gateway", b"<html>"),
    "503 with Retry-After": http("503 Service Unavailable", b'{"error":"x"}', JSON, "Retry-After: 1"),
    "504": http("504 Gateway Timeout", b""),
    "999": http("999 What", b'{"error":"x"}', JSON),
    "continue for ever": b"HTTP/1.1 100 Continue\r\n\r\n" * 1_000,
}


@pytest.fixture
def api() -> Iterator[FakeApi]:
    with FakeApi("opena2a", policies=[{**POLICY, "id": "policy_1", "enabled": True}]) as api:
        yield api


@pytest.mark.parametrize("kind", WRITES)
@pytest.mark.parametrize("name", DOUBT)
def test_a_reply_that_is_not_the_apis_leaves_doubt_about_any_write(api: FakeApi, kind: str, name: str) -> None:
    api.fail(Fault.RAW, raw=DOUBT[name])

    receipt = provider(api).send(WRITES[kind])

    assert receipt.fate is Fate.AMBIGUOUS
    assert receipt.detail.isprintable()
    assert len(api.mutations) == 1


@pytest.mark.parametrize("kind", WRITES)
@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 409, 412, 422, 429])
def test_a_refusal_in_the_apis_own_words_is_one_for_any_write(api: FakeApi, kind: str, status: int) -> None:
    api.fail(Fault.RAW, raw=http(f"{status} No", b'{"error":"because"}', JSON))

    receipt = provider(api).send(WRITES[kind])

    assert (receipt.fate, receipt.status, receipt.detail) == (Fate.REJECTED, status, "because")


@pytest.mark.parametrize("kind", WRITES)
def test_a_good_reply_applies_any_write(api: FakeApi, kind: str) -> None:
    mutation = WRITES[kind]
    if kind == "create":
        api.remove("policy_1")

    assert provider(api).send(mutation).fate is Fate.APPLIED


def never_reads(connection: socket.socket) -> None:
    """Take no byte of the request until the other side has given up; only a large one notices."""
    waiting = select.poll()
    waiting.register(connection, select.POLLRDHUP)
    waiting.poll(30_000)


def hangs_up(connection: socket.socket) -> None:
    """Reset the connection in the middle of the request."""
    connection.recv(1024)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


@pytest.mark.parametrize(("talk", "told"), [(never_reads, "deadline"), (hangs_up, "closed")])
def test_a_request_that_leaves_only_in_part_leaves_doubt(talk: Callable[[socket.socket], None], told: str) -> None:
    large = Mutation("update", "policy_1", {**POLICY, "description": "x" * 8_000_000}, True, "a" * 40, HEADERS)
    with listening(talk) as url:
        transport = Transport(url, Secret(TOKEN), deadline=2.0, clock=SystemClock(), random=CountingRandom())

        receipt = make_provider(TargetSettings("t", "opena2a", url, "p"), transport).send(large)

    assert (receipt.fate, receipt.status) == (Fate.AMBIGUOUS, None)
    assert told in receipt.detail


# --------------------------------------------------------------------------------------------------- cost

#: Runs one request in a process of its own and tells what came of it, how long it took, and how much memory grew.
MEASURE = """
import json, resource, sys
from reconciler.clock import SystemClock
from reconciler.core.model import Mutation, TargetSettings
from reconciler.core.secret import Secret
from reconciler.errors import LiveError
from reconciler.providers.http import Transport
from reconciler.providers.registry import make_provider

url, token, good, what, deadline = sys.argv[1:]
clock = SystemClock()

class Eager:
    def uniform(self, low, high):
        return low  # no pause between two tries

def provider(url, deadline=30.0):
    transport = Transport(url, Secret(token), deadline=deadline, clock=clock, random=Eager())
    return make_provider(TargetSettings("t", "neosc", url, "p"), transport)

flip = Mutation("toggle", "pol-mfa-required", None, False, "a" * 40, {})
provider(good).fetch_listing()
provider(good).send(flip)
before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, clock.monotonic()
if what == "write":
    receipt = provider(url, float(deadline)).send(flip)
    told = [receipt.fate.value, receipt.detail]
else:
    try:
        told = [str(provider(url, float(deadline)).fetch_listing().complete), ""]
    except LiveError as error:
        told = [error.code, error.what]
took = clock.monotonic() - began
grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
print(json.dumps({"told": told, "took": took, "grown": grown}))
"""


def measure(url: str, good: str, what: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, url, TOKEN, good, what, str(DEADLINE)],
        capture_output=True,
        check=True,
        timeout=120,
        cwd=Path(__file__).parents[2],
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


HEAD = f"HTTP/1.1 200 OK\r\n{JSON}\r\n".encode()
MIB = 1024 * 1024


def _flood(send: Send) -> None:
    send(HEAD + b"\r\n[")
    for _ in range(200):
        send(b" " * MIB)


def _many_values(send: Send) -> None:
    body = b"[" + b"[]," * (8 * MIB // 3 - 2) + b"0]"
    send(HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body)


def _long(send: Send) -> None:
    send(HEAD + b"Content-Length: 209715200\r\n\r\n")
    for _ in range(200):
        send(b" " * MIB)


@cache
def _bomb() -> bytes:
    return gzip.compress(b" " * (200 * MIB), 1)


def _inflating(send: Send) -> None:
    body = _bomb()
    send(HEAD + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(body) + body)


def _inflating_on_the_way(send: Send) -> None:
    body = _bomb()
    send(HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n%x\r\n" % len(body) + body + b"\r\n0\r\n\r\n")


def _endless_chunks(send: Send) -> None:
    send(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
    while True:
        send(b"1\r\n \r\n" * 10_000)


def _endless_chunk_names(send: Send) -> None:
    send(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
    while True:
        send(b"0" * 100_000)


def _endless_trailers(send: Send) -> None:
    send(HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\n[]\r\n0\r\n")
    while True:
        send(b"X-A: 1\r\n" * 10_000)


def _endless_header(send: Send) -> None:
    send(b"HTTP/1.1 200 OK\r\nX-Long: ")
    while True:
        send(b"x" * 100_000)


def _endless_headers(send: Send) -> None:
    send(b"HTTP/1.1 200 OK\r\n")
    while True:
        send(b"X-A: 1\r\n" * 10_000)


def _endless_hints(send: Send) -> None:
    while True:
        send(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" * 1_000)


def _drip(send: Send) -> None:
    send(HEAD + b"Content-Length: 100000\r\n\r\n")
    while True:
        send(b" ")
        time.sleep(0.05)


def _drip_of_headers(send: Send) -> None:
    send(b"HTTP/1.1 200 OK\r\n")
    while True:
        send(b"X-A: 1\r\n")
        time.sleep(0.05)


COSTLY = [
    *(_flood, _many_values, _long, _inflating, _inflating_on_the_way, _endless_chunks, _endless_chunk_names),
    *(_endless_trailers, _endless_header, _endless_headers, _endless_hints, _drip, _drip_of_headers),
]


def serving(reply: Callable[[Send], None]) -> AbstractContextManager[str]:
    """Give every connection the same reply, until it is closed."""

    def serve(connection: socket.socket) -> None:
        connection.recv(65_536)
        reply(connection.sendall)

    return listening(serve)


@contextmanager
def listening(talk: Callable[[socket.socket], None]) -> Iterator[str]:
    """Let *talk* have every connection, each in a thread of its own."""
    listener = socket.create_server(("127.0.0.1", 0))
    threads: list[threading.Thread] = []

    def serve(connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            talk(connection)

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threads.append(threading.Thread(target=serve, args=(connection,)))
            threads[-1].start()

    accepting = threading.Thread(target=accept)
    accepting.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/api"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for thread in (accepting, *threads):
            thread.join()


@pytest.mark.parametrize("what", ["write", "read"])
@pytest.mark.parametrize("reply", COSTLY, ids=lambda reply: reply.__name__.strip("_").replace("_", " "))
def test_no_reply_takes_more_time_or_memory_than_it_may(reply: Callable[[Send], None], what: str) -> None:
    with FakeApi("neosc", policies=DEFAULTS) as api, serving(reply) as url:
        found = measure(url, api.url, what)

    code, detail = found["told"]
    assert code in ({"ambiguous"} if what == "write" else {"not-the-api", "unreachable"}), found
    assert detail
    tries = 1 if what == "write" else 5
    assert found["took"] < tries * DEADLINE + 8.0, found  # it would last for ever; the rest is for a busy machine
    assert found["grown"] < 32 * 1024, found  # ru_maxrss is in kB on Linux
