"""What a live system remembers → the folder of events, as often as somebody likes (semantics.md C).

Two sources: the audit trail, which some APIs cut short, and the requests that the reference server judged, which it
lists. One folder is the history of one system; where the last pull ended stands in its manifest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from reconciler.config import choose_targets
from reconciler.core.model import TargetSettings, TrailEntry
from reconciler.core.safe import safe
from reconciler.errors import ReconcilerError
from reconciler.providers.base import Provider
from reconciler.providers.origin import check_url
from reconciler.workflows.planning import connect
from reconciler.workflows.previewing import replays
from reconciler.workflows.recording import PULLED, Recorded
from reconciler.workflows.session import Session, read_work_tree

if TYPE_CHECKING:
    from reconciler.semantics.events import Event

_MOST_SAID: Final = 10


@dataclass(slots=True)
class _Pull:
    """A pull under way: where it goes on from, what readers have to know of it, what broke it off.

    `marks` is what the folder's manifest remembers, and is moved while events are written: `origin` of the system;
    `trails`, the time of the newest entry by target; `judged`, the number of the newest request, and `judged_us`, its
    time. Times are microseconds since 1970.
    """

    out: Path
    marks: dict[str, Any]
    has_folder: bool
    progress: Callable[[int], None]
    read: int = 0
    rejected: int = 0
    said: list[str] = field(default_factory=list)
    broken: ReconcilerError | None = None

    def count(self, number: int) -> None:
        self.read += number
        self.progress(self.read)

    def say(self, text: str) -> None:
        if len(self.said) < _MOST_SAID:
            self.said.append(text)


def pull_events(session: Session, names: tuple[str, ...], out: Path, progress: Callable[[int], None]) -> Recorded:
    """Add to the folder *out* what is new in the audit trails of the targets, and among the requests they judged.

    The folder keeps what it has. A trail may keep only its newest entries: whoever wants a history pulls on a schedule,
    and what was lost between two pulls is said. Where reading breaks off among the requests, those that came are kept,
    the error is raised, and the next pull goes on from there.

    Raises ReconcilerError for targets of several systems, for a folder of another one, and where nothing is remembered.
    """
    with replays():
        from reconciler.impact.store import MANIFEST, read_manifest, write_events

    targets = choose_targets(read_work_tree(session, names).config, names)
    kept = read_manifest(out) if (out / MANIFEST).exists() else None
    mapping: dict[str, Any] = {"name": "pull"} if kept is None else dict(kept.mapping)
    marks = _read_marks(mapping, _origin_of(targets), out)
    pull = _Pull(out, marks, kept is not None, progress)
    events = _everything(session, targets, pull)
    stored = write_events(out, events, mapping={**mapping, PULLED: marks}, rejected=lambda: pull.rejected, kept=kept)
    if pull.broken is not None:
        raise pull.broken
    return Recorded(stored, stored.events - (0 if kept is None else kept.events), tuple(pull.said))


def _origin_of(targets: Sequence[TargetSettings]) -> str:
    origins = {str(check_url(target.url)): target.name for target in targets}
    if len(origins) > 1:
        raise ReconcilerError(
            f"the targets are different systems: {', '.join(origins.values())}",
            where="--target",
            fix="name those of one system; a folder is the history of one",
            code="events-folder",
        )
    return next(iter(origins))


def _read_marks(mapping: dict[str, Any], origin: str, out: Path) -> dict[str, Any]:
    """Where the last pull ended; nowhere for a folder that none was made into."""
    scales = {mapping.get("trust_scale", "percent"), mapping.get("mcp_trust_scale", "percent")}
    given = mapping.get(PULLED)
    marks = given if isinstance(given, dict) else {"origin": origin}
    if marks.get("origin") != origin or scales != {"percent"}:
        other = f"the history of {safe(str(marks.get('origin')), 200)}"
        raise ReconcilerError(
            f"holds {other if scales == {'percent'} else 'events with another scale of trust'}",
            where=str(out),
            fix="pull into a folder of its own with --out",
            code="events-folder",
        )
    trails = marks.get("trails")
    known = {name: at for name, at in trails.items() if _is_whole(at)} if isinstance(trails, dict) else {}
    return {
        "origin": origin,
        "trails": known,
        **{name: marks[name] if _is_whole(marks.get(name)) else 0 for name in ("judged", "judged_us")},
    }


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _everything(session: Session, targets: Sequence[TargetSettings], pull: _Pull) -> Iterator[Event]:
    for target in targets:
        provider = connect(session, target)
        provider.fetch_listing()  # only a list says what else there is to read
        yield from _trail(provider, target, pull)
        yield from _judged(provider, target, pull)
        if pull.broken is not None:
            return


def _trail(provider: Provider, target: TargetSettings, pull: _Pull) -> Iterator[Event]:
    """What is new in the audit trail: read from its end on, until there is something that the folder has."""
    from reconciler.impact.store import known_ids

    last = newest = pull.marks["trails"].get(target.name, 0)
    seen: set[str] = set()
    met = False
    for part in provider.fetch_trail_parts():
        if not part.available:
            _require_memory(provider, target)
            return
        entries = [entry for entry in part.entries if entry.id not in seen]
        seen.update(entry.id for entry in entries)
        pull.count(len(entries))
        made = [event_of(entry, by_people=provider.name != "aim") for entry in entries]
        events = {event.event_id: event for event in made if event is not None}
        known = known_ids(pull.out, events) if pull.has_folder else frozenset()
        newest = max((newest, *(event.ts_us for event in events.values())))
        yield from (event for event_id, event in events.items() if event_id not in known)
        met = bool(known)
        if met or not entries:
            break
    if last and not met:
        pull.say(
            f"{target.name}: its audit trail does not reach back to what was pulled last, of {_instant(last)}; "
            "what happened between is lost, so pull more often"
        )
    pull.marks["trails"][target.name] = newest


def _require_memory(provider: Provider, target: TargetSettings) -> None:
    if provider.fetch_judged(0) is None:
        raise ReconcilerError(
            f"{target.name} has no audit trail to pull",
            where=target.url,
            fix="ingest an export of it: reconciler events ingest",
            code="no-trail",
        )


def _judged(provider: Provider, target: TargetSettings, pull: _Pull) -> Iterator[Event]:
    """The requests that were judged since the last pull. All targets of a system tell of the same ones."""
    from reconciler.semantics.events import Event, parse_event

    marks = pull.marks
    last_us, has_told = marks["judged_us"], False
    try:
        for part in provider.fetch_judged(marks["judged"]) or ():
            if last_us and not has_told and part.removed_until is not None and part.removed_until > last_us:
                has_told = True
                pull.say(
                    f"{target.name}: the server let go requests up to {_instant(part.removed_until)}, and the last "
                    f"pulled is of {_instant(last_us)}; what happened between is lost in part, so pull more often"
                )
            pull.count(len(part.events))
            for value in part.events:
                event = parse_event(value)
                if isinstance(event, Event):
                    marks["judged_us"] = max(marks["judged_us"], event.ts_us)
                    yield event
                else:
                    pull.rejected += 1
                    pull.say(f"{target.name}: request {value['seq']} is no event: {event[0].pointer} {event[0].what}")
            marks["judged"] = part.last
    except ReconcilerError as error:
        pull.broken = error


def event_of(entry: TrailEntry, *, by_people: bool = True) -> Event | None:
    """Return an audit entry as an event; None where it lacks what every event has.

    *by_people*: all who act there are people, as in NeoSC's and OpenA2A's trails.
    """
    from reconciler.semantics.events import Event, parse_event
    from reconciler.semantics.normal import parse_instant

    kind, _, rest = entry.resource.partition(":")
    found = parse_event(
        {
            "event_id": entry.id,
            "ts_us": parse_instant(entry.at),
            "actor_id": entry.actor,
            "actor_type": "user" if by_people else None,
            "action": entry.action or None,
            "resource": entry.resource or None,
            "resource_type": kind if rest else None,
            "success": entry.success,
        }
    )
    return found if isinstance(found, Event) else None


def _instant(ts_us: int) -> str:
    return datetime.fromtimestamp(ts_us // 1_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
