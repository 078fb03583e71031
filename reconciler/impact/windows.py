"""What looks back, as window functions that every dialect runs alike (semantics.md D.3).

Order is (ts_us, seq). Sums and counts are of whole numbers. No window frame includes later events of the same instant,
no zone is converted, nothing is divided with rounding: buckets are `ts - ts % W`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import isqrt
from typing import Any, TypeAlias

import ibis
import ibis.expr.types as ir

from reconciler.core.canonical import ascii_lower
from reconciler.impact.busy import busy, full, marked
from reconciler.impact.columns import decoder, expression
from reconciler.impact.lift import Values
from reconciler.semantics.ast import Age, Baseline, Count, Distinct, Gap, Limit, Prev, Seen, Sum
from reconciler.semantics.limits import backed_off
from reconciler.semantics.matching import matcher

_Compare: TypeAlias = Callable[[Any, Any], Any]


def keyed(table: ir.Table, key: Sequence[str], values: Values) -> tuple[ir.Table, list[str]]:
    """Return the table with a column per part of the key, and their names."""
    columns = {f"k{index}": _key_column(table, column, values) for index, column in enumerate(key)}
    return table.mutate(**columns), list(columns)


def _all_known(wide: ir.Table, key: Sequence[str]) -> ir.Value:
    """Whether each part of the key was recorded."""
    return ibis.and_(*(wide[name].notnull() for name in key)) if key else ibis.literal(True)


def _key_column(table: ir.Table, column: str, values: Values) -> ir.Value:
    """In a key, actions are compared without ASCII case (semantics.md B.2), which no dialect's lower() promises."""
    if column != "action":
        return expression(table, column)
    written = [row[0] for row in values.of(("action",))]
    folded = [(each, ascii_lower(each)) for each in written if ascii_lower(each) != each]
    return table["action"].cases(*folded, else_=table["action"]) if folded else table["action"]


def _bucket(table: ir.Table, width: int) -> ir.Value:
    return table.ts_us - table.ts_us % width


def _order(table: ir.Table) -> list[ir.Value]:
    return [table.ts_us, table.seq]


def _before(table: ir.Table, by: Sequence[str]) -> Any:
    """Every earlier row of the same key."""
    return ibis.window(group_by=list(by), order_by=_order(table), preceding=(None, 1))


def _running(table: ir.Table, by: Sequence[str]) -> Any:
    return ibis.window(group_by=list(by), order_by=_order(table))


def _rows_before(table: ir.Table, by: Sequence[str], counted: str | None) -> ir.Value:
    """How many earlier rows of the key count."""
    if counted is None:
        return ibis.row_number().over(_running(table, by))
    ones = ibis.ifelse(table[counted].fill_null(False), 1, 0)
    return ones.sum().over(_before(table, by)).fill_null(0)


def _close(table: ir.Table, wide: ir.Table, known: ir.Value, value: ir.Value, name: str) -> ir.Table:
    """The columns of *table* and the truth; null where the key is not known."""
    kept = {column: wide[column] for column in table.columns}
    return wide.select(**kept, **{name: ibis.ifelse(known, value, ibis.null("boolean"))})


# ------------------------------------------------------------------------------------------------ counting


