"""Tokens and passwords as values: made, hashed, compared.

Whom they belong to is `store.py`, how a request shows them `auth.py`.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets

_N, _R, _P = 2**14, 8, 1


def make_token() -> str:
    """A new bearer token: 43 URL-safe characters, 256 bits, unlike any other."""
    return secrets.token_urlsafe(32)


def hash_token(token: str) -> str:
    """The form a token is stored in. A random token has nothing to guess, so one fast hash is enough."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def hash_password(password: str) -> str:
    """The form a password is stored in: scrypt with its own salt, parameters in front."""
    salt = secrets.token_bytes(16)
    return "$".join(("scrypt", _text(salt), _text(_scrypt(password, salt))))


def is_password(password: str, stored: str | None) -> bool:
    """Whether *password* made *stored*; takes as long for an account that has none, or is not there."""
    _, salt, wanted = (stored or _NOBODY).split("$")
    same = hmac.compare_digest(_scrypt(password, base64.b64decode(salt)), base64.b64decode(wanted))
    return same and stored is not None


def _scrypt(password: str, salt: bytes) -> bytes:
    return hashlib.scrypt(password.encode(), salt=salt, n=_N, r=_R, p=_P)


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


_NOBODY = f"scrypt${_text(bytes(16))}${_text(bytes(64))}"
