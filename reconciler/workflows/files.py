"""Writing files whole or not at all; in a repository somebody else filled never over a file, never through a link."""

from __future__ import annotations

import os
from pathlib import Path

from reconciler.errors import OutputError


def write_new(root: Path, path: str, data: bytes) -> bool:
    """Write *data* to *path* below *root* unless something is there; return whether it was written."""
    place = _place(root, path)
    if os.path.lexists(place):
        return False
    _write_below(place, data)
    return True


def replace_file(root: Path, path: str, data: bytes) -> bool:
    """Make *path* below *root* hold *data*, whole or not at all; return whether it did not before."""
    place = _place(root, path)
    if place.is_file() and not place.is_symlink() and place.read_bytes() == data:
        return False
    _write_below(place, data)
    return True


def _place(root: Path, path: str) -> Path:
    """The file's place, its folder made. Each folder on the way must be one, and no link that leads elsewhere."""
    place = root / path
    for folder in [*reversed(place.relative_to(root).parents)][1:]:
        here = root / folder
        if here.is_symlink() or (here.exists() and not here.is_dir()):
            raise OutputError(
                "a file or link stands where a folder is needed",
                where=str(folder),
                fix="move it away; nothing is written through links",
            )
    return place


def _write_below(place: Path, data: bytes) -> None:
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _failed(place, error) from error
    write_whole(place, data)


def write_whole(place: Path, data: bytes, *, mode: int = 0o666) -> None:
    """Write *data* to *place* (a new file, synced, moved there); raise `OutputError` where that fails.

    *mode* is what the new file's permissions are at most; the umask takes away from it.
    """
    temporary = place.with_name(f".{place.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "xb", opener=lambda name, flags: os.open(name, flags, mode)) as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(place)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise _failed(place, error) from error


def _failed(place: Path, error: OSError) -> OutputError:
    return OutputError(
        f"the file cannot be written ({error.strerror or type(error).__name__})",
        where=str(place),
        fix="choose another place or mend the permissions",
    )
