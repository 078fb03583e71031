"""What whoever starts the server chooses; the defaults are the documented server."""

from __future__ import annotations

from dataclasses import dataclass

from reconciler.semantics.decide import Composition
from reconciler.semantics.shared import PLAIN_DATA, Data


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """One field for each choice of `reconciler serve`, named as its flag."""

    neosc_crud: bool = False
    quirks: frozenset[str] = frozenset()  # published servers to behave like: neosc, aim, aim:a1 …
    rate_limit: int = 0  # requests a minute for each token; 0: as many as there are
    sample: float = 1.0  # the share of evaluations that are recorded, of those that nobody would miss
    alert_webhook: str | None = None  # where alerts are posted
    retain: tuple[str, ...] = ()  # what of the trail is kept for how long: KIND=DAYS, KIND=forever
    # Without a flag: how scores are scaled, what reinstates (semantics.md B.2, B.5), and AIM's way to compose (B.4).
    data: Data = PLAIN_DATA
    composition: Composition = Composition.DENY_OVERRIDES
