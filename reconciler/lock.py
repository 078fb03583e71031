"""One run at a time per target: a lease in a git ref, with no new infrastructure (design.md 6, reliability.md 6).

`refs/reconciler/lock/<target>` points at a commit without parent on the empty tree; its message is one JSON object.
Every move of the ref is a compare-and-swap on the exact old object, and the nonce makes every object one's own: two
contenders who push equal bytes would both be told "up to date". Without a remote the local ref is the lock.
"""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from reconciler.core.ports import Clock, GitStore, PushResult, PushStatus, Random, RefUpdate
from reconciler.errors import GitError, LockedError, UnreachableError

#: The longest life a target's settings can ask for, and some; a lock that claims more is not one of ours.
MAX_TTL = 100_000.0
#: Seconds between two looks at a lock that is waited for.
POLL = 5.0
#: Tries to read a lock that moves while it is read, or to take one that others take and leave.
_TRIES = 20


@dataclass(frozen=True, slots=True)
class Holder:
    """What a lock says of itself. Its text is somebody else's: `name` is cleaned and cut."""

    sha: str
    name: str
    acquired: datetime
    ttl: float
    nonce: str

    def age(self, now: datetime) -> float:
        return (now - self.acquired).total_seconds()

    def is_past(self, now: datetime) -> bool:
        """Whether its time is over by our clock. Not enough to take it: see `acquire`."""
        return now > self.acquired + timedelta(seconds=self.ttl)


def lock_ref(target: str) -> str:
    """The ref of a target's lock."""
    return f"refs/reconciler/lock/{target}"


def least_ttl(quiescence: float, deadline: float) -> float:
    """The shortest life a lock may have: a request of a dead holder must have taken effect before it ends.

    >>> least_ttl(60, 10)
    100.0
    """
    return quiescence + deadline + 30.0


def acquire(
    store: GitStore,
    remote: str | None,
    target: str,
    *,
    holder: str,
    ttl: float,
    clock: Clock,
    random: Random,
    deadline: float,
    timeout: float = 0.0,
) -> Lock:
    """Take the target's lock, or raise `LockedError` that names who has it.

    A lock that is held is waited for up to *timeout* seconds. One whose time is over by our clock is watched for a
    renewal interval (its ttl/3 + *deadline*) first, timeout or not: only if it does not change meanwhile is its holder
    dead, and not just ahead of our clock. It is then taken over from exactly the object that was watched.
    """
    refs = _Refs(store, remote, lock_ref(target))
    until = clock.monotonic() + timeout
    watched: tuple[str, float] | None = None
    contended = False
    for _ in range(_TRIES):
        tip = refs.read()
        while tip is not None:
            contended = True
            seen = _read_holder(store, tip, target)
            now = clock.monotonic()
            if seen.is_past(clock.now()):
                if watched is not None and watched[0] != tip and now >= until:
                    raise _held(seen, target, clock.now())  # renewed while we watched: alive, with a slow clock
                if watched is None or watched[0] != tip:
                    watched = (tip, now)
                left = watched[1] + seen.ttl / 3 + deadline - now
                if left <= 0:
                    break
            else:
                watched = None
                left = until - now
                if left <= 0:
                    raise _held(seen, target, clock.now())
            clock.sleep(min(POLL, left))
            tip = refs.read()
        started = clock.monotonic()
        nonce = random.nonce()
        sha = _write(store, holder, ttl, nonce, clock.now())
        result = refs.move(RefUpdate(refs.ref, sha, tip))
        if result.status is PushStatus.DONE:
            return Lock(refs, target, holder, ttl, nonce, sha, started, clock, contended=contended)
        if result.status is PushStatus.REFUSED:
            raise _refused(refs, result.detail)
        contended = True
    raise LockedError(
        f"the lock of {target} changes hands too fast to be taken", where=refs.ref, fix="try again in a moment"
    )


def read_lock(store: GitStore, remote: str | None, target: str) -> Holder | None:
    """Who holds the target's lock now; None when nobody does."""
    tip = _Refs(store, remote, lock_ref(target)).read()
    return None if tip is None else _read_holder(store, tip, target)


