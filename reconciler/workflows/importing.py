"""Write what is live into policy files: new ones where git has none, people's own changed where they differ.

Sends nothing, commits nothing, records nothing: who owns a policy is said by a commit, and recorded by the apply after
it. Everything a live system says is hostile, names first of all.
"""

from __future__ import annotations

import os
import posixpath
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from reconciler.config import choose_targets
from reconciler.core.diff import diff_policy
from reconciler.core.documents import Document, read_documents
from reconciler.core.guard import EVERY
from reconciler.core.importing import METADATA, Imported, file_name, import_into, import_new, other_file_name
from reconciler.core.inputs import MODE_KEY
from reconciler.core.match import Pair, match_policies
from reconciler.core.model import Applied, Body, Json, Listing, LivePolicy, Policy, Severity, TargetSettings
from reconciler.core.problems import has_errors
from reconciler.core.safe import quoted
from reconciler.core.schema import policy_key
from reconciler.errors import GitError, UsageError
from reconciler.ledger import read_ledger
from reconciler.providers.registry import capabilities_of
from reconciler.sources.directory import SETTINGS
from reconciler.sources.git import open_repository
from reconciler.sources.writing import CannotWrite, edit_file, new_file
from reconciler.workflows.files import replace_file, write_new
from reconciler.workflows.planning import connect, owned_entries, schema_of, sync_ledger
from reconciler.workflows.session import Desired, Files, Session, load_desired, read_work_tree, require_valid

CREATED, UPDATED, UNCHANGED = "created", "updated", "unchanged"


@dataclass(frozen=True, slots=True)
class FileOf:
    """One policy's file and what became of it: `created`, `updated` or `unchanged`."""

    target: str
    path: str
    key: str
    status: str


@dataclass(frozen=True, slots=True)
class NotImported:
    """Something live that no file says, or says not wholly, and why."""

    target: str
    key: str
    reason: str


@dataclass(frozen=True, slots=True)
class ImportResult:
    """What an import did. `skipped` is live and not in its file; `left_out` are fields no schema knows; `not_live` are
    policies of git that the live system does not have: their files stay. `complete`: the whole list was read.
    """

    files: tuple[FileOf, ...]
    skipped: tuple[NotImported, ...]
    left_out: tuple[NotImported, ...]
    not_live: tuple[NotImported, ...]
    complete: bool


@dataclass(slots=True)
class _Work:
    """The import of one target: what was read, and the files in the making."""

    session: Session
    target: TargetSettings
    files: Files
    desired: Desired
    data: dict[str, bytes]
    done: list[FileOf] = field(default_factory=list)
    skipped: list[NotImported] = field(default_factory=list)
    left_out: list[NotImported] = field(default_factory=list)
    not_live: list[NotImported] = field(default_factory=list)
    known: set[str] = field(default_factory=set)

    def skip(self, key: str, reason: str) -> None:
        self.skipped.append(NotImported(self.target.name, key, reason))

    def finish(self, path: str, key: str, status: str) -> None:
        self.done.append(FileOf(self.target.name, path, key, status))


def import_live(session: Session, names: tuple[str, ...] = (), only: Sequence[str] = ()) -> ImportResult:
    """Bring the working tree's policy files up to what the named targets (all when none is named) hold.

    With *only* just these keys, unmanaged ones included. Afterwards a plan finds the policies in sync. Files are
    written one by one, each whole or not at all; all are decided on first.
    """
    targets = choose_targets(read_work_tree(session).config, names)
    _require_own_folders(targets)
    works = [_decide(session, target, frozenset(only)) for target in targets]
    _require_known(works, only)
    for work, _ in works:
        _write(work)
    return ImportResult(
        files=tuple(sorted((each for work, _ in works for each in work.done), key=lambda each: (each.path, each.key))),
        skipped=_sorted(each for work, _ in works for each in work.skipped),
        left_out=_sorted(each for work, _ in works for each in work.left_out),
        not_live=_sorted(each for work, _ in works for each in work.not_live),
        complete=all(listing.complete for _, listing in works),
    )


