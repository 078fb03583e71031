"""How the columns of events are stored: their types, and sets as one text.

A set of texts is one text: its entries sorted, each once, joined by U+001F, in a column with `_key` behind its name
(semantics.md C). So every predicate on a list is one on a text, which each engine compares alike. The empty set is "".
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

SEPARATOR: Final = "\x1f"
#: Columns that are sets of texts.
SETS: Final = ("actor_roles", "granted_capabilities", "capabilities", "mcp_capabilities", "data_types")
_FLAGS: Final = (
    *("is_vpn", "success", "mcp_verified", "approved", "encrypted", "secure_delete", "public_key_changed"),
    *("key_rotation_approved", "mfa_verified", "identity_verified", "session_recorded"),
)
_WHOLES: Final = ("ts_us", "seq", "mcp_attestations", "mcp_registered_at", "records", "bytes", "client_ts")
_SCORES: Final = ("trust_score", "mcp_trust_score", "mcp_confidence_score")


def kind_of(column: str) -> str:
    """Return the type of a recorded column as engines name it: `int64`, `float64`, `boolean` or `string`."""
    if column in _FLAGS:
        return "boolean"
    if column in _WHOLES:
        return "int64"
    return "float64" if column in _SCORES else "string"


def set_key(entries: Iterable[str]) -> str:
    """Return a set of texts as the one text that stands for it; raises ValueError where an entry holds U+001F.

    >>> set_key(["b", "a", "b"]).split(SEPARATOR)
    ['a', 'b']
    """
    several = sorted(set(entries))
    if any(SEPARATOR in entry for entry in several):
        raise ValueError("an entry holds U+001F")
    return SEPARATOR.join(several)


def stored_name(column: str) -> str:
    """Return under which name a recorded column is stored."""
    return f"{column}_key" if column in SETS else column
