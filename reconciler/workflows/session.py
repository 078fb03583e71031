"""The policies repository a command works in: where it is, what its files say, and the policies they ask for.

Reads files; compares nothing and connects to nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from reconciler import config as settings_module
from reconciler.config import FILE_NAME, OVERRIDES_NAME, Config, find_root, parse_config
from reconciler.core.documents import Document, make_problem, read_documents
from reconciler.core.exceptions import apply_exceptions, readings
from reconciler.core.guard import Overrides, parse_overrides
from reconciler.core.model import Policy, Problem, Severity, Source, TargetSettings
from reconciler.core.near import did_you_mean
from reconciler.core.problems import FilesError, has_errors
from reconciler.core.schema import Schemas, find_key_conflicts, load_schemas, merge_patch, policy_key
from reconciler.errors import ConfigError
from reconciler.sources.directory import Reading, read_commit, read_directory
from reconciler.workflows.reading import read_policies

if TYPE_CHECKING:
    from reconciler.core.ports import Clock, Random
    from reconciler.sources.git import Repository

#: Names the commit whose reconciler.yaml is used, whatever the files under review say
#: (docs/how-to/plan-without-a-secret.md).
CONFIG_COMMIT = "RECONCILER_CONFIG_COMMIT"


@dataclass(frozen=True, slots=True)
class Session:
    """What one command line works with. `notice` takes a line for people (a warning, what is waited for).

    `only_reads`: nothing is applied or written from it, so that what an earlier run kept may be believed.
    """

    root: Path
    environ: Mapping[str, str]
    clock: Clock
    random: Random
    notice: Callable[[str], None]
    schemas: Schemas
    only_reads: bool = False


def open_session(
    start: Path,
    *,
    environ: Mapping[str, str],
    clock: Clock,
    random: Random,
    notice: Callable[[str], None] = lambda line: None,
    only_reads: bool = False,
) -> Session:
    """Find the policies repository at or above *start*; raise `ConfigError` when there is none."""
    return Session(find_root(start), environ, clock, random, notice, load_schemas(), only_reads)


@dataclass(frozen=True, slots=True)
class Files:
    """All that one revision, or the working tree, says: bytes by path, and the settings read from them.

    `revision` is None for the working tree. `problems` are those found while looking for files (links, sizes, names).
    """

    revision: str | None
    config: Config
    folders: Mapping[str, Reading]
    overrides: Overrides
    raw: Mapping[str, bytes]
    problems: tuple[Problem, ...]

    def paths(self, target: TargetSettings) -> tuple[str, ...]:
        """The policy files of *target*, sorted."""
        return tuple(sorted(self.folders[target.policies].files))


#: What reads the folders of some targets, once `reconciler.yaml` (its bytes) has named them.
ReadFolders: TypeAlias = Callable[[bytes, Sequence[TargetSettings]], dict[str, Reading]]


def read_work_tree(session: Session, names: Sequence[str] = (), read_folders: ReadFolders | None = None) -> Files:
    """Read reconciler.yaml, overrides.yaml and the named targets' folders (all when none is named) from disk.

    With *read_folders* it decides what is read of them.
    """

    def read_top(name: str) -> bytes | None:
        try:
            return (session.root / name).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise ConfigError(
                f"cannot be read ({error.strerror})", where=name, fix="make it a readable file"
            ) from error

    def read_all(_: bytes, targets: Sequence[TargetSettings]) -> dict[str, Reading]:
        return {folder: read_directory(session.root, folder) for folder in folders_of(targets)}

    return _read(session, None, names, read_top, read_folders or read_all)


def read_revision(session: Session, repository: Repository, commit: str, names: Sequence[str] = ()) -> Files:
    """Read the same from the git objects of *commit* (a full id)."""

    def read_all(_: bytes, targets: Sequence[TargetSettings]) -> dict[str, Reading]:
        return {folder: read_commit(repository, commit, folder) for folder in folders_of(targets)}

    return _read(session, commit, names, lambda name: repository.read_file(commit, name), read_all)


def folders_of(targets: Sequence[TargetSettings]) -> tuple[str, ...]:
    """The policy folders of *targets*, each once: several may share one."""
    return tuple(dict.fromkeys(target.policies for target in targets))


def _read(
    session: Session,
    revision: str | None,
    names: Sequence[str],
    read_top: Callable[[str], bytes | None],
    read_folders: ReadFolders,
) -> Files:
    data = read_top(FILE_NAME)
    if session.environ.get(CONFIG_COMMIT):
        data = _config_of_base(session, data)
    if data is None:
        raise ConfigError(
            f"{FILE_NAME} is not there" if revision is None else f"{FILE_NAME} is not in commit {revision[:7]}",
            where=FILE_NAME,
            fix="write one at the root of the policies repository and commit it",
            code="missing-config",
        )
    config = parse_config(data, FILE_NAME, session.schemas)
    raw = {FILE_NAME: data}
    problems: list[Problem] = []
    overrides_data = read_top(OVERRIDES_NAME)
    overrides = Overrides()
    if overrides_data is not None:
        raw[OVERRIDES_NAME] = overrides_data
        overrides, found = _read_overrides(session.schemas, overrides_data)
        problems += found
    folders = read_folders(data, settings_module.choose_targets(config, tuple(names)))
    for folder in folders.values():
        problems += folder.problems
        raw.update(folder.all_files)
    return Files(revision, config, folders, overrides, raw, tuple(problems))


def _config_of_base(session: Session, own: bytes | None) -> bytes:
    """Return `reconciler.yaml` of the commit the environment names; *own* is what the files under review say.

    Where a token goes and what guards allow is then not for those files to say.
    """
    from reconciler.sources.git import open_repository

    revision = session.environ[CONFIG_COMMIT]
    repository = open_repository(session.root)
    commit = repository.resolve(revision)
    data = repository.read_file(commit, FILE_NAME)
    if data is None:
        raise ConfigError(
            f"{CONFIG_COMMIT} names commit {commit[:7]}, which has no {FILE_NAME}",
            where="environment",
            fix="name a commit of the default branch",
            code="missing-config",
        )
    if data != own:
        session.notice(
            f"warning: {FILE_NAME} is read from commit {commit[:7]} ({CONFIG_COMMIT}); what these files say of it "
            "counts once it is merged"
        )
    return data


def _read_overrides(schemas: Schemas, data: bytes) -> tuple[Overrides, list[Problem]]:
    documents, found = read_documents(data, OVERRIDES_NAME)
    problems = list(found)
    if not has_errors(problems) and len(documents) == 1:
        problems += schemas.check_overrides(documents[0])
        if not has_errors(problems):
            return parse_overrides(documents[0].value), problems
    return Overrides(), problems


def read_config(session: Session) -> Config:
    """Return the settings of the working tree, or of the commit the environment names."""
    data = (session.root / FILE_NAME).read_bytes()
    if session.environ.get(CONFIG_COMMIT):
        data = _config_of_base(session, data)
    return parse_config(data, FILE_NAME, session.schemas)


# ------------------------------------------------------------------------------------------------ desired


@dataclass(frozen=True, slots=True)
class Desired:
    """What git asks of one target: its policies by key order, the global mode if `settings.yaml` names one."""

    policies: tuple[Policy, ...]
    mode: str | None
    problems: tuple[Problem, ...]


def load_desired(session: Session, target: TargetSettings, files: Files, now: datetime | None = None) -> Desired:
    """Parse, validate and overlay the policies of *target*, as their exceptions make them read at *now*.

    Problems are returned, never raised. Whoever compares afterwards gives the *now* of the whole run.
    """
    now = session.clock.now() if now is None else now
    folder = files.folders[target.policies]
    documents, problems = read_policies(session, target, folder.files)
    problems += find_key_conflicts(target.provider, documents)
    mode, found_mode = _read_mode(session.schemas, folder)
    problems += found_mode
    if has_errors(problems):
        return Desired((), mode, tuple(problems))
    overlaid, found_overlay = _overlay(session.schemas, target, documents, files.config)
    problems += found_overlay
    policies: list[Policy] = []
    for document in overlaid:
        policy = apply_exceptions(policy_from(target.provider, document), now)
        policies.append(policy)
        problems += _check_exceptions(session.schemas, target.provider, document, policy)
    return Desired(tuple(sorted(policies, key=lambda policy: policy.key)), mode, tuple(problems))


def _check_exceptions(schemas: Schemas, provider: str, document: Document, policy: Policy) -> list[Problem]:
    """Try out every day's reading of *policy*: its exceptions were checked one by one before, not together."""
    problems: list[Problem] = []
    for value in readings(policy):
        if policy_key(provider, value) != policy.key:
            problems.append(
                make_problem(
                    document,
                    "exception-key",
                    "an exception may not change a policy's key",
                    "/metadata/exceptions",
                    key=True,
                    fix="take the key out of `set`",
                )
            )
        found = schemas.violations_of_policy(provider, {**value, "metadata": {}})
        problems += [
            make_problem(
                document,
                each.code,
                f"while these exceptions last together, {each.message}",
                "/metadata/exceptions",
                key=True,
                fix=each.fix,
            )
            for each in found
            if each.severity is Severity.ERROR
        ]
    return list(dict.fromkeys(problems))


