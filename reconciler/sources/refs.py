"""Names that point at commits, here and on the remote: each moves only from where it was seen, or not at all."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from reconciler.core.ports import PushResult, PushStatus, RefUpdate
from reconciler.errors import ConfigError, GitError, UnreachableError
from reconciler.sources.history import History
from reconciler.sources.plumbing import (
    REF,
    REMOTE,
    SHA,
    Result,
    checked_ref,
    checked_remote,
    clean,
    full_id,
    is_contention,
    is_ours,
    last_line,
    parse_push,
    parse_refs,
    unreachable,
)

#: Seconds until a command that talks to a remote is given up.
NETWORK_TIMEOUT = 60.0
#: Seconds until a command that may fetch a whole history is given up.
FETCH_TIMEOUT = 600.0


class Refs(History):
    """The refs of one repository and of its remotes. Only what names a remote uses the network."""

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
        result = self._runner.talk(arguments, timeout=NETWORK_TIMEOUT)
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
        result = self._runner.talk([*arguments, checked_remote(remote), *wanted], timeout=timeout)
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
        result = self._runner.talk(
            ["push", *options, checked_remote(remote), *specs],
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
