"""Records of any source → the folder of events (semantics.md C). What live systems remember: `pulling.py`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from reconciler.errors import ReconcilerError
from reconciler.workflows.previewing import replays

if TYPE_CHECKING:
    from reconciler.impact.store import Stored

#: What a manifest has of its mapping when the folder was pulled into: where the last pull ended.
PULLED: Final = "pulled"


@dataclass(frozen=True, slots=True)
class Recorded:
    """What a folder of events holds now, how many of them are new, and what a reader has to be warned of.

    That is records that are no events (the first few, located), and what a live system did not keep long enough.
    """

    stored: Stored
    added: int
    warnings: tuple[str, ...] = ()


def ingest_source(source: Path, mapping: str, out: Path, progress: Callable[[int, float], None]) -> Recorded:
    """Write the records of *source* as the folder *out*; *progress* hears how many were read, and which share.

    Raises ReconcilerError for a source, a mapping or a folder that will not do: one that was pulled into is not
    replaced, because no other pull can read again what a trail has let go.
    """
    with replays():
        from reconciler.impact.ingest import ingest, open_mapping
        from reconciler.impact.store import MANIFEST, read_manifest

    if (out / MANIFEST).exists() and PULLED in read_manifest(out).mapping:
        raise ReconcilerError(
            "holds what was pulled from a live system, which may not be there any more",
            where=str(out),
            fix="ingest into a folder of its own with --out",
            code="events-folder",
        )

    stored, refused = ingest(source, open_mapping(mapping), out, progress=progress)
    return Recorded(stored, stored.events, tuple(refused.said))
