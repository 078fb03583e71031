"""The token in every part of a reply: no error, receipt or policy made of the reply holds it (reliability.md F45)."""

from __future__ import annotations

import pytest

from reconciler.clock import SystemClock, SystemRandom
from reconciler.core.model import Fate, Mutation, TargetSettings
from reconciler.core.secret import Secret
from reconciler.errors import LiveError
from reconciler.providers.base import Provider
from reconciler.providers.http import Transport
from reconciler.providers.registry import make_provider
from tests.fake_api import FakeApi, Fault
from tests.support.clocks import CountingRandom, FakeClock
from tests.support.secrecy import found, random_token

#: A name that may stand anywhere: in an id, a content type, a host.
PLAIN = random_token(0)
ODD = random_token(1)


def reply(status: str, body: str, *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", "Content-Type: application/json", *headers, f"Content-Length: {len(body.encode())}"]
    kept = [line for number, line in enumerate(lines) if number != 1 or not any("Content-Type" in h for h in headers)]
    return ("\r\n".join([*kept, "", ""]) + body).encode()


def policy(**fields: str) -> str:
    shown = {"id": "pol-a", "name": "A", "description": "d", "type": "access", **fields}
    body = ",".join(f'"{key}":"{value}"' for key, value in shown.items())
    return f'[{{{body},"rules":[],"enabled":true}}]'


REPLIES = {
    "reason": reply(f"403 {PLAIN}", "{}"),
    "status line": f"{PLAIN} 200 OK\r\n\r\n".encode(),
    "version": f"HTTP/{PLAIN} 200 OK\r\n\r\n".encode(),
    "content type": reply("200 OK", "[]", f"Content-Type: text/{PLAIN}"),
    "content encoding": reply("200 OK", "[]", f"Content-Encoding: {PLAIN}"),
    "transfer encoding": reply("200 OK", "[]", f"Transfer-Encoding: {PLAIN}"),
    "total": reply("200 OK", policy(), f"X-Total-Count: {PLAIN}"),
    "header name": reply("403 No", "{}", f"{PLAIN}: 1"),
    "broken header": f"HTTP/1.1 200 OK\r\n{PLAIN}\r\n\r\n".encode(),
    "length": f"HTTP/1.1 200 OK\r\nContent-Length: {PLAIN}\r\n\r\n".encode(),
    "location's host": reply("302 Found", "", f"Location: https://{PLAIN}.example/"),
    "location's path": reply("302 Found", "", f"Location: /{PLAIN}"),
    "location's user": reply("302 Found", "", f"Location: https://{PLAIN}@a.example/"),
    "location's port": reply("302 Found", "", f"Location: https://a.example:{PLAIN}/"),
    "detail": reply("403 No", f'{{"detail":"{PLAIN}"}}'),
    "detail in the middle of a word": reply("403 No", f'{{"detail":"x{PLAIN}x"}}'),
    "detail beyond what is shown": reply("403 No", f'{{"detail":"{"x" * 190}{PLAIN}"}}'),
    "detail of a list": reply("422 No", f'{{"detail":[{{"msg":"{PLAIN}"}}]}}'),
    "html": reply("200 OK", f"<p>{PLAIN}</p>", "Content-Type: text/html"),
    "cut json": reply("200 OK", f'[{{"id":"{PLAIN}'),
    "key": reply("200 OK", f'{{"{PLAIN}":1}}'),
    "key twice": reply("200 OK", f'{{"{PLAIN}":1,"{PLAIN}":2}}'),
    "number": reply("200 OK", f'[{{"id":{PLAIN}}}]'),
    "id": reply("200 OK", policy(id=PLAIN)),
    "id twice": reply("200 OK", f"[{policy(id=PLAIN)[1:-1]},{policy(id=PLAIN)[1:-1]}]"),
    "name": reply("200 OK", policy(name=PLAIN)),
    "type": reply("200 OK", policy(type=PLAIN)),
    "description": reply("200 OK", policy(description=f"Bearer {PLAIN}")),
    "created_at": reply("200 OK", policy(created_at=PLAIN)),
    "another field": reply("200 OK", policy(**{PLAIN: PLAIN})),
}


def provider(url: str, token: str) -> Provider:
    transport = Transport(url, Secret(token), deadline=5.0, clock=FakeClock(), random=CountingRandom())
    return make_provider(TargetSettings("t", "neosc", url, "p"), transport)


@pytest.mark.parametrize("part", REPLIES)
@pytest.mark.parametrize("token", [PLAIN, ODD], ids=["plain", "odd"])
def test_no_list_and_no_error_holds_the_token(part: str, token: str) -> None:
    raw = REPLIES[part].replace(PLAIN.encode(), token.encode()) if token == PLAIN else _odd(part)
    with FakeApi("neosc", policies=[]) as api:
        api.token = token
        api.fail(Fault.RAW, times=99, raw=raw)

        try:
            shown = repr(provider(api.url, token).fetch_listing())
        except LiveError as error:
            shown = f"{error} {error!r}"

    assert found(token, {"shown": shown.encode()}) == []


def _odd(part: str) -> bytes:
    """The same reply with a token of odd characters, escaped as JSON wants it; its length is put right."""
    head, _, body = REPLIES[part].partition(b"\r\n\r\n")
    escaped = ODD.replace("\\", "\\\\").replace('"', '\\"').encode()
    body = body.replace(PLAIN.encode(), escaped)
    lines = [line for line in head.split(b"\r\n") if not line.startswith(b"Content-Length: ") or PLAIN.encode() in line]
    if any(line.startswith(b"Content-Length") for line in head.split(b"\r\n")) and part != "length":
        lines.append(b"Content-Length: %d" % len(body))
    return b"\r\n".join(lines).replace(PLAIN.encode(), ODD.encode()) + b"\r\n\r\n" + body


@pytest.mark.parametrize("part", REPLIES)
def test_no_receipt_holds_the_token(part: str) -> None:
    with FakeApi("neosc", policies=[]) as api:
        api.token = PLAIN
        api.fail(Fault.RAW, raw=REPLIES[part])
        transport = Transport(api.url, Secret(PLAIN), deadline=5.0, clock=SystemClock(), random=SystemRandom())
        flip = Mutation("toggle", "pol-a", None, False, "a" * 40, {})

        receipt = make_provider(TargetSettings("t", "neosc", api.url, "p"), transport).send(flip)

    assert receipt.fate in (Fate.AMBIGUOUS, Fate.REJECTED)
    assert found(PLAIN, {"receipt": repr(receipt).encode()}) == []