def add_count(table: ir.Table, node: Count, values: Values, counted: str | None, name: str) -> ir.Table:
    """More than the limit within the window; *counted* is the column that says which earlier events count."""
    wide, key = keyed(table, node.key, values)
    if node.tumbling:
        wide = wide.mutate(b=_bucket(wide, node.window_us))
        if counted is None and node.limit.adaptive is None:
            most, limits = _limits(wide, node.limit, values)
            part = full(wide.mutate(most=most), key, "b", limits[0] + 1)
            part = part.mutate(number=_rows_before(part, [*key, "b"], counted) + 1)  # SQLite loses `most` in one step
            hits = part.filter(part.number > part.most)
            wide = marked(wide, values.keep(hits.select("seq")), "hit")
            return _close(table, wide, _all_known(wide, key), wide["hit"], name)
        number = _rows_before(wide, [*key, "b"], counted) + 1
        wide = wide.mutate(number=number)
        wide, limit = _limit(wide, node, values, key, counted)
        return _close(table, wide, _all_known(wide, key), wide["number"] > limit, name)
    most, limits = _limits(wide, node.limit, values)
    if counted is None:
        hits = _often(wide.mutate(most=most), node, key, limits)
        wide = marked(wide, values.keep(hits.select("seq")), "hit")
        return _close(table, wide, _all_known(wide, key), wide["hit"], name)
    wide, exceeded = _count_some(wide, node, key, counted, limits, most)
    return _close(table, wide, _all_known(wide, key), _chosen(wide, exceeded), name)


def _often(wide: ir.Table, node: Count, key: Sequence[str], limits: Sequence[int]) -> ir.Table:
    """The events that have more than `most` in their window: the one that many before is not yet a window old."""
    if limits[0] > 0:
        wide = busy(wide, key, node.window_us, ibis.literal(1), limits[0] + 1)
    window = _running(wide, key)
    marks = {f"l{n}": wide.ts_us.lag(n).over(window) if n else wide.ts_us for n in limits}
    wide = wide.mutate(**marks)
    exceeded = {n: (wide.ts_us - wide[f"l{n}"] < node.window_us).fill_null(False) for n in limits}
    return wide.filter(_chosen(wide, exceeded))


def _chosen(wide: ir.Table, exceeded: Mapping[int, ir.Value]) -> ir.Value:
    """Whether the limit of the row itself is exceeded."""
    if len(exceeded) == 1:
        return next(iter(exceeded.values()))
    return wide["most"].cases(*exceeded.items(), else_=False)


def _count_some(
    wide: ir.Table, node: Count, key: Sequence[str], counted: str, limits: Sequence[int], most: ir.Value
) -> tuple[ir.Table, dict[int, ir.Value]]:
    """Where only some events count: the Nth-last of those, found by its number in the key."""
    wide = wide.mutate(most=most, before=_rows_before(wide, key, counted))
    marks = wide.filter(wide[counted].fill_null(False))
    for n in limits:
        if n == 0:
            wide = wide.mutate(l0=wide.ts_us)
            continue
        found = marks.select(**{f"m{name}": marks[name] for name in key}, mark=marks.before + 1, at=marks.ts_us)
        on = [wide[name] == found[f"m{name}"] for name in key]
        joined = wide.left_join(found, [*on, wide.before - (n - 1) == found.mark])
        wide = joined.select(**{column: joined[column] for column in wide.columns}, **{f"l{n}": joined["at"]})
    return wide, {n: (wide.ts_us - wide[f"l{n}"] < node.window_us).fill_null(False) for n in limits}


def _limits(wide: ir.Table, limit: Limit, values: Values) -> tuple[ir.Value, list[int]]:
    """The limit of each event, before any backing off, and every value it can have (semantics.md B.8)."""
    own: ir.Value = ibis.literal(limit.base)
    if limit.tiers:
        score, several = expression(wide, "trust_score"), list(limit.tiers)
        branches = [(score >= least, n) for least, n in reversed(several)]
        own = ibis.cases((score.isnull(), several[0][1]), *branches, else_=limit.base)
    return _overridden(wide, limit, values, own), possible(limit)


def possible(limit: Limit) -> list[int]:
    """Return every limit that somebody has, before any backing off, lowest first."""
    return sorted({limit.base, *(n for _, n in limit.overrides), *(n for _, n in limit.tiers)})


