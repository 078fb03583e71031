"""`python -m tests.simulation --seeds N --start S`: play seeds, print what was explored, fail on the first hole.

`--trace SEED` tells one seed line by line. A seed that fails is made small and written to tests/regressions/.
"""

from __future__ import annotations

import argparse
import os
import sys

from tests.simulation.coverage import SEEDS, impossible, missed, table
from tests.simulation.shrink import save, shrink
from tests.simulation.tally import play_all
from tests.simulation.trace import trace


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
    tally = play_all(options.start, options.seeds, options.jobs, lambda seed, told: print(f"seed {seed}: {told[0]}"))
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
