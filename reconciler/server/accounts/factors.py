"""The second factor: an authenticator's codes (TOTP, RFC 6238), each good once, and recovery codes when it is lost.

The secret stands in the database as it is, since codes are reckoned from it; recovery codes stand there as hashes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa

from reconciler.server.accounts.sessions import close_sessions
from reconciler.server.credentials import (
    find_step,
    hash_token,
    make_recovery_codes,
    make_secret,
    secret_uri,
)
from reconciler.server.replies import ApiError
from reconciler.server.store import Store
from reconciler.server.tables import recovery_codes, second_factors

ISSUER: Final = "reconciler"
RECOVERY_CODES: Final = 10


@dataclass(frozen=True, slots=True)
class Enrolment:
    """What is shown once: the secret to type, and the same as the address an authenticator reads."""

    secret: str
    uri: str


def start_enrolment(connection: sa.Connection, store: Store, user_id: str, email: str) -> Enrolment:
    """Make a secret for this account, in place of one that was never confirmed. No login asks for it yet.

    409 when a factor is confirmed already: it has to be removed first.
    """
    if is_enrolled(connection, user_id):
        raise ApiError(409, "A second factor is set up already")
    secret = make_secret()
    connection.execute(second_factors.delete().where(second_factors.c.user_id == user_id))
    row = {"user_id": user_id, "secret": secret, "confirmed": False, "last_step": 0}
    connection.execute(second_factors.insert().values(**row, created_at=store.timestamp()))
    return Enrolment(secret, secret_uri(secret, email, ISSUER))


def confirm_enrolment(
    connection: sa.Connection, store: Store, user_id: str, code: str, *, session_id: str | None = None
) -> tuple[str, ...] | None:
    """Turn the factor on by its first code, and return the recovery codes: the only time they are seen.

    None when the code is wrong or nothing was started. The account's sessions end, but the one with *session_id*.
    """
    if is_enrolled(connection, user_id) or not _take_totp(connection, store, user_id, code, confirmed=False):
        return None
    connection.execute(second_factors.update().where(second_factors.c.user_id == user_id).values(confirmed=True))
    codes = make_recovery_codes(RECOVERY_CODES)
    connection.execute(recovery_codes.delete().where(recovery_codes.c.user_id == user_id))
    connection.execute(recovery_codes.insert(), [{"hash": _hash(user_id, each), "user_id": user_id} for each in codes])
    close_sessions(connection, user_id, but=session_id)
    return codes


def is_enrolled(connection: sa.Connection, user_id: str) -> bool:
    """Whether logins of this account need a code."""
    factor = (second_factors.c.user_id == user_id, second_factors.c.confirmed)
    return connection.execute(sa.select(second_factors.c.user_id).where(*factor)).first() is not None


def take_code(connection: sa.Connection, store: Store, user_id: str, code: str) -> bool:
    """Whether this is a code of the account's authenticator, or one of its recovery codes; it is used up then."""
    if _take_totp(connection, store, user_id, code, confirmed=True):
        return True
    mine = (recovery_codes.c.user_id == user_id, recovery_codes.c.hash == _hash(user_id, code))
    return connection.execute(recovery_codes.delete().where(*mine)).rowcount == 1


def count_recovery_codes(connection: sa.Connection, user_id: str) -> int:
    """How many recovery codes are left."""
    count = sa.select(sa.func.count()).select_from(recovery_codes).where(recovery_codes.c.user_id == user_id)
    return connection.execute(count).scalar_one()


def remove_factor(connection: sa.Connection, user_id: str) -> bool:
    """Turn the second factor off; False when there was none. Its recovery codes go with it."""
    connection.execute(recovery_codes.delete().where(recovery_codes.c.user_id == user_id))
    had = is_enrolled(connection, user_id)
    connection.execute(second_factors.delete().where(second_factors.c.user_id == user_id))
    return had


def _take_totp(connection: sa.Connection, store: Store, user_id: str, code: str, *, confirmed: bool) -> bool:
    factor = (second_factors.c.user_id == user_id, second_factors.c.confirmed == confirmed)
    row = connection.execute(sa.select(second_factors).where(*factor)).first()
    digits = re.sub(r"[ -]", "", code)
    if row is None or not re.fullmatch("[0-9]{6}", digits):
        return False
    step = find_step(row.secret, digits, store.seconds(), after=row.last_step)
    if step is None:
        return False
    connection.execute(second_factors.update().where(*factor).values(last_step=step))
    return True


def _hash(user_id: str, code: str) -> str:
    """Of one account: two accounts may have one code. Blanks, hyphens and capitals do not count."""
    return hash_token(f"{user_id} {re.sub(r'[ -]', '', code).lower()}")