# ------------------------------------------------------------------------------------------------ deciding


def _decide(session: Session, target: TargetSettings, only: frozenset[str]) -> tuple[_Work, Listing]:
    """Read everything and make the new bytes of one target's files; nothing is written."""
    files = read_work_tree(session, (target.name,))
    work = _Work(session, target, files, _load(session, target, files), {})
    known = [problem for problem in files.problems if problem.code != "missing-folder"]
    require_valid([*known, *work.desired.problems], len(files.raw))
    applied = _owned(session, target, files)
    listing = connect(session, target).fetch_listing()
    if not listing.complete:
        session.notice(f"warning: the list of live policies of {target.name} may not be whole: {listing.reason}")
    matched = match_policies(
        work.desired.policies,
        applied,
        listing.policies,
        key_field=capabilities_of(target).key_field,
        only=only,
        where=f"target {target.name}",
    )
    twins = {key for key, count in Counter(live.natural_key for live in listing.policies).items() if count > 1}
    documents = _documents(work)
    strangers = [Pair(live.natural_key, None, None, live) for live in matched.unmanaged]
    work.known = {MODE_KEY, *(pair.key for pair in (*matched.pairs, *strangers))}
    chosen = [pair for pair in (*matched.pairs, *strangers) if not only or pair.key in only]
    for pair in chosen:
        if pair.live is None:
            if pair.desired is not None:
                work.not_live.append(NotImported(target.name, pair.key, "git has it, the live system does not"))
        elif pair.desired is not None:
            _change(work, documents[pair.key], pair.desired, pair.live)
        elif pair.live.natural_key in twins:
            work.skip(pair.key, "several live policies have this name; rename or delete all but one")
        else:
            _add(work, pair, pair.live)
    if not only or MODE_KEY in only:
        _set_mode(work, listing.mode)
    _drop_what_does_not_fit(work)
    _name_what_is_left(work, {pair.key: pair.live for pair in chosen if pair.live is not None})
    return work, listing


def _load(session: Session, target: TargetSettings, files: Files) -> Desired:
    """What the files ask for now. An overlay may already speak of a policy that is only about to come."""
    keys = {
        policy_key(target.provider, document.value)
        for path, data in files.folders[target.policies].files.items()
        for document in read_documents(data, path)[0]
    }
    overlays = tuple({key: patch for key, patch in overlay.items() if key in keys} for overlay in target.overlays)
    return load_desired(session, replace(target, overlays=overlays), files)


def _owned(session: Session, target: TargetSettings, files: Files) -> Mapping[str, Applied]:
    """The ledger's entries; none before the first commit, when everything is about to be adopted."""
    repository = open_repository(session.root)
    try:
        head = repository.head()
    except GitError:
        return {}
    remote = repository.remote_name(files.config.remote)
    synced = sync_ledger(session, repository, remote, target.name, applying=False)
    return owned_entries(session, repository, target, head, read_ledger(repository, synced.tip))


def _documents(work: _Work) -> dict[str, Document]:
    return {
        policy_key(work.target.provider, document.value): document
        for path, data in work.files.folders[work.target.policies].files.items()
        for document in read_documents(data, path)[0]
    }


def _change(work: _Work, document: Document, policy: Policy, live: LivePolicy) -> None:
    """Bring one policy's document up to what is live."""
    schema = schema_of(work.session, work.target, live.body)
    imported = import_into(
        document.value,
        _whole(policy.body, policy.enabled),
        _whole(live.body, live.enabled),
        schema,
        _ignored(work, policy),
    )
    _leave_out(work, policy.key, imported)
    if imported.value == document.value:
        work.finish(document.path, policy.key, UNCHANGED)
        return
    if (work.session.root / document.path).is_symlink():
        work.skip(policy.key, f"{document.path} is a symbolic link; nothing is written through links")
        return
    if not _is_policy(work, policy.key, imported.value):
        return
    before = work.data.get(document.path) or work.files.raw[document.path]
    try:
        work.data[document.path] = edit_file(before, document.path, document.index, imported.value)
    except CannotWrite as error:
        work.skip(policy.key, str(error))
        return
    work.finish(document.path, policy_key(work.target.provider, imported.value), UPDATED)


