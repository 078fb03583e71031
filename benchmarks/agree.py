"""`python -m benchmarks.agree --backend URL --events N`: two engines, one change, the same numbers?

The made-up events of `traffic` and the change of `impact`'s case "both", replayed by the embedded DuckDB and by the
engine that the URL names; that engine has to be able to read the folder (DuckDB, Spark). Ends with 1 where a number
differs.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path

from benchmarks.impact import busiest, conditions
from benchmarks.traffic import make_events
from reconciler.core.impact import Impact
from reconciler.impact.backends import open_table
from reconciler.impact.preview import open_events, preview
from reconciler.semantics.compile import compile_policy
from reconciler.semantics.program import Program

SPARK = "pyspark://?spark.master=local[2]&spark.sql.shuffle.partitions=4"


def version(events: int, *, is_new: bool) -> Mapping[str, Program]:
    """Return the two policies of the benchmark, before or after."""
    found = {}
    for name, kind, value, effect in conditions(is_new, busiest(events) * (100 if is_new else 105) // 100):
        body = {"name": name, "policy_type": kind, "conditions": value, "actions": {"on_violation": effect}}
        program = compile_policy(body)
        if not isinstance(program, Program):
            raise SystemExit(f"{name} is no policy: {program}")
        found[name] = program
    return found


def replayed(folder: Path, events: int, url: str | None) -> tuple[Impact, float]:
    old, new = (version(events, is_new=each) for each in (False, True))
    start = time.perf_counter()
    if url is None:
        with open_events(folder) as (table, stored):
            found = preview(old, new, table, stored)
    else:
        with open_table(url, str(folder), [(old, new)]) as (table, stored):
            found = preview(old, new, table, stored)
    return found, time.perf_counter() - start


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="benchmarks.agree")
    parser.add_argument("--backend", default=SPARK, metavar="URL")
    parser.add_argument("--events", type=int, default=1_000_000, metavar="N")
    given = parser.parse_args(argv)
    folder = make_events(given.events)
    ours, seconds = replayed(folder, given.events, None)
    theirs, others = replayed(folder, given.events, given.backend)
    print(f"DuckDB {seconds:.1f} s, {given.backend.partition(':')[0]} {others:.1f} s")
    differ = [each.name for each in fields(Impact) if getattr(ours, each.name) != getattr(theirs, each.name)]
    for name in ("events", "actors", "newly_blocked", "newly_blocked_actors", "newly_allowed", "maybe_blocked"):
        print(f"{name:>20} {getattr(ours, name):>12,} {getattr(theirs, name):>12,}")
    print("different: " + ", ".join(differ) if differ else "everything is the same, examples and days included")
    return 1 if differ else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
