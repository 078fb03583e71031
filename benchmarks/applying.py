"""A thousand changes by the real program: how much of the writing phase is waiting for replies that had to be awaited.

The server of benchmarks/live_writes.py says when the phase began and ended, and how many calls of each kind it saw.
"""

from __future__ import annotations

import json
import shutil
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path

from benchmarks import corpus, live_writes
from benchmarks.live_writes import Phase
from benchmarks.measure import ROUNDS, Cost, Fact, Go, Row, Section, process, reconciler, spread

CHANGES = 1_000
LATENCY = 0.05
WAVE = 256
#: What is done once for each change, by target.
KINDS = {"neosc": ("toggle", "toggles of NeoSC"), "opena2a": ("update", "updates of OpenA2A")}
GOALS = {16: 0.9, 64: 0.75}
#: What stands between us and the goals that are missed.
WHY = (
    "a request costs 0.4 to 0.7 ms of processor (a connection of its own, HTTP, checks), which no second thread "
    "shortens, and an intent waits for the disk before its request leaves; on a busy machine both take their multiple"
)
BARE = 0.85


@dataclass(frozen=True, slots=True)
class Went:
    """One run: the writing phase as the server saw it, and the whole process."""

    phase: Phase
    whole: Cost


def calls_needed(target: str, changes: int = CHANGES) -> int:
    """Return how many calls reliability.md 3.4 and 3.5 ask for: nothing is written but from a fresh read, and nothing
    counts as done before it was read back; the first change goes alone.

    NeoSC reads lists only: one for the canary, one after it, one after each wave, which the next is decided from.
    OpenA2A reads each policy before and after, and at the end the list with its mode, which proves all of them at once.

    >>> calls_needed("neosc"), calls_needed("opena2a")
    (1006, 3002)
    """
    return changes + 2 + ceil((changes - 1) / WAVE) if target == "neosc" else 3 * changes + 2


def shortest(target: str, concurrency: int) -> float:
    """Return the seconds that the order of calls takes at least: the canary's calls and the last list are alone."""
    alone, each = (4, 1) if target == "neosc" else (5, 3)
    return LATENCY * (alone + each * ceil((CHANGES - 1) / concurrency))


def make_checkout(target: str, concurrency: int, url: str) -> Path:
    """Return a repository that has never applied, with a bare remote: one policy for each change."""
    folder = corpus.WORK / f"apply-{target}"
    remote = folder.with_suffix(".git")
    if not (folder / "done").exists():
        shutil.rmtree(folder, ignore_errors=True)
        shutil.rmtree(remote, ignore_errors=True)
        place = folder / "policies" / target
        place.mkdir(parents=True)
        for number in range(CHANGES):
            text = corpus.policy_text(target, number)
            text += "" if "\ndescription: " in text else "description: Says what it is for\n"
            (place / f"{number:06}.yaml").write_text(text, encoding="utf-8")
        corpus.git(folder, "init", "-q", "-b", "main")
        corpus.git(folder, "init", "-q", "--bare", "-b", "main", str(remote))
        corpus.git(folder, "remote", "add", "origin", str(remote))
        corpus.git(folder, "add", "policies")
        (folder / "done").touch()
    settings = {"provider": target, "url": f"{url}/{target}", "policies": f"policies/{target}"}
    targets = {target: settings | {"concurrency": concurrency}}
    (folder / "reconciler.yaml").write_text(json.dumps({"version": 1, "targets": targets}, indent=2) + "\n")
    corpus.git(folder, "add", "reconciler.yaml")
    corpus.git(folder, "commit", "-q", "--no-gpg-sign", "-m", "Settings")
    for place in (folder, remote):  # what an earlier round recorded
        refs = corpus.git(place, "for-each-ref", "--format=delete %(refname)", "refs/reconciler")
        corpus.git(place, "update-ref", "--stdin", given=refs)
    corpus.git(folder, "push", "-q", "--force", "origin", "main")
    return folder


