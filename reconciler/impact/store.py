"""The folder of events: Parquet, one folder per UTC day, sorted by (ts_us, seq), and a manifest (semantics.md C).

DuckDB sorts and removes duplicates within a memory limit, so that a month of events needs no month of memory. The
folder is replaced whole, or not at all.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import duckdb
import pyarrow as pa

from reconciler.core.model import Json
from reconciler.errors import ReconcilerError
from reconciler.impact.kinds import SETS, kind_of, set_key, stored_name
from reconciler.impact.known import FROM_EVENTS, Known, read_known, sha256_of, write_known
from reconciler.impact.manifest import fault_of, rows_of, unlisted
from reconciler.semantics.columns import COLUMNS
from reconciler.semantics.events import Event

FORMAT: Final = "reconciler.events/1"
MANIFEST: Final = "manifest.json"
#: A column with one value over so many events is taken for not recorded (semantics.md B.13).
CONSTANT_AFTER: Final = 1000
_BATCH: Final = 20_000
#: How a file of events is written.
COPY: Final = "FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 500000"
_MEMORY: Final = "1GB"
_TYPES: Final = {"string": pa.string(), "int64": pa.int64(), "float64": pa.float64(), "boolean": pa.bool_()}
#: `nr` is the order of arrival, which decides between duplicates.
SCHEMA: Final = pa.schema([(stored_name(name), _TYPES[kind_of(name)]) for name in COLUMNS] + [("nr", pa.int64())])


@dataclass(frozen=True, slots=True)
class Stored:
    """What a folder holds: events and days, first and last instant, what was left out, per column what is known."""

    events: int
    days: int
    first_us: int | None
    last_us: int | None
    duplicates: int
    rejected: int
    columns: Mapping[str, Mapping[str, Json]]
    mapping: Mapping[str, Json]
    known: Known | None = None

    @property
    def constant(self) -> tuple[str, ...]:
        """The columns that never say anything else, and so say nothing."""
        return tuple(name for name, facts in self.columns.items() if facts.get("constant"))


def write_events(
    folder: Path,
    events: Iterable[Event],
    *,
    mapping: Mapping[str, Json],
    rejected: Callable[[], int] = int,
    kept: Stored | None = None,
) -> Stored:
    """Write *events*, in any order, as the folder; what was there before is replaced once everything is written.

    Of several events with one id the earliest counts, then the first that came. `seq` is the position in the order
    (ts_us, event_id). *rejected* is asked, once all are read, how many records were none; *mapping* is read then, too.
    With *kept*, what `read_manifest` says of the folder, the events that it holds stay, as those that came first.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".events-", dir=folder.parent) as work:
        connection = duckdb.connect(str(Path(work, "sort.duckdb")))
        try:
            spill = _quoted(Path(work, "spill"))
            connection.execute(f"SET memory_limit = '{_MEMORY}'; SET temp_directory = {spill}; SET TimeZone = 'UTC'")
            connection.execute("SET enable_progress_bar = false")
            connection.register("nothing", SCHEMA.empty_table())
            connection.execute("CREATE TABLE raw AS SELECT * FROM nothing")
            if kept is not None:
                _insert_kept(connection, folder)
            _insert(connection, events, 0 if kept is None else kept.events)
            made = Path(work, "made")
            made.mkdir()
            stored = _finish(connection, made, mapping, rejected(), kept)
        finally:
            connection.close()
        _replace(made, folder)
    return stored


def _insert_kept(connection: Any, folder: Path) -> None:
    paths = _paths_of(folder)
    if paths:
        connection.execute(
            f"INSERT INTO raw BY NAME SELECT * EXCLUDE ({', '.join(SETS)}), seq AS nr "  # noqa: S608 # nosec B608 - names of ours
            f"FROM read_parquet([{', '.join(map(_quoted, paths))}], hive_partitioning = false)"
        )


def _paths_of(folder: Path) -> list[Path]:
    return sorted(folder.glob("date=*/*.parquet"))


def _insert(connection: Any, events: Iterable[Event], first: int) -> None:
    for start, rows in _batches(events):
        numbered = enumerate(rows, first + start)
        batch = pa.Table.from_pylist([_row(event, number) for number, event in numbered], SCHEMA)
        connection.register("batch", batch)
        connection.execute("INSERT INTO raw SELECT * FROM batch")
        connection.unregister("batch")


