"""Are the commits that would be applied signed by people who may (reliability.md 7)?

Who may is said by the commit applied last, or by the environment, never by the commits in question.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from reconciler.errors import ConfigError, GitError, ReconcilerError
from reconciler.sources.git import Repository
from reconciler.sources.limits import MAX_BYTES
from reconciler.sources.plumbing import Signature

#: Beside reconciler.yaml, in the form of `allowed_signers` in ssh-keygen(1).
SIGNERS_FILE = ".reconciler/allowed_signers"
#: Names a file of the same form, for as long as no commit that holds one was applied.
SIGNERS_VARIABLE = "RECONCILER_ALLOWED_SIGNERS_FILE"

_STATES = {
    "N": "it has no SSH signature",
    "U": "its key is not one of an allowed signer",
    "B": "its signature does not fit it",
    "X": "its signature has ended",
    "Y": "its key has ended",
    "R": "its key is revoked",
}


@dataclass(frozen=True, slots=True)
class Signing:
    """What the signatures of a range of commits come to.

    `error` is why nothing of it may be applied. `moves`: the file of signers is another one than at the commit applied
    last, so an apply has to record its commit even if nothing else changed: else it would never count.
    """

    error: ReconcilerError | None = None
    moves: bool = False
    unchecked: str | None = None

    def warnings(self, *, asks: bool) -> tuple[str, ...]:
        """What a plan says of it; that nobody checks is worth a word only where the plan *asks* for something."""
        if self.error is not None:
            return (f"{self.error.code}: {self.error.what}; apply refuses this",)
        return (f"unsigned: {self.unchecked}",) if self.unchecked and asks else ()


def check_signatures(
    repository: Repository, environ: Mapping[str, str], mode: str, *, head: str, applied: str | None
) -> Signing:
    """Verify every commit that became the tip after *applied*, up to *head*. *mode* is the stricter of both commits'.

    Errors are returned, not raised: a plan may be shown all the same. Where nothing was applied yet, `off` is only what
    the commits in question say, and does not outweigh a file of signers that the environment names.
    """
    pinned = environ.get(SIGNERS_VARIABLE) or None
    if mode == "off" and (applied is not None or pinned is None):
        return Signing()
    try:
        before = _file_at(repository, applied)
        moves = applied is not None and before != _file_at(repository, head)
        signers, where = _signers(repository, before, applied, pinned)
        if signers is None and mode == "require":
            raise GitError(
                f"signatures are required, and {where}",
                where=f"commit {head[:7]}",
                fix=f"name a file of signers in {SIGNERS_VARIABLE} until a commit with {SIGNERS_FILE} is applied",
                code="no-signers",
            )
        if signers is None:
            if head == applied:
                return Signing()
            later = "; the file counts from the next apply on" if moves else ""
            return Signing(moves=moves, unchecked=f"{where}, so nobody checks who signed the commits{later}")
        bad = [each for each in repository.signatures(head, applied, signers) if not each.is_good]
    except ReconcilerError as error:
        return Signing(error)
    return Signing(_refusal(bad, where, applied)) if bad else Signing(moves=moves)


def _file_at(repository: Repository, commit: str | None) -> str | None:
    """The object id of the file of signers at a commit; None where there is none, or no such commit here."""
    return None if commit is None else repository.tree_ids(commit, [SIGNERS_FILE])[SIGNERS_FILE]


def _signers(
    repository: Repository, before: str | None, applied: str | None, pinned: str | None
) -> tuple[bytes | None, str]:
    """The signers that count, and where they stand; None when nobody said who may, and why."""
    if before is not None and applied is not None:
        data = repository.read_file(applied, SIGNERS_FILE)
        if data is None and pinned is None:
            raise GitError(
                f"{SIGNERS_FILE} is no regular file at the commit applied last",
                where=f"commit {applied[:7]}",
                fix=f"apply a commit in which it is one, with {SIGNERS_VARIABLE} naming the signers",
                code="no-signers",
            )
        if data is not None:
            return data, f"{SIGNERS_FILE} at {applied[:7]}, the commit applied last"
    if pinned is not None:
        return _read_pinned(pinned), f"the file {SIGNERS_VARIABLE} names"
    if applied is not None and not repository.has_commit(applied):
        raise GitError(
            f"the commit applied last ({applied[:7]}) is not in this clone, so nobody knows who may sign",
            where=f"commit {applied[:7]}",
            fix=f"fetch it, or name the signers in {SIGNERS_VARIABLE}, or write signatures: off",
            code="no-signers",
        )
    if applied is not None:
        return None, f"the commit applied last ({applied[:7]}) has no {SIGNERS_FILE}"
    return None, f"nothing was applied yet and {SIGNERS_VARIABLE} is not set"


def _read_pinned(path: str) -> bytes:
    try:
        with Path(path).open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError(
            f"the file of signers cannot be read ({error.strerror})",
            where=SIGNERS_VARIABLE,
            fix="name a readable file in the form of allowed_signers (ssh-keygen(1))",
            code="no-signers",
        ) from error
    if len(data) > MAX_BYTES:
        raise ConfigError(
            "the file of signers is over 1 MiB", where=SIGNERS_VARIABLE, fix="make it smaller", code="no-signers"
        )
    return data


def _refusal(bad: list[Signature], where: str, applied: str | None) -> GitError:
    """The error for commits that nobody who may has signed. Named is the oldest: it is the first to put right."""
    first = bad[-1]
    state = _STATES.get(first.state, "its signature cannot be verified")
    more = f" (and {len(bad) - 1} more)" if len(bad) > 1 else ""
    since = "--root" if applied is None else applied[:12]
    return GitError(
        f"commit {first.commit[:7]} is not signed by anybody in {where}: {state}{more}",
        where=f"commit {first.commit}",
        fix=f"have an allowed signer sign it: git rebase --rebase-merges --exec "
        f"'git commit --amend --no-edit -S' {since}",
        code="unsigned-commit",
    )
