"""`python -m benchmarks.impact`: what a change does to 10 million recorded events, and how long it takes to know.

Runs the program itself (`reconciler impact`) as a process of its own on made-up events, and beside each run, in turn, a
plain scan of the columns that it needs. It wants the checkout's own environment, which has DuckDB and Ibis:
`.venv/bin/python -P -m benchmarks.impact --events 100000000 list limit`.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.corpus import WORK, git
from benchmarks.measure import Cost, process, rotate, spread
from benchmarks.traffic import DAYS, make_events

_BASE = ("10.0.0.0/8", "2001:db8::/32")
_SMALLER = ("10.0.0.0/16", "10.1.0.0/18", "10.1.64.0/19", "2001:db8::/32")
#: Share of the busiest actor, see `traffic`: ln(2) / ln(2001).
_BUSIEST = 0.0912


@dataclass(frozen=True, slots=True)
class Case:
    """One change: its branches, its columns, and how long it may take with 10 and with 100 million events."""

    base: str
    branch: str
    says: str
    columns: tuple[str, ...]
    goals: dict[int, float]


CASES = {
    "one": Case("one", "one-list", "an allowlist loses four networks", ("source_ip",), {100_000_000: 5.0}),
    "list": Case("main", "list", "the same beside an hourly limit that stays", ("source_ip", "actor_id", "ts_us"), {}),
    "limit": Case(
        "main", "limit", "a sliding hourly limit is lowered", ("actor_id", "ts_us", "seq"), {100_000_000: 30.0}
    ),
    "both": Case(
        "main", "both", "the list and the limit at once", ("source_ip", "actor_id", "ts_us", "seq"), {10_000_000: 10.0}
    ),
}
PROGRAM = ("-P", "-m", "reconciler")
SCAN = """\
import duckdb, sys
c = duckdb.connect()
c.execute("SET enable_progress_bar = false")
print(c.execute(sys.argv[1]).fetchone()[0])
"""


def make_repository(events: int) -> Path:
    """Return a repository whose branches change two policies: limits that fit so many events."""
    folder = WORK / f"impact-{events}"
    if (folder / ".git" / "refs" / "heads" / "one-list").exists():
        return folder
    (folder / "policies").mkdir(parents=True, exist_ok=True)
    config = {
        "version": 1,
        "targets": {"prod": {"provider": "opena2a", "url": "http://127.0.0.1:9/v1", "policies": "policies"}},
    }
    (folder / "reconciler.yaml").write_text(json.dumps(config))
    limit = busiest(events)
    git(folder, "init", "-q", "-b", "main")
    _commit(folder, False, limit * 105 // 100)
    for branch, is_new, most in (("list", True, limit * 105 // 100), ("limit", False, limit), ("both", True, limit)):
        git(folder, "checkout", "-q", "-b", branch, "main")
        _commit(folder, is_new, most)
    for branch, base, is_new in (("one", "main", False), ("one-list", "one", True)):
        git(folder, "checkout", "-q", "-b", branch, base)
        _commit(folder, is_new, None)
    git(folder, "checkout", "-q", "main")
    return folder


def busiest(events: int) -> int:
    """Return how many requests the busiest actor makes in an hour."""
    return int(events / (DAYS * 24) * _BUSIEST)


def conditions(is_smaller: bool, limit: int | None) -> list[tuple[str, str, dict[str, Any], str]]:
    """Return name, type, conditions and effect of the two policies, or of the list alone."""
    listed = ("Allowlist", "ip_allowlist", {"allowed_ips": list(_SMALLER if is_smaller else _BASE)}, "block_request")
    if limit is None:
        return [listed]
    hourly: dict[str, Any] = {"max_requests_per_hour": limit, "window_size": "1h"}
    return [listed, ("Hourly", "rate_limit", hourly, "throttle")]


def _commit(folder: Path, is_smaller: bool, limit: int | None) -> None:
    for path in (folder / "policies").iterdir():
        path.unlink()
    for name, kind, value, effect in conditions(is_smaller, limit):
        _policy(folder, name, kind, value, effect)
    git(folder, "add", "--all", "policies", "reconciler.yaml")
    git(folder, "commit", "-q", "--no-gpg-sign", "-m", "Policies")


def _policy(folder: Path, name: str, kind: str, conditions: dict[str, object], effect: str) -> None:
    value = {"name": name, "policy_type": kind, "conditions": conditions, "actions": {"on_violation": effect}}
    (folder / "policies" / f"{name}.yaml").write_text(json.dumps(value, indent=2))


def measure(case: Case, events: int, rounds: int) -> list[str]:
    """Return the line of one case."""
    traffic, folder = make_events(events), make_repository(events)
    arguments = ("impact", "--from", case.base, "--to", case.branch, "--events", traffic, "--json")
    files = str(traffic / "date=*" / "*.parquet").replace("'", "''")
    decoded = " AND ".join(
        f"{name} IS DISTINCT FROM {'-1' if name in ('ts_us', 'seq') else repr('')}" for name in case.columns
    )
    query = f"SELECT count(*) FROM read_parquet('{files}') WHERE {decoded}"  # noqa: S608 - ours
    costs = rotate(
        {
            "impact": process(
                "sh", "-c", 'exec "$0" "$@" > found.json', sys.executable, *PROGRAM, *arguments, folder=folder
            ),
            "scan": process(sys.executable, "-c", SCAN, query),
        },
        rounds,
        warm=False,
    )
    found = json.loads((folder / "found.json").read_text())["targets"][0]["impact"]
    ours, scan = costs["impact"], costs["scan"]
    goal = case.goals.get(events)
    return [
        case.says,
        f"{found['newly_blocked']:,}",
        spread([each.seconds for each in ours]),
        spread([each.busy for each in ours]),
        f"{max(each.memory for each in ours) / 1024:,.0f}",
        spread([each.seconds for each in scan]),
        spread([one.seconds / other.seconds for one, other in zip(ours, scan, strict=True)]),
        "" if goal is None else f"< {goal:g} s: {_verdict(ours, goal)}",
    ]


def _verdict(costs: list[Cost], goal: float) -> str:
    return "met" if statistics.median(each.seconds for each in costs) < goal else "**missed**"


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="benchmarks.impact")
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("cases", nargs="*", choices=[[], *CASES], default=[])
    given = parser.parse_args(argv)
    print(f"| change, {given.events:,} events | newly blocked | s | processor s | peak MiB | scan, s | ratio | goal |")
    print("|---|---|---|---|---|---|---|---|")
    for name in given.cases or CASES:
        print("| " + " | ".join(measure(CASES[name], given.events, given.rounds)) + " |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
