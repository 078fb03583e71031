"""What the engine needs from outside, as protocols: a clock, randomness, a git store, threads.

The real ones are in `reconciler/clock.py`, `reconciler/sources/git.py` and `reconciler/workers.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

Job = Callable[[], None]
#: Does all of these, several at once, and returns when all are done.
Spread = Callable[[Sequence[Job]], None]


class Clock(Protocol):
    """Wall clock for display, monotonic clock for waiting. Nothing else in the program knows the time."""

    def now(self) -> datetime:
        """The wall clock in UTC, aware."""
        ...

    def monotonic(self) -> float:
        """Seconds that never go back."""
        ...

    def sleep(self, seconds: float) -> None:
        """Wait; the only way anything in this program waits."""
        ...


class Random(Protocol):
    """Jitter and nonces."""

    def uniform(self, low: float, high: float) -> float: ...

    def nonce(self) -> str:
        """32 lower-case hex characters, never repeated."""
        ...


# --------------------------------------------------------------------------------------------------- git


@dataclass(frozen=True, slots=True)
class TreeFile:
    """One entry of a commit's tree that is not a folder: path, object id, and mode as git writes it (`100644`)."""

    path: str
    blob: str
    mode: str


@dataclass(frozen=True, slots=True)
class RefUpdate:
    """One compare-and-swap: `ref` goes from `old` to `new`; None is "absent" on either side."""

    ref: str
    new: str | None
    old: str | None


class PushStatus(StrEnum):
    """`stale`: a ref was not as expected and nothing moved. `refused`: the host said no for another reason."""

    DONE = "done"
    STALE = "stale"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class PushResult:
    """What a push came to. `detail` is the host's own text, cut and cleaned."""

    status: PushStatus
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Revision:
    """One commit of a chain with what it changed against its parent: path to object id, None where removed."""

    sha: str
    changes: Mapping[str, str | None]


class GitStore(Protocol):
    """Objects and refs, as ledger and lock need them. Paths are from the root of a commit's tree.

    All ids are full. Only methods that name a remote use the network; they raise `UnreachableError`.
    """

    def read_ref(self, ref: str) -> str | None:
        """The object a local ref points at, None when there is no such ref."""
        ...

    def update_refs(self, updates: Sequence[RefUpdate]) -> bool:
        """Move local refs, all or none; False when one of them is not at its `old`."""
        ...

    def list_remote(self, remote: str, pattern: str) -> Mapping[str, str]:
        """The remote's refs that match, with the objects they point at."""
        ...

    def fetch_objects(self, remote: str, refs: Collection[str]) -> None:
        """Bring the objects of these remote refs here; no local ref moves."""
        ...

    def push(self, remote: str, updates: Sequence[RefUpdate]) -> PushResult:
        """Move remote refs in one atomic push, each only from its `old`."""
        ...

    def has_commit(self, sha: str) -> bool: ...

    def is_ancestor(self, ancestor: str, descendant: str) -> bool:
        """Whether history here proves it; a commit is its own ancestor."""
        ...

    def ancestors(self, head: str, commits: Iterable[str]) -> set[str]:
        """Those of *commits* that are *head* or its ancestors, as far as history here proves it."""
        ...

    def read_tree(self, commit: str) -> tuple[TreeFile, ...]:
        """Every file of a commit, sorted by path."""
        ...

    def read_blobs(self, ids: Iterable[str]) -> dict[str, bytes]:
        """Contents by id. One that is over the size limit is left out."""
        ...

    def blobs_at(self, places: Iterable[tuple[str, str]]) -> dict[tuple[str, str], str]:
        """The object ids of files at (commit, path from the folder of `reconciler.yaml`); absent ones are left out."""
        ...

    def write_commit(self, parent: str | None, changes: Mapping[str, bytes | None], message: str, at: datetime) -> str:
        """Write the parent's tree with these files set (None: removed) as a commit; no ref moves.

        The same arguments give the same id.
        """
        ...

    def read_message(self, sha: str) -> str | None:
        """The message of a commit; None when it is not here or is no commit."""
        ...

    def read_chain(self, tip: str, limit: int | None = None) -> tuple[Revision, ...]:
        """A commit and its first parents, newest first."""
        ...
