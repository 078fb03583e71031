"""Bring the policy files of another revision back into the working tree. Commits nothing and sends nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from reconciler.config import choose_targets
from reconciler.core.problems import FilesError, has_errors
from reconciler.core.safe import quoted, safe
from reconciler.errors import GitError, ReconcilerError
from reconciler.sources.directory import Reading, dirty_paths, read_commit, read_directory
from reconciler.sources.git import Repository, open_repository
from reconciler.workflows.files import replace_file
from reconciler.workflows.session import Session, read_config

MISSING_FOLDER = "missing-folder"


@dataclass(frozen=True, slots=True)
class RolledBack:
    """The revision whose files are there now, and what happened to each: path → `added`, `changed` or `removed`."""

    revision: str
    files: dict[str, str]


def roll_back(session: Session, revision: str, names: tuple[str, ...] = ()) -> RolledBack:
    """Make the policy folders of the named targets (all when none is named) what they are at *revision*.

    Only policy files and `settings.yaml` are written, changed and removed; reconciler.yaml and overrides.yaml are those
    of today. Refused where something is not committed: nothing else could bring it back.
    """
    repository = open_repository(session.root)
    head = repository.head()
    commit = repository.resolve(revision)
    targets = choose_targets(read_config(session), names)
    folders = dict.fromkeys(target.policies for target in targets)
    here: dict[str, bytes] = {}
    there: dict[str, bytes] = {}
    dirty: list[str] = []
    for folder in folders:
        now = read_directory(session.root, folder)
        _require_readable(now, allowed=MISSING_FOLDER)
        dirty += dirty_paths(repository, head, folder, now)
        here.update(now.all_files)
        there.update(_read_at(repository, commit, folder))
    if dirty:
        raise _uncommitted(dirty)
    changed = {path: data for path, data in there.items() if here.get(path) != data}
    gone = here.keys() - there.keys()
    for path in sorted(gone):
        _remove(session, path)
    for path in sorted(changed):
        replace_file(session.root, path, changed[path])
    words = {path: "changed" if path in here else "added" for path in changed} | dict.fromkeys(gone, "removed")
    return RolledBack(commit, dict(sorted(words.items())))


def _read_at(repository: Repository, commit: str, folder: str) -> dict[str, bytes]:
    """The policy files of a folder at a commit. One that has no such folder is refused: all policies would go."""
    reading = read_commit(repository, commit, folder)
    if any(problem.code == MISSING_FOLDER for problem in reading.problems):
        raise GitError(
            f"{commit[:7]} has no folder {quoted(folder)}; going back there would remove every policy in it",
            where=commit[:7],
            fix="name a later revision, or only the targets that it has, with --target",
        )
    _require_readable(reading)
    return dict(reading.all_files)


def _require_readable(reading: Reading, *, allowed: str = "") -> None:
    problems = [problem for problem in reading.problems if problem.code != allowed]
    if has_errors(problems):
        raise FilesError(problems, files=len(reading.all_files))


def _uncommitted(paths: Sequence[str]) -> ReconcilerError:
    named = ", ".join(safe(path) for path in paths[:5]) + (f" and {len(paths) - 5} more" if len(paths) > 5 else "")
    return ReconcilerError(
        f"these files differ from the commit: {named}",
        where="working tree",
        fix="commit them, or put them aside, then roll back",
        code="dirty-tree",
    )


def _remove(session: Session, path: str) -> None:
    """Remove a file. A folder it leaves empty stays: git does not know it, and nothing reads it."""
    place = session.root / path
    try:
        place.unlink()
    except OSError as error:
        raise ReconcilerError(
            f"the file cannot be removed ({error.strerror or type(error).__name__})",
            where=safe(path),
            fix="mend the permissions, run `git checkout -- .`, and try again",
            code="output",
        ) from error
