"""The token of a run, and its one successor: some live systems forget their tokens while a run is under way.

NeoSC's are lost at every restart and unknown to a second worker, others end after a day (systems.md 5 row 23).
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from reconciler.core.model import Json
from reconciler.core.secret import Secret
from reconciler.errors import ConfigError


class Keyring:
    """Holds the token; safe to use from several threads. What shows one token shows none of them."""

    def __init__(self, token: Secret | None, renew: Callable[[], Secret | None] | None = None) -> None:
        self._tokens = [] if token is None else [token]
        self._token = token
        self._renew = renew
        self._lock = threading.Lock()

    @property
    def token(self) -> Secret | None:
        """The one to send now."""
        return self._token

    def put(self, token: Secret | None, renew: Callable[[], Secret | None] | None, *hidden: Secret) -> None:
        """Send *token* from now on, with *renew* for its source; neither it, the one before nor *hidden* is shown."""
        with self._lock:
            self._tokens += [*hidden, *(() if token is None else (token,))]
            self._token, self._renew = token, renew

    def has_another(self, refused: Secret | None) -> bool:
        """Whether there is another token than the one the server has just *refused*.

        Its source is asked once in a run, and only another token than before counts: a server that means its refusal is
        not asked again and again.
        """
        with self._lock:
            if self.token is not refused:
                return True
            renew, self._renew = self._renew, None
            if renew is None or refused is None:
                return False
            try:
                found = renew()
            except ConfigError:
                return False
            if found is None or found.is_same(refused):
                return False
            self._tokens.append(found)
            self._token = found
            return True

    def redact(self, text: str) -> str:
        """Return *text* without any of the tokens."""
        for token in self._tokens:
            text = token.redact(text)
        return text

    def mask(self, value: Json) -> Json:
        """Return a JSON value without any of the tokens."""
        for token in self._tokens:
            value = token.mask(value)
        return value
