"""Starts git, and nothing else does: plumbing in bulk, and GitPython for what talks to a remote.

Explicit arguments only. A repository and its host are hostile: replace refs, grafts, hooks, fsmonitor and odd
transports are off (reliability.md D17, D18, T9), and no process outlives a call. GitPython is the one that can end a
remote which does not answer; importing it takes longer than all that is asked here of most repositories.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, NoReturn

from reconciler.errors import GitError
from reconciler.sources.plumbing import Reader, Result, as_bytes, last_line

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


class Runner:
    """Starts git in one folder, and waits for it: no process and no descriptor outlives a call."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def run(self, arguments: Sequence[str], *, given: bytes | None = None, settings: Sequence[str] = ()) -> Result:
        """All that a local command says."""
        with _stdin(given) as stdin:
            process = self._start(arguments, settings, stdin)
            with process:
                out, error = process.communicate()
        return Result(process.returncode, out, error.decode("utf-8", "replace"))

    @contextmanager
    def stream(self, arguments: Sequence[str], given: bytes | None = None) -> Iterator[Reader]:
        """The child's output as it comes. Leaving early ends the child; a child that fails is a `GitError`."""
        with _stdin(given) as stdin:
            process = self._start(arguments, (), stdin)
            assert process.stdout is not None  # noqa: S101 - a pipe was asked for
            assert process.stderr is not None  # noqa: S101
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

    def talk(self, arguments: Sequence[str], *, timeout: float, settings: Sequence[str] = ()) -> Result:
        """All that a command says which talks to a remote; ended after *timeout* seconds."""
        try:
            from git.cmd import Git
            from git.exc import GitCommandNotFound
        except ImportError:  # it asks for git's version first
            self._no_git()
        # GitPython can add to the environment but not take away from it; env can.
        present = [name for name in _LOCATION if name in os.environ]
        words = [*(["env", *(f"--unset={name}" for name in present)] if present else []), *_words(arguments, settings)]
        try:
            status, out, said = Git(str(self._folder)).execute(
                words,
                env=_ENVIRONMENT,
                shell=False,
                start_new_session=True,
                kill_after_timeout=timeout,
                with_extended_output=True,
                with_exceptions=False,
                stdout_as_string=False,
                strip_newline_in_stdout=False,
            )
        except GitCommandNotFound:
            self._no_git()
        except ValueError as error:  # a NUL in an argument
            raise self._nul() from error
        return Result(status, as_bytes(out), as_bytes(said).decode("utf-8", "replace"))

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

    def _start(
        self, arguments: Sequence[str], settings: Sequence[str], stdin: IO[bytes] | None
    ) -> subprocess.Popen[bytes]:
        environ = {name: value for name, value in os.environ.items() if name not in _LOCATION} | _ENVIRONMENT
        pipe = subprocess.PIPE
        try:
            # In a session of its own: Ctrl-C ends this program in order, not git in the middle of its work.
            return subprocess.Popen(
                _words(arguments, settings),
                cwd=self._folder,
                env=environ,
                stdin=subprocess.DEVNULL if stdin is None else stdin,
                stdout=pipe,
                stderr=pipe,
                start_new_session=True,
            )
        except OSError:
            self._no_git()
        except ValueError as error:  # a NUL in an argument
            raise self._nul() from error

    def _nul(self) -> GitError:
        return GitError("a name holds a NUL byte", where=str(self._folder), fix="correct the name")

    def _no_git(self) -> NoReturn:
        raise GitError("git cannot be started", where=str(self._folder), fix="install git and put it on PATH") from None


def _words(arguments: Sequence[str], settings: Sequence[str]) -> list[str]:
    return ["git", *(word for setting in (*_SETTINGS, *settings) for word in ("-c", setting)), *arguments]


@contextmanager
def _stdin(given: bytes | None) -> Iterator[IO[bytes] | None]:
    # A file, not a pipe: a child that writes before it has read everything cannot block us.
    if given is None:
        yield None
        return
    import tempfile

    with tempfile.TemporaryFile() as file:
        file.write(given)
        file.seek(0)
        yield file
