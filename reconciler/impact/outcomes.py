"""One policy over a table of events: the sparse relation of what violates it or cannot be told (semantics.md D.1).

The same outcomes as `semantics.interpret`, row by row. `outcomes` has a row for each event that the policy violates or
nobody can tell; what passes, and what the policy does not look at, has none (unless `dense`, which tests use).
"""

from __future__ import annotations

from functools import reduce
from operator import or_
from typing import Any, Final

import ibis
import ibis.expr.types as ir

from reconciler.impact.columns import is_unknown, negated
from reconciler.impact.lift import Values
from reconciler.impact.nodes import Builder
from reconciler.semantics.ast import Node
from reconciler.semantics.program import Effect, Group, OnMissing, Program

#: Codes of `outcome`, so that a policy with several groups is the greatest of them.
PASSES: Final = 0
UNKNOWN: Final = 1
VIOLATES: Final = 2


def outcomes(program: Program, events: ir.Table, values: Values, *, dense: bool = False) -> ir.Table:
    """Return (seq, ts_us, actor_id, outcome, enforced, suspends) of *program*, at most one row per event.

    `outcome` is a code above. `enforced` is whether the live server takes it for violated. `suspends` is whether the
    effect is to suspend although the policy's own effect is another. `s0`, `s1`, … say for each of `states_of` whether
    that suspension starts here.
    """
    states = states_of(program)
    several = [
        _group_rows(group, program, events, Builder(values), dense=dense) for group in program.groups if program.enabled
    ]
    if not several:
        empty = events.filter(ibis.literal(False))
        flags = {f"s{index}": ibis.literal(False) for index in range(len(states))}
        return empty.select(
            "seq",
            "ts_us",
            "actor_id",
            outcome=ibis.literal(0),
            enforced=ibis.literal(False),
            suspends=ibis.literal(False),
            **flags,
        )
    if len(several) == 1:
        return several[0]
    both = reduce(lambda a, b: ibis.union(a, b), several)
    flags = {name: both[name].any() for name in (f"s{index}" for index in range(len(states)))}
    return both.group_by(["seq", "ts_us", "actor_id"]).aggregate(
        outcome=both.outcome.max(), enforced=both.enforced.any(), suspends=both.suspends.any(), **flags
    )


def states_of(program: Program) -> tuple[Any, ...]:
    """Return every suspension that a violation of the policy can start, each once."""
    own = [clause.state or program.state for group in program.groups for clause in group.clauses]
    return tuple(dict.fromkeys(state for state in own if state is not None))


def _group_rows(group: Group, program: Program, events: ir.Table, builder: Builder, *, dense: bool) -> ir.Table:
    table, inside = _optional(events, group.filters, builder)
    table = table.filter(table[inside].fill_null(True))
    table, applies = _optional(table, group.applies, builder)
    table = table.filter(table[applies].fill_null(True))
    judged = table.filter(negated(is_unknown(table[applies]))) if group.applies is not None else table
    done: dict[Node, str] = {}
    names = []
    for clause in group.clauses:
        judged, name = builder.add(judged, clause.node, done)
        names.append(name)
    if group.ready is not None:
        judged, ready = builder.add(judged, group.ready, done)
        judged = judged.filter(judged[ready].fill_null(True))
    rows = _judge(judged, group, program, inside, names)
    if group.applies is not None:
        rows = ibis.union(rows, _untold(table.filter(is_unknown(table[applies])), program))
    return rows if dense else rows.filter(rows.outcome > PASSES)


def _optional(table: ir.Table, node: Node | None, builder: Builder) -> tuple[ir.Table, str]:
    if node is None:
        name = builder.name()
        return table.mutate(**{name: ibis.literal(True)}), name
    return builder.add(table, node, {})


def _judge(table: ir.Table, group: Group, program: Program, inside: str, names: list[str]) -> ir.Table:
    """Kleene's Or of the clauses, as the interpreter says it: sure where the filters are, else unknown."""
    pairs = list(zip(group.clauses, names, strict=True))
    true = {name: table[name].fill_null(False) for name in names}
    null = {name: is_unknown(table[name]) for name in names}
    violated, doubtful = _some(true.values()), _some(null.values())
    is_inside = table[inside].fill_null(False)
    sure = is_inside & violated
    missing = [name for clause, name in pairs if (program.on_missing or clause.missing) is OnMissing.VIOLATE]
    own = [name for clause, name in pairs if clause.state is not None]
    found = _some(true[name] for name in own) | (negated(violated) & _some(null[name] for name in own))
    flags = {
        f"s{index}": sure & _some(true[name] for clause, name in pairs if (clause.state or program.state) == state)
        for index, state in enumerate(states_of(program))
    }
    return table.select(
        "seq",
        "ts_us",
        "actor_id",
        outcome=ibis.cases((sure, VIOLATES), (negated(is_inside) | violated | doubtful, UNKNOWN), else_=PASSES),
        enforced=violated | _some(null[name] for name in missing),
        suspends=found if program.effect is not Effect.SUSPEND else ibis.literal(False),
        **flags,
    )


def _untold(table: ir.Table, program: Program) -> ir.Table:
    """Events of which nobody can tell whether the policy looks at them at all: not counted, not judged."""
    flags = {f"s{index}": ibis.literal(False) for index in range(len(states_of(program)))}
    return table.select(
        "seq",
        "ts_us",
        "actor_id",
        outcome=ibis.literal(UNKNOWN),
        enforced=ibis.literal(program.on_missing is OnMissing.VIOLATE),
        suspends=ibis.literal(False),
        **flags,
    )


def _some(truths: Any) -> ir.Value:
    several = list(truths)
    return reduce(or_, several) if several else ibis.literal(False)
