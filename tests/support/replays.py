"""Events as tables of the embedded engines, for tests of the relational engine."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import ibis
import pyarrow as pa

from reconciler.impact.kinds import SETS, kind_of, set_key, stored_name
from reconciler.semantics.columns import COLUMNS
from reconciler.semantics.events import Event

SCHEMA = ibis.schema({stored_name(column): kind_of(column) for column in COLUMNS})


def rows_of(events: Iterable[Event]) -> list[dict[str, Any]]:
    """The events as they are stored: each set as the one text that stands for it."""
    rows = []
    for event in events:
        row = {}
        for column in COLUMNS:
            value = getattr(event, column)
            row[stored_name(column)] = set_key(value) if column in SETS and value is not None else value
        rows.append(row)
    return rows


@contextmanager
def events_table(engine: str, events: Sequence[Event]) -> Iterator[Any]:
    """A table of one of the embedded engines that holds *events*."""
    rows = rows_of(events)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # between ibis, DuckDB and pandas; none is about what we do
        connection = ibis.duckdb.connect() if engine == "duckdb" else ibis.sqlite.connect()
        try:
            if engine == "duckdb":
                connection.con.register("events", pa.Table.from_pylist(rows, SCHEMA.to_pyarrow()))
            else:
                types = {"string": "TEXT", "int64": "BIGINT", "float64": "DOUBLE", "boolean": "BOOLEAN"}
                columns = ", ".join(f'"{name}" {types[str(kind)]}' for name, kind in SCHEMA.items())
                connection.con.execute(f"CREATE TABLE events ({columns})")
                marks = ", ".join("?" for _ in SCHEMA)
                connection.con.executemany(f"INSERT INTO events VALUES ({marks})", [[*row.values()] for row in rows])
            yield connection.table("events")
        finally:
            connection.disconnect()
