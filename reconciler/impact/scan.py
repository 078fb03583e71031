"""How much an engine will read for a replay, said before it reads anything."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final

import ibis.expr.types as ir

from reconciler.errors import ReconcilerError

#: Bytes of a value where nobody knows better; texts are guessed.
_WIDTHS: Final = {"int64": 8, "float64": 8, "boolean": 1, "string": 24}


@dataclass(frozen=True, slots=True)
class Scan:
    """What one look at the columns reads, how often they are looked at, and who says so."""

    bytes: int
    looks: int
    columns: int
    source: str

    @property
    def total(self) -> int:
        return self.bytes * self.looks

    def sentence(self, where: str) -> str:
        """Return what people are told."""
        return (
            f"about {readable(self.total)} will be read from {where}: {self.columns} columns, "
            f"{readable(self.bytes)}, looked at {self.looks} times ({self.source})"
        )


def estimate(connection: Any, table: ir.Table, looks: int) -> Scan:
    """Return how much a replay reads: as the engine's planner says where it does, else rows by the width of columns."""
    ask = {"bigquery": _dry_run, "postgres": _explain}.get(connection.name, _by_rows)
    size, source = ask(connection, table)
    return Scan(size, looks, len(table.columns), source)


def _dry_run(connection: Any, table: ir.Table) -> tuple[int, str]:
    from google.cloud.bigquery import QueryJobConfig  # type: ignore[import-not-found,unused-ignore]

    job = connection.client.query(connection.compile(table), job_config=QueryJobConfig(dry_run=True))
    return int(job.total_bytes_processed), "a dry run"


def _explain(connection: Any, table: ir.Table) -> tuple[int, str]:
    with connection.con.cursor() as cursor:
        cursor.execute(f"EXPLAIN (FORMAT JSON) {connection.compile(table)}")
        found = cursor.fetchone()[0]
    plan = (json.loads(found) if isinstance(found, str) else found)[0]["Plan"]
    return int(plan["Plan Rows"]) * int(plan["Plan Width"]), "the planner's estimate"


def _by_rows(connection: Any, table: ir.Table) -> tuple[int, str]:
    width = sum(_WIDTHS.get(str(kind).lstrip("!"), 24) for kind in table.schema().values())
    return int(table.count().to_pyarrow().as_py()) * width, "rows by the width of their columns"


def require_small(scan: Scan, most: int | None) -> None:
    """Raise ReconcilerError where more would be read than somebody allows."""
    if most is not None and scan.total > most:
        raise ReconcilerError(
            f"about {readable(scan.total)} would be read, and at most {readable(most)} may be; nothing was read",
            where="--max-bytes",
            fix="name a table or view of fewer days, or allow more",
            code="backend-bytes",
        )


def readable(size: int) -> str:
    """Return a size as people say it.

    >>> readable(999), readable(1_234_567)
    ('999 bytes', '1.2 MB')
    """
    amount, units = float(size), ["bytes", "kB", "MB", "GB", "TB"]
    while amount >= 1000 and len(units) > 1:
        amount, units = amount / 1000, units[1:]
    return f"{size} bytes" if units[0] == "bytes" else f"{amount:.1f} {units[0]}"
