"""`apply --every`: one apply after the other, each in a fresh child of this program.

A child reads everything anew, so whatever made one run fail is looked at again by the next; and nothing can pile up in
the process that lives for weeks. Here are the loop, the child, and what a child of the loop does first.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from reconciler.core.formats import span_of_time
from reconciler.core.ports import Clock, Random
from reconciler.core.rates import magnitude
from reconciler.errors import ExitCode, GitError, UnreachableError, UsageError
from reconciler.sources.git import open_repository
from reconciler.workflows.session import Session, read_config

#: Set for the children of a loop, by the loop and by nobody else.
MARK: Final = "_RECONCILER_LOOP"
#: Runs of many loops that were started together must not stay together.
JITTER: Final = 0.1
SHORTEST: Final = 1.0
#: How long a stop may go unnoticed between two runs.
_TICK: Final = 0.5

_WORDS: Final[Mapping[int, str]] = {
    ExitCode.ERROR: "error",
    ExitCode.CHANGES: "changes pending",
    ExitCode.BLOCKED: "blocked by a guard",
    ExitCode.PARTIAL: "stopped half-way or in doubt",
    ExitCode.STALE: "something moved meanwhile",
    ExitCode.USAGE: "wrong usage",
    ExitCode.TRY_AGAIN: "try again later",
    ExitCode.INTERRUPTED: "interrupted",
}


def parse_every(text: str) -> float:
    """Return an interval in seconds: a whole number and a unit (semantics.md B.2), from one second to 90 days.

    >>> parse_every("5m"), parse_every("1500ms")
    (300.0, 1.5)
    """
    flaw = span_of_time(text)
    amount = None if flaw is not None else magnitude(text, "")
    if amount is None or amount < SHORTEST * 1000:
        why, fix = (flaw.what, flaw.fix) if flaw is not None else ("shorter than a second", "write for example 5m")
        raise UsageError(f"the interval is {why}", where="--every", fix=fix)
    return float(amount / 1000)


def loop(
    every: float,
    run: Callable[[], int],
    *,
    clock: Clock,
    random: Random,
    stop: Callable[[], bool],
    notice: Callable[[str], None],
) -> None:
    """Call *run* every so many seconds, from start to start and up to a tenth more, until *stop* says so.

    Runs never overlap: one that takes longer than the interval moves the next. A code other than 0 is told, and the
    loop goes on.
    """
    while not stop():
        began = clock.monotonic()
        code = run()
        if stop():
            return
        pause = max(every + random.uniform(0.0, every * JITTER) - (clock.monotonic() - began), SHORTEST)
        if code != ExitCode.DONE:
            notice(f"the run ended with {describe(code)}; the next one begins in {pause:.0f} s")
        until = clock.monotonic() + pause
        while not stop() and (left := until - clock.monotonic()) > 0:
            clock.sleep(min(left, _TICK))


def describe(code: int) -> str:
    """Say how a child ended.

    >>> describe(75), describe(-9)
    ('exit code 75 (try again later)', 'signal 9')
    """
    if code < 0:
        return f"signal {-code}"
    word = _WORDS.get(code)
    return f"exit code {code}" + (f" ({word})" if word else "")


class Child:
    """Runs one command line of this program after the other, each in a process of its own; passes a stop on to it.

    The child has a session of its own: Ctrl-C reaches it once, through us, and not a second time from the terminal
    (a second one ends a run at once).
    """

    def __init__(self, arguments: Sequence[str], environ: Mapping[str, str], notice: Callable[[str], None]) -> None:
        # -P: the folder we stand in is a policies repository, and nothing is imported from there.
        self._command = [sys.executable, "-P", "-m", "reconciler", *arguments]
        # The loop's own options must not come back to the child by way of their variables.
        kept = {name: value for name, value in environ.items() if not name.startswith("RECONCILER_APPLY_")}
        self._environ = {**kept, MARK: "1"}
        self._notice = notice
        self._process: subprocess.Popen[bytes] | None = None
        self._asked = False

    def run(self) -> int:
        """Start a child, wait for its end, and return its exit code; negative for a signal."""
        try:
            with subprocess.Popen(
                self._command, env=self._environ, stdin=subprocess.DEVNULL, start_new_session=True
            ) as process:
                self._process = process
                if self._asked:  # between the decision to start and now
                    process.send_signal(signal.SIGTERM)
                return process.wait()
        except OSError as error:
            self._notice(f"error: no run can be started ({os.strerror(error.errno or 0)})")
            return ExitCode.TRY_AGAIN
        finally:
            self._process = None

    def stop(self) -> None:
        """Ask the child to end, if there is one, and start no other. Fit for a signal handler.

        Always SIGTERM: until the child has its handlers, that ends it without a word, before anything was sent.
        """
        self._asked = True
        process = self._process
        if process is not None:
            process.send_signal(signal.SIGTERM)

    def is_stopping(self) -> bool:
        return self._asked


# ------------------------------------------------------------------------------------------ in the child


def is_looped(session: Session) -> bool:
    """Whether this process is a run of a loop."""
    return bool(session.environ.get(MARK))


def follow(session: Session) -> None:
    """Bring HEAD to the tip of the branch it follows, so that a loop applies what was merged since.

    Only forward: a branch whose history was rewritten is a `GitError`, and so is a local change in the way. A HEAD on
    no branch, a branch that follows none, and one that is ahead stay where they are.
    """
    repository = open_repository(session.root)
    upstream = repository.upstream()
    if upstream is None or upstream[0] != repository.remote_name(read_config(session).remote):
        return
    remote, ref = upstream
    tip = repository.list_remote(remote, ref).get(ref)
    head = repository.head()
    if tip is None or tip == head:
        return
    if not repository.has_commit(tip):
        repository.fetch_objects(remote, [ref])
        if not repository.has_commit(tip):
            raise UnreachableError(f"{ref} moved while it was fetched", where=remote, fix="try again")
    if repository.is_shallow():
        repository.unshallow(remote)
    if repository.is_ancestor(tip, head):
        return
    if not repository.is_ancestor(head, tip):
        raise GitError(
            f"{ref} of {remote} is at {tip[:7]}, which does not descend from {head[:7]} here",
            where=str(session.root),
            fix="find out who rewrote the branch; then move the clone by hand, or make a fresh one",
            code="diverged",
        )
    repository.fast_forward(tip)
    session.notice(f"HEAD moved from {head[:7]} to {tip[:7]}, the tip of {ref.removeprefix('refs/heads/')}")
