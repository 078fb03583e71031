"""What must hold after every event (reliability.md 5.2), judged from outside: the checks see the server's truth.

They know git, the servers, the network and the lock ref, and nothing of what the engine believes. A violation is a
sentence that begins with the invariant's number.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from reconciler.core.model import Outcome, Status, Strength
from reconciler.errors import ExitCode
from reconciler.ledger import ledger_ref
from reconciler.lock import lock_ref
from tests.simulation.gitstore import Objects, Remote
from tests.simulation.reconciler import NAME, TOKEN, Job, desired_at, path_of
from tests.simulation.servers import SERVICE, Effect, Policy, Server, commit_of, key_of
from tests.simulation.wire import Exchange, Network

#: What a run may take beyond its budget: the reads and the proof after the last request, and its git.
SLACK = 200.0
#: Nobody fights a person for a policy longer than this.
MOST_TRIES = 3
#: A PUT carries what was read a moment before; who edits in between is overwritten, and the manual says so (F24).
RESIDUAL = 21.0


@dataclass
class Checks:
    """Watches one world. `jobs` by process name; `violations` in the order they were seen."""

    server: Server
    network: Network
    remote: Remote
    objects: Objects
    quiescence: float
    deadline: float
    is_far: bool = False
    jobs: dict[str, Job] = field(default_factory=dict)
    violations: list[str] = field(default_factory=list)
    effects: list[Effect] = field(default_factory=list)
    #: By process and policy id: what its latest whole read showed, and when that was seen by it and true.
    reads: dict[tuple[str, str], tuple[float, float, Policy | None]] = field(default_factory=dict)
    listed: dict[str, tuple[float, float]] = field(default_factory=dict)
    planned_at: dict[str, float] = field(default_factory=dict)
    #: By policy (key): the last request of ours and until when it may still take effect for all its sender knows.
    doubts: dict[str, Exchange] = field(default_factory=dict)
    trails: dict[str, float] = field(default_factory=dict)

    def watch(self) -> None:
        self.server.on_effect = self.see_effect
        self.network.on_send = self.see_send
        self.network.on_read = self.see_read
        self.network.on_wrong = self.fail
        self.remote.on_move = self.see_move

    def fail(self, text: str) -> None:
        self.violations.append(f"{text} (at {self.server.world.now:.3f})")

    # ------------------------------------------------------------------------------------------- requests

    def see_send(self, exchange: Exchange) -> None:
        job, asked = self.jobs[exchange.process.name], exchange.asked
        key = key_of(asked)
        if key is None:
            self.fail(f"I8 {exchange.operation} sent without an annotation")
            return
        self._lock_is_held(job, exchange)
        intents = [r for r in job.disk.records() if r.get("event") == "intent" and r.get("key") == key]
        sends = [e for e in self.network.exchanges if e.process is exchange.process and key_of(e.asked) == key]
        fitting = [intent for intent in intents if intent.get("operation") == exchange.operation]
        if len(intents) < len([e for e in sends if e.asked.method != "GET"]) or not fitting:
            self.fail(f"I1 {exchange.operation} of {key} sent without an intent on disk")
        if len([e for e in sends if e.operation == exchange.operation]) > MOST_TRIES:
            self.fail(f"I11 {exchange.operation} of {key} sent again and again")
        commit = commit_of(asked)
        if commit is None or commit not in self.objects.chain(job.head):
            self.fail(f"I8 {exchange.operation} of {key} names a commit that {job.head[:7]} does not have")
        if exchange.operation == "toggle" and self.server.style.flips:
            self._saw_the_other_value(job, exchange, key)
        self._is_quiet(exchange, key)
        self._was_just_read(exchange, key)
        self.doubts[key] = exchange

    def _lock_is_held(self, job: Job, exchange: Exchange) -> None:
        tip = self.remote.refs.get(lock_ref(NAME))
        holder = json.loads(self.objects.commits[tip].message) if tip is not None else {}
        if holder.get("nonce") not in job.random.nonces:
            self.fail(f"I4 {job.process.name} sends {exchange.operation} while {holder.get('holder')} has the lock")

    def _saw_the_other_value(self, job: Job, exchange: Exchange, key: str) -> None:
        wanted = next((policy.enabled for policy in desired_at(self.objects, job.head) if policy.key == key), None)
        policy_id = exchange.asked.path.split("/")[-1]
        read = self.reads.get((job.process.name, policy_id))
        if read is None or read[2] is None:
            self.fail(f"I2 {key} flipped without a read that showed it")
        elif read[2]["enabled"] == wanted:
            self.fail(f"I2 {key} flipped although the last read showed it as git wants it")
        before = self.doubts.get(key)
        again = before is not None and before.process is exchange.process
        if again and read is not None and (before is None or before.closed is None or read[0] < before.closed):
            self.fail(f"I2 {key} flipped twice on one read")

    def _was_just_read(self, exchange: Exchange, key: str) -> None:
        """What was seen minutes ago is no ground to act on: a machine slept, or waited for its turn."""
        name, policy_id = exchange.process.name, exchange.asked.path.removesuffix("/toggle").split("/")[-1]
        listed = self.listed.get(name, (-1.0, 0.0))[0]
        seen = self.reads.get((name, policy_id), (listed, 0.0, None))[0] if exchange.operation != "create" else listed
        age = self.server.world.now - seen
        if age > 2 * self.deadline:
            self.fail(f"I2 {exchange.operation} of {key} decided from a read {age:.0f} s old")

    def _is_quiet(self, exchange: Exchange, key: str) -> None:
        """No second request before the first can no longer take effect, unless the trail showed that it did."""
        before = self.doubts.get(key)
        if before is None:
            return
        now = self.server.world.now
        if before.closed is None:
            if not before.process.dead:
                self.fail(f"I3 two requests for {key} under way at once")
                return
            closed = before.at
        else:
            closed = before.closed
        # With clocks days apart a lock may be taken over early, but never while something is under way.
        quiet = 0.0 if self.is_far and before.process is not exchange.process else self.quiescence
        if not is_doubtful(before) or now >= max(closed + quiet, before.lands_until):
            return
        # Its own sender may have seen it, and left the lock to the next in good order.
        seen_by = max(self.trails.get(each.process.name, -1.0) for each in (before, exchange))
        landed = [e for e in self.effects if e.asked.sent == before.number and e.at <= seen_by]
        if not landed or before.lands_until > now:
            left = closed + self.quiescence - now
            self.fail(
                f"I3 {exchange.operation} of {key} sent {left:.1f} s before the doubt about {before.fate} was over"
            )

    def see_read(self, exchange: Exchange, seen_at: float, value: Any) -> None:
        exchange.outcome = "reply"
        if exchange.process.dead:
            return
        name, now = exchange.process.name, self.server.world.now
        if exchange.operation == "trail":
            self.trails[name] = max(seen_at, self.trails.get(name, 0.0))
            return
        if exchange.operation == "one":
            policy = value["policy"]
            self.reads[name, policy["id"]] = (now, seen_at, policy)
            return
        policies = value if isinstance(value, list) else value["policies"]
        self.listed[name] = (now, seen_at)
        self.planned_at.setdefault(name, seen_at)
        for key in [key for key in self.reads if key[0] == name]:
            self.reads[key] = (now, seen_at, None)
        for policy in policies:
            self.reads[name, policy["id"]] = (now, seen_at, policy)

    # -------------------------------------------------------------------------------------------- effects

    def see_effect(self, effect: Effect) -> None:
        self.effects.append(effect)
        asked = effect.asked
        if asked.actor != SERVICE:
            return
        exchange = self.network.exchanges[asked.sent - 1]
        job = self.jobs[exchange.process.name]
        key = key_of(asked)
        policies = {policy.key: policy for policy in desired_at(self.objects, job.head)}
        named = (effect.before or effect.after or {}).get("id" if self.server.style.flips else "name")
        if key is None or (named != key and not self._renamed_live(effect.id)):
            self.fail(f"I6 {effect.operation} of {named} under the name of {key}")
            return
        if effect.operation == "delete":
            if key in policies or not self._was_ours(job.head, key):
                self.fail(f"I7 {key} deleted, which git did not remove")
        elif key not in policies:
            self.fail(f"I6 {effect.operation} of {key}, which is not in git at {job.head[:7]}")
        if effect.operation == "create":
            twins = self.server.named(key)
            if len(twins) > 1:
                self.fail(f"doubled: {key} created while it was there")
        if effect.operation == "update" and effect.before is not None and effect.after is not None:
            self._keeps_the_rest(effect, policies[key].body if key in policies else {})

    def _renamed_live(self, policy_id: str) -> bool:
        return any(e.asked.actor != SERVICE and e.id == policy_id for e in self.effects)

    def _was_ours(self, head: str, key: str) -> bool:
        return any(path_of(key) in self.objects.commits[sha].files for sha in self.objects.chain(head)[1:])

    def _keeps_the_rest(self, effect: Effect, ours: Mapping[str, object]) -> None:
        before, after = effect.before or {}, effect.after or {}
        recent = self.network.exchanges[effect.asked.sent - 1].at - RESIDUAL
        if any(e.id == effect.id and e.asked.actor != SERVICE and e.at > recent for e in self.effects):
            return
        for name in (before.keys() | after.keys()) - ours.keys() - {"enabled"}:
            if not is_same(before.get(name), after.get(name)):
                self.fail(f"I6 update of {effect.id} changed {name}, which is not ours")
        if before["enabled"] != after["enabled"]:
            self.fail(f"update of {effect.id} switched it {'on' if after['enabled'] else 'off'}")

    # ------------------------------------------------------------------------------------------------ git

    def see_move(self, ref: str, old: str | None, new: str | None) -> None:
        if ref != ledger_ref(NAME) or old is None:
            return
        if new is None:
            self.fail("I9 the ledger was deleted")
            return
        before, after = self._applied(old), self._applied(new)
        if before is not None and (after is None or before not in self.objects.chain(after)):
            self.fail(f"I9 the ledger went from {before[:7]} to {str(after)[:7]}, which does not follow it")

    def _applied(self, sha: str) -> str | None:
        found = json.loads(self.objects.read(sha, "run.json") or b"{}").get("applied")
        return found if isinstance(found, str) else None

    # ------------------------------------------------------------------------------------------- ends of runs

    def see_end(self, job: Job, budget: float, lock_timeout: float) -> None:
        """Judge what a run said of itself against what it did."""
        name, ended = job.process.name, job.ended or 0.0
        done = [effect for effect in self.effects if self._is_of(effect, name)]
        late = [e for e in self.network.exchanges if e.process.name == name and self._may_still_land(e)]
        if ended - job.started > budget + lock_timeout + job.disk.stalled + SLACK:
            self.fail(f"I11 {name} took {ended - job.started:.0f} s with a budget of {budget:.0f}")
        stands = [effect for effect in done if not self._is_undone(effect) and not self._is_unprovable(effect)]
        if job.exit in (ExitCode.ERROR, ExitCode.TRY_AGAIN, ExitCode.STALE) and (late or stands):
            self.fail(f"{name} ended {int(job.exit)}, which says that nothing was applied")
        told = json.dumps([job.notices, [str(record) for record in job.disk.records()], str(job.run), str(job.error)])
        if TOKEN in told:
            self.fail(f"I10 the token is in what {name} tells")
        if job.run is None:
            return
        if late and not any(outcome.status is Status.UNKNOWN for outcome in job.run.outcomes):
            self.fail(f"{name} has no unknown outcome, but its {late[0].operation} may still land")
        for outcome in job.run.outcomes:
            self._is_told_as_it_was(outcome, name, [e for e in done if key_of(e.asked) == outcome.key])
            self._claims_no_more_than_is(outcome)
        if job.exit is ExitCode.DONE:
            self._is_as_git_wants(job)

    def _is_told_as_it_was(self, outcome: Outcome, name: str, own: list[Effect]) -> None:
        """Against the effects that the run had on one policy."""
        standing = [effect for effect in own if not self._is_undone(effect)]
        if outcome.status is Status.ALREADY:
            standing = [effect for effect in standing if not self._is_unprovable(effect)]
        if outcome.status in (Status.FAILED, Status.SKIPPED, Status.ALREADY) and standing:
            self.fail(f"{outcome.key} is told as {outcome.status}, but {standing[-1].operation} took effect")
        asked = [e for e in self.network.exchanges if e.process.name == name and key_of(e.asked) == outcome.key]
        if outcome.status is Status.APPLIED and not own and not any(map(is_doubtful, asked)):
            self.fail(f"{outcome.key} is told as applied, but nothing of ours took effect")

    def _is_unprovable(self, effect: Effect) -> bool:
        """Whether a proxy asked twice, was told "gone" or "exists", and no audit trail says whose the first was."""
        exchange = self.network.exchanges[effect.asked.sent - 1]
        trails = [e for e in self.network.exchanges if e.process is exchange.process and e.operation == "trail"]
        has_proof = self.server.style.agents and all(e.outcome == "reply" for e in trails)
        return exchange.fate == "duplicate" and not has_proof

    def _claims_no_more_than_is(self, outcome: Outcome) -> None:
        note = outcome.annotation
        if note is None or note.audit_id is None:
            return
        row = next((row for row in self.server.rows if row["id"] == note.audit_id), {})
        if row.get("user_email") != SERVICE:
            self.fail(f"I8 {outcome.key} claims the audit entry of somebody else")
        if note.strength is Strength.SAME_ENTRY and (outcome.commit is None or outcome.commit not in str(row)):
            self.fail(f"I8 {outcome.key} claims an audit entry that does not name its commit")

    def _is_undone(self, effect: Effect) -> bool:
        """Whether a person touched the policy later: after a lost reply nobody can tell that from no effect at all."""
        return any(e.id == effect.id and e.asked.actor != SERVICE and e.at > effect.at for e in self.effects)

    def _is_of(self, effect: Effect, name: str) -> bool:
        sent = effect.asked.sent
        return sent > 0 and self.network.exchanges[sent - 1].process.name == name

    def _is_by(self, effect: Effect, strangers: set[str]) -> bool:
        """Whether a person did it, or a run of *strangers*."""
        sent = effect.asked.sent
        return effect.asked.actor != SERVICE or self.network.exchanges[sent - 1].process.name in strangers

    def _may_still_land(self, exchange: Exchange) -> bool:
        return exchange.asked.method != "GET" and exchange.lands_until > self.server.world.now

    def _is_as_git_wants(self, job: Job) -> None:
        """I5: exit 0 means that everything managed was right when last looked at, and nothing of ours came after.

        What the plan saw in sync is not looked at again: that may have moved since the run began. A run that found
        nothing to do took no lock, so another run may be at work.
        """
        strangers = set(self.jobs) - {job.process.name} if not job.random.nonces else set()
        listed = self.listed.get(job.process.name, (0.0, 0.0))[1]
        planned = {change.key for change in job.plans[-1].plan.changes}
        for key, wrong in differences(self.server, self.objects, job.head).items():
            read = listed if key in planned else self.planned_at.get(job.process.name, job.started)
            ids = {policy["id"] for policy in self.server.named(key)} | {
                e.id
                for e in self.effects
                if (e.before or e.after or {}).get("id" if self.server.style.flips else "name") == key
            }
            mine = [k for k in self.reads if k[0] == job.process.name and k[1] in ids and key in planned]
            seen = max([read, *(self.reads[k][1] for k in mine)])
            if not any(e.id in ids and e.at >= seen and self._is_by(e, strangers) for e in self.effects):
                self.fail(f"I5 {job.process.name} ended 0, but {key} {wrong}")


def is_doubtful(exchange: Exchange) -> bool:
    """Whether its sender cannot know what became of it: by its fate, or because it died first."""
    sure = ("deliver", "refuse", "duplicate", "429", "401", "403")
    return exchange.fate not in sure or exchange.closed is None or exchange.process.dead


def is_same(one: object, other: object) -> bool:
    """Whether two JSON values are the same to the letter: `True` is not `1`."""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


def differences(server: Server, objects: Objects, head: str) -> dict[str, str]:
    """What is not live as git wants it at *head*, by key; compared without the engine's help."""
    found: dict[str, str] = {}
    style = server.style
    changes_text = not style.flips or style.crud
    for policy in desired_at(objects, head):
        live = server.named(policy.key)
        if not live:
            if changes_text:
                found[policy.key] = "is not there"
        elif len(live) > 1:
            found[policy.key] = "is there twice"
        elif live[0]["enabled"] != policy.enabled:
            found[policy.key] = f"is {'enabled' if live[0]['enabled'] else 'disabled'}"
        elif changes_text and any(not is_same(live[0].get(name), value) for name, value in policy.body.items()):
            found[policy.key] = "has another content"
    return found
