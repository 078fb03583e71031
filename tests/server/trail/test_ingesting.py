"""What the server exports is what `events ingest --mapping reconciler` reads."""

from __future__ import annotations

from pathlib import Path

import pyarrow.dataset
import pytest

from reconciler.impact.ingest import ingest, open_mapping
from reconciler.server.store import Store
from reconciler.server.trail.exporting import Export, export_audit, export_events, read_pages
from reconciler.server.trail.formats import FORMATS
from reconciler.server.trail.query import Wanted
from tests.server.trail.rows import ORGANIZATION, add_entries, add_events
from tests.server.trail.test_exporting import EVERY_COLUMN
from tests.support.clocks import FakeClock

ODD = {"resource": "=1+1", "purpose": "'quoted", "actor_roles": ["ü", "a,b"], "trust_score": 1e-7}


@pytest.mark.parametrize("format", ["jsonl", "parquet"])
@pytest.mark.parametrize("what", ["audit", "events"])
def test_an_export_is_ingested_without_a_loss(
    store: Store, clock: FakeClock, tmp_path: Path, format: str, what: str
) -> None:
    add_entries(store, 3)
    for row in (EVERY_COLUMN, ODD, {"resource": "session:s-1"}):
        clock.passed += 1
        add_events(store, clock, row)
    exports: dict[str, Export] = {
        "audit": export_audit(ORGANIZATION, Wanted(), as_entries=False),
        "events": export_events(ORGANIZATION, None, None, None, as_entries=False),
    }
    file = tmp_path / f"export.{format}"
    pages = list(read_pages(store, exports[what]))
    file.write_bytes(b"".join(FORMATS[format][0](pages, exports[what].shape.kinds)))

    stored, refused = ingest(file, open_mapping("reconciler"), tmp_path / "events")

    rows = pyarrow.dataset.dataset(sorted(map(str, (tmp_path / "events").rglob("*.parquet")))).to_table().to_pylist()
    there = {row["event_id"]: row for row in rows}
    assert (stored.events, refused.count) == (3, 0)
    for exported in (row for page in pages for row in page):
        found = there[exported["event_id"]]
        for name, value in exported.items():
            if name != "seq":  # counted anew in every folder of events
                assert found[name] == (sorted(value) if isinstance(value, list) else value), name