def _add(work: _Work, pair: Pair, live: LivePolicy) -> None:
    """Make a file for a live policy that git does not have; one that git had keeps the metadata it was applied with."""
    folded = {_fold(policy.key) for policy in work.desired.policies} | {_fold(each.key) for each in work.done}
    if _fold(pair.key) in folded:
        work.skip(pair.key, "its name differs from another policy's only by case or by how characters are written")
        return
    imported = import_new(_whole(live.body, live.enabled), schema_of(work.session, work.target, live.body))
    _leave_out(work, pair.key, imported)
    value = imported.value
    if pair.applied is not None and pair.applied.metadata:
        value = {**value, METADATA: dict(pair.applied.metadata)}
    if not _is_policy(work, pair.key, value):
        return
    path = _free_path(work, pair.key)
    if path is None:
        work.skip(pair.key, "the file names it could have are taken")
        return
    schema_path = posixpath.relpath(f"schemas/{work.target.provider}.policy.schema.json", posixpath.dirname(path))
    try:
        work.data[path] = new_file(value, path, schema_path)
    except CannotWrite as error:
        work.skip(pair.key, str(error))
        return
    work.finish(path, policy_key(work.target.provider, value), CREATED)


def _set_mode(work: _Work, live: str | None) -> None:
    """Where git speaks of the enforcement mode, let it say the live one; where it does not, it need not begin to."""
    settings = work.files.folders[work.target.policies].settings
    if settings is None or work.desired.mode is None or live is None:
        return
    path, data = settings
    if live.lower() == work.desired.mode.lower():
        work.finish(path, MODE_KEY, UNCHANGED)
        return
    [document] = read_documents(data, path)[0][:1]
    try:
        work.data[path] = edit_file(data, path, document.index, {**document.value, MODE_KEY: live.lower()})
    except CannotWrite as error:
        work.skip(MODE_KEY, str(error))
        return
    work.finish(path, MODE_KEY, UPDATED)


def _is_policy(work: _Work, key: str, value: Body) -> bool:
    """Whether the schema takes *value*; what is live need not be something that git may say."""
    found = work.session.schemas.violations_of_policy(work.target.provider, value)
    errors = [each for each in found if each.severity is Severity.ERROR]
    if errors:
        more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
        work.skip(key, f"no schema takes it: {errors[0].message} at {errors[0].pointer or '/'}{more}")
    return not errors


def _leave_out(work: _Work, key: str, imported: Imported) -> None:
    if imported.left_out:
        work.left_out.append(NotImported(work.target.name, key, ", ".join(imported.left_out)))


def _ignored(work: _Work, policy: Policy) -> Callable[[str], bool]:
    pointers = [rule.pointer for rule in work.target.ignore if rule.key in (policy.key, EVERY)]
    return lambda pointer: any(pointer == each or pointer.startswith(each + "/") for each in pointers)


def _whole(body: Body, enabled: bool) -> dict[str, Json]:
    return {**body, "enabled": enabled}


def _fold(key: str) -> str:
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", key).casefold())


def _free_path(work: _Work, key: str) -> str | None:
    """A path in the policy folder where nothing is, on disk or about to be; `settings.yaml` is reserved."""
    folder = posixpath.normpath(work.target.policies)
    for name in (file_name(key), other_file_name(key)):
        path = posixpath.normpath(posixpath.join(folder, f"{name}.yaml"))
        taken = path in work.data or os.path.lexists(work.session.root / path)
        if not taken and path != posixpath.normpath(posixpath.join(folder, SETTINGS)):
            return path
    return None


