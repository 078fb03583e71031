"""Recorded events: from files of any source, and from the audit trails of live targets (semantics.md C)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.config import choose_targets
from reconciler.core.model import TrailEntry
from reconciler.errors import ReconcilerError
from reconciler.workflows.planning import connect
from reconciler.workflows.previewing import replays
from reconciler.workflows.session import Session, read_work_tree

if TYPE_CHECKING:
    from reconciler.impact.store import Stored
    from reconciler.semantics.events import Event


@dataclass(frozen=True, slots=True)
class Recorded:
    """What a folder of events holds now, how many of them are new, and what was refused (the first few, located)."""

    stored: Stored
    added: int
    refused: tuple[str, ...] = ()


def ingest_source(source: Path, mapping: str, out: Path, progress: Callable[[int], None]) -> Recorded:
    """Write the records of *source* as the folder *out*; *progress* hears how many were read.

    Raises ReconcilerError for a source, a mapping or a folder that will not do.
    """
    with replays():
        from reconciler.impact.ingest import ingest, open_mapping

    stored, refused = ingest(source, open_mapping(mapping), out, progress=progress)
    return Recorded(stored, stored.events, tuple(refused.said))


def pull_trail(session: Session, names: tuple[str, ...], out: Path) -> Recorded:
    """Add the audit trail of one live target to the folder *out*, which keeps what it has.

    A trail may keep only its newest entries: whoever wants a history pulls on a schedule. Raises ReconcilerError for
    a target without a trail.
    """
    with replays():
        from reconciler.impact.store import MANIFEST, read_events, read_manifest, write_events

    target = choose_targets(read_work_tree(session, names).config, names)[0]
    trail = connect(session, target).fetch_trail()
    if not trail.available:
        raise ReconcilerError(
            f"{target.name} has no audit trail to pull",
            where=target.url,
            fix="ingest an export of it: reconciler events ingest",
            code="no-trail",
        )
    before = read_manifest(out) if (out / MANIFEST).exists() else None

    def events() -> Iterator[Event]:
        if before is not None:
            yield from read_events(out)
        yield from (event for entry in trail.entries if (event := event_of(entry)) is not None)

    mapping = before.mapping if before is not None else {"name": f"{target.provider}-trail"}
    stored = write_events(out, events(), mapping=mapping)
    return Recorded(stored, stored.events - (before.events if before is not None else 0))


def event_of(entry: TrailEntry) -> Event | None:
    """Return an audit entry as an event; None where it lacks what every event has."""
    from reconciler.semantics.events import Event, parse_event
    from reconciler.semantics.normal import parse_instant

    kind, _, rest = entry.resource.partition(":")
    found = parse_event(
        {
            "event_id": entry.id,
            "ts_us": parse_instant(entry.at),
            "actor_id": entry.actor,
            "action": entry.action or None,
            "resource": entry.resource or None,
            "resource_type": kind if rest else None,
            "success": entry.success,
        }
    )
    return found if isinstance(found, Event) else None
