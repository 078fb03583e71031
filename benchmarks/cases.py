"""What is measured: one function per section of RESULTS.md."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from benchmarks import corpus, live, paged, peers
from benchmarks.measure import ROUNDS, Cost, Fact, Row, Section, inside, process, reconciler, rotate, spread

MANY = int(os.environ.get("RECONCILER_BENCH_POLICIES", "10000"))
#: Rounds with a peer that takes minutes for one.
SLOW_ROUNDS = int(os.environ.get("RECONCILER_BENCH_SLOW_ROUNDS", "1"))
FEW = 4
#: Why the goals are missed that are.
SINCE = (
    "the stat of every file is compared with git's index, 4 µs a file in Python; git would do it in half of that, and "
    "would run the filters that the attributes of a repository under review ask for"
)
OCTODNS = (
    "its records have one line, no schema and two sides; our policies have 15 lines, a guard against hostile text, a "
    "verdict and three sides; the second time parsing and verdict are saved"
)
PARSE = (
    "the events of libyaml's parser alone take a third of the anchor's time, reading a tenth; what guards, resolves "
    "and builds is one loop at less than a microsecond an event"
)
#: An empty group of rich-click: what a help page costs at least.
EMPTY_GROUP = """\
import rich_click as click
@click.group(cls=click.RichGroup)
def main(): pass
main()
"""


def start() -> Section:
    """How long a command takes before it does anything."""
    folder = corpus.make_repository(FEW)
    costs = rotate(
        {
            "version": reconciler("--version"),
            "click": process(sys.executable, "-c", "import click"),
            "help": reconciler("--help"),
            "empty": process(sys.executable, "-c", EMPTY_GROUP, "--help"),
            "validate": reconciler("validate", folder=folder),
            "check-jsonschema": peers.check_jsonschema(folder),
            "yamllint": process(peers.BIN / "yamllint", "-d", "relaxed", "policies", folder=folder),
        },
        rounds=11,
    )
    ours = costs["validate"]
    return Section(
        "start: before anything is done",
        [
            Row("`--version`", costs["version"], '`python -c "import click"`', costs["click"], 1.15),
            Row("`--help`", costs["help"], "`--help` of an empty rich-click group", costs["empty"], 1.15),
            Row("`validate`, 4 files", ours, "check-jsonschema", costs["check-jsonschema"], 0.4),
            Row("`validate`, 4 files", ours, "yamllint", costs["yamllint"], None),
        ],
    )


def validate() -> Section:
    """Every file of a large repository, cold. One peer takes minutes for the largest, and gets fewer rounds there."""
    section = Section("validate: every file")
    for count in sorted({100, 1_000, MANY}):
        if count > MANY:
            continue
        folder = corpus.make_repository(count)
        goals = (12, 1.0) if count >= 10_000 else (None, None)
        rounds = min(SLOW_ROUNDS, ROUNDS) if count >= 10_000 else ROUNDS
        name = f"`validate`, {count:,} files"
        ours, slow = reconciler("validate", folder=folder, is_cold=True), peers.check_jsonschema(folder)
        costs = rotate({"ours": ours, "slow": slow}, rounds, warm=rounds == ROUNDS)
        anchor = "check-jsonschema" + ("" if rounds == ROUNDS else f", {rounds} round" + "s" * (rounds > 1))
        section.rows.append(Row(name, costs["ours"], anchor, costs["slow"], goals[0], True))
        ajv = peers.ajv(folder)
        if ajv is not None:
            costs = rotate({"ours": ours, "ajv": ajv})
            section.rows.append(Row(name, costs["ours"], "ajv-cli", costs["ajv"], goals[1]))
        few = corpus.make_repository(count, per_file=100)
        costs = rotate({"ours": reconciler("validate", folder=few, is_cold=True), "files": ours})
        work = f"`validate`, {count:,} policies, 100 per file"
        section.rows.append(Row(work, costs["ours"], "1 per file", costs["files"], None))
    return section


def parse() -> Section:
    """The parts of validate, in one process."""
    from reconciler.core.documents import read_documents
    from reconciler.core.schema import load_schemas
    from reconciler.sources.directory import read_directory

    folder = corpus.make_repository(MANY)
    schemas = load_schemas()
    files = corpus.paths(folder)

    def ours() -> list[tuple[str, Any]]:
        read = [(name, read_directory(folder, f"policies/{name}")) for name in corpus.TARGETS]
        return [
            (name, document)
            for name, reading in read
            for path, data in reading.files.items()
            for document in read_documents(data, path)[0]
        ]

    def checked() -> None:
        for name, document in ours():
            if schemas.check_policy(name, document):
                raise SystemExit(f"{document.path} is not valid")

    costs = rotate(
        {
            "ours": inside(ours),
            "yaml": inside(lambda: [yaml.load(path.read_bytes(), Loader=yaml.CSafeLoader) for path in files]),
            "checked": inside(checked),
        }
    )
    return Section(
        "parse: read, guard and place 10,000 files",
        [
            Row("read + parse", costs["ours"], "read + `yaml.load(CSafeLoader)`", costs["yaml"], 0.65, note=PARSE),
            Row("read + parse + validate", costs["checked"], "read + parse", costs["ours"], 1.3),
        ],
    )


ALONE = """\
import os, sys
from pathlib import Path
from reconciler.clock import SystemClock, SystemRandom
from reconciler.core.documents import read_documents
from reconciler.workflows.planning import connect
from reconciler.workflows.session import open_session, read_work_tree
session = open_session(Path("."), environ=os.environ, clock=SystemClock(), random=SystemRandom())
files = read_work_tree(session)
kept = []
for target in files.config.targets.values():
    kept += [read_documents(data, path) for path, data in files.folders[target.policies].files.items()]
    kept.append(connect(session, target).fetch_listing())
