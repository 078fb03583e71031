"""The one way to mutate a policy: a write transaction, entered only when the request's conditions allow it.

`with changing(asked) as change:` then `return change.reply(…)` as the last thing in the block.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from fastapi.responses import JSONResponse

from reconciler.core.model import Json
from reconciler.server.auth import Asked
from reconciler.server.preconditions import replays
from reconciler.server.preconditions.etags import check_match
from reconciler.server.preconditions.fencing import check_fence
from reconciler.server.replies import reply


@dataclass(frozen=True, slots=True)
class Change:
    """A mutation under way: its transaction, and the key its reply is kept under."""

    asked: Asked
    connection: sa.Connection
    key: replays.Key | None

    def check(self, policy: Mapping[str, Json]) -> None:
        """Refuse with 412 unless *policy*, as it is now, is the one the request was meant for."""
        check_match(self.asked.request, policy)

    def reply(self, content: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> JSONResponse:
        """The answer, kept in the transaction when the request came under a key."""
        shown = dict(headers or {})
        if self.key is not None:
            replays.keep_reply(self.connection, self.key, self.asked.store.seconds(), status, content, shown)
        return reply(content, status, shown)


@contextmanager
def changing(asked: Asked) -> Iterator[Change]:
    """A write transaction for a request that holds the newest fencing token it names and was not carried out before.

    Both are looked at inside the transaction, so two requests of one key at once are carried out once.
    """
    key = replays.read_key(asked.request, asked.caller.user_id)
    with asked.store.write() as connection:
        check_fence(connection, asked)
        if key is not None:
            replays.check_key(connection, key, asked.store.seconds())
        yield Change(asked, connection, key)
