"""Documents × JSON Schema → problems: the verdict on every file, and the schema of one policy type for comparing.

The schemas ship with the package and are the only ones a `$ref` can reach: nothing here opens a connection. Which of a
provider's schemas a policy must fit is decided here, by its type, not by an `if` chain (performance.md 3). Sentences
are our own; jsonschema's repeat whole values. Keywords of our own are listed in `docs/schema-keywords.md`.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from reconciler.core.documents import Document, make_problem
from reconciler.core.gate import make_gate
from reconciler.core.model import Body, Json, Problem, Severity
from reconciler.core.violations import Violation, as_policy_type, empty_windows, escape, exists, violations_of
from reconciler.errors import ConfigError

if TYPE_CHECKING:
    from jsonschema.protocols import Validator

Schema: TypeAlias = "Mapping[str, Any]"

#: More than this of one document help nobody, and finding near names for each takes time.
MOST_VIOLATIONS: Final = 100
SUFFIX: Final = ".schema.json"
_ANY: Final = ""


def _inline(node: Any, root: Schema, trail: tuple[str, ...] = ()) -> Any:
    """Return *node* with every local `$ref` replaced by what it names; keys beside the `$ref` win."""
    if isinstance(node, list):
        return [_inline(entry, root, trail) for entry in node]
    if not isinstance(node, dict):
        return node
    target = node.get("$ref")
    if isinstance(target, str) and target.startswith("#/$defs/"):
        if target in trail:
            raise ConfigError(f"{target} refers to itself", where=str(root.get("$id")), fix="reinstall reconciler")
        name = target.removeprefix("#/$defs/")
        resolved = _inline(root["$defs"][name], root, (*trail, target))
        beside = {key: _inline(value, root, trail) for key, value in node.items() if key != "$ref"}
        return {**resolved, **beside}
    return {key: _inline(value, root, trail) for key, value in node.items() if key != "$defs"}


@dataclass(frozen=True, slots=True)
class _Warner:
    """The part of a schema that can warn: rules at this value, and the way to deeper ones."""

    rules: tuple[tuple[Callable[[Json], bool], Mapping[str, str]], ...]
    properties: Mapping[str, _Warner]
    items: _Warner | None
    others: _Warner | None

    def walk(self, value: Json, pointer: str, found: list[Violation]) -> None:
        """Append the warnings about *value* to *found*, in the order of its keys."""
        for fits, rule in self.rules:
            if fits(value):
                found.append(
                    Violation(
                        rule["code"],
                        rule["message"],
                        pointer + rule.get("at", ""),
                        fix=rule.get("fix"),
                        severity=Severity.WARNING,
                    )
                )
        if isinstance(value, dict):
            for key, entry in value.items():
                deeper = self.properties.get(key, self.others)
                if deeper is not None:
                    deeper.walk(entry, f"{pointer}/{escape(key)}", found)
        elif isinstance(value, list) and self.items is not None:
            for index, entry in enumerate(value):
                self.items.walk(entry, f"{pointer}/{index}", found)


def _make_warner(schema: Any) -> _Warner | None:
    if not isinstance(schema, dict):
        return None
    rules = tuple((_make_test(rule["if"]), rule) for rule in schema.get("x-warnings", ()))
    properties = {
        name: warner
        for name, entry in schema.get("properties", {}).items()
        if (warner := _make_warner(entry)) is not None
    }
    items, others = _make_warner(schema.get("items")), _make_warner(schema.get("additionalProperties"))
    if not rules and not properties and items is None and others is None:
        return None
    return _Warner(rules, properties, items, others)


def _make_test(schema: Schema) -> Callable[[Json], bool]:
    """Return what tells whether a value fits *schema*; jsonschema is asked only where the gate cannot tell."""
    gate = make_gate(schema)

    @cache
    def validator() -> Validator:
        from reconciler.core.judge import make_validator

        return make_validator(schema)

    def fits(value: Json) -> bool:
        verdict = gate(value) if gate is not None else None
        return validator().is_valid(value) if verdict is None else verdict

    return fits


@dataclass(frozen=True, slots=True)
class _Compiled:
    """One inlined schema, ready to judge: the gate accepts, jsonschema judges what the gate does not accept."""

    schema: Schema
    gate: Callable[[Json], bool | None] | None
    validator: Callable[[], Validator]
    warner: _Warner | None
    hints: Mapping[str, str]

    def violations(self, value: Json) -> tuple[Violation, ...]:
        found = [] if self.gate is not None and self.gate(value) else list(self._judge(value))
        judged = {violation.pointer for violation in found}
        found.extend(violation for violation in empty_windows(value, "") if violation.pointer not in judged)
        if self.warner is not None:
            self.warner.walk(value, "", found)
        return tuple(dict.fromkeys(found))[:MOST_VIOLATIONS]

    def _judge(self, value: Json) -> Iterator[Violation]:
        from reconciler.core.judge import failure_of

        errors = islice(self.validator().iter_errors(value), MOST_VIOLATIONS)
        return violations_of([failure_of(error) for error in errors], self.hints)


# ------------------------------------------------------------------------------------------------- schemas


@dataclass(frozen=True, slots=True)
class Schemas:
    """All schemas of the program, read once. Validators are made when first needed and kept."""

    raw: Mapping[str, Schema]
    _made: dict[tuple[str, str], _Compiled] = field(default_factory=dict, repr=False, compare=False)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(sorted(self.raw))

    @property
    def providers(self) -> tuple[str, ...]:
        """The providers that have a policy schema."""
        return tuple(name.removesuffix(".policy") for name in self.names if name.endswith(".policy"))

    def policy_types(self, provider: str) -> tuple[str, ...]:
        """The policy types of *provider* that have a schema of their own."""
        schema = self.raw[f"{provider}.policy"]
        return tuple(schema["properties"][schema["x-discriminator"]]["enum"])

    def policy_schema(self, provider: str, type_name: str | None) -> Schema:
        """Return the schema of one policy type with every `$ref` replaced, for comparing and judging risk.

        A type nobody knows (live policies may have one) gets the schema of what all types share.
        """
        return self._policy(provider, type_name).schema

    def whole_schema(self, name: str) -> Schema:
        """Return the schema *name* with every `$ref` of its own replaced, for explaining its fields."""
        return self._compiled(name, _ANY, lambda: self.raw[name]).schema

    def check_policy(self, provider: str, document: Document) -> tuple[Problem, ...]:
        """Return every problem of a policy file's document, errors and warnings, in the order of the file's keys.

        Dated exceptions are tried out: what a policy would be while one lasts must be a policy as well.
        """
        return _problems(document, self.violations_of_policy(provider, document.value))

    def violations_of_policy(self, provider: str, value: Mapping[str, Json]) -> tuple[Violation, ...]:
        """As `check_policy`, for a policy that has no document (the result of an overlay, for example)."""
        discriminator = self.raw[f"{provider}.policy"]["x-discriminator"]
        found = self._policy(provider, value.get(discriminator)).violations(dict(value))
        found = tuple(as_policy_type(violation, discriminator) for violation in found)
        if any(violation.severity is Severity.ERROR for violation in found):
            return found
        return found + tuple(self._violations_of_exceptions(provider, value))

    def check_config(self, document: Document) -> tuple[Problem, ...]:
        """Return every problem of `reconciler.yaml`."""
        return _problems(document, self.violations("reconciler", document.value))

    def check_overrides(self, document: Document) -> tuple[Problem, ...]:
        """Return every problem of `overrides.yaml`."""
        return _problems(document, self.violations("overrides", document.value))

    def check_settings(self, document: Document) -> tuple[Problem, ...]:
        """Return every problem of a target's `settings.yaml`."""
        return _problems(document, self.violations("settings", document.value))

    def violations(self, name: str, value: Json) -> tuple[Violation, ...]:
        """Return how *value* does not fit the schema *name* (`plan`, `run`, `reconciler` …)."""
        return self._compiled(name, _ANY, lambda: self.raw[name]).violations(value)

    def check(self, name: str, value: Json) -> tuple[Problem, ...]:
        """As `violations`, as problems of a file called *name* without places: for outputs."""
        return tuple(
            Problem(found.code, found.severity, found.message, name, pointer=found.pointer, fix=found.fix)
            for found in self.violations(name, value)
        )

    def _policy(self, provider: str, type_name: object) -> _Compiled:
        made = self._made.get((f"{provider}.policy", type_name)) if isinstance(type_name, str) else None
        if made is not None and type_name != _ANY:
            return made
        schema = self.raw[f"{provider}.policy"]
        known = isinstance(type_name, str) and type_name in self.policy_types(provider)
        chosen = str(type_name) if known else _ANY
        return self._compiled(f"{provider}.policy", chosen, lambda: schema["$defs"][chosen or schema["x-any"]])

    def _compiled(self, name: str, part: str, pick: Callable[[], Schema]) -> _Compiled:
        made = self._made.get((name, part))
        if made is None:
            root = self.raw[name]
            inlined: Schema = _inline(dict(pick()), root)
            validator = cache(lambda: self._validator(inlined))
            hints = root.get("x-hints", {})
            made = _Compiled(inlined, make_gate(inlined), validator, _make_warner(inlined), hints)
            self._made[(name, part)] = made
        return made

    def _validator(self, inlined: Schema) -> Validator:
        from reconciler.core.judge import make_validator

        return make_validator(inlined, {str(schema["$id"]): schema for schema in self.raw.values()})

    def _violations_of_exceptions(self, provider: str, value: Mapping[str, Json]) -> Iterator[Violation]:
        metadata = value.get("metadata")
        exceptions = metadata.get("exceptions") if isinstance(metadata, dict) else None
        if not isinstance(exceptions, list):
            return
        bare = {key: entry for key, entry in value.items() if key != "metadata"}
        for index, exception in enumerate(exceptions):
            patch = exception.get("set") if isinstance(exception, dict) else None
            if not isinstance(patch, dict):
                continue
            home = f"/metadata/exceptions/{index}/set"
            patched = merge_patch(bare, patch)
            if not isinstance(patched, dict):
                continue
            for found in self.violations_of_policy(provider, patched):
                if found.severity is not Severity.ERROR:
                    continue
                inside = exists(patch, found.pointer)
                yield replace(
                    found,
                    message=f"while this exception lasts, {found.message}",
                    pointer=home + found.pointer if inside else home,
                    key=found.key if inside else True,
                )