def _batches(events: Iterable[Event]) -> Iterator[tuple[int, list[Event]]]:
    start, rows = 0, []
    for event in events:
        rows.append(event)
        if len(rows) == _BATCH:
            yield start, rows
            start, rows = start + len(rows), []
    if rows:
        yield start, rows


def _row(event: Event, number: int) -> dict[str, Any]:
    row = {}
    for name in COLUMNS:
        value = getattr(event, name)
        row[stored_name(name)] = set_key(value) if name in SETS and value is not None else value
    return {**row, "nr": number}


def _finish(connection: Any, made: Path, mapping: Mapping[str, Json], rejected: int, kept: Stored | None) -> Stored:
    """Sort, number, write the days and the manifest."""
    connection.execute(
        "CREATE TABLE events AS SELECT * EXCLUDE (nr, seq), "
        "row_number() OVER (ORDER BY ts_us, event_id) - 1 AS seq FROM ("
        "SELECT * FROM raw QUALIFY row_number() OVER (PARTITION BY event_id ORDER BY ts_us, nr) = 1)"
    )
    total = connection.execute("SELECT count(*) FROM raw").fetchone()[0]
    count, first, last = connection.execute("SELECT count(*), min(ts_us), max(ts_us) FROM events").fetchone()
    days = connection.execute("SELECT DISTINCT ts_us // 86400000000 AS day FROM events ORDER BY day").fetchall()
    lists = ", ".join(
        f"CASE WHEN {name}_key = '' THEN [] ELSE string_split({name}_key, chr(31)) END AS {name}" for name in SETS
    )
    files = {}
    for (day,) in days:
        text = connection.execute(
            "SELECT strftime(DATE '1970-01-01' + INTERVAL (?) DAY, '%Y-%m-%d')", [day]
        ).fetchone()[0]
        path = made / f"date={text}" / "events.parquet"
        path.parent.mkdir()
        connection.execute(
            f"COPY (SELECT *, {lists} FROM events WHERE ts_us >= {day * 86_400_000_000} "  # noqa: S608 # nosec B608 - numbers
            f"AND ts_us < {(day + 1) * 86_400_000_000} ORDER BY ts_us, seq) TO {_quoted(path)} ({COPY})"
        )
        files[f"date={text}/events.parquet"] = sha256_of(path)
    columns = _facts(connection, count, mapping)
    duplicates = total - count + (0 if kept is None else kept.duplicates)
    rejected += 0 if kept is None else kept.rejected
    stored = Stored(count, len(days), first, last, duplicates, rejected, columns, mapping)
    _write_manifest(made, stored, files)
    if count >= FROM_EVENTS:
        write_known(connection, made)
    return stored


def _write_manifest(folder: Path, stored: Stored, files: Mapping[str, str]) -> None:
    text = json.dumps(_manifest(stored, files), indent=2, sort_keys=True) + "\n"
    (folder / MANIFEST).write_text(text, encoding="utf-8")


def write_manifest(folder: Path, mapping: Mapping[str, Json]) -> Stored:
    """Write the manifest of days that are there already, each in order and numbered on from the one before."""
    paths = sorted(folder.glob("date=*/*.parquet"))
    with duckdb.connect() as connection:
        files = _quoted(folder / "date=*" / "*.parquet")
        connection.execute(f"CREATE VIEW events AS FROM read_parquet({files}, hive_partitioning = false)")
        count, first, last = connection.sql("SELECT count(*), min(ts_us), max(ts_us) FROM events").fetchall()[0]
        days = len({path.parent for path in paths})
        stored = Stored(count, days, first, last, 0, 0, _facts(connection, count, mapping), mapping)
        _write_manifest(folder, stored, {str(path.relative_to(folder)): sha256_of(path) for path in paths})
        write_known(connection, folder)
    return stored


def _quoted(path: Path) -> str:
    """A path as a text of SQL."""
    return "'" + str(path).replace("'", "''") + "'"


def _facts(connection: Any, count: int, mapping: Mapping[str, Json]) -> dict[str, dict[str, Json]]:
    """Per column: share of nulls, about how many different values, and whether it is always the same."""
    trusted = set(mapping.get("trust_constant") or ()) | set(mapping.get("constants") or ())  # type: ignore[arg-type]
    facts: dict[str, dict[str, Json]] = {}
    for name in COLUMNS:
        if name == "seq":
            continue
        stored = stored_name(name)
        known, distinct, same = connection.execute(
            f'SELECT count("{stored}"), approx_count_distinct("{stored}"), '  # noqa: S608 # nosec B608 - names of ours
            f'min("{stored}") = max("{stored}") FROM events'
        ).fetchone()
        constant = bool(same) and known >= CONSTANT_AFTER and name not in trusted and name not in _ALWAYS
        facts[name] = {
            "null_share": round(1 - known / count, 6) if count else 1.0,
            "distinct": 1 if same else int(distinct),
            "constant": constant,
        }
    return facts


