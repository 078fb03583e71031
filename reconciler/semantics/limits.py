"""Who is allowed how many: overrides, tiers of trust, backing off (semantics.md B.8)."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from decimal import Decimal, localcontext
from functools import lru_cache
from typing import Final, TypeAlias

from reconciler.semantics.ast import Adaptive, Limit
from reconciler.semantics.events import Event
from reconciler.semantics.matching import matcher

#: Steps of backing off, at most; a factor that needs more to reach its minimum is refused.
MOST_STEPS: Final = 10_000
#: Returns the limit of an event after so many windows in a row that exceeded the base; at `BASE`, the base.
LimitOf: TypeAlias = Callable[[Event, int], int]
BASE: Final = -1


def most_of(limit: Limit) -> int:
    """Return the largest limit anybody has."""
    return max(limit.base, *(each for _, each in (*limit.overrides, *limit.tiers)), 0)


def make_limit_of(limit: Limit, *, follows_actor: bool) -> LimitOf:
    """Return which limit holds for whom.

    An override is that actor's limit whatever its tier, and its base where the key follows the actor. No score counts
    as the lowest tier, a score under every tier as no tier.
    """
    adaptive, base = limit.adaptive, limit.base
    if not limit.overrides and not limit.tiers and adaptive is None:
        return lambda event, streak: base
    overrides = [(matcher([pattern]), each) for pattern, each in limit.overrides]
    scores, tiers = [score for score, _ in limit.tiers], [each for _, each in limit.tiers]

    @lru_cache(maxsize=4096)
    def override_of(actor: str) -> int | None:
        return next((each for fits, each in overrides if fits(actor)), None)

    def tier_of(score: float | None) -> int:
        at = 1 if score is None else bisect_right(scores, score)
        return tiers[at - 1] if at else base

    def limit_of(event: Event, streak: int) -> int:
        own = override_of(event.actor_id) if overrides else None
        if streak == BASE:
            return own if own is not None and follows_actor else base
        count = own if own is not None else tier_of(event.trust_score) if tiers else base
        if adaptive is None or streak == 0:
            return count
        steps = backed_off(count, adaptive)
        return steps[min(streak, len(steps) - 1)]

    return limit_of


@lru_cache(maxsize=1024)
def backed_off(count: int, adaptive: Adaptive) -> tuple[int, ...]:
    """Return max(m, floor(N·fᵏ)) for k = 0, 1, …, and never more than N, until it is m.

    Made once and used by every engine, so that none computes a power. The last one stands for all further windows.

    >>> backed_off(100, Adaptive("0.5", 20))
    (100, 50, 25, 20)
    """
    steps = [count]
    with localcontext(prec=60):
        exact, factor = Decimal(count), Decimal(adaptive.factor)
        while steps[-1] > adaptive.minimum and len(steps) <= MOST_STEPS:
            exact *= factor
            steps.append(max(adaptive.minimum, int(exact)))
    return tuple(steps)