def _overridden(wide: ir.Table, limit: Limit, values: Values, otherwise: ir.Value) -> ir.Value:
    """The first override whose pattern fits the actor."""
    if not limit.overrides:
        return otherwise
    tests = [(matcher([pattern]), n) for pattern, n in limit.overrides]
    chosen: dict[int, list[str]] = {}
    for (actor,) in values.of(("actor_id",)):
        first = next((n for fits, n in tests if fits(actor)), None)
        if first is not None:
            chosen.setdefault(first, []).append(actor)
    branches = [(wide["actor_id"].isin(actors), n) for n, actors in chosen.items()]
    return ibis.cases(*branches, else_=otherwise) if branches else otherwise


def _limit(
    wide: ir.Table, node: Count, values: Values, key: Sequence[str], counted: str | None
) -> tuple[ir.Table, ir.Value]:
    """The limit of a tumbling window, after backing off for each window in a row that exceeded the base."""
    limit = node.limit
    most, bases = _limits(wide, limit, values)
    if limit.adaptive is None:
        return wide, most
    follows = "actor_id" in node.key
    base = _overridden(wide, limit, values, ibis.literal(limit.base)) if follows else ibis.literal(limit.base)
    one = 1 if counted is None else ibis.ifelse(wide[counted].fill_null(False), 1, 0)
    wide = wide.mutate(base=base, most=most, one=one)
    streaks = _streaks(wide, key, node.window_us)
    on = [wide[name] == streaks[f"s{name}"] for name in key]
    joined = wide.left_join(streaks, [*on, wide.b == streaks.sb])
    wide = joined.select(**{column: joined[column] for column in wide.columns}, streak=joined["streak"].fill_null(0))
    steps = {n: backed_off(n, limit.adaptive) for n in bases}
    rows = [(n, streak, each) for n, several in steps.items() for streak, each in enumerate(several)]
    table = ibis.memtable({"tn": [r[0] for r in rows], "tk": [r[1] for r in rows], "tl": [r[2] for r in rows]})
    last = wide["most"].cases(*((n, len(several) - 1) for n, several in steps.items()), else_=0)
    wide = wide.mutate(step=ibis.least(wide.streak, last))
    joined = wide.left_join(table, [wide.most == table.tn, wide.step == table.tk])
    wide = joined.select(**{column: joined[column] for column in wide.columns}, tl=joined["tl"])
    return wide, wide["tl"]


def _streaks(wide: ir.Table, key: Sequence[str], width: int) -> ir.Table:
    """Per key and window: how many windows in a row, just before it, exceeded the base (gaps and islands)."""
    known = wide.filter(_all_known(wide, key))
    sums = known.group_by([*key, "b"]).aggregate(n=known.one.sum(), base=known.base.max())
    over = sums.filter(sums.n > sums.base)
    over = over.mutate(i=ibis.row_number().over(ibis.window(group_by=list(key), order_by=over.b)))
    over = over.mutate(island=over.b - over.i * width)
    run = ibis.row_number().over(ibis.window(group_by=[*key, "island"], order_by=over.b)) + 1
    over = over.mutate(run=run)
    return over.select(**{f"s{name}": over[name] for name in key}, sb=over.b + width, streak=over.run)


# ------------------------------------------------------------------------------------------ sums and sets


def add_sum(table: ir.Table, node: Sum, values: Values, name: str) -> ir.Table:
    """At least so much of a column in (t − W, t]: a running sum less the running sum of what is W old."""
    whole, key = keyed(table, node.key, values)
    wide = whole.mutate(amount=expression(whole, node.column).fill_null(0))
    if node.least > 0:
        wide = busy(wide, key, node.window_us, wide.amount, node.least)
    all_so_far = wide.amount.sum().over(ibis.window(group_by=key, order_by=_order(wide), preceding=(None, 0)))
    old = ibis.range_window(group_by=key, order_by=wide.ts_us, preceding=(None, node.window_us))
    wide = wide.mutate(total=all_so_far, gone=wide.amount.sum().over(old).fill_null(0))
    hits = wide.filter(wide.total - wide.gone >= node.least)
    whole = marked(whole, values.keep(hits.select("seq")), "hit")
    return _close(table, whole, _all_known(whole, key), whole["hit"], name)


