"""Git as ledger and lock see it (`core.ports.GitStore`): objects in a dict, one remote, clones that reach it or not.

The remote compares and swaps, all refs of a push or none. "Up to date" is not done: as with real git, it is somebody
else's success (reliability.md 6.1 b).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha1
from pathlib import Path

from reconciler.core.model import CommitInfo, Policy
from reconciler.core.ports import PushResult, PushStatus, RefUpdate, Revision, TreeFile
from reconciler.errors import UnreachableError
from tests.simulation.chance import Chance
from tests.simulation.world import World


@dataclass(frozen=True)
class Commit:
    parent: str | None
    files: Mapping[str, str]
    message: str


@dataclass
class Objects:
    """Every object there is. Who has which is the clones' matter; blobs everybody has.

    `desired` and `touched` remember what was read from a commit, which never changes.
    """

    commits: dict[str, Commit] = field(default_factory=dict)
    blobs: dict[str, bytes] = field(default_factory=dict)
    desired: dict[str, tuple[Policy, ...]] = field(default_factory=dict)
    touched: dict[str, dict[str, CommitInfo]] = field(default_factory=dict)

    def write(self, parent: str | None, changes: Mapping[str, bytes | None], message: str, at: str) -> str:
        files = dict(self.commits[parent].files) if parent is not None else {}
        for path, data in changes.items():
            if data is None:
                files.pop(path, None)
                continue
            blob = _hash(data)
            self.blobs[blob] = data
            files[path] = blob
        sha = _hash(repr((parent, sorted(files.items()), message, at)).encode())
        self.commits[sha] = Commit(parent, files, message)
        return sha

    def chain(self, sha: str | None) -> list[str]:
        """*sha* and its ancestors, newest first."""
        found = []
        while sha is not None:
            found.append(sha)
            sha = self.commits[sha].parent
        return found

    def read(self, sha: str, path: str) -> bytes | None:
        blob = self.commits[sha].files.get(path)
        return None if blob is None else self.blobs[blob]


def _hash(data: bytes) -> str:
    return sha1(data, usedforsecurity=False).hexdigest()


@dataclass
class Remote:
    """The bare repository everybody pushes to. `on_move` sees every move of a ref: ref, old, new.

    `outages`: from when to when nobody reaches it.
    """

    objects: Objects
    refs: dict[str, str] = field(default_factory=dict)
    outages: list[tuple[float, float]] = field(default_factory=list)
    on_move: Callable[[str, str | None, str | None], None] = lambda ref, old, new: None

    def move(self, updates: Sequence[RefUpdate]) -> PushResult:
        for update in updates:
            here = self.refs.get(update.ref)
            if here != update.old or (here == update.new and here is not None):
                return PushResult(PushStatus.STALE, "stale info")
        for update in updates:
            old = self.refs.pop(update.ref, None)
            if update.new is not None:
                self.refs[update.ref] = update.new
            self.on_move(update.ref, old, update.new)
        return PushResult(PushStatus.DONE)


class Clone:
    """One work tree's repository, at one commit. Local refs and fetched objects outlive the runs in it."""

    git_dir = Path(".git")

    def __init__(self, name: str, world: World, chance: Chance, remote: Remote, rates: Mapping[str, float]) -> None:
        self.name, self._world, self._chance, self._remote, self._rates = name, world, chance, remote, rates
        self._objects = remote.objects
        self._refs: dict[str, str] = {}
        self._known: set[str] = set()
        self._asked = 0
        #: Operation, fate and outcome of every contact with the remote.
        self.contacts: list[tuple[str, str, str]] = []

    def _network(self, what: str) -> str | None:
        """Take the time a remote takes; return the mishap that befalls this contact."""
        self._asked += 1
        label = f"git/{self.name}/{self._asked}"
        if self._world.is_alone:
            self._world.pause(self._chance.between(label + "/time", 0.05, 1.5))
        fate = self._chance.mishap(label, self._chance.weighted(label, self._rates))
        if any(first <= self._world.now < last for first, last in self._remote.outages):
            fate = "git-lost"
        if fate == "git-lost" or (fate is not None and what != "push"):
            self.contacts.append((what, "git-lost", "unreachable"))
            raise UnreachableError("the remote does not answer", where="origin", fix="try again")
        if what != "push":
            self.contacts.append((what, "deliver", "done"))
        return fate

    # ------------------------------------------------------------------------------------------ refs

    def read_ref(self, ref: str) -> str | None:
        return self._refs.get(ref)

    def update_refs(self, updates: Sequence[RefUpdate]) -> bool:
        if any(self._refs.get(update.ref) != update.old for update in updates):
            return False
        for update in updates:
            if update.new is None:
                self._refs.pop(update.ref, None)
            else:
                self._refs[update.ref] = update.new
        return True

    def list_remote(self, remote: str, pattern: str) -> Mapping[str, str]:
        self._network("list")
        return {ref: sha for ref, sha in self._remote.refs.items() if ref == pattern}

    def fetch_objects(self, remote: str, refs: Collection[str]) -> None:
        self._network("fetch")
        for ref in refs:
            if ref not in self._remote.refs:
                raise UnreachableError("no such ref", where="origin", fix="try again")
            self._known.update(self._objects.chain(self._remote.refs[ref]))

    def push(self, remote: str, updates: Sequence[RefUpdate]) -> PushResult:
        fate = self._network("push")
        result = self._remote.move([update for update in updates if update.new != update.old])
        self.contacts.append(("push", fate or "deliver", "unreachable" if fate else result.status.value))
        if fate == "git-reply-lost":
            raise UnreachableError("the connection broke during the push", where="origin", fix="try again")
        return result

    # --------------------------------------------------------------------------------------- objects

    def has_commit(self, sha: str) -> bool:
        return sha in self._known

    def checkout(self, sha: str) -> None:
        """Have *sha* and its history here."""
        self._known.update(self._objects.chain(sha))

    def is_ancestor(self, ancestor: str, descendant: str) -> bool:
        return ancestor in self._objects.chain(descendant)

    def ancestors(self, head: str, commits: Iterable[str]) -> set[str]:
        return set(self._objects.chain(head)) & set(commits)

    def read_tree(self, commit: str) -> tuple[TreeFile, ...]:
        files = self._objects.commits[commit].files
        return tuple(TreeFile(path, blob, "100644") for path, blob in sorted(files.items()))

    def read_blobs(self, ids: Iterable[str]) -> dict[str, bytes]:
        return {blob: self._objects.blobs[blob] for blob in ids}

    def blobs_at(self, places: Iterable[tuple[str, str]]) -> dict[tuple[str, str], str]:
        found = {}
        for commit, path in places:
            blob = self._objects.commits[commit].files.get(path)
            if blob is not None:
                found[commit, path] = blob
        return found

    def write_commit(self, parent: str | None, changes: Mapping[str, bytes | None], message: str, at: datetime) -> str:
        sha = self._objects.write(parent, changes, message, at.isoformat())
        self._known.add(sha)
        return sha

    def read_message(self, sha: str) -> str | None:
        return self._objects.commits[sha].message if sha in self._known else None

    def read_chain(self, tip: str, limit: int | None = None) -> tuple[Revision, ...]:
        raise NotImplementedError("a run reads no history of the ledger")
