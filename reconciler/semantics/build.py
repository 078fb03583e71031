"""A tree as functions: what the live engine runs for every event (semantics.md D.1, D.7).

Compiled once per policy, so that an event costs calls and no walk over the tree. Stateless parts are functions of the
event; stateful ones are trackers that are shown the event first and asked after.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from operator import attrgetter
from typing import Any, Final, assert_never
from zoneinfo import ZoneInfo

from reconciler.semantics.ast import (
    Age,
    And,
    Baseline,
    Cmp,
    Count,
    Distinct,
    Gap,
    Is,
    Key,
    Lift,
    LocalTime,
    Node,
    Not,
    Null,
    Op,
    Or,
    Prev,
    Seen,
    Sum,
    Sure,
)
from reconciler.semantics.events import Event
from reconciler.semantics.history import Bucketed, Previous, Since, Tracker
from reconciler.semantics.limits import make_limit_of, most_of
from reconciler.semantics.predicates import predicate
from reconciler.semantics.windows import Different, KeyOf, Sliding, Test, Total, Tumbling

_OPS: Final[Mapping[Op, Callable[[Any, Any], bool]]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "=": operator.eq,
}
_MINUTE_US: Final = 60_000_000
#: In a key, actions are compared as everywhere (semantics.md B.2).
_COMPARED: Final = {"action": "action_key"}


def build(node: Node, trackers: dict[Node, Tracker]) -> Test:
    """Return the test of a node; what has to see the events first is added to *trackers*, once per node."""
    match node:
        case And(nodes):
            return _all([build(each, trackers) for each in nodes])
        case Or(nodes):
            return _any([build(each, trackers) for each in nodes])
        case Not(inner):
            return _not(build(inner, trackers))
        case Sure(inner):
            test = build(inner, trackers)
            return lambda event: test(event) is True
        case Lift():
            return _lift(node)
        case Cmp(column, op, value):
            return _cmp(attrgetter(column), _OPS[op], value)
        case Is(column):
            return attrgetter(column)
        case Null(column):
            get = attrgetter(column)
            return lambda event: get(event) is None
        case LocalTime():
            return _local_time(node)
        case Count() | Sum() | Distinct() | Prev() | Age() | Gap() | Seen() | Baseline():
            tracker = trackers.setdefault(node, _tracker(node))
            return lambda event: tracker.value
        case _:
            assert_never(node)


# --------------------------------------------------------------------------------------------- stateless


def _all(tests: list[Test]) -> Test:
    def every(event: Event) -> bool | None:
        truth: bool | None = True
        for test in tests:
            value = test(event)
            if value is None:
                truth = None
            elif not value:
                return False
        return truth

    return every


def _any(tests: list[Test]) -> Test:
    def some(event: Event) -> bool | None:
        truth: bool | None = False
        for test in tests:
            value = test(event)
            if value:
                return True
            if value is None:
                truth = None
        return truth

    return some


def _not(test: Test) -> Test:
    def negated(event: Event) -> bool | None:
        value = test(event)
        return None if value is None else not value

    return negated


def _cmp(get: Callable[[Event], Any], compare: Callable[[Any, Any], bool], constant: float) -> Test:
    def compared(event: Event) -> bool | None:
        value = get(event)
        return None if value is None else compare(value, constant)

    return compared


def _lift(node: Lift) -> Test:
    holds = predicate(node)
    get = attrgetter(*node.columns)
    if len(node.columns) == 1:

        def one(event: Event) -> bool | None:
            value = get(event)
            return None if value is None else holds(value)

        return one

    def several(event: Event) -> bool | None:
        values = get(event)
        return None if None in values else holds(*values)

    return several


def _local_time(node: LocalTime) -> Test:
    zone, minutes = ZoneInfo(node.zone), int(node.minutes, 16)

    @lru_cache(maxsize=4096)
    def holds(minute: int) -> bool:
        local = datetime.fromtimestamp(minute * 60, UTC).astimezone(zone)
        return bool(minutes >> (local.weekday() * 1440 + local.hour * 60 + local.minute) & 1)

    return lambda event: holds(event.ts_us // _MINUTE_US)


# ---------------------------------------------------------------------------------------------- stateful


def _tracker(node: Count | Sum | Distinct | Prev | Age | Gap | Seen | Baseline) -> Tracker:
    key_of = _key_of(node.key)
    match node:
        case Count(limit=limit, where=where):
            inner: dict[Node, Tracker] = {}
            test = None if where is None else build(where, inner)
            if inner:
                raise ValueError("what counts may not itself look back")
            limit_of = make_limit_of(limit, follows_actor="actor_id" in node.key)
            if node.tumbling:
                return Tumbling(node, key_of, limit_of, test)
            return Sliding(node, key_of, limit_of, most_of(limit), test)
        case Sum(column=column):
            return Total(node, key_of, attrgetter(column))
        case Distinct(column=column):
            return Different(node, key_of, attrgetter(column))
        case Prev(column=column):
            return Previous(node, key_of, attrgetter(column))
        case Age(op=op, span_us=span):
            compare, least = _OPS[op], span
            return Since(key_of, lambda now, first, last, count: compare(now - first, least))
        case Gap(op=op, span_us=span):
            compare, least = _OPS[op], span
            return Since(key_of, lambda now, first, last, count: count > 0 and compare(now - last, least))
        case Seen(op=op, count=several):
            compare, least = _OPS[op], several
            return Since(key_of, lambda now, first, last, count: compare(count, least))
        case Baseline():
            return Bucketed(node, key_of)
        case _:
            assert_never(node)


def _key_of(key: Key) -> KeyOf:
    if not key:
        return lambda event: ()
    get = attrgetter(*(_COMPARED.get(column, column) for column in key))
    if len(key) == 1:
        return get

    def several(event: Event) -> tuple[object, ...] | None:
        values: tuple[object, ...] = get(event)
        return None if None in values else values

    return several
