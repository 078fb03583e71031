"""Lists of policies that one reply does not hold, read in parts from a server that announces cursors.

Every part carries the tag of the whole list, and parts with one tag are one state of it. A list that moved in between
is read again; after three times in vain it counts as incomplete, so that nothing is created or deleted because of it
(reliability.md F37). One that repeats itself or does not end is no list (F38).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from reconciler.core.model import LivePolicy
from reconciler.errors import LiveError
from reconciler.providers.extras import Extras, read_etag
from reconciler.providers.http import Transport
from reconciler.providers.wire import MAX_LIST_VALUES, Reply, TooLargeError, WireError, header_count

#: How many policies are asked for at once; fewer where so many do not fit into a reply.
LIMIT: Final = 1000
MAX_PARTS: Final = 1000
PASSES: Final = 3
_CURSOR: Final = re.compile(r"[A-Za-z0-9._-]{1,200}")

Policies: TypeAlias = tuple[LivePolicy, ...]


@dataclass(frozen=True, slots=True)
class Source:
    """One API's list: how a reply is read (with tags or without), and why a whole one may not be all there is.

    *seconds* are for all parts of it, in every try.
    """

    transport: Transport
    extras: Extras
    path: str
    read: Callable[[Reply, bool], Policies]
    prove: Callable[[Policies, Reply], str | None]
    seconds: float


@dataclass(frozen=True, slots=True)
class _Part:
    """A part of the list: its policies, tag and total of the whole, the cursor of the next one."""

    policies: Policies
    state: tuple[str, int]
    next: str | None
    marks: int


@dataclass(slots=True)
class _Pass:
    """What one pass over the list has read so far, and in which states the list was seen."""

    policies: list[LivePolicy] = field(default_factory=list)
    states: set[tuple[str, int]] = field(default_factory=set)
    cursors: set[str] = field(default_factory=set)
    marks: int = 0

    @property
    def total(self) -> int | None:
        """What the list's total is, if it stayed one list."""
        return next(iter(self.states))[1] if len(self.states) == 1 else None

    def add(self, part: _Part) -> str | None:
        """Take in a part; return why no further one is to be asked for."""
        self.policies += part.policies
        self.states.add(part.state)
        self.marks += part.marks
        if part.next is None:
            return None
        if not part.policies:
            return "a part of it is empty, and says that more follow"
        if part.next in self.cursors:
            return "it gives one cursor twice"
        self.cursors.add(part.next)
        if self.total is not None and len(self.policies) >= self.total:
            return "more follow after as many policies as its total says"
        if len(self.cursors) >= MAX_PARTS:
            return f"it has more than {MAX_PARTS:,} parts"
        if self.marks > MAX_LIST_VALUES:
            return f"it holds more than {MAX_LIST_VALUES:,} values"
        return None


def fetch_list(source: Source) -> tuple[Policies, str | None]:
    """Return a list, and why it may not be all there is (None: it is proven to be).

    It is asked for whole, as ever, until it proves too large for a reply and its server says that it has parts.
    """
    extras, query = source.extras, source.extras.query

    def parse(reply: Reply) -> tuple[Policies, str | None]:
        policies = source.read(reply, query is not None)
        extras.hear(reply.headers)
        return policies, source.prove(policies, reply)

    if not extras.in_parts:
        try:
            return source.transport.get(source.path, parse, query=query, has_parts=extras.has_parts)
        except TooLargeError:
            extras.in_parts = True
    return _fetch_parts(source)


def doubt_of(policies: Policies, totals: Collection[int]) -> str | None:
    """Why a list is not what its totals say; None when they fit, or when there is none."""
    count = len(policies)
    if len({policy.id for policy in policies}) < count:
        return "the list holds an id twice"
    if any(total != count for total in totals):
        return f"the list holds {count} policies, and its total is another number"
    return None


def _fetch_parts(source: Source) -> tuple[Policies, str | None]:
    clock = source.transport.clock
    ends_at, limit = clock.monotonic() + source.seconds, LIMIT
    for last in (False,) * (PASSES - 1) + (True,):
        found, cursor = _Pass(), None
        while True:
            part, limit = _fetch_part(source, cursor, limit)
            wrong = found.add(part)
            if wrong is None and part.next is not None and clock.monotonic() > ends_at:
                wrong = f"reading it took more than {source.seconds:g} seconds"
            if wrong is not None:
                raise _endless(source, wrong)
            cursor = part.next
            if cursor is None or (len(found.states) > 1 and not last):
                break
        if len(found.states) == 1:
            break
    policies = tuple(found.policies)
    if found.total is None:
        return policies, f"the list moved while it was read, {PASSES} times"
    return policies, doubt_of(policies, (found.total,))


def _fetch_part(source: Source, cursor: str | None, limit: int) -> tuple[_Part, int]:
    """Return the part after *cursor*, and how many policies fit into a reply."""
    while True:
        try:
            return _ask(source, cursor, limit), limit
        except TooLargeError:
            limit //= 2


def _ask(source: Source, cursor: str | None, limit: int) -> _Part:
    tagged = source.extras.query or {}
    query: dict[str, str] = {"limit": str(limit), **({} if cursor is None else {"cursor": cursor}), **tagged}

    def parse(reply: Reply) -> _Part:
        policies = source.read(reply, bool(tagged))
        if len(policies) > limit:
            raise WireError("a part of the list holds more policies than were asked for")
        total, tag = header_count(reply.headers, "x-total-count"), read_etag(reply.headers.get("etag"))
        if total is None or total < 0 or tag is None:
            raise WireError("a part of the list has no total or no tag")
        after = reply.headers.get("x-next-cursor")
        if after is not None and not _CURSOR.fullmatch(after):
            raise WireError("the cursor of the list is none that may stand in a URL")
        source.extras.hear(reply.headers)
        return _Part(policies, (tag, total), after, reply.marks)

    def has_parts(_: Mapping[str, str]) -> bool:
        return limit > 1

    return source.transport.get(source.path, parse, query=query, has_parts=has_parts)


def _endless(source: Source, why: str) -> LiveError:
    origin = source.transport.origin
    return LiveError(
        f"the list of policies cannot be read to its end: {why}",
        where=f"GET {origin}{origin.prefix}{source.path}",
        fix="check what answers at the target's url; for a list that is really so long, use several targets",
        code="endless-list",
    )
