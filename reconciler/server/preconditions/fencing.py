"""Fencing tokens: a request that names a lock is refused once somebody else took that lock after its sender.

The lock's time may run out while its holder sleeps; its token does not lie: each taking gets a greater one, and a
request with a smaller one comes from the past (reliability.md F33).
"""

from __future__ import annotations

import re
from typing import Final

import sqlalchemy as sa

from reconciler.server.auth import Asked
from reconciler.server.preconditions.tables import locks
from reconciler.server.replies import ApiError

HEADER: Final = "X-Fencing-Token"
NAME: Final = "[a-z0-9][a-z0-9-]{0,63}"
_FENCE: Final = re.compile(rf"({NAME})=([1-9][0-9]{{0,14}})")


def read_fence(asked: Asked) -> tuple[str, int] | None:
    """The lock and the token a request names, `prod=17`; None without the header, 400 for one that cannot be read."""
    values = asked.request.headers.getlist(HEADER)
    if not values:
        return None
    found = _FENCE.fullmatch(values[0]) if len(values) == 1 else None
    if found is None:
        raise ApiError(400, f"{HEADER} must be a lock's name and token, like prod=17")
    return found[1], int(found[2])


def check_fence(connection: sa.Connection, asked: Asked) -> None:
    """Refuse with 412 a request whose token is not the newest of the lock it names."""
    fence = read_fence(asked)
    if fence is None:
        return
    name, token = fence
    newest = connection.execute(
        sa.select(locks.c.token).where(locks.c.organization == asked.caller.organization, locks.c.name == name)
    ).scalar()
    if newest != token:
        raise ApiError(412, f"Fencing token {token} is not the newest of lock {name}")
