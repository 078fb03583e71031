"""Which files of a folder on disk are not what they were at a commit, reading only those whose stat cannot tell.

Three things tell: git's index (what git last saw on disk), the difference between index and commit (ids of objects
only), and for the rest the bytes. No filter of the repository runs, and neither a bit in the index nor a time that is
too coarse hides a change (`index.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from reconciler.sources.directory import Found, is_policy_file, list_commit, read_listed
from reconciler.sources.git import Repository
from reconciler.sources.index import Index


@dataclass(frozen=True, slots=True)
class Base:
    """A commit to compare with. `staged` has what the index has otherwise, with the ids at the commit.

    Without an `index` that can tell, ids alone do.
    """

    repository: Repository
    commit: str
    index: Index | None
    staged: Mapping[str, str | None]

    def id_of(self, path: str) -> str | None:
        """The id of the file at *path*, one of those the base was made for; None where there was none."""
        if self.index is None:
            return self.repository.tree_ids(self.commit, [path])[path]
        return self.staged[path] if path in self.staged else self.index.id_of(path)


def make_base(repository: Repository, commit: str, places: Sequence[str]) -> Base:
    """Return *commit* to compare the files at and below *places* with. One process."""
    index = repository.read_index()
    return Base(repository, commit, index, {} if index is None else repository.staged(commit, places))


def differing(base: Base, found: Found) -> dict[str, str | None]:
    """Return the files of a folder that differ from *base*, each with its id there; None for a new one."""
    index, blob_id = base.index, base.repository.blob_id
    if index is None or found.links:  # what a link leads to has an id of its own
        before: Mapping[str, str | None] = list_commit(base.repository, base.commit, found.folder).places
        now = {path: blob_id(data) for path, data in read_listed(found, found.places).all_files.items()}
        return {path: before.get(path) for path in found.places if now.get(path) != before.get(path)}
    unsure = set(index.unsure(found.places))
    read = read_listed(found, unsure).all_files
    here = {path: index.id_of(path) for path in base.staged.keys() & found.places.keys()}
    here |= {path: blob_id(read[path]) if path in read else None for path in unsure}
    return {path: base.id_of(path) for path in sorted(here) if here[path] is None or here[path] != base.id_of(path)}


def gone(base: Base, found: Found) -> set[str]:
    """Return the ids at *base* of policy files of a folder that are staged to go."""
    below = "" if found.folder == "." else found.folder + "/"
    return {
        blob
        for path, blob in base.staged.items()
        if blob is not None and path not in found.places and path.startswith(below) and is_policy_file(path)
    }
