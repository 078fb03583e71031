"""The three generations of the AIM server, as far as a client can tell them apart (systems.md 1.2)."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Dialect:
    """One generation.

    `reads_snake`: create and update look for `policy_type`, not `policyType`; `writes_camel`: replies have the latter;
    `camel_entries`: entries of the audit log have `userId`. `is_scoped`: a policy's id is looked for in the caller's
    organization only, and what is not there is a 404. `has_mode`: there are enforcement settings. `filters`: those of
    the audit log count.
    """

    name: str
    reads_snake: bool
    writes_camel: bool
    camel_entries: bool
    is_scoped: bool
    has_mode: bool
    filters: bool


A1: Final = Dialect(
    "a1", reads_snake=False, writes_camel=False, camel_entries=False, is_scoped=False, has_mode=False, filters=False
)
A2: Final = Dialect(
    "a2", reads_snake=True, writes_camel=False, camel_entries=True, is_scoped=True, has_mode=False, filters=True
)
A3: Final = Dialect(
    "a3", reads_snake=False, writes_camel=True, camel_entries=True, is_scoped=True, has_mode=True, filters=True
)
#: By what is written after `--quirks`; the newest is meant when none is named.
BY_QUIRK: Final[Mapping[str, Dialect]] = {"aim": A3, "aim:a1": A1, "aim:a2": A2, "aim:a3": A3}


def dialect_of(quirks: Collection[str]) -> Dialect | None:
    """Return the generation that is asked for, the oldest of several; None when none is."""
    asked = [BY_QUIRK[name] for name in sorted(quirks & BY_QUIRK.keys(), key=lambda name: BY_QUIRK[name].name)]
    return asked[0] if asked else None
