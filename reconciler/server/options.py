"""What whoever starts the server chooses; the defaults are the documented server."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """One field for each choice of `reconciler serve`, named as its flag."""

    neosc_crud: bool = False
    rate_limit: int = 0  # requests a minute for each token; 0: as many as there are
