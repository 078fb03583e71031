"""jsonschema, set up once: draft 2020-12, our formats, patterns as ECMA-262 means them, and no address ever fetched.

Imported when something is to be refused: what `gate.py` accepts needs none of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, TypeAlias

from jsonschema import Draft202012Validator, FormatChecker
from jsonschema.exceptions import ValidationError
from jsonschema.protocols import Validator
from jsonschema.validators import extend
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from reconciler.core.formats import FORMATS, Flaw
from reconciler.core.patterns import compile_pattern
from reconciler.core.violations import Failure, escape

Schema: TypeAlias = "Mapping[str, Any]"

_VALIDATION_VOCABULARY: Final = "https://json-schema.org/draft/2020-12/vocab/validation"
#: Of JSON Schema Validation, section 6.
_VALIDATION_WORDS: Final = (
    "type const enum multipleOf maximum exclusiveMaximum minimum exclusiveMinimum maxLength minLength pattern "
    "maxItems minItems uniqueItems maxContains minContains maxProperties minProperties required dependentRequired"
)
_VALIDATION_KEYWORDS: Final = frozenset(_VALIDATION_WORDS.split())


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


def failure_of(error: ValidationError) -> Failure:
    """Return what `violations.py` makes sentences of."""
    return Failure(
        keyword=str(error.validator),
        wanted=error.validator_value,
        schema=error.schema if isinstance(error.schema, Mapping) else {},
        value=error.instance,
        pointer="".join("/" + escape(str(token)) for token in error.absolute_path),
        is_key="propertyNames" in error.absolute_schema_path,
    )