@cache
def load_schemas() -> Schemas:
    """Return the schemas that came with this program: those in the wheel, else those beside the checkout's package."""
    package = Path(__file__).resolve().parents[1]
    for folder in (package / "_schemas", package.parent / "schemas"):
        files = sorted(folder.glob("*" + SUFFIX))
        if files:
            return Schemas(
                {path.name.removesuffix(SUFFIX): json.loads(path.read_text(encoding="utf-8")) for path in files}
            )
    raise ConfigError("the JSON Schemas of the program are missing", where=str(package), fix="reinstall reconciler")


# ---------------------------------------------------------------------------------------------------- keys


def policy_key(provider: str, value: Body) -> str:
    """Return the key of a policy: neosc `id`; opena2a `metadata.key`, else `name`. Empty when it has none."""
    if provider == "neosc":
        found = value.get("id")
    else:
        metadata = value.get("metadata")
        found = metadata.get("key") if isinstance(metadata, dict) else None
        if found is None:
            found = value.get("name")
    return found if isinstance(found, str) else ""


def find_key_conflicts(provider: str, documents: Iterable[Document]) -> tuple[Problem, ...]:
    """Return a problem for each document whose key another one before it has, or has but for case or NFKC."""
    first: dict[str, tuple[Document, str]] = {}
    problems = []
    for document in sorted(documents, key=lambda document: (document.path, document.line)):
        key = policy_key(provider, document.value)
        if not key:
            continue
        folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", key).casefold())
        if folded in first:
            problems.append(_duplicate(provider, document, key, *first[folded]))
        else:
            first[folded] = (document, key)
    return tuple(problems)


