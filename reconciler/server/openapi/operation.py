"""One row of the tables: a route in words and schemas. What every route has in common is added by `document.py`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

Schema: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Operation:
    """A route. `errors` are the statuses beyond those that follow from the rest:

    every route has 400, one that wants a token 401, 403 and 429, one with a `body` 408, 413 and 415 (NeoSC's also 422),
    one with `query` NeoSC's 422; one under `conditions` takes If-Match, Idempotency-Key and X-Fencing-Token (a must
    where `fenced`), and has 412 and 422 for them. `tagged` replies have an ETag, `listed` ones a count.
    """

    summary: str
    reply: Schema
    status: int = 200
    media: tuple[str, ...] = ("application/json",)
    body: Schema | None = None
    body_required: bool = True
    example: Any = None
    query: tuple[Schema, ...] = ()
    errors: tuple[int, ...] = ()
    conditions: bool = False
    tagged: bool = False
    fenced: bool = False
    secured: bool = True
    listed: bool = False


def parameter(name: str, schema: Schema, description: str) -> Schema:
    """A parameter of the query; the server refuses one that stands twice."""
    return {"name": name, "in": "query", "required": False, "description": description, "schema": schema}


LIMIT = parameter("limit", {"type": "integer", "minimum": 1, "maximum": 1000}, "At most so many; without it, all.")
CURSOR = parameter(
    "cursor", {"type": "string", "pattern": "^[A-Za-z0-9_-]{1,64}$"}, "Go on where X-Next-Cursor of the last part says."
)
ETAGS = parameter("etags", {"type": "string", "enum": ["true", "false"]}, "Show the ETag of every policy as `etag`.")
INSTANT: Schema = {
    "type": "string",
    "pattern": "^(19|20)[0-9]{2}-(0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])(T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]Z)?$",
}


def ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def record(required: Mapping[str, Schema], optional: Mapping[str, Schema] | None = None) -> Schema:
    """An object with these keys and no others."""
    properties = {**required, **(optional or {})}
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }


def text(limit: int | None = None, *, empty: bool = True) -> Schema:
    """Text without NUL, as `bodies.text` takes it; without *limit* it is as long as a body may be."""
    least = {} if empty else {"minLength": 1}
    most = {} if limit is None else {"maxLength": limit}
    return {"type": "string", **least, **most, "pattern": "^[^\\u0000]*$"}


def choice(*values: str) -> Schema:
    return {"type": "string", "enum": list(values)}


def nullable(schema: Schema) -> Schema:
    """The same, or null."""
    return {"anyOf": [schema, {"type": "null"}]}


def items(schema: Schema) -> Schema:
    return {"type": "array", "items": schema}


STRING: Schema = {"type": "string"}
BOOLEAN: Schema = {"type": "boolean"}
COUNT: Schema = {"type": "integer", "minimum": 0}
TIME: Schema = {"type": "string", "examples": ["2026-03-05T14:30:00.000Z"]}
EMPTY: Schema = {"type": "object"}
