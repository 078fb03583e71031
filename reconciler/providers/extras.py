"""What a server may have beyond its documents, used where its list announces it and nowhere else.

The reference server says `X-Capabilities: cursors, etags, …` on its lists. Nothing is probed by writing, and to a
server that announces nothing every request is what it always was. What is announced only ever narrows what a request
may do: decisions are made from reads as before.
"""

from __future__ import annotations

import hashlib
import re
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

from reconciler.core.model import Json, LivePolicy, Mutation
from reconciler.providers.wire import WireError

ETAGS: Final = "etags"
_KEYS: Final = "idempotency-keys"
_SETS: Final = "set-toggle"
_EVENTS: Final = "events"
#: What a list is asked for when it can show the tag of each policy.
_TAGGED: Final[Mapping[str, str]] = {"etags": "true"}
_CURSORS: Final = "cursors"
_KNOWN: Final = frozenset((_CURSORS, ETAGS, _EVENTS, _KEYS, _SETS))
_ETAG = re.compile(r'"[\x21\x23-\x7e]{1,200}"')


def read_announced(headers: Mapping[str, str]) -> frozenset[str]:
    """The capabilities a list announces, of those this program uses.

    >>> sorted(read_announced({"x-capabilities": "etags, teleport,set-toggle"}))
    ['etags', 'set-toggle']
    """
    return frozenset(word.strip() for word in headers.get("x-capabilities", "").split(",")) & _KNOWN


def read_etag(value: object) -> str | None:
    """A strong tag that may stand in a header; None for anything else, and then nothing is asked for under it."""
    return value if isinstance(value, str) and _ETAG.fullmatch(value) else None


def take_etag(value: Json) -> tuple[Json, str | None]:
    """A policy of a list that was asked for with tags, and its tag, which is no field of it."""
    if not isinstance(value, dict):
        raise WireError("expected an object for a policy, got something else")
    return {key: field for key, field in value.items() if key != "etag"}, read_etag(value.get("etag"))


def with_etag(policy: LivePolicy, etag: str | None) -> LivePolicy:
    return policy if etag is None else replace(policy, etag=etag)


class Extras:
    """What the server announced on its last list, and the conditions that requests are sent under because of it.

    *make_nonce* names the run, once something is sent that has to name it. `in_parts`: the list was too large for one
    reply.
    """

    def __init__(self, make_nonce: Callable[[], str]) -> None:
        self.in_parts = False
        self._announced: frozenset[str] = frozenset()
        self._make_nonce = make_nonce
        self._run: str | None = None
        self._sent: Counter[tuple[str, ...]] = Counter()
        self._lock = threading.Lock()

    def hear(self, headers: Mapping[str, str]) -> None:
        """Take note of what a list's reply announces."""
        self._announced = read_announced(headers)

    def has_parts(self, headers: Mapping[str, str]) -> bool:
        """Take note of what a list announces that was too large, and tell whether it can be asked for in parts."""
        self.hear(headers)
        return _CURSORS in self._announced

    @property
    def cursors(self) -> bool:
        """Whether lists come in parts."""
        return _CURSORS in self._announced

    @property
    def events(self) -> bool:
        """Whether the requests that were judged can be listed."""
        return _EVENTS in self._announced

    @property
    def tags(self) -> bool:
        """Whether policies come with tags."""
        return ETAGS in self._announced

    @property
    def query(self) -> Mapping[str, str] | None:
        """What to ask a list with, so that it shows them."""
        return _TAGGED if self.tags else None

    def headers(self, mutation: Mutation, *, flips: bool = False) -> dict[str, str]:
        """The conditions of one request.

        `If-Match` is the tag of the very read it was decided from, so whoever moved the policy since is never
        overwritten (412). The key is the same for the same (run, plan, change, attempt), so a request that is repeated
        on its way takes effect once (reliability.md F44); the run is in it because the same plan may be applied again
        within the day a server remembers keys, and must then have its effect again. A toggle that *flips* is asked to
        set; method, path and body stay those of the plan, so a server that forgot what it announced flips, as ever.
        """
        headers = {}
        if self.tags and mutation.operation == "create":
            headers["If-None-Match"] = "*"
        elif self.tags and mutation.etag is not None:
            headers["If-Match"] = mutation.etag
        if _KEYS in self._announced:
            headers["Idempotency-Key"] = self._make_key(mutation)
        if _SETS in self._announced and flips and mutation.operation == "toggle":
            headers["Prefer"] = f"set-enabled={str(mutation.enabled).lower()}"
        return headers

    def _make_key(self, mutation: Mutation) -> str:
        asked = (mutation.headers.get("User-Agent", ""), mutation.operation, mutation.id or "")
        with self._lock:
            self._run = self._run or self._make_nonce()
            self._sent[asked] += 1
            named = (self._run, *asked, str(self._sent[asked]))
        return hashlib.sha256("\n".join(named).encode()).hexdigest()[:32]
