"""A JSON Schema as plain functions: whether a value fits, in a few microseconds, and nothing about why not.

jsonschema keeps the last word: what does not pass here goes to it for verdict and sentence (performance.md 3), so that
it need not even be imported where every file is valid. A schema with a keyword this module does not know has no gate.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias

from reconciler.core.formats import FORMATS
from reconciler.core.patterns import compile_pattern

Test: TypeAlias = Callable[[Any], bool]

DRAFT: Final = "https://json-schema.org/draft/2020-12/schema"

_SILENT_WORDS: Final = (
    "$id $comment $defs title description default deprecated readOnly writeOnly examples then else "
    "minContains maxContains"
)
#: They say nothing about a value. Keywords that begin with `x-` are our own and do not either.
_SILENT: Final = frozenset(_SILENT_WORDS.split())


class _Unknown(Exception):
    """The schema says something that only jsonschema understands."""


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
    except (_Unknown, re.error):
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
        return _always
    if schema is False:
        return _never
    if not isinstance(schema, Mapping):
        raise _Unknown
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
            if test is not _always:
                tests.append(test)
        elif not (keyword in _SILENT or keyword.startswith("x-") or keyword in _OF_OBJECTS or keyword in _OF_ARRAYS):
            raise _Unknown
    if kind != "object" and not _OF_OBJECTS.isdisjoint(schema):
        test_object = _object(schema, formats)
        tests.append(lambda value: not isinstance(value, dict) or test_object(value))
    if kind != "array" and not _OF_ARRAYS.isdisjoint(schema):
        test_array = _array(schema, formats)
        tests.append(lambda value: not isinstance(value, list) or test_array(value))
    return _all(tests)


def _always(_: Any) -> bool:
    return True


def _never(_: Any) -> bool:
    return False


def _all(tests: list[Test]) -> Test:
    if not tests:
        return _always
    if len(tests) == 1:
        return tests[0]
    if len(tests) == 2:
        first, second = tests
        return lambda value: first(value) and second(value)
    if len(tests) == 3:
        one, two, three = tests
        return lambda value: one(value) and two(value) and three(value)
    many = tuple(tests)

    def check(value: Any) -> bool:
        for test in many:  # noqa: SIM110 - a generator costs as much as the tests
            if not test(value):
                return False
        return True

    return check


# --------------------------------------------------------------------------------------------- any value


def _is_integer(value: Any) -> bool:
    kind = value.__class__
    return (kind is not bool and isinstance(value, int)) or (kind is float and value.is_integer())


_TYPES: Final[Mapping[str, Test]] = {
    "string": lambda value: isinstance(value, str),
    "integer": _is_integer,
    "number": lambda value: isinstance(value, int | float) and value.__class__ is not bool,
    "boolean": lambda value: value is True or value is False,
    "array": lambda value: isinstance(value, list),
    "object": lambda value: isinstance(value, dict),
    "null": lambda value: value is None,
}


def _type(wanted: Any, schema: Any, formats: bool) -> Test:
    names = [wanted] if isinstance(wanted, str) else wanted
    if not all(isinstance(name, str) and name in _TYPES for name in names):
        raise _Unknown
    return _any([_TYPES[name] for name in names])


def _any(tests: list[Test]) -> Test:
    if len(tests) == 1:
        return tests[0]
    if len(tests) == 2:
        first, second = tests
        return lambda value: first(value) or second(value)
    many = tuple(tests)

    def check(value: Any) -> bool:
        for test in many:  # noqa: SIM110 - a generator costs as much as the tests
            if test(value):
                return True
        return False

    return check


def _dialect(address: Any, schema: Any, formats: bool) -> Test:
    if address != DRAFT:
        raise _Unknown
    return _always


def _const(wanted: Any, schema: Any, formats: bool) -> Test:
    return _enum([wanted], schema, formats)


def _enum(wanted: Any, schema: Any, formats: bool) -> Test:
    """`1` equals `1.0` and never `true`; lists and mappings among the choices are left to jsonschema."""
    if any(isinstance(choice, list | dict) for choice in wanted):
        raise _Unknown
    choices = frozenset(choice for choice in wanted if not isinstance(choice, bool))
    if all(isinstance(choice, str) for choice in wanted):
        return lambda value: isinstance(value, str) and value in choices
    truths = [choice for choice in wanted if isinstance(choice, bool)]

    def check(value: Any) -> bool:
        if value is True or value is False:
            return value in truths
        return not isinstance(value, list | dict) and value in choices

    return check


def _all_of(parts: Any, schema: Any, formats: bool) -> Test:
    return _all([_test(part, formats) for part in parts])


def _any_of(parts: Any, schema: Any, formats: bool) -> Test:
    return _any([_test(part, formats) for part in parts])


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


# --------------------------------------------------------------------------------------- text and numbers


def _min_length(bound: Any, schema: Any, formats: bool) -> Test:
    return lambda value: not isinstance(value, str) or len(value) >= bound


def _max_length(bound: Any, schema: Any, formats: bool) -> Test:
    return lambda value: not isinstance(value, str) or len(value) <= bound


def _pattern(pattern: Any, schema: Any, formats: bool) -> Test:
    search = compile_pattern(pattern).search
    return lambda value: not isinstance(value, str) or search(value) is not None


def _format(name: Any, schema: Any, formats: bool) -> Test:
    find_flaw = FORMATS.get(name) if formats else None
    if find_flaw is None:
        return _always
    return lambda value: not isinstance(value, str) or find_flaw(value) is None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and value.__class__ is not bool


# Each refuses as jsonschema does, by the opposite comparison: not-a-number, which no file can hold, passes all four.


def _minimum(bound: Any, schema: Any, formats: bool) -> Test:
    return lambda value: not _is_number(value) or not value < bound


def _maximum(bound: Any, schema: Any, formats: bool) -> Test:
    return lambda value: not _is_number(value) or not value > bound


def _exclusive_minimum(bound: Any, schema: Any, formats: bool) -> Test:
    return lambda value: not _is_number(value) or not value <= bound


def _exclusive_maximum(bound: Any, schema: Any, formats: bool) -> Test:
    return lambda value: not _is_number(value) or not value >= bound


_KEYWORDS: Final[Mapping[str, Callable[[Any, Any, bool], Test]]] = {
    "$schema": _dialect,
    "type": _type,
    "const": _const,
    "enum": _enum,
    "allOf": _all_of,
    "anyOf": _any_of,
    "oneOf": _one_of,
    "not": _not,
    "if": _if,
    "minLength": _min_length,
    "maxLength": _max_length,
    "pattern": _pattern,
    "format": _format,
    "minimum": _minimum,
    "maximum": _maximum,
    "exclusiveMinimum": _exclusive_minimum,
    "exclusiveMaximum": _exclusive_maximum,
}


def _text(schema: Mapping[str, Any], formats: bool) -> Test:
    """One function for what most values are: text of some length, perhaps of some form."""
    least, most = schema.get("minLength", 0), schema.get("maxLength", _ENDLESS)
    search = compile_pattern(schema["pattern"]).search if "pattern" in schema else None
    find_flaw = FORMATS.get(schema.get("format", "")) if formats else None
    if search is not None:
        if find_flaw is not None:
            return lambda value: (
                isinstance(value, str)
                and least <= len(value) <= most
                and search(value) is not None
                and find_flaw(value) is None
            )
        return lambda value: isinstance(value, str) and least <= len(value) <= most and search(value) is not None
    if find_flaw is not None:
        return lambda value: isinstance(value, str) and least <= len(value) <= most and find_flaw(value) is None
    return lambda value: isinstance(value, str) and least <= len(value) <= most


#: Longer than any text.
_ENDLESS: Final = 1 << 62


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
        rules = _all([_entries(properties, patterns, others), *([] if rules is None else [rules])])

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
    return _all(tests) if tests else None


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
        if rest is not _always:
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
    "string": (_text, frozenset(("type", "minLength", "maxLength", "pattern", "format"))),
    "object": (_object, _OF_OBJECTS | {"type"}),
    "array": (_array, _OF_ARRAYS | {"type"}),
}
