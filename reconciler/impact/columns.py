"""Columns of an events table as the relational engine sees them: recorded, derived, and how to decode them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ibis
import ibis.expr.types as ir

from reconciler.core.canonical import ascii_lower
from reconciler.impact.kinds import SEPARATOR, SETS, kind_of, stored_name
from reconciler.semantics.normal import parse_address


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
