"""Records of any source → the folder of events (semantics.md C)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any, Final, TypeAlias

from reconciler.core.documents import Document, read_documents
from reconciler.core.model import Json
from reconciler.core.near import did_you_mean
from reconciler.core.problems import FilesError
from reconciler.errors import ReconcilerError
from reconciler.impact.mapping import EventMapping, load_mapping
from reconciler.impact.records import Meter, files_of, read_records
from reconciler.impact.store import Stored, write_events
from reconciler.semantics.events import Event

_MOST_SAID: Final = 10
_TOLD_EVERY: Final = 10_000
#: Hears how many records were read, and which share of the source's bytes that is.
Progress: TypeAlias = Callable[[int, float], None]


@dataclass(slots=True)
class Refused:
    """The records that are no events: how many, and what is wrong with the first of them."""

    count: int = 0
    said: list[str] = field(default_factory=list)

    def add(self, path: Path, number: int, what: str) -> None:
        self.count += 1
        if len(self.said) < _MOST_SAID:
            self.said.append(f"{path}:{number}: {what}")


def mapping_names() -> tuple[str, ...]:
    """Return the mappings that ship with the program."""
    folder = files("reconciler.impact").joinpath("mappings")
    return tuple(sorted(each.name.removesuffix(".yaml") for each in folder.iterdir() if each.name.endswith(".yaml")))


def open_mapping(name_or_file: str) -> EventMapping:
    """Return one of our mappings by name, or the one in a file; raises ReconcilerError for neither."""
    if name_or_file in mapping_names():
        source = files("reconciler.impact").joinpath("mappings", f"{name_or_file}.yaml")
        return load_mapping(_document(source.read_bytes(), f"{name_or_file}.yaml"), name_or_file)
    path = Path(name_or_file)
    try:
        data = path.read_bytes()
    except OSError:
        raise ReconcilerError(
            f"no mapping is called {name_or_file!r}{did_you_mean(name_or_file, mapping_names())}",
            where="--mapping",
            fix="write the path of a file, or one of " + ", ".join(mapping_names()),
            code="events-mapping",
        ) from None
    return load_mapping(_document(data, name_or_file), path.stem)


def _document(data: bytes, path: str) -> Document:
    documents, problems = read_documents(data, path)
    if problems:
        raise FilesError(list(problems), files=1)
    if len(documents) != 1:
        raise ReconcilerError("is not one mapping", where=path, fix="write one YAML document", code="events-mapping")
    return documents[0]


def ingest(
    source: Path, mapping: EventMapping, out: Path, *, progress: Progress | None = None
) -> tuple[Stored, Refused]:
    """Write the events of *source*, a file or a folder, to the folder *out*; a record that is no event is counted.

    Raises ReconcilerError where a file cannot be read, or where no record is an event.
    """
    refused = Refused()
    events = _events(files_of(source), mapping, refused, progress or (lambda count, share: None))
    try:
        first = next(events)
    except StopIteration:
        said = refused.said[0] if refused.said else f"{source}: has no records"
        where, _, what = said.partition(": ")
        raise ReconcilerError(
            f"no record is an event: {what}",
            where=where,
            fix="check the mapping against the source",
            code="events-source",
        ) from None

    def everything() -> Iterator[Event]:
        yield first
        yield from events

    return write_events(out, everything(), mapping=facts_of(mapping), rejected=lambda: refused.count), refused


def _events(paths: list[Path], mapping: EventMapping, refused: Refused, progress: Progress) -> Iterator[Event]:
    sizes = [path.stat().st_size for path in paths]
    whole, before, seen = max(1, sum(sizes)), 0, 0
    for path, size in zip(paths, sizes, strict=True):
        meter = Meter()
        for number, record in read_records(path, mapping.format, meter):
            seen += 1
            if seen % _TOLD_EVERY == 0:
                progress(seen, (before + meter.at()) / whole)
            if isinstance(record, str):
                refused.add(path, number, record)
                continue
            event = mapping.event(record)
            if isinstance(event, Event):
                yield event
            else:
                fault = event[0]
                refused.add(path, number, f"{fault.pointer.lstrip('/') or 'the record'} {fault.what}")
        before += size
    progress(seen, 1.0)


def facts_of(mapping: EventMapping) -> dict[str, Json]:
    """Return what later readers have to know about where events came from."""
    facts: dict[str, Any] = {
        "name": mapping.name,
        "trust_scale": mapping.trust_scale,
        "mcp_trust_scale": mapping.mcp_trust_scale,
        "trust_constant": sorted(mapping.trust_constant),
        "constants": sorted(mapping.constants),
    }
    return facts