def _duplicate(provider: str, document: Document, key: str, other: Document, other_key: str) -> Problem:
    place = other.place(_key_pointer(provider, other.value))
    line = place.line if place is not None and place.line is not None else other.line
    same = key == other_key
    problem = make_problem(
        document,
        "duplicate-policy",
        f'two policies have the key "{key}"'
        if same
        else f'the keys "{key}" and "{other_key}" differ only by case or by how characters are written',
        _key_pointer(provider, document.value),
        label=f"also in {other.path}:{line}",
        fix="give one of them another key, or delete one of the two",
        why="a key names one live policy",
    )
    if document.path != other.path or place is None or place.line is None or place.column is None:
        return problem
    return replace(problem, related=(*problem.related, (place.line, place.column, len(other_key), "the first one")))


def _key_pointer(provider: str, value: Body) -> str:
    if provider == "neosc":
        return "/id"
    metadata = value.get("metadata")
    return "/metadata/key" if isinstance(metadata, dict) and metadata.get("key") is not None else "/name"


def merge_patch(target: Json, patch: Json) -> Json:
    """Return *target* changed by *patch* as RFC 7396 says: objects merge, null removes, anything else replaces."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge_patch(merged.get(key), value)
    return merged


# ------------------------------------------------------------------------------------------------- helpers


def _problems(document: Document, violations: Iterable[Violation]) -> tuple[Problem, ...]:
    problems = [
        make_problem(
            document,
            found.code,
            found.message,
            found.pointer,
            key=found.key,
            severity=found.severity,
            label=found.label,
            fix=found.fix,
            allowed=found.allowed,
            why=found.why,
        )
        for found in violations
    ]
    return tuple(sorted(problems, key=lambda problem: problem.sort_key))