def policy_from(provider: str, document: Document) -> Policy:
    """Return the policy a checked document asks for."""
    body = dict(document.value)
    key = policy_key(provider, document.value)
    metadata = body.pop("metadata", None)
    enabled = body.pop("enabled", True)
    return Policy(
        key=key,
        body=body,
        enabled=enabled is not False,
        metadata=metadata if isinstance(metadata, dict) else {},
        source=Source(document.path, document.line),
    )


def _read_mode(schemas: Schemas, folder: Reading) -> tuple[str | None, list[Problem]]:
    if folder.settings is None:
        return None, []
    path, data = folder.settings
    documents, found = read_documents(data, path)
    problems = list(found)
    if has_errors(problems) or not documents:
        return None, problems
    problems += schemas.check_settings(documents[0])
    mode = documents[0].value.get("enforcement_mode")
    return (mode if isinstance(mode, str) else None), problems


def _overlay(
    schemas: Schemas, target: TargetSettings, documents: Sequence[Document], config: Config
) -> tuple[list[Document], list[Problem]]:
    """Apply the target's overlays (RFC 7396, in order) and check every changed document again."""
    by_key = {policy_key(target.provider, document.value): document for document in documents}
    changed: set[str] = set()
    for overlay in target.overlays:
        for key, patch in overlay.items():
            if key not in by_key:
                raise ConfigError(
                    f'an overlay of target {target.name} changes "{key}", which no file has{did_you_mean(key, by_key)}',
                    where=config.path,
                    fix="correct the key or remove the overlay",
                    code="unknown-policy",
                )
            document = by_key[key]
            merged = merge_patch(dict(document.value), dict(patch))
            by_key[key] = replace(document, value=merged if isinstance(merged, dict) else {})
            changed.add(key)
    problems: list[Problem] = []
    for key in sorted(changed):
        problems += schemas.check_policy(target.provider, by_key[key])
        if policy_key(target.provider, by_key[key].value) != key:
            problems.append(make_problem(by_key[key], "overlay-key", "an overlay may not change a policy's key", ""))
    return list(by_key.values()), problems


