"""The lock against real repositories; only time is made up."""

from __future__ import annotations

import json
import multiprocessing
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from reconciler.core.ports import RefUpdate
from reconciler.errors import ExitCode, GitError, LockedError, UnreachableError
from reconciler.ledger import ledger_ref
from reconciler.lock import Lock, acquire, least_ttl, lock_ref, read_lock, unlock
from reconciler.sources.git import Repository, open_repository
from tests.support.clocks import CountingRandom, FakeClock
from tests.support.repos import ENVIRONMENT, clone, make_repo

REF = lock_ref("neosc")
LEDGER = ledger_ref("neosc")
AT = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _own_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)


class Place:
    """One lock and several contenders: each a clone with a remote, or all the one repository without."""

    def __init__(self, tmp_path: Path, *, remote: bool) -> None:
        self.repo = make_repo(tmp_path / "home", {"a.yaml": "1"}, remote=remote)
        self.remote = "origin" if remote else None
        self._folder = tmp_path
        self.clock = FakeClock()
        self._count = 0

    def store(self) -> Repository:
        self._count += 1
        if self.remote is None:
            return open_repository(self.repo.path)
        return open_repository(clone(self.repo, self._folder / f"clone-{self._count}").path)

    def take(self, holder: str = "ana@laptop", store: Repository | None = None, timeout: float = 0) -> Lock:
        self._count += 1
        random = CountingRandom(self._count * 1000)
        return acquire(
            store or self.store(),
            self.remote,
            "neosc",
            holder=holder,
            ttl=120,
            clock=self.clock,
            random=random,
            deadline=10,
            timeout=timeout,
        )

    def refs(self) -> dict[str, str]:
        if self.remote is not None:
            return self.repo.remote_refs()
        lines = self.repo.git("for-each-ref", "--format=%(refname) %(objectname)", "refs/reconciler").splitlines()
        return {line.split(" ")[0]: line.split(" ")[1] for line in lines}


