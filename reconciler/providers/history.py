"""What a server remembers beyond one read: its audit trail part by part, and the requests that it judged.

Only `events pull` reads them. Every part is checked to lead on, so that no server keeps a reader going in circles.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

from reconciler.core.model import MISSING, Json, Trail
from reconciler.providers.http import Transport
from reconciler.providers.wire import Reply, WireError, expect_array, expect_count, expect_object

#: How many entries or events a part is asked for, and how many parts one pull reads at most.
PART: Final = 1000
MOST_PARTS: Final = 10_000
_CURSOR: Final = re.compile(r"[A-Za-z0-9_-]{1,200}")


@dataclass(frozen=True, slots=True)
class Judged:
    """Requests that a server judged, in its order, as they stand on the wire; `last` is the number of the last one.

    `removed_until` is the time, in microseconds since 1970, of the newest that the server does not keep any more.
    """

    events: tuple[Mapping[str, Json], ...]
    last: int
    removed_until: int | None


def trail_parts(transport: Transport, path: str, parse: Callable[[Reply], Trail]) -> Iterator[Trail]:
    """Yield the trail of a server that announces cursors, newest first; the last part is `complete`."""
    asked, seen = {"limit": str(PART)}, {""}

    def parse_part(reply: Reply) -> tuple[Trail, str | None]:
        cursor = reply.headers.get("x-next-cursor")
        if cursor is not None and (not _CURSOR.fullmatch(cursor) or cursor in seen):
            raise WireError("the trail goes on at a place that cannot be asked for, or where it was before")
        return replace(parse(reply), complete=cursor is None), cursor

    for _ in range(MOST_PARTS):
        part, cursor = transport.get(path, parse_part, query=asked)
        yield part
        if cursor is None:
            return
        seen.add(cursor)
        asked = {"limit": str(PART), "cursor": cursor}


def judged_parts(transport: Transport, path: str, after: int) -> Iterator[Judged]:
    """Yield the requests that were judged after number *after*, oldest first."""
    for _ in range(MOST_PARTS):
        place = after

        def parse(reply: Reply, place: int = place) -> tuple[Judged, bool]:
            return _judged(reply, place)

        part, has_more = transport.get(path, parse, query={"after": str(after), "limit": str(PART)})
        yield part
        if not has_more:
            return
        after = part.last


def _judged(reply: Reply, after: int) -> tuple[Judged, bool]:
    value = expect_object(reply.value, "the list of events")
    given = expect_array(value.get("events", MISSING), "events")
    events = tuple(expect_object(event, f"event {at}") for at, event in enumerate(given))
    last = after
    for at, event in enumerate(events):
        seq = expect_count(event.get("seq", MISSING), f"seq of event {at}")
        if seq <= last:
            raise WireError("the events are not in the order of their numbers, after the one that was asked for")
        last = seq
    following = value.get("next", MISSING)
    if following is not None and (not events or following != last):
        raise WireError("the list goes on at another place than after its last event")
    removed = value.get("removed_until")
    removed_until = None if removed is None else expect_count(removed, "removed_until")
    return Judged(events, last, removed_until), following is not None
