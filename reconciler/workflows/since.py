"""Which files a branch changed: what `validate --since` looks at, for pull requests of large repositories.

Compared by object id over the bytes on disk: no filter of the repository runs, and what is staged or only saved counts.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from reconciler.config import FILE_NAME, OVERRIDES_NAME
from reconciler.core.documents import read_documents
from reconciler.core.model import TargetSettings
from reconciler.core.schema import policy_key
from reconciler.sources.directory import Reading, dirty_paths
from reconciler.sources.git import Repository, open_repository
from reconciler.workflows.session import Files, Session

#: More changed files than this in a folder, and the whole folder is checked: it takes no longer.
FEW = 64


def changed_since(session: Session, files: Files, targets: Iterable[TargetSettings], revision: str) -> Files:
    """Return *files* with only what differs from *revision*, and whatever may have the key of such a policy.

    Everything, where what differs decides on other files too: reconciler.yaml, a target with overlays.
    """
    repository = open_repository(session.root)
    commit = repository.resolve(revision)
    if files.raw[FILE_NAME] != repository.read_file(commit, FILE_NAME):
        return files
    folders = dict(files.folders)
    for target in targets:
        if not target.overlays:
            folders[target.policies] = _changed(repository, commit, target, files.folders[target.policies])
    tops = {name: files.raw[name] for name in (FILE_NAME, OVERRIDES_NAME) if name in files.raw}
    raw = {**tops, **{path: data for folder in folders.values() for path, data in folder.all_files.items()}}
    return replace(files, folders=folders, raw=raw)


def _changed(repository: Repository, commit: str, target: TargetSettings, folder: Reading) -> Reading:
    differing = set(dirty_paths(repository, commit, target.policies, folder))
    here = {path: data for path, data in folder.files.items() if path in differing}
    if len(here) > FEW:
        return folder
    others = {path: data for path, data in folder.files.items() if path not in differing}
    return replace(folder, files=dict(sorted({**here, **_with_same_keys(target.provider, here, others)}.items())))


def _with_same_keys(provider: str, here: dict[str, bytes], others: dict[str, bytes]) -> dict[str, bytes]:
    """Return those of *others* that hold a key of *here* as text, in any case; two policies may have it."""
    documents = [document for path, data in here.items() for document in read_documents(data, path)[0]]
    keys = {policy_key(provider, document.value).encode("utf-8", "replace").lower() for document in documents} - {b""}
    return {path: data for path, data in others.items() if _holds(data.lower(), keys)}


def _holds(data: bytes, keys: set[bytes]) -> bool:
    return any(key in data for key in keys)
