"""Who would have been suspended, laid over the outcomes (semantics.md B.5, D.3 #5)."""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce

import ibis
import ibis.expr.types as ir

from reconciler.core.canonical import ascii_lower
from reconciler.impact.lift import Values
from reconciler.impact.outcomes import VIOLATES, outcomes, states_of
from reconciler.semantics.program import Program, State


def suspended(programs: Iterable[Program], events: ir.Table, values: Values) -> ir.Table | None:
    """Return the `seq` of every event whose actor is suspended by one of *programs*; None where none ever suspends.

    A trigger is an event that violates for sure; the suspension starts with the next event of the actor, and ends with
    what reinstates, or when its time is over.
    """
    several = []
    for program in programs:
        for index, state in enumerate(states_of(program)):
            rows = outcomes(program, events, values)
            marked = rows.filter((rows.outcome == VIOLATES) & rows[f"s{index}"]).select("seq").to_pyarrow()
            if marked.num_rows:
                several.append(_spans(events, ibis.memtable(marked), state, values))
    return reduce(lambda a, b: ibis.union(a, b, distinct=True), several) if several else None


def _spans(events: ir.Table, triggers: ir.Table, state: State, values: Values) -> ir.Table:
    resets = {ascii_lower(action) for action in state.reset}
    ending = [action for (action,) in values.of(("action",)) if ascii_lower(action) in resets]
    ends = events.action.isin(ending) if ending else ibis.literal(False)
    plain = events.select("seq", "ts_us", "actor_id", ends=ends)
    marked = triggers.mutate(yes=ibis.literal(True)).rename(t_seq="seq")
    joined = plain.left_join(marked, plain.seq == marked.t_seq)
    rows = joined.select(
        **{name: joined[name] for name in ("seq", "ts_us", "actor_id", "ends")}, starts=joined["yes"].fill_null(False)
    )
    starts = rows.filter(rows.starts).select("actor_id").distinct()
    rows = rows.semi_join(starts, "actor_id")
    rows = rows.mutate(
        began=ibis.ifelse(rows.starts & (rows.ends == ibis.literal(False)), rows.seq, ibis.null("int64")),
        began_us=ibis.ifelse(rows.starts & (rows.ends == ibis.literal(False)), rows.ts_us, ibis.null("int64")),
        ended=ibis.ifelse(rows.ends, rows.seq, ibis.null("int64")),
    )
    before = ibis.window(group_by="actor_id", order_by=[rows.ts_us, rows.seq], preceding=(None, 1))
    rows = rows.mutate(
        v=rows.began.max().over(before), v_us=rows.began_us.max().over(before), r=rows.ended.max().over(before)
    )
    holds = rows.v.notnull() & (rows.r.isnull() | (rows.v > rows.r.fill_null(-1)))
    if state.duration_us is not None:
        holds &= rows.ts_us - rows.v_us.fill_null(0) < state.duration_us
    return rows.filter(holds).select("seq")
