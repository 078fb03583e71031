"""A JSON Schema as plain functions: whether a value fits, in a few microseconds, and nothing about why not.

jsonschema keeps the last word: what does not pass here goes to it for verdict and sentence (performance.md 3), so that
it need not even be imported where every file is valid. A schema with a keyword this module does not know has no gate.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from reconciler.core.keywords import (
    Test,
    UnknownError,
    always,
    either,
    join,
    never,
    test_const,
    test_dialect,
    test_enum,
    test_exclusive_maximum,
    test_exclusive_minimum,
    test_format,
    test_max_length,
    test_maximum,
    test_min_length,
    test_minimum,
    test_pattern,
    test_text,
    test_type,
)
from reconciler.core.patterns import compile_pattern

_SILENT_WORDS: Final = (
    "$id $comment $defs title description default deprecated readOnly writeOnly examples then else "
    "minContains maxContains"
)
#: They say nothing about a value. Keywords that begin with `x-` are our own and do not either.
_SILENT: Final = frozenset(_SILENT_WORDS.split())


class _Unsure(Exception):
    """Only jsonschema can tell for this value."""


def make_gate(schema: Any, *, formats: bool = True) -> Callable[[Any], bool | None] | None:
    """Return what tells whether a value fits *schema*, as jsonschema would; None when the schema is beyond it.

    The function itself answers None for the rare value that only jsonschema can judge. A `$ref` is beyond it: the
    caller inlines.

    >>> gate = make_gate({"type": "object", "required": ["id"], "properties": {"id": {"type": "string"}}})
    >>> gate({"id": "a"}), gate({"id": 1}), gate({})
    (True, False, False)
    """
    try:
        test = _test(schema, formats)
    except (UnknownError, re.error):
        return None

    def judge(value: Any) -> bool | None:
        try:
            return test(value)
        except (_Unsure, RecursionError):
            return None

    return judge


def _test(schema: Any, formats: bool) -> Test:
    """Return one function that is true for just the values that fit."""
    if schema is True or schema == {}:
        return always
    if schema is False:
        return never
    if not isinstance(schema, Mapping):
        raise UnknownError
    tests: list[Test] = []
    kind = schema.get("type")
    whole = _WHOLE.get(kind) if isinstance(kind, str) else None
    made = frozenset[str]()
    if whole is not None:
        make_whole, made = whole
        tests.append(make_whole(schema, formats))
    for keyword in schema:
        make = _KEYWORDS.get(keyword)
        if keyword in made:
            continue
        if make is not None:
            test = make(schema[keyword], schema, formats)
            if test is not always:
                tests.append(test)
        elif not (keyword in _SILENT or keyword.startswith("x-") or keyword in _OF_OBJECTS or keyword in _OF_ARRAYS):
            raise UnknownError
    if kind != "object" and not _OF_OBJECTS.isdisjoint(schema):
        test_object = _object(schema, formats)
        tests.append(lambda value: not isinstance(value, dict) or test_object(value))
    if kind != "array" and not _OF_ARRAYS.isdisjoint(schema):
        test_array = _array(schema, formats)
        tests.append(lambda value: not isinstance(value, list) or test_array(value))
    return join(tests)


# ------------------------------------------------------------------------------------- several schemas


def _all_of(parts: Any, schema: Any, formats: bool) -> Test:
    return join([_test(part, formats) for part in parts])


def _any_of(parts: Any, schema: Any, formats: bool) -> Test:
    return either([_test(part, formats) for part in parts])


def _one_of(parts: Any, schema: Any, formats: bool) -> Test:
    tests = [_test(part, formats) for part in parts]
    return lambda value: sum(1 for test in tests if test(value)) == 1


def _not(part: Any, schema: Any, formats: bool) -> Test:
    test = _test(part, formats)
    return lambda value: not test(value)


def _if(part: Any, schema: Any, formats: bool) -> Test:
    test = _test(part, formats)
    then, other = _test(schema.get("then", True), formats), _test(schema.get("else", True), formats)
    return lambda value: then(value) if test(value) else other(value)


_KEYWORDS: Final[Mapping[str, Callable[[Any, Any, bool], Test]]] = {
    "$schema": test_dialect,
    "type": test_type,
    "const": test_const,
    "enum": test_enum,
    "allOf": _all_of,
    "anyOf": _any_of,
    "oneOf": _one_of,
    "not": _not,
    "if": _if,
    "minLength": test_min_length,
    "maxLength": test_max_length,
    "pattern": test_pattern,
    "format": test_format,
    "minimum": test_minimum,
    "maximum": test_maximum,
    "exclusiveMinimum": test_exclusive_minimum,
    "exclusiveMaximum": test_exclusive_maximum,
}


# ------------------------------------------------------------------------------------------------ mappings

_OBJECT_WORDS: Final = (
    "properties patternProperties additionalProperties propertyNames required dependentRequired dependentSchemas "
    "minProperties maxProperties"
)
_OF_OBJECTS: Final = frozenset(_OBJECT_WORDS.split())


def _object(schema: Mapping[str, Any], formats: bool) -> Test:
    """Return the test of a mapping; nothing else passes it."""
    properties = {name: _test(part, formats) for name, part in schema.get("properties", {}).items()}
    patterns = [
        (compile_pattern(pattern).search, _test(part, formats))
        for pattern, part in schema.get("patternProperties", {}).items()
    ]
    others = _test(schema.get("additionalProperties", True), formats)
    required = tuple(schema.get("required", ()))
    rules = _rules_between_keys(schema, formats)
    known = properties.get

    if patterns:
        rules = join([_entries(properties, patterns, others), *([] if rules is None else [rules])])

    def check(value: Any) -> bool:
        if not isinstance(value, dict):
            return False
        for name in required:
            if name not in value:
                return False
        if not patterns:
            for key, entry in value.items():
                if not known(key, others)(entry):
                    return False
        return rules is None or rules(value)

    return check


def _entries(
    properties: Mapping[str, Test], patterns: Sequence[tuple[Callable[[str], Any], Test]], others: Test
) -> Test:
    """Return the test of a mapping's entries where keys may match patterns, several of them at once."""

    def check(value: Mapping[str, Any]) -> bool:
        for key, entry in value.items():
            tests = [test for search, test in patterns if search(key) is not None]
            if key in properties:
                tests.append(properties[key])
            if not all(test(entry) for test in tests or (others,)):
                return False
        return True

    return check


