"""Reading the trail: newest first, filtered, in parts that stay true while others write.

Entries are only added at the new end, so the part after a number never changes: a cursor is that number. Nothing here
keeps more than one page in memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa

from reconciler.server.store import Store
from reconciler.server.trail.query import MAX_LIMIT, Slice, Wanted, text_of
from reconciler.server.trail.tables import audit_entries

#: An entry as it is shown: the documents' fields, and the two of design.md 7.
FIELDS: Final = (
    *("id", "user_id", "user_email", "action", "resource", "details", "timestamp", "success"),
    *("user_agent", "annotation"),
)
_ENTRY: Final = audit_entries.c


@dataclass(frozen=True, slots=True)
class Found:
    """A page of entries, how many there are in all, and the number to go on before; None when there are no more."""

    entries: list[dict[str, Any]]
    total: int
    before: int | None


def read_entries(store: Store, organization: str, wanted: Wanted, part: Slice) -> Found:
    """The entries of *part*, at most `MAX_LIMIT` at once."""
    limit = min(part.limit or MAX_LIMIT, MAX_LIMIT)
    query = sa.select(_ENTRY.seq, *(_ENTRY[name] for name in FIELDS)).where(*conditions(organization, wanted))
    page = query.order_by(_ENTRY.seq.desc()).limit(limit + 1)
    with store.read() as connection:
        total = connection.execute(sa.select(sa.func.count()).select_from(query.subquery())).scalar_one()
        rows = connection.execute(page if part.before is None else page.where(_ENTRY.seq < part.before)).all()
    is_last = len(rows) <= limit
    shown = [{name: getattr(row, name) for name in FIELDS} for row in rows[:limit]]
    return Found(shown, total, None if is_last else rows[limit - 1].seq)


def read_on(store: Store, organization: str, wanted: Wanted, found: Found) -> Iterator[list[dict[str, Any]]]:
    """*found*'s entries, and then page by page all that are older."""
    yield found.entries
    query = sa.select(_ENTRY.seq, *(_ENTRY[name] for name in FIELDS)).where(*conditions(organization, wanted))
    before = found.before
    while before is not None:
        with store.read() as connection:
            page = query.where(_ENTRY.seq < before).order_by(_ENTRY.seq.desc()).limit(MAX_LIMIT)
            rows = connection.execute(page).all()
        yield [{name: getattr(row, name) for name in FIELDS} for row in rows]
        before = rows[-1].seq if len(rows) == MAX_LIMIT else None


def conditions(organization: str, wanted: Wanted) -> list[sa.ColumnElement[bool]]:
    """What an entry has to be, in SQL. Values are bound, and `%` and `_` in a text stand for themselves."""
    found = [_ENTRY.organization == organization]
    if wanted.system is not None:
        found.append(_ENTRY.system == wanted.system)
    if wanted.user is not None:
        found.append(sa.or_(_ENTRY.user_id == wanted.user, _ENTRY.user_email == wanted.user.lower()))
    if wanted.action is not None:
        found.append(_ENTRY.action == wanted.action)
    if wanted.resource is not None:
        found.append(_ENTRY.resource == wanted.resource)
    if wanted.commit is not None:
        found.append(_ENTRY.annotation.startswith(wanted.commit, autoescape=True))
    if wanted.since is not None:
        found.append(_ENTRY.timestamp >= text_of(wanted.since))
    if wanted.until is not None:
        found.append(_ENTRY.timestamp < text_of(wanted.until))
    if wanted.success is not None:
        found.append(_ENTRY.success.is_(wanted.success))
    if wanted.text is not None:
        places = (_ENTRY.user_email, _ENTRY.action, _ENTRY.resource, _ENTRY.details)
        found.append(sa.or_(*(place.icontains(wanted.text, autoescape=True) for place in places)))
    return found
