"""Reading the keys of an object strictly: every wrong value and every key that nobody asked for is a fault.

The schemas say the same with better words and places; here it is said again because live policies come from systems
that check nothing, and a key that is ignored silently is how a policy stops protecting (semantics.md B.3).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Any, Final

from reconciler.core.formats import UNITS, Flaw, iana_timezone, minutes_of, span_of_time
from reconciler.core.model import Json
from reconciler.semantics.faults import Fault, unknown_key

_SPAN: Final = re.compile(r"([1-9][0-9]{0,11})(ms|s|m|h|d|w)")
_MOST: Final = 2**53
_MOST_TEXTS: Final = 10_000
_LONGEST: Final = 512
MINUTE_US: Final = 60_000_000


def span_us(text: str) -> int:
    """Return a duration in microseconds; raises ValueError for a text that is none.

    >>> span_us("15m")
    900000000
    """
    found = _SPAN.fullmatch(text)
    if found is None or span_of_time(text) is not None:
        raise ValueError(f"{text!r} is no duration")
    return int(found[1]) * UNITS[found[2]] * 1000


class Keys:
    """An object whose keys are asked for one by one; what was wrong stands in `faults`, after `finish` all of it.

    Null is as absent. Several names for one key are its spellings; two of them at once are a fault.
    """

    def __init__(self, values: Json, pointer: str = "") -> None:
        self.faults: list[Fault] = []
        self.pointer = pointer
        self._values: Mapping[str, Json] = {}
        self._known: set[str] = set()
        if isinstance(values, dict):
            self._values = {key: value for key, value in values.items() if value is not None}
        elif values is not None:
            self.fault("", "is not an object", "write a mapping of keys")

    def fault(self, name: str, what: str, fix: str, code: str = "wrong-value") -> None:
        self.faults.append(Fault(f"{self.pointer}/{name}" if name else self.pointer, what, fix, code))

    def has(self, *names: str) -> bool:
        return any(name in self._values for name in names)

    def written(self, *names: str) -> str:
        """The spelling that is there; the first one when none is."""
        return next((name for name in names if name in self._values), names[0])

    def present(self, names: Iterable[str]) -> tuple[str, ...]:
        """Return which of some keys are there; they count as asked for."""
        wanted = tuple(names)
        self._known.update(wanted)
        return tuple(name for name in wanted if name in self._values)

    def take(self, *names: str) -> Json:
        """Return the value under one of the spellings, whatever it is; None when there is none."""
        there = self.present(names)
        if len(there) > 1:
            self.fault(there[1], f"is another spelling of {there[0]}", "keep one of them", "rule-conflict")
        return self._values[there[0]] if there else None

    def under(self, name: str) -> Keys:
        """Return the object under a key; `merge` brings its faults back."""
        return Keys(self.take(name), f"{self.pointer}/{name}")

    def everything(self) -> Mapping[str, Json]:
        """Return the object, where its keys are an author's own; they all count as asked for."""
        self._known.update(self._values)
        return self._values

    def merge(self, *others: Keys) -> None:
        for other in others:
            self.faults += other.faults

    def finish(self) -> None:
        """Find keys that nobody asked for."""
        for key in self._values:
            if key not in self._known:
                self.faults.append(unknown_key(self.pointer, key, self._known))

    # -------------------------------------------------------------------------------------------- scalars

    def flag(self, *names: str, default: bool = False) -> bool:
        value = self.take(*names)
        if value is None or isinstance(value, bool):
            return default if value is None else value
        self.fault(self.written(*names), "is not true or false", "write true or false")
        return default

    def text(self, name: str, default: str) -> str:
        value = self.take(name)
        if value is None or (isinstance(value, str) and value):
            return default if value is None else str(value)
        self.fault(name, "is not text", "write text")
        return default

    def choice(self, name: str, values: Iterable[str], default: str) -> str:
        value = self.take(name)
        wanted = tuple(values)
        if value is None:
            return default
        if isinstance(value, str) and value in wanted:
            return value
        self.fault(name, "is none of its values", "write " + ", ".join(wanted))
        return default

    def number(self, *names: str, low: int = 0, high: int = _MOST) -> Decimal | None:
        """Return a number exactly as it was written; None when absent or wrong."""
        value = self.take(*names)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
            self.fault(self.written(*names), "is not a number", f"write a number from {low} to {high}")
            return None
        if not low <= value <= high:
            self.fault(self.written(*names), f"is not from {low} to {high}", "write a number in range", "out-of-range")
            return None
        return Decimal(str(value))

    def whole(self, *names: str, low: int = 0, high: int = _MOST) -> int | None:
        """Return a whole number; None when absent or wrong."""
        value = self.number(*names, low=low, high=high)
        if value is not None and value != value.to_integral_value():
            self.fault(self.written(*names), "is not a whole number", "write a whole number")
            return None
        return None if value is None else int(value)

    def span(self, name: str) -> int | None:
        """Return a duration in microseconds; None when absent or wrong."""
        value = self.take(name)
        if value is None:
            return None
        if not isinstance(value, str):
            self.fault(name, "is not a duration", "write a whole number and ms, s, m, h, d or w, for example 10m")
            return None
        flaw = span_of_time(value)
        if flaw is not None:
            self.flaw(name, flaw)
            return None
        return span_us(value)

    def minute(self, name: str) -> int | None:
        """Return the minute of the day of an hour or "HH:MM", 0 to 1440; None when absent or wrong."""
        value = self.take(name)
        found = minutes_of(value)
        if value is not None and found is None:
            self.fault(name, "is not a time of day", 'write an hour from 0 to 24, or "08:30"')
        return found

    def zone(self, default: str) -> str:
        name = self.text("timezone", default)
        flaw = iana_timezone(name)
        if flaw is not None:
            self.flaw("timezone", flaw)
            return default
        return name

    def flaw(self, name: str, flaw: Flaw) -> None:
        self.fault(name, f"is {flaw.what}", flaw.fix)

    # ---------------------------------------------------------------------------------------------- lists

    def texts(self, *names: str, check: Callable[[str], Flaw | None] | None = None) -> tuple[str, ...] | None:
        """Return a list of texts, each once, in its order; None when absent or wrong."""
        value = self.take(*names)
        if value is None:
            return None
        name = self.written(*names)
        if not isinstance(value, list) or len(value) > _MOST_TEXTS:
            self.fault(name, "is not a list", f"write a list of at most {_MOST_TEXTS} texts")
            return None
        texts = dict.fromkeys(entry for entry in value if isinstance(entry, str) and 0 < len(entry) <= _LONGEST)
        if len(texts) < len(value) and any(not isinstance(each, str) or each not in texts for each in value):
            self.fault(name, "has an entry that is not text", f"write texts of 1 to {_LONGEST} characters")
            return None
        for at, entry in enumerate(value):
            flaw = check(str(entry)) if check is not None else None
            if flaw is not None:
                self.flaw(f"{name}/{at}", flaw)
        return tuple(texts)

    def some_texts(self, *names: str, check: Callable[[str], Flaw | None] | None = None) -> tuple[str, ...] | None:
        """Return a list that may not be empty, because nothing at all would be allowed; None when absent or wrong."""
        texts = self.texts(*names, check=check)
        if texts == ():
            self.fault(self.written(*names), "is empty", "write at least one entry, or remove the key")
            return None
        return texts

    def objects(self, name: str, most: int) -> list[Keys]:
        """Return the objects of a list; none when absent or wrong."""
        value: Any = self.take(name)
        if value is None:
            return []
        if not isinstance(value, list) or not 0 < len(value) <= most:
            self.fault(name, "is not a list of objects", f"write 1 to {most} of them")
            return []
        return [
            Keys(entry if isinstance(entry, dict) else [], f"{self.pointer}/{name}/{at}")
            for at, entry in enumerate(value)
        ]
