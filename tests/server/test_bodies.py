"""Bodies meant to hurt: each is refused in the dialect's error shape, and nothing changes."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator

import httpx
import pytest

from reconciler.server.edge import MAX_BODY
from tests.support.servers import RunningServer, reference_server

GOOD = {"name": "x", "type": "access", "policy_type": "trust_score"}
HOSTILE: dict[str, tuple[int, bytes, str]] = {
    "empty": (400, b"", "Request body is not valid JSON"),
    "cut": (400, b'{"name": "x"', "Request body is not valid JSON"),
    "two values": (400, b"{} {}", "Request body is not valid JSON"),
    "nan": (400, b'{"name": NaN}', "Request body is not valid JSON"),
    "infinity": (400, b'{"conditions": {"a": -Infinity}}', "Request body is not valid JSON"),
    "1e400": (400, b'{"conditions": {"a": 1e400}}', "Numbers must be finite"),
    "2^53 + 1": (400, b'{"conditions": {"a": 9007199254740993}}', "Whole numbers must be within 2^53"),
    "5000 digits": (400, b'{"conditions": {"a": %s}}' % (b"9" * 5000), "Request body is not valid JSON"),
    "a key twice": (400, b'{"enabled": true, "enabled": false}', "Request body is not valid JSON"),
    "a key twice inside": (400, b'{"conditions": {"a": 1, "a": 2}}', "Request body is not valid JSON"),
    "list": (400, b"[]", "Request body must be a JSON object"),
    "null": (400, b"null", "Request body must be a JSON object"),
    "text": (400, b'"x"', "Request body must be a JSON object"),
    "utf-16": (400, json.dumps(GOOD).encode("utf-16"), "Request body is not UTF-8"),
    "utf-8 mark": (400, b"\xef\xbb\xbf{}", "Request body is not valid JSON"),
    "latin-1": (400, b'{"name": "\xe9"}', "Request body is not UTF-8"),
    "nul": (400, rb'{"name": "a\u0000b"}', "Text must not hold NUL or half a surrogate pair"),
    "half a pair": (400, rb'{"name": "\ud800"}', "Text must not hold NUL or half a surrogate pair"),
    "half a pair as key": (400, rb'{"conditions": {"\udfff": 1}}', "Text must not hold NUL or half a surrogate pair"),
    "33 levels": (
        400,
        b'{"conditions": ' + b"[" * 32 + b"]" * 32 + b"}",
        "Request body is nested deeper than 32 levels",
    ),
    "60000 levels": (400, b"[" * 60_000, "Request body is nested deeper than 32 levels"),
    "too large": (413, b" " * (MAX_BODY + 1), f"Request body is larger than {MAX_BODY} bytes"),
}
ROUTES = [
    ("POST", "/api/policies"),
    ("PUT", "/api/policies/pol-mfa-required"),
    ("POST", "/v1/admin/security-policies"),
    ("PUT", "/v1/admin/security-policies/{id}"),
    ("PATCH", "/v1/admin/security-policies/{id}/toggle"),
    ("PUT", "/v1/admin/enforcement-settings"),
]


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    with reference_server(neosc_crud=True) as running:
        yield running


@pytest.fixture(scope="module")
def client(server: RunningServer) -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Bearer {server.token}"}
    with httpx.Client(base_url=server.url, headers=headers, trust_env=False) as client:
        client.get("/api/policies")
        client.post("/v1/admin/security-policies", json={"name": "there", "policy_type": "trust_score"})
        yield client


def state(client: httpx.Client) -> list[object]:
    paths = ("/api/policies", "/api/audit-logs", "/v1/admin/security-policies", "/v1/admin/audit-logs")
    return [client.get(path).json() for path in paths]


def send(client: httpx.Client, route: tuple[str, str], body: bytes, kind: str) -> httpx.Response:
    there = client.get("/v1/admin/security-policies").json()["policies"][0]["id"]
    return client.request(route[0], route[1].format(id=there), content=body, headers={"Content-Type": kind})


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_body_is_refused_and_nothing_changes(client: httpx.Client, route: tuple[str, str], name: str) -> None:
    status, body, sentence = HOSTILE[name]
    before = state(client)

    reply = send(client, route, body, "application/json")

    assert reply.status_code == status
    assert reply.json() == {"error" if route[1].startswith("/v1") else "detail": sentence}
    assert state(client) == before


@pytest.mark.parametrize("route", ROUTES)
def test_a_body_that_does_not_say_it_is_json_is_415(client: httpx.Client, route: tuple[str, str]) -> None:
    before = state(client)

    reply = send(client, route, json.dumps(GOOD).encode(), "text/plain")

    assert reply.status_code == 415
    assert list(reply.json().values()) == ["Content-Type must be application/json"]
    assert state(client) == before


def test_32_levels_are_taken(client: httpx.Client) -> None:
    body = b'{"conditions": {"a": ' + b"[" * 30 + b"]" * 30 + b"}}"

    reply = send(client, ("PUT", "/v1/admin/security-policies/{id}"), body, "application/json")

    assert reply.status_code == 200


@pytest.mark.parametrize(
    "text", ["'; DROP TABLE audit_entries; --", "<script>alert(1)</script>", "\x1b[31m", "🔒 é \u202e"]
)
def test_text_comes_back_as_it_was_sent(client: httpx.Client, text: str) -> None:
    body = json.dumps({"description": text, "conditions": {text: [text]}}).encode()

    reply = send(client, ("PUT", "/v1/admin/security-policies/{id}"), body, "application/json; charset=utf-8")

    policy = reply.json()["policy"]
    assert (policy["description"], policy["conditions"]) == (text, {text: [text]})
    assert reply.headers["content-type"] == "application/json"


def test_a_body_over_the_cap_is_refused_even_without_a_token_or_a_length(server: RunningServer) -> None:
    def endless() -> Iterator[bytes]:
        for _ in range(200):
            yield b"x" * 4096

    with httpx.Client(trust_env=False) as client:
        reply = client.patch(f"{server.neosc_url}/policies/pol-mfa-required", content=endless())

    assert reply.status_code == 413
    assert reply.headers["connection"] == "close"


def test_a_request_that_is_cut_off_changes_nothing(server: RunningServer, client: httpx.Client) -> None:
    before = state(client)
    host, port = server.url.removeprefix("http://").split(":")
    head = (
        f"PATCH /api/policies/pol-mfa-required HTTP/1.1\r\nHost: {host}\r\n"
        f"Authorization: Bearer {server.token}\r\nContent-Length: 10\r\n\r\n"
    )

    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(head.encode() + b"{}")
        connection.shutdown(socket.SHUT_RDWR)

    assert state(client) == before


@pytest.mark.parametrize("policy_id", ["..%2f..%2fadmin", "%00", "%ff", "a%0d%0ab", "x" * 3000, "' OR 1=1 --"])
def test_a_hostile_id_is_404(client: httpx.Client, policy_id: str) -> None:
    before = state(client)

    for path in (f"/api/policies/{policy_id}", f"/v1/admin/security-policies/{policy_id}"):
        assert client.delete(path).status_code == 404

    assert state(client) == before


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/api/policies/%00", 404),
        ("/v1/admin/users/a%00b", 404),
        ("/v1/%00?%00", 404),
        ("/api/policies?x=%00", 422),
        ("/v1/admin/users?x=%00", 400),
    ],
)
def test_an_address_with_nul_in_it_names_nothing(client: httpx.Client, path: str, status: int) -> None:
    reply = client.get(path)

    sentence = "Not Found" if status == 404 else "A parameter holds NUL"
    assert (reply.status_code, reply.json()) == (status, {"error" if path.startswith("/v1") else "detail": sentence})