def _rules_between_keys(schema: Mapping[str, Any], formats: bool) -> Test | None:
    """Return the test of the rarer keywords about a mapping as a whole; None when there are none."""
    tests: list[Test] = []
    if "minProperties" in schema:
        least = schema["minProperties"]
        tests.append(lambda value: len(value) >= least)
    if "maxProperties" in schema:
        most = schema["maxProperties"]
        tests.append(lambda value: len(value) <= most)
    if "propertyNames" in schema:
        name = _test(schema["propertyNames"], formats)
        tests.append(lambda value: all(map(name, value)))
    for key, needs in schema.get("dependentRequired", {}).items():
        tests.append(_needs(key, tuple(needs)))
    for key, part in schema.get("dependentSchemas", {}).items():
        tests.append(_fits_with(key, _test(part, formats)))
    return join(tests) if tests else None


def _needs(key: str, others: tuple[str, ...]) -> Test:
    return lambda value: key not in value or all(other in value for other in others)


def _fits_with(key: str, test: Test) -> Test:
    return lambda value: key not in value or test(value)


# --------------------------------------------------------------------------------------------------- lists

_ARRAY_WORDS: Final = "prefixItems items contains minItems maxItems uniqueItems"
_OF_ARRAYS: Final = frozenset(_ARRAY_WORDS.split())


def _array(schema: Mapping[str, Any], formats: bool) -> Test:
    """Return the test of a list; nothing else passes it."""
    prefix = tuple(_test(part, formats) for part in schema.get("prefixItems", ()))
    rest = _test(schema.get("items", True), formats)
    least, most = schema.get("minItems", 0), schema.get("maxItems")
    distinct = bool(schema.get("uniqueItems"))
    contains = _test(schema["contains"], formats) if "contains" in schema else None
    fewest, greatest = schema.get("minContains", 1), schema.get("maxContains")

    def check(value: Any) -> bool:
        if not isinstance(value, list):
            return False
        if len(value) < least or (most is not None and len(value) > most):
            return False
        for test, entry in zip(prefix, value, strict=False):
            if not test(entry):
                return False
        if rest is not always:
            for entry in value[len(prefix) :] if prefix else value:
                if not rest(entry):
                    return False
        if contains is not None:
            found = sum(1 for entry in value if contains(entry))
            if found < fewest or (greatest is not None and found > greatest):
                return False
        return not distinct or _is_distinct(value)

    return check


def _is_distinct(value: list[Any]) -> bool:
    """Whether no two texts are equal; a list of anything else is left to jsonschema."""
    if not all(isinstance(entry, str) for entry in value):
        raise _Unsure
    return len(set(value)) == len(value)


#: Types whose commonest keywords make one function together, with those keywords.
_WHOLE: Final[Mapping[str, tuple[Callable[[Mapping[str, Any], bool], Test], frozenset[str]]]] = {
    "string": (test_text, frozenset(("type", "minLength", "maxLength", "pattern", "format"))),
    "object": (_object, _OF_OBJECTS | {"type"}),
    "array": (_array, _OF_ARRAYS | {"type"}),
}
