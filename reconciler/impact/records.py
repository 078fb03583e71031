"""Files of records, whatever wrote them: JSON lines (gz, zst), CSV, Parquet; one decoded record after the other."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from reconciler.errors import Place, ReconcilerError

_SUFFIXES: Final = {".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "jsonl", ".csv": "csv", ".parquet": "parquet"}
_PACKED: Final = (".gz", ".zst")
#: A longer line is refused: nothing that is logged as one event is that long.
MOST_LINE: Final = 1024 * 1024
_BATCH: Final = 10_000


def format_of(path: Path) -> str | None:
    """Return the format that a file's name says; None where it says none.

    >>> format_of(Path("a/audit.jsonl.gz")), format_of(Path("audit.txt"))
    ('jsonl', None)
    """
    plain = path.with_suffix("") if path.suffix in _PACKED else path
    return _SUFFIXES.get(plain.suffix.lower())


def files_of(source: Path) -> list[Path]:
    """Return the files of a source, sorted: itself, or every file below that has a known name.

    Raises ReconcilerError where there is none.
    """
    if not source.exists():
        raise ReconcilerError("is not there", where=str(source), fix="name a file or a folder", code="events-source")
    if source.is_file():
        return [source]
    found = sorted(path for path in source.rglob("*") if path.is_file() and format_of(path) is not None)
    if not found:
        raise ReconcilerError(
            "has no files of events", where=str(source), fix="put .jsonl, .csv or .parquet there", code="events-source"
        )
    return found


def read_records(path: Path, format: str | None = None) -> Iterator[tuple[int, dict[str, Any] | str]]:
    """Yield (line or row from 1, record); a text instead of a record says what is wrong with that line.

    A file that cannot be read at all raises ReconcilerError: another format, cut off, or broken.
    """
    chosen = format or format_of(path)
    if chosen is None:
        raise ReconcilerError(
            "has a name that says no format",
            where=str(path),
            fix="call it .jsonl, .csv or .parquet",
            code="events-source",
        )
    try:
        yield from {"jsonl": _jsonl, "csv": _csv, "parquet": _parquet}[chosen](path)
    except ReconcilerError:
        raise
    except (OSError, EOFError, ValueError, csv.Error) as error:
        raise _broken(path, str(error)) from error


@contextmanager
def _opened(path: Path) -> Iterator[io.BufferedReader]:
    if path.suffix == ".gz":
        with gzip.open(path, "rb") as packed:
            yield io.BufferedReader(packed)
    elif path.suffix == ".zst":
        import zstandard

        with path.open("rb") as file, zstandard.ZstdDecompressor().stream_reader(file) as unpacked:
            try:
                yield io.BufferedReader(unpacked)
            except zstandard.ZstdError as error:
                raise _broken(path, str(error)) from error
    else:
        with path.open("rb") as file:
            yield file


def _jsonl(path: Path) -> Iterator[tuple[int, dict[str, Any] | str]]:
    with _opened(path) as lines:
        number = 0
        while line := lines.readline(MOST_LINE + 1):
            number += 1
            if len(line) > MOST_LINE:
                raise _broken(path, f"line {number} is longer than {MOST_LINE} bytes")
            if line.strip():
                yield number, _object(line)


def _object(line: bytes) -> dict[str, Any] | str:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return "is no JSON"
    return value if isinstance(value, dict) else "is no JSON object"


def _csv(path: Path) -> Iterator[tuple[int, dict[str, Any] | str]]:
    with _opened(path) as data:
        rows = csv.DictReader(io.TextIOWrapper(data, encoding="utf-8-sig", newline=""), strict=True)
        for row in rows:
            if None in row or None in row.values():
                yield rows.line_num, "has another number of fields than the first line"
            else:
                yield rows.line_num, dict(row)


def _parquet(path: Path) -> Iterator[tuple[int, dict[str, Any] | str]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            number = 0
            for batch in file.iter_batches(_BATCH):
                for row in batch.to_pylist():
                    number += 1
                    yield number, row
    except (pa.ArrowException, OSError) as error:
        raise _broken(path, str(error)) from error


def _broken(path: Path, why: str) -> ReconcilerError:
    first = why.splitlines()[0][:200] if why else "it ends early"
    return ReconcilerError(
        f"cannot be read: {first}", where=Place(str(path)), fix="copy it again from where it came", code="events-source"
    )