def add_distinct(table: ir.Table, node: Distinct, values: Values, name: str) -> ir.Table:
    """More different values in (t − W, t] than allowed: each value comes and goes, and a sweep counts them."""
    wide, key = keyed(table, node.key, values)
    wide = wide.mutate(value=expression(wide, node.column))
    known = wide.filter(_all_known(wide, key))
    seen = known.filter(known.value.notnull())
    same = ibis.window(group_by=[*key, "value"], order_by=_order(seen))
    seen = seen.mutate(prev=seen.ts_us.lag(1).over(same), next=seen.ts_us.lead(1).over(same))
    comes = seen.filter(seen.prev.isnull() | (seen.ts_us - seen.prev >= node.window_us))
    goes = seen.filter(seen.next.isnull() | (seen.next - seen.ts_us >= node.window_us))
    steps = ibis.union(
        _step(comes, key, comes.ts_us, comes.seq, 1, 1),
        ibis.union(
            _step(goes, key, goes.ts_us + node.window_us, ibis.literal(-1).cast("int64"), 0, -1),
            _step(known, key, known.ts_us, known.seq, 2, 0),
        ),
    )
    order = [steps.x, steps.x_seq, steps.rank]
    steps = steps.mutate(open=steps.delta.sum().over(ibis.window(group_by=key, order_by=order, preceding=(None, 0))))
    probes = steps.filter(steps.rank == 2).select(p_seq="x_seq", open="open")
    joined = wide.left_join(probes, wide.seq == probes.p_seq)
    wide = joined.select(**{column: joined[column] for column in wide.columns}, open=joined["open"])
    return _close(table, wide, _all_known(wide, key), wide.open > node.most, name)


def _step(table: ir.Table, key: Sequence[str], at: ir.Value, seq: ir.Value, rank: int, delta: int) -> ir.Table:
    """Ends come first at their instant (they have no number of their own), then each event before its own probe."""
    numbers = {"rank": ibis.literal(rank).cast("int64"), "delta": ibis.literal(delta).cast("int64")}
    return table.select(**{name: table[name] for name in key}, x=at, x_seq=seq, **numbers)


# ------------------------------------------------------------------------------------------- what was before


def add_prev(table: ir.Table, node: Prev, values: Values, name: str) -> ir.Table:
    """Another value than the previous recorded one of the key; false at the first, null where none is recorded."""
    wide, key = keyed(table, node.key, values)
    wide = wide.mutate(now=expression(wide, node.column))
    known = wide.filter(_all_known(wide, key) & wide.now.notnull())
    known = known.mutate(was=known.now.lag(1).over(_running(known, key)))
    if node.change == "any" and not node.patterns:
        known = known.mutate(departs=(known.was != known.now).fill_null(False))
    else:
        known = _departures(known, node)
    told = known.select(t_seq=known.seq, departs=known.departs)
    joined = wide.left_join(told, wide.seq == told.t_seq)
    wide = joined.select(**{column: joined[column] for column in wide.columns}, departs=joined["departs"])
    return _close(table, wide, ibis.literal(True), wide.departs, name)


def _departures(known: ir.Table, node: Prev) -> ir.Table:
    """Sets are compared in Python, once per pair of a set and the one before it."""
    decode = decoder(node.column)
    fits = matcher(node.patterns) if node.patterns else None
    pairs = known.filter(known.was.notnull() & (known.was != known.now)).select("was", "now").distinct().to_pyarrow()
    departing = []
    for was, now in zip(pairs["was"].to_pylist(), pairs["now"].to_pylist(), strict=True):
        before, after = (decode(was), decode(now)) if decode else (was, now)
        if fits is not None:
            departs = any(map(fits, after - before))
        else:
            departs = bool(after - before if node.change == "added" else before - after)
        if departs:
            departing.append((was, now))
    if not departing:
        return known.mutate(departs=ibis.literal(False))
    listed = ibis.memtable({"d_was": [each[0] for each in departing], "d_now": [each[1] for each in departing]})
    listed = listed.mutate(yes=ibis.literal(True))
    joined = known.left_join(listed, [known.was == listed.d_was, known.now == listed.d_now])
    kept = {column: joined[column] for column in known.columns}
    return joined.select(**kept, departs=joined["yes"].fill_null(False))