#: Columns without which there is no event, and what the recording system says of its own decision.
_ALWAYS: Final = frozenset(
    ("event_id", "ts_us", "actor_id", "action", "resource", "decision", "decision_source", "policy_revision")
)


def _manifest(stored: Stored, files: Mapping[str, str]) -> dict[str, Json]:
    return {
        "format": FORMAT,
        "events": stored.events,
        "days": stored.days,
        "first_us": stored.first_us,
        "last_us": stored.last_us,
        "duplicates": stored.duplicates,
        "rejected": stored.rejected,
        "columns": {name: dict(facts) for name, facts in stored.columns.items()},
        "mapping": dict(stored.mapping),
        "files": dict(files),
    }


def _replace(made: Path, folder: Path) -> None:
    """Put the new folder where the old one was; a folder that holds anything else is not ours to replace."""
    old = folder.with_name(f".{folder.name}.old")
    if folder.exists():
        if any(folder.iterdir()) and not (folder / MANIFEST).exists():
            raise ReconcilerError(
                "is a folder that holds something else than events",
                where=str(folder),
                fix="name a new folder with --out",
                code="events-folder",
            )
        os.replace(folder, old)
    os.replace(made, folder)
    shutil.rmtree(old, ignore_errors=True)


# ------------------------------------------------------------------------------------------------ reading


def read_manifest(folder: Path) -> Stored:
    """Return what a folder says it holds; raises ReconcilerError for one that is none, or that was cut short."""
    try:
        value = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise _no_events(folder, "holds no events (there is no manifest.json)") from None
    except (OSError, ValueError, RecursionError) as error:
        raise _no_events(folder, f"has a manifest that cannot be read: {error}") from error
    if not isinstance(value, dict) or value.get("format") != FORMAT:
        raise _no_events(folder, "has a manifest of another format")
    fault = fault_of(value)
    if fault is not None:
        raise _no_events(folder, fault)
    for name in value["files"]:
        if not (folder / name).is_file():
            raise _no_events(folder, f"lacks {name}")
    with ThreadPoolExecutor(4) as several:
        digests = list(several.map(sha256_of, [folder / name for name in value["files"]]))
    for (name, digest), found in zip(value["files"].items(), digests, strict=True):
        if found != digest:
            raise _no_events(folder / name, "is not what was written (another sha256)")
    other = unlisted(folder, value["files"])
    if other is not None:
        raise _no_events(folder / other, "is not in the manifest")
    _require_rows(folder, value)
    known = read_known(folder, value["events"], value["first_us"], value["last_us"]) if value["events"] else None
    return Stored(**{key: value[key] for key in Stored.__slots__ if key != "known"}, known=known)


def _require_rows(folder: Path, value: Mapping[str, Any]) -> None:
    try:
        rows = rows_of(folder / name for name in value["files"])
    except ValueError as error:
        raise _no_events(folder, f"has a file that cannot be read: {error}") from error
    if rows != value["events"]:
        raise _no_events(folder, f"holds {rows:,} events, and its manifest says {value['events']:,}")


def _no_events(folder: Path, what: str) -> ReconcilerError:
    return ReconcilerError(
        what, where=str(folder), fix="make it with: reconciler events ingest SOURCE --out DIR", code="events-folder"
    )


def known_ids(folder: Path, ids: Iterable[str]) -> frozenset[str]:
    """Return which of *ids* the folder has an event of; none where there is no folder."""
    paths = _paths_of(folder)
    if not paths:
        return frozenset()
    files = ", ".join(map(_quoted, paths))
    with duckdb.connect() as connection:
        connection.register("asked", pa.table({"event_id": pa.array(list(ids), pa.string())}))
        rows = connection.execute(
            f"SELECT event_id FROM asked SEMI JOIN read_parquet([{files}], hive_partitioning = false) "  # noqa: S608 # nosec B608 - paths, quoted
            "USING (event_id)"
        ).fetchall()
    return frozenset(row[0] for row in rows)
