"""Plays many seeds, in several processes, and adds up what came of them."""

from __future__ import annotations

import multiprocessing
import os
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field

from tests.simulation.scenario import Cell, tell

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


def play_all(
    start: int,
    seeds: int,
    jobs: int | None = None,
    on_failed: Callable[[int, list[str]], None] = lambda seed, violations: None,
) -> Tally:
    """As `play`, in *jobs* processes; *on_failed* hears of each violation at once."""
    whole = Tally()
    spawn = multiprocessing.get_context("spawn")  # a process that has threads is not forked
    with ProcessPoolExecutor(max_workers=jobs or os.cpu_count() or 1, mp_context=spawn) as pool:
        starts = range(start, start + seeds, CHUNK)
        for tally in pool.map(play, starts, [min(CHUNK, start + seeds - first) for first in starts]):
            whole.add(tally)
            for seed, violations in tally.failed:
                on_failed(seed, violations)
    return whole
