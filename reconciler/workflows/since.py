"""Which files a branch changed: what `validate --since` looks at, for pull requests of large repositories.

Told by object ids, git's index and the stat of each file; only what these cannot tell is read. No filter of the
repository runs, and what is staged or only saved counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from reconciler.config import FILE_NAME
from reconciler.core.documents import read_documents
from reconciler.core.model import TargetSettings
from reconciler.core.schema import policy_key
from reconciler.sources.changed import Base, differing, gone, make_base
from reconciler.sources.directory import Found, Reading, list_directory, read_listed
from reconciler.sources.git import open_repository
from reconciler.workflows.session import ReadFolders, Session, folders_of

#: More changed files than this in a folder, and the whole folder is checked: it takes no longer.
FEW = 64


@dataclass(frozen=True, slots=True)
class _Folder:
    """One folder on disk, the providers of its targets, and whether it is read whole whatever changed."""

    found: Found
    providers: frozenset[str]
    whole: bool


def reader_since(session: Session, revision: str) -> ReadFolders:
    """Return what reads only the files that differ from *revision*, and whatever may have the key of such a policy.

    Everything, where what differs decides on other files too: reconciler.yaml, a target with overlays. What was wrong
    at *revision* already and is in a file that did not change stays unsaid; so do two policies of one key that both
    were there.
    """

    def read(settings: bytes, targets: Sequence[TargetSettings]) -> dict[str, Reading]:
        repository = open_repository(session.root)
        folders = {name: _look(session, name, targets) for name in folders_of(targets)}
        base = make_base(repository, repository.resolve(revision), [FILE_NAME, *folders])
        if base.id_of(FILE_NAME) != repository.blob_id(settings):
            return {name: read_listed(each.found, each.found.places) for name, each in folders.items()}
        return {name: _read_changed(base, each) for name, each in folders.items()}

    return read


def _look(session: Session, name: str, targets: Sequence[TargetSettings]) -> _Folder:
    sharing = [target for target in targets if target.policies == name]
    return _Folder(
        list_directory(session.root, name),
        frozenset(target.provider for target in sharing),
        any(target.overlays for target in sharing),
    )


def _read_changed(base: Base, folder: _Folder) -> Reading:
    found = folder.found
    changed = {} if folder.whole else differing(base, found)
    if folder.whole or len(changed) > FEW:
        return read_listed(found, found.places)
    here = read_listed(found, changed)
    before = base.repository.read_blobs({*gone(base, found), *(blob for blob in changed.values() if blob is not None)})
    keys = _keys(folder.providers, here.files) - _keys(folder.providers, before)
    if not keys:
        return here
    others = read_listed(found, found.places).files
    return read_listed(found, {*changed, *(path for path, data in others.items() if _holds(data.lower(), keys))})


def _keys(providers: Iterable[str], files: Mapping[str, bytes]) -> set[bytes]:
    """The keys of the policies in *files*, in lower case: two that differ by case alone are one too many."""
    documents = [document for path, data in files.items() for document in read_documents(data, path)[0]]
    keys = {policy_key(provider, document.value) for provider in providers for document in documents}
    return {key.encode("utf-8", "replace").lower() for key in keys} - {b""}


def _holds(data: bytes, keys: set[bytes]) -> bool:
    return any(key in data for key in keys)
