"""`/openapi.json` says what the server has: no route is missing, none is made up, and real replies are as it says."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import httpx
import jsonschema
import pytest

from reconciler.server.app import create_app
from reconciler.server.openapi.document import TABLES, make_document, names_of
from reconciler.server.options import ServerOptions
from reconciler.server.store import open_store
from tests.support.servers import RunningServer, reference_server


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    with reference_server(neosc_crud=True) as running:
        yield running


@pytest.fixture(scope="module")
def document(server: RunningServer) -> Any:
    return httpx.get(f"{server.url}/openapi.json", trust_env=False).json()


def operations(document: Any) -> list[tuple[str, str, Any]]:
    return [
        (method.upper(), path, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]


def refs(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for item in value.values():
            yield from refs(item)
    elif isinstance(value, list):
        for item in value:
            yield from refs(item)


def check(document: Any, schema: Any, value: Any) -> None:
    """Raise unless *value* is what *schema*, with the document's own references, says."""
    whole = {**schema, "components": document["components"]}
    jsonschema.Draft202012Validator(whole).validate(value)


def test_every_route_of_the_api_has_a_row_and_every_row_a_route() -> None:
    store = open_store()
    routes = create_app(store, ServerOptions(neosc_crud=True)).state.routes
    store.close()

    rows = [name for table in TABLES.values() for name in table]

    assert sorted(names_of(routes)) == sorted(rows)
    assert len(rows) == len(set(rows))


def test_a_server_without_the_announced_calls_does_not_describe_them() -> None:
    store = open_store()
    described = make_document(create_app(store, ServerOptions()).state.routes)
    store.close()

    assert list(described["paths"]["/api/policies"]) == ["get"]
    assert list(described["paths"]["/api/policies/{policy_id}"]) == ["patch"]


def test_every_schema_is_one_and_every_reference_leads_somewhere(document: Any) -> None:
    for schema in document["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)

    for found in set(refs(document)):
        name = found.removeprefix("#/components/schemas/")
        assert name in document["components"]["schemas"]
    assert {found.rsplit("/", 1)[1] for found in refs(document)} == set(document["components"]["schemas"])


def test_every_operation_says_who_may_what_is_sent_and_what_may_go_wrong(document: Any) -> None:
    for method, path, operation in operations(document):
        responses = operation["responses"]
        open_to_all = path == "/api/auth/login"
        assert ("security" in operation) is not open_to_all
        assert {"401", "429"} <= responses.keys()
        assert ("403" in responses) is not open_to_all
        assert re.findall(r"\{(\w+)\}", path) == [
            each["name"] for each in operation["parameters"] if each["in"] == "path"
        ]
        assert any(status.startswith("2") for status in responses)
        if method in ("POST", "PUT") or path.endswith("/toggle"):
            [content] = operation["requestBody"]["content"].values()
            assert {"400", "413", "415"} <= responses.keys()
            check(document, content["schema"], content["examples"]["documented"]["value"])
    ids = [operation["operationId"] for _, _, operation in operations(document)]
    assert len(ids) == len(set(ids))


def test_the_documented_examples_are_accepted_and_answered_as_described(server: RunningServer, document: Any) -> None:
    headers = {"Authorization": f"Bearer {server.token}"}
    with httpx.Client(base_url=server.url, headers=headers, trust_env=False) as client:
        made: dict[str, str] = {"{name}": "prod"}
        for method, path, operation in sorted(operations(document), key=lambda each: each[1].count("/")):
            if method != "POST" or "{" in path or path == "/api/auth/login":
                continue
            [content] = operation["requestBody"]["content"].values()
            reply = client.request(method, path, json=content["examples"]["documented"]["value"])
            good = next(each for status, each in operation["responses"].items() if status == str(reply.status_code))
            [shown] = good["content"].values()
            check(document, shown["schema"], reply.json())
            made[path] = str(reply.json().get("policy", reply.json()).get("id", ""))

        for method, path, operation in operations(document):
            if method != "GET" or "{" in path or path.endswith(("/stream", "/export")):
                continue
            reply = client.request(method, path)
            [shown] = operation["responses"]["200"]["content"].values()
            assert reply.status_code == 200, path
            check(document, shown["schema"], reply.json())
    assert made["/api/policies"] == "pol-geo-restriction"


def test_the_document_is_for_everybody_and_holds_no_secret(server: RunningServer) -> None:
    reply = httpx.get(f"{server.url}/openapi.json", trust_env=False)

    assert reply.status_code == 200
    assert reply.headers["content-type"] == "application/json"
    assert server.token not in reply.text
