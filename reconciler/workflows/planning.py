"""From a repository and a live system to a plan: reads both, and hands everything to the pure core."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import TypeVar

from reconciler import __version__
from reconciler import config as settings_module
from reconciler.config import FILE_NAME, OVERRIDES_NAME, SETTINGS_NAME, choose_targets
from reconciler.core.documents import read_documents
from reconciler.core.model import (
    Applied,
    Body,
    CommitInfo,
    Confidence,
    Drift,
    GitInfo,
    LivePolicy,
    Plan,
    TargetInfo,
    TargetSettings,
    Trail,
)
from reconciler.core.plan import Facts, PlanInput, make_plan
from reconciler.core.problems import FilesError
from reconciler.core.secret import Secret
from reconciler.errors import LiveError, Place, ReconcilerError, UnreachableError
from reconciler.ledger import LedgerState, Sync, owned, push, read_ledger, sync
from reconciler.providers.base import Provider
from reconciler.providers.http import Transport
from reconciler.providers.registry import capabilities_of, make_provider
from reconciler.providers.snapshot import Snapshot, SnapshotProvider, snapshot_of
from reconciler.sources.directory import Reading, dirty_paths, read_directory
from reconciler.sources.git import Repository, open_repository
from reconciler.trail import explain_drift
from reconciler.workflows.session import (
    Desired,
    Files,
    Session,
    load_desired,
    policy_from,
    read_revision,
    read_work_tree,
    require_valid,
)
from reconciler.workflows.signing import Signing, check_signatures

_Number = TypeVar("_Number", int, float)


@dataclass(slots=True)
class TrailReader:
    """Reads a target's audit trail once, when somebody asks. One that cannot be read is an empty one and a notice."""

    provider: Provider
    notice: Callable[[str], None]
    trail: Trail | None = None

    def read(self) -> Trail:
        if self.trail is None:
            try:
                self.trail = self.provider.fetch_trail()
            except LiveError as error:
                self.notice(f"warning: the audit trail cannot be read, so nobody is named: {error.what}")
                self.trail = Trail((), available=False, complete=False)
        return self.trail


@dataclass(frozen=True, slots=True)
class Planned:
    """A plan, and all it was made from: what `apply` needs to carry it out and to record it."""

    plan: Plan
    inputs: PlanInput
    settings: TargetSettings
    desired: Desired
    files: Files
    repository: Repository
    provider: Provider
    remote: str | None
    sync: Sync
    ledger: LedgerState
    trail: TrailReader
    signing: Signing = field(default_factory=Signing)


@dataclass(frozen=True, slots=True)
class PlannedTargets:
    """The plans of several targets, and the errors of those that could not be planned."""

    made: tuple[Planned, ...]
    failed: tuple[ReconcilerError, ...]


def plan_targets(
    session: Session,
    names: tuple[str, ...] = (),
    *,
    commit: str | None = None,
    only: Sequence[str] = (),
    live: Sequence[Snapshot] | None = None,
) -> PlannedTargets:
    """Plan the named targets (all when none is named) from the working tree, or from *commit*.

    With *live* the live side is what these snapshots say, and neither a token nor the live API is needed. With one
    target an error is raised; with several the others are planned and it is returned.
    """
    repository = open_repository(session.root)
    head = repository.head() if commit is None else repository.resolve(commit)
    files = read_work_tree(session, names) if commit is None else read_revision(session, repository, head, names)
    chosen = choose_targets(files.config, names)
    made: list[Planned] = []
    failed: list[ReconcilerError] = []
    for target in chosen:
        try:
            made.append(plan_target(session, repository, files, target, head, only=only, live=live))
        except ReconcilerError as error:
            if len(chosen) == 1:
                raise
            failed.append(error)
    return PlannedTargets(tuple(made), tuple(failed))


