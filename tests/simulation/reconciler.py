"""A run of the real engine in a simulated process: from the plan to the recorded ledger, `workflows/applying.py` whole.

Only what reads files is replaced: desired policies come from the simulated commit as they are.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from errno import ENOSPC
from hashlib import blake2b
from pathlib import Path
from typing import Any, cast

from reconciler.core.annotation import parse
from reconciler.core.guard import Overrides
from reconciler.core.model import (
    Capabilities,
    CommitInfo,
    Confidence,
    Drift,
    GitInfo,
    Json,
    Mutation,
    Policy,
    Receipt,
    Source,
    TargetInfo,
    TargetSettings,
)
from reconciler.core.plan import Facts, PlanInput, make_plan
from reconciler.core.schema import load_schemas
from reconciler.core.secret import Secret
from reconciler.errors import ExitCode, ReconcilerError
from reconciler.journal import Disk, Journal
from reconciler.ledger import owned, read_ledger
from reconciler.providers.base import Provider
from reconciler.providers.http import Transport
from reconciler.providers.registry import capabilities_of, make_provider
from reconciler.workflows.applying import Machine, Run, apply_plan
from reconciler.workflows.planning import Planned, TrailReader, sync_ledger
from reconciler.workflows.session import Desired, Files, Session
from tests.simulation.chance import Chance
from tests.simulation.gitstore import Clone, Objects
from tests.simulation.wire import Network
from tests.simulation.world import Crashed, Process, SimClock, World

TOKEN = "simulated-token-4f1d9c7be2a8"
NAME = "sim"
FOLDER = "policies/sim"
SCHEMAS = load_schemas()
#: How many changes one list verifies, with their odds.
WAVES = (256, 256, 1, 2)


@dataclass
class SimRandom:
    """Jitter and nonces of one process, from the seed."""

    chance: Chance
    process: str
    nonces: list[str] = field(default_factory=list)
    _count: int = 0

    def uniform(self, low: float, high: float) -> float:
        self._count += 1
        return self.chance.between(f"jitter/{self.process}/{self._count}", low, high)

    def nonce(self) -> str:
        label = f"{self.chance.seed}/{self.process}/{len(self.nonces)}"
        self.nonces.append(blake2b(label.encode(), digest_size=16).hexdigest())
        return self.nonces[-1]


@dataclass
class SimDisk(Disk):
    """The disk of one process, below the real journal: what was written and what of it is durable; it may be full."""

    world: World
    chance: Chance
    process: Process
    rates: Mapping[str, float]
    stalled: float = 0.0
    _written: bytes = b""
    _durable: bytes = b""
    _count: int = 0

    def records(self) -> list[dict[str, Json]]:
        """The records that a crash would leave; a torn one is none."""
        found = []
        for line in self._durable.splitlines(keepends=True):
            with suppress(ValueError):
                found += [json.loads(line)] if line.endswith(b"\n") else []
        return found

    def open(self, path: Path) -> int:
        return 7

    def write(self, descriptor: int, data: bytes) -> int:
        """Write all of it, or as much as fits on a disk that is getting full."""
        self._count += 1
        label = f"disk/{self.process.name}/{self._count}"
        fate = self.chance.mishap(label, self.chance.weighted(label, self.rates))
        if fate == "disk-full":
            self._written += data[: self.chance.count(label + "/fits", 0, len(data) - 1)]
            raise OSError(ENOSPC, "No space left on device")
        if self.world.is_alone:
            # A stall is a laptop that sleeps, a machine that is moved: time passes, and nothing else.
            long = self.chance.between(label + "/stall", 20, 400) if fate == "stall" else 0.0
            self.stalled += long
            self.world.pause(self.chance.between(label + "/time", 0.001, 0.02) + long)
        self._written += data
        return len(data)

    def sync(self, descriptor: int) -> None:
        self._durable = self._written

    def close(self, descriptor: int) -> None:
        return None


@dataclass
class Job:
    """One run that is to be made: where, at which commit, and how it ended. `exit` is None while it runs or crashed."""

    process: Process
    clone: Clone
    head: str
    started: float
    random: SimRandom
    disk: SimDisk
    notices: list[str] = field(default_factory=list)
    plans: list[Planned] = field(default_factory=list)
    run: Run | None = None
    error: ReconcilerError | None = None
    exit: ExitCode | None = None
    ended: float | None = None
    stopped: bool = False


def perform(
    job: Job, world: World, network: Network, settings: TargetSettings, objects: Objects, *, lock_timeout: float
) -> None:
    """Do one run to its end, in the task that calls this."""
    session = Session(
        Path("/simulated"),
        {"CI_JOB_URL": job.process.name},
        SimClock(world, job.process),
        job.random,
        job.notices.append,
        SCHEMAS,
    )
    job.clone.checkout(job.head)
    try:
        job.run = apply_plan(
            session,
            NAME,
            lambda: _plan(job, session, network, settings, objects),
            confirm=lambda plan: True,
            lock_timeout=lock_timeout,
            stop=lambda: job.stopped,
            machine=Machine(open_journal=lambda path: Journal(path, job.disk), spread=lambda limit: world.spread),
        )
        job.exit = job.run.exit
    except ReconcilerError as error:
        job.error, job.exit = error, error.exit
    except Crashed:
        raise
    job.ended = world.now


class Watched:
    """A provider (`providers.base.Provider`) that notes what became of each request in its exchange.

    *wave* is how many changes are verified by one list: so few that several waves are under way at once.
    """

    def __init__(self, inner: Provider, network: Network, process: Process, wave: int) -> None:
        self._inner, self._network, self._process, self._wave = inner, network, process, wave
        self.fetch_listing, self.fetch_one, self.fetch_trail = inner.fetch_listing, inner.fetch_one, inner.fetch_trail
        self.fetch_trail_parts, self.fetch_judged = inner.fetch_trail_parts, inner.fetch_judged

    @property
    def name(self) -> str:
        return self._inner.name

    @property
    def capabilities(self) -> Capabilities:
        return replace(self._inner.capabilities, wave=self._wave)

    def send(self, mutation: Mutation) -> Receipt:
        before = len(self._network.exchanges)
        receipt = self._inner.send(mutation)
        key = parse(mutation.headers.get("User-Agent", ""))
        for exchange in self._network.exchanges[before:]:
            if exchange.process is self._process and key is not None and parse(exchange.asked.agent) == key:
                exchange.outcome = receipt.fate.value
        return receipt


def _plan(job: Job, session: Session, network: Network, settings: TargetSettings, objects: Objects) -> Planned:
    """As `workflows.planning.plan_target`, less the files."""
    store = cast(Any, job.clone)
    synced = sync_ledger(session, store, "origin", NAME, applying=True)
    ledger = read_ledger(store, synced.tip)
    keys = owned(store, job.head, ledger.entries, lambda path, data: (_policy(json.loads(data), path).key,))
    entries = {key: entry for key, entry in sorted(ledger.entries.items()) if key in keys}
    transport = Transport(
        settings.url,
        Secret(TOKEN),
        deadline=settings.deadline,
        clock=session.clock,
        random=session.random,
        wire=lambda: network.wire(job.process),
    )
    wave = job.random.chance.choose("wave", WAVES)
    provider = Watched(make_provider(settings, transport), network, job.process, wave)
    listing = provider.fetch_listing()
    policies = desired_at(objects, job.head)
    inputs = PlanInput(
        tool="0.0.0",
        target=TargetInfo(NAME, settings.provider, settings.url, listing.mode),
        capabilities=capabilities_of(settings),
        settings=settings,
        git=GitInfo(job.head, ledger.applied_commit, dirty=False, shallow=False),
        policies=policies,
        applied=entries,
        live=listing,
        schema_of=lambda body: schema_of(settings, body),
        commits=commits_at(objects, job.head),
        overrides=Overrides(),
        now=session.clock.now(),
        drift_of=lambda applied, live, content: Drift(None, None, None, Confidence.UNKNOWN),
        facts=Facts(
            descends=ledger.applied_commit is None or job.clone.is_ancestor(ledger.applied_commit, job.head),
            applying=True,
        ),
    )
    planned = Planned(
        make_plan(inputs),
        inputs,
        settings,
        Desired(policies, None, ()),
        cast(Files, None),
        store,
        provider,
        "origin",
        synced,
        ledger,
        TrailReader(provider, session.notice),
    )
    job.plans.append(planned)
    return planned


# ------------------------------------------------------------------------------------------------------- git


def path_of(key: str) -> str:
    return f"{FOLDER}/{key}.json"


def desired_at(objects: Objects, head: str) -> tuple[Policy, ...]:
    """The policies that a commit of the simulated repository asks for."""
    known = objects.desired.get(head)
    if known is None:
        files = objects.commits[head].files
        values = ((path, json.loads(objects.blobs[blob])) for path, blob in files.items() if path.startswith(FOLDER))
        found = [_policy(value, path) for path, value in values]
        known = objects.desired[head] = tuple(sorted(found, key=lambda policy: policy.key))
    return known


def _policy(value: dict[str, Any], path: str) -> Policy:
    body = {name: field for name, field in value.items() if name != "enabled"}
    return Policy(str(value.get("id", value["name"])), body, value["enabled"], {}, Source(path, 1))


def commits_at(objects: Objects, head: str) -> dict[str, CommitInfo]:
    """The commit that touched each path last; for one that is gone, the commit that removed it."""
    known = objects.touched.get(head)
    if known is not None:
        return known
    found: dict[str, CommitInfo] = {}
    chain = objects.chain(head)
    for sha, parent in zip(chain, [*chain[1:], None], strict=True):
        after = objects.commits[sha].files
        before = objects.commits[parent].files if parent is not None else {}
        for path in after.keys() | before.keys():
            if after.get(path) != before.get(path):
                found.setdefault(path, CommitInfo(sha, "somebody", "change policies"))
    objects.touched[head] = found
    return found


_schemas: dict[tuple[str, str | None], Mapping[str, object]] = {}


def schema_of(settings: TargetSettings, body: Mapping[str, Json]) -> Mapping[str, object]:
    kind = body.get(capabilities_of(settings).type_field)
    name = kind if isinstance(kind, str) else None
    found = _schemas.get((settings.provider, name))
    if found is None:
        found = _schemas[settings.provider, name] = SCHEMAS.policy_schema(settings.provider, name)
    return found
