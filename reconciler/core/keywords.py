"""What a single keyword asks of a value, as a function that is true for just the values that fit.

The half of `gate.py` that needs no schema below the one it is about: kinds, choices, texts and numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

from reconciler.core.formats import FORMATS
from reconciler.core.patterns import compile_pattern

Test: TypeAlias = Callable[[Any], bool]

DRAFT: Final = "https://json-schema.org/draft/2020-12/schema"


class UnknownError(Exception):
    """The schema says something that only jsonschema understands."""


def always(_: Any) -> bool:
    return True


def never(_: Any) -> bool:
    return False


def join(tests: list[Test]) -> Test:
    if not tests:
        return always
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


def either(tests: list[Test]) -> Test:
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


# ------------------------------------------------------------------------------------- kinds and choices


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


def test_type(wanted: Any, schema: Any, formats: bool) -> Test:
    names = [wanted] if isinstance(wanted, str) else wanted
    if not all(isinstance(name, str) and name in _TYPES for name in names):
        raise UnknownError
    return either([_TYPES[name] for name in names])


def test_dialect(address: Any, schema: Any, formats: bool) -> Test:
    if address != DRAFT:
        raise UnknownError
    return always


def test_const(wanted: Any, schema: Any, formats: bool) -> Test:
    return test_enum([wanted], schema, formats)


def test_enum(wanted: Any, schema: Any, formats: bool) -> Test:
    """`1` equals `1.0` and never `true`; lists and mappings among the choices are left to jsonschema."""
    if any(isinstance(choice, list | dict) for choice in wanted):
        raise UnknownError
    choices = frozenset(choice for choice in wanted if not isinstance(choice, bool))
    if all(isinstance(choice, str) for choice in wanted):
        return lambda value: isinstance(value, str) and value in choices
    truths = [choice for choice in wanted if isinstance(choice, bool)]

    def check(value: Any) -> bool:
        if value is True or value is False:
            return value in truths
        return not isinstance(value, list | dict) and value in choices

    return check


# --------------------------------------------------------------------------------------- text and numbers


def test_min_length(bound: Any, schema: Any, formats: bool) -> Test:
    return lambda value: not isinstance(value, str) or len(value) >= bound


def test_max_length(bound: Any, schema: Any, formats: bool) -> Test:
    return lambda value: not isinstance(value, str) or len(value) <= bound


def test_pattern(pattern: Any, schema: Any, formats: bool) -> Test:
    search = compile_pattern(pattern).search
    return lambda value: not isinstance(value, str) or search(value) is not None


def test_format(name: Any, schema: Any, formats: bool) -> Test:
    find_flaw = FORMATS.get(name) if formats else None
    if find_flaw is None:
        return always
    return lambda value: not isinstance(value, str) or find_flaw(value) is None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and value.__class__ is not bool


# Each refuses as jsonschema does, by the opposite comparison: not-a-number, which no file can hold, passes all four.


def test_minimum(bound: Any, schema: Any, formats: bool) -> Test:
    return lambda value: not _is_number(value) or not value < bound


def test_maximum(bound: Any, schema: Any, formats: bool) -> Test:
    return lambda value: not _is_number(value) or not value > bound


def test_exclusive_minimum(bound: Any, schema: Any, formats: bool) -> Test:
    return lambda value: not _is_number(value) or not value <= bound


def test_exclusive_maximum(bound: Any, schema: Any, formats: bool) -> Test:
    return lambda value: not _is_number(value) or not value >= bound


def test_text(schema: Mapping[str, Any], formats: bool) -> Test:
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
