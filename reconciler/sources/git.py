"""Everything this program asks of git, behind one name: opens a repository.

What is asked of it is told in `objects.py`, `history.py` and `refs.py`; `runner.py` starts git. Nothing in them reads
YAML or decides anything.
"""

from __future__ import annotations

import os
from pathlib import Path

from reconciler.errors import GitError
from reconciler.sources.plumbing import clean
from reconciler.sources.refs import Refs
from reconciler.sources.runner import Runner


def git_version(folder: Path) -> str:
    """The version of the git program that would be run in *folder*; raises `GitError` where there is none."""
    result = Runner(folder).run(["version"])
    return clean(result.out.decode("utf-8", "replace").strip()).removeprefix("git version ")


def init_repository(folder: Path) -> bool:
    """Make *folder* a repository with the branch `main`, unless it lies in one already; return whether it was made."""
    runner = Runner(folder)
    asked = runner.run(["rev-parse", "--is-inside-work-tree"])
    if asked.status == 0:
        return False
    if "not a git repository" not in asked.error:
        runner.fail(asked)
    made = runner.run(["init", "--quiet", "--initial-branch=main"])
    if made.status != 0:
        runner.fail(made)
    return True


def open_repository(folder: Path) -> Repository:
    """Open the repository whose work tree holds *folder*, the one with `reconciler.yaml`.

    The folder may lie below the top of the work tree; all paths in and out are then relative to the folder. A
    repository without a commit opens; it is `head` that says so.
    """
    runner = Runner(folder)
    if not folder.is_dir():
        raise GitError("there is no such folder", where=str(folder), fix="give the folder that holds reconciler.yaml")
    asked = ("--is-inside-work-tree", "--show-object-format", "--show-toplevel", "--show-prefix", "--git-common-dir")
    result = runner.run(["rev-parse", *asked, "--git-path", "index"])
    if result.status != 0:
        runner.fail(result)
    lines = result.out.split(b"\n")
    if len(lines) != len(asked) + 2 or lines[0] != b"true":
        raise GitError(
            "git cannot say where its work tree is",
            where=str(folder),
            fix="use a folder inside a work tree, with no line break in its path",
        )
    _, object_format, top, prefix, common, index = (os.fsdecode(line) for line in lines[:-1])
    return Repository(
        folder=folder,
        top=Path(top),
        prefix=prefix,
        git_dir=Path(os.path.normpath(folder.absolute() / common)),
        index_file=Path(os.path.normpath(folder.absolute() / index)),
        object_format=object_format,
        runner=Runner(Path(top)),
    )


class Repository(Refs):
    """One opened repository, seen from one folder of its work tree: its objects, its history, its refs."""
