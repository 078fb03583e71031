"""Everything this program asks of git; the one module that imports GitPython.

Plumbing commands with explicit arguments only, in bulk: the number of git processes does not grow with the number of
policies (performance.md 5). Nothing here reads YAML or decides anything. A repository and its host are hostile:
replace refs, grafts, hooks, fsmonitor and odd transports are off (reliability.md D17, D18, T9), and every name is
checked before it is an argument.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, Any, NoReturn

from reconciler.core.model import CommitInfo
from reconciler.core.ports import PushResult, PushStatus, RefUpdate, Revision, TreeFile
from reconciler.errors import ConfigError, GitError, UnreachableError
from reconciler.sources.limits import CONTROL, MAX_BYTES
from reconciler.sources.plumbing import (
    FEW,
    REF,
    REMOTE,
    SHA,
    TREE_PATH,
    Reader,
    Result,
    Signature,
    as_bytes,
    as_text,
    checked_path,
    checked_ref,
    checked_remote,
    clean,
    cover,
    full_id,
    is_contention,
    is_inside,
    is_ours,
    last_line,
    parse_header,
    parse_log,
    parse_push,
    parse_refs,
    parse_signatures,
    parse_tree,
    unreachable,
)

#: All objects of one read together. Ten thousand policies are a few MiB.
MAX_TOTAL = 512 * 1024 * 1024
#: Seconds until a command that talks to a remote is given up.
NETWORK_TIMEOUT = 60.0
#: Seconds until a command that may fetch a whole history is given up.
FETCH_TIMEOUT = 600.0


#: Set for every child, over whatever the caller's environment says.
_ENVIRONMENT = {
    "GIT_ALLOW_PROTOCOL": "https:ssh:file",
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_GRAFT_FILE": os.devnull,
    "GIT_LITERAL_PATHSPECS": "1",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_TERMINAL_PROMPT": "0",
    "LANGUAGE": "C",
    "LC_ALL": "C",
}

#: Removed for every child: in a git hook these point at another repository, index or object store.
_LOCATION = (
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_CEILING_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_DEFAULT_HASH",
    "GIT_DIR",
    "GIT_EXTERNAL_DIFF",
    "GIT_GLOB_PATHSPECS",
    "GIT_ICASE_PATHSPECS",
    "GIT_INDEX_FILE",
    "GIT_NAMESPACE",
    "GIT_NOGLOB_PATHSPECS",
    "GIT_OBJECT_DIRECTORY",
    "GIT_PREFIX",
    "GIT_QUARANTINE_PATH",
    "GIT_REPLACE_REF_BASE",
    "GIT_SHALLOW_FILE",
    "GIT_WORK_TREE",
)

#: Settings of the repository that would run a program, reach elsewhere, or change what we parse.
_SETTINGS = (
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.alternateRefsCommand=true",
    "core.abbrev=no",
    "core.filesRefLockTimeout=5000",
    "core.fsync=committed,loose-object,reference",
    "core.quotePath=false",
    "diff.orderFile=/dev/null",
    "fetch.recurseSubmodules=false",
    "gc.auto=0",
    "i18n.logOutputEncoding=UTF-8",
    "log.follow=false",
    "log.mailmap=false",
    "log.showRoot=true",
    "log.showSignature=false",
    "maintenance.auto=false",
    "protocol.ext.allow=never",
    "push.followTags=false",
    "push.gpgSign=false",
    "push.recurseSubmodules=no",
    "submodule.recurse=false",
)

#: Whatever else a repository's settings say of signatures: SSH, one file of signers, and no other program.
_SIGNATURE_SETTINGS = (
    "core.commitGraph=false",
    "gpg.format=ssh",
    "gpg.minTrustLevel=undefined",
    "gpg.openpgp.program=/dev/null",
    "gpg.program=/dev/null",
    "gpg.ssh.program=ssh-keygen",
    "gpg.ssh.revocationFile=/dev/null",
    "gpg.x509.program=/dev/null",
)
#: More commits than this are not verified in one go: each costs two processes of ssh-keygen.
MAX_SIGNATURES = 10_000


@dataclass(frozen=True, slots=True)
class Blobs:
    """Contents by object id, and the sizes of those that were too large to read."""

    data: Mapping[str, bytes]
    too_large: Mapping[str, int]


def git_version(folder: Path) -> str:
    """The version of the git program that would be run in *folder*; raises `GitError` where there is none."""
    result = _Runner(folder).run(["version"])
    return clean(result.out.decode("utf-8", "replace").strip()).removeprefix("git version ")


def init_repository(folder: Path) -> bool:
    """Make *folder* a repository with the branch `main`, unless it lies in one already; return whether it was made."""
    runner = _Runner(folder)
    asked = runner.run(["rev-parse", "--is-inside-work-tree"])
    if asked.status == 0:
        return False
    if "not a git repository" not in asked.error:
        runner.fail(asked)
    made = runner.run(["init", "--quiet", "--initial-branch=main"])
    if made.status != 0:
        runner.fail(made)
    return True


def open_repository(folder: Path) -> Repository:
    """Open the repository whose work tree holds *folder*, the one with `reconciler.yaml`.

    The folder may lie below the top of the work tree; all paths in and out are then relative to the folder. A
    repository without a commit opens; it is `head` that says so.
    """
    runner = _Runner(folder)
    if not folder.is_dir():
        raise GitError("there is no such folder", where=str(folder), fix="give the folder that holds reconciler.yaml")
    asked = ("--is-inside-work-tree", "--show-object-format", "--show-toplevel", "--show-prefix", "--git-common-dir")
    result = runner.run(["rev-parse", *asked])
    if result.status != 0:
        runner.fail(result)
    lines = result.out.split(b"\n")
    if len(lines) != len(asked) + 1 or lines[0] != b"true":
        raise GitError(
            "git cannot say where its work tree is",
            where=str(folder),
            fix="use a folder inside a work tree, with no line break in its path",
        )
    _, object_format, top, prefix, common = (os.fsdecode(line) for line in lines[:-1])
    return Repository(
        folder=folder,
        top=Path(top),
        prefix=prefix,
        git_dir=Path(os.path.normpath(folder.absolute() / common)),
        object_format=object_format,
        runner=_Runner(Path(top)),
    )


class Repository:
    """One opened repository, seen from one folder of its work tree.

    Holds no process and no descriptor between calls, and no answer that a commit, fetch or push could change. All
    methods may be called from several threads at once.
    """

    def __init__(
        self, *, folder: Path, top: Path, prefix: str, git_dir: Path, object_format: str, runner: _Runner
    ) -> None:
        self.folder, self.top, self.git_dir = folder, top, git_dir
        self._prefix, self._format, self._runner = prefix, object_format, runner

    # ------------------------------------------------------------------------------------------- commits

    def head(self) -> str:
        """The full id of HEAD's commit."""
        result = self._run(["rev-parse", "--verify", "--quiet", "HEAD^{commit}"], ok=(0, 1, 128))
        sha = result.out.decode("ascii", "replace").strip()
        if result.status != 0 or not SHA.fullmatch(sha):
            raise GitError("the repository has no commit yet", where=str(self.folder), fix="commit the policies first")
        return sha

    def resolve(self, revision: str) -> str:
        """The full id of the commit that *revision* names: a branch, a tag, an abbreviated id, `HEAD~2`."""
        if not revision or revision.startswith("-") or CONTROL.search(revision) or len(revision) > 1000:
            raise GitError("this is not the name of a revision", where=clean(revision), fix="give a branch, tag or id")
        asked = ["rev-parse", "--verify", "--quiet", "--end-of-options", revision + "^{commit}"]
        result = self._run(asked, ok=(0, 1, 128))
        sha = result.out.decode("ascii", "replace").strip()
        if result.status != 0 or not SHA.fullmatch(sha):
            hint = "; this clone is shallow: fetch more history (fetch-depth: 0)" if self.is_shallow() else ""
            raise GitError("no commit has this name here", where=clean(revision), fix=f"check the name{hint}")
        return sha

    def has_commit(self, sha: str) -> bool:
        """Whether the object is here and is a commit."""
        return next((kind == "commit" for _, kind, _, _ in self._check([full_id(sha)])), False)

    def is_ancestor(self, ancestor: str, descendant: str) -> bool:
        """Whether history here proves it; a commit is its own ancestor. A commit that is not here proves nothing."""
        asked = ["merge-base", "--is-ancestor", full_id(ancestor), full_id(descendant)]
        return self._run(asked, ok=(0, 1, 128)).status == 0

    def ancestors(self, head: str, commits: Iterable[str]) -> set[str]:
        """Those of *commits* that are *head* or its ancestors, as far as history here proves it.

        One walk from *head* that stops at the last one found.
        """
        wanted = {sha for sha in commits if SHA.fullmatch(sha)}
        found: set[str] = set()
        if not wanted:
            return found
        with self._runner.stream(["rev-list", "--end-of-options", full_id(head)]) as lines:
            while line := lines.readline():
                sha = as_text(line.rstrip(b"\n"))
                if sha in wanted:
                    found.add(sha)
                    if len(found) == len(wanted):
                        break
        return found

    def read_message(self, sha: str) -> str | None:
        """The message of a commit; None when it is not here, is no commit, or is over the size limit."""
        for _, kind, _, data in self._batch([full_id(sha)], limit=MAX_BYTES):
            if kind == "commit" and data is not None:
                return data.partition(b"\n\n")[2].decode("utf-8", "replace")
        return None

    def commit_log(self, head: str, paths: Collection[str]) -> dict[str, CommitInfo]:
        """The last commit that touched each path: that gave it its content at *head*, or removed it.

        An ordinary merge is not blamed, a merge that made content of its own is; renames do not count. What cannot be
        known is left out: a path that never was, and one whose last change lies beyond the boundary of a shallow
        clone. One pass over history, and another only when a file was removed on a branch merged since.
        """
        wanted = {self._prefix + path: path for path in paths if is_inside(path)}
        if not wanted:
            return {}
        now = {path: blob for path, (blob, kind, _) in self._tree(head, wanted).items() if kind == "blob"}
        boundary = self._boundary()
        found = self._last_commits(head, wanted, now, boundary, whole=len(wanted) > FEW)
        gone = [path for path in wanted if path not in found and path not in now]
        if gone and len(wanted) <= FEW:
            found |= self._last_commits(head, gone, now, boundary, whole=True)
        return {wanted[path]: commit for path, commit in found.items()}

    def _last_commits(
        self, head: str, wanted: Collection[str], now: Mapping[str, str], boundary: frozenset[str], *, whole: bool
    ) -> dict[str, CommitInfo]:
        # A record counts when it leaves the path as it is at head: a change that was later taken back, or that lost
        # in a merge, asked for nothing that is there now. Naming paths lets git skip branches that gave nothing, but
        # makes it compare every tree twice: for many paths the whole history is cheaper.
        left = set(wanted)
        found: dict[str, CommitInfo] = {}
        options = ["--topo-order", "--raw", "-c", "-z", "--no-abbrev", "--no-renames", "--no-ext-diff", "--no-textconv"]
        options += [
            "--ignore-submodules=none",
            "--no-color",
            "--no-decorate",
            "--no-notes",
            "--format=%x01%H%x00%an%x00%s",
        ]
        if whole:
            options.append("--full-history")
        places = sorted(wanted) if len(wanted) <= FEW else []
        with self._runner.stream(["log", *options, "--end-of-options", full_id(head), "--", *places]) as out:
            for commit, records in parse_log(out):
                for path, blob in records:
                    if path in left and now.get(path) == blob:
                        left.discard(path)
                        if commit.sha not in boundary:
                            found[path] = commit
                if not left:
                    break
        return found

    def file_history(self, head: str, path: str) -> tuple[tuple[CommitInfo, str | None], ...]:
        """The commits up to *head* that gave a file its contents, newest first, with its object id after each.

        Branches that gave nothing to what is there now are left out, and renames are not followed.
        """
        options = ["--topo-order", "--raw", "-c", "-z", "--no-abbrev", "--no-renames", "--no-ext-diff", "--no-textconv"]
        options += ["--no-color", "--no-decorate", "--no-notes", "--format=%x01%H%x00%an%x00%s"]
        place = self._prefix + checked_path(path)
        boundary = self._boundary()
        with self._runner.stream(["log", *options, "--end-of-options", full_id(head), "--", place]) as out:
            return tuple(
                (commit, blob)
                for commit, records in parse_log(out)
                for name, blob in records
                if name == place and commit.sha not in boundary
            )

    def merge_of(self, commit: str, head: str) -> str | None:
        """The merge that brought *commit* into *head*'s first-parent line; None for a commit that is in the line."""
        line = self._run(["rev-list", "--first-parent", "--end-of-options", full_id(head)]).out.decode("ascii").split()
        if commit in line:
            return None
        later = ["rev-list", "--ancestry-path", "--end-of-options", f"^{full_id(commit)}", full_id(head)]
        holding = set(self._run(later).out.decode("ascii").split())
        return next((sha for sha in reversed(line) if sha in holding), None)

    def commit_info(self, sha: str) -> CommitInfo:
        """Author and subject of one commit."""
        options = [
            "--no-walk",
            "-z",
            "--no-patch",
            "--no-decorate",
            "--no-notes",
            "--no-color",
            "--format=%x01%H%x00%an%x00%s",
        ]
        with self._runner.stream(["log", *options, "--end-of-options", full_id(sha)]) as out:
            for commit, _ in parse_log(out):
                return commit
        raise GitError("no such commit is here", where=sha, fix="fetch it, or give another revision")

    def changed_paths(self, old: str, new: str, folders: Sequence[str] = ()) -> frozenset[str]:
        """Paths that differ between two commits, by object id, under *folders* (none given: all)."""
        options = ["-r", "-z", "--name-only", "--no-renames", "--no-ext-diff", "--no-textconv"]
        places = [self._prefix + checked_path(folder) for folder in folders] or [self._prefix]
        places = [place for place in places if place]
        arguments = ["diff-tree", *options, "--end-of-options", full_id(old), full_id(new), "--", *places]
        names = self._run(arguments).out.split(b"\0")[:-1]
        return frozenset(path for path in map(self._inward, map(os.fsdecode, names)) if path is not None)

    # ---------------------------------------------------------------------------------------- signatures

    def signatures(self, head: str, after: str | None, signers: bytes) -> tuple[Signature, ...]:
        """What *signers* (an SSH `allowed_signers` file) say of the commits after *after* up to *head*, newest first.

        These are the first parents of *head* that are not first parents of *after* (None: all): a commit that once came
        in by a merge was never the tip, and is no anchor. One git process. Raises `GitError` when history here is cut
        off among them, when there are more than can be verified, and without ssh-keygen (reliability.md 7).
        """
        if shutil.which("ssh-keygen") is None:
            raise GitError(
                "signatures cannot be verified: there is no ssh-keygen",
                where="PATH",
                fix="install OpenSSH (Debian, Ubuntu: apt install openssh-client), 8.2 or newer",
                code="no-ssh-keygen",
            )
        options = ["-z", "--first-parent", "--exclude-first-parent-only", "--no-patch", "--no-color", "--no-notes"]
        options += ["--no-decorate", f"--max-count={MAX_SIGNATURES + 1}", "--format=%H%x00%G?%x00%GF%x00%GS"]
        ends = [full_id(head), *([f"^{full_id(after)}"] if after is not None else [])]
        with tempfile.TemporaryDirectory(prefix="reconciler-") as folder:
            file = Path(folder).resolve() / "allowed_signers"
            file.write_bytes(signers)
            settings = [*_SIGNATURE_SETTINGS, f"gpg.ssh.allowedSignersFile={file}"]
            result = self._run(["log", *options, "--end-of-options", *ends, "--"], settings=settings, ok=(0, 128, 129))
        if result.status != 0 and "unrecognized argument" in result.error:
            raise GitError("this git is too old to verify signatures", where="git", fix="update git to 2.36 or newer")
        if result.status != 0:
            self._runner.fail(result)
        found = parse_signatures(result.out)
        if len(found) > MAX_SIGNATURES:
            raise GitError(
                f"more than {MAX_SIGNATURES:,} commits would have to be verified",
                where=f"commit {head[:7]}",
                fix="apply an earlier commit first",
            )
        if not self._boundary().isdisjoint(each.commit for each in found):
            raise GitError(
                "not every commit can be verified: history is cut off in this clone",
                where=f"commit {head[:7]}",
                fix="fetch the whole history (git fetch --unshallow, fetch-depth: 0)",
            )
        return found

    # ------------------------------------------------------------------------------------- shallow clones

    def is_shallow(self) -> bool:
        """Whether history ends early here."""
        return bool(self._boundary())

    def unshallow(self, remote: str) -> bool:
        """Fetch the rest of HEAD's history; whether the clone is whole afterwards. A failing remote is only False."""
        if not self.is_shallow():
            return True
        for wanted in (self.head(), "refs/heads/*"):
            try:
                self._fetch(remote, [wanted], "--unshallow", timeout=FETCH_TIMEOUT)
            except UnreachableError:
                continue
            if not self.is_shallow():
                return True
        return False

    def _boundary(self) -> frozenset[str]:
        try:
            lines = (self.git_dir / "shallow").read_text("ascii", "replace").split()
        except FileNotFoundError:
            return frozenset()
        return frozenset(line for line in lines if SHA.fullmatch(line))

    # --------------------------------------------------------------------------------------------- trees

    def list_files(self, commit: str, folders: Sequence[str]) -> tuple[TreeFile, ...]:
        """Every entry below *folders* (or the file itself) at a commit, sorted by path; submodules and links too."""
        places = [self._prefix + checked_path(folder) for folder in folders]
        if not places:
            return ()
        found: list[TreeFile] = []
        for entry in self._list_tree(commit, places):
            path = self._inward(entry.path)
            if path is not None:
                found.append(TreeFile(path, entry.blob, entry.mode))
        return tuple(sorted(found, key=lambda entry: entry.path))

    def read_tree(self, commit: str) -> tuple[TreeFile, ...]:
        """Every file of a commit, from the root of its tree, sorted by path."""
        return tuple(sorted(self._list_tree(commit, ()), key=lambda entry: entry.path))

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
        entry = next((entry for entry in self._list_tree(commit, [full]) if entry.path == full), None)
        if entry is None or entry.mode not in ("100644", "100755"):
            return None
        blobs = self.read_blobs_sized([entry.blob])
        if blobs.too_large:
            raise GitError("this file is over 1 MiB", where=f"{clean(path)} at {commit[:7]}", fix="split it")
        return blobs.data[entry.blob]

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

    def _list_tree(self, commit: str, places: Sequence[str]) -> Iterator[TreeFile]:
        # No "--": after --end-of-options, ls-tree takes it for a path.
        arguments = ["ls-tree", "-r", "-z", "--full-tree", "--end-of-options", full_id(commit)]
        named = [place.rstrip("/") for place in places]
        if "" not in named:
            arguments += named
        for mode, _, sha, path in parse_tree(self._run(arguments).out):
            yield TreeFile(path, sha, mode)

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

    # ---------------------------------------------------------------------------------------------- refs

    def read_ref(self, ref: str) -> str | None:
        """The object a local ref points at, None when there is no such ref."""
        asked = ["rev-parse", "--verify", "--quiet", "--end-of-options", checked_ref(ref)]
        result = self._run(asked, ok=(0, 1, 128))
        sha = result.out.decode("ascii", "replace").strip()
        return sha if result.status == 0 and SHA.fullmatch(sha) else None

    def list_refs(self, prefix: str) -> dict[str, str]:
        """Local refs below *prefix* (`refs/reconciler`), with the objects they point at."""
        out = self._run(["for-each-ref", "--format=%(objectname) %(refname)", "--", checked_ref(prefix)]).out
        return parse_refs(out, b" ")

    def update_ref(self, ref: str, new: str | None, old: str | None) -> bool:
        """Move one local ref from *old* to *new* (None: absent); False when it is not at *old*."""
        return self.update_refs([RefUpdate(ref, new, old)])

    def update_refs(self, updates: Sequence[RefUpdate]) -> bool:
        """Move local refs in one transaction, all or none; False when one of them is not at its `old`."""
        if not updates:
            return True
        zeros = "0" * (64 if self._format == "sha256" else 40)
        lines = [
            f"update {checked_ref(update.ref)}\0{full_id(update.new) if update.new else zeros}\0"
            f"{full_id(update.old) if update.old else zeros}\0"
            for update in updates
        ]
        arguments = ["update-ref", "--stdin", "-z", "-m", "reconciler"]
        result = self._run(arguments, given="".join(lines).encode(), ok=(0, 1, 128))
        if result.status == 0:
            return True
        if all(self.read_ref(update.ref) == update.old for update in updates) and not is_contention(result.error):
            raise GitError(
                f"cannot move {updates[0].ref}: {last_line(result.error)}",
                where=str(self.git_dir),
                fix="check that the repository can be written to",
            )
        return False

    # ------------------------------------------------------------------------------------------- remotes

    def remote_name(self, configured: str | None) -> str | None:
        """The remote that refs/reconciler/* live on: as configured, else origin, else the only one, else none."""
        names = self._run(["remote"]).out.decode("utf-8", "replace").split("\n")[:-1]
        if configured is not None:
            if configured not in names or not REMOTE.fullmatch(configured):
                raise ConfigError(
                    f'there is no remote "{clean(configured)}" in this repository',
                    where="reconciler.yaml",
                    fix=f"set remote: to one of {', '.join(map(clean, names)) or '(none: remove the setting)'}",
                )
            return configured
        usable = [name for name in names if REMOTE.fullmatch(name)]
        if "origin" in usable:
            return "origin"
        return usable[0] if len(usable) == 1 else None

    def upstream(self) -> tuple[str, str] | None:
        """The remote and the ref there that HEAD's branch follows; None when it is on no branch, or follows none."""
        branch = self._run(["symbolic-ref", "--quiet", "HEAD"], ok=(0, 1)).out.decode("utf-8", "replace").strip()
        if not REF.fullmatch(branch):
            return None
        form = "--format=%(refname)%00%(upstream:remotename)%00%(upstream:remoteref)"
        for line in self._run(["for-each-ref", form, branch]).out.decode("utf-8", "replace").split("\n"):
            name, _, follows = line.partition("\0")
            remote, _, ref = follows.partition("\0")
            if name == branch and REMOTE.fullmatch(remote) and REF.fullmatch(ref):
                return remote, ref
        return None

    def fast_forward(self, sha: str) -> None:
        """Move HEAD's branch and the work tree to *sha*, a descendant that is here.

        A `GitError`, with nothing moved, when a file that would change differs from HEAD.
        """
        options = ["--ff-only", "--quiet", "--no-stat", "--no-autostash", "--no-verify-signatures"]
        result = self._run(["merge", *options, full_id(sha)], ok=None)
        if result.status != 0:
            raise GitError(
                f"the work tree cannot be moved to {sha[:7]}: {last_line(result.error)}",
                where=str(self.top),
                fix="commit or undo the local changes; nothing of them is overwritten",
            )

    def list_remote(self, remote: str, pattern: str) -> dict[str, str]:
        """The remote's refs that match *pattern* (`refs/reconciler/*`), with the objects they point at."""
        if not REF.fullmatch(pattern.removesuffix("/*")):
            raise ValueError(f"not a pattern of refs: {pattern!r}")
        arguments = ["ls-remote", "--refs", "--upload-pack=git-upload-pack", "--", checked_remote(remote), pattern]
        result = self._run(arguments, ok=None, timeout=NETWORK_TIMEOUT)
        if result.status != 0:
            raise unreachable(remote, result)
        stem = pattern.removesuffix("*")
        return {ref: sha for ref, sha in parse_refs(result.out, b"\t").items() if ref.startswith(stem)}

    def fetch_objects(self, remote: str, refs: Collection[str]) -> None:
        """Bring the objects of these remote refs (or full ids) here; no local ref moves, no tags come along."""
        if refs:
            self._fetch(remote, sorted(refs), timeout=FETCH_TIMEOUT)

    def _fetch(self, remote: str, wanted: Sequence[str], *options: str, timeout: float) -> None:
        for ref in wanted:
            if not SHA.fullmatch(ref) and not REF.fullmatch(ref.removesuffix("/*")):
                raise ValueError(f"not a ref: {ref!r}")
        quiet = [
            "--quiet",
            "--no-tags",
            "--no-write-fetch-head",
            "--no-auto-gc",
            "--no-recurse-submodules",
            "--no-prune",
        ]
        arguments = ["fetch", *quiet, "--refmap=", "--upload-pack=git-upload-pack", *options, "--"]
        result = self._run([*arguments, checked_remote(remote), *wanted], ok=None, timeout=timeout)
        if result.status != 0:
            raise unreachable(remote, result)

    def push(self, remote: str, updates: Sequence[RefUpdate]) -> PushResult:
        """Move remote refs in one atomic push, each only from its `old`.

        Done means that git reports our own move of every ref: "up to date" is somebody else's success
        (reliability.md 6.1 b). When the connection breaks in between, the refs are read once more: new ids that only
        we know prove that the push arrived. Raises `UnreachableError` when that cannot be told.
        """
        moves = [update for update in updates if update.new != update.old]
        if not moves:
            return PushResult(PushStatus.DONE)
        leases = [
            f"--force-with-lease={checked_ref(move.ref)}:{full_id(move.old) if move.old else ''}" for move in moves
        ]
        specs = [f"{full_id(move.new) if move.new else ''}:{move.ref}" for move in moves]
        options = ["--porcelain", "--atomic", "--no-verify", "--receive-pack=git-receive-pack", *leases, "--"]
        result = self._run(
            ["push", *options, checked_remote(remote), *specs],
            ok=None,
            timeout=NETWORK_TIMEOUT,
            settings=[f"remote.{remote}.mirror=false"],
        )
        flags = parse_push(result.out)
        if result.status == 0 and all(is_ours(move, flags.get(move.ref)) for move in moves):
            return PushResult(PushStatus.DONE)
        failed = [text for flag, text in flags.values() if flag in "!="]
        if not failed:
            return self._settle(remote, moves, result)
        detail = clean("; ".join(sorted(set(failed))))
        stale = any(flag == "=" for flag, _ in flags.values()) or is_contention(" ".join(failed))
        return PushResult(PushStatus.STALE if stale else PushStatus.REFUSED, detail)

    def _settle(self, remote: str, moves: Sequence[RefUpdate], result: Result) -> PushResult:
        there = {ref: sha for move in moves for ref, sha in self.list_remote(remote, move.ref).items()}
        if all(there.get(move.ref) == move.new for move in moves):
            return PushResult(PushStatus.DONE)
        raise unreachable(remote, result)

    def read_chain(self, tip: str, limit: int | None = None) -> tuple[Revision, ...]:
        """A commit and its first parents, newest first, with what each changed. One process."""
        options = ["--first-parent", "--raw", "-m", "-r", "-z", "--no-abbrev", "--no-renames", "--no-ext-diff"]
        options += ["--no-textconv", "--no-color", "--no-decorate", "--no-notes", "--format=%x01%H%x00%x00"]
        if limit is not None:
            options.append(f"--max-count={int(limit)}")
        with self._runner.stream(["log", *options, "--end-of-options", full_id(tip)]) as out:
            return tuple(Revision(commit.sha, dict(records)) for commit, records in parse_log(out))

    # ----------------------------------------------------------------------------------------- processes

    def _run(
        self,
        arguments: Sequence[str],
        *,
        given: bytes | None = None,
        ok: tuple[int, ...] | None = (0,),
        timeout: float | None = None,
        settings: Sequence[str] = (),
    ) -> Result:
        result = self._runner.run(arguments, given=given, timeout=timeout, settings=settings)
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


