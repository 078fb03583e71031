"""Rows to bytes, a page at a time: JSON lines, CSV that no spreadsheet takes for formulas, Parquet.

In CSV a null is an empty cell. A text that begins with one of `= + - @`, their wide forms, a tab or a line break gets
a `'` in front, so that a spreadsheet shows it and computes nothing; so does one that begins with `'`, and the empty
text is `'` alone. A reader that takes one leading `'` away from every text has what was written. Lists and objects are
JSON text, times and numbers as in JSON.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final, TypeAlias

from reconciler.core.canonical import canonical_json
from reconciler.server.trail.shapes import Kinds

Rows: TypeAlias = Iterable[Mapping[str, Any]]

#: Rows to a row group, at least.
GROUP: Final = 50_000
_FORMULA: Final = tuple("=+-@＝＋－＠\t\r\n'")


def to_jsonl(pages: Iterable[Rows], _kinds: Kinds) -> Iterator[bytes]:
    """One object to a line, without its nulls; each in the one form of its content (`core.canonical`)."""
    for page in pages:
        yield "".join(f"{canonical_json(_there(row))}\n" for row in page).encode("ascii")


def to_csv(pages: Iterable[Rows], kinds: Kinds) -> Iterator[bytes]:
    """RFC 4180 in UTF-8, with a line of names first."""
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow(kinds)
    for page in pages:
        writer.writerows([_cell(row[name]) for name in kinds] for row in page)
        yield buffer.getvalue().encode()
        buffer.seek(0)
        buffer.truncate()
    yield buffer.getvalue().encode()


def to_parquet(pages: Iterable[Rows], kinds: Kinds) -> Iterator[bytes]:
    """Parquet with zstd, lists as lists, other objects as JSON text; the end of the file is its last part."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    arrow = {"whole": pa.int64(), "number": pa.float64(), "flag": pa.bool_(), "texts": pa.list_(pa.string())}
    schema = pa.schema([pa.field(name, arrow.get(kind, pa.string())) for name, kind in kinds.items()])

    def to_table(page: Rows) -> Any:
        rows = list(page)
        columns = ([_value(row[name], kind) for row in rows] for name, kind in kinds.items())
        arrays = [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)]
        return pa.Table.from_arrays(arrays, schema=schema)

    sink = _Sink()
    with pq.ParquetWriter(sink, schema, compression="zstd") as writer:
        group: list[Any] = []
        for page in pages:
            group.append(to_table(page))  # columns take a fraction of what rows do
            if sum(table.num_rows for table in group) >= GROUP:
                writer.write_table(pa.concat_tables(group))
                group = []
                yield sink.take()
        if group:
            writer.write_table(pa.concat_tables(group))
    yield sink.take()


#: How each format is made, what it is called on the wire, and the end of a file's name.
FORMATS: Final[Mapping[str, tuple[Callable[[Iterable[Rows], Kinds], Iterator[bytes]], str]]] = {
    "jsonl": (to_jsonl, "application/jsonl"),
    "csv": (to_csv, "text/csv; charset=utf-8; header=present"),
    "parquet": (to_parquet, "application/vnd.apache.parquet"),
}


def defuse(text: str) -> str:
    """A text for a cell.

    >>> defuse("=1+1"), defuse("plain"), defuse("'quoted"), defuse("")
    ("'=1+1", 'plain', "''quoted", "'")
    """
    return f"'{text}" if not text or text.startswith(_FORMULA) else text


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return defuse(value) if isinstance(value, str) else canonical_json(value)


def _there(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if value is not None}


def _value(value: Any, kind: str) -> Any:
    return canonical_json(value) if kind == "json" and value is not None else value


class _Sink(io.RawIOBase):
    """A file that is handed on as it is written."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        part = bytes(data)
        self._parts.append(part)
        return len(part)

    def take(self) -> bytes:
        parts, self._parts = self._parts, []
        return b"".join(parts)
