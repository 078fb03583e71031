"""Plan, lock, execute, prove, record: one run for one target.

Nothing is sent before every reason against it has been looked at; nothing is recorded that was not read back.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path

from reconciler import __version__
from reconciler.config import FILE_NAME, OVERRIDES_NAME, choose_targets, holder_name
from reconciler.core.annotation import make_headers
from reconciler.core.diff import FieldDiff, diff_policy, merge_for_put
from reconciler.core.model import Annotation, Body, Change, LivePolicy, Outcome, Plan, Status, Strength, Trail
from reconciler.core.normal import is_no_weaker
from reconciler.core.plan import ledger_after, must_record, order_rank
from reconciler.core.ports import RefUpdate, Spread
from reconciler.core.safe import quoted, safe
from reconciler.errors import ExitCode, LiveError, ReconcilerError, StaleError, UsageError
from reconciler.executor import LANES, JournalPort, Ports, Result, execute
from reconciler.journal import Journal
from reconciler.ledger import RunInfo, ledger_ref, write_ledger
from reconciler.lock import Lock, acquire, least_ttl, unlock
from reconciler.sources.git import open_repository
from reconciler.trail import NO_TRAIL, count_own, new_entries, prove
from reconciler.workers import in_threads
from reconciler.workflows.fitting import require_reviewed, require_same_tree, restrict, stale
from reconciler.workflows.planning import Planned, plan_target, sync_ledger
from reconciler.workflows.session import CONFIG_COMMIT, Session, read_config, read_revision


@dataclass(frozen=True, slots=True)
class Run:
    """A plan with its outcomes (`reconciler.run/1`), and the code the program ends with.

    `ledger` is the ledger's commit after the run, None when there is none. `error` says what went wrong beside the
    changes themselves, such as a ledger that could not be pushed.
    """

    plan: Plan
    outcomes: tuple[Outcome, ...]
    ledger: str | None
    exit: ExitCode
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Machine:
    """What a run needs of its own computer: a journal on disk, threads. A simulation brings its own."""

    open_journal: Callable[[Path], AbstractContextManager[JournalPort]] = Journal
    spread: Callable[[int], Spread] = in_threads


def apply(
    session: Session,
    name: str,
    *,
    saved: Plan | None = None,
    reviewed: Plan | None = None,
    only: Sequence[str] = (),
    confirm: Callable[[Plan], bool],
    lock_timeout: float = 0.0,
    stop: Callable[[], bool] = lambda: False,
    progress: Callable[[Outcome, int, int], None] = lambda outcome, number, total: None,
) -> Run:
    """Make target *name* match the commit at HEAD and record what was done.

    With *saved* exactly that plan is carried out, or `StaleError` is raised; with *reviewed* a plan that weakens no
    more than that one. *confirm* is asked once, and only when there is something to do. Raises before anything was
    sent; after that every end is a `Run`.
    """

    def plan() -> Planned:
        planned = _plan_at_head(session, name, only, saved)
        if reviewed is not None and not _stops_everything(planned.plan):
            require_reviewed(planned.plan, reviewed)
        return planned

    return apply_plan(
        session,
        name,
        plan,
        confirm=confirm,
        lock_timeout=lock_timeout,
        stop=stop,
        progress=progress,
    )


def apply_plan(
    session: Session,
    name: str,
    plan: Callable[[], Planned],
    *,
    confirm: Callable[[Plan], bool],
    lock_timeout: float = 0.0,
    stop: Callable[[], bool] = lambda: False,
    progress: Callable[[Outcome, int, int], None] = lambda outcome, number, total: None,
    machine: Machine = Machine(),
) -> Run:
    """Carry out what *plan* finds to do; it is asked again when another run was at work in between."""
    planned = plan()
    if _stops_everything(planned.plan):
        return _finish(planned, _skip_all(planned), ExitCode.BLOCKED)
    if not planned.plan.changes and not _must_record(planned):
        return _finish(planned, (), ExitCode.BLOCKED if planned.plan.blocked else ExitCode.DONE)
    if planned.plan.changes and not confirm(planned.plan):
        raise ReconcilerError(
            "not confirmed, so nothing was sent",
            where=name,
            fix="type the target's name when asked, or use --yes",
            code="declined",
        )
    lock = acquire(
        planned.repository,
        planned.remote,
        name,
        holder=holder_name(session.environ),
        ttl=least_ttl(planned.settings.quiescence, planned.settings.deadline),
        deadline=planned.settings.deadline,
        timeout=lock_timeout,
        clock=session.clock,
        random=session.random,
    )
    try:
        planned = _again_if_others_were_here(session, planned, plan, lock)
        if _stops_everything(planned.plan):
            run = _finish(planned, _skip_all(planned), ExitCode.BLOCKED)
        else:
            run = _carry_out(session, planned, lock, stop, progress, machine)
    except ReconcilerError:
        # Raised before anything was sent. A bug in the middle keeps the lock: nobody knows what is under way.
        _release(session, lock)
        raise
    if not _is_in_doubt(run):
        _release(session, lock)
    return run


def _release(session: Session, lock: Lock) -> None:
    """Give the lock back. What was done stands, whether or not the remote can be told so."""
    try:
        lock.release()
    except ReconcilerError as error:
        session.notice(f"warning: the lock is left to end by itself, in {lock.ttl:.0f} s: {error.what}")


# ------------------------------------------------------------------------------------------------ planning


def _plan_at_head(session: Session, name: str, only: Sequence[str], saved: Plan | None) -> Planned:
    """Plan *name* from the git objects of HEAD; with *saved*, restricted to it and refused unless it still fits."""
    if session.environ.get(CONFIG_COMMIT):
        raise UsageError(
            f"{CONFIG_COMMIT} is set; apply takes everything from the commit it applies",
            where="environment",
            fix="unset it for apply; it is for plan and validate",
        )
    if saved is not None and saved.live.snapshot:
        raise StaleError(
            f"the plan was made against a snapshot of {saved.live.read_at}, so it cannot be applied",
            where=f"plan {saved.fingerprint[7:19]}",
            fix="plan again against the live system: reconciler plan --out FILE",
            code="snapshot-plan",
        )
    repository = open_repository(session.root)
    head = repository.head()
    files = read_revision(session, repository, head, (name,))
    target = choose_targets(files.config, (name,))[0]
    if saved is not None:
        require_same_tree(repository, saved, head, (FILE_NAME, OVERRIDES_NAME, target.policies))
    planned = plan_target(session, repository, files, target, head, only=only, applying=True)
    _warn_unpushed(session, planned, head)
    return planned if saved is None else restrict(planned, saved)


def _warn_unpushed(session: Session, planned: Planned, head: str) -> None:
    """Say so when the commit is on no branch of the remote: nobody else can look up who asked for its changes."""
    remote, repository = planned.remote, planned.repository
    if remote is None:
        return
    tracked = repository.list_refs(f"refs/remotes/{remote}").values()
    if any(repository.is_ancestor(head, tip) for tip in set(tracked)):
        return
    if head not in repository.list_remote(remote, "refs/heads/*").values():
        session.notice(f"warning: commit {head[:7]} is not on {remote} yet; push it, so that others can find it")


def _again_if_others_were_here(session: Session, planned: Planned, plan: Callable[[], Planned], lock: Lock) -> Planned:
    """Plan again when another run recorded something before we had the lock, or had it while we waited.

    One that died in the middle has recorded nothing, and may have changed what the plan saw in sync. Some of what was
    agreed to may be done by then; anything else that is to be done now was not agreed to.
    """
    synced = sync_ledger(session, planned.repository, planned.remote, planned.settings.name, applying=True)
    if synced.tip == planned.sync.tip and not lock.contended:
        return planned
    again = plan()
    if any(change not in planned.plan.changes for change in again.plan.changes):
        raise stale(planned.plan, "another run changed the target meanwhile")
    return again


def _must_record(planned: Planned) -> bool:
    """Whether the ledger lacks something although no change is left to send."""
    return must_record(planned.inputs) or planned.sync.unpushed or planned.signing.moves


# ---------------------------------------------------------------------------------------------- execution


def _carry_out(
    session: Session,
    planned: Planned,
    lock: Lock,
    stop: Callable[[], bool],
    progress: Callable[[Outcome, int, int], None],
    machine: Machine,
) -> Run:
    """Execute the plan under *lock*, prove what was done, record it."""
    plan, settings, provider = planned.plan, planned.settings, planned.provider
    waves = [list(wave) for _, wave in groupby(plan.changes, key=order_rank)]
    known = _known_entries(session, planned) if waves else frozenset()
    done = 0

    def differs(change: Change, live: LivePolicy) -> Sequence[str]:
        return [diff.pointer for diff in _difference(planned, change, live)]

    def may_keep(change: Change, live: LivePolicy) -> bool:
        schema = planned.inputs.schema_of(change.desired.body if change.desired is not None else live.body)
        wanted = change.desired.body if change.desired is not None else {}
        return is_no_weaker(wanted, live.body, differs(change, live), schema)

    def put_body(change: Change, live: LivePolicy) -> Body:
        assert change.desired is not None  # noqa: S101 - an update has a desired side
        applied = change.applied.body if change.applied is not None else {}
        return merge_for_put(change.desired.body, live.body, applied, planned.inputs.schema_of(change.desired.body))

    def headers(change: Change) -> Mapping[str, str]:
        commit = change.commit.sha if change.commit is not None else plan.git.head
        return make_headers(__version__, commit, change.key, plan.fingerprint, change.why)

    def entries(change: Change, live: LivePolicy | None) -> tuple[int, int] | None:
        policy_id = live.id if live is not None else change.id
        if known is None or policy_id is None or change.commit is None:
            return None
        try:
            trail = provider.fetch_trail()
        except LiveError:
            return None
        if not trail.available:
            return None
        own = count_own(trail, known, policy_id, change.commit.sha)
        return own, len(new_entries(trail, known, policy_id))

    def tell(outcome: Outcome) -> None:
        nonlocal done
        done += 1
        progress(outcome, done, len(plan.changes))

    journal_path = planned.repository.git_dir / "reconciler" / f"{settings.name}.jsonl"
    with machine.open_journal(journal_path) as journal:
        journal.append(
            [{"event": "run", "at": session.clock.now().isoformat(), "head": plan.git.head, "plan": plan.fingerprint}]
        )
        execution = execute(
            waves,
            Ports(
                provider=provider,
                clock=session.clock,
                journal=journal,
                differs=differs,
                may_keep=may_keep,
                put_body=put_body,
                headers=headers,
                entries=entries,
                keep_lock=lambda: lock.keep(settings.deadline),
                stop=stop,
                progress=tell,
                spread=machine.spread(settings.concurrency),
                lanes=machine.spread(LANES),
            ),
            settings,
        )
    results = execution.results
    for result in results:
        if result.kept:
            session.notice(
                f"warning: {quoted(result.change.key)} is kept otherwise than it was sent, and no weaker (normalised): "
                + ", ".join(safe(pointer) for pointer in result.kept)
            )
    annotations = _prove(session, planned, results, known)
    outcomes = tuple(replace(result.outcome, annotation=annotations.get(result.change.key)) for result in results)
    code = exit_of(results, interrupted=stop())
    if code is ExitCode.DONE and execution.trouble is not None:
        code = ExitCode.PARTIAL
    if code is ExitCode.DONE and plan.blocked:
        code = ExitCode.BLOCKED
    run = replace(_finish(planned, outcomes, code), error=execution.trouble)
    return _record(session, planned, lock, results, annotations, run)


def _difference(planned: Planned, change: Change, live: LivePolicy) -> tuple[FieldDiff, ...]:
    """What *live* still lacks of *change*'s desired content, `enabled` aside; ignored fields do not count."""
    if change.desired is None:
        return ()
    applied = change.applied.body if change.applied is not None else {}
    schema = planned.inputs.schema_of(change.desired.body)
    return diff_policy(change.desired.body, live.body, applied, schema)