class _Runner:
    """Starts git in one folder, and waits for it: no process and no descriptor outlives a call."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._git: Any = None

    def run(
        self,
        arguments: Sequence[str],
        *,
        given: bytes | None = None,
        timeout: float | None = None,
        settings: Sequence[str] = (),
    ) -> Result:
        with _stdin(given) as stdin:
            options: dict[str, Any] = {
                "with_extended_output": True,
                "with_exceptions": False,
                "stdout_as_string": False,
            }
            options |= {"strip_newline_in_stdout": False, "kill_after_timeout": timeout}
            status, out, error = self._execute(arguments, settings, stdin, options)
        if status == 127 and not out and b"env:" in as_bytes(error):
            self._no_git()
        return Result(status, out, as_bytes(error).decode("utf-8", "replace"))

    @contextmanager
    def stream(self, arguments: Sequence[str], given: bytes | None = None) -> Iterator[Reader]:
        """The child's output as it comes. Leaving early ends the child; a child that fails is a `GitError`."""
        with _stdin(given) as stdin:
            guarded = self._execute(arguments, (), stdin, {"as_process": True})
            process = guarded.proc  # `guarded` ends the child when it is forgotten
            reader = Reader(process.stdout)
            try:
                yield reader
                if reader.at_end and process.wait() != 0:
                    self.fail(Result(process.returncode, b"", process.stderr.read().decode("utf-8", "replace")))
            finally:
                process.kill()
                process.stdout.close()
                process.stderr.close()
                process.wait()

    def fail(self, result: Result) -> NoReturn:
        """Say what went wrong, in the words that name the way out."""
        where, error = str(self._folder), result.error
        if "dubious ownership" in error:
            fix = f"git config --global --add safe.directory {self._folder.absolute()}"
            raise GitError(
                "git refuses this repository: another user owns it (dubious ownership)", where=where, fix=fix
            )
        if "not a git repository" in error:
            raise GitError("this is not a git repository", where=where, fix="run git init, or use -C DIR")
        if "work tree" in error:
            raise GitError(
                "this repository has no work tree here", where=where, fix="use -C with the folder of a clone"
            )
        if (self._folder / ".git" / "shallow").exists():
            fix = "this clone is shallow: fetch the whole history (git fetch --unshallow, fetch-depth: 0)"
            raise GitError(f"git: {last_line(error)}", where=where, fix=fix)
        raise GitError(f"git: {last_line(error)}", where=where, fix="run git fsck, and the same command by hand")

    def _execute(
        self, arguments: Sequence[str], settings: Sequence[str], stdin: IO[bytes] | None, options: Mapping[str, Any]
    ) -> Any:
        git = self._open()
        argv = [git.GIT_PYTHON_GIT_EXECUTABLE]
        # GitPython can add to the environment but not take away from it; env can.
        if present := [name for name in _LOCATION if name in os.environ]:
            argv = ["env", *(f"--unset={name}" for name in present), *argv]
        for setting in (*_SETTINGS, *settings):
            argv += ["-c", setting]
        argv += arguments
        from git.exc import GitCommandNotFound

        try:
            # In a session of its own: Ctrl-C ends this program in order, not git in the middle of a push.
            return git.execute(argv, istream=stdin, env=_ENVIRONMENT, shell=False, start_new_session=True, **options)
        except GitCommandNotFound:
            self._no_git()
        except ValueError as error:  # a NUL in an argument
            raise GitError("a name holds a NUL byte", where=str(self._folder), fix="correct the name") from error

    def _open(self) -> Any:
        if self._git is None:
            try:
                from git.cmd import Git
            except ImportError:
                self._no_git()
            if Git.GIT_PYTHON_GIT_EXECUTABLE is None:  # the import fails the first time only
                self._no_git()
            self._git = Git(str(self._folder))
        return self._git

    def _no_git(self) -> NoReturn:
        raise GitError("git cannot be started", where=str(self._folder), fix="install git and put it on PATH") from None


@contextmanager
def _stdin(given: bytes | None) -> Iterator[IO[bytes] | None]:
    # A file, not a pipe: a child that writes before it has read everything cannot block us.
    if given is None:
        yield None
        return
    with tempfile.TemporaryFile() as file:
        file.write(given)
        file.seek(0)
        yield file
