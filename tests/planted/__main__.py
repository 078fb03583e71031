"""`python -m tests.planted [NAME ..]`: plant each bug in a copy of the source; the simulation must find every one.

A bug is a patch beside this file whose first line says what it plants. It is found when one of at most 3,000 seeds
breaks an invariant. `--jobs` copies are searched at once.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDER = Path(__file__).parent
SEEDS = 3000
SECONDS = 600
_SEARCH = "from tests.simulation.tally import play; t = play(0, {seeds}, until_failed=True); print(t.failed[:1])"


@dataclass(frozen=True)
class Found:
    """What came of one planted bug: the seed that breaks and how, or why none did."""

    name: str
    what: str
    seed: int | None
    told: str

    def __str__(self) -> str:
        where = "NOT FOUND" if self.seed is None else f"seed {self.seed}"
        return f"{self.name:22} {where:10} {self.told}"


def names() -> list[str]:
    return sorted(path.stem for path in FOLDER.glob("*.patch"))


def search(patch: Path, seeds: int = SEEDS) -> Found:
    """Plant one bug and look for a seed that shows it."""
    name = patch.stem
    what = patch.read_text(encoding="utf-8").splitlines()[0]
    with tempfile.TemporaryDirectory(prefix="planted-") as folder:
        copy = Path(folder)
        leave = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / "reconciler", copy / "reconciler", ignore=leave)
        shutil.copytree(ROOT / "schemas", copy / "schemas", ignore=leave)
        shutil.copytree(ROOT / "tests" / "simulation", copy / "tests" / "simulation", ignore=leave)
        git = {**os.environ, "GIT_CEILING_DIRECTORIES": str(copy.parent), "GIT_DIR": str(copy / ".none")}
        applied = subprocess.run(["git", "apply", str(patch)], cwd=copy, env=git, capture_output=True, text=True)
        if applied.returncode:
            return Found(name, what, None, f"the patch no longer fits: {applied.stderr.strip()}")
        try:
            done = subprocess.run(
                [sys.executable, "-c", _SEARCH.format(seeds=seeds)],
                cwd=copy,
                env={**os.environ, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"},
                capture_output=True,
                text=True,
                timeout=SECONDS,
            )
        except subprocess.TimeoutExpired:
            return Found(name, what, None, f"nothing within {SECONDS} seconds")
    found = done.stdout.strip()
    if done.returncode or found == "[]":
        return Found(name, what, None, done.stderr.strip()[-300:] or f"nothing in {seeds} seeds")
    seed, _, told = found.strip("[]()").partition(", ")
    return Found(name, what, int(seed), told.strip("[]'\"")[:110])


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.planted", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args(argv)
    missed = 0
    with ThreadPoolExecutor(max_workers=options.jobs) as pool:
        for found in pool.map(lambda name: search(FOLDER / f"{name}.patch", options.seeds), options.names or names()):
            print(found, flush=True)
            missed += found.seed is None
    print(f"{missed} planted bugs not found")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
