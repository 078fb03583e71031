"""What is wrong with an event or a policy, as a value: where, what, what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Fault:
    """One reason not to use a value; `pointer` is its JSON pointer, `code` is stable."""

    pointer: str
    what: str
    fix: str
    code: str = "wrong-value"

    def __str__(self) -> str:
        return f"{self.pointer or '/'}: {self.what}; {self.fix}"


def unknown_key(pointer: str, key: str, known: Iterable[str]) -> Fault:
    """Return the fault of a key nobody reads, with the nearest one that somebody does."""
    near = difflib.get_close_matches(key[:100], sorted(known), n=1, cutoff=0.6)
    fix = f"write {near[0]}" if near else "remove it"
    return Fault(f"{pointer}/{key[:100]}", "is no key of this object", fix, "unknown-key")
