"""Rate limits: windows, keys, bursts, overrides, tiers, backing off (semantics.md B.8)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from typing import Final

from reconciler.core.globs import parse_pattern
from reconciler.core.rates import PER
from reconciler.semantics.ast import Adaptive, Count, Key, Limit, Node, Not, Null
from reconciler.semantics.keys import Keys
from reconciler.semantics.limits import MOST_STEPS, backed_off
from reconciler.semantics.program import Effect
from reconciler.semantics.shared import Context, Data, Meaning, must_find, scaled

#: Whose events count together.
KEYS: Final[Mapping[str, Key]] = {
    "actor": ("actor_id",),
    "actor_action": ("actor_id", "action"),
    "actor_resource": ("actor_id", "resource"),
    "source_ip": ("source_ip",),
    "tenant": ("tenant",),
    "global": (),
}
_MOST_TIERS: Final = 8
_MOST_OVERRIDES: Final = 1000
_SECOND_US: Final = 1_000_000


def rate_limit(context: Context) -> Meaning:
    """More events of a key in the window than the limit; attempts count whether they were blocked or not.

    An event without the column that is the key is none of this policy's.
    """
    keys = context.keys
    name, count, window = _stated(keys)
    tumbling = keys.choice("window_type", ("sliding", "tumbling"), "sliding") == "tumbling"
    key = KEYS[keys.choice("key", KEYS, "actor")]
    limit = Limit(count, _overrides(keys), _tiers(keys, count, context.data))
    limit = replace(limit, adaptive=_adaptive(keys, limit, tumbling=tumbling))
    clauses = [must_find(name, Count(key, window, limit, tumbling))]
    burst, burst_window = keys.whole("burst_limit"), keys.span("burst_window") or _SECOND_US
    if burst is not None:
        clauses.append(must_find("burst_limit", Count(key, burst_window, Limit(burst))))
    nullable = [column for column in key if column in ("source_ip", "tenant")]
    applies: Node | None = Not(Null(nullable[0])) if nullable else None
    return Meaning(tuple(clauses), applies=applies, effect=Effect.THROTTLE)


def _stated(keys: Keys) -> tuple[str, int, int]:
    """The key that states the limit, the limit, and its window; nothing is ever rescaled silently."""
    stated = keys.present((*PER, "max_requests"))
    size = keys.span("window_size")
    if len(stated) != 1:
        keys.fault(
            stated[1] if stated else "max_requests",
            "is a second limit" if stated else "is not there, and no other limit is",
            "write exactly one limit",
            "rule-conflict",
        )
        return "max_requests", 0, _SECOND_US
    name = stated[0]
    count = keys.whole(name) or 0
    if name in PER:
        window = PER[name] * 1000
        if size not in (None, window):
            keys.fault("window_size", f"is not the window of {name}", "remove it", "rule-conflict")
        return name, count, window
    if size is None and not keys.has("window_size"):
        keys.fault("max_requests", "needs window_size", "write window_size, for example 1h", "rule-conflict")
    return name, count, size or _SECOND_US


def _overrides(keys: Keys) -> tuple[tuple[str, int], ...]:
    table = keys.under("overrides")
    limits = [(pattern, table.whole(pattern)) for pattern in table.everything()]
    if len(limits) > _MOST_OVERRIDES:
        table.fault("", "has too many entries", f"write at most {_MOST_OVERRIDES}")
    for pattern, _ in limits:
        if parse_pattern(pattern, resource=False) is None:
            table.fault(pattern[:100], "is no pattern", "write 1 to 512 characters")
    keys.merge(table)
    return tuple((pattern, limit) for pattern, limit in limits if limit is not None)


def _tiers(keys: Keys, base: int, data: Data) -> tuple[tuple[float, int], ...]:
    found: dict[Decimal, int] = {}
    for tier in keys.objects("trust_tiers", _MOST_TIERS):
        score, factor = tier.number("min_trust_score", high=100), tier.number("multiplier", high=1_000_000)
        tier.finish()
        if not tier.faults and (score is None or factor is None):
            tier.fault("", "is no tier", "write min_trust_score and multiplier", "missing-key")
        elif score in found:
            tier.fault("min_trust_score", "is another tier's, too", "keep one of them", "rule-conflict")
        keys.merge(tier)
        if score is not None and factor is not None:
            found[score] = int(base * Fraction(factor))
    return tuple((scaled(score, "percent", data.trust_scale), found[score]) for score in sorted(found))


def _adaptive(keys: Keys, limit: Limit, *, tumbling: bool) -> Adaptive | None:
    if not keys.has("adaptive"):
        return None
    table = keys.under("adaptive")
    factor, least = table.number("backoff_factor", high=1), table.whole("min_requests", low=1)
    table.finish()
    if not table.faults and (factor is None or least is None):
        table.fault("", "is not whole", "write backoff_factor and min_requests", "missing-key")
    if factor is not None and not 0 < factor < 1:
        table.fault("backoff_factor", "is not between 0 and 1", "write for example 0.5", "out-of-range")
    if not tumbling:
        table.fault("", "needs window_type: tumbling", "write window_type: tumbling", "rule-conflict")
    keys.merge(table)
    if table.faults or factor is None or least is None:
        return None
    adaptive = Adaptive(str(factor), least)
    limits = {limit.base, *(each for _, each in (*limit.overrides, *limit.tiers))}
    if any(len(backed_off(each, adaptive)) > MOST_STEPS for each in limits):
        table.fault("backoff_factor", f"takes over {MOST_STEPS} windows to back off", "write a smaller one")
        keys.faults.append(table.faults[-1])
    return adaptive