def exit_of(results: Sequence[Result], *, interrupted: bool) -> ExitCode:
    """Return the code a run ends with (design.md 4): 4 once something took effect and the run is incomplete."""
    statuses = {result.outcome.status for result in results}
    if interrupted:
        return ExitCode.INTERRUPTED
    if statuses <= {Status.APPLIED, Status.ALREADY}:
        return ExitCode.DONE
    if Status.UNKNOWN in statuses or Status.APPLIED in statuses:
        return ExitCode.PARTIAL
    if not any(result.sent for result in results) and any(result.stale for result in results):
        return ExitCode.STALE
    codes = {result.exit for result in results if result.outcome.status is not Status.ALREADY}
    return ExitCode.TRY_AGAIN if codes == {ExitCode.TRY_AGAIN} else ExitCode.ERROR


def _is_in_doubt(run: Run) -> bool:
    """Whether something sent may still take effect: then the lock is left to expire (reliability.md 0.3)."""
    return any(outcome.status is Status.UNKNOWN for outcome in run.outcomes)


# -------------------------------------------------------------------------------------------------- proof


def _known_entries(session: Session, planned: Planned) -> frozenset[str] | None:
    """The ids in the audit trail before anything is sent; None when it cannot be read, so that nothing counts as new.

    Also binds an account to its trail (systems.md 5 row 24).
    """
    try:
        return frozenset(entry.id for entry in planned.provider.fetch_trail().entries)
    except LiveError as error:
        session.notice(f"warning: the audit trail cannot be read, so nothing can be proven: {error.what}")
        return None