def plan_target(
    session: Session,
    repository: Repository,
    files: Files,
    target: TargetSettings,
    head: str,
    *,
    only: Sequence[str] = (),
    applying: bool = False,
    live: Sequence[Snapshot] | None = None,
) -> Planned:
    """Plan one target at *head*. With *applying* an unreachable git remote is an error, else a warning."""
    now = session.clock.now()
    session = replace(session, only_reads=session.only_reads and not applying)
    desired = load_desired(session, target, files, now)
    missing = [problem for problem in files.problems if problem.code == "missing-folder"]
    require_valid([*(each for each in files.problems if each not in missing), *desired.problems], len(files.raw))
    for problem in (*files.problems, *desired.problems):
        session.notice(f"warning: {Place(problem.path, problem.line)}: {problem.message}")
    provider = connect(session, target) if live is None else open_snapshot(target, live)
    remote = repository.remote_name(files.config.remote)
    synced = sync_ledger(session, repository, remote, target.name, applying=applying)
    ledger = read_ledger(repository, synced.tip)
    if repository.is_shallow() and remote is not None:
        repository.unshallow(remote)
    applied = ledger.applied_commit
    limits = stricter_limits(session, repository, target, applied)
    signing = check_signatures(repository, session.environ, limits.signatures, head=head, applied=applied)
    if applying and signing.error is not None:
        raise signing.error  # before the token goes anywhere: these commits also say where
    known = keys_read(repository, files, target, desired) if ledger.entries else None
    entries = owned_entries(session, repository, target, head, ledger, known)
    if not any(is_below(entry.path, target.policies) for entry in entries.values()):
        require_valid(missing, len(files.raw))  # git keeps no empty folder: gone is fine where there was one
    listing = provider.fetch_listing()
    changed: frozenset[str] = frozenset()
    if files.revision is None:
        changed = dirty_files(session, repository, head, target, files.folders[target.policies])
    elif applying:
        changed = dirty_files(session, repository, head, target, read_directory(session.root, target.policies))
    uncommitted = changed if files.revision is None else frozenset()
    paths = {*files.paths(target), *(entry.path for entry in entries.values())}
    paths.add(f"{target.policies.rstrip('/')}/{SETTINGS_NAME}")
    trail = TrailReader(provider, session.notice)
    inputs = PlanInput(
        tool=__version__,
        target=TargetInfo(target.name, target.provider, target.url, listing.mode),
        capabilities=capabilities_of(target),
        settings=limits,
        git=GitInfo(
            head,
            applied,
            dirty=bool(changed),
            shallow=repository.is_shallow(),
        ),
        policies=desired.policies,
        applied=entries,
        live=listing,
        schema_of=schemas_of(session, target),
        commits=Commits(lambda: commits_of(repository, head, paths), without=uncommitted),
        overrides=files.overrides,
        now=now,
        drift_of=lambda applied, live, content: drift_of(applied, live, content, entries, trail),
        only=frozenset(only),
        mode=desired.mode,
        applied_settings=ledger.settings,
        facts=Facts(
            descends=applied is None or repository.is_ancestor(applied, head),
            applying=applying,
            snapshot=live is not None,
        ),
    )
    plan = make_plan(inputs)
    plan = replace(plan, warnings=(*plan.warnings, *signing.warnings(asks=bool(plan.changes))))
    return Planned(plan, inputs, target, desired, files, repository, provider, remote, synced, ledger, trail, signing)


def is_below(path: str, folder: str) -> bool:
    """Whether *path* lies in *folder* or deeper.

    >>> is_below("policies/neosc/mfa.yaml", "policies/neosc/"), is_below("policies/neosc2/a.yaml", "policies/neosc")
    (True, False)
    """
    return folder.strip("/") in (".", "") or path.startswith(folder.strip("/") + "/")


def connect(session: Session, target: TargetSettings) -> Provider:
    """Return the provider for *target*, with its token; nothing is sent yet."""
    user = settings_module.read_user_config(session.environ)

    def read_token() -> Secret:
        return settings_module.read_token(target.name, session.environ, user)

    transport = Transport(
        target.url,
        read_token(),
        renew=read_token,
        deadline=target.deadline,
        clock=session.clock,
        random=session.random,
        ca_file=settings_module.ca_file(session.environ, user),
        proxy=settings_module.proxy(session.environ, user),
        allowed_hosts=settings_module.allowed_hosts(session.environ),
    )
    return make_provider(target, transport)


def open_snapshot(target: TargetSettings, live: Sequence[Snapshot]) -> Provider:
    """Return the provider for *target* that reads its snapshot and nothing else."""
    return SnapshotProvider(snapshot_of(live, target, where="--live"), capabilities_of(target))


def sync_ledger(session: Session, repository: Repository, remote: str | None, target: str, *, applying: bool) -> Sync:
    """Bring the ledger of *target* up to date with the remote.

    A plan says which ledger it used when the remote does not answer; an apply cannot go on, and takes runs that an
    earlier one could not push there first.
    """
    state = sync(repository, remote, target)
    if state.unreachable is not None:
        if applying:
            raise UnreachableError(
                f"the git remote {remote} cannot be reached: {state.unreachable}",
                where=f"target {target}",
                fix="try again; apply must know what other runs recorded",
            )
        session.notice(
            f"warning: the git remote {remote} cannot be reached, so this clone's ledger is used: {state.unreachable}"
        )
    if applying and remote is not None and state.unpushed:
        return push(repository, remote, target, state)
    return state


def owned_entries(
    session: Session,
    repository: Repository,
    target: TargetSettings,
    head: str,
    ledger: LedgerState,
    known: Mapping[tuple[str, str], Collection[str]] | None = None,
) -> Mapping[str, Applied]:
    """Return the ledger entries that are really ours (design.md 6 "Owned").

    *known* are the keys in files already parsed, by path and object id: those are not read again.
    """

    def keys_in(path: str, data: bytes) -> frozenset[str]:
        documents, _ = read_documents(data, path)
        return frozenset(policy_from(target.provider, document).key for document in documents)

    keys = owned(repository, head, ledger.entries, keys_in, known=known)
    return {key: entry for key, entry in sorted(ledger.entries.items()) if key in keys}


