"""What a stateful node means, as plainly as possible: look at all events so far, every time (semantics.md B.2, B.8).

Slow and without state, so that it shares no mistake with the deques and counters that it is compared with.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from math import floor
from typing import Any

from reconciler.semantics.ast import Age, Baseline, Count, Distinct, Gap, Node, Prev, Seen, Sum
from reconciler.semantics.events import Event


def truth(node: Node, events: Sequence[Event]) -> bool | None:
    """The truth of *node* at the last of *events*, all of which it counts."""
    last = events[-1]
    key = getattr(node, "key", ())
    if any(getattr(last, column) is None for column in key):
        return None
    mine = [event for event in events if key_of(event, key) == key_of(last, key)]
    match node:
        case Count(window_us=window, tumbling=False, limit=limit):
            return len(inside(mine, window)) > limit.base
        case Count(window_us=window, limit=limit):
            start = last.ts_us // window * window
            now = [event for event in mine if start <= event.ts_us]
            streak = 0
            while exceeds(mine, start - (streak + 1) * window, window, limit.base):
                streak += 1
            most = limit.base
            if limit.adaptive is not None:
                factor = Fraction(Decimal(limit.adaptive.factor)) ** streak
                most = min(most, max(limit.adaptive.minimum, floor(most * factor)))
            return len(now) > most
        case Sum(window_us=window, column=column, least=least):
            return sum(getattr(event, column) or 0 for event in inside(mine, window)) >= least
        case Distinct(window_us=window, column=column, most=most):
            return len({getattr(event, column) for event in inside(mine, window)} - {None}) > most
        case Prev(column=column):
            return previous(mine, column)
        case Age(span_us=span):
            return last.ts_us - mine[0].ts_us >= span
        case Gap(span_us=span):
            return len(mine) > 1 and last.ts_us - mine[-2].ts_us > span
        case Seen(count=least):
            return len(mine) - 1 >= least
        case Baseline(bucket_us=bucket, buckets=buckets, p=p, q=q):
            start = last.ts_us // bucket * bucket
            counts = [count(mine, start - back * bucket, bucket) for back in range(1, buckets + 1)]
            far = buckets * count(mine, start, bucket) - sum(counts)
            spread = buckets * sum(each * each for each in counts) - sum(counts) ** 2
            return far > 0 and far * far * q * q > p * p * spread
        case _:
            raise AssertionError(node)


def key_of(event: Event, key: tuple[str, ...]) -> tuple[Any, ...]:
    return tuple(event.action.lower() if column == "action" else getattr(event, column) for column in key)


def inside(events: Sequence[Event], window: int) -> list[Event]:
    now = events[-1].ts_us
    return [event for event in events if now - window < event.ts_us <= now]


def count(events: Sequence[Event], start: int, width: int) -> int:
    return sum(start <= event.ts_us < start + width for event in events)


def exceeds(events: Sequence[Event], start: int, width: int, most: int) -> bool:
    return count(events, start, width) > most


def previous(events: Sequence[Event], column: str) -> bool | None:
    *before, last = [getattr(event, column) for event in events]
    known = [value for value in before if value is not None]
    if last is None:
        return None
    return bool(known) and known[-1] != last