def add_age(table: ir.Table, node: Age, values: Values, compare: _Compare, name: str) -> ir.Table:
    """Time since the first event of the key."""
    wide, key = keyed(table, node.key, values)
    wide = wide.mutate(first=wide.ts_us.min().over(ibis.window(group_by=key)))
    return _close(table, wide, _all_known(wide, key), compare(wide.ts_us - wide["first"], node.span_us), name)


def add_gap(table: ir.Table, node: Gap, values: Values, compare: _Compare, name: str) -> ir.Table:
    """Time since the previous event of the key; false at the first."""
    wide, key = keyed(table, node.key, values)
    wide = wide.mutate(last=wide.ts_us.lag(1).over(_running(wide, key)))
    value = compare(wide.ts_us - wide["last"], node.span_us).fill_null(False)
    return _close(table, wide, _all_known(wide, key), value, name)


def add_seen(table: ir.Table, node: Seen, values: Values, compare: _Compare, name: str) -> ir.Table:
    """How many events of the key came before."""
    wide, key = keyed(table, node.key, values)
    wide = wide.mutate(earlier=ibis.row_number().over(_running(wide, key)))
    return _close(table, wide, _all_known(wide, key), compare(wide.earlier, node.count), name)


# ------------------------------------------------------------------------------------------------- baseline


def add_baseline(table: ir.Table, node: Baseline, values: Values, name: str) -> ir.Table:
    """A bucket far above those before it: more events than the bound that Python computes from their sums."""
    wide, key = keyed(table, node.key, values)
    wide = wide.mutate(b=_bucket(wide, node.bucket_us))
    wide = wide.mutate(number=ibis.row_number().over(_running(wide, [*key, "b"])) + 1)
    known = wide.filter(_all_known(wide, key))
    sums = known.group_by([*key, "b"]).aggregate(c=known.count())
    span = ibis.range_window(group_by=key, order_by=sums.b, preceding=(node.buckets * node.bucket_us, node.bucket_us))
    sums = sums.mutate(
        total=sums.c.sum().over(span).fill_null(0), squares=(sums.c * sums.c).sum().over(span).fill_null(0)
    )
    pairs = sums.select("total", "squares").distinct().to_pyarrow()
    bounds = [
        (total, squares, _bound(node, int(total), int(squares)))
        for total, squares in zip(pairs["total"].to_pylist(), pairs["squares"].to_pylist(), strict=True)
    ] or [(0, 0, 0)]
    listed = ibis.memtable(
        {
            "b_total": [int(r[0]) for r in bounds],
            "b_squares": [int(r[1]) for r in bounds],
            "most": [r[2] for r in bounds],
        }
    )
    joined = sums.left_join(listed, [sums.total == listed.b_total, sums.squares == listed.b_squares])
    bounded = joined.select(**{f"s{each}": joined[each] for each in key}, sb=joined["b"], most=joined["most"])
    on = [wide[each] == bounded[f"s{each}"] for each in key]
    joined = wide.left_join(bounded, [*on, wide.b == bounded.sb])
    wide = joined.select(**{column: joined[column] for column in wide.columns}, most=joined["most"])
    return _close(table, wide, _all_known(wide, key), wide.number > wide.most, name)


def _bound(node: Baseline, total: int, squares: int) -> int:
    """The largest count that is not far above: n·x ≤ Σ, or (n·x − Σ)²·q² ≤ p²·(n·Σx² − Σ²) (semantics.md B.9)."""
    spread = node.p**2 * (node.buckets * squares - total**2)
    far = isqrt(spread // node.q**2)  # the largest whole d with d²·q² ≤ spread
    return (total + far) // node.buckets
