"""On which events two versions of a policy can differ at all, said before either is evaluated (semantics.md D.2, D.4).

A change of a list or a threshold leaves most values alone. Where two versions are built alike, only the events with a
value whose truth changed can come out differently: often a hundredth of them, found in one look at one column.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import reduce
from itertools import chain
from operator import or_
from typing import Final, TypeAlias

import ibis
import ibis.expr.types as ir

from reconciler.impact.busy import busy, full
from reconciler.impact.columns import expression
from reconciler.impact.kinds import stored_name
from reconciler.impact.lift import MOST_LITERALS, Values, compare, intervals_of
from reconciler.impact.windows import keyed, possible
from reconciler.semantics import ast
from reconciler.semantics.ast import And, Cmp, Count, Lift, LocalTime, Node, Not, Or, Sum, Sure
from reconciler.semantics.nodes import columns, is_stateful, parts
from reconciler.semantics.program import Group, Program

_Pairs: TypeAlias = "list[tuple[Node, Node]]"
_STATEFUL: Final = (ast.Count, ast.Sum, ast.Distinct, ast.Prev, ast.Age, ast.Gap, ast.Seen, ast.Baseline)
#: What every relation of the engine needs, whatever the policies ask for.
ALWAYS: Final = ("seq", "ts_us", "actor_id")


def narrowed(old: Program | None, new: Program | None, events: ir.Table, values: Values) -> ir.Table | None:
    """Return the events on which the outcomes of two versions can differ; None where nothing but looking would tell.

    None as well where the effects differ, since then every violation counts, and mostly where earlier events decide.
    """
    if old is None or new is None or not (old.enabled and new.enabled) or old.effect is not new.effect:
        return None
    if old.state != new.state or len(old.groups) != len(new.groups):
        return None
    found = _all(_of_groups(*pair) for pair in zip(old.groups, new.groups, strict=True))
    if found is None:
        return None
    if is_stateful(old) or is_stateful(new):
        return _reached(old, new, found, events, values)
    tests = [_differ(one, other, events, values) for one, other in found]
    known = [test for test in tests if test is not None]
    if len(known) < len(tests):
        return None
    return events.filter(reduce(or_, known)) if known else events.filter(ibis.literal(False))


def needed_by(programs: Iterable[Program], events: ir.Table) -> list[str]:
    """Return the columns of *events* without which some of *programs* cannot be evaluated."""
    asked = chain.from_iterable(columns(program) for program in programs)
    stored = {*ALWAYS, *(stored_name(column) for column in asked)}
    return [column for column in events.columns if column in stored]


def _of_groups(old: Group, new: Group) -> _Pairs | None:
    """The leaves that differ between two groups; None where they are not built alike."""
    if len(old.clauses) != len(new.clauses):
        return None
    if any(one.state != other.state for one, other in zip(old.clauses, new.clauses, strict=True)):
        return None
    pairs = [(getattr(old, name), getattr(new, name)) for name in ("filters", "applies", "ready")]
    pairs += [(one.node, other.node) for one, other in zip(old.clauses, new.clauses, strict=True)]
    return _all(_leaves(one, other) for one, other in pairs)


def _all(several: Iterable[_Pairs | None]) -> _Pairs | None:
    found: _Pairs = []
    for each in several:
        if each is None:
            return None
        found += each
    return found


def _leaves(old: Node | None, new: Node | None) -> _Pairs | None:
    match old, new:
        case _ if old == new:
            return []
        case (And(one), And(other)) | (Or(one), Or(other)) if len(one) == len(other):
            return _all(_leaves(*pair) for pair in zip(one, other, strict=True))
        case (Not(one), Not(other)) | (Sure(one), Sure(other)):
            return _leaves(one, other)
        case Lift(), Lift() if old.columns == new.columns:
            return [(old, new)]
        case Cmp(), Cmp() if old.column == new.column:
            return [(old, new)]
        case LocalTime(), LocalTime():
            return [(old, new)]
        case Count(), Count() if replace(old, limit=new.limit) == new:
            return [(old, new)]
        case Sum(), Sum() if replace(old, least=new.least) == new:
            return [(old, new)]
        case _:
            return None


def _reached(old: Program, new: Program, found: _Pairs, events: ir.Table, values: Values) -> ir.Table | None:
    """Where one limit of the only node that looks back was changed: what a window over the lower one can reach.

    There every window that is over a limit is whole. The filters of the policy are left out, so a little more is kept.
    """
    remembering = [part for program in (old, new) for part in parts(program.groups) if isinstance(part, _STATEFUL)]
    if len(found) != 1 or remembering != list(found[0]):
        return None
    one, other = found[0]
    if isinstance(one, Sum) and isinstance(other, Sum) and min(one.least, other.least) > 0:
        wide, key = keyed(events, one.key, values)
        amount = expression(wide, one.column).fill_null(0)
        return busy(wide, key, one.window_us, amount, min(one.least, other.least))
    if not isinstance(one, Count) or not isinstance(other, Count) or one.where is not None:
        return None
    if one.limit.adaptive is not None or other.limit.adaptive is not None:
        return None
    least = min(n for limit in (one.limit, other.limit) for n in possible(limit))
    if least <= 0:
        return None
    wide, key = keyed(events, one.key, values)
    if not one.tumbling:
        return busy(wide, key, one.window_us, ibis.literal(1), least + 1)
    return full(wide.mutate(b=wide.ts_us - wide.ts_us % one.window_us), key, "b", least + 1)


def _differ(old: Node, new: Node, events: ir.Table, values: Values) -> ir.Value | None:
    """Whether one leaf is true and the other is not; a missing value is missing in both."""
    if isinstance(old, Lift) and isinstance(new, Lift):
        return _lifts_differ(old, new, events, values)
    if isinstance(old, Cmp) and isinstance(new, Cmp):
        column = expression(events, old.column)
        return compare(old.op)(column, old.value) != compare(new.op)(column, new.value)
    if isinstance(old, LocalTime) and isinstance(new, LocalTime):
        return _times_differ(old, new, events, values)
    return None


def _lifts_differ(old: Lift, new: Lift, events: ir.Table, values: Values) -> ir.Value | None:
    if len(old.columns) != 1 or "apart" in (old.test, new.test):
        return None
    pairs = zip(values.truths(old), values.truths(new), strict=True)
    changed = [row[0] for (row, was), (_, now) in pairs if was is not now]
    column = expression(events, old.columns[0])
    if len(changed) <= MOST_LITERALS:
        return column.isin(changed) if changed else ibis.literal(False)
    return column.isin(ibis.memtable({"v": changed}).v)


def _times_differ(old: LocalTime, new: LocalTime, events: ir.Table, values: Values) -> ir.Value | None:
    if values.span is None:
        return ibis.literal(False)
    edges = sorted(chain.from_iterable(chain(*(intervals_of(node, *values.span) for node in (old, new)))))
    spans = list(zip(edges[::2], edges[1::2], strict=True))  # where exactly one of the two holds
    if len(spans) > MOST_LITERALS:
        return None
    tests = [(events.ts_us >= start) & (events.ts_us < end) for start, end in spans if start < end]
    # as a value: DuckDB 2.0.0 takes a chain of Or in WHERE apart, which is 10 to 19 times slower (performance.md 9)
    return reduce(or_, tests).cast("int8") == 1 if tests else ibis.literal(False)
