"""Tokens, passwords and codes as values: made, hashed, compared.

Whom they belong to is `accounts/`, how a request shows them `auth.py`.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import threading
from typing import Final

import pyotp

#: How long a password is that somebody chooses. The longest bounds what a login has to hash.
MIN_PASSWORD: Final = 12
MAX_PASSWORD: Final = 1024

#: N, r and p of scrypt.
Cost = tuple[int, int, int]
#: 16 MiB and five passes: one of OWASP's equal choices, the one that needs least memory.
COST: Final[Cost] = (2**14, 8, 5)
#: More at once would only take each other's memory.
_AT_ONCE: Final = threading.BoundedSemaphore(4)

#: A code of an authenticator is good for so many seconds (RFC 6238).
STEP_SECONDS: Final = 30


def make_token() -> str:
    """A new bearer token: 43 URL-safe characters, 256 bits, unlike any other."""
    return secrets.token_urlsafe(32)


def hash_token(token: str) -> str:
    """The form a token is stored in. A random token has nothing to guess, so one fast hash is enough."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


# ---------------------------------------------------------------------------------------------- passwords


def make_password() -> str:
    """A password to show once: 20 characters, 100 bits, none that looks like another."""
    return _letters(4, 5)


def hash_password(password: str, cost: Cost = COST) -> str:
    """The form a password is stored in: scrypt with its own salt, parameters in front."""
    salt = secrets.token_bytes(16)
    return "$".join(("scrypt", *map(str, cost), _text(salt), _text(_scrypt(password, salt, cost))))


def is_password(password: str, stored: str | None, cost: Cost = COST) -> bool:
    """Whether *password* made *stored*; takes as long (*cost*) for an account that has none, or is not there."""
    if stored is None:
        _scrypt(password, bytes(16), cost)
        return False
    cost, salt, wanted = _parse(stored)
    return hmac.compare_digest(_scrypt(password, salt, cost), wanted)


def is_outdated(stored: str, cost: Cost = COST) -> bool:
    """Whether *stored* was made at another cost than today's; the next login is the time to make it anew."""
    return _parse(stored)[0] != cost


def _parse(stored: str) -> tuple[Cost, bytes, bytes]:
    _, n, r, p, salt, made = stored.split("$")
    return (int(n), int(r), int(p)), base64.b64decode(salt), base64.b64decode(made)


def _scrypt(password: str, salt: bytes, cost: Cost) -> bytes:
    n, r, p = cost
    with _AT_ONCE:
        return hashlib.scrypt(
            password.encode("utf-8", "surrogatepass"), salt=salt, n=n, r=r, p=p, maxmem=256 * n * r + 2**20
        )


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


# -------------------------------------------------------------------------------------------------- codes


def make_secret() -> str:
    """What an authenticator and we both know: 160 bits in Base32."""
    return pyotp.random_base32(32)


def secret_uri(secret: str, email: str, issuer: str) -> str:
    """The `otpauth://` address an authenticator takes, usually as a picture."""
    return pyotp.TOTP(secret, interval=STEP_SECONDS).provisioning_uri(name=email, issuer_name=issuer)


def find_step(secret: str, code: str, now: float, *, after: int) -> int | None:
    """The step whose code this is: this one, the one before or the next, and later than *after*. None for any other.

    A clock may be half a minute wrong. Whoever keeps the step and asks for later ones only takes no code twice.
    """
    totp, current = pyotp.TOTP(secret, interval=STEP_SECONDS), int(now // STEP_SECONDS)
    found = None
    for step in (current - 1, current, current + 1):
        is_same = hmac.compare_digest(totp.generate_otp(step).encode(), code.encode("utf-8", "surrogatepass"))
        found = step if is_same and step > after else found
    return found


def make_recovery_codes(count: int) -> tuple[str, ...]:
    """Codes for the day the authenticator is lost: 16 characters each, 80 bits, so one fast hash is enough."""
    return tuple(_letters(4, 4) for _ in range(count))


def _letters(groups: int, size: int) -> str:
    """Random groups of Base32 letters, a hyphen between."""
    alphabet = "abcdefghijkmnpqrstuvwxyz23456789"  # no l, o, 0, 1
    return "-".join("".join(secrets.choice(alphabet) for _ in range(size)) for _ in range(groups))