def _prove(
    session: Session, planned: Planned, results: Sequence[Result], known: frozenset[str] | None
) -> Mapping[str, Annotation]:
    """Find the audit entry of every change that was applied.

    An entry that does not hold the commit is taken for ours only where the server answered that the change was: after
    a lost reply, the only entry may well be that of a person who did the same.
    """
    wanted: dict[str, tuple[str, str, bool]] = {}
    for result in results:
        change = result.change
        if result.outcome.status is not Status.APPLIED or change.commit is None:
            continue
        policy_id = result.live.id if result.live is not None else change.id
        if policy_id is not None:
            on_object = result.live is not None and result.live.trailer == change.commit.sha
            wanted[change.key] = (policy_id, change.commit.sha, on_object)

    def fetch() -> Trail:
        if known is None:
            return Trail((), available=False, complete=False)
        try:
            return planned.provider.fetch_trail()
        except LiveError as error:
            session.notice(f"warning: the audit trail cannot be read, so nothing can be proven: {error.what}")
            return Trail((), available=False, complete=False)

    confirmed = {result.change.key for result in results if result.confirmed}
    return {
        key: found if key in confirmed or found.strength is not Strength.LEDGER_ONLY else NO_TRAIL
        for key, found in prove(wanted, known or frozenset(), fetch, session.clock).items()
    }


