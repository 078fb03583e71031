"""Carries out the changes of a plan: read, verify, write, verify, for every one of them.

Knows an API only through `providers/base.py`. Each round reads first and decides from what it read, so a lost reply, a
person in between or a crash before are all the same case: look, then do what is still missing. A request is never
repeated on an exception; it is sent again only after a fresh read showed that it did not take effect, and after doubt
not before the quiescence time has passed (reliability.md 3.1 to 3.5).
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import groupby
from typing import Protocol, TypeVar

from reconciler.core.canonical import json_equal
from reconciler.core.model import (
    Action,
    Body,
    Change,
    Fate,
    Json,
    Kind,
    Listing,
    LivePolicy,
    Mutation,
    Outcome,
    Receipt,
    Status,
    TargetSettings,
)
from reconciler.core.ports import Clock, Spread
from reconciler.errors import ExitCode, LiveError, ReconcilerError
from reconciler.providers.base import Provider

#: A change is tried this often; then it is contended or refused (reliability.md 3.4).
MAX_ATTEMPTS = 3
#: How long a read may lag behind a write that was answered well (reliability.md F40), in seconds.
VISIBLE_AFTER = 5.0
_READ_PAUSE = 0.25
#: So many waves are under way at once: one is written while the other is read.
LANES = 2
#: So long after it came a list may serve those who were not asked about since, in seconds; then it is read again.
_SHARED = 2.0
#: Between two reads that have to agree (reliability.md F41).
_SECOND_LOOK = 1.0
_GOOD = (Status.APPLIED, Status.ALREADY)

T = TypeVar("T")


class JournalPort(Protocol):
    """Where intents go before their requests do."""

    def append(self, records: Iterable[Mapping[str, Json]]) -> None: ...


@dataclass(frozen=True, slots=True)
class Ports:
    """What a run needs from outside.

    `differs` names the fields in which a live policy still lacks a change's desired content; `may_keep` tells whether
    it protects as well all the same; `put_body` makes the full body of an update from a fresh read; `headers` carry the
    annotation. `entries` counts the audit entries about a change's policy that are new since the run began: those that
    name our commit, and all; None when nobody can tell. `keep_lock` renews the lock when needed and tells whether it is
    still ours; `stop` whether a person asked to stop. `spread` has as many places as requests may be under way at once;
    `lanes` is for those who share them.
    """

    provider: Provider
    clock: Clock
    journal: JournalPort
    differs: Callable[[Change, LivePolicy], Sequence[str]]
    may_keep: Callable[[Change, LivePolicy], bool]
    put_body: Callable[[Change, LivePolicy], Body]
    headers: Callable[[Change], Mapping[str, str]]
    entries: Callable[[Change, LivePolicy | None], tuple[int, int] | None]
    keep_lock: Callable[[], bool]
    stop: Callable[[], bool]
    progress: Callable[[Outcome], None]
    spread: Spread
    lanes: Spread


@dataclass(frozen=True, slots=True)
class Result:
    """One change after the run: its outcome, the live policy as last read, whether it was refused as stale.

    `sent` counts requests that left; `doubt` stays True when nobody can say what they did. `confirmed`: the server
    itself answered that the last one took effect. `kept`: fields that the server shows otherwise than they were sent.
    """

    change: Change
    outcome: Outcome
    live: LivePolicy | None
    stale: bool
    sent: int
    doubt: bool
    confirmed: bool
    exit: ExitCode
    kept: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Execution:
    """One result per change, in the order of the waves. `trouble`: what forbids to call the run done even so."""

    results: tuple[Result, ...]
    trouble: str | None = None


@dataclass(slots=True)
class _Work:
    """A change on its way."""

    change: Change
    attempts: Counter[str] = field(default_factory=Counter)
    calls: int = 0
    reached: int = 0
    confirmed: int = 0
    doubted: bool = False
    own_before: int | None = 0
    quiet_until: float | None = None
    ask_at: float = 0.0
    seen_at: float = 0.0
    sent_at: float = 0.0
    last: Receipt | None = None
    last_operation: str | None = None
    stored: Body | None = None
    status: Status | None = None
    error: str | None = None
    stale: bool = False
    raced: bool = False
    looked_settled: bool = False
    live: LivePolicy | None = None
    policy_id: str | None = None
    exit: ExitCode = ExitCode.DONE

    def finish(self, status: Status, error: str | None = None, exit: ExitCode = ExitCode.DONE) -> None:
        self.status, self.error, self.exit = status, error, exit

    @property
    def last_status(self) -> int | None:
        return None if self.last is None else self.last.status

    @property
    def in_doubt(self) -> bool:
        return self.last is not None and self.last.fate is Fate.AMBIGUOUS


@dataclass(frozen=True, slots=True)
class _Listed:
    """A list, when it was asked for and when it came, and its policies by what they are looked for."""

    listing: Listing
    began: float
    came: float
    by_id: Mapping[str, Sequence[LivePolicy]]
    by_key: Mapping[str, Sequence[LivePolicy]]


@dataclass(slots=True)
class _Run:
    """What all workers of a run share."""

    ports: Ports
    settings: TargetSettings
    ends_at: float
    stopped: str | None = None
    stop_exit: ExitCode = ExitCode.DONE
    trouble: str | None = None
    sent_at: float | None = None
    listed: _Listed | None = None
    telling: threading.Lock = field(default_factory=threading.Lock)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def stop(self, reason: str, exit: ExitCode) -> None:
        with self._lock:
            if self.stopped is None:
                self.stopped, self.stop_exit = reason, exit

    def keep(self, listed: _Listed) -> None:
        """Keep the youngest list."""
        with self._lock:
            if self.listed is None or self.listed.began <= listed.began:
                self.listed = listed

    def may_send(self) -> bool:
        """Check everything that forbids the next request; the first reason found stops the run."""
        if self.stopped is None:
            if self.ports.stop():
                self.stop("interrupted", ExitCode.INTERRUPTED)
            elif self.ports.clock.monotonic() + self.settings.deadline > self.ends_at:
                self.stop(f"the budget of {self.settings.budget:g} seconds is used up", ExitCode.TRY_AGAIN)
            elif not self.ports.keep_lock():
                self.stop("the lock is no longer ours", ExitCode.TRY_AGAIN)
        return self.stopped is None


def execute(waves: Sequence[Sequence[Change]], ports: Ports, settings: TargetSettings) -> Execution:
    """Carry out *waves* in order.

    A wave holds changes of one rank of the order of calls; the next begins when the last is settled, so an interrupted
    run leaves nobody weaker than before. The very first change is the canary: it goes alone, and doubt about it stops
    the run. A rejected change does not stop the others; a 401 does.
    """
    entries, spread = ports.entries, ports.spread
    ports = replace(ports, entries=lambda change, live: _ask(spread, partial(entries, change, live)))
    run = _Run(ports, settings, ends_at=ports.clock.monotonic() + settings.budget)
    works = [[_Work(change, policy_id=change.id) for change in wave] for wave in waves]
    is_canary = True
    for wave in works:
        while wave and is_canary:
            first, wave = wave[0], wave[1:]
            _settle_rank([first], run)
            is_canary = first.calls == 0
            if (first.status is Status.UNKNOWN or first.raced) and run.stopped is None:
                run.stop("the first write did not do what was asked, so nothing more is sent", ExitCode.PARTIAL)
        _settle_rank(wave, run)
    everything = [work for wave in works for work in wave]
    _look_again(everything, run)
    return Execution(tuple(_result(work, run) for work in everything), run.trouble)


def _settle_rank(works: Sequence[_Work], run: _Run) -> None:
    """Settle *works*: by one list before and after, or each by its own reads where the API gives single policies."""
    for is_alone, some in groupby(works, key=partial(_is_read_alone, run=run)):
        (_settle_each if is_alone else _settle_waves)(list(some), run)


def _is_read_alone(work: _Work, run: _Run) -> bool:
    reads_one = run.ports.provider.capabilities.reads_one and work.change.kind is Kind.POLICY
    return reads_one and work.change.action in (Action.UPDATE, Action.ENABLE, Action.DISABLE)


def _settle_each(works: Sequence[_Work], run: _Run) -> None:
    """Settle every one for itself, so that none waits for another; a wave of outcomes is noted at once."""
    settled: list[_Work] = []

    def settle(work: _Work) -> None:
        _settle([work], _read_one, run)
        with run.telling:
            settled.append(work)
            noted = settled[:] if len(settled) >= run.ports.provider.capabilities.wave else []
            del settled[: len(noted)]
        _note(noted, run)

    run.ports.spread([partial(settle, work) for work in works])
    _note(settled, run)


def _settle_waves(works: Sequence[_Work], run: _Run) -> None:
    """Settle *works* wave by wave; what a wave is proven by, the next one is decided from, as long as it is young."""
    size = run.ports.provider.capabilities.wave
    waves = [works[start : start + size] for start in range(0, len(works), size)]

    def settle(mine: Sequence[Sequence[_Work]]) -> None:
        for wave in mine:
            _settle(wave, _read_list, run)
            _note(wave, run)

    run.ports.lanes([partial(settle, waves[lane::LANES]) for lane in range(min(LANES, len(waves)))])


def _note(works: Sequence[_Work], run: _Run) -> None:
    """Put the outcomes of *works* into the journal and tell them."""
    try:
        run.ports.journal.append(
            {"event": "outcome", "key": work.change.key, "status": str(work.status)} for work in works
        )
    except ReconcilerError as error:
        run.trouble = error.what
        run.stop(error.what, ExitCode.PARTIAL)
    with run.telling:
        for work in works:
            run.ports.progress(_outcome(work, run))


def _look_again(works: Sequence[_Work], run: _Run) -> None:
    """Before a run may end well: compare whatever was seen before the last request with a list that is younger.

    Whoever changed a policy back while the run went on is found here, not by the next run (reliability.md 3.4, 6).
    """
    if run.sent_at is None or run.ports.stop() or any(work.status not in _GOOD for work in works):
        return
    if all(work.seen_at >= run.sent_at for work in works):
        return
    left = list(works)
    clock, why = run.ports.clock, ""
    while left:
        try:
            listed = run.listed
            if listed is None or listed.began < run.sent_at:
                listed = _fetch_listing(run)
            left = [work for work in works if not _is_still_settled(work, listed, run)]
            why = "somebody changed it again while the run went on"
        except LiveError as error:
            why = f"it was settled, but cannot be looked at again: {error.what}"
            break
        if not left or clock.monotonic() >= run.sent_at + VISIBLE_AFTER:
            break
        run.listed = None
        clock.sleep(_READ_PAUSE)
    for work in left:
        work.finish(Status.UNKNOWN, why, ExitCode.PARTIAL)


def _is_still_settled(work: _Work, listed: _Listed, run: _Run) -> bool:
    work.live = _find(work, listed)
    return _is_settled(work, work.live, run)


# -------------------------------------------------------------------------------------------------- the loop

_Read = Callable[[Sequence[_Work], _Run], Mapping[str, LivePolicy | None]]


def _settle(works: Sequence[_Work], read: _Read, run: _Run) -> None:
    """Repeat read, decide, write until every one of *works* has a status."""
    while waiting := [work for work in works if work.status is None]:
        going = run.may_send()
        if not going:
            _close_unreadable(waiting, run)
        ready = _ready(waiting, run) if going else [work for work in waiting if work.status is None]
        if not ready:
            continue
        try:
            seen = read(ready, run)
        except LiveError as error:
            _give_up(ready, error, run)
            continue
        sends = []
        for work in ready:
            mutation = _decide(work, seen[work.change.key], run)
            if mutation is not None and work.status is None:
                if going:
                    sends.append((work, mutation))
                else:
                    _leave(work, run)
            elif work.status is None and not going:
                _leave(work, run)
        _send_all(sends, run)


def _close_unreadable(waiting: Sequence[_Work], run: _Run) -> None:
    """The run has stopped: close all whom one more read could tell nothing certain about."""
    now = run.ports.clock.monotonic()
    for work in waiting:
        is_sure = work.reached == 0 and not _was_beaten(work)
        if is_sure or (work.in_doubt and work.quiet_until is not None and work.quiet_until > now):
            _leave(work, run)


def _ready(waiting: Sequence[_Work], run: _Run) -> list[_Work]:
    """Return the works that may be looked at now; when all must wait, wait for the first of them."""
    now = run.ports.clock.monotonic()
    for work in waiting:
        if work.in_doubt and work.quiet_until is not None and work.ask_at <= now < work.quiet_until:
            _ask_trail(work, run)
    ready = [work for work in waiting if work.quiet_until is None or work.quiet_until <= now]
    if not ready:
        soonest = min(work.quiet_until for work in waiting if work.quiet_until is not None)
        run.ports.clock.sleep(max(0.01, min(soonest - now, 1.0)))
    return ready


def _ask_trail(work: _Work, run: _Run) -> None:
    """End the wait after doubt early when the audit trail shows that our request took effect.

    A request takes effect at most once, so exactly one entry more than before it leaves nothing in flight.
    """
    entries = run.ports.entries(work.change, work.live) if work.own_before is not None else None
    now = run.ports.clock.monotonic()
    if entries is not None and entries[0] == (work.own_before or 0) + 1:
        work.quiet_until = None
        work.last = Receipt(Fate.APPLIED)
        work.sent_at = now
    else:
        work.ask_at = now + max(1.0, now - work.sent_at)


def _give_up(works: Sequence[_Work], error: LiveError, run: _Run) -> None:
    """The live system cannot be read any more: whoever has something in flight is in doubt, nothing else is sent."""
    run.stop(f"the live system cannot be read: {error.what}", error.exit)
    for work in works:
        _leave(work, run, error.what)


def _leave(work: _Work, run: _Run, reason: str | None = None) -> None:
    """Close *work* without another request."""
    why = reason or run.stopped or "stopped"
    refusal = _refusal(work)
    if _was_beaten(work):
        work.finish(Status.UNKNOWN, f"the server said {work.last_status}, and nobody looked: {why}", ExitCode.PARTIAL)
    elif work.reached == 0 and refusal is not None:
        work.finish(Status.FAILED, *refusal)
    elif work.reached == 0:
        work.finish(Status.SKIPPED, f"not tried: {why}", run.stop_exit)
    else:
        work.finish(Status.UNKNOWN, f"sent, but not seen to take effect: {why}", ExitCode.PARTIAL)


def _decide(work: _Work, live: LivePolicy | None, run: _Run) -> Mutation | None:
    """Look at a fresh read and either close *work*, put it off, or return the next request."""
    work.live = live
    if _is_settled(work, live, run):
        if _wants_second_look(work, run):
            work.looked_settled = True
            work.quiet_until = run.ports.clock.monotonic() + _SECOND_LOOK
            return None
        is_ours = work.reached > 0
        if not is_ours and _was_beaten(work):
            entries = run.ports.entries(work.change, live)
            is_ours = entries is not None and entries[0] > 0
            if not is_ours and entries is not None and _may_still_show(work, run):
                return None
        work.finish(Status.APPLIED if is_ours else Status.ALREADY)
        return None
    if not work.reached and _has_moved(work, live, run) and (not _was_beaten(work) or work.last_status == 412):
        work.stale = True
        work.finish(Status.FAILED, "changed since the plan was made; plan again", ExitCode.STALE)
        return None
    if work.last is None:
        return _next_mutation(work, live, run)
    if _is_put_off(work, run):
        return None
    refusal = _refusal(work)
    if refusal is not None:
        _close_unsettled(work, run, *refusal)
        return None
    if _has_moved(work, live, run):
        work.finish(Status.UNKNOWN, _what_is_seen(work, live, run), ExitCode.PARTIAL)
        return None
    mutation = _next_mutation(work, live, run)
    if work.attempts[mutation.operation] >= MAX_ATTEMPTS:
        _close_unsettled(work, run, *_exhausted(work, mutation.operation))
        return None
    return mutation


def _wants_second_look(work: _Work, run: _Run) -> bool:
    """Whether a change that nobody here made may be there only because the read is older than the plan's.

    The plan saw a difference. A lagging replica would show none, so two reads have to (reliability.md 3.4, F41).
    """
    return not (work.looked_settled or work.reached or _was_beaten(work) or run.stopped is not None)


def _differs(work: _Work, live: LivePolicy, run: _Run) -> bool:
    """Whether *live* still lacks desired content that the server would keep.

    Where the reply to our write showed just what is live now, the server keeps something else than it was sent, and
    would do so every time (reliability.md F39): no difference, as long as nobody is weaker for it.
    """
    if not run.ports.differs(work.change, live):
        return False
    is_stored = work.stored is not None and json_equal(dict(live.body), dict(work.stored))
    return not (is_stored and run.ports.may_keep(work.change, live))


def _what_is_seen(work: _Work, live: LivePolicy | None, run: _Run) -> str:
    """Say how *live* is neither as planned nor as asked, and no more: who made it so nobody here knows."""
    if live is None or not work.attempts.keys() & {"create", "update"}:
        return "somebody else changed it during the run"
    fields = ", ".join(run.ports.differs(work.change, live)) or "/enabled"
    return f"the server shows another value than was sent: {fields}"


def _may_still_show(work: _Work, run: _Run) -> bool:
    """Whether the audit trail may lag behind a request of ours that took effect; sets when to look again."""
    now = run.ports.clock.monotonic()
    if now >= work.sent_at + VISIBLE_AFTER:
        return False
    work.quiet_until = now + _SECOND_LOOK
    return True


def _was_beaten(work: _Work) -> bool:
    """Whether the server said that it is done already: by others, or by us when a proxy asked it twice (F44)."""
    return work.last is not None and work.last.fate is Fate.REJECTED and work.last.status in (404, 409, 412)


def _close_unsettled(work: _Work, run: _Run, why: str, exit: ExitCode) -> None:
    """Close a change that is not live as asked: failed when nothing of it is, else part of it may be.

    After doubt the trail is asked, too: our flip may have met a person's, and the two are no change at all.
    """
    live, planned = work.live, work.change.live
    if live is None or planned is None:
        is_untouched = live is planned
    else:
        is_untouched = live.enabled == planned.enabled and json_equal(dict(live.body), dict(planned.body))
    if is_untouched and work.doubted:
        entries = run.ports.entries(work.change, work.live)
        is_untouched = entries is None or entries[1] == 0
    if is_untouched and not work.confirmed:
        work.finish(Status.FAILED, why, exit)
    else:
        work.finish(Status.UNKNOWN, f"not all of it took effect: {why}", ExitCode.PARTIAL)


def _is_settled(work: _Work, live: LivePolicy | None, run: _Run) -> bool:
    change = work.change
    if change.action is Action.DELETE:
        return live is None
    if live is None:
        return False
    wanted = change.desired
    if wanted is None or live.enabled != wanted.enabled:
        return False
    if not _differs(work, live, run):
        return True
    # A switch leaves text alone that the API cannot change; text that moved since the plan is another matter.
    is_switch = change.action in (Action.ENABLE, Action.DISABLE)
    return is_switch and change.live is not None and json_equal(dict(live.body), dict(change.live.body))


def _has_moved(work: _Work, live: LivePolicy | None, run: _Run) -> bool:
    """Whether *live* is neither what the plan saw nor a state this run brought it to."""
    planned = work.change.live
    if live is None or planned is None:
        if live is None and planned is None:
            return False
        return not (work.reached and live is not None and not _differs(work, live, run))
    if live.id != planned.id:
        return True
    if json_equal(dict(live.body), dict(planned.body)):
        return live.enabled != planned.enabled and not work.reached
    return not (work.reached and not _differs(work, live, run))


def _is_put_off(work: _Work, run: _Run) -> bool:
    """Whether *work* must be looked at again later; sets when."""
    assert work.last is not None  # noqa: S101 - only called after a request
    now = run.ports.clock.monotonic()
    fate = work.last.fate
    if fate is Fate.APPLIED and _same_step_is_missing(work):
        if now < work.sent_at + VISIBLE_AFTER:
            work.quiet_until = now + _READ_PAUSE
            return True
        if now < work.sent_at + run.settings.quiescence:
            work.quiet_until = work.sent_at + run.settings.quiescence
            return True
    if _was_beaten(work) and now < work.sent_at + VISIBLE_AFTER:
        work.quiet_until = now + _READ_PAUSE
        return True
    return fate is Fate.AMBIGUOUS and work.quiet_until is not None and now < work.quiet_until


def _same_step_is_missing(work: _Work) -> bool:
    """Whether what the last answered request should have done is what is still missing."""
    live, change = work.live, work.change
    if work.last_operation == "toggle":
        return True
    if work.last_operation == "update" and live is not None and change.live is not None:
        return json_equal(dict(live.body), dict(change.live.body))
    return work.last_operation in ("create", "delete", "mode") and (live is None) == (change.live is None)


def _refusal(work: _Work) -> tuple[str, ExitCode] | None:
    """What a 4xx means for this change; None when it may be tried again: later (429), from a younger read (412)."""
    receipt = work.last
    if receipt is None or receipt.fate is not Fate.REJECTED or receipt.status in (412, 429) or receipt.renewed:
        return None
    return f"the server refused it: {receipt.status} {receipt.detail}".strip(), ExitCode.ERROR


def _exhausted(work: _Work, operation: str) -> tuple[str, ExitCode]:
    receipt = work.last
    if receipt is not None and receipt.fate in (Fate.APPLIED, Fate.APPLIED_OTHER):
        return "contended: somebody keeps changing it back", ExitCode.PARTIAL
    told = f" ({receipt.status or 'no reply'} {receipt.detail})".rstrip() if receipt is not None else ""
    return f"no effect after {work.attempts[operation]} tries{told}", ExitCode.TRY_AGAIN


def _next_mutation(work: _Work, live: LivePolicy | None, run: _Run) -> Mutation:
    """Return the request for the first thing still missing, bound to the fresh read *live* that it is made from."""
    mutation = _missing_step(work, live, run)
    return mutation if live is None else replace(mutation, etag=live.etag)


def _missing_step(work: _Work, live: LivePolicy | None, run: _Run) -> Mutation:
    change, ports = work.change, run.ports
    headers = ports.headers(change)
    commit = change.commit.sha if change.commit is not None else ""
    if change.kind is Kind.SETTINGS:
        body = change.desired.body if change.desired is not None else {}
        return Mutation("mode", None, body, True, commit, headers)
    if live is None:
        wanted = change.desired
        assert wanted is not None  # noqa: S101 - only a create finds nothing and is not settled
        return Mutation("create", None, wanted.body, wanted.enabled, commit, headers)
    work.policy_id = live.id
    if change.action is Action.DELETE:
        return Mutation("delete", live.id, None, False, commit, headers)
    if change.action in (Action.CREATE, Action.UPDATE) and _differs(work, live, run):
        return Mutation("update", live.id, ports.put_body(change, live), live.enabled, commit, headers)
    return Mutation("toggle", live.id, None, not live.enabled, commit, headers)


# ------------------------------------------------------------------------------------------- reading, sending


def _read_list(works: Sequence[_Work], run: _Run) -> Mapping[str, LivePolicy | None]:
    """One list for all of *works*; raise when it cannot decide what is absent or holds one id twice."""
    listed = run.listed
    if listed is None or not _may_serve(listed, works, run):
        listed = _fetch_listing(run)
    seen = {work.change.key: _find(work, listed) for work in works}
    for work in works:
        work.seen_at = listed.began
    return seen


def _may_serve(listed: _Listed, works: Sequence[_Work], run: _Run) -> bool:
    """Whether a list that was read already is young enough, and younger than all that is known of *works*.

    What it was asked for after: their last look, the reply to their last request, the end of their wait after doubt.
    """
    if run.ports.clock.monotonic() > listed.came + _SHARED:
        return False
    known = ((work.seen_at, max(work.sent_at, work.quiet_until or 0.0)) for work in works)
    return all(seen_at < listed.began >= quiet_at for seen_at, quiet_at in known)


def _fetch_listing(run: _Run) -> _Listed:
    began = run.ports.clock.monotonic()
    listing = _ask(run.ports.spread, run.ports.provider.fetch_listing)
    came = run.ports.clock.monotonic()
    by_id: dict[str, list[LivePolicy]] = {}
    by_key: dict[str, list[LivePolicy]] = {}
    for live in listing.policies:
        by_id.setdefault(live.id, []).append(live)
        by_key.setdefault(live.natural_key, []).append(live)
    listed = _Listed(listing, began, came, by_id, by_key)
    run.keep(listed)
    return listed


def _ask(spread: Spread, question: Callable[[], T]) -> T:
    """Ask from one of the places, so that no more requests are under way than may be."""
    answers: list[T] = []
    spread([lambda: answers.append(question())])
    return answers[0]


def _find(work: _Work, listed: _Listed) -> LivePolicy | None:
    change, listing = work.change, listed.listing
    if change.kind is Kind.SETTINGS:
        mode = (listing.mode or "monitoring").lower()
        return LivePolicy(change.key, change.key, {change.key: mode}, True, {})
    wanted_id = work.policy_id or (work.last.id if work.last is not None else None)
    if wanted_id is not None:
        found = listed.by_id.get(wanted_id, ())
    else:
        names = {change.key, change.desired.name if change.desired is not None else change.key}
        found = [live for name in names for live in listed.by_key.get(name, ())]
    if len(found) > 1:
        raise LiveError(
            f"the list holds {len(found)} policies for {change.key}",
            where=change.key,
            fix="remove the double by hand; reconciler never deletes one of two",
        )
    if not found and not listing.complete:
        raise LiveError(
            f"{change.key} is not in a list that may be cut off ({listing.reason})",
            where=change.key,
            fix="give the list a total, or make it shorter",
        )
    return found[0] if found else None


def _read_one(works: Sequence[_Work], run: _Run) -> Mapping[str, LivePolicy | None]:
    """Each policy by its own GET. A 404 is a hint only (reliability.md A4): the list decides."""
    seen: dict[str, LivePolicy | None] = {}
    for work in works:
        assert work.policy_id is not None  # noqa: S101 - updates and toggles have an id from the list
        began = run.ports.clock.monotonic()
        live = run.ports.provider.fetch_one(work.policy_id)
        seen[work.change.key] = live if live is not None else _find(work, _fetch_listing(run))
        work.seen_at = began
    return seen


def _send_all(sends: Sequence[tuple[_Work, Mutation]], run: _Run) -> None:
    """Put the intents on disk, then send, several at a time; no two requests of one policy are ever under way."""
    if not sends:
        return
    try:
        run.ports.journal.append(
            {
                "event": "intent",
                "key": work.change.key,
                "id": mutation.id,
                "operation": mutation.operation,
                "commit": mutation.commit,
                "from": None if work.live is None else work.live.enabled,
                "to": mutation.enabled,
            }
            for work, mutation in sends
        )
    except ReconcilerError as error:
        run.stop(error.what, error.exit)
        return
    run.ports.spread([partial(_send, send, run) for send in sends])


def _send(send: tuple[_Work, Mutation], run: _Run) -> None:
    work, mutation = send
    # Something on the way may have doubled what was sent before, so the replies do not say how many entries are ours.
    if work.doubted or work.raced or (work.reached and work.attempts[mutation.operation]):
        entries = run.ports.entries(work.change, work.live)
        work.own_before = None if entries is None else entries[0]
    else:
        work.own_before = work.confirmed
    clock = run.ports.clock
    # A machine that slept, a long queue, a lock that was slow to renew: what was read is too old, and is read again.
    if not run.may_send() or clock.monotonic() > work.seen_at + 2 * run.settings.deadline:
        return
    receipt = run.ports.provider.send(mutation)
    now = clock.monotonic()
    work.last, work.last_operation, work.sent_at = receipt, mutation.operation, now
    work.attempts[mutation.operation] += 1
    work.quiet_until = None
    run.sent_at = now
    if mutation.operation in ("create", "update"):
        work.stored = receipt.stored
    if receipt.id is not None and work.policy_id is None:
        work.policy_id = receipt.id
    if receipt.fate is Fate.NOT_SENT and receipt.retry_after is not None:
        work.attempts[mutation.operation] -= 1  # the server has asked for nothing but patience
        work.quiet_until = now + receipt.retry_after
        return
    if receipt.fate is Fate.NOT_SENT:
        work.quiet_until = now + 2.0 ** (work.attempts[mutation.operation] - 1)
        return
    work.calls += 1
    if receipt.fate is Fate.REJECTED:
        if receipt.status == 401 and not receipt.renewed:
            run.stop("401: the server no longer takes the token", ExitCode.ERROR)
        elif receipt.status == 429:
            own_pause = 2.0 ** work.attempts[mutation.operation]
            work.quiet_until = now + (own_pause if receipt.retry_after is None else receipt.retry_after)
        return
    work.reached += 1
    work.raced = work.raced or receipt.fate is Fate.APPLIED_OTHER
    if receipt.fate is Fate.AMBIGUOUS:
        work.doubted = True
        work.quiet_until = now + run.settings.quiescence
    else:
        work.confirmed += 1


# ------------------------------------------------------------------------------------------------- results


def _outcome(work: _Work, run: _Run) -> Outcome:
    commit = work.change.commit.sha if work.change.commit is not None else None
    if work.status is None:
        _leave(work, run)
    assert work.status is not None  # noqa: S101 - set just above
    return Outcome(work.change.key, work.change.action, work.status, commit, None, work.error, work.calls)


def _result(work: _Work, run: _Run) -> Result:
    outcome = _outcome(work, run)
    return Result(
        change=work.change,
        outcome=outcome,
        live=work.live,
        stale=work.stale,
        sent=work.calls,
        doubt=outcome.status is Status.UNKNOWN,
        confirmed=work.last is not None and work.last.fate is Fate.APPLIED,
        exit=work.exit,
        kept=_kept(work, run),
    )


def _kept(work: _Work, run: _Run) -> Sequence[str]:
    if work.stored is None or work.live is None or work.status is not Status.APPLIED:
        return ()
    return run.ports.differs(work.change, work.live)
