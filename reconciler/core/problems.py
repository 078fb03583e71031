"""The error that carries problems: files that cannot be used, as one exception for callers that cannot go on."""

from __future__ import annotations

from collections.abc import Sequence

from reconciler.core.model import Problem, Severity
from reconciler.errors import Place, ReconcilerError


class FilesError(ReconcilerError):
    """Files from git or disk are not valid; `problems` says all that is wrong with them, sorted. Exit 1.

    `files` is how many files were looked at.
    """

    code = "invalid-files"

    def __init__(self, problems: Sequence[Problem], *, files: int) -> None:
        self.problems = tuple(sorted(problems, key=lambda problem: problem.sort_key))
        self.files = files
        first = self.problems[0]
        super().__init__(
            first.message,
            where=Place(first.path, first.line, first.column),
            fix=first.fix or "correct the file; reconciler validate lists every problem",
            code=first.code,
        )


def has_errors(problems: Sequence[Problem]) -> bool:
    """Whether any of *problems* is more than a warning."""
    return any(problem.severity is Severity.ERROR for problem in problems)
