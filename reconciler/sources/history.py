"""What git's history tells: which commit this is, who came before it, which of them touched a file, who signed them."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

from reconciler.core.model import CommitInfo
from reconciler.core.ports import Revision
from reconciler.errors import GitError
from reconciler.sources.index import Index, read_index
from reconciler.sources.limits import CONTROL, MAX_BYTES
from reconciler.sources.objects import Objects
from reconciler.sources.plumbing import (
    FEW,
    SHA,
    Signature,
    as_text,
    checked_path,
    clean,
    full_id,
    is_inside,
    parse_log,
    parse_signatures,
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


class History(Objects):
    """The commits of one repository. What a shallow clone cannot know is left out, never guessed."""

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
        named = [] if "" in places else places
        arguments = ["diff-tree", *options, "--end-of-options", full_id(old), full_id(new), "--", *named]
        names = self._run(arguments).out.split(b"\0")[:-1]
        return frozenset(path for path in map(self._inward, map(os.fsdecode, names)) if path is not None)

    def staged(self, commit: str, places: Sequence[str]) -> dict[str, str | None]:
        """The paths at or below *places* in which the index is not *commit*, each with its id there (None: nothing).

        Trees and index only: no file is looked into, and no filter runs.
        """
        options = ["--cached", "--raw", "-z", "--no-abbrev", "--no-renames", "--no-ext-diff", "--no-textconv"]
        asked = [self._prefix + checked_path(each) for each in places]
        named = [] if "" in asked else asked
        out = self._run(["diff-index", *options, "--end-of-options", full_id(commit), "--", *named]).out
        words = iter(os.fsdecode(out).split("\0")[:-1])
        found: dict[str, str | None] = {}
        for facts, full in zip(words, words, strict=True):
            mode, _, before, *_ = facts.split(" ")
            path = self._inward(full)
            if path is not None:
                found[path] = before if mode in (":100644", ":100755", ":120000") else None
        return found

    def read_index(self) -> Index | None:
        """What git last saw of the work tree's files; None where its index cannot tell (`index.py`)."""
        return read_index(self.index_file, 32 if self._format == "sha256" else 20, self._prefix)

    def read_chain(self, tip: str, limit: int | None = None) -> tuple[Revision, ...]:
        """A commit and its first parents, newest first, with what each changed. One process."""
        options = ["--first-parent", "--raw", "-m", "-r", "-z", "--no-abbrev", "--no-renames", "--no-ext-diff"]
        options += ["--no-textconv", "--no-color", "--no-decorate", "--no-notes", "--format=%x01%H%x00%x00"]
        if limit is not None:
            options.append(f"--max-count={int(limit)}")
        with self._runner.stream(["log", *options, "--end-of-options", full_id(tip)]) as out:
            return tuple(Revision(commit.sha, dict(records)) for commit, records in parse_log(out))

    # ---------------------------------------------------------------------------------------- signatures

    def signatures(self, head: str, after: str | None, signers: bytes) -> tuple[Signature, ...]:
        """What *signers* (an SSH `allowed_signers` file) say of the commits after *after* up to *head*, newest first.

        These are the first parents of *head* that are not first parents of *after* (None: all): a commit that once came
        in by a merge was never the tip, and is no anchor. One git process. Raises `GitError` when history here is cut
        off among them, when there are more than can be verified, and without ssh-keygen (reliability.md 7).
        """
        import shutil
        import tempfile

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

    def _boundary(self) -> frozenset[str]:
        try:
            lines = (self.git_dir / "shallow").read_text("ascii", "replace").split()
        except FileNotFoundError:
            return frozenset()
        return frozenset(line for line in lines if SHA.fullmatch(line))