def keys_read(
    repository: Repository, files: Files, target: TargetSettings, desired: Desired
) -> Mapping[tuple[str, str], Collection[str]]:
    """Return the keys in each policy file of *target* by path and object id, from what was parsed anyway."""
    keys: dict[str, set[str]] = {}
    for policy in desired.policies:
        if policy.source is not None:
            keys.setdefault(policy.source.path, set()).add(policy.key)
    data = files.folders[target.policies].files
    return {(path, repository.blob_id(data[path])): held for path, held in keys.items() if path in data}


class Commits(Mapping[str, CommitInfo]):
    """The commit that last touched each path, found in one pass over history when the first one is asked for.

    A plan without changes names no commit, and history is longer than the list of policies.
    """

    def __init__(self, find: Callable[[], Mapping[str, CommitInfo]], *, without: Collection[str] = ()) -> None:
        self._find, self._without = find, without
        self._found: dict[str, CommitInfo] | None = None

    def _all(self) -> dict[str, CommitInfo]:
        if self._found is None:
            self._found = {path: info for path, info in self._find().items() if path not in self._without}
        return self._found

    def __getitem__(self, path: str) -> CommitInfo:
        return self._all()[path]

    def __iter__(self) -> Iterator[str]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._all())


def commits_of(repository: Repository, head: str, paths: set[str]) -> Mapping[str, CommitInfo]:
    """Return the commit that last touched each path; in a shallow clone, HEAD for those history cannot tell."""
    found = dict(repository.commit_log(head, sorted(paths)))
    if repository.is_shallow() and len(found) < len(paths):
        tip = repository.commit_info(head)
        for path in paths:
            found.setdefault(path, tip)
    return found


def dirty_files(
    session: Session, repository: Repository, head: str, target: TargetSettings, reading: Reading
) -> frozenset[str]:
    """Return which policy files in *reading*, from disk, and which settings files differ from *head*."""
    tops = (FILE_NAME, OVERRIDES_NAME)
    committed = repository.tree_ids(head, tops)
    found = set(dirty_paths(repository, head, target.policies, reading))
    for name in tops:
        try:
            here = repository.blob_id((session.root / name).read_bytes())
        except OSError:
            here = None
        if here != committed[name]:
            found.add(name)
    return frozenset(found)


def schema_of(session: Session, target: TargetSettings, body: Body) -> Mapping[str, object]:
    """Return the schema of a policy's type; of no particular type when the live system holds one we do not know."""
    return schemas_of(session, target)(body)


def schemas_of(session: Session, target: TargetSettings) -> Callable[[Body], Mapping[str, object]]:
    """Return `schema_of` for many policies of one target."""
    type_field = capabilities_of(target).type_field

    @cache
    def of_type(name: str | None) -> Mapping[str, object]:
        return session.schemas.policy_schema(target.provider, name)

    def find(body: Body) -> Mapping[str, object]:
        name = body.get(type_field)
        return of_type(name if isinstance(name, str) else None)

    return find


def stricter_limits(
    session: Session, repository: Repository, target: TargetSettings, applied_commit: str | None
) -> TargetSettings:
    """Return *target* with limits no looser than those of the last applied commit (design.md 6 "Guards")."""
    before = _settings_at(session, repository, target.name, applied_commit)
    if before is None:
        return target
    signatures = ("off", "auto", "require")
    return replace(
        target,
        max_deletes=min(before.max_deletes, target.max_deletes),
        max_changes_percent=_least(before.max_changes_percent, target.max_changes_percent),
        require_override="weakens" if "weakens" in (before.require_override, target.require_override) else "none",
        signatures=max(before.signatures, target.signatures, key=signatures.index),
        max_newly_blocked=_least(before.max_newly_blocked, target.max_newly_blocked),
        max_newly_blocked_actors=_least(before.max_newly_blocked_actors, target.max_newly_blocked_actors),
        max_newly_blocked_share=_least(before.max_newly_blocked_share, target.max_newly_blocked_share),
        must_stay_allowed=target.must_stay_allowed or before.must_stay_allowed,
    )


def _least(one: _Number | None, other: _Number | None) -> _Number | None:
    """The smaller of two limits; one that is not set limits nothing."""
    given = [value for value in (one, other) if value is not None]
    return min(given) if given else None


def _settings_at(session: Session, repository: Repository, name: str, commit: str | None) -> TargetSettings | None:
    if commit is None or not repository.has_commit(commit):
        return None
    data = repository.read_file(commit, FILE_NAME)
    if data is None:
        return None
    try:
        config = settings_module.parse_config(data, FILE_NAME, session.schemas)
    except FilesError:
        return None
    return config.targets.get(name)


def drift_of(
    applied: Applied,
    live: LivePolicy | None,
    content_differs: bool,
    entries: Mapping[str, Applied],
    trail: TrailReader,
) -> Drift:
    """Say who brought a policy to its live state; reads the trail when it is asked for the first time."""
    read = trail.read()
    if not read.available:
        return Drift(None, None, None, Confidence.UNKNOWN)
    own = {entry.audit_id for entry in entries.values() if entry.audit_id is not None}
    enabled = live.enabled if live is not None and live.enabled != applied.enabled else None
    return explain_drift(read, applied, enabled=enabled, content_differs=content_differs, own_ids=own)
