"""What git stores, by id and by path: trees, blobs, and commits written without moving a ref.

In bulk: the number of git processes does not grow with the number of policies (performance.md 5). Every name is
checked before it is an argument (`plumbing.py`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from reconciler.core.ports import TreeFile
from reconciler.errors import GitError
from reconciler.sources.limits import MAX_BYTES
from reconciler.sources.plumbing import (
    FEW,
    SHA,
    TREE_PATH,
    Result,
    checked_path,
    clean,
    cover,
    full_id,
    is_inside,
    parse_header,
    parse_log,
    parse_tree,
)
from reconciler.sources.runner import Runner

#: All objects of one read together. Ten thousand policies are a few MiB.
MAX_TOTAL = 512 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Blobs:
    """Contents by object id, and the sizes of those that were too large to read."""

    data: Mapping[str, bytes]
    too_large: Mapping[str, int]


class Objects:
    """The objects of one repository, seen from one folder of its work tree.

    Holds no process and no descriptor between calls, and no answer that a commit, fetch or push could change. All
    methods may be called from several threads at once.
    """

    def __init__(
        self,
        *,
        folder: Path,
        top: Path,
        prefix: str,
        git_dir: Path,
        index_file: Path,
        object_format: str,
        runner: Runner,
    ) -> None:
        self.folder, self.top, self.git_dir, self.index_file = folder, top, git_dir, index_file
        self._prefix, self._format, self._runner = prefix, object_format, runner

    # --------------------------------------------------------------------------------------------- trees

    def list_files(self, commit: str, folders: Sequence[str]) -> dict[str, tuple[str, str]]:
        """Mode and id of every entry below *folders* (or of the file itself) at a commit; submodules and links too."""
        places = [self._prefix + checked_path(folder) for folder in folders]
        if not places:
            return {}
        inward = len(self._prefix)
        return {
            path[inward:]: (mode, sha)
            for mode, _, sha, path in self._list_tree(commit, places)
            if path.startswith(self._prefix)
        }

    def read_tree(self, commit: str) -> tuple[TreeFile, ...]:
        """Every file of a commit, from the root of its tree, sorted by path."""
        found = (TreeFile(path, sha, mode) for mode, _, sha, path in self._list_tree(commit, ()))
        return tuple(sorted(found, key=lambda entry: entry.path))

    def tree_ids(self, commit: str, paths: Iterable[str]) -> dict[str, str | None]:
        """The object ids of files or folders at a commit, None where there is nothing. `.` is the folder itself."""
        asked = {path: self._prefix + checked_path(path) for path in paths}
        found = self._tree(commit, asked.values())
        return {path: found[full][0] if full in found else None for path, full in asked.items()}

    def tree_kinds(self, commit: str, paths: Iterable[str]) -> dict[str, str | None]:
        """What stands at each path of a commit: `blob`, `tree`, `commit` (a submodule), or None."""
        asked = {path: self._prefix + checked_path(path) for path in paths}
        found = self._tree(commit, asked.values())
        return {path: found[full][1] if full in found else None for path, full in asked.items()}

    def blobs_at(self, places: Iterable[tuple[str, str]]) -> dict[tuple[str, str], str]:
        """The object ids of files at (commit, path); what is not there, or is no file, is left out.

        Two processes at most. A commit that itself touched the path tells in its own diff; only for the others is
        the path looked up in the commit's tree, which is slow in a folder of ten thousand files.
        """
        asked = {(sha, path) for sha, path in places if SHA.fullmatch(sha) and is_inside(path)}
        commits = sorted({sha for sha, _ in asked})
        found: dict[tuple[str, str], str] = {}
        if not commits:
            return found
        known = [sha for sha, kind, _, _ in self._check(commits) if kind == "commit"]
        for sha, path, blob in self._touched(known):
            place = (sha, self._inward(path) or "")
            if place in asked:
                found[place] = blob
        rest = sorted((sha, path) for sha, path in asked - found.keys() if sha in set(known))
        replies = self._check([f"{sha}:{self._prefix}{path}" for sha, path in rest])
        found |= {place: blob for place, (blob, kind, _, _) in zip(rest, replies, strict=True) if kind == "blob"}
        return found

    def _touched(self, commits: Sequence[str]) -> Iterator[tuple[str, str, str]]:
        """Commit, full path and new object id of every file these commits set."""
        if not commits:
            return
        options = ["--stdin", "--root", "-r", "-c", "-z", "--raw", "--no-abbrev", "--no-renames", "--no-ext-diff"]
        options += ["--no-textconv", "--always", "--format=%x01%H%x00%x00"]
        given = "".join(f"{sha}\n" for sha in commits).encode("ascii")
        with self._runner.stream(["diff-tree", *options], given) as out:
            for commit, records in parse_log(out):
                for path, blob in records:
                    if blob is not None:
                        yield commit.sha, path, blob

    def read_blobs(self, ids: Iterable[str]) -> dict[str, bytes]:
        """Contents by id, one process. One over 1 MiB is left out; `read_blobs_sized` tells which."""
        return dict(self.read_blobs_sized(ids).data)

    def read_blobs_sized(self, ids: Iterable[str]) -> Blobs:
        """Contents by id, and the sizes of those over 1 MiB, which are never held in memory."""
        data: dict[str, bytes] = {}
        large: dict[str, int] = {}
        total = 0
        for sha, kind, size, content in self._batch(sorted({full_id(blob) for blob in ids}), limit=MAX_BYTES):
            if kind != "blob":
                raise GitError(
                    f"object {sha} is missing or is no file",
                    where=str(self.git_dir),
                    fix="run git fsck; a partial clone needs its remote to be reachable",
                )
            total += size if content is not None else 0
            if total > MAX_TOTAL:
                raise GitError("the files are larger than 512 MiB together", where=str(self.folder), fix="remove some")
            if content is None:
                large[sha] = size
            else:
                data[sha] = content
        return Blobs(data, large)

    def read_file(self, commit: str, path: str) -> bytes | None:
        """The content of a regular file at a commit; None when there is none, and for a link or submodule."""
        full = self._prefix + checked_path(path)
        found = next(((mode, sha) for mode, _, sha, name in self._list_tree(commit, [full]) if name == full), None)
        if found is None or found[0] not in ("100644", "100755"):
            return None
        blobs = self.read_blobs_sized([found[1]])
        if blobs.too_large:
            raise GitError("this file is over 1 MiB", where=f"{clean(path)} at {commit[:7]}", fix="split it")
        return blobs.data[found[1]]

    def blob_id(self, data: bytes) -> str:
        """The object id these bytes have in this repository, with no filter applied.

        Compared with the ids of a commit it tells a dirty file without `git status`, which runs filters and fsmonitor.
        """
        return self._object_id(b"blob", data)

    def _object_id(self, kind: bytes, data: bytes) -> str:
        algorithm = hashlib.sha256 if self._format == "sha256" else hashlib.sha1
        return algorithm(kind + b" %d\0" % len(data) + data, usedforsecurity=False).hexdigest()

    def _tree(self, commit: str, paths: Iterable[str]) -> dict[str, tuple[str, str, str]]:
        """Object id, kind and mode of full paths at a commit; the mode only where there are many.

        Few are looked up one by one; for many, one listing of the folder that holds them all is faster.
        """
        wanted = sorted({path.rstrip("/") for path in paths})
        found: dict[str, tuple[str, str, str]] = {}
        if len(wanted) > FEW:
            arguments = ["ls-tree", "-r", "-t", "-z", "--full-tree", "--end-of-options", full_id(commit)]
            for mode, kind, sha, path in parse_tree(self._run([*arguments, *cover(wanted)]).out):
                found[path] = (sha, kind, mode)
            wanted = [""] if "" in wanted else []
        names = [f"{full_id(commit)}^{{tree}}" if path == "" else f"{commit}:{path}" for path in wanted]
        for path, (sha, kind, _, _) in zip(wanted, self._check(names), strict=True):
            if kind != "missing":
                found[path] = (sha, kind, "")
        return found

    def _list_tree(self, commit: str, places: Sequence[str]) -> Iterator[tuple[str, str, str, str]]:
        """Mode, kind, id and full path of every file at or below *places*."""
        # No "--": after --end-of-options, ls-tree takes it for a path.
        arguments = ["ls-tree", "-r", "-z", "--full-tree", "--end-of-options", full_id(commit)]
        named = [place.rstrip("/") for place in places]
        if "" not in named:
            arguments += named
        return parse_tree(self._run(arguments).out)

    def _inward(self, full: str) -> str | None:
        return full[len(self._prefix) :] if full.startswith(self._prefix) else None

    # ------------------------------------------------------------------------------------------- writing

    def write_commit(self, parent: str | None, changes: Mapping[str, bytes | None], message: str, at: datetime) -> str:
        """Write the parent's tree with these files set (None: removed) as a commit; no ref moves. One process.

        Paths are from the root of the tree. Author and date are given, so the same arguments give the same id.
        """
        text = message.encode("utf-8", "replace")
        who = b"reconciler <reconciler@localhost> %d +0000" % int(at.timestamp())
        parts = [b"committer " + who + b"\ndata %d\n" % len(text) + text + b"\n"]
        if parent is not None:
            parts.append(b"from " + full_id(parent).encode() + b"\n")
        for path, content in sorted(changes.items()):
            if not TREE_PATH.fullmatch(path) or not is_inside(path):
                raise ValueError(f"not a path to write: {path!r}")
            if content is None:
                parts.append(b"D " + path.encode() + b"\n")
            else:
                parts.append(b"M 100644 inline " + path.encode() + b"\ndata %d\n" % len(content) + content + b"\n")
        body = b"".join(parts)
        # fast-import must name a branch; resetting it to nothing in the same stream leaves the objects and no ref.
        branch = b"refs/reconciler/tmp/" + self._object_id(b"blob", body).encode()
        nothing = b"0" * (64 if self._format == "sha256" else 40)
        stream = b"commit " + branch + b"\nmark :1\n" + body + b"\nget-mark :1\n"
        stream += b"reset " + branch + b"\nfrom " + nothing + b"\n\ndone\n"
        result = self._run(["fast-import", "--quiet", "--done", "--date-format=raw"], given=stream)
        sha = result.out.decode("ascii", "replace").strip()
        if not SHA.fullmatch(sha):
            raise GitError("git fast-import gave no commit", where=str(self.git_dir), fix="check disk space and rights")
        return sha

    # ----------------------------------------------------------------------------------------- processes

    def _run(
        self,
        arguments: Sequence[str],
        *,
        given: bytes | None = None,
        ok: tuple[int, ...] | None = (0,),
        settings: Sequence[str] = (),
    ) -> Result:
        result = self._runner.run(arguments, given=given, settings=settings)
        if ok is not None and result.status not in ok:
            self._runner.fail(result)
        return result

    def _check(self, names: Sequence[str]) -> list[tuple[str, str, int, bytes | None]]:
        """Id, kind and size of each object named; kind `missing` where there is none. Order kept."""
        if not names:
            return []
        given = "".join(f"{name}\n" for name in names).encode("utf-8", "surrogateescape")
        lines = self._run(["cat-file", "--batch-check"], given=given).out.split(b"\n")[:-1]
        if len(lines) != len(names):
            raise GitError("git cat-file gave another number of answers", where=str(self.git_dir), fix="run git fsck")
        return [(*parse_header(line), None) for line in lines]

    def _batch(self, ids: Sequence[str], *, limit: int) -> Iterator[tuple[str, str, int, bytes | None]]:
        """Id, kind, size and content of each object, in order; content is None over *limit*. One process."""
        if not ids:
            return
        given = "".join(f"{sha}\n" for sha in ids).encode("ascii")
        with self._runner.stream(["cat-file", "--batch", "--buffer"], given) as out:
            for _ in ids:
                sha, kind, size = parse_header(out.readline().rstrip(b"\n"))
                if kind == "missing":
                    yield sha, kind, 0, None
                    continue
                content = None
                if size <= limit:
                    content = out.read(size)
                else:
                    left = size
                    while left > 0 and (skipped := len(out.read(min(left, MAX_BYTES)))):
                        left -= skipped
                out.read(1)
                yield sha, kind, size, content
            out.read(1)
