"""Files of records, whatever wrote them: JSON lines (gz, zst), CSV, Parquet; one decoded record after the other."""

from __future__ import annotations

import csv
import gzip
import io
import json
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from reconciler.errors import Place, ReconcilerError

_SUFFIXES: Final = {".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "jsonl", ".csv": "csv", ".parquet": "parquet"}
_PACKED: Final = (".gz", ".zst")
#: A longer line is refused: nothing that is logged as one event is that long.
MOST_LINE: Final = 1024 * 1024
_BATCH: Final = 10_000
#: As much memory as the zstd program itself takes for a file.
_MOST_WINDOW: Final = 2**27


@dataclass(slots=True)
class Meter:
    """How far the file that is being read is read, in its own bytes: `at` is asked whenever somebody wants to know."""

    at: Callable[[], int] = int


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


def read_records(
    path: Path, format: str | None = None, meter: Meter | None = None
) -> Iterator[tuple[int, dict[str, Any] | str]]:
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
        yield from {"jsonl": _jsonl, "csv": _csv, "parquet": _parquet}[chosen](path, meter or Meter())
    except ReconcilerError:
        raise
    except (OSError, EOFError, ValueError, csv.Error, zlib.error) as error:
        raise _broken(path, str(error)) from error


@contextmanager
def _opened(path: Path, meter: Meter) -> Iterator[io.BufferedReader]:
    with path.open("rb") as file:
        meter.at = file.tell
        if path.suffix in _PACKED and not file.peek(1):
            raise EOFError("it is empty, which nothing packed is")
        if path.suffix == ".gz":
            with gzip.open(file, "rb") as packed:
                yield io.BufferedReader(packed)
        elif path.suffix == ".zst":
            yield io.BufferedReader(_Unpacked(file))
        else:
            yield file
    meter.at = int


class _Unpacked(io.RawIOBase):
    """The content of a zst file, frame by frame; EOFError where the file ends inside of one.

    The library's own reader takes that for the end. What is fed at once is little, because it may unpack to 32 MiB per
    kibibyte.
    """

    def __init__(self, file: io.BufferedReader) -> None:
        from zstandard import ZstdDecompressor, ZstdError

        self._file, self._error = file, ZstdError
        self._make = ZstdDecompressor(max_window_size=_MOST_WINDOW).decompressobj
        self._frame = self._make()
        self._is_inside = False
        self._left = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._left:
            packed = self._frame.unused_data or self._file.read(1024)
            if self._frame.eof:
                self._frame, self._is_inside = self._make(), False
            if not packed:
                if self._is_inside:
                    raise EOFError("it ends before its end")
                return 0
            try:
                self._left = memoryview(self._frame.decompress(packed))
            except self._error as error:
                raise OSError(str(error)) from error
            self._is_inside = not self._frame.eof
        taken = self._left[: len(buffer)]
        buffer[: len(taken)] = taken
        self._left = self._left[len(taken) :]
        return len(taken)


def _jsonl(path: Path, meter: Meter) -> Iterator[tuple[int, dict[str, Any] | str]]:
    with _opened(path, meter) as lines:
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


def _csv(path: Path, meter: Meter) -> Iterator[tuple[int, dict[str, Any] | str]]:
    with _opened(path, meter) as data:
        rows = csv.DictReader(io.TextIOWrapper(data, encoding="utf-8-sig", newline=""), strict=True)
        for row in rows:
            if None in row or None in row.values():
                yield rows.line_num, "has another number of fields than the first line"
            else:
                yield rows.line_num, dict(row)


def _parquet(path: Path, meter: Meter) -> Iterator[tuple[int, dict[str, Any] | str]]:
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