@pytest.fixture(params=["remote", "local"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    return Place(tmp_path, remote=request.param == "remote")


@pytest.fixture
def far(tmp_path: Path) -> Place:
    return Place(tmp_path, remote=True)


# ----------------------------------------------------------------------------------------------- the form


def test_a_lock_is_a_commit_without_parent_on_the_empty_tree_with_one_json_object(place: Place) -> None:
    store = place.store()

    lock = place.take("https://ci.example.invalid/runs/7", store)

    git = open_repository(store.folder)
    assert place.refs() == {REF: lock.sha}
    assert json.loads(git.read_message(lock.sha or "") or "") == {
        "holder": "https://ci.example.invalid/runs/7",
        "acquired": "2026-11-20T09:00:00.000000Z",
        "ttl": 120,
        "nonce": lock.nonce,
    }
    assert git.read_tree(lock.sha or "") == ()
    assert len(git.read_chain(lock.sha or "")) == 1
    assert len(lock.nonce) == 32


def test_a_lock_lives_long_enough_for_a_lost_request_to_take_effect() -> None:
    assert [least_ttl(60, 10), least_ttl(300, 10)] == [100, 340]


# -------------------------------------------------------------------------------------- taken and released


def test_a_second_run_is_refused_at_once_and_told_who_holds_it(place: Place) -> None:
    lock = place.take("ana@laptop")
    place.clock.sleep(65)
    place.clock.slept.clear()

    with pytest.raises(LockedError) as caught:
        place.take("bob@desk")

    assert caught.value.exit is ExitCode.TRY_AGAIN
    assert "ana@laptop" in caught.value.what
    assert "65 s" in caught.value.what
    assert lock.nonce in caught.value.fix
    assert place.clock.slept == []
    assert place.refs() == {REF: lock.sha}


def test_a_released_lock_can_be_taken(place: Place) -> None:
    first = place.take("ana@laptop")

    assert first.release()
    second = place.take("bob@desk")

    assert place.refs() == {REF: second.sha}
    assert not first.release()
    assert not first.still_ours()
    assert not first.renew()
    assert place.refs() == {REF: second.sha}


def test_who_may_wait_gets_the_lock_when_it_is_released(place: Place) -> None:
    first = place.take("ana@laptop")
    place.clock.on_sleep = lambda: first.release() if place.clock.passed >= 20 else None

    second = place.take("bob@desk", timeout=60)

    assert place.refs() == {REF: second.sha}
    assert 20 <= place.clock.passed < 30


def test_who_waits_too_long_is_refused(place: Place) -> None:
    place.take("ana@laptop")

    with pytest.raises(LockedError, match="ana@laptop"):
        place.take("bob@desk", timeout=42)

    assert place.clock.passed == 42


def test_a_holders_name_cannot_forge_the_terminal(place: Place) -> None:
    place.take("ana\x1b[2J\u202e\r\nok" + "x" * 500)

    with pytest.raises(LockedError) as caught:
        place.take()

    assert caught.value.what.isprintable()
    assert len(caught.value.what) < 300


# --------------------------------------------------------------------------------------- expiry, take-over


def test_a_dead_holders_lock_is_taken_over_after_its_time_and_a_watch(place: Place) -> None:
    dead = place.take("dead@ci")
    place.clock.sleep(121)
    began = place.clock.passed

    lock = place.take("bob@desk")

    assert place.clock.passed - began == pytest.approx(120 / 3 + 10)
    assert place.refs() == {REF: lock.sha}
    assert not dead.still_ours()
    assert not dead.release()
    assert place.refs() == {REF: lock.sha}


def test_a_lock_that_only_our_clock_thinks_over_is_not_taken(place: Place) -> None:
    # The holder lives and renews every third of its time; our clock is a day ahead.
    alive = place.take("ana@laptop")
    ahead = FakeClock(place.clock.start + timedelta(days=1))

    def meanwhile() -> None:
        place.clock.passed = ahead.passed
        alive.keep(10)

    ahead.on_sleep = meanwhile
    taker = place.store()

    with pytest.raises(LockedError, match="ana@laptop"):
        acquire(taker, place.remote, "neosc", holder="bob", ttl=120, clock=ahead, random=CountingRandom(), deadline=10)

    assert alive.still_ours()
    assert place.refs() == {REF: alive.sha}


def test_a_clock_that_jumps_while_watching_does_not_shorten_the_watch(place: Place) -> None:
    place.take("dead@ci")
    place.clock.sleep(121)
    began = place.clock.passed

    def jump() -> None:
        place.clock.skew += 86_400

    place.clock.on_sleep = jump
    place.take("bob@desk")

    assert place.clock.passed - began == pytest.approx(50)


def test_a_lock_that_is_released_while_watched_is_taken_at_once(place: Place) -> None:
    slow = place.take("slow@ci")
    place.clock.sleep(121)
    place.clock.on_sleep = lambda: slow.release()

    lock = place.take("bob@desk")

    assert place.refs() == {REF: lock.sha}
    assert place.clock.passed < 130


def test_two_that_watched_the_same_dead_lock_do_not_both_get_it(place: Place) -> None:
    place.take("dead@ci")
    place.clock.sleep(121)
    first, second = place.store(), place.store()
    quick: list[Lock] = []

    def overtake() -> None:
        if place.clock.passed >= 121 + 45 and not quick:
            place.clock.on_sleep = lambda: None
            quick.append(place.take("quick@ci", second))

    place.clock.on_sleep = overtake
    with pytest.raises(LockedError, match="quick@ci"):
        place.take("bob@desk", first)

    assert place.refs() == {REF: quick[0].sha}


@pytest.mark.parametrize(
    "message",
    [
        "",
        "not json",
        "[]",
        '{"holder": "x"}',
        '{"holder": "x", "acquired": "2020-01-01T00:00:00Z", "ttl": 1e12, "nonce": "a"}',
        '{"holder": "x", "acquired": "2020-01-01T00:00:00Z", "ttl": NaN, "nonce": "a"}',
        '{"holder": "x", "acquired": "2020-01-01T00:00:00Z", "ttl": true, "nonce": "a"}',
        '{"holder": "x", "acquired": "2020-01-01T00:00:00", "ttl": 60, "nonce": "a"}',
        '{"holder": "x", "acquired": "9999-12-31T23:59:59Z", "ttl": 60, "nonce": "a"}',
        '{"holder": "x", "acquired": "2020-01-01T00:00:00Z", "ttl": 60, "nonce": "a; rm -rf /"}',
        "[" * 50_000,
    ],
)
def test_a_lock_that_cannot_be_read_is_held_and_never_expires_by_itself(place: Place, message: str) -> None:
    store = place.store()
    sha = store.write_commit(None, {}, message, AT)
    if place.remote:
        store.push(place.remote, [RefUpdate(REF, sha, None)])
    else:
        store.update_ref(REF, sha, None)

    with pytest.raises(LockedError) as caught:
        place.take()

    assert sha in caught.value.fix
    assert unlock(place.store(), place.remote, "neosc", sha).sha == sha
    assert place.refs() == {}


# ------------------------------------------------------------------------------------------------ renewal


def test_a_renewed_lock_is_ours_for_its_whole_time_again(place: Place) -> None:
    lock = place.take()
    first = lock.sha
    place.clock.sleep(100)
    assert lock.remaining == 20

    assert lock.renew()

    assert lock.remaining == 120
    assert lock.sha != first
    assert place.refs() == {REF: lock.sha}
    held = read_lock(place.store(), place.remote, "neosc")
    assert held is not None
    assert (held.nonce, held.acquired) == (lock.nonce, place.clock.now())


def test_a_lock_renewed_twice_at_one_instant_is_two_objects(place: Place) -> None:
    lock = place.take()
    seen = {lock.sha}

    for _ in range(3):
        assert lock.renew()
        seen.add(lock.sha)

    assert len(seen) == 4


def test_keeping_renews_only_when_a_third_of_the_time_is_gone(place: Place) -> None:
    lock = place.take()
    first = lock.sha
    place.clock.sleep(39)
    assert lock.keep(10)
    assert lock.sha == first

    place.clock.sleep(1)
    assert lock.keep(10)

    assert lock.sha != first
    assert lock.remaining == 120


def test_a_lock_taken_by_another_is_lost_for_good(place: Place) -> None:
    lock = place.take("ana@laptop")
    thief = place.store()
    unlock(thief, place.remote, "neosc", lock.nonce)
    other = place.take("bob@desk", thief)
    place.clock.sleep(50)

    assert not lock.keep(10)
    assert lock.sha is None
    assert lock.remaining == 0
    assert place.refs() == {REF: other.sha}


def test_a_lock_whose_time_is_over_is_not_ours_even_if_nobody_took_it(place: Place) -> None:
    lock = place.take()
    place.clock.sleep(121)

    assert not lock.still_ours()


def test_a_remote_that_is_away_for_a_while_loses_no_lock(far: Place) -> None:
    store = far.store()
    lock = far.take("ana@laptop", store)
    bare = far.repo.remote
    assert bare is not None
    bare.rename(bare.with_suffix(".away"))
    far.clock.sleep(60)

    assert lock.keep(10)
    with pytest.raises(UnreachableError):
        lock.renew()
    far.clock.sleep(55)
    assert not lock.keep(10), "5 seconds are too few for another request"
    bare.with_suffix(".away").rename(bare)
    far.clock.sleep(1)

    assert lock.renew()


def test_a_renewal_whose_reply_was_lost_is_known_again_by_its_nonce(far: Place) -> None:
    store = far.store()
    lock = far.take("ana@laptop", store)
    later = far.clock.now() + timedelta(seconds=1)
    message = {"holder": "ana@laptop", "acquired": later.isoformat(), "ttl": 120, "nonce": lock.nonce}
    arrived = store.write_commit(None, {}, json.dumps(message), later)
    store.push("origin", [RefUpdate(REF, arrived, lock.sha)])

    assert lock.still_ours()
    assert lock.renew()
    assert far.refs() == {REF: lock.sha}


# ------------------------------------------------------------------------------------------------ recording


def _ledger_commit(store: Repository, text: bytes = b"1", parent: str | None = None) -> str:
    return store.write_commit(parent, {"run.json": text}, "x\n", AT)


def test_recording_moves_the_ledger_and_releases_the_lock_together(place: Place) -> None:
    store = place.store()
    lock = place.take(store=store)
    sha = _ledger_commit(store)

    lock.record(RefUpdate(LEDGER, sha, None))

    assert place.refs() == {LEDGER: sha}
    assert store.read_ref(LEDGER) == sha
    assert lock.sha is None


def test_recording_may_keep_the_lock_and_then_renews_it(place: Place) -> None:
    store = place.store()
    lock = place.take(store=store)
    place.clock.sleep(30)
    sha = _ledger_commit(store)

    lock.record(RefUpdate(LEDGER, sha, None), keep=True)

    assert place.refs() == {LEDGER: sha, REF: lock.sha}
    assert lock.remaining == 120


def test_who_lost_the_lock_records_nothing(place: Place) -> None:
    store = place.store()
    lock = place.take("ana@laptop", store)
    unlock(place.store(), place.remote, "neosc", lock.nonce)
    other = place.take("bob@desk")

    with pytest.raises(LockedError, match="lost"):
        lock.record(RefUpdate(LEDGER, _ledger_commit(store), None))

    assert place.refs() == {REF: other.sha}


def test_who_lost_the_lock_keeps_the_record_here_for_the_next_run(far: Place) -> None:
    store = far.store()
    lock = far.take("ana@laptop", store)
    unlock(far.store(), "origin", "neosc", lock.nonce)
    sha = _ledger_commit(store)

    with pytest.raises(LockedError):
        lock.record(RefUpdate(LEDGER, sha, None))

    assert store.read_ref(LEDGER) == sha
    assert far.refs() == {}


def test_a_remote_that_is_gone_when_recording_keeps_the_record_here(far: Place) -> None:
    store = far.store()
    lock = far.take(store=store)
    sha = _ledger_commit(store)
    assert far.repo.remote is not None
    shutil.rmtree(far.repo.remote)

    with pytest.raises(UnreachableError):
        lock.record(RefUpdate(LEDGER, sha, None))

    assert store.read_ref(LEDGER) == sha


def test_a_ledger_moved_by_somebody_without_the_lock_is_not_overwritten(far: Place) -> None:
    store = far.store()
    lock = far.take(store=store)
    intruder = far.store()
    theirs = _ledger_commit(intruder, b"theirs")
    intruder.push("origin", [RefUpdate(LEDGER, theirs, None)])

    with pytest.raises(GitError, match="did not hold the lock"):
        lock.record(RefUpdate(LEDGER, _ledger_commit(store), None))

    assert far.refs() == {LEDGER: theirs, REF: lock.sha}
    assert lock.release()


def test_a_host_that_refuses_the_lock_says_what_to_allow(far: Place) -> None:
    assert far.repo.remote is not None
    hook = far.repo.remote / "hooks" / "pre-receive"
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)

    with pytest.raises(GitError, match="refuses the lock") as caught:
        far.take()

    assert "refs/reconciler/*" in caught.value.fix


def test_a_remote_that_is_gone_gives_no_lock(far: Place) -> None:
    store = far.store()
    assert far.repo.remote is not None
    shutil.rmtree(far.repo.remote)

    with pytest.raises(UnreachableError) as caught:
        far.take(store=store)

    assert caught.value.exit is ExitCode.TRY_AGAIN


# -------------------------------------------------------------------------------------------------- unlock


def test_unlock_takes_the_nonce_of_the_lock_that_is_meant(place: Place) -> None:
    lock = place.take("ana@laptop")

    with pytest.raises(GitError, match="another nonce"):
        unlock(place.store(), place.remote, "neosc", "0" * 32)
    assert place.refs() == {REF: lock.sha}
    assert unlock(place.store(), place.remote, "neosc", lock.nonce).name == "ana@laptop"

    assert place.refs() == {}
    with pytest.raises(GitError, match="not locked") as caught:
        unlock(place.store(), place.remote, "neosc", lock.nonce)
    assert caught.value.exit is ExitCode.ERROR
    assert read_lock(place.store(), place.remote, "neosc") is None


# ------------------------------------------------------------------------------------------------ contenders


def test_of_several_contenders_exactly_one_wins_every_round(place: Place) -> None:
    stores = [place.store() for _ in range(3)]
    for round_ in range(12):
        gate = threading.Barrier(len(stores))

        def contend(number: int, round_: int = round_, gate: threading.Barrier = gate) -> Lock | None:
            gate.wait()
            try:
                return acquire(
                    stores[number],
                    place.remote,
                    "neosc",
                    holder="same@host",
                    ttl=120,
                    clock=place.clock,
                    random=CountingRandom(round_ * 100 + number * 10 + 1),
                    deadline=10,
                )
            except LockedError:
                return None

        with ThreadPoolExecutor(len(stores)) as pool:
            won = [lock for lock in pool.map(contend, range(len(stores))) if lock is not None]

        assert len(won) == 1
        assert place.refs() == {REF: won[0].sha}
        assert won[0].release()


def _contend(folder: Path, remote: str | None, number: int, rounds: int) -> int:
    """In a process of its own: take the lock, count, give it back; whoever finds the count moved was not alone."""
    from reconciler.clock import SystemClock, SystemRandom

    store = open_repository(folder)
    counter = folder.parent / "counter"
    for _ in range(rounds):
        lock = acquire(
            store,
            remote,
            "neosc",
            holder=f"process-{number}",
            ttl=120,
            clock=_Impatient(SystemClock()),
            random=SystemRandom(),
            deadline=10,
            timeout=120,
        )
        before = int(counter.read_text())
        store.head()
        counter.write_text(str(before + 1))
        assert lock.release()
    return rounds


class _Impatient:
    """The real clock, but nobody sleeps more than a moment: more contention in less time."""

    def __init__(self, clock: object) -> None:
        self._clock = clock

    def now(self) -> datetime:
        return self._clock.now()  # type: ignore[attr-defined, no-any-return]

    def monotonic(self) -> float:
        return self._clock.monotonic()  # type: ignore[attr-defined, no-any-return]

    def sleep(self, seconds: float) -> None:
        self._clock.sleep(min(seconds, 0.02))  # type: ignore[attr-defined]


def test_processes_that_wait_for_each_other_are_never_two_at_once(place: Place) -> None:
    counter = (place.repo.path.parent if place.remote is None else place.store().folder.parent) / "counter"
    counter.write_text("0")
    folders = [place.store().folder for _ in range(2)]

    with multiprocessing.get_context("spawn").Pool(2) as pool:
        done = pool.starmap(_contend, [(folder, place.remote, n, 4) for n, folder in enumerate(folders)])
        pool.close()
        pool.join()

    assert int(counter.read_text()) == sum(done) == 8
    assert place.refs() == {}
