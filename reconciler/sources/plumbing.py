"""What may be given to git, and what git answers: checks and parsers. Starts nothing, imports nothing heavy.

Names, ids and paths are checked here before they are arguments; git's output is untrusted text until it is parsed
here.
"""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

from reconciler.core.model import CommitInfo
from reconciler.core.ports import RefUpdate
from reconciler.errors import ConfigError, GitError, UnreachableError
from reconciler.sources.limits import CONTROL

#: More paths than this are not given to git one by one.
FEW = 64

SHA = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
REF = re.compile(r"refs/[A-Za-z0-9][A-Za-z0-9._%~+-]*(?:/[A-Za-z0-9_][A-Za-z0-9._%+-]*)*")
REMOTE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._/-]*")
TREE_PATH = re.compile(r"[A-Za-z0-9._~%/-]+")
_CONTROL_BYTE = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class Result:
    status: int
    out: bytes
    error: str


@dataclass(frozen=True, slots=True)
class Signature:
    """What git makes of one commit's signature. `state` is the letter of `%G?`; only `G` is good.

    `signer` is the principal of the signers file that the key belongs to, not what the author field claims.
    """

    commit: str
    state: str
    key: str
    signer: str

    @property
    def is_good(self) -> bool:
        return self.state == "G" and self.key.startswith("SHA256:") and bool(self.signer)


class Reader:
    """A child's output that remembers whether its end was seen."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self.at_end = False

    def _seen(self, data: bytes) -> bytes:
        self.at_end = self.at_end or not data
        return data

    def read(self, size: int) -> bytes:
        data: bytes = self._stream.read(size)
        self.at_end = self.at_end or len(data) < size
        return data

    def read_some(self) -> bytes:
        return self._seen(self._stream.read1(1 << 16))

    def readline(self) -> bytes:
        return self._seen(self._stream.readline())


# ------------------------------------------------------------------------------------------------ parsing


def parse_log(out: Reader) -> Iterator[tuple[CommitInfo, list[tuple[str, str | None]]]]:
    """Commits of `git log -z --raw` with our format: (commit, [(path, object id after it, or None)])."""
    tokens = _tokens(out)
    commit: CommitInfo | None = None
    records: list[tuple[str, str | None]] = []
    for raw in tokens:
        token = raw.lstrip(b"\n")
        if token.startswith(b"\x01"):
            if commit is not None:
                yield commit, records
            author, subject = next(tokens, b""), next(tokens, b"")
            commit = CommitInfo(as_text(token[1:]), as_text(author), as_text(subject))
            records = []
        elif token.startswith(b":"):
            parents = len(token) - len(token.lstrip(b":"))
            fields = token.lstrip(b":").split(b" ")
            after = fields[2 * parents + 1].decode("ascii", "replace")
            records.append((os.fsdecode(next(tokens, b"")), after if after.strip("0") else None))
    if commit is not None:
        yield commit, records


def _tokens(out: Reader) -> Iterator[bytes]:
    rest = b""
    while chunk := out.read_some():
        *whole, rest = (rest + chunk).split(b"\0")
        yield from whole
    if rest:
        yield rest


def parse_tree(out: bytes) -> Iterator[tuple[str, str, str, str]]:
    """Mode, kind, object id and path of `git ls-tree -z`."""
    for line in os.fsdecode(out).split("\0")[:-1]:
        facts, _, path = line.partition("\t")
        mode, kind, sha = facts.split(" ")
        yield mode, kind, sha, path


def parse_header(line: bytes) -> tuple[str, str, int]:
    """Id, kind and size from `git cat-file --batch`; a name it does not know is of kind `missing`."""
    sha, _, facts = line.partition(b" ")
    kind, _, size = facts.partition(b" ")
    if SHA.fullmatch(as_text(sha)) and size.isdigit() and kind in (b"blob", b"tree", b"commit", b"tag"):
        return as_text(sha), as_text(kind), int(size)
    return as_text(sha), "missing", 0


def parse_refs(out: bytes, between: bytes) -> dict[str, str]:
    found: dict[str, str] = {}
    for line in out.split(b"\n"):
        sha, _, ref = line.partition(between)
        if SHA.fullmatch(as_text(sha)) and REF.fullmatch(as_text(ref)) and sha.strip(b"0"):
            found[as_text(ref)] = as_text(sha)
    return found


def parse_signatures(out: bytes) -> tuple[Signature, ...]:
    """Commits of `git log -z` with the format `%H %G? %GF %GS`, a NUL behind each part."""
    parts = [as_text(part) for part in out.split(b"\0")[:-1]]
    found = tuple(Signature(*parts[at : at + 4]) for at in range(0, len(parts) - len(parts) % 4, 4))
    if len(parts) % 4 or not all(SHA.fullmatch(each.commit) for each in found):
        raise GitError("git log gave no signatures", where="git log", fix="update git; 2.36 or newer is needed")
    return found


def parse_push(out: bytes) -> dict[str, tuple[str, str]]:
    """Flag and summary for each remote ref of `git push --porcelain`."""
    found: dict[str, tuple[str, str]] = {}
    for line in as_text(out).split("\n"):
        fields = line.split("\t")
        if len(fields) == 3 and len(fields[0]) == 1:
            found[fields[1].rpartition(":")[2]] = (fields[0], fields[2])
    return found


def is_ours(move: RefUpdate, seen: tuple[str, str] | None) -> bool:
    if seen is None:
        return False
    flag, summary = seen
    if move.new is None:
        return flag == "-"
    if move.old is None:
        return flag == "*"
    before, _, after = summary.split(" ")[0].partition(".")
    return flag in " +" and before == move.old and after.lstrip(".") == move.new


def is_contention(text: str) -> bool:
    """Whether git's refusal means that somebody else moved the ref first."""
    signs = ("stale info", "failed to update ref", "cannot lock ref", "already exists", "atomic", "fetch first")
    return any(sign in text for sign in (*signs, "non-fast-forward", "incorrect old value", "but expected"))


