"""From the relations of a replay to the counts, actors and examples that people read (semantics.md F)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import ibis
import ibis.expr.types as ir

from reconciler.core.impact import MOST_LISTED, ChangeImpact, Day, Example, Impact, redacted
from reconciler.impact.columns import expression
from reconciler.impact.lift import Values
from reconciler.impact.nodes import Builder
from reconciler.impact.replay import Replay, Version
from reconciler.impact.suspended import suspended
from reconciler.semantics.classify import Shift
from reconciler.semantics.nodes import columns
from reconciler.semantics.program import Effect, Program

_DAY_US = 86_400_000_000


def summarise(
    found: Replay, old: Version, new: Version, events: ir.Table, values: Values, warnings: Sequence[str] = ()
) -> Impact:
    """Return the preview of a replay. Examples are redacted here, so that nothing raw ever reaches a rendering."""
    count, actors, first, last = values.overview
    shifts = found.shifts
    totals = {each["shift"]: each for each in _rows(_totals(shifts))}
    blocked = totals.get(Shift.NEWLY_BLOCKED.value, {})
    changes = tuple(_change(key, found, shifts, old, new, events, values) for key in found.changed)
    return Impact(
        events=count,
        actors=actors,
        first=_instant(first),
        last=_instant(last),
        changes=changes,
        newly_blocked=blocked.get("n", 0),
        newly_blocked_actors=blocked.get("actors", 0),
        newly_allowed=totals.get(Shift.NEWLY_ALLOWED.value, {}).get("n", 0),
        maybe_blocked=totals.get(Shift.MAYBE_BLOCKED.value, {}).get("n", 0),
        maybe_allowed=totals.get(Shift.MAYBE_ALLOWED.value, {}).get("n", 0),
        consequential=blocked.get("held", 0),
        days=_days(shifts),
        warnings=tuple(warnings),
    )


def _first(table: ir.Table) -> dict[str, Any]:
    return _rows(table)[0]


def _rows(table: ir.Table) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = table.to_pyarrow().to_pylist()
    return rows


def _totals(shifts: ir.Table) -> ir.Table:
    held = ibis.ifelse((shifts.new == 2) & (shifts.direct_new < 2), 1, 0)
    return shifts.group_by("shift").aggregate(n=shifts.count(), actors=shifts.actor_id.nunique(), held=held.sum())


def _days(shifts: ir.Table) -> tuple[Day, ...]:
    by_day = shifts.mutate(day=shifts.ts_us - shifts.ts_us % _DAY_US)
    counts = by_day.group_by("day").aggregate(
        b=ibis.ifelse(by_day["shift"] == Shift.NEWLY_BLOCKED.value, 1, 0).sum(),
        a=ibis.ifelse(by_day["shift"] == Shift.NEWLY_ALLOWED.value, 1, 0).sum(),
    )
    rows = sorted(_rows(counts), key=lambda row: row["day"])
    return tuple(Day((_instant(row["day"]) or "")[:10], row["b"], row["a"]) for row in rows if row["a"] or row["b"])


def _change(
    key: str, found: Replay, shifts: ir.Table, old: Version, new: Version, events: ir.Table, values: Values
) -> ChangeImpact:
    votes = found.votes.filter(found.votes.policy == key).rename(v_seq="seq", was="old", now="new")
    mine = shifts.inner_join(votes, shifts.seq == votes.v_seq).drop("v_seq")
    blocks = (mine["shift"] == Shift.NEWLY_BLOCKED.value) & (mine.now == 2)
    others = found.votes.filter((found.votes.policy != key) & (found.votes.new == 2)).select("seq")
    counts = _first(
        mine.aggregate(
            blocked=_sum(blocks),
            actors=ibis.ifelse(blocks, mine.actor_id, ibis.null("string")).nunique(),
            masked=_sum((mine.now == 2) & (mine.was < 2) & (mine.old == 2)),
            maybe_blocked=_sum((mine["shift"] == Shift.MAYBE_BLOCKED.value) & (mine.now > mine.was)),
            allowed=_sum((mine["shift"] == Shift.NEWLY_ALLOWED.value) & (mine.was == 2)),
            maybe_allowed=_sum((mine["shift"] == Shift.MAYBE_ALLOWED.value) & (mine.now < mine.was)),
        )
    )
    stopped = mine.filter(blocks)
    program = new.get(key) or old[key]
    kind = {Effect.THROTTLE: "throttled", Effect.APPROVAL: "needs_approval"}.get(program.effect, "newly_blocked")
    scope, coverage = _coverage(program, events, values)
    return ChangeImpact(
        key=key,
        **{kind: counts["blocked"] or 0},
        consequential=_consequential(new.get(key), shifts, events, values),
        masked=counts["masked"] or 0,
        only=int(stopped.anti_join(others, "seq").count().to_pyarrow().as_py()),
        maybe_blocked=counts["maybe_blocked"] or 0,
        newly_allowed=counts["allowed"] or 0,
        maybe_allowed=counts["maybe_allowed"] or 0,
        newly_alerting=found.alerts[key][0],
        no_longer_alerting=found.alerts[key][1],
        blocked_actors=counts["actors"] or 0,
        in_scope=scope,
        actors=_actors(stopped),
        first=_examples(stopped, events, key),
        coverage=coverage,
        not_replayed=program.not_replayed,
        unchecked=program.unchecked,
    )


def _sum(truth: ir.Value) -> ir.Value:
    return ibis.ifelse(truth, 1, 0).sum()


def _actors(stopped: ir.Table) -> tuple[tuple[str, int], ...]:
    """Whom it stops most often, then by name."""
    counts = stopped.group_by("actor_id").aggregate(n=stopped.count())
    rows = _rows(counts.order_by([counts.n.desc(), counts.actor_id]).limit(MOST_LISTED))
    return tuple((row["actor_id"], row["n"]) for row in rows)


def _examples(stopped: ir.Table, events: ir.Table, key: str) -> tuple[Example, ...]:
    first = _rows(stopped.select("seq").order_by("seq").limit(MOST_LISTED))
    if not first:
        return ()
    shown = events.filter(events.seq.isin([row["seq"] for row in first]))
    address = expression(shown, "source_ip")
    rows = _rows(shown.select("seq", "ts_us", "actor_id", "action", "resource", source_ip=address).order_by("seq"))
    return tuple(
        redacted(
            Example(
                _instant(row["ts_us"]) or "", row["actor_id"], row["action"], row["resource"], row["source_ip"], key
            )
        )
        for row in rows
    )


def _consequential(program: Program | None, shifts: ir.Table, events: ir.Table, values: Values) -> int:
    """Requests that are newly stopped only because this policy suspends who makes them."""
    held = suspended([program], events, values) if program is not None and program.enabled else None
    if held is None:
        return 0
    only = shifts.filter((shifts["shift"] == Shift.NEWLY_BLOCKED.value) & (shifts.direct_new < 2))
    marks = ibis.memtable(held.to_pyarrow())
    return int(only.semi_join(marks, "seq").count().to_pyarrow().as_py())


def _coverage(program: Program, events: ir.Table, values: Values) -> tuple[int, tuple[tuple[str, float], ...]]:
    """How many events a policy looks at, and which share of these has each column that it needs."""
    needed = sorted(columns(program) - {"ts_us", "seq", "actor_id", "action", "resource", "event_id"})
    total = 0
    known = dict.fromkeys(needed, 0)
    for group in program.groups:
        table, builder = events, Builder(values)
        for node in (group.filters, group.applies):
            if node is not None:
                table, name = builder.add(table, node, {})
                table = table.filter(table[name].fill_null(True))
        shares = {f"c{at}": _sum(expression(table, column).notnull()) for at, column in enumerate(needed)}
        row = _first(table.aggregate(n=table.count(), **shares))
        total += row["n"]
        for at, column in enumerate(needed):
            known[column] += row[f"c{at}"] or 0
    return total, tuple((column, round(count / total, 4) if total else 0.0) for column, count in known.items())


def _instant(micros: int | None) -> str | None:
    if micros is None:
        return None
    return datetime.fromtimestamp(micros // 1_000_000, UTC).isoformat().replace("+00:00", "Z")
