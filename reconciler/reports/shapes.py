"""Reading our own JSON formats with distrust: each function takes a value and where it stands, or refuses it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import Final, TypeVar

from reconciler.core.model import Json

TIME: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z")
_T = TypeVar("_T")
_E = TypeVar("_E", bound=StrEnum)


class Unfit(Exception):
    """What is wrong with a document, and where in it."""


def read_object(value: object, at: str, required: Sequence[str], optional: Sequence[str] = ()) -> Mapping[str, Json]:
    if not isinstance(value, dict):
        raise Unfit(f"{at or 'the whole'}: it must be an object")
    missing = [name for name in required if name not in value]
    if missing:
        raise Unfit(f"{at}/{missing[0]}: it is missing")
    if len(value) > len(required) + sum(name in value for name in optional):
        raise Unfit(f"{at or 'the whole'}: it has a key that a plan does not have")
    return value


def read_text(value: object, at: str) -> str:
    if not isinstance(value, str):
        raise Unfit(f"{at}: it must be text")
    return value


def read_bool(value: object, at: str) -> bool:
    if not isinstance(value, bool):
        raise Unfit(f"{at}: it must be true or false")
    return value


def read_true(value: object, at: str) -> bool:
    if value is not True:
        raise Unfit(f"{at}: it must be true, or not be there")
    return True


def read_count(value: object, at: str) -> int:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= 2**53:
        raise Unfit(f"{at}: it must be a whole number, not negative")
    return value


def read_enum(kind: type[_E], value: object, at: str) -> _E:
    text = read_text(value, at)
    if text not in [str(member) for member in kind]:
        raise Unfit(f"{at}: it must be one of {', '.join(kind)}")
    return kind(text)


def fitting(pattern: re.Pattern[str]) -> Callable[[object, str], str]:
    def read(value: object, at: str) -> str:
        text = read_text(value, at)
        if not pattern.fullmatch(text):
            raise Unfit(f"{at}: it is not written as plans write it")
        return text

    return read


def or_none(read: Callable[[object, str], _T]) -> Callable[[object, str], _T | None]:
    return lambda value, at: None if value is None else read(value, at)


def list_of(read: Callable[[object, str], _T]) -> Callable[[object, str], tuple[_T, ...]]:
    def read_all(value: object, at: str) -> tuple[_T, ...]:
        if not isinstance(value, list):
            raise Unfit(f"{at}: it must be a list")
        return tuple(read(entry, f"{at}/{number}") for number, entry in enumerate(value))

    return read_all
