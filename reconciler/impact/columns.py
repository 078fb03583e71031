"""Columns of an events table as the relational engine sees them: derived ones, sets as one text, how to decode them.

A set of texts is one text: its entries sorted, each once, joined by U+001F, in a column with `_key` behind its name
(semantics.md C). So every predicate on a list is one on a text, which each engine compares alike. The empty set is "".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

import ibis
import ibis.expr.types as ir

from reconciler.core.canonical import ascii_lower
from reconciler.semantics.normal import parse_address

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


def expression(table: ir.Table, column: str) -> ir.Value:
    """Return a column, recorded or derived, of *table*; null where the table has none of that name."""
    if column == "wanted":
        return ibis.coalesce(expression(table, "requested_capability"), table["action"])
    if column == "kind":
        return ibis.coalesce(expression(table, "resource_type"), _prefix(table["resource"]))
    stored = {"action_key": "action", "address": "source_ip"}.get(column, stored_name(column))
    return table[stored] if stored in table.columns else ibis.null(kind_of(column))


def negated(truth: ir.Value) -> ir.Value:
    """Not, null staying null. `NOT x` is never asked whether it is null: it would be read as `NOT (x IS NULL)`."""
    return truth == ibis.literal(False)


def is_unknown(truth: ir.Value) -> ir.Value:
    """Whether a truth is null, without asking a compound for it; see `negated`."""
    return truth.fill_null(True) & negated(truth.fill_null(False))


def decoder(column: str) -> Callable[[Any], Any] | None:
    """Return how a stored value becomes what predicates take; None where it is that already."""
    if column in SETS:
        return lambda text: frozenset(text.split(SEPARATOR)) if text else frozenset()
    return {"action_key": ascii_lower, "address": _address}.get(column)


def _address(text: str) -> tuple[int, int] | None:
    address = parse_address(text)
    return None if address is None else (address.version, int(address))


def _prefix(resource: ir.Value) -> ir.Value:
    """The text before the first `/` or `:`; null where there is none, or nothing before it (semantics.md B.9)."""
    slash, colon = resource.find("/"), resource.find(":")
    first = ibis.cases(
        ((slash >= 0) & ((colon < 0) | (slash < colon)), slash),
        (colon >= 0, colon),
        else_=ibis.null("int64"),
    )
    return ibis.ifelse(first > 0, resource.substr(0, first), ibis.null("string"))
