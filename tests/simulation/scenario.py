"""One seed, one story: which server, who runs what when, who meddles, what breaks; and how it must end.

Rates are drawn per seed (swarm testing), and one seed in ten is free of faults. When the story is over faults stop,
people leave, and git must be live after two further runs; a third sends nothing (I11).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, cast

from reconciler.core.model import Applied, TargetSettings
from reconciler.errors import ExitCode, ReconcilerError
from reconciler.ledger import LedgerState, RunInfo, ledger_ref, write_ledger
from reconciler.lock import read_lock, unlock
from tests.simulation.chance import Chance
from tests.simulation.checks import Checks, differences
from tests.simulation.gitstore import Clone, Objects, Remote
from tests.simulation.people import People, policy_body
from tests.simulation.reconciler import NAME, Job, SimDisk, SimRandom, commits_at, desired_at, path_of, perform
from tests.simulation.servers import Effect, Server, Style
from tests.simulation.wire import READ_FATES, WRITE_FATES, Exchange, Network
from tests.simulation.world import Process, World

STYLES = (
    Style("flip", flips=True, crud=False, blanks=False, total=False, agents=False, unique=True),
    Style("flip+", flips=True, crud=True, blanks=False, total=True, agents=True, unique=True),
    Style("flip+ bare", flips=True, crud=True, blanks=False, total=False, agents=False, unique=False),
    Style("set", flips=False, crud=True, blanks=False, total=True, agents=True, unique=True),
    Style("set, no names", flips=False, crud=True, blanks=False, total=True, agents=True, unique=False),
    Style("blank", flips=False, crud=True, blanks=True, total=True, agents=False, unique=True),
)
STORY = 420.0
Cell = tuple[str, str, str]


@dataclass
class Told:
    """What came of a seed."""

    seed: int
    style: str
    violations: list[str]
    happened: dict[str, str]
    cells: Counter[Cell]
    runs: int
    requests: int
    exits: dict[str, int]


@dataclass
class Story:
    """A world with everything in it, and the dice."""

    chance: Chance
    world: World
    style: Style
    settings: TargetSettings
    server: Server
    network: Network
    objects: Objects
    remote: Remote
    checks: Checks
    people: People
    git_rates: Mapping[str, float]
    disk_rates: Mapping[str, float]
    crashes: bool
    skews: float
    skews_were_far: bool = False
    dying: dict[str, tuple[int, Callable[[], None] | None]] = field(default_factory=dict)
    jobs: list[Job] = field(default_factory=list)
    clones: list[Clone] = field(default_factory=list)

    # ------------------------------------------------------------------------------------------------ runs

    def launch(self, who: str, clone: Clone, *, lock_timeout: float, rerun: bool = False) -> Job:
        """Start a run of reconciler *who* now, at the newest commit; *rerun*: at the one before."""
        label = f"run/{who}/{len(self.jobs)}"
        process = Process(f"{who}.{len(self.jobs)}", skew=self.chance.between(label + "/skew", -1, 1) * self.skews)
        chain = self.objects.chain(self.people.tip)
        head = chain[min(len(chain) - 1, 1 if rerun else 0)]
        disk = SimDisk(self.world, self.chance, process, {} if self.network.is_calm else self.disk_rates)
        job = Job(process, clone, head, self.world.now, SimRandom(self.chance, process.name), disk)
        self.jobs.append(job)
        self.checks.jobs[process.name] = job

        def run() -> None:
            perform(job, self.world, self.network, self.settings, self.objects, lock_timeout=lock_timeout)
            self.checks.see_end(job, self.settings.budget, lock_timeout)

        self.world.start(process, run)
        return job

    def clone(self, name: str) -> Clone:
        rates = {} if self.network.is_calm else self.git_rates
        self.clones.append(Clone(name, self.world, self.chance, self.remote, rates))
        return self.clones[-1]

    def cells(self) -> Counter[Cell]:
        """How often each operation met each fate with each outcome."""
        seen = [(e.operation, e.fate, e.outcome or "no reply") for e in self.network.exchanges if not e.process.dead]
        return Counter([*seen, *(contact for clone in self.clones for contact in clone.contacts)])

    def schedule(self) -> None:
        """Put the reconcilers' runs, their crashes and interruptions on the heap."""
        if self.chance.is_true("outages", 0.2) and not self.network.is_calm:
            first = self.chance.between("outage/from", 0, 200)
            if self.chance.mishap("outage", "outage"):
                self.remote.outages.append((first, first + self.chance.between("outage/long", 20, 200)))
        for number in range(self.chance.count("reconcilers", 1, 3)):
            who = f"r{number}"
            clone = self.clone(who)
            at = self.chance.between(f"{who}/first", 0, 60)
            for turn in range(self.chance.count(f"{who}/turns", 1, 2)):
                self.world.at(at, self._turn(who, clone, turn))
                at += self.chance.between(f"{who}/{turn}/gap", 20, 240)

    def _turn(self, who: str, clone: Clone, turn: int) -> Any:
        label = f"{who}/{turn}"

        def begin() -> None:
            rerun = self.chance.mishap(label + "/rerun", "rerun" if self.chance.is_true(label, 0.1) else None)
            timeout = self.chance.choose(label + "/lock", (0.0, 0.0, 200.0))
            job = self.launch(who, clone, lock_timeout=timeout, rerun=rerun is not None)
            if self.crashes and self.chance.is_true(label + "/crashes", 0.6):
                self._plan_crash(label, who, clone, job)
            elif self.chance.is_true(label + "/stops", 0.05):
                self.world.after(self.chance.between(label + "/stop-after", 0.2, 30), lambda: self._stop(label, job))

        return begin

    def _plan_crash(self, label: str, who: str, clone: Clone, job: Job) -> None:
        """Let *job* die at some moment, or just after one of its requests has left."""
        after = self.chance.between(label + "/crash-after", 0.2, 40.0)
        if self.chance.is_true(label + "/any", 0.3):
            self.world.after(after, lambda: self._crash(label, who, clone, job))
            return
        sent = self.chance.count(label + "/crash-at", 1, 4)
        self.dying[job.process.name] = (sent, lambda: self._crash(label, who, clone, job))

    def see_send(self, exchange: Exchange) -> None:
        """Die now, or a moment later, if this is the request to die after."""
        self.checks.see_send(exchange)
        left, die = self.dying.get(exchange.process.name, (0, None))
        self.dying[exchange.process.name] = (left - 1, die)
        if left == 1 and die is not None:
            self.world.after(self.chance.between(f"dying/{exchange.number}", 0.0, 0.6), die)

    def see_effect(self, effect: Effect) -> None:
        self.checks.see_effect(effect)
        self.people.see_effect(effect)

    def _crash(self, label: str, who: str, clone: Clone, job: Job) -> None:
        if job.ended is not None or not self.chance.mishap(label + "/crash", "crash"):
            return
        job.process.dead = True
        again = self.clone(f"{clone.name}'") if self.chance.is_true(label + "/lost", 0.4) else clone
        pause = self.chance.between(label + "/restart", 1, 60)
        patience = self.chance.choose(label + "/patience", (0.0, 400.0))
        self.world.after(pause, lambda: self.launch(who, again, lock_timeout=patience) and None)

    def _stop(self, label: str, job: Job) -> None:
        if job.ended is None and self.chance.mishap(label + "/stop", "stop"):
            job.stopped = True

    # ------------------------------------------------------------------------------------------------- end

    def play(self) -> None:
        """From the first event to the proof that it converges."""
        self.network.on_send = self.see_send
        self.server.on_effect = self.see_effect
        self.schedule()
        self.people.schedule(STORY)
        if self.chance.is_true("wrong-nonce", 0.1):
            self.world.at(self.chance.between("wrong-nonce/at", 1, 200), self._unlock_blindly)
        self.world.pause(STORY * 2)
        self._finish()
        self.network.is_calm = True
        self.people.fought.clear()
        self.git_rates, self.skews, self.crashes, self.skews_were_far = {}, 0.0, False, self.skews > 1000
        self._converge()

    def _finish(self) -> None:
        """Wait for every run; whoever is still there after all budgets is killed and reported by its own end."""
        for _ in range(40):
            if all(job.process.tasks == 0 for job in self.jobs):
                return
            self.world.pause(60)
        for job in self.jobs:
            if job.process.tasks:
                self.checks.fail(f"I11 {job.process.name} never ends")
                job.process.dead = True
        self.world.pause(5000)

    def _converge(self) -> None:
        clone = self.clone("last")
        if self.skews_were_far:
            self._unlock(clone)
        for number in range(3):
            before, refs = len(self.network.exchanges), dict(self.remote.refs)
            job = self.launch(f"last{number}", clone, lock_timeout=2000.0)
            for _ in range(200):
                self.world.pause(20)
                if job.process.tasks == 0:
                    break
            has_sent = any(e.asked.method != "GET" for e in self.network.exchanges[before:])
            if number == 2 and has_sent:
                self.checks.fail("I11 the third run in peace still sends something")
            if job.exit is ExitCode.DONE and not has_sent and refs == self.remote.refs:
                break  # it changed nothing anywhere, so every further run would do the same
        incomplete = self.style.flips and not self.style.total and len(self.server.policies) >= 100
        wrong = differences(self.server, self.objects, self.people.tip)
        if incomplete:
            return
        if wrong or job.exit is not ExitCode.DONE:
            why = job.error or (job.run and job.run.outcomes)
            self.checks.fail(f"I11 no convergence: exit {job.exit}, {wrong or 'nothing differs'}, {why}")

    def _unlock_blindly(self) -> None:
        """Somebody unlocks with the nonce of a lock that is gone: whoever holds it now keeps it."""
        here = self.clone("somebody")

        def try_it() -> None:
            with suppress(ReconcilerError):
                unlock(cast(Any, here), "origin", NAME, "0" * 32)
                self.checks.fail("I4 a lock was removed by somebody who did not know its nonce")

        self.world.start(Process("somebody"), try_it)

    def _unlock(self, clone: Clone) -> None:
        """A lock from a clock that is days ahead is removed by a person, once its run is over."""
        held = read_lock(cast(Any, clone), "origin", NAME)
        if held is not None:
            unlock(cast(Any, clone), "origin", NAME, held.nonce)


