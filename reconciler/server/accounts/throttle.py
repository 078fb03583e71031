"""How often somebody may be wrong: five times in five minutes for an account, fifty for an address.

An attempt is counted before it is judged, so that many at once are no way around; a right one is forgiven.
"""

from __future__ import annotations

import hashlib
import math
from typing import Final

import sqlalchemy as sa

from reconciler.server.replies import ApiError
from reconciler.server.store import Store
from reconciler.server.tables import login_failures

WINDOW: Final = 300.0
PER_ACCOUNT: Final = 5
PER_ADDRESS: Final = 50

_at, _account, _address = login_failures.c.at, login_failures.c.account, login_failures.c.address


def count_attempt(store: Store, account: str, address: str) -> None:
    """Count an attempt on *account* (any text that names one) from *address*; 429 when there were too many.

    A refused attempt is not counted: the account is free again when `Retry-After` says.
    """
    now, named = store.seconds(), _hash(account)
    with store.write() as connection:
        connection.execute(login_failures.delete().where(sa.or_(_at <= now - WINDOW, _at > now)))
        of_account, of_address = (
            connection.execute(sa.select(_at).where(which).order_by(_at)).scalars().all()
            for which in (_account == named, _address == address[:64])
        )
        waits = [
            times[-most] + WINDOW - now
            for times, most in ((of_account, PER_ACCOUNT), (of_address, PER_ADDRESS))
            if len(times) >= most
        ]
        if not waits:
            connection.execute(login_failures.insert().values(account=named, address=address[:64], at=now))
    if waits:
        raise ApiError(
            429, "Too many attempts. Please try again later.", {"Retry-After": str(max(1, math.ceil(max(waits))))}
        )


def forgive(connection: sa.Connection, account: str) -> None:
    """Forget the attempts on *account*: the last one was right."""
    connection.execute(login_failures.delete().where(_account == _hash(account)))


def forgive_last(connection: sa.Connection, account: str) -> None:
    """Forget only the last attempt: it was neither right nor wrong."""
    last = sa.select(sa.func.max(login_failures.c.seq)).where(_account == _hash(account)).scalar_subquery()
    connection.execute(login_failures.delete().where(login_failures.c.seq == last))


def _hash(account: str) -> str:
    return hashlib.sha256(account.encode("utf-8", "surrogatepass")).hexdigest()
