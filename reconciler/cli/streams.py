"""Standard streams that nobody can take away in the middle: a reader that leaves stops no run (reliability.md F31).

Stderr is for people; when they are gone, what it says is lost and nothing else. The result on stdout is `output.py`'s.
"""

from __future__ import annotations

import os
import sys
from typing import Any, TextIO, cast


def keep_streams() -> None:
    """Make 0, 1 and 2 open, whatever they were, and stderr unable to fail.

    A descriptor that is closed would be the number of the next file or connection that is opened, and what is printed
    would go there.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
    sys.stdin = sys.stdin or os.fdopen(0, "r", encoding="utf-8", closefd=False)
    sys.stdout = sys.stdout or os.fdopen(1, "w", encoding="utf-8", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", encoding="utf-8", errors="backslashreplace", closefd=False)
    sys.stderr = cast(TextIO, Unheard(sys.stderr))


def to_nowhere(stream: TextIO) -> None:
    """Point a stream whose reader is gone at nothing, so that no later write, nor the interpreter's last, complains."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


class Unheard:
    """A text stream that takes everything, whether or not anybody still reads it."""

    def __init__(self, inner: TextIO) -> None:
        self._inner = inner

    def write(self, text: str) -> int:
        try:
            self._inner.write(text)
            self._inner.flush()
        except OSError:
            to_nowhere(self._inner)
        return len(text)

    def flush(self) -> None:
        try:
            self._inner.flush()
        except OSError:
            to_nowhere(self._inner)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)