def unlock(store: GitStore, remote: str | None, target: str, nonce: str) -> Holder:
    """Remove the lock that has this nonce, and say whose it was; any other lock stays.

    A lock that nobody can read is named by its full object id instead.
    """
    refs = _Refs(store, remote, lock_ref(target))
    tip = refs.read()
    if tip is None:
        raise GitError(f"{target} is not locked", where=refs.ref, fix="nothing to do", code="not-locked")
    try:
        seen = _read_holder(store, tip, target)
    except LockedError:
        if nonce != tip:
            raise
        seen = Holder(tip, "unknown", datetime.fromtimestamp(0, UTC), 0.0, tip)
    if nonce not in (seen.nonce, tip):
        raise GitError(
            f"the lock of {target} has another nonce; it is held by {seen.name}",
            where=refs.ref,
            fix=f"check that this run is over, then: reconciler unlock -t {target} --nonce {seen.nonce}",
            code="other-nonce",
        )
    result = refs.move(RefUpdate(refs.ref, None, tip))
    if result.status is PushStatus.REFUSED:
        raise _refused(refs, result.detail)
    if result.status is PushStatus.STALE:
        raise LockedError(f"the lock of {target} moved just now", where=refs.ref, fix="look again who holds it")
    return seen


class Lock:
    """A lock we hold. Safe to use from several threads; once lost it stays lost.

    `contended`: somebody else had it while we asked, and may have changed the target.
    """

    def __init__(
        self,
        refs: _Refs,
        target: str,
        holder: str,
        ttl: float,
        nonce: str,
        sha: str,
        started: float,
        clock: Clock,
        *,
        contended: bool = False,
    ) -> None:
        self.target, self.holder, self.ttl, self.nonce = target, holder, ttl, nonce
        self.contended = contended
        self._refs, self._clock = refs, clock
        self._sha: str | None = sha
        self._started = started
        self._written = clock.now()
        self._ask_again = started
        self._guard = threading.RLock()

    @property
    def sha(self) -> str | None:
        """The object the ref points at while the lock is ours; None once released or lost."""
        return self._sha

    @property
    def remaining(self) -> float:
        """Seconds left by the clock that never goes back, counted from before the lock was asked for."""
        return self._started + self.ttl - self._clock.monotonic() if self._sha else 0.0

    def still_ours(self) -> bool:
        """Ask where the lock lives. False also once its time is over: others may be taking it."""
        with self._guard:
            return self._confirm() and self.remaining > 0

    def keep(self, needed: float) -> bool:
        """Whether the lock is ours for *needed* more seconds; renewed when a third of its time is gone.

        A remote that cannot be reached is no loss while time is left; it is asked again after a tenth of that time.
        """
        with self._guard:
            now = self._clock.monotonic()
            if self._sha is not None and self.remaining <= self.ttl * 2 / 3 and now >= self._ask_again:
                self._ask_again = now + self.ttl / 10
                with contextlib.suppress(UnreachableError):
                    self.renew()
            return self.remaining >= needed

    def renew(self) -> bool:
        """Start the lock's time anew; False when it is no longer ours. Raises `UnreachableError`."""
        with self._guard:
            for _ in range(2):
                if self._sha is None:
                    return False
                started = self._clock.monotonic()
                sha = self._next()
                result = self._refs.move(RefUpdate(self._refs.ref, sha, self._sha))
                if result.status is PushStatus.DONE:
                    self._sha, self._started, self._ask_again = sha, started, started
                    return True
                self._confirm()
            return False

    def release(self) -> bool:
        """Give the lock back; False when it was no longer ours, which harms nobody."""
        with self._guard:
            if self._sha is None:
                return False
            result = self._refs.move(RefUpdate(self._refs.ref, None, self._sha))
            self._sha = None
            return result.status is PushStatus.DONE

    def record(self, update: RefUpdate, *, remote_old: str | None = None, keep: bool = False) -> None:
        """Move the ledger ref and the lock together, so that recording succeeds only while the lock is ours.

        *update* is the local move. With a remote the local ref moves first, and stays moved whatever comes then: the
        next run pushes it. Then one atomic push takes the remote's ledger from *remote_old* and releases the lock, or
        renews it (*keep*). Without a remote it is one local transaction. Raises `LockedError` when the lock is lost,
        `GitError` when the host refuses, `UnreachableError` when it cannot be told.
        """
        with self._guard:
            refs = self._refs
            if self._sha is None:
                self._keep_local(update)
                raise self._lost()
            started = self._clock.monotonic()
            sha = self._next() if keep else None
            mine = RefUpdate(refs.ref, sha, self._sha)
            if refs.remote is None:
                result = refs.move_all([update, mine])
            else:
                self._keep_local(update)
                result = refs.move_all([RefUpdate(update.ref, update.new, remote_old), mine])
            if result.status is PushStatus.REFUSED:
                raise _refused(refs, result.detail)
            if result.status is PushStatus.STALE:
                if self._confirm():
                    raise GitError(
                        f"the ledger of {self.target} was moved by somebody who did not hold the lock",
                        where=update.ref,
                        fix="plan again, and find out who pushed it",
                    )
                raise self._lost()
            self._sha, self._started = sha, started

    def _keep_local(self, update: RefUpdate) -> None:
        if self._refs.remote is not None and not self._refs.store.update_refs([update]):
            raise GitError(
                "the ledger moved here while this run held the lock", where=update.ref, fix="plan and apply again"
            )

    def _next(self) -> str:
        # Never the same bytes twice: a push of what is there already is told "up to date" whoever put it there.
        self._written = max(self._clock.now(), self._written + timedelta(microseconds=1))
        return _write(self._refs.store, self.holder, self.ttl, self.nonce, self._written)

    def _confirm(self) -> bool:
        """Whether the ref holds our lock. A renewal whose reply was lost is known again by its nonce."""
        tip = self._refs.read()
        if self._sha is not None and tip != self._sha:
            try:
                ours = tip is not None and _read_holder(self._refs.store, tip, self.target).nonce == self.nonce
            except LockedError:
                ours = False
            self._sha = tip if ours else None
        return self._sha is not None

    def _lost(self) -> LockedError:
        return LockedError(
            f"the lock of {self.target} was lost during the run, so the remote ledger was not moved",
            where=self._refs.ref,
            fix="plan again: another run may have applied since",
        )


