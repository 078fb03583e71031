"""Writing results: stdout is the result and nothing else; colour only where a person looks."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from typing import IO

from reconciler.cli.streams import to_nowhere
from reconciler.core.model import Json
from reconciler.errors import OutputError


def emit(text: str) -> None:
    """Write *text* to stdout as one block that ends with a newline.

    A reader that has gone away wants no more, which is no error. A result that cannot be written is one.
    """
    data = text if text.endswith("\n") else text + "\n"
    try:
        sys.stdout.write(data.encode("utf-8", errors="backslashreplace").decode("utf-8"))
        sys.stdout.flush()
    except OSError as error:
        to_nowhere(sys.stdout)
        if isinstance(error, BrokenPipeError):
            return
        raise OutputError(
            f"the result cannot be written ({error.strerror or type(error).__name__})",
            where="stdout",
            fix="make room where the output goes, then run it again",
        ) from error


def emit_json(value: Mapping[str, Json]) -> None:
    """Write *value* as JSON to stdout: ASCII, indented, keys in the documented order."""
    emit(to_json(value))


def to_json(value: Mapping[str, Json]) -> str:
    """Return *value* as people and programs read it: two spaces, ASCII, a final newline."""
    return json.dumps(value, indent=2, ensure_ascii=True) + "\n"


def note(text: str) -> None:
    """Write a line for people to stderr: progress, a warning."""
    print(text, file=sys.stderr, flush=True)


def use_color(stream: IO[str], environ: Mapping[str, str] | None = None) -> bool:
    """Whether *stream* gets colour: `NO_COLOR` forbids it, `FORCE_COLOR`, `CLICOLOR_FORCE` demand it, else a tty.

    An empty variable counts as not set (no-color.org).
    """
    environment = os.environ if environ is None else environ
    if environment.get("NO_COLOR"):
        return False
    if environment.get("FORCE_COLOR") or environment.get("CLICOLOR_FORCE") not in (None, "", "0"):
        return True
    return stream.isatty() and environment.get("TERM") != "dumb"