def ours(target: str, concurrency: int, delay: float) -> Went:
    """Apply all changes to a server that has none of them yet."""
    with live_writes.running(target, CHANGES, delay) as url:
        folder = make_checkout(target, concurrency, url)
        return went(url, reconciler("apply", "--yes", folder=folder), KINDS[target][0])


def bare(target: str, concurrency: int, delay: float) -> Went:
    """Make the same calls with the anchor."""
    lists = calls_needed(target) - CHANGES if target == "neosc" else 2
    with live_writes.running(target, CHANGES, delay) as url:
        command = (sys.executable, "-m", "benchmarks.bare", url, target, str(concurrency), str(lists))
        return went(url, process(*command, folder=corpus.ROOT), KINDS[target][0])


def went(url: str, go: Go, kind: str) -> Went:
    whole = go()
    phase = live_writes.read_phase(url)
    if phase.calls[kind] != CHANGES:
        raise SystemExit(f"{phase.calls[kind]} changes were sent, not {CHANGES:,}")
    return Went(phase, whole)


def section() -> Section:
    """From the first to the last request of a thousand changes."""
    found = Section("apply: 1,000 changes, from the first to the last request")
    for target, (_, words) in KINDS.items():
        for concurrency, goal in GOALS.items():
            runs = [ours(target, concurrency, LATENCY) for _ in range(ROUNDS)]
            found.facts.append(share_of_ideal(target, words, concurrency, goal, runs))
        found.facts.append(beside(words, runs))
    for target, (_, words) in KINDS.items():
        for concurrency in GOALS:
            pairs = [paired(target, concurrency, turn) for turn in range(ROUNDS)]
            found.rows.append(
                Row(
                    f"{words}, {concurrency} at once, no latency",
                    [in_phase(our) for our, _ in pairs],
                    "bare `httpx.Client` threads",
                    [in_phase(their) for _, their in pairs],
                    BARE,
                    at_least=True,
                )
            )
    return found


def paired(target: str, concurrency: int, turn: int) -> tuple[Went, Went]:
    """Both in turn, each first as often."""
    if turn % 2:
        their = bare(target, concurrency, 0.0)
        return ours(target, concurrency, 0.0), their
    our = ours(target, concurrency, 0.0)
    return our, bare(target, concurrency, 0.0)


def in_phase(run: Went) -> Cost:
    return Cost(run.phase.seconds, run.whole.busy)


def share_of_ideal(target: str, words: str, concurrency: int, goal: float, runs: Sequence[Went]) -> Fact:
    needed, least = calls_needed(target), shortest(target, concurrency)
    ideal = needed * LATENCY / concurrency
    shares = [ideal / run.phase.seconds for run in runs]
    calls = ", ".join(f"{count:,} × {kind}" for kind, count in sorted(runs[-1].phase.calls.items()))
    return Fact(
        f"{words}, {concurrency} at once, {LATENCY * 1000:.0f} ms latency: share of ideal",
        f"{spread(shares)}; {spread([run.phase.seconds for run in runs], ' s')}",
        f"≥ {goal}",
        statistics.median(shares) >= goal,
        f"ideal is {needed:,} calls needed × {LATENCY * 1000:.0f} ms ÷ {concurrency} = {ideal:.2f} s; "
        f"the canary and the last list go alone, so that no order of these calls takes less than {least:.2f} s "
        f"({ideal / least:.2f} of ideal); made: {calls}" + ("" if statistics.median(shares) >= goal else f"; {WHY}"),
    )


def beside(words: str, runs: Sequence[Went]) -> Fact:
    """What the program takes outside that phase: start, plan, lock, trail, ledger, push."""
    rest = [run.whole.seconds - run.phase.seconds for run in runs]
    return Fact(f"{words}: the rest of the program, from start to end", spread(rest, " s"), "", None)