# ----------------------------------------------------------------------------------------------- validate


@dataclass(frozen=True, slots=True)
class Validated:
    """What `validate` found: every problem of every file, how many files and policies were read."""

    problems: tuple[Problem, ...]
    files: int
    policies: int

    @property
    def has_errors(self) -> bool:
        return has_errors(self.problems)


def validate(session: Session, names: tuple[str, ...] = (), *, since: str | None = None) -> Validated:
    """Check the working tree's files of the named targets (all when none is named), without any network.

    With *since* only those that differ from that revision, and what they decide on (`since.py`).
    """
    read_folders = None
    if since is not None:
        from reconciler.workflows.since import reader_since

        read_folders = reader_since(session, since)
    try:
        files = read_work_tree(session, names, read_folders)
    except FilesError as error:
        return Validated(error.problems, error.files, 0)
    targets = settings_module.choose_targets(files.config, names)
    problems = {_as_warning(problem) for problem in files.problems}
    policies = 0
    for target in targets:
        desired = load_desired(session, target, files)
        problems |= set(desired.problems)
        policies += len(desired.policies)
    return Validated(tuple(sorted(problems, key=lambda problem: problem.sort_key)), len(files.raw), policies)


def _as_warning(problem: Problem) -> Problem:
    """A folder that is not there may be one whose last policy was removed; only a plan, with the ledger, can tell."""
    return replace(problem, severity=Severity.WARNING) if problem.code == "missing-folder" else problem


def require_valid(found: Sequence[Problem], files: int) -> None:
    """Raise `FilesError` when *found* has an error."""
    if has_errors(found):
        raise FilesError([*found], files=files)
