"""What a token may do, whatever its role: a role says who somebody is, a scope what this token is for."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

#: `read` reads; `write` changes policies, settings, alerts; `evaluate` asks for decisions, which are counted and
#: recorded; `accounts` manages users and tokens.
SCOPES: Final = ("accounts", "evaluate", "read", "write")

#: The most a token of a role can have.
ALLOWED: Final[Mapping[str, frozenset[str]]] = {
    "admin": frozenset(SCOPES),
    "user": frozenset({"read", "evaluate"}),
}
#: What it has when nothing else is said. A plain user's token changes nothing, not even a counter.
USUAL: Final[Mapping[str, frozenset[str]]] = {"admin": frozenset(SCOPES), "user": frozenset({"read"})}


def choose_scopes(role: str, wanted: Collection[str] | None) -> frozenset[str]:
    """*wanted*, or the role's usual ones; `ValueError` for a scope that is unknown or above the role."""
    scopes = USUAL[role] if wanted is None else frozenset(wanted)
    for name in sorted(scopes - ALLOWED[role]):
        raise ValueError(f"{name} is above the role {role}" if name in SCOPES else f"no such scope: {name}")
    return scopes


def write_scopes(scopes: Collection[str]) -> str:
    """The text that is stored: names in order, a blank between."""
    return " ".join(sorted(scopes))


def read_scopes(text: str) -> frozenset[str]:
    """What `write_scopes` was given."""
    return frozenset(text.split())