# ------------------------------------------------------------------------------------------------- checks


def full_id(sha: str) -> str:
    if not SHA.fullmatch(sha):
        raise GitError("this is not a full object id", where=clean(sha), fix="resolve the revision first")
    return sha


def checked_ref(ref: str) -> str:
    if not REF.fullmatch(ref) or ".." in ref or ref.endswith((".lock", ".")):
        raise GitError("this is not the name of a ref", where=clean(ref), fix="target names are [a-z0-9-]+")
    return ref


def checked_remote(remote: str) -> str:
    if not REMOTE.fullmatch(remote):
        raise GitError("this is not the name of a remote", where=clean(remote), fix="see git remote")
    return remote


def checked_path(path: str) -> str:
    """A path relative to the folder; `.` is the folder itself and becomes empty."""
    normal = posixpath.normpath(path)
    if normal == ".":
        return ""
    if not is_inside(normal):
        raise ConfigError("this path leaves the repository", where=clean(path), fix="give a path below reconciler.yaml")
    return normal


def is_inside(path: str) -> bool:
    """Whether *path* is a plain relative path: it may be asked of git, and a line of `cat-file` can hold it."""
    return bool(path) and not _CONTROL_BYTE.search(path) and not any(p in ("", ".", "..") for p in path.split("/"))


def cover(paths: Collection[str]) -> list[str]:
    """Paths to give to git for *paths*: themselves when few, else the folder that holds them all (none: the root)."""
    if len(paths) <= FEW:
        return sorted(paths)
    folders = sorted({posixpath.dirname(path) for path in paths})
    if len(folders) > FEW:
        common = posixpath.commonpath(folders) if all(folders) else ""
        folders = [common] if common else []
    return [] if "" in folders else folders


def unreachable(remote: str, result: Result) -> UnreachableError:
    return UnreachableError(
        f"the git remote cannot be used now: {last_line(result.error)}",
        where=f"remote {remote}",
        fix=f"check network and credentials with: git ls-remote {remote}",
    )


def last_line(error: str) -> str:
    """The line of git's own text that says most, cleaned: the first `fatal:` or `error:`, else the last."""
    lines = [line.strip() for line in error.split("\n") if line.strip()]
    telling = [line for line in lines if line.startswith(("fatal:", "error:", "Timeout:", "remote: error:"))]
    line = (telling or lines[-1:] or ["no reason given"])[0]
    return clean(re.sub(r"//[^/@\s]+@", "//***@", line))


def clean(text: str) -> str:
    return CONTROL.sub("?", text)[:200]


def as_text(data: bytes) -> str:
    return data.decode("utf-8", "replace")


def as_bytes(data: bytes | str | None) -> bytes:
    return data if isinstance(data, bytes) else (data or "").encode("utf-8", "replace")