def tell(seed: int, kept: Collection[str] | None = None) -> Told:
    """Play *seed*; with *kept* only these of its mishaps."""
    story = make_story(Chance(seed, kept))
    try:
        story.play()
    except Exception as error:  # noqa: BLE001 - the harness must name the seed whatever happens
        story.world.broken.append(error)
    story.network.close()
    violations = story.checks.violations + [f"{type(e).__name__}: {e}" for e in story.world.broken]
    exits: dict[str, int] = {}
    for job in story.jobs:
        name = "crashed" if job.exit is None else str(int(job.exit))
        exits[name] = exits.get(name, 0) + 1
    return Told(
        seed,
        story.style.name,
        violations,
        story.chance.happened,
        story.cells(),
        len(story.jobs),
        len(story.network.exchanges),
        exits,
    )


# ---------------------------------------------------------------------------------------------------- set-up


def make_story(chance: Chance) -> Story:
    world = World()
    style = chance.choose("style", STYLES)
    is_calm = chance.is_true("calm", 0.1)
    far = not is_calm and chance.is_true("far-clocks", 0.1)
    quiescence = chance.choose("quiescence", (20.0, 60.0))
    base = "/api" if style.flips else "/v1"
    settings = TargetSettings(
        name=NAME,
        provider=style.provider,
        url=f"https://policies.example{base}",
        policies="policies/sim",
        crud=style.flips and style.crud,
        max_deletes=99,
        quiescence=quiescence,
        deadline=10.0,
        budget=chance.choose("budget", (600.0, 600.0, 120.0)),
    )
    server = Server(world, style)
    network = Network(
        world,
        chance,
        server,
        settings.deadline,
        quiescence,
        {} if is_calm else _rates(chance, "write", WRITE_FATES, (0.2, 0.5, 0.8), without=("delay",) if far else ()),
        {} if is_calm else _rates(chance, "read", READ_FATES, (0.0, 0.1, 0.25)),
        window=chance.choose("window", (12, 25)) if chance.is_true("paced", 0.1) else None,
        is_calm=is_calm,
    )
    objects = Objects()
    remote = Remote(objects)
    checks = Checks(server, network, remote, objects, quiescence, settings.deadline, is_far=far)
    people = People(chance, world, server, objects, busy=not is_calm)
    checks.watch()
    story = Story(
        chance,
        world,
        style,
        settings,
        server,
        network,
        objects,
        remote,
        checks,
        people,
        git_rates={} if is_calm else _rates(chance, "git", ("git-lost", "git-reply-lost"), (0.0, 0.0, 0.1)),
        disk_rates={} if is_calm else _rates(chance, "disk", ("disk-full", "stall"), (0.0, 0.0, 0.05)),
        crashes=not is_calm and not far and chance.is_true("crashes", 0.4),
        skews=200_000.0 if far else 20.0,
    )
    _settle_the_land(story)
    return story


