"""The lift: a predicate in Python, asked once for each distinct value, never for each event (semantics.md D.2).

So both engines run the same function, and no dialect's regular expressions, collations or address types decide.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from itertools import groupby
from operator import eq, ge, gt, le, lt
from typing import Any, Final, TypeAlias
from zoneinfo import ZoneInfo

import ibis
import ibis.expr.types as ir
from ibis.util import gen_name

from reconciler.errors import ReconcilerError
from reconciler.impact.columns import decoder, expression, is_unknown, negated
from reconciler.impact.kinds import stored_name
from reconciler.impact.known import Known
from reconciler.semantics.ast import DERIVED, Lift, LocalTime
from reconciler.semantics.predicates import predicate

#: More distinct values than this are not fetched.
MOST_VALUES: Final = 2_000_000
#: Up to here a list stands in the query; a longer one is joined.
MOST_LITERALS: Final = 256
_MINUTE_US: Final = 60_000_000
_Truths: TypeAlias = "list[tuple[tuple[Any, ...], bool | None]]"


class Values:
    """What is asked of an events table once: its distinct values, and what was made of it on the way.

    *known* answers for the table where it can.
    """

    def __init__(self, events: ir.Table, known: Known | None = None) -> None:
        self.events = events
        self._known = known
        self._found: dict[tuple[str, ...], list[tuple[Any, ...]]] = {}
        self._truths: dict[Lift, _Truths] = {}
        self._overview: tuple[int, int, int | None, int | None] | None = None

    def of(self, columns: tuple[str, ...]) -> list[tuple[Any, ...]]:
        """Return every combination of stored values without a null; raises ReconcilerError where they are too many."""
        if columns not in self._found:
            self._found[columns] = self._listed(columns) or self._distinct(columns)
        return self._found[columns]

    def _listed(self, columns: tuple[str, ...]) -> list[tuple[Any, ...]] | None:
        """The values of one stored column as they were written down; None for anything else."""
        name = _stored(columns[0])
        if self._known is None or len(columns) != 1 or name is None:
            return None
        values = self._known.values(name)
        return None if values is None else [(value,) for value in values]

    def _distinct(self, columns: tuple[str, ...]) -> list[tuple[Any, ...]]:
        named = {f"v{index}": expression(self.events, column) for index, column in enumerate(columns)}
        several = self.events.select(**named).drop_null(list(named)).distinct().limit(MOST_VALUES + 1)
        arrow = several.to_pyarrow()
        if arrow.num_rows > MOST_VALUES:
            raise ReconcilerError(
                f"{' and '.join(columns)} have more than {MOST_VALUES} different values",
                where="events",
                fix="replay fewer days at once",
                code="impact-values",
            )
        return list(zip(*(column.to_pylist() for column in arrow.columns), strict=True))

    def truths(self, lift: Lift) -> _Truths:
        """Return what the predicate says of each distinct combination; None for one that cannot be read."""
        if lift not in self._truths:
            holds = predicate(lift)
            decoders = [decoder(column) for column in lift.columns]
            self._truths[lift] = [(row, _ask(holds, decoders, row)) for row in self.of(lift.columns)]
        return self._truths[lift]

    def keep(self, table: ir.Table) -> Any:
        """Return the rows of a relation as a temporary table of the same engine, so that they are computed once.

        It goes with the connection.
        """
        engine, name = self.events.get_backend(), gen_name("kept")
        if engine.name != "pyspark":
            return engine.create_table(name, table, schema=table.schema(), temp=True)
        engine.create_view(f"{name}_asked", table)  # Spark has no temporary tables, and what it caches it plans anew
        rows = engine.raw_sql(f"SELECT * FROM `{name}_asked`").localCheckpoint()  # noqa: S608 # nosec B608 - a name of ours
        rows.createOrReplaceTempView(name)
        return engine.table(name)

    @property
    def span(self) -> tuple[int, int] | None:
        """The first and the last instant in the table; None when it is empty."""
        _, _, low, high = self.overview
        return None if low is None or high is None else (low, high)

    @property
    def overview(self) -> tuple[int, int, int | None, int | None]:
        """How many events and actors there are, and the first and the last instant."""
        if self._overview is None:
            actors = None if self._known is None else self._listed(("actor_id",))
            if self._known is not None and actors is not None:
                self._overview = (self._known.events, len(actors), self._known.first_us, self._known.last_us)
            else:
                self._overview = self._counted()
        return self._overview

    def _counted(self) -> tuple[int, int, int | None, int | None]:
        t = self.events
        asked = t.aggregate(n=t.count(), actors=t.actor_id.nunique(), low=t.ts_us.min(), high=t.ts_us.max())
        (row,) = asked.to_pyarrow().to_pylist()
        low, high = (None if row[name] is None else int(row[name]) for name in ("low", "high"))
        return int(row["n"]), int(row["actors"]), low, high


def _stored(column: str) -> str | None:
    """Under which name the values of a column stand in the table as they are asked for; None where they are made."""
    if column in ("wanted", "kind"):
        return None
    return DERIVED[column][0] if column in DERIVED else stored_name(column)


#: How a number is compared with a constant.
_OPS: Final[dict[str, Any]] = {"<": lt, "<=": le, ">": gt, ">=": ge, "=": eq}


def compare(op: str) -> Callable[[Any, Any], Any]:
    """Return the comparison that a tree calls *op*."""
    chosen: Callable[[Any, Any], Any] = _OPS[op]
    return chosen


def _ask(
    holds: Callable[..., bool], decoders: Sequence[Callable[[Any], Any] | None], row: tuple[Any, ...]
) -> bool | None:
    decoded = [value if decode is None else decode(value) for value, decode in zip(row, decoders, strict=True)]
    return None if None in decoded else bool(holds(*decoded))


def add_lift(table: ir.Table, lift: Lift, values: Values, name: str) -> ir.Table:
    """Return *table* with the truth of *lift* as the column *name*: true, false, or null where a value is missing."""
    if lift.test == "apart":
        later, earlier = (expression(table, column) for column in lift.columns)
        return table.mutate(**{name: later - earlier >= lift.arguments[0]})
    if lift.test == "mentions" and len(lift.columns) > 1:
        return _add_mentions(table, lift, values, name)
    truths = values.truths(lift)
    if len(lift.columns) == 1:
        few = _by_literals(expression(table, lift.columns[0]), truths)
        if few is not None:
            return table.mutate(**{name: few})
        return _join_shorter(table, expression(table, lift.columns[0]), truths, name)
    return _join_truths(table, [expression(table, column) for column in lift.columns], truths, name)


def _by_literals(column: ir.Value, truths: _Truths) -> ir.Value | None:
    """The truth as a list that stands in the query, of the values that are true or of those that are not; if short."""
    lists = {truth: [row[0] for row, each in truths if each is truth] for truth in (True, False, None)}
    listed = len(lists[True]) <= len(lists[False])
    if max(len(lists[listed]), len(lists[None])) > MOST_LITERALS:
        return None
    readable = column.notnull()
    if lists[None]:
        readable &= negated(column.isin(lists[None]))
    among = column.isin(lists[listed]) if lists[listed] else ibis.literal(False)
    return ibis.ifelse(readable, among if listed else negated(among), ibis.null("boolean"))


def _join_shorter(table: ir.Table, column: ir.Value, truths: _Truths, name: str) -> ir.Table:
    """The truth by a join with the values that are true, or with those that are not, whichever are fewer."""
    lists = {truth: [row[0] for row, each in truths if each is truth] for truth in (True, False, None)}
    listed = len(lists[True]) <= len(lists[False])
    value, told = f"{name}_v", f"{name}_t"
    known = ibis.memtable(
        {value: [*lists[listed], *lists[None]], told: [1] * len(lists[listed]) + [0] * len(lists[None])}
    )
    probe = table.mutate(**{f"{name}_p": column})
    joined = probe.left_join(known, probe[f"{name}_p"] == known[value])
    found = joined[told]
    nothing = joined[f"{name}_p"].isnull() | (found == 0).fill_null(False)
    truth = ibis.ifelse(nothing, ibis.null("boolean"), found.notnull() if listed else found.isnull())
    return joined.select(**{each: joined[each] for each in table.columns}, **{name: truth})


def _join_truths(table: ir.Table, columns: Sequence[ir.Value], truths: _Truths, name: str) -> ir.Table:
    """The truth by a join with the true and the false values; anything else, null among it, finds no partner."""
    told = [(row, truth) for row, truth in truths if truth is not None]
    if not told:
        return table.mutate(**{name: ibis.null("boolean")})
    keys = {f"{name}_v{index}": [row[index] for row, _ in told] for index in range(len(columns))}
    known = ibis.memtable({**keys, f"{name}_t": [truth for _, truth in told]})
    probe = table.mutate(**{f"{name}_p{index}": column for index, column in enumerate(columns)})
    on = [probe[f"{name}_p{index}"] == known[f"{name}_v{index}"] for index in range(len(columns))]
    joined = probe.left_join(known, on)
    kept = {column: joined[column] for column in table.columns}
    return joined.select(**kept, **{name: joined[f"{name}_t"]})


def _add_mentions(table: ir.Table, lift: Lift, values: Values, name: str) -> ir.Table:
    """Some of several columns mentions a text: one by one, since pairs of values would be many."""
    parts = [f"{name}_{index}" for index in range(len(lift.columns))]
    wide = table
    for part, column in zip(parts, lift.columns, strict=True):
        wide = add_lift(wide, Lift(lift.test, (column,), lift.arguments), values, part)
    known, holds = negated(is_unknown(wide[parts[0]])), wide[parts[0]]
    for part in parts[1:]:
        known, holds = known & negated(is_unknown(wide[part])), holds | wide[part]
    return wide.mutate(**{name: ibis.ifelse(known, holds, ibis.null("boolean"))}).drop(*parts)


# ---------------------------------------------------------------------------------------------- local time


def intervals_of(node: LocalTime, low_us: int, high_us: int) -> list[tuple[int, int]]:
    """Return the intervals [a, b) of UTC microseconds between two instants whose local minute is in the set.

    Zones are never converted by an engine: dialects lose them silently (semantics.md D.6).
    """
    zone, minutes = ZoneInfo(node.zone), int(node.minutes, 16)

    def holds(minute: int) -> bool:
        local = datetime.fromtimestamp(minute * 60, UTC).astimezone(zone)
        return bool(minutes >> (local.weekday() * 1440 + local.hour * 60 + local.minute) & 1)

    several = range(low_us // _MINUTE_US, high_us // _MINUTE_US + 1)
    found = []
    for truth, run in groupby(several, key=holds):
        members = list(run)
        if truth:
            found.append((members[0] * _MINUTE_US, (members[-1] + 1) * _MINUTE_US))
    return found


def add_local_time(table: ir.Table, node: LocalTime, values: Values, name: str) -> ir.Table:
    """Return *table* with the truth of *node*; never null."""
    intervals = intervals_of(node, *values.span) if values.span else []
    if len(intervals) <= MOST_LITERALS:
        each = [(table.ts_us >= start) & (table.ts_us < end) for start, end in intervals]
        return table.mutate(**{name: ibis.or_(*each) if each else ibis.literal(False)})
    minutes = [minute for start, end in intervals for minute in range(start // _MINUTE_US, end // _MINUTE_US)]
    known = ibis.memtable(
        {f"{name}_m": [minute * _MINUTE_US for minute in minutes], f"{name}_t": [True] * len(minutes)}
    )
    probe = table.mutate(**{f"{name}_p": table.ts_us - table.ts_us % _MINUTE_US})
    joined = probe.left_join(known, probe[f"{name}_p"] == known[f"{name}_m"])
    kept = {column: joined[column] for column in table.columns}
    return joined.select(**kept, **{name: joined[f"{name}_t"].fill_null(False)})
