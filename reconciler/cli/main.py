"""The entry point. Answers `--version` before anything else is imported; everything else is `app.py`."""

from __future__ import annotations

import gc
import sys

from reconciler import __version__


def main() -> None:
    """Run the program with the command line's arguments and end the process with its exit code."""
    if sys.argv[1:] == ["--version"]:
        print(f"reconciler {__version__}")
        raise SystemExit(0)
    # Nothing of what is imported becomes garbage: `app.py` looks for some again once a command is there to run.
    gc.disable()
    from reconciler.cli.streams import keep_streams

    keep_streams()
    from reconciler.cli.app import run

    raise SystemExit(run(sys.argv[1:]))
