"""The preview of a change over a folder of events: opens it, replays, counts, and says what it cannot know (F)."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

import ibis
import ibis.expr.types as ir
import pyarrow as pa

from reconciler.core.impact import Impact
from reconciler.errors import OutputError, ReconcilerError
from reconciler.impact.fidelity import fidelity
from reconciler.impact.kinds import stored_name
from reconciler.impact.lift import Values
from reconciler.impact.replay import Replay, Version, replay
from reconciler.impact.store import Stored, read_manifest
from reconciler.impact.summary import summarise
from reconciler.semantics.classify import Shift
from reconciler.semantics.nodes import columns, remembers
from reconciler.semantics.shared import Data

MEMORY: Final = "2GB"


@contextmanager
def open_events(folder: Path, *, memory: str = MEMORY) -> Iterator[tuple[ir.Table, Stored]]:
    """Open a folder of events for replays: the table, without what says nothing, and what the folder is.

    Raises ReconcilerError for a folder that is none, is empty, or is not as it was written.
    """
    stored = read_manifest(folder)
    if not stored.events:
        raise ReconcilerError(
            "holds no event", where=str(folder), fix="ingest a source that has some", code="events-folder"
        )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=DeprecationWarning)  # between ibis, DuckDB and pandas
        connection = ibis.duckdb.connect(memory_limit=memory, temp_directory=str(folder / ".spill"))
        try:
            connection.con.execute("SET enable_progress_bar = false")  # it would stand in what the command prints
            table = connection.read_parquet(str(folder / "date=*" / "*.parquet"), hive_partitioning=False)
            nothing = {stored_name(name): ibis.null(table[stored_name(name)].type()) for name in stored.constant}
            yield table.mutate(**nothing) if nothing else table, stored
        finally:
            connection.disconnect()


def data_of(stored: Stored) -> Data:
    """Return what compiling policies has to know about the events of a folder."""
    mapping = stored.mapping
    return Data(str(mapping.get("trust_scale", "percent")), str(mapping.get("mcp_trust_scale", "percent")))


def preview(
    old: Version,
    new: Version,
    table: ir.Table,
    stored: Stored,
    *,
    mode: str | None = None,
    take: Callable[[pa.Table], None] | None = None,
) -> Impact:
    """Return what the change from *old* to *new* would have done to the events of an open folder.

    Where the *mode* of the target is known (`STRICT`, `MONITORING`), *old* is compared with the decisions on record.
    *take* is handed every touched event as it was recorded, with what becomes of it.
    """
    known = stored.known and stored.known.without(map(stored_name, stored.constant))
    values = Values(table, known)
    found = replay(old, new, table, values)
    if take is not None:
        take(_touched(found, table))
    summary = summarise(found, old, new, table, values, _warnings(found.changed, old, new, stored))
    if mode is None or not found.changed:
        return summary
    return replace(summary, fidelity=fidelity(old, table, values, is_strict=mode == "STRICT"))


def _touched(found: Replay, table: ir.Table) -> pa.Table:
    touched = found.shifts.filter(found.shifts["shift"] != Shift.NONE.value).select("seq", "shift").rename(s_seq="seq")
    joined = table.inner_join(touched, table.seq == touched.s_seq).drop("s_seq").order_by("seq")
    return joined.to_pyarrow()


def write_touched(targets: Sequence[str], touched: Sequence[pa.Table], out: Path) -> None:
    """Write the touched events of all targets as one Parquet file, `target` first; whole or not at all.

    An event that two targets touch stands there twice. Raises OutputError.
    """
    import pyarrow.parquet as pq

    named = [
        rows.add_column(0, "target", pa.array([target] * rows.num_rows, pa.string()))
        for target, rows in zip(targets, touched, strict=True)
    ]
    made = out.with_name(f".{out.name}.{os.getpid()}.tmp")
    try:
        pq.write_table(pa.concat_tables(named), made, compression="zstd")
        made.replace(out)
    except OSError as error:
        made.unlink(missing_ok=True)
        raise OutputError(
            f"the file cannot be written ({error.strerror or type(error).__name__})",
            where=str(out),
            fix="choose another path or mend the permissions",
        ) from error


def _warnings(changed: tuple[str, ...], old: Version, new: Version, stored: Stored) -> list[str]:
    needed: set[str] = set()
    said = []
    for key in changed:
        programs = [version[key] for version in (old, new) if key in version]
        needed.update(column for program in programs for column in columns(program))
        if any(remembers(program) for program in programs):
            said.append(f"{key} looks back without limit; what happened before the first event counts as nothing")
    for column in sorted(needed & set(stored.constant)):
        said.append(f"{column} has one value in all events, so it counts as not recorded")
    if stored.rejected:
        said.append(f"{stored.rejected} records were no events and are not in the replay")
    return said
