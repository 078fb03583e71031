"""Callers who mean harm, at every route the server has: a refusal in the documented shape, and nothing changed.

The routes are read off the application, the fields off `/openapi.json`, so what is new is asked too. "Nothing changed"
compares every row of every table.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import httpx
import jsonschema
import pytest
import sqlalchemy as sa
from starlette.routing import Route

from reconciler.server.app import create_app
from reconciler.server.edge import LARGER, MAX_BODY
from reconciler.server.openapi.document import is_documented, make_document
from reconciler.server.options import ServerOptions
from reconciler.server.tables import metadata
from tests.server.test_bodies import HOSTILE
from tests.support.servers import RunningServer, reference_server

#: Who was refused how often, and what a page's visitor last did, is no state of what is protected.
VOLATILE = ("login_failures", "sessions", "tokens")
LOGIN = "/api/auth/login"
#: NeoSC's policies are global to the deployment (systems.md 1.1); a lock's name is each organization's own.
SHARED = ("/api/policies/{policy_id}", "/v1/locks/{name}")
TEXTS = {
    "sql": "x'); DROP TABLE users; --",
    "sql or": "' OR '1'='1",
    "html": "<script>alert(1)</script><img src=x onerror=alert(1)>",
    "template": "{{7*7}}${7*7}%s%n",
    "path": "../../../../etc/passwd",
    "lines": "a\r\nX-Injected: 1",
    "bidi": "\u202eabc\u2066",
    "long": "x" * 20_000,
}
NEVER = {"nul": "a\0b", "half a pair": "\ud800", "half a pair at the end": "abc\udfff"}
ODD: tuple[Any, ...] = (None, True, 0, -1, 1.5, 2**53 + 1, 1e300, "", "x", [], [None], [[]], {}, {"a": {}})


@dataclass(frozen=True)
class Attacked:
    """The server under attack, its tokens, and what is in it."""

    server: RunningServer
    client: httpx.Client
    tokens: dict[str, str]
    ids: dict[str, str]

    @cached_property
    def routes(self) -> list[tuple[str, str]]:
        app = create_app(self.server.store, ServerOptions(neosc_crud=True))
        found = [route for route in app.state.routes if isinstance(route, Route)]
        return [(method, route.path) for route in found for method in sorted(route.methods or ()) if method != "HEAD"]

    @cached_property
    def document(self) -> Any:
        return make_document(create_app(self.server.store, ServerOptions(neosc_crud=True)).state.routes)

    @property
    def api(self) -> list[tuple[str, str]]:
        return [(method, path) for method, path in self.routes if path.startswith(("/api/", "/v1/"))]

    @property
    def mutating(self) -> list[tuple[str, str]]:
        return [(method, path) for method, path in self.api if method != "GET" and path != LOGIN]

    @property
    def with_body(self) -> list[tuple[str, str, Any, Any]]:
        """Method, path, schema and example of whatever reads a body."""
        found = []
        for method, path in self.api:
            operation = self.document["paths"][path][method.lower()]
            if "requestBody" in operation:
                content = operation["requestBody"]["content"]["application/json"]
                found.append((method, path, content["schema"], content["examples"]["documented"]["value"]))
        return found

    def check(self, schema: Any, value: Any) -> bool:
        known = {name: self.document["components"]["schemas"][name] for name in ("Json", "Event")}
        whole = {**schema, "components": {"schemas": known}}
        return bool(jsonschema.Draft202012Validator(whole).is_valid(value))

    def properties(self, schema: Any) -> dict[str, Any]:
        if "$ref" in schema:
            schema = self.document["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]]
        return dict(schema["properties"])

    def fill(self, path: str) -> str:
        for name, value in self.ids.items():
            path = path.replace(f"{{{name}}}", value)
        return path if path.startswith("/api/") else path.replace("pol-mfa-required", self.ids["opena2a"])

    def ask(self, method: str, path: str, token: str | None = "admin", **more: Any) -> httpx.Response:
        headers = dict(more.pop("headers", {}))
        if token is not None:
            headers.setdefault("Authorization", f"Bearer {self.tokens.get(token, token)}")
        if path.endswith("/stream"):  # only its refusals have an end
            with self.client.stream(method, path, headers=headers, **more) as reply:
                if reply.status_code != 200:
                    reply.read()
                return reply
        return self.client.request(method, path, headers=headers, **more)

    def dump(self) -> dict[str, Any]:
        """Every row of every table, in order."""
        with self.server.store.read() as connection:
            return {
                table.name: sorted(map(repr, connection.execute(sa.select(table)).all()))
                for table in metadata.sorted_tables
                if table.name not in VOLATILE
            }

    def is_refused(self, reply: httpx.Response, path: str, *statuses: int) -> None:
        """Hold *reply* to be one of these refusals, in the shape of the dialect."""
        said = (path, reply.status_code, reply.text[:200])
        assert reply.status_code in statuses, said
        assert reply.headers["content-type"] == "application/json", said
        body = reply.json()
        key = "error" if path.startswith("/v1/") else "detail"
        assert list(body) == [key], said
        assert isinstance(body[key], str), said
        assert reply.headers["x-content-type-options"] == "nosniff"
        assert "x-injected" not in reply.headers


@contextmanager
def under_attack() -> Iterator[Attacked]:
    with (
        reference_server(neosc_crud=True) as server,
        httpx.Client(base_url=server.url, trust_env=False, timeout=30) as client,
    ):
        store = server.store
        store.add_user("other@example.com", "admin", organization="elsewhere")
        tokens = {
            "admin": server.token,
            "user": store.add_token("person@example.com", "user"),
            "reader": store.add_token("gitops@example.com", "admin", scopes=["read"]),
            "other": store.add_token("other@example.com", "admin"),
        }
        client.headers["Authorization"] = f"Bearer {server.token}"
        client.get("/api/policies")
        policy = {"name": "there", "policy_type": "trust_score", "conditions": {"min_trust_score": 70}}
        made = client.post("/v1/admin/security-policies", json=policy).json()["policy"]["id"]
        event = {"actor_id": "agent", "action": "read", "resource": "x", "trust_score": 1}
        finding = client.post("/v1/evaluate", json=event).json()["violations"][0]["id"]
        user = client.post("/v1/admin/users", json={"email": "there@example.com", "role": "user"}).json()
        token = client.post("/v1/admin/tokens", json={"name": "there"}).json()["id"]
        client.post("/v1/locks/prod", json={})
        del client.headers["Authorization"]
        ids = {
            "policy_id": "pol-mfa-required",
            "opena2a": made,
            "finding_id": finding,
            "user_id": user["user"]["id"],
            "token_id": token,
            "name": "prod",
        }
        yield Attacked(server, client, tokens, ids)


@pytest.fixture(scope="module")
def attacked() -> Iterator[Attacked]:
    with under_attack() as found:
        yield found


@pytest.fixture(autouse=True)
def unchanged(attacked: Attacked) -> Iterator[None]:
    """After each test every table holds what it held before."""
    before = attacked.dump()
    yield
    after = attacked.dump()
    assert {name: rows for name, rows in after.items() if rows != before[name]} == {}


@pytest.fixture
def another() -> Iterator[Attacked]:
    """One of its own, for the test of what is accepted."""
    with under_attack() as found:
        yield found


def test_there_are_routes_to_attack(attacked: Attacked) -> None:
    assert len(attacked.api) > 40
    assert len(attacked.with_body) >= 15
    assert {path for _, path in attacked.api} == {
        route.path
        for route in create_app(attacked.server.store, ServerOptions(neosc_crud=True)).state.routes
        if is_documented(route)
    }


@pytest.mark.parametrize(
    "authorization", [None, "", "Bearer", "Bearer wrong", "Basic YTpi", "bearer {admin}", "Bearer {admin} x", "{admin}"]
)
def test_without_a_token_every_route_is_401(attacked: Attacked, authorization: str | None) -> None:
    shown = {} if authorization is None else {"Authorization": authorization.format(**attacked.tokens)}
    for method, path in attacked.api:
        if path == LOGIN:
            continue

        reply = attacked.ask(method, attacked.fill(path), None, headers=shown, json={"enabled": False})

        attacked.is_refused(reply, path, 401)


@pytest.mark.parametrize("token", ["user", "reader"])
def test_who_may_only_read_changes_nothing(attacked: Attacked, token: str) -> None:
    for method, path in attacked.mutating:
        reply = attacked.ask(method, attacked.fill(path), token, json={"enabled": False})

        attacked.is_refused(reply, path, 403)
    for path in ("/v1/admin/users", "/v1/admin/tokens"):
        attacked.is_refused(attacked.ask("GET", path, token), path, 403)


def test_what_is_another_organizations_is_not_there(attacked: Attacked) -> None:
    for method, path in attacked.api:
        if "{" not in path or path in SHARED:
            continue
        body = {"enabled": False} if path.endswith("/toggle") else {}

        reply = attacked.ask(method, attacked.fill(path), "other", **({} if method == "GET" else {"json": body}))

        attacked.is_refused(reply, path, 404)
    assert attacked.ask("GET", "/v1/locks/prod", "other").status_code == 404
    assert attacked.ask("GET", "/v1/admin/security-policies", "other").json() == {"policies": [], "total": 0}
    for listed in ("/api/audit-logs", "/v1/admin/audit-logs?system=all", "/v1/admin/violations", "/v1/admin/users"):
        shown = attacked.ask("GET", listed, "other").text
        assert "gitops@example.com" not in shown
        assert attacked.ids["finding_id"] not in shown


@pytest.mark.parametrize("name", HOSTILE)
def test_a_body_that_cannot_be_read_is_refused_everywhere(attacked: Attacked, name: str) -> None:
    status, content, _ = HOSTILE[name]
    for method, path, _, _ in attacked.with_body:
        if (name == "empty" and path.startswith(("/v1/admin/alerts", "/v1/admin/violations"))) or path in LARGER:
            continue  # the body may be left out; a batch may be large

        reply = attacked.ask(method, attacked.fill(path), content=content, headers={"Content-Type": "application/json"})

        attacked.is_refused(reply, path, status)


def test_a_body_larger_than_any_is_refused_even_where_none_is_read(attacked: Attacked) -> None:
    for method, path in attacked.mutating:
        content = b" " * (LARGER.get(path, MAX_BODY) + 1)

        attacked.is_refused(attacked.ask(method, attacked.fill(path), content=content), path, 413)


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "application/xml", ""])
def test_a_body_of_another_type_is_refused(attacked: Attacked, kind: str) -> None:
    for method, path, _, example in attacked.with_body:
        content = json.dumps(example).encode()

        reply = attacked.ask(method, attacked.fill(path), content=content, headers={"Content-Type": kind})

        attacked.is_refused(reply, path, 415)


def test_a_wrong_type_in_any_field_is_refused(attacked: Attacked) -> None:
    asked = 0
    for method, path, schema, example in attacked.with_body:
        for number, (field, wanted) in enumerate(attacked.properties(schema).items()):
            wrong = [value for value in ODD if not attacked.check(wanted, value)]
            few = len(attacked.properties(schema)) < 15
            for value in wrong[number % 3 :: 3 if few else 9]:  # every field gets some, every type meets some field
                reply = attacked.ask(method, attacked.fill(path), json={**example, field: value})

                attacked.is_refused(reply, f"{path} {field}={value!r}", 400, 422)
                asked += 1
    assert asked > 200


def test_a_field_that_nobody_knows_is_refused(attacked: Attacked) -> None:
    for method, path, _, example in attacked.with_body:
        for field in ("role2", "organization", "__proto__", "id; DROP TABLE users", "a.b", "\u202e", ""):
            reply = attacked.ask(method, attacked.fill(path), json={**example, field: "x"})

            attacked.is_refused(reply, path, 400, 422)


@pytest.mark.parametrize("text", NEVER)
def test_text_that_no_database_can_keep_is_refused_in_every_field(attacked: Attacked, text: str) -> None:
    for method, path, schema, example in attacked.with_body:
        fields = list(attacked.properties(schema))
        for field in fields[:8]:
            content = json.dumps({**example, field: NEVER[text]}).encode()
            headers = {"Content-Type": "application/json"}

            reply = attacked.ask(method, attacked.fill(path), content=content, headers=headers)

            attacked.is_refused(reply, path, 400)


@pytest.mark.parametrize("text", TEXTS)
def test_an_id_that_is_an_attack_is_an_id_that_is_not_there(attacked: Attacked, text: str) -> None:
    quoted = "".join(f"%{byte:02X}" for byte in TEXTS[text].encode()[:4000])
    for method, path in attacked.api:
        if "{" not in path:
            continue
        start, _, rest = path.partition("{")
        body = {"enabled": False} if path.endswith("/toggle") else {}

        reply = attacked.ask(method, start + quoted + rest.partition("}")[2], json=body)

        attacked.is_refused(reply, path, 404, 405, 400, *((409,) if path.startswith("/v1/locks") else ()))


@pytest.mark.parametrize("text", [*TEXTS, "nul"])
def test_a_question_that_is_an_attack_changes_nothing(attacked: Attacked, text: str) -> None:
    value = {**TEXTS, "nul": "a\0b"}[text]
    for method, path in attacked.api:
        operation = attacked.document["paths"][path][method.lower()]
        for each in operation["parameters"]:
            if each["in"] == "query" and method == "GET":
                reply = attacked.ask(method, path, params={each["name"]: value})

                assert reply.status_code in (200, 400, 422), (path, each["name"], reply.status_code)
                if reply.status_code != 200:
                    attacked.is_refused(reply, path, 400, 422)


@pytest.mark.parametrize(
    "header", ["If-Match", "Idempotency-Key", "X-Fencing-Token", "Prefer", "User-Agent", "baggage"]
)
def test_a_header_that_is_an_attack_is_refused_or_is_text(attacked: Attacked, header: str) -> None:
    """A refusal comes first everywhere, so that what is taken for text has nothing to change."""
    for value in (b"' OR 1=1 --", b"<script>", b"\xff\xfe", b"x" * 3000, b'"', b"*,*", b"=1", b"a=99999999999999999"):
        for method, path in attacked.mutating:
            body = {"enabled": False} if path.endswith("/toggle") else {}
            headers = [(header.encode(), value), (b"Authorization", f"Bearer {attacked.tokens['admin']}".encode())]
            target = path.replace("{policy_id}", "nobody").replace("{finding_id}", "nobody")
            if "nobody" not in target:
                continue
            reply = attacked.client.request(method, target, json=body, headers=headers)

            attacked.is_refused(reply, path, 400, 404, 412, 422)


def test_the_page_lets_nobody_in_who_is_not_logged_in(attacked: Attacked) -> None:
    pages = [route for route in attacked.routes if route not in attacked.api and "{name:path}" not in route[1]]
    assert len(pages) > 20
    for method, path in pages:
        if path in ("/openapi.json", "/login"):
            continue
        for headers in ({}, {"Cookie": "session=wrong; reconciler_session=wrong"}, {"Authorization": "Bearer wrong"}):
            target = attacked.fill(path).replace("{system}", "neosc").replace("{verb}", "resolve")

            reply = attacked.ask(method, target.replace("{session_id}", "x"), None, headers=headers)

            assert reply.status_code in (303, 401, 403, 404, 405), (method, path, reply.status_code)
            assert "pol-mfa-required" not in reply.text or "/login" in reply.headers.get("location", "")


@pytest.mark.parametrize("name", HOSTILE)
def test_a_form_that_cannot_be_read_breaks_nothing(attacked: Attacked, name: str) -> None:
    _, content, _ = HOSTILE[name]
    for method, path in attacked.routes:
        if method == "POST" and (method, path) not in attacked.api:
            kind = {"Content-Type": "application/x-www-form-urlencoded"}
            target = attacked.fill(path).replace("{system}", "neosc").replace("{verb}", "resolve")

            reply = attacked.ask(method, target.replace("{session_id}", "x"), None, content=content, headers=kind)

            assert 300 <= reply.status_code < 500, (path, reply.status_code)


@pytest.mark.parametrize("text", TEXTS)
def test_text_that_is_an_attack_is_refused_or_kept_as_it_is(another: Attacked, text: str) -> None:
    """SQL and markup are text like any other: where text may stand, it comes back letter by letter."""
    tables = set(another.dump())
    for method, path, schema, example in another.with_body:
        if path in (LOGIN, "/v1/admin/tokens") or path.startswith("/v1/evaluate"):
            continue
        for field, wanted in list(another.properties(schema).items()):
            value: Any = TEXTS[text]
            body = {**example, field: value}
            if "name" in example and field != "name":
                body["name"] = f"{text} in {field}"
            if "id" in example and field != "id":
                body["id"] = f"{text}-{field}".replace(" ", "-").replace("_", "-")

            reply = another.ask(method, another.fill(path), json=body)

            if another.check(wanted, value) and reply.status_code in (200, 201):
                shown = reply.json().get("policy", reply.json().get("lock", reply.json()))
                assert shown.get(field, value) == value, (path, field)
            else:
                another.is_refused(reply, path, 400, 404, 409, 422)
    assert set(another.dump()) == tables
    assert another.ask("GET", "/api/policies").status_code == 200