# ------------------------------------------------------------------------------------------------ checking


def _drop_what_does_not_fit(work: _Work) -> None:
    """Read the new files as a plan would; a file that is not valid among the others is left as it was."""
    while work.data:
        after = _load(work.session, work.target, _with_new(work))
        if not has_errors(after.problems):
            return
        problem = next(each for each in after.problems if each.severity is Severity.ERROR)
        path = problem.path if problem.path in work.data else max(work.data)
        del work.data[path]
        for each in [each for each in work.done if each.path == path and each.status != UNCHANGED]:
            work.done.remove(each)
            work.skip(each.key, problem.message)


def _with_new(work: _Work) -> Files:
    folder = work.files.folders[work.target.policies]
    settings = folder.settings
    if settings is not None:
        settings = (settings[0], work.data.get(settings[0], settings[1]))
    mine = {path: data for path, data in work.data.items() if settings is None or path != settings[0]}
    reading = replace(folder, files={**folder.files, **mine}, settings=settings)
    return replace(work.files, folders={**work.files.folders, work.target.policies: reading})


def _name_what_is_left(work: _Work, live: Mapping[str, LivePolicy]) -> None:
    """Say which fields a plan will still want to change: overlays and exceptions have the last word over a file."""
    after = {policy.key: policy for policy in _load(work.session, work.target, _with_new(work)).policies}
    written = {each.key for each in work.done}
    for key in sorted(written & after.keys() & live.keys()):
        policy, found = after[key], live[key]
        ignored = _ignored(work, policy)
        schema = schema_of(work.session, work.target, found.body)
        diffs = diff_policy(_whole(policy.body, policy.enabled), _whole(found.body, found.enabled), {}, schema)
        pointers = [diff.pointer for diff in diffs if not ignored(diff.pointer)]
        if pointers:
            work.skip(key, f"an overlay or an exception says otherwise: {', '.join(pointers)}")


def _require_own_folders(targets: Sequence[TargetSettings]) -> None:
    """Two live systems cannot both be written into one folder."""
    shared = [name for name, count in Counter(target.policies for target in targets).items() if count > 1]
    if shared:
        named = ", ".join(target.name for target in targets if target.policies in shared)
        raise UsageError(
            f"{named} share the folder {quoted(shared[0])}", where="import", fix="name one of them with -t"
        )


def _require_known(works: Sequence[tuple[_Work, Listing]], only: Sequence[str]) -> None:
    known = {key for work, _ in works for key in work.known}
    for key in only:
        if key not in known:
            import difflib

            near = difflib.get_close_matches(key, known, n=1)
            raise UsageError(
                f"there is no policy {quoted(key)}, in git or live"
                + (f"; did you mean {quoted(near[0])}?" if near else ""),
                where="--only",
                fix="name a policy by its key, as `reconciler status` shows it",
                code="unknown-policy",
            )


# ------------------------------------------------------------------------------------------------- writing


def _write(work: _Work) -> None:
    """Put the decided files in place; one that somebody touched meanwhile is left to them."""
    root = work.session.root
    for path, data in sorted(work.data.items()):
        read = work.files.raw.get(path)
        if read is None:
            written = write_new(root, path, data)
        else:
            written = not (root / path).is_symlink() and (root / path).read_bytes() == read
            if written:
                replace_file(root, path, data)
        if not written:
            for each in [each for each in work.done if each.path == path and each.status != UNCHANGED]:
                work.done.remove(each)
                work.skip(each.key, f"{path} was changed meanwhile")


def _sorted(entries: Iterable[NotImported]) -> tuple[NotImported, ...]:
    return tuple(sorted(entries, key=lambda each: (each.target, each.key, each.reason)))