def _rates(
    chance: Chance, kind: str, fates: Collection[str], levels: tuple[float, ...], without: Collection[str] = ()
) -> dict[str, float]:
    """How often each of *fates* strikes in this seed: a few of them, together as often as one of *levels* says."""
    chosen = [f for f in fates if f not in without and chance.is_true(f"{kind}/{f}", _ACTIVE.get(f, 0.4))]
    level = chance.choose(f"{kind}/level", levels)
    weights = {fate: chance.number(f"{kind}/{fate}/weight") + 0.05 for fate in chosen}
    total = sum(weights.values())
    # What ends a run at once would hide everything else if it were frequent.
    rates = {fate: level * weight / total for fate, weight in weights.items()}
    return {fate: rate * (0.6 if fate in _FINAL[kind] else 1.0) for fate, rate in rates.items()}


#: How many seeds know a fate; those that only a few requests can meet need more.
_ACTIVE = {"duplicate": 0.8, "401": 0.8, "truncate": 0.5, "redirect": 0.5}
_FINAL = {"write": ("401",), "read": ("401",), "git": (), "disk": ("stall",)}


def _settle_the_land(story: Story) -> None:
    """The first commit, what is live before anybody comes, and in half the seeds a ledger that knows of both."""
    chance, style, server, objects = story.chance, story.style, story.server, story.objects
    count = chance.count("policies", 1, 5)
    keys = [f"pol-{number}" for number in range(count)]
    story.people.push({key: policy_body(style, key, enabled=chance.is_true(f"{key}/on", 0.6)) for key in keys})
    owned = chance.is_true("owned", 0.6)
    entries: dict[str, Applied] = {}
    commits = commits_at(objects, story.people.tip)
    for policy in desired_at(objects, story.people.tip):
        key = policy.key
        if not owned and style.crud and chance.is_true(f"{key}/missing", 0.3):
            continue
        live: dict[str, Any] = {**policy.body, "enabled": policy.enabled}
        if chance.is_true(f"{key}/differs", 0.5):
            live["enabled"] = not policy.enabled
        if style.crud and chance.is_true(f"{key}/text", 0.2):
            live["description"] = "as it was before"
        live_id = key if style.flips else f"policy_{key}"
        server.policies.append({**live, "id": live_id, "tier": 7, "created_at": "2026-01-01T00:00:00Z"})
        if owned:
            commit = commits[path_of(key)].sha
            entries[key] = Applied(key, live_id, policy.body, policy.enabled, {}, path_of(key), commit)
    for number in range(chance.count("unmanaged", 0, 2)):
        other = policy_body(style, f"legacy-{number}", enabled=True)
        server.policies.append({**other, "id": f"legacy-{number}", "created_at": "2026-01-01T00:00:00Z"})
    if style.flips and not style.total and chance.is_true("crowded", 0.08):
        fill = policy_body(style, "filler", enabled=True)
        missing = chance.count("crowd", 95, 102) - len(server.policies)
        crowd = [{**fill, "id": f"filler-{n}", "created_at": "2026-01-01T00:00:00Z"} for n in range(missing)]
        server.policies = [*server.policies[:1], *crowd, *server.policies[1:]]
    if owned:
        clone = story.clone("before")
        sha = write_ledger(
            cast(Any, clone),
            LedgerState(),
            entries,
            RunInfo(story.people.tip, "0.0.0", "2026-11-01T00:00:00+00:00"),
            at=datetime(2026, 11, 1, tzinfo=UTC),
            touched=True,
        )
        assert sha is not None
        story.remote.refs[ledger_ref(NAME)] = sha
    if chance.is_true("new-commit", 0.8):
        story.people.push_something("person/first", chance.count("new", 1, 4))