"""


def plan() -> Section:
    """A plan that finds nothing to do, and what it keeps in memory."""
    section = Section("plan: nothing to do")
    costs: dict[int, dict[str, list[Cost]]] = {}
    for count in (FEW, 1_000, MANY):
        with live.running(count) as url:
            folder = corpus.make_repository(count, url=url)
            environ = {"RECONCILER_TOKEN": "benchmark-token-0123456789abcdef"}
            works = {
                "first": reconciler("plan", folder=folder, is_cold=True),
                "again": reconciler("plan", folder=folder),
                "alone": process(sys.executable, "-P", "-c", ALONE, folder=folder, environ=environ),
            }
            if count == MANY:
                works["octodns"] = peers.octodns(corpus.WORK / f"octodns-{count}", count)
            costs[count] = rotate(works)
        goal = 1.3 if count == MANY else None
        for run, name in (("first", "the first time"), ("again", "again")):
            name = f"no-op `plan`, {count:,} policies, {name}"
            ours = costs[count][run]
            section.rows.append(Row(name, ours, "list + parse alone", costs[count]["alone"], goal))
            if count == MANY:
                theirs = costs[count]["octodns"]
                section.rows.append(Row(name, ours, "octoDNS, 10,000 records", theirs, 4, True, OCTODNS))
    for run, name in (("first", "the first time"), ("again", "again")):
        pairs = list(zip(costs[MANY][run], costs[FEW][run], strict=True))
        grown = [(many.memory - few.memory) / MANY for many, few in pairs]
        peak = max(many.memory for many, _ in pairs) / 1024
        section.facts.append(
            Fact(
                f"peak memory of a no-op `plan` of 10,000 policies beyond that of 4, per policy, {name}",
                f"{spread(grown)} KiB; {peak:.0f} MiB in all",
                "≤ 6 KB",
                sorted(grown)[len(grown) // 2] * 1.024 <= 6,
            )
        )
    return section


def history() -> Section:
    """Which commit last touched each policy."""
    from reconciler.sources.git import open_repository

    folder = corpus.make_repository(MANY)
    corpus.add_history(folder, 500)
    repository = open_repository(folder)
    head = repository.head()
    names = [path.relative_to(folder).as_posix() for path in corpus.paths(folder)]

    def ours() -> None:
        if len(repository.commit_log(head, names)) != len(names):
            raise SystemExit("a policy without a commit")

    log = process("git", "log", "--name-only", "-z", "--format=%H", folder=folder)
    costs = rotate({"ours": inside(ours), "git": log})
    return Section(
        "history: 10,000 policies, 500 commits",
        [Row("last commit of each policy", costs["ours"], "one `git log --name-only`", costs["git"], 1.5)],
    )


def since() -> Section:
    """Only what a branch changed."""
    one = corpus.make_repository(1, targets=1)
    folder = corpus.make_changed(MANY)
    costs = rotate(
        {
            "ours": reconciler("validate", "--since", "main", folder=folder),
            "one": reconciler("validate", folder=one),
            "all": reconciler("validate", folder=folder, is_cold=True),
        },
        rounds=11,
    )
    name = "`validate --since main`, 1 file changed of 10,000"
    return Section(
        "since: what a branch changed",
        [
            Row(name, costs["ours"], "`validate` of 1 file", costs["one"], 1.5, note=SINCE),
            Row(name, costs["ours"], "`validate` of all", costs["all"], None),
        ],
    )


def growth() -> Section:
    """Ten times as many, one per file and 100 per file, cold; the lists of so many come in parts."""
    section = Section("growth: 100,000 policies")
    shapes: dict[str, tuple[Callable[[int, str], Path], tuple[str, ...]]] = {
        "100 per file": (lambda count, url: corpus.make_repository(count, per_file=100, url=url), ("validate", "plan")),
        "1 per file": (lambda count, url: corpus.make_repository(count, url=url), ("validate", "plan")),
        "100 per file and in the ledger": (paged.make_applied, ("plan",)),
    }
    for shape, (make, commands) in shapes.items():
        with paged.running(MANY) as few, paged.running(10 * MANY) as many:
            small, large = make(MANY, few), make(10 * MANY, many)
            works = {
                (command, folder): reconciler(command, folder=folder, is_cold=True)
                for command in commands
                for folder in (small, large)
            }
            costs = rotate(works)
        for command in commands:
            ours, theirs = costs[command, large], costs[command, small]
            name = "no-op `plan`" if command == "plan" else f"`{command}`"
            work = f"{name}, {10 * MANY:,}, {shape}"
            section.rows.append(Row(work, ours, f"the same, {MANY:,}", theirs, 12))
            peak = max(cost.memory for cost in ours) / 1024
            section.facts.append(Fact(f"peak memory of {work}", f"{peak:.0f} MiB", "≤ 700 MiB", peak <= 700))
    return section


def apply() -> Section:
    """A thousand changes."""
    from benchmarks.applying import section

    return section()


def evaluate() -> Section:
    """What a request that is judged waits for."""
    from benchmarks.evaluate import section

    return section()


SECTIONS: dict[str, Callable[[], Section]] = {
    "start": start,
    "validate": validate,
    "since": since,
    "parse": parse,
    "plan": plan,
    "history": history,
    "growth": growth,
    "apply": apply,
    "evaluate": evaluate,
}
