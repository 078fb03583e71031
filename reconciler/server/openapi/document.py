"""The document itself, OpenAPI 3.1: the rows of the tables for the routes that this server has, and what all share."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any, Final

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from starlette.routing import BaseRoute, Route

from reconciler import __version__
from reconciler.server.openapi import enforcing, people, policies, records
from reconciler.server.openapi.operation import Operation, Schema, ref
from reconciler.server.replies import reply

PATH: Final = "/openapi.json"
TABLES: Final[Mapping[str, Mapping[str, Operation]]] = {
    "neosc": policies.NEOSC,
    "opena2a": policies.OPENA2A,
    "locks": policies.LOCKS,
    "trail": records.TRAIL,
    "enforcement": enforcing.ENFORCEMENT,
    "accounts": people.ACCOUNTS,
}
_METHODS: Final = ("GET", "POST", "PUT", "PATCH", "DELETE")
_SENTENCES: Final[Mapping[int, str]] = {
    400: "The request cannot be read, or a field of it is wrong.",
    401: "No token, or none that is known.",
    403: "The token's role or scope does not allow it.",
    404: "It is not there, or not this organization's.",
    408: "The body did not arrive in time.",
    409: "It is there already, or in a state that does not allow it.",
    412: "A condition of the request does not hold: something moved since it was read.",
    413: "The body is too large.",
    415: "The body is not application/json.",
    422: "A field is wrong, or the Idempotency-Key was used for another request.",
    429: "Too many requests; Retry-After says when to come again.",
    503: "Too many streams are open.",
}
_ID: Final[Schema] = {"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9._-]{0,60}$"}
_LOCK: Final[Schema] = {"type": "string", "pattern": "^[a-z0-9][a-z0-9-]{0,63}$"}
_CONDITIONS: Final[tuple[Schema, ...]] = (
    {
        "name": "If-Match",
        "in": "header",
        "required": False,
        "description": "ETags of which one must be the policy's, or *.",
        "schema": {"type": "string", "pattern": '^([*]|"[0-9a-f]{32}")$'},
        "example": "*",
    },
    {
        "name": "Idempotency-Key",
        "in": "header",
        "required": False,
        "description": "A request that is repeated under its key within 24 hours is answered as before, and done once.",
        "schema": {"type": "string", "pattern": "^[!-~]{1,255}$"},
        "example": "2026-03-05-run-17-change-3",
    },
    {
        "name": "X-Fencing-Token",
        "in": "header",
        "required": False,
        "description": "A lock and its token, prod=17; refused once somebody took the lock after us.",
        "schema": {"type": "string", "pattern": "^[a-z0-9][a-z0-9-]{0,63}=[1-9][0-9]{0,14}$"},
        "example": "prod=17",
    },
)
_ABSENT: Final[Schema] = {
    "name": "If-None-Match",
    "in": "header",
    "required": False,
    "description": "Make it only if it is not there: 412 instead of 409.",
    "schema": {"type": "string", "enum": ["*"]},
}
_WISH: Final[Schema] = {
    "name": "Prefer",
    "in": "header",
    "required": False,
    "description": "Set instead of flip; Preference-Applied in the reply says that it was done.",
    "schema": {"type": "string", "enum": ["set-enabled=true", "set-enabled=false"]},
}
_HEADERS: Final[Mapping[str, Schema]] = {
    "ETag": {"description": "The state of what is shown.", "schema": {"type": "string"}},
    "X-Total-Count": {"description": "How many there are in all.", "schema": {"type": "integer"}},
}
_LIST_TAG: Final = {"description": "With limit or cursor: the state of the whole list.", "schema": {"type": "string"}}
_NEXT: Final = {"description": "The cursor of the next part; absent at the end.", "schema": {"type": "string"}}

router = APIRouter()


@router.get(PATH)
def get_document(request: Request) -> JSONResponse:
    """For everybody: it says what the server can do, and nothing that is in it."""
    return reply(make_document(request.app.state.routes))


def is_documented(route: BaseRoute) -> bool:
    """Whether a route is the API's; the page's are not, and the document is not its own subject."""
    return isinstance(route, Route) and route.path.startswith(("/api/", "/v1/"))


def names_of(routes: Iterable[BaseRoute]) -> list[str]:
    """`METHOD /path` of every route that the document is about."""
    shown = [route for route in routes if isinstance(route, Route) and is_documented(route)]
    return [f"{method} {route.path}" for route in shown for method in sorted(route.methods or ()) if method in _METHODS]


def make_document(routes: Iterable[BaseRoute]) -> dict[str, Any]:
    """The document of a server with these routes."""
    paths: dict[str, dict[str, Any]] = {}
    known = _known()
    for name in names_of(routes):
        method, path = name.split(" ")
        if name in known:
            area, operation = known[name]
            paths.setdefault(path, {})[method.lower()] = _describe(area, method, path, operation)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "reconciler reference server",
            "version": __version__,
            "description": "NeoSC's API under /api, OpenA2A's under /v1; what both lack stands beside what they have.",
        },
        "paths": paths,
        "components": {
            "schemas": _schemas(),
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


@cache
def _known() -> Mapping[str, tuple[str, Operation]]:
    return {name: (area, operation) for area, table in TABLES.items() for name, operation in table.items()}


@cache
def _schemas() -> Mapping[str, Schema]:
    def error(key: str) -> Schema:
        return {"type": "object", "required": [key], "properties": {key: {"type": "string"}}}

    return {
        "NeoscError": error("detail"),
        "OpenA2AError": error("error"),
        **policies.SCHEMAS,
        **records.SCHEMAS,
        **enforcing.schemas(),
        **people.SCHEMAS,
    }


def _describe(area: str, method: str, path: str, operation: Operation) -> dict[str, Any]:
    is_neosc = path.startswith("/api/")
    words = re.sub("[^a-z0-9]+", "_", path.lower()).strip("_")
    found: dict[str, Any] = {
        "operationId": f"{method.lower()}_{words}",
        "tags": [area],
        "summary": operation.summary,
        "parameters": _parameters(method, path, operation),
        "responses": {
            str(operation.status): {
                "description": operation.summary,
                "headers": _headers(operation),
                "content": {media: {"schema": operation.reply} for media in operation.media},
            },
            **{
                str(status): {
                    "description": _SENTENCES[status],
                    "content": {"application/json": {"schema": ref("NeoscError" if is_neosc else "OpenA2AError")}},
                }
                for status in sorted(_errors(operation, is_neosc=is_neosc))
            },
        },
    }
    if operation.body is not None:
        content = {"schema": operation.body, "examples": {"documented": {"value": operation.example}}}
        found["requestBody"] = {"required": operation.body_required, "content": {"application/json": content}}
    if operation.secured:
        found["security"] = [{"token": []}]
    return found


def _parameters(method: str, path: str, operation: Operation) -> list[Schema]:
    named: list[Schema] = [
        {
            "name": name,
            "in": "path",
            "required": True,
            "schema": _LOCK if name == "name" else _ID,
        }
        for name in re.findall(r"\{(\w+)\}", path)
    ]
    conditions: list[Schema] = list(_CONDITIONS) if operation.conditions else []
    if operation.fenced:
        conditions = [{**each, "required": each["name"] == "X-Fencing-Token"} for each in conditions]
    if operation.fenced or not (operation.tagged or method == "DELETE"):
        conditions = [each for each in conditions if each["name"] != "If-Match"]
    elif method == "POST":
        conditions = [_ABSENT, *conditions[1:]]
    elif operation.reply == ref("NeoscToggled"):
        conditions.append(_WISH)
    return [*named, *operation.query, *conditions]


def _headers(operation: Operation) -> dict[str, Schema]:
    shown: dict[str, Schema] = {}
    if operation.tagged:
        shown["ETag"] = _HEADERS["ETag"]
    if operation.listed:
        shown["X-Total-Count"] = _HEADERS["X-Total-Count"]
        shown["X-Next-Cursor"] = _NEXT
        if "etags" in (each["name"] for each in operation.query):
            shown["ETag"] = _LIST_TAG
    return shown


def _errors(operation: Operation, *, is_neosc: bool) -> set[int]:
    """Every status but the good one that a route can answer, but for 500, which is a bug."""
    found = {400, *operation.errors}  # 400 everywhere: an address may hold a NUL
    if operation.secured:
        found |= {401, 403, 429}
    if operation.body is not None:
        found |= {408, 413, 415} | ({422} if is_neosc else set())
    if operation.query and is_neosc:
        found.add(422)
    if operation.conditions:
        found |= {412, 422}
    return found
