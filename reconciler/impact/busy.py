"""Where a limit can be exceeded at all: counted in coarse steps first, so that few events are put in order (D.3).

A window of W is cut into quarters. No window (t − W, t] meets more than five of them, so where five in a row hold less
than the limit, no event exceeds it. What is left keeps every event that a window reaches, so what is found there is
what would be found among all.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from operator import and_

import ibis
import ibis.expr.types as ir


def busy(wide: ir.Table, key: Sequence[str], window_us: int, amount: ir.Value, least: int) -> ir.Table:
    """Return the rows of *wide* that a sliding window with at least *least* in all can reach; the key is known there.

    *amount* is what each row adds, a whole number that is never negative.
    """
    quarter = -(-window_us // 4)
    rows = wide.mutate(quarter=wide.ts_us - wide.ts_us % quarter, amount_of=amount.cast("int64"))
    sums = _known(rows, key).group_by([*key, "quarter"]).aggregate(n=lambda each: each.amount_of.sum())
    reach = ibis.range_window(group_by=list(key), order_by=sums.quarter, preceding=(4 * quarter, 0))
    sums = sums.mutate(full=ibis.ifelse(sums.n.sum().over(reach) >= least, 1, 0))
    ahead = ibis.range_window(group_by=list(key), order_by=sums.quarter, following=(0, 4 * quarter))
    sums = sums.mutate(reached=sums["full"].max().over(ahead))
    kept = sums.filter(sums.reached == 1).select(*key, "quarter")
    return rows.semi_join(kept, [*key, "quarter"]).drop("quarter", "amount_of")


def full(wide: ir.Table, key: Sequence[str], bucket: str, least: int) -> ir.Table:
    """Return the rows of *wide* in buckets of a key with at least *least* rows."""
    sums = _known(wide, key).group_by([*key, bucket]).aggregate(n=lambda each: each.count())
    return wide.semi_join(sums.filter(sums.n >= least), [*key, bucket])


def marked(wide: ir.Table, hits: ir.Table, name: str) -> ir.Table:
    """Return *wide* with a column that is true for the rows that are among *hits*, and false for the others."""
    marks = hits.select(h_seq=hits.seq)
    joined = wide.left_join(marks, wide.seq == marks.h_seq)
    kept = {column: joined[column] for column in wide.columns}
    return joined.select(**kept, **{name: joined["h_seq"].notnull()})


def _known(rows: ir.Table, key: Sequence[str]) -> ir.Table:
    return rows.filter(reduce(and_, [rows[name].notnull() for name in key])) if key else rows
