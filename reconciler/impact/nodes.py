"""A tree as columns of a table: what the relational engine makes of each node (semantics.md D.1, D.3).

`add_node` returns the table with one more column. A table that reaches a stateful node holds just the events that the
policy counts. Rows are known by `seq`, which is unique and follows the order of time.
"""

from __future__ import annotations

from functools import reduce
from itertools import count
from operator import and_, or_
from typing import TypeAlias

import ibis.expr.types as ir

from reconciler.impact.columns import decoder, expression, negated
from reconciler.impact.lift import Values, add_lift, add_local_time, compare
from reconciler.impact.windows import (
    add_age,
    add_baseline,
    add_count,
    add_distinct,
    add_gap,
    add_prev,
    add_seen,
    add_sum,
)
from reconciler.semantics import ast
from reconciler.semantics.ast import And, Cmp, Is, Lift, LocalTime, Node, Not, Null, Or, Sure

Names: TypeAlias = "count[int]"


class Builder:
    """Adds the columns of nodes; equal nodes over one table share a column."""

    def __init__(self, values: Values) -> None:
        self.values = values
        self._numbers = count()

    def name(self) -> str:
        """Return a column name that nothing else has."""
        return f"n{next(self._numbers)}"

    def add(self, table: ir.Table, node: Node, done: dict[Node, str]) -> tuple[ir.Table, str]:
        """Return *table* with the truth of *node*, and under which name; *done* are the nodes it has already."""
        if node in done:
            return table, done[node]
        table, name = self._add(table, node, done)
        done[node] = name
        return table, name

    def _add(self, table: ir.Table, node: Node, done: dict[Node, str]) -> tuple[ir.Table, str]:
        name = self.name()
        match node:
            case And(several) | Or(several):
                names = []
                for each in several:
                    table, one = self.add(table, each, done)
                    names.append(one)
                join = and_ if isinstance(node, And) else or_
                return table.mutate(**{name: reduce(join, [table[one] for one in names])}), name
            case Not(inner):
                table, one = self.add(table, inner, done)
                return table.mutate(**{name: negated(table[one])}), name
            case Sure(inner):
                table, one = self.add(table, inner, done)
                return table.mutate(**{name: table[one].fill_null(False)}), name
            case Null(column):
                return table.mutate(**{name: self._is_null(table, column)}), name
            case Is(column):
                return table.mutate(**{name: expression(table, column)}), name
            case Cmp(column, op, value):
                return table.mutate(**{name: compare(op)(expression(table, column), value)}), name
            case Lift():
                return add_lift(table, node, self.values, name), name
            case LocalTime():
                return add_local_time(table, node, self.values, name), name
            case ast.Count(where=where):
                counted = None
                if where is not None:
                    table, counted = self.add(table, where, done)
                return add_count(table, node, self.values, counted, name), name
            case ast.Sum():
                return add_sum(table, node, self.values, name), name
            case ast.Distinct():
                return add_distinct(table, node, self.values, name), name
            case ast.Prev():
                return add_prev(table, node, self.values, name), name
            case ast.Age(op=op):
                return add_age(table, node, self.values, compare(op), name), name
            case ast.Gap(op=op):
                return add_gap(table, node, self.values, compare(op), name), name
            case ast.Seen(op=op):
                return add_seen(table, node, self.values, compare(op), name), name
            case ast.Baseline():
                return add_baseline(table, node, self.values, name), name

    def _is_null(self, table: ir.Table, column: str) -> ir.Value:
        """Whether a column was not recorded; an address that cannot be read counts as that."""
        value, decode = expression(table, column), decoder(column)
        missing = value.isnull()
        if column == "address" and decode is not None:
            unread = [row[0] for row in self.values.of((column,)) if decode(row[0]) is None]
            return missing | value.isin(unread) if unread else missing
        return missing
