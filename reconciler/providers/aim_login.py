"""How a bot gets a token of AIM: by email and password, again once when the server no longer takes it.

AIM's tokens end after 24 hours and nothing renews them but another login (systems.md 1.2). Where a target's token is
`email:password` it is exchanged for one before the first request; anything else is taken for a token already.
"""

from __future__ import annotations

import re
import threading
from typing import Final

from reconciler.core.model import Json
from reconciler.core.secret import Secret
from reconciler.errors import ConfigError, LiveError, UnreachableError
from reconciler.providers.http import Sent, Transport, error_detail

#: Pauses before a login is tried again, in seconds: a server checks passwords slowly, and trying twice harms nothing.
PAUSES: Final = (1.0, 2.0)
#: The published route, and the older one beside it.
PATHS: Final = ("/public/login", "/auth/login/local")
_TOKEN: Final = re.compile(r"[A-Za-z0-9._~+/-]{8,8192}=*")


class Login:
    """Keeps a transport in tokens. Safe to use from several threads."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._credentials = credentials_of(transport.token)
        self._is_done = self._credentials is None
        self._lock = threading.Lock()
        if self._credentials is not None:
            transport.use(None, None, self._credentials[1])  # neither part may ever be shown as a token

    def ensure(self) -> None:
        """Log in unless that is done; raise `LiveError` in the server's words, `UnreachableError` without any."""
        with self._lock:
            if not self._is_done:
                self._transport.use(self._ask(), self._ask_again)
                self._is_done = True

    def _ask_again(self) -> Secret | None:
        try:
            return self._ask()
        except LiveError:
            return None

    def _ask(self) -> Secret:
        for pause in PAUSES:
            try:
                return self._ask_once()
            except UnreachableError:
                self._transport.clock.sleep(pause)
        return self._ask_once()

    def _ask_once(self) -> Secret:
        assert self._credentials is not None  # noqa: S101 - nobody logs in without
        email, password = self._credentials
        body: Json = {"email": email, "password": password.reveal()}
        sent = Sent(False, None)
        for path in PATHS:
            sent = self._transport.send("POST", path, body, {}, anonymous=True)
            if sent.status != 404:
                return self._token(sent, path)
        return self._token(sent, PATHS[0])

    def _token(self, sent: Sent, path: str) -> Secret:
        """The token in a reply. Its status alone says nothing: 200 without one is what a forced change answers."""
        where = f"POST {self._transport.origin}{self._transport.origin.prefix}{path}"
        if sent.reply is None or sent.status is None or sent.status == 429 or sent.status >= 500:
            why = sent.failure or f"it answers {sent.status}"
            raise UnreachableError(f"AIM cannot be logged in to: {why}", where=where, fix="try again later")
        value = sent.reply.value if isinstance(sent.reply.value, dict) else {}
        token = value.get("accessToken") or value.get("access_token")
        if sent.status == 200 and isinstance(token, str) and _TOKEN.fullmatch(token):
            return Secret(token)
        told = self._transport.clean(error_detail(sent.reply.value))
        raise LiveError(
            f"AIM gives no token ({sent.status}{': ' + told if told else ''})",
            where=where,
            fix="log in once by hand with this account: a password to be changed or a missing approval stops it",
            code="login-refused",
        )


def credentials_of(token: Secret | None) -> tuple[str, Secret] | None:
    """Return email and password when a token is `email:password`; None for a token. No token of AIM has a colon."""
    email, colon, password = ("", "", "") if token is None else token.reveal().partition(":")
    if not colon:
        return None
    if not re.fullmatch(r"[^@:\s]+@[^@:\s]+", email) or not password:
        raise ConfigError(
            "the token for AIM is neither a token nor email:password",
            where="environment",
            fix="give the account's email, a colon and its password, or a token",
            code="bad-token",
        )
    return email, Secret(password)
