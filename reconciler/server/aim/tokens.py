"""AIM's tokens: JWT signed with HS256, good for 24 hours, believed without looking anybody up.

The key is made when the server starts, so a restart ends every token, as one without `JWT_SECRET` does.
"""

from __future__ import annotations

import base64
import hmac
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from fastapi import Request

from reconciler.server.credentials import make_token
from reconciler.server.limits import Limiter
from reconciler.server.replies import ApiError
from reconciler.server.store import Store

LIFETIME: Final = 24 * 3600
REFRESH_LIFETIME: Final = 168 * 3600
_HEADER: Final = {"alg": "HS256", "typ": "JWT"}


@dataclass(frozen=True, slots=True)
class Claims:
    """Who a token says is asking; the role is the token's, not the database's."""

    user_id: str
    organization: str
    email: str
    role: str


class Signer:
    """Makes tokens and knows its own. `forget` is what a restart does."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._key = make_token().encode()

    def forget(self) -> None:
        self._key = make_token().encode()

    def make(self, claims: Claims, lifetime: int = LIFETIME) -> str:
        """Return a token. A refresh token has no role, as the real ones."""
        now = int(self._store.seconds())
        said = {
            "user_id": claims.user_id,
            "organization_id": claims.organization,
            "email": claims.email,
            "role": claims.role,
            "iat": now,
            "exp": now + lifetime,
            "jti": make_token()[:16],
        }
        body = f"{_encode(_HEADER)}.{_encode(said)}"
        return f"{body}.{self._signature(body)}"

    def read(self, token: str) -> Claims | None:
        """Return what a token of ours says; None for any other, and for one whose time is over."""
        body, _, signature = token.rpartition(".")
        if not re.fullmatch(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+", body):
            return None
        if not hmac.compare_digest(signature.encode("utf-8", "replace"), self._signature(body).encode()):
            return None
        said = _decode(body.partition(".")[2])
        if said["exp"] <= self._store.seconds():
            return None
        return Claims(said["user_id"], said["organization_id"], said["email"], said["role"])

    def _signature(self, body: str) -> str:
        return _text(hmac.digest(self._key, body.encode(), "sha256"))


def find_admin(request: Request, signer: Signer, store: Store, limiter: Limiter) -> tuple[Claims, dict[str, str]]:
    """Who is asking, and the headers of the reply: token, then role, then the rate limit, in this order.

    A token of this server's own (the one printed at start) is taken as well, so that nobody needs an account first.
    """
    claims = _find_caller(request, signer, store)
    if claims.role != "admin":
        raise ApiError(403, "Admin access required")
    place = limiter.take(claims.user_id)
    if not place.is_taken:
        raise ApiError(429, "Rate limit exceeded. Please try again later.", {"Retry-After": str(max(1, place.reset))})
    return claims, place.headers()


def _find_caller(request: Request, signer: Signer, store: Store) -> Claims:
    words = request.headers.get("authorization", "").split(" ")
    token = words[1] if len(words) == 2 and words[0] == "Bearer" else request.cookies.get("access_token", "")
    if not token:
        raise ApiError(401, "Missing or invalid authorization header")
    claims = signer.read(token)
    if claims is None and (caller := store.find_caller(token)) is not None:
        claims = Claims(caller.user_id, caller.organization, caller.email, caller.role)
    if claims is None:
        raise ApiError(401, "Invalid or expired token")
    return claims


def _encode(value: Mapping[str, Any]) -> str:
    return _text(json.dumps(value, separators=(",", ":")).encode())


def _decode(text: str) -> dict[str, Any]:
    """The claims in a token whose signature is ours already."""
    found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    return found


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")