@dataclass(frozen=True, slots=True)
class _Refs:
    """Where the lock lives: on the remote, or here when there is none."""

    store: GitStore
    remote: str | None
    ref: str

    def read(self) -> str | None:
        """The object the lock's ref points at, present here."""
        for _ in range(_TRIES):
            if self.remote is None:
                return self.store.read_ref(self.ref)
            sha = self.store.list_remote(self.remote, self.ref).get(self.ref)
            if sha is None or self.store.has_commit(sha):
                return sha
            try:
                self.store.fetch_objects(self.remote, [self.ref])
            except UnreachableError:
                # Released in between, or really unreachable: the next look tells.
                continue
            if self.store.has_commit(sha):
                return sha
        raise UnreachableError("the lock moves faster than it can be read", where=self.ref, fix="try again in a moment")

    def move(self, update: RefUpdate) -> PushResult:
        return self.move_all([update])

    def move_all(self, updates: Sequence[RefUpdate]) -> PushResult:
        if self.remote is not None:
            return self.store.push(self.remote, updates)
        return PushResult(PushStatus.DONE if self.store.update_refs(updates) else PushStatus.STALE)


def _write(store: GitStore, holder: str, ttl: float, nonce: str, now: datetime) -> str:
    acquired = now.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    message = json.dumps({"holder": holder, "acquired": acquired, "ttl": ttl, "nonce": nonce}, ensure_ascii=True)
    return store.write_commit(None, {}, message + "\n", now)


def _read_holder(store: GitStore, sha: str, target: str) -> Holder:
    """Parse a lock, which may be anybody's writing. One that cannot be read is held, and never expires by itself."""
    text = store.read_message(sha)
    try:
        value = json.loads(text or "")
        name, ttl, nonce = value["holder"], value["ttl"], value["nonce"]
        acquired = datetime.fromisoformat(value["acquired"])
        if not (isinstance(name, str) and isinstance(nonce, str) and nonce.isalnum() and nonce.isascii()):
            raise ValueError("holder and nonce must be text")
        if isinstance(ttl, bool) or not isinstance(ttl, int | float) or not 0 < ttl <= MAX_TTL:
            raise ValueError("ttl is out of range")
        if acquired.tzinfo is None:
            raise ValueError("acquired has no zone")
        acquired.astimezone(UTC) + timedelta(seconds=ttl)
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
        raise LockedError(
            f"{target} is locked, and the lock cannot be read",
            where=lock_ref(target),
            fix=f"find out who wrote {sha}, then: reconciler unlock -t {target} --nonce {sha}",
        ) from error
    shown = "".join(char if char.isprintable() else "?" for char in name)[:200]
    return Holder(sha, shown, acquired, float(ttl), nonce[:128])


def _held(seen: Holder, target: str, now: datetime) -> LockedError:
    age = seen.age(now)
    return LockedError(
        f"{target} is locked by {seen.name}, for {_duration(age)} now",
        where=lock_ref(target),
        fix=f"wait (at most {_duration(seen.ttl - age)} if that run is dead; --lock-timeout waits), or make sure it is "
        f"dead, then: reconciler unlock -t {target} --nonce {seen.nonce}",
    )


def _duration(seconds: float) -> str:
    whole = max(0, round(seconds))
    return f"{whole} s" if whole < 120 else f"{whole // 60} min" if whole < 7200 else f"{whole // 3600} h"


def _refused(refs: _Refs, detail: str) -> GitError:
    return GitError(
        f"{refs.remote or 'the repository'} refuses the lock: {detail}",
        where=refs.ref,
        fix="allow this account to push refs/reconciler/* (contents: write; no rule on that namespace)",
    )
