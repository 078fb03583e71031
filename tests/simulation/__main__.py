"""`python -m tests.simulation --seeds N --start S`: play seeds, print what was explored, fail on the first hole.

`--trace SEED` tells one seed line by line. A seed that fails is made small and written to tests/regressions/.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field

from tests.simulation.coverage import SEEDS, impossible, missed, table
from tests.simulation.scenario import Cell, tell
from tests.simulation.shrink import save, shrink
from tests.simulation.trace import trace

CHUNK = 50


@dataclass
class Tally:
    """What came of many seeds together."""

    seeds: int = 0
    runs: int = 0
    requests: int = 0
    mishaps: int = 0
    cells: Counter[Cell] = field(default_factory=Counter)
    exits: Counter[str] = field(default_factory=Counter)
    failed: list[tuple[int, list[str]]] = field(default_factory=list)

    def add(self, other: Tally) -> None:
        self.seeds += other.seeds
        self.runs += other.runs
        self.requests += other.requests
        self.mishaps += other.mishaps
        self.cells += other.cells
        self.exits += other.exits
        self.failed += other.failed


def play(start: int, seeds: int, *, until_failed: bool = False) -> Tally:
    """Play *seeds* seeds from *start* on, one after the other."""
    tally = Tally()
    for seed in range(start, start + seeds):
        told = tell(seed)
        tally.seeds += 1
        tally.runs += told.runs
        tally.requests += told.requests
        tally.mishaps += len(told.happened)
        tally.cells += told.cells
        tally.exits.update(told.exits)
        if told.violations:
            tally.failed.append((seed, told.violations))
            if until_failed:
                break
    return tally


def play_all(start: int, seeds: int, jobs: int) -> Tally:
    """As `play`, in several processes."""
    whole = Tally()
    with ProcessPoolExecutor(max_workers=jobs) as pool:
        starts = range(start, start + seeds, CHUNK)
        for tally in pool.map(play, starts, [min(CHUNK, start + seeds - first) for first in starts]):
            whole.add(tally)
            for seed, violations in tally.failed:
                print(f"seed {seed}: {violations[0]}", flush=True)
    return whole


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--start", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--trace", type=int, metavar="SEED")
    options = parser.parse_args(argv)
    if options.trace is not None:
        print("\n".join(trace(options.trace)))
        return 0
    tally = play_all(options.start, options.seeds, options.jobs)
    print(table(tally.cells))
    print(
        f"\n{tally.seeds} seeds, {tally.runs} runs, {tally.requests} requests, {tally.mishaps} mishaps; runs ended "
        + ", ".join(f"{name}: {count}" for name, count in sorted(tally.exits.items()))
    )
    for seed, _ in tally.failed[:5]:
        kept, told = shrink(seed)
        print(f"seed {seed}, made small: {save(seed, kept, told)}")
    holes = missed(tally.cells, options.seeds) if options.seeds >= SEEDS else []
    for cell in holes:
        print(f"too seldom met: {' / '.join(cell)} ({tally.cells.get(cell, 0)})")
    wrong = impossible(tally.cells)
    for cell in wrong:
        print(f"never allowed: {' / '.join(cell)}")
    print(f"{len(tally.failed)} violations, {len(holes)} holes")
    return 1 if tally.failed or holes or wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
