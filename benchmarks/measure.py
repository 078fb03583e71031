"""Timing side by side: every variant once per round, each round beginning with another one, ratios taken per round.

A figure of one machine says little, and one of a busy machine less; the ratio of two things measured in turn holds.
"""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from benchmarks.corpus import ROOT, WORK

ROUNDS = int(os.environ.get("RECONCILER_BENCH_ROUNDS", "5"))


@dataclass(frozen=True, slots=True)
class Cost:
    """What one go took: seconds by the clock, seconds of processors, and the most memory it had as a process, in KiB.

    Of a busy machine the processors' seconds say more.
    """

    seconds: float
    busy: float
    memory: int = 0


Go = Callable[[], Cost]
Name = TypeVar("Name", bound=Hashable)


def process(
    *command: str | Path, folder: Path = ROOT, environ: Mapping[str, str] | None = None, codes: Sequence[int] = (0,)
) -> Go:
    """Return what runs *command* as a process of its own; any other exit code than *codes* ends the benchmark."""
    words = [str(word) for word in command]

    def go() -> Cost:
        before = time.perf_counter()
        child = subprocess.Popen(
            words,
            cwd=folder,
            env={**os.environ, **(environ or {})},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        assert child.stderr is not None  # noqa: S101 - a pipe was asked for
        error = child.stderr.read()
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.perf_counter() - before
        if child.returncode not in codes:
            raise SystemExit(f"{' '.join(words)[:300]}\nended with {child.returncode}\n{error.decode()[-2000:]}")
        return Cost(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss)

    return go


def reconciler(*arguments: str | Path, folder: Path = ROOT, codes: Sequence[int] = (0,), is_cold: bool = False) -> Go:
    """Return what runs our program as its command does; *is_cold*: without what earlier runs found valid."""
    environ = {**TOKEN, "RECONCILER_CACHE": "off"} if is_cold else TOKEN
    return process(sys.executable, "-P", "-m", "reconciler", *arguments, folder=folder, codes=codes, environ=environ)


#: As on somebody's own computer, but for the place where something is kept between runs.
TOKEN = {"RECONCILER_TOKEN": "benchmark-token-0123456789abcdef", "CI": "", "XDG_CACHE_HOME": str(WORK / "cache")}


def _busy() -> float:
    """Return the processors' seconds of this process and its children so far."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def inside(work: Callable[[], object]) -> Go:
    """Return what times a function in this process."""

    def go() -> Cost:
        before, busy = time.perf_counter(), _busy()
        work()
        return Cost(time.perf_counter() - before, _busy() - busy)

    return go


def rotate(works: Mapping[Name, Go], rounds: int = ROUNDS, *, warm: bool = True) -> dict[Name, list[Cost]]:
    """Return the costs of each work, round by round."""
    names = list(works)
    if warm:
        for go in works.values():
            go()
    costs: dict[Name, list[Cost]] = {name: [] for name in names}
    for turn in range(rounds):
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            costs[name].append(works[name]())
    return costs


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table: what was compared, the ratios round by round, and the bound that they must keep."""

    work: str
    ours: Sequence[Cost]
    anchor: str
    theirs: Sequence[Cost]
    goal: float | None
    at_least: bool = False
    note: str = ""

    @property
    def ratios(self) -> list[float]:
        """Ours over the anchor's; the other way round where the goal is to be so many times faster."""
        return [self._ratio(our.seconds, their.seconds) for our, their in zip(self.ours, self.theirs, strict=True)]

    @property
    def busy_ratios(self) -> list[float]:
        """The same of the processors' seconds."""
        return [self._ratio(our.busy, their.busy) for our, their in zip(self.ours, self.theirs, strict=True)]

    def _ratio(self, ours: float, theirs: float) -> float:
        return theirs / ours if self.at_least else ours / theirs

    def met(self) -> bool | None:
        if self.goal is None:
            return None
        ratio = statistics.median(self.ratios)
        return ratio >= self.goal if self.at_least else ratio <= self.goal


@dataclass(frozen=True, slots=True)
class Fact:
    """One line that is a figure by itself."""

    work: str
    value: str
    goal: str
    met: bool | None
    note: str = ""


@dataclass(slots=True)
class Section:
    """All that one benchmark found."""

    title: str
    rows: list[Row] = field(default_factory=list)
    facts: list[Fact] = field(default_factory=list)


def spread(values: Sequence[float], unit: str = "") -> str:
    """Return median (min–max)."""
    digits = 0 if statistics.median(values) >= 100 else 2 if statistics.median(values) < 10 else 1
    low, high = min(values), max(values)
    return f"{statistics.median(values):.{digits}f}{unit} ({low:.{digits}f}–{high:.{digits}f})"


def render(section: Section) -> str:
    """Return a section as Markdown."""
    lines = [f"## {section.title}", ""]
    if section.rows:
        lines += [
            "| work | ours, ms | anchor | anchor, ms | ratio | of processor time | goal | |",
            "|---|---|---|---|---|---|---|---|",
        ]
    for row in section.rows:
        ours, theirs = ([cost.seconds * 1000 for cost in costs] for costs in (row.ours, row.theirs))
        sign = ("≥" if row.at_least else "≤") + f" {row.goal:g}" if row.goal is not None else ""
        lines.append(
            f"| {row.work} | {spread(ours)} | {row.anchor} | {spread(theirs)} | {spread(row.ratios)} "
            f"| {spread(row.busy_ratios)} | {sign} | {_verdict(row.met())} |"
        )
    if section.facts:
        lines += [*([""] if section.rows else []), "| work | figure | goal | |", "|---|---|---|---|"]
    lines += [f"| {fact.work} | {fact.value} | {fact.goal} | {_verdict(fact.met)} |" for fact in section.facts]
    notes = [f"- {row.work}: {row.note}" for row in section.rows if row.note]
    notes += [f"- {fact.work}: {fact.note}" for fact in section.facts if fact.note]
    return "\n".join([*lines, *([""] if notes else []), *notes]) + "\n"


def _verdict(met: bool | None) -> str:
    return {True: "met", False: "**missed**", None: ""}[met]


def machine() -> str:
    """Return what the figures were measured on, in one line."""
    from importlib.metadata import version

    with open("/proc/loadavg", encoding="ascii") as file:
        load = file.read().split()[0]
    git = subprocess.run(["git", "version"], capture_output=True, text=True, check=True).stdout.split()[-1]
    peers = ", ".join(
        f"{name} {version(name)}"
        for name in ("click", "rich-click", "PyYAML", "check-jsonschema", "octodns", "yamllint")
    )
    return (
        f"{platform.python_implementation()} {platform.python_version()} on {platform.system()} {platform.machine()}, "
        f"{os.cpu_count()} processors, load {load}; git {git}; {peers}"
    )
