"""Made-up events of any number as a folder of events, the same ones each time (semantics.md D.6).

Seven days of requests by 2,000 actors (the busiest makes a twelfth of them), from 50,000 addresses, one in ten of them
IPv6, to 200,000 resources; times are whole milliseconds, so many are equal. 14 columns are recorded. DuckDB makes them:
a hundred million take minutes, not hours. Kept from run to run below the folder for temporary files.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import duckdb

from benchmarks.corpus import WORK
from reconciler.impact.kinds import SETS
from reconciler.impact.store import COPY, SCHEMA, write_manifest

DAYS = 7
FIRST_DAY = 20_514  # 2026-03-02, a Monday
DAY_US = 86_400_000_000
MEMORY = "4GB"
#: A number from 0 to 1 that row `i` always has; each column takes another one.
_CHANCE = "((hash(i * 16 + {}) >> 11) / 9007199254740992.0)"
#: The smaller the more often, as the places of a ranking: one of `n` by a chance.
_RANKED = "least(floor(exp({chance} * ln({n} + 1)))::BIGINT, {n}) - 1"
_COLUMNS = {
    "event_id": "'e' || lpad(i::VARCHAR, 12, '0')",
    "ts_us": "first + floor(c0 * long)::BIGINT * 1000",
    "actor_id": "'agent-' || lpad(actor::VARCHAR, 4, '0')",
    "action": "['read', 'read', 'read', 'list', 'list', 'write', 'write', 'delete', 'export', 'login']"
    "[1 + floor(c1 * 10)::BIGINT]",
    "resource": "['hr', 'crm', 'billing', 'code', 'mail'][1 + resource % 5] || '/' || (resource % 97) || '/' "
    "|| ['eu', 'us', 'apac'][1 + resource % 3] || '/' || resource",
    "actor_type": "['ai_agent', 'ai_agent', 'service', 'user'][1 + actor % 4]",
    "tenant": "'org-' || (actor % 5)",
    "source_ip": "CASE WHEN c2 > 0.998 THEN NULL WHEN address % 10 = 0 THEN '2001:db8:' "
    "|| printf('%x', address // 256) || '::' || printf('%x', address % 256 + 1) "
    "ELSE '10.' || (address // 25000) || '.' || (address // 250 % 100) || '.' || (address % 250) END",
    "country": "['DE', 'US', 'US', 'FR', 'IN', 'JP'][1 + address % 6]",
    "success": "c2 < 0.97",
    "decision": "CASE WHEN c3 < 0.01 THEN 'block' ELSE 'allow' END",
    "trust_score": "(40 + actor % 50 + floor(c4 * 10))::DOUBLE",
    "bytes": "floor(exp(c5 * 13))::BIGINT",
}


def make_events(count: int) -> Path:
    """Return the folder with so many events; made where it is not there yet."""
    folder = WORK / f"events-{count}"
    if (folder / "manifest.json").exists():
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    connection = duckdb.connect(config={"memory_limit": MEMORY, "temp_directory": str(folder / ".spill")})
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute("SET enable_progress_bar = false")
    slices = max(1, min(24, round(count / DAYS / 2_000_000)))  # so many are sorted at once
    for at in range(DAYS * slices):
        _write_slice(connection, folder, at, slices, count * at // (DAYS * slices), count * (at + 1) // (DAYS * slices))
    connection.close()
    shutil.rmtree(folder / ".spill", ignore_errors=True)
    write_manifest(folder, {"name": "made-up"})
    return folder


def _write_slice(
    connection: duckdb.DuckDBPyConnection, folder: Path, at: int, slices: int, start: int, end: int
) -> None:
    day = FIRST_DAY + at // slices
    (date,) = connection.execute("SELECT strftime(DATE '1970-01-01' + INTERVAL (?) DAY, '%Y-%m-%d')", [day]).fetchone()
    path = folder / f"date={date}" / f"events-{at % slices:02}.parquet"
    path.parent.mkdir(exist_ok=True)
    ranked = {
        "first": day * DAY_US + at % slices * (DAY_US // slices),
        "long": DAY_US // slices // 1000,
        "actor": _RANKED.format(chance=_CHANCE.format(7), n=2_000),
        "resource": _RANKED.format(chance=_CHANCE.format(8), n=200_000),
        "address": f"floor({_CHANCE.format(9)} * 50000)::BIGINT",
        **{f"c{each}": _CHANCE.format(each) for each in range(6)},
    }
    chances = ", ".join(f"{text} AS {name}" for name, text in ranked.items())
    made = {**{name: f"NULL::{_TYPES[str(kind)]}" for name, kind in _kinds().items()}, **_COLUMNS}
    columns = ", ".join(f"{text} AS {name}" for name, text in made.items())
    lists = ", ".join(f"NULL::VARCHAR[] AS {name}" for name in SETS)
    seq = f"{start} + row_number() OVER (ORDER BY ts_us, event_id) - 1"
    rows = f"SELECT i, {chances} FROM range({start}, {end}) AS t(i)"  # noqa: S608 - numbers
    made_up = f"SELECT {columns} FROM ({rows})"  # noqa: S608 - texts of this module
    query = f"SELECT *, {seq} AS seq, {lists} FROM ({made_up}) ORDER BY ts_us, event_id"  # noqa: S608 - the same
    connection.execute(f"COPY ({query}) TO '{path}' ({COPY})")


_TYPES = {"string": "VARCHAR", "int64": "BIGINT", "double": "DOUBLE", "bool": "BOOLEAN"}


def _kinds() -> dict[str, str]:
    return {field.name: str(field.type) for field in SCHEMA if field.name not in ("nr", "seq")}
