"""The one error tree, the places errors point at, and the exit codes.

Nothing here knows files, networks or terminals. How an error looks on a screen is `reports/problems.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class ExitCode(IntEnum):
    """Every code the program can end with, in the meaning of `--help`."""

    DONE = 0
    ERROR = 1
    CHANGES = 2
    BLOCKED = 3
    PARTIAL = 4
    STALE = 5
    USAGE = 64
    TRY_AGAIN = 75
    INTERRUPTED = 130


#: With several targets the worst code wins; worst first.
WORST_FIRST = (
    ExitCode.INTERRUPTED,
    ExitCode.ERROR,
    ExitCode.PARTIAL,
    ExitCode.BLOCKED,
    ExitCode.STALE,
    ExitCode.TRY_AGAIN,
    ExitCode.CHANGES,
    ExitCode.DONE,
)


def worst(codes: list[ExitCode]) -> ExitCode:
    """Return the code that several targets' runs end with together; `DONE` for none.

    >>> worst([ExitCode.CHANGES, ExitCode.TRY_AGAIN])
    <ExitCode.TRY_AGAIN: 75>
    """
    return min(codes, key=WORST_FIRST.index, default=ExitCode.DONE)


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A point in a file: path relative to the repository, line and column from 1."""

    path: str
    line: int | None = None
    column: int | None = None

    def __str__(self) -> str:
        return ":".join(str(part) for part in (self.path, self.line, self.column) if part is not None)


class ReconcilerError(Exception):
    """Base of every error this package raises on purpose.

    An error answers three questions: where it happened, what happened, and what to do next. The command line
    prints all three and no traceback; any other exception is a bug and keeps its traceback.

    `code` is stable and can be looked up; `exit` is what the program ends with when nobody catches it.
    """

    code = "error"
    exit = ExitCode.ERROR

    def __init__(
        self, what: str, *, where: Place | str, fix: str, code: str | None = None, exit: ExitCode | None = None
    ) -> None:
        super().__init__(what)
        self.what, self.where, self.fix = what, where, fix
        if code is not None:
            self.code = code
        if exit is not None:
            self.exit = exit

    def __str__(self) -> str:
        return f"{self.where}: {self.what}\n  fix: {self.fix}"


class ConfigError(ReconcilerError):
    """A setting is missing, contradictory or not allowed (`reconciler.yaml`, environment, user file)."""

    code = "config"


class UsageError(ReconcilerError):
    """The command line asks for something that cannot be asked for; exit 64."""

    code = "usage"
    exit = ExitCode.USAGE


class OutputError(ReconcilerError):
    """What was found cannot be written down."""

    code = "output"


class GitError(ReconcilerError):
    """The repository cannot answer: not a repository, no commit, unknown revision, diverged ledger."""

    code = "git"


class LiveError(ReconcilerError):
    """The live API answered something that is not its documented shape, or refused a read."""

    code = "live"


class UnreachableError(LiveError):
    """The live API or the git remote cannot be reached now; exit 75."""

    code = "unreachable"
    exit = ExitCode.TRY_AGAIN


class LockedError(ReconcilerError):
    """Another run holds the target's lock; exit 75."""

    code = "locked"
    exit = ExitCode.TRY_AGAIN


class StaleError(ReconcilerError):
    """Git or the live system moved since the plan was made; exit 5."""

    code = "stale"
    exit = ExitCode.STALE
