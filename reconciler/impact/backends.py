"""Events in a table of an engine that somebody has already: the same relations, run there (semantics.md D.6).

Only reads, and temporary tables of its own. What is asked of the table first is whether it is one: the columns and
their types, one row per `seq`, time and order in step. How much will be read is said before anything is.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any, Final
from urllib.parse import SplitResult, parse_qsl, unquote, unquote_plus, urlsplit

import ibis
import ibis.expr.types as ir

from reconciler.errors import ConfigError, ReconcilerError, UsageError
from reconciler.impact.kinds import SETS, kind_of, stored_name
from reconciler.impact.narrow import needed_by
from reconciler.impact.replay import Version, changed_keys
from reconciler.impact.scan import estimate, require_small
from reconciler.impact.store import CONSTANT_AFTER, Stored
from reconciler.semantics.columns import COLUMNS

#: Engines by the scheme of a URL, as Ibis calls them. The last three are accepted and were never run by us.
ENGINES: Final = {
    "duckdb": "duckdb",
    "sqlite": "sqlite",
    "postgres": "postgres",
    "postgresql": "postgres",
    "pyspark": "pyspark",
    "trino": "trino",
    "snowflake": "snowflake",
    "bigquery": "bigquery",
}
#: How Spark is started where the URL does not say otherwise: quiet, and without a page of its own.
_SPARK: Final = {
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.sql.session.timeZone": "UTC",
    "spark.log.level": "ERROR",
}
_IN_A_FILE: Final = frozenset(("duckdb", "sqlite"))
REQUIRED: Final = ("seq", "ts_us", "actor_id", "action", "resource")
_HOUR_US: Final = 3_600_000_000
#: Modules whose exceptions are ours to explain: a fault of the engine or of the way to it, not of this program.
_OURS: Final = ("builtins", "reconciler")


@contextmanager
def open_table(
    url: str,
    name: str,
    versions: Sequence[tuple[Version, Version]],
    *,
    max_bytes: int | None = None,
    tell: Callable[[str], None] = lambda text: None,
) -> Iterator[tuple[ir.Table, Stored]]:
    """Open a table of events, as `open_events` opens a folder, to replay *versions*: old and new of each target.

    *tell* hears how much will be read. Raises ReconcilerError where the engine or the table cannot be used, or where
    more than *max_bytes* would be read; then nothing was.
    """
    shown = without_secrets(url)
    with _explained(url, shown), warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=DeprecationWarning)  # between ibis, its engines and pandas
        connection = _connect(url, shown)
        try:
            table = _typed(_named(connection, name, shown), name)
            programs = [each for pair in versions for version in pair for each in version.values()]
            table = table.select(*needed_by(programs, table), *_shown(table, programs))
            scan = estimate(connection, table, looks_of(versions, len(table.columns)))
            tell(scan.sentence(shown))
            require_small(scan, max_bytes)
            stored = _asked(table, name)
            nothing = {stored_name(each): ibis.null(table[stored_name(each)].type()) for each in stored.constant}
            yield table.mutate(**nothing) if nothing else table, stored
        finally:
            connection.disconnect()


def looks_of(versions: Sequence[tuple[Version, Version]], columns: int) -> int:
    """Return about how often the table is looked through: twice to check it, once per column, thrice per change."""
    return 2 + columns + sum(3 * len(changed_keys(old, new)) + 2 for old, new in versions)


def without_secrets(url: str) -> str:
    """Return a URL as it may be shown: without user, password and parameters.

    >>> without_secrets("postgres://me:secret@db.example:5432/audit?sslmode=require")
    'postgres://db.example:5432/audit'
    """
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _connect(url: str, shown: str) -> Any:
    parts = urlsplit(url)
    engine = ENGINES.get(parts.scheme)
    if engine is None:
        raise UsageError(
            f"no engine goes by {parts.scheme!r}" if parts.scheme else "is no URL",
            where="--backend",
            fix="write one that begins with " + ", ".join(f"{scheme}://" for scheme in sorted(ENGINES)),
            code="backend",
        )
    options: dict[str, Any] = {}
    if engine in _IN_A_FILE:
        path = parts.netloc + parts.path
        if path and not Path(path).is_file():
            raise ReconcilerError(
                "there is no such file", where=shown, fix="name a database that is there", code="backend"
            )
        if engine == "duckdb" and path:
            options["read_only"] = True
    try:
        connection = _spark(parts) if engine == "pyspark" else ibis.connect(url, **options)
    except Exception as error:  # whatever a driver raises, from a wrong password to a broken cluster
        lacks = error if isinstance(error, ModuleNotFoundError) else error.__cause__
        if isinstance(lacks, ModuleNotFoundError):
            raise ConfigError(
                f"the driver of {engine} is not installed ({lacks.name})",
                where=shown,
                fix=f"install it: pip install 'ibis-framework[{engine}]'",
                code="backend-driver",
            ) from error
        raise _failed(url, shown, error) from None
    if engine == "duckdb":
        connection.con.execute("SET enable_progress_bar = false")
    return connection


def _spark(parts: SplitResult) -> Any:
    """A session with the settings of the URL; Ibis would set those of a started session, which Spark refuses."""
    from pyspark.sql import SparkSession  # type: ignore[import-not-found,unused-ignore]

    builder = SparkSession.builder
    for name, value in {**_SPARK, **dict(parse_qsl(parts.query))}.items():
        builder = builder.config(name, value)
    return ibis.pyspark.connect(builder.getOrCreate())


@contextmanager
def _explained(url: str, shown: str) -> Iterator[None]:
    """What an engine raises becomes one error, without what the URL keeps secret; our own bugs stay what they are."""
    try:
        yield
    except Exception as error:
        if type(error).__module__.partition(".")[0] in _OURS:
            raise
        raise _failed(url, shown, error) from None


def _failed(url: str, shown: str, error: Exception) -> ReconcilerError:
    said = str(error).strip().splitlines() or [type(error).__name__]
    text = said[0][:300]
    for secret in _secrets(urlsplit(url)):
        text = text.replace(secret, "***")
    return ReconcilerError(
        f"the engine says: {text}",
        where=shown,
        fix="check the URL, the table and the rights: it is read, and temporary tables are made",
        code="backend",
    )


def _secrets(parts: SplitResult) -> list[str]:
    """Whatever in a URL may be a secret, as written and as decoded, the longest first."""
    held = [parts.password, parts.query, *(value for _, value in parse_qsl(parts.query) if len(value) > 3)]
    each = [form for text in held if text for form in (text, unquote(text), unquote_plus(text))]
    return sorted(set(each), key=len, reverse=True)


def _named(connection: Any, name: str, shown: str) -> ir.Table:
    """The table of that name; or, where the engine reads files, the days of a folder of events."""
    folder = Path(name)
    if connection.name in ("duckdb", "pyspark") and folder.is_dir():
        return connection.read_parquet(str(folder / "date=*" / "*.parquet"))
    *place, last = name.split(".")
    if not last or len(place) > 2:
        raise UsageError(
            "is no name of a table", where="--events", fix="write [[catalog.]schema.]table", code="backend-table"
        )
    return connection.table(last, database=tuple(place) if len(place) == 2 else place[0] if place else None)


# ------------------------------------------------------------------------------------------------ the table


def _typed(table: ir.Table, name: str) -> ir.Table:
    """The columns that we know, each of its type; raises ReconcilerError for a column that cannot be that."""
    missing = [column for column in REQUIRED if column not in table.columns]
    if missing:
        raise _no_events(name, f"has no column {', '.join(missing)}")
    lists = [column for column in SETS if column in table.columns and stored_name(column) not in table.columns]
    if lists:
        raise _no_events(name, f"has {lists[0]} without {stored_name(lists[0])}, the sorted entries joined by U+001F")
    known: dict[str, ir.Value] = {}
    for column in (stored_name(each) for each in COLUMNS):
        if column in table.columns:
            kind = kind_of(column.removesuffix("_key"))
            if not _fits(table[column].type(), kind):
                raise _no_events(name, f"has {column} as {table[column].type()}, and it should be {kind}")
            known[column] = (
                table[column] if str(table[column].type()) in (kind, f"!{kind}") else table[column].cast(kind)
            )
    return table.select(**known)


def _fits(found: Any, kind: str) -> bool:
    return bool(
        {
            "int64": found.is_integer(),
            "float64": found.is_floating() or found.is_integer() or found.is_decimal(),
            "boolean": found.is_boolean(),
            "string": found.is_string(),
        }[kind]
    )


def _shown(table: ir.Table, programs: Sequence[Any]) -> list[str]:
    """What examples and fidelity need beside what the policies ask for."""
    asked = {*needed_by(programs, table)}
    wanted = ("action", "resource", "source_ip", "decision", "event_id")
    return [column for column in wanted if column in table.columns and column not in asked]


def _asked(table: ir.Table, name: str) -> Stored:
    """What the table holds, by two looks at it; raises ReconcilerError where its rows cannot be events in order."""
    optional = [column for column in table.columns if column not in REQUIRED]
    facts: dict[str, ir.Value] = {"n": table.count(), "seqs": table.seq.nunique()}
    facts |= {f"r_{column}": table[column].count() for column in REQUIRED}
    facts |= {"low": table.ts_us.min(), "high": table.ts_us.max()}
    for column in optional:
        value = table[column].cast("int8") if table[column].type().is_boolean() else table[column]
        facts |= {f"c_{column}": value.count(), f"s_{column}": value.min() == value.max()}
    (row,) = table.aggregate(**facts).to_pyarrow().to_pylist()
    count = int(row["n"])
    if not count:
        raise _no_events(name, "holds no event")
    empty = next((column for column in REQUIRED if row[f"r_{column}"] != count), None)
    if empty is not None:
        raise _no_events(name, f"has rows without {empty}")
    if row["seqs"] != count:
        raise _no_events(name, "has several rows with one seq")
    _require_order(table, name)
    columns: dict[str, dict[str, Any]] = {}
    for column in optional:
        known = int(row[f"c_{column}"])
        same = bool(row[f"s_{column}"])
        constant = same and known >= CONSTANT_AFTER and column not in ("event_id", "decision")
        facts_of = {"null_share": round(1 - known / count, 6), "distinct": 1 if same else 2, "constant": constant}
        columns[column.removesuffix("_key")] = facts_of
    return Stored(count, 0, int(row["low"]), int(row["high"]), 0, 0, columns, {})


def _require_order(table: ir.Table, name: str) -> None:
    """`seq` has to rise with time. Looked at hour by hour: exact order would need all rows sorted."""
    hours = table.mutate(hour=table.ts_us - table.ts_us % _HOUR_US)
    spans = hours.group_by("hour").aggregate(low=hours.seq.min(), high=hours.seq.max()).order_by("hour")
    rows = spans.to_pyarrow().to_pylist()
    if any(before["high"] >= after["low"] for before, after in pairwise(rows)):
        raise _no_events(name, "has a seq that does not rise with ts_us")


def _no_events(name: str, what: str) -> ReconcilerError:
    return ReconcilerError(
        what,
        where=name,
        fix="make a view with the columns of an event: docs/how-to/replay-elsewhere.md",
        code="backend-table",
    )
