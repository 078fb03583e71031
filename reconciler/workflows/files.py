"""Writing into a repository somebody else filled: never over a file, never through a link."""

from __future__ import annotations

import os
from pathlib import Path

from reconciler.errors import ReconcilerError


def write_new(root: Path, path: str, data: bytes) -> bool:
    """Write *data* to *path* below *root* unless something is there; return whether it was written."""
    place = _place(root, path)
    if os.path.lexists(place):
        return False
    _write(place, data)
    return True


def replace_file(root: Path, path: str, data: bytes) -> bool:
    """Make *path* below *root* hold *data*, whole or not at all; return whether it did not before."""
    place = _place(root, path)
    if place.is_file() and not place.is_symlink() and place.read_bytes() == data:
        return False
    _write(place, data)
    return True


def _place(root: Path, path: str) -> Path:
    """The file's place, its folder made. Each folder on the way must be one, and no link that leads elsewhere."""
    place = root / path
    for folder in [*reversed(place.relative_to(root).parents)][1:]:
        here = root / folder
        if here.is_symlink() or (here.exists() and not here.is_dir()):
            raise ReconcilerError(
                "a file or link stands where a folder is needed",
                where=str(folder),
                fix="move it away; nothing is written through links",
                code="output",
            )
    return place


def _write(place: Path, data: bytes) -> None:
    temporary = place.with_name(f".{place.name}.{os.getpid()}.tmp")
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with open(temporary, "xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(place)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise ReconcilerError(
            f"the file cannot be written ({error.strerror or type(error).__name__})",
            where=str(place),
            fix="choose another folder or mend the permissions",
            code="output",
        ) from error
