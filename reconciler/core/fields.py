"""Every field that a file may have, read off the schemas: its path, meaning, what it takes, which way it protects.

A path is dotted: `conditions.max_requests_per_hour`; `[]` stands for an entry of a list, `<name>` for a key that people
choose.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from reconciler.core.schema import Schemas

#: Schemas of files that people write, beside the policies; the file each is for.
FILES: Final[Mapping[str, str]] = {
    "reconciler": "reconciler.yaml",
    "overrides": "overrides.yaml",
    "settings": "settings.yaml",
}

_TYPES: Final[Mapping[str, str]] = {
    "string": "text",
    "integer": "whole number",
    "number": "number",
    "boolean": "true or false",
    "array": "list",
    "object": "mapping",
    "null": "null",
}
_DIRECTIONS: Final[Mapping[str, str]] = {
    "lower-tightens": "a lower value tightens, a higher one weakens",
    "higher-tightens": "a higher value tightens, a lower one weakens",
    "true-tightens": "true tightens, false weakens",
    "false-tightens": "false tightens, true weakens",
    "growing-tightens": "more entries tighten, fewer weaken",
    "growing-loosens": "more entries weaken, fewer tighten",
    "pointwise": "each entry goes by its own schema",
    "neutral": "none: protection is the same either way",
    "unknown": "nobody can tell from this key alone, so it counts as weakening",
}
#: 2^53: the schemas' "as large as you like".
_NO_LIMIT: Final = 9007199254740992


@dataclass(frozen=True, slots=True)
class FieldPage:
    """What one field of one kind of file means.

    `file` is a provider's policy (`opena2a policy`) or a file's name; `types` are the policy types that have the field,
    empty when all have it. `default` and `examples` are JSON texts; no default is None.
    """

    path: str
    file: str
    types: tuple[str, ...]
    description: str
    takes: str
    direction: str
    default: str | None
    examples: tuple[str, ...]

    @property
    def last(self) -> str:
        """The field's own key."""
        return self.path.rsplit(".", 1)[-1].removesuffix("[]")


def field_pages(schemas: Schemas) -> tuple[FieldPage, ...]:
    """Return every field, policies first, in the order of the schemas; equal ones of several types are one."""
    pages: list[FieldPage] = []
    for provider in schemas.providers:
        pages += _of_policies(schemas, provider)
    for name, file in FILES.items():
        if name in schemas.raw:
            pages += [_page(path, file, (), node) for path, node in _walk(schemas.whole_schema(name), "")]
    return tuple(pages)


def find_fields(pages: tuple[FieldPage, ...], word: str) -> tuple[FieldPage, ...]:
    """Return the fields that *word* names: by whole path (`a.b` or `/a/b`), else by the end of a path.

    >>> from reconciler.core.schema import load_schemas
    >>> [page.path for page in find_fields(field_pages(load_schemas()), "max_deletes")]
    ['targets.<name>.max_deletes']
    """
    wanted = [part.removesuffix("[]") for part in word.strip("/").replace("/", ".").split(".")]
    whole = tuple(page for page in pages if _fits(_parts(page), wanted))
    if whole:
        return whole
    return tuple(page for page in pages if _fits(_parts(page)[-len(wanted) :], wanted))


def _parts(page: FieldPage) -> list[str]:
    return [part.removesuffix("[]") for part in page.path.split(".")]


def _fits(parts: list[str], wanted: list[str]) -> bool:
    if len(parts) != len(wanted):
        return False
    return all(part == word or (part.startswith("<") and word) for part, word in zip(parts, wanted, strict=True)) and (
        not parts[-1].startswith("<") or len(parts) > 1
    )


# ------------------------------------------------------------------------------------------------ reading schemas


def _of_policies(schemas: Schemas, provider: str) -> Iterator[FieldPage]:
    types = schemas.policy_types(provider)
    found: dict[FieldPage, list[str]] = {}
    for name in types:
        for path, node in _walk(schemas.policy_schema(provider, name), ""):
            found.setdefault(_page(path, f"{provider} policy", (), node), []).append(name)
    for page, having in found.items():
        yield replace(page, types=() if len(having) == len(types) else tuple(having))


def _walk(schema: Mapping[str, Any], path: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield every described value below *schema*, parents first."""
    for name, node in schema.get("properties", {}).items():
        if isinstance(node, Mapping):
            yield from _node(node, f"{path}.{name}" if path else name)
    others = schema.get("additionalProperties")
    if isinstance(others, Mapping) and others:
        yield from _node(others, f"{path}.<name>" if path else "<name>")
    items = schema.get("items")
    if isinstance(items, Mapping):
        yield from _walk(items, f"{path}[]")


def _node(node: Mapping[str, Any], path: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    if "description" in node:
        yield path, node
    yield from _walk(node, path)


def _page(path: str, file: str, types: tuple[str, ...], node: Mapping[str, Any]) -> FieldPage:
    return FieldPage(
        path=path,
        file=file,
        types=types,
        description=node["description"] + _alias(node),
        takes=_takes(node),
        direction=_direction(node),
        default=json.dumps(node["default"]) if node.get("default") is not None else None,
        examples=tuple(json.dumps(example, ensure_ascii=False) for example in node.get("examples", ())),
    )


def _alias(node: Mapping[str, Any]) -> str:
    """Whose other spelling this is, unless the description says it."""
    text = f"Another spelling of {node.get('x-alias-of')}"
    return f" {text}." if "x-alias-of" in node and text not in node["description"] else ""


def _takes(node: Mapping[str, Any]) -> str:
    """What a value may be, in words."""
    if "const" in node:
        return f"only {json.dumps(node['const'])}"
    if "enum" in node:
        return "one of: " + ", ".join(str(value) for value in node["enum"] if value is not None)
    given = node.get("type", [])
    names = [given] if isinstance(given, str) else list(given)
    words = " or ".join(_TYPES.get(name, name) for name in names) or "any value"
    if "array" in names and isinstance(node.get("items"), Mapping):
        words += f" of {_takes(node['items'])}"
    if node.get("x-list") == "ordered":
        words += ", in order"
    if isinstance(node.get("format"), str):
        words += f" ({node['format'].replace('-', ' ')})"
    return words + _limits(node)


def _limits(node: Mapping[str, Any]) -> str:
    low, high = node.get("minimum"), node.get("maximum")
    high = None if high == _NO_LIMIT else high
    if low is not None and high is not None:
        return f", {low} to {high}"
    if low is not None:
        return f", {low} or more"
    return f", at most {high}" if high is not None else ""


def _direction(node: Mapping[str, Any]) -> str:
    direction = node.get("x-direction")
    if isinstance(direction, Mapping):
        ranks = [" = ".join(map(str, rank)) if isinstance(rank, list) else str(rank) for rank in direction["order"]]
        return "from weakest to strictest: " + ", ".join(ranks)
    return _DIRECTIONS.get(str(direction), "") if direction is not None else ""