# ------------------------------------------------------------------------------------------------- record


def _record(
    session: Session,
    planned: Planned,
    lock: Lock,
    results: Sequence[Result],
    annotations: Mapping[str, Annotation],
    run: Run,
) -> Run:
    """Write the ledger and push it with the lock in one move; a failure after writes is exit 4, and the ref stays."""
    previous = planned.ledger
    now = session.clock.now()
    changed = any(result.outcome.status is Status.APPLIED for result in results)
    entries, settings = ledger_after(planned.inputs, _settled(results), annotations)
    if planned.plan.git.shallow:  # what history here cannot prove may well be ours
        entries = {**previous.entries, **entries}
    try:
        sha = write_ledger(
            planned.repository,
            previous,
            entries,
            RunInfo(planned.plan.git.head, __version__, now.isoformat(), planned.plan.fingerprint),
            at=now,
            settings=settings,
            touched=changed or planned.signing.moves,
        )
        if sha is not None and (sha != previous.sha or planned.sync.unpushed):
            lock.record(
                RefUpdate(ledger_ref(planned.settings.name), sha, previous.sha),
                remote_old=planned.sync.remote_tip,
                keep=_is_in_doubt(run),
            )
    except ReconcilerError as error:
        if not any(result.sent for result in results):
            raise
        return replace(run, exit=ExitCode.PARTIAL, error=f"{error.what} (the next apply pushes the record first)")
    return replace(run, ledger=sha)


def _settled(results: Sequence[Result]) -> Mapping[str, LivePolicy | None]:
    """The live policy after the run, for each change that is now as desired."""
    good = (Status.APPLIED, Status.ALREADY)
    return {result.change.key: result.live for result in results if result.outcome.status in good}


def _finish(planned: Planned, outcomes: tuple[Outcome, ...], code: ExitCode) -> Run:
    return Run(planned.plan, outcomes, planned.ledger.sha, code)


def _skip_all(planned: Planned) -> tuple[Outcome, ...]:
    """Outcomes of a blocked plan: nothing was sent for any change."""
    why = "not tried: the plan is blocked by " + ", ".join(planned.plan.blocked)
    return tuple(
        Outcome(
            change.key,
            change.action,
            Status.SKIPPED,
            change.commit.sha if change.commit is not None else None,
            None,
            why,
            0,
        )
        for change in planned.plan.changes
    )


def _stops_everything(plan: Plan) -> bool:
    """Whether a guard stops the whole apply; an incomplete read alone only holds creates and deletes."""
    return any(guard != "incomplete-read" for guard in plan.blocked)


def remove_lock(session: Session, name: str, nonce: str) -> str:
    """Remove the lock of target *name* that has *nonce*, and return who held it."""
    repository = open_repository(session.root)
    config = read_config(session)
    target = choose_targets(config, (name,))[0]
    return unlock(repository, repository.remote_name(config.remote), target.name, nonce).name
