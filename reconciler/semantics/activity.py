"""Activity out of the ordinary, and data on its way out (semantics.md B.9, B.10)."""

from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction
from typing import Final

from reconciler.semantics.ast import Age, Baseline, Count, Distinct, Lift, Limit, Node, Not, Seen, Sum
from reconciler.semantics.keys import MINUTE_US, Keys
from reconciler.semantics.nodes import all_of
from reconciler.semantics.program import Clause
from reconciler.semantics.shared import Context, Meaning, local_time, must_find

_ACTOR: Final = ("actor_id",)
_BUSINESS: Final = ("business_days", "business_hours_start", "business_hours_end")
_MIB: Final = 1_048_576
_LONGEST_MINUTES: Final = 129_600


def unusual_activity(context: Context) -> Meaning:
    """Too many calls, calls outside business hours, too many types of resources, or far above the actor's own past.

    An actor that is too young or has done too little is not judged.
    """
    keys = context.keys
    window = _window(keys)
    clauses: list[Clause] = []
    threshold = keys.whole("api_rate_threshold")
    by_action = keys.choice("rate_scope", ("action", "all"), "action") == "action"
    if threshold is not None:
        key = ("actor_id", "action") if by_action else _ACTOR
        clauses.append(must_find("api_rate_threshold", Count(key, window, Limit(threshold))))
    business = local_time(keys, keys.zone(context.zone), _BUSINESS, (8, 18))
    if keys.flag("check_off_hours") and business is not None:
        clauses.append(must_find("check_off_hours", Not(business)))
    most = keys.whole("unusual_pattern_threshold")
    if keys.flag("check_unusual_patterns"):
        distinct = Distinct(_ACTOR, window, "kind", 5 if most is None else most)
        clauses.append(must_find("check_unusual_patterns", distinct))
    baseline = _baseline(keys)
    if baseline is not None:
        clauses.append(must_find("baseline", baseline))
    return Meaning(tuple(clauses), ready=_ready(keys))


def data_exfiltration(context: Context) -> Meaning:
    """A telling name in action or resource, or as many bytes in the window as the threshold, this answer included."""
    keys = context.keys
    clauses: list[Clause] = []
    if patterns := keys.texts("patterns"):
        clauses.append(must_find("patterns", Lift("mentions", ("action", "resource"), (patterns,))))
    threshold = keys.number("data_threshold_mb", high=1_000_000_000)
    window = (keys.whole("time_window_mins", low=1, high=_LONGEST_MINUTES) or 60) * MINUTE_US
    if threshold is not None:
        least = math.ceil(Fraction(threshold) * _MIB)
        clauses.append(must_find("data_threshold_mb", Sum(_ACTOR, window, "bytes", least)))
    return Meaning(tuple(clauses))


def _window(keys: Keys) -> int:
    """One window under two keys: minutes as a number, or a duration."""
    names = ("time_window_minutes", "time_window")
    if len(keys.present(names)) == 2:
        keys.take(*names)  # says that they are two spellings of one key
        return MINUTE_US
    minutes = keys.whole(names[0], low=1, high=_LONGEST_MINUTES)
    return keys.span(names[1]) or (60 if minutes is None else minutes) * MINUTE_US


def _ready(keys: Keys) -> Node | None:
    nodes: list[Node] = []
    age, events = keys.span("min_agent_age"), keys.whole("min_events")
    if age is not None:
        nodes.append(Age(_ACTOR, ">=", age))
    if events:
        nodes.append(Seen(_ACTOR, ">=", events))
    return all_of(tuple(nodes))


def _baseline(keys: Keys) -> Baseline | None:
    if not keys.has("baseline"):
        return None
    table = keys.under("baseline")
    buckets, bucket = table.whole("buckets", low=2, high=10_000), table.span("bucket")
    sigma: Decimal | None = table.number("sigma", high=1000)
    table.finish()
    if not table.faults and (buckets is None or bucket is None or sigma is None):
        table.fault("", "is not whole", "write buckets, bucket and sigma", "missing-key")
    keys.merge(table)
    if buckets is None or bucket is None or sigma is None:
        return None
    ratio = Fraction(sigma)
    return Baseline(_ACTOR, bucket, buckets, ratio.numerator, ratio.denominator)
