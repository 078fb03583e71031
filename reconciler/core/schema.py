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
from typing import Any, Final, TypeAlias

from jsonschema import Draft202012Validator, FormatChecker
from jsonschema.exceptions import ValidationError
from jsonschema.protocols import Validator
from jsonschema.validators import extend
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from reconciler.core.documents import Document, make_problem
from reconciler.core.formats import FORMATS, Flaw
from reconciler.core.model import Body, Json, Problem, Severity
from reconciler.core.patterns import compile_pattern
from reconciler.core.violations import Failure, Violation, as_policy_type, empty_windows, escape, exists, violations_of
from reconciler.errors import ConfigError

Schema: TypeAlias = "Mapping[str, Any]"

#: More than this of one document help nobody, and finding near names for each takes time.
MOST_VIOLATIONS: Final = 100
SUFFIX: Final = ".schema.json"
_ANY: Final = ""

_VALIDATION_VOCABULARY: Final = "https://json-schema.org/draft/2020-12/vocab/validation"
#: Of JSON Schema Validation, section 6.
_VALIDATION_WORDS: Final = (
    "type const enum multipleOf maximum exclusiveMaximum minimum exclusiveMinimum maxLength minLength pattern "
    "maxItems minItems uniqueItems maxContains minContains maxProperties minProperties required dependentRequired"
)
_VALIDATION_KEYWORDS: Final = frozenset(_VALIDATION_WORDS.split())


# ---------------------------------------------------------------------------------------------- validators


class _FlawError(Exception):
    def __init__(self, flaw: Flaw) -> None:
        super().__init__(flaw.what)
        self.flaw = flaw


def _format_checker() -> FormatChecker:
    checker = FormatChecker(formats=())
    for name, check in FORMATS.items():
        checker.checks(name, raises=_FlawError)(_raising(check))
    return checker


def _raising(check: Callable[[str], Flaw | None]) -> Callable[[object], bool]:
    def run(value: object) -> bool:
        if isinstance(value, str) and (flaw := check(value)) is not None:
            raise _FlawError(flaw)
        return True

    return run


def _pattern(validator: Any, pattern: str, value: Any, schema: Any) -> Iterator[ValidationError]:
    if isinstance(value, str) and compile_pattern(pattern).search(value) is None:
        yield ValidationError("does not match")


def _pattern_properties(validator: Any, patterns: Any, value: Any, schema: Any) -> Iterator[ValidationError]:
    if not isinstance(value, dict):
        return
    for pattern, subschema in patterns.items():
        compiled = compile_pattern(pattern)
        for key, entry in value.items():
            if compiled.search(key) is not None:
                yield from validator.descend(entry, subschema, path=key, schema_path=pattern)


_FORMAT_CHECKER: Final = _format_checker()
_PATTERNS: Final = {"pattern": _pattern, "patternProperties": _pattern_properties}
_Validator: Any = extend(Draft202012Validator, _PATTERNS)  # type: ignore[no-untyped-call]
_WithoutValidation: Any = extend(Draft202012Validator, _PATTERNS)  # type: ignore[no-untyped-call]
_WithoutValidation.VALIDATORS = {
    name: check for name, check in _Validator.VALIDATORS.items() if name not in _VALIDATION_KEYWORDS
}


def make_validator(
    schema: Schema | bool, resources: Mapping[str, Schema | bool] | None = None, *, formats: bool = True
) -> Validator:
    """Return a validator of draft 2020-12 that knows *resources* (by address) and the metaschemas, and nothing else.

    A `$ref` to anything else raises when it is reached; no request is ever made (reliability.md D8). A metaschema among
    *resources* that leaves out the validation vocabulary switches its keywords off.
    """
    known = dict(resources or {})
    registry: Registry[Any] = Registry().with_resources(
        (address, Resource.from_contents(contents, default_specification=DRAFT202012))
        for address, contents in known.items()
    )
    dialect = known.get(schema.get("$schema", "")) if isinstance(schema, Mapping) else None
    vocabulary = dialect.get("$vocabulary") if isinstance(dialect, Mapping) else None
    checks = not isinstance(vocabulary, Mapping) or _VALIDATION_VOCABULARY in vocabulary
    base = _Validator if checks else _WithoutValidation
    validator: Validator = base(schema, registry=registry, format_checker=_FORMAT_CHECKER if formats else None)
    return validator


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

    rules: tuple[tuple[Validator, Mapping[str, str]], ...]
    properties: Mapping[str, _Warner]
    items: _Warner | None
    others: _Warner | None

    def walk(self, value: Json, pointer: str) -> Iterator[Violation]:
        for validator, rule in self.rules:
            if validator.is_valid(value):
                yield Violation(
                    rule["code"],
                    rule["message"],
                    pointer + rule.get("at", ""),
                    fix=rule.get("fix"),
                    severity=Severity.WARNING,
                )
        if isinstance(value, dict):
            for key, entry in value.items():
                deeper = self.properties.get(key, self.others)
                if deeper is not None:
                    yield from deeper.walk(entry, f"{pointer}/{escape(key)}")
        elif isinstance(value, list) and self.items is not None:
            for index, entry in enumerate(value):
                yield from self.items.walk(entry, f"{pointer}/{index}")


def _make_warner(schema: Any) -> _Warner | None:
    if not isinstance(schema, dict):
        return None
    rules = tuple((make_validator(rule["if"]), rule) for rule in schema.get("x-warnings", ()))
    properties = {
        name: warner
        for name, entry in schema.get("properties", {}).items()
        if (warner := _make_warner(entry)) is not None
    }
    items, others = _make_warner(schema.get("items")), _make_warner(schema.get("additionalProperties"))
    if not rules and not properties and items is None and others is None:
        return None
    return _Warner(rules, properties, items, others)


@dataclass(frozen=True, slots=True)
class _Compiled:
    """One inlined schema, ready to judge."""

    schema: Schema
    validator: Validator
    warner: _Warner | None
    hints: Mapping[str, str]

    def violations(self, value: Json) -> tuple[Violation, ...]:
        failures = [_failure(error) for error in islice(self.validator.iter_errors(value), MOST_VIOLATIONS)]
        found = list(violations_of(failures, self.hints)) if failures else []
        judged = {violation.pointer for violation in found}
        found.extend(violation for violation in empty_windows(value, "") if violation.pointer not in judged)
        if self.warner is not None:
            found.extend(self.warner.walk(value, ""))
        return tuple(dict.fromkeys(found))[:MOST_VIOLATIONS]


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
        schema = self.raw[f"{provider}.policy"]
        known = isinstance(type_name, str) and type_name in self.policy_types(provider)
        chosen = str(type_name) if known else _ANY
        return self._compiled(f"{provider}.policy", chosen, lambda: schema["$defs"][chosen or schema["x-any"]])

    def _compiled(self, name: str, part: str, pick: Callable[[], Schema]) -> _Compiled:
        made = self._made.get((name, part))
        if made is None:
            root = self.raw[name]
            inlined: Schema = _inline(dict(pick()), root)
            resources = {str(schema["$id"]): schema for schema in self.raw.values()}
            hints = root.get("x-hints", {})
            made = _Compiled(inlined, make_validator(inlined, resources), _make_warner(inlined), hints)
            self._made[(name, part)] = made
        return made

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


def _failure(error: ValidationError) -> Failure:
    return Failure(
        keyword=str(error.validator),
        wanted=error.validator_value,
        schema=error.schema if isinstance(error.schema, Mapping) else {},
        value=error.instance,
        pointer="".join("/" + escape(str(token)) for token in error.absolute_path),
        is_key="propertyNames" in error.absolute_schema_path,
    )
