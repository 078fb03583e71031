"""Git's index, read as it stands on disk: which files are still as git last saw them, told by their stat alone.

Git itself would look into the files that it is not sure of, and run the filters that a repository's attributes ask
for. Nothing of a repository is run here: what only a file's bytes can tell is left to who reads them. The format is
gitformat-index(5).
"""

from __future__ import annotations

import os
import stat
import struct
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

#: A larger index is none of a repository of policies.
MAX_BYTES = 512 * 1024 * 1024
#: A file written this short before the index may have been written again without another time: two ticks of a slow
#: kernel clock, or of a file system that keeps whole (even) seconds.
_TICK, _SECONDS = 50_000_000, 2_000_000_000
_NANO = 1_000_000_000

_HEADER = struct.Struct(">4sII")
#: Of an entry's stat both times, inode and size, each number cut to 32 bits. Owner and mode move the first time.
_SEEN = struct.Struct(">4I4xI12xI")
_STAT, _WORD = 40, 0xFFFFFFFF
_ASSUMED, _EXTENDED, _STAGE = 0x8000, 0x4000, 0x3000
_SKIPPED, _INTENDED = 0x4000, 0x2000
#: Extensions without which the entries are not all there is.
_PARTIAL = (b"link", b"sdir")


@dataclass(frozen=True, slots=True)
class Index:
    """The files that git knows, each with its id and the stat it had. `written` is when, in nanoseconds.

    `places` tells where a path's entry begins in `data`; `doubtful` are those whose stat git itself was told not to
    look at (assume-unchanged, skip-worktree).
    """

    data: bytes
    id_size: int
    written: int
    places: Mapping[str, int]
    doubtful: frozenset[str]

    def id_of(self, path: str) -> str | None:
        """The id that the next commit would have at *path*; None where the index has nothing."""
        at = self.places.get(path)
        return None if at is None else self.data[at + _STAT : at + _STAT + self.id_size].hex()

    def unsure(self, places: Mapping[str, str]) -> list[str]:
        """Those of *places*, path → file on disk, that may be other than the index says: only their bytes can tell.

        One loop over local names on purpose: it is most of what `validate --since` costs.
        """
        data, begins, read, lstat, doubtful = self.data, self.places.get, _SEEN.unpack_from, os.lstat, self.doubtful
        written, latest = self.written, self.written - _TICK
        unsure: list[str] = []
        for path, place in places.items():
            at = begins(path)
            try:
                facts = lstat(place)
            except OSError:
                at = None
            if at is not None:
                ctime, ctime_part, mtime, mtime_part, inode, size = read(data, at)
                changed, stamp = facts.st_ctime_ns, facts.st_mtime_ns
                if (
                    changed == ctime * _NANO + ctime_part
                    and stamp == mtime * _NANO + mtime_part
                    and changed < latest
                    and stamp < (latest if mtime_part else written - _SECONDS)
                    and facts.st_size & _WORD == size
                    and facts.st_ino & _WORD == inode
                    and stat.S_ISREG(facts.st_mode)
                    and path not in doubtful
                ):
                    continue
            unsure.append(path)
        return unsure


def read_index(file: Path, id_size: int, prefix: str = "") -> Index | None:
    """Return the index in *file*; None where there is none, or one whose entries cannot be told from it alone.

    Only paths below *prefix*, and relative to it. Not told are version 4, which writes paths as differences, a split
    or a sparse index, and one with a conflict.
    """
    try:
        with open(file, "rb") as stream:
            facts = os.fstat(stream.fileno())
            data = stream.read(MAX_BYTES + 1)
        magic, version, count = _HEADER.unpack_from(data)
        if magic != b"DIRC" or version not in (2, 3) or len(data) > MAX_BYTES:
            return None
        return _parse(data, id_size, prefix, facts.st_mtime_ns, count)
    except (OSError, ValueError, IndexError, struct.error):
        return None


def _parse(data: bytes, id_size: int, prefix: str, written: int, count: int) -> Index | None:
    places: dict[str, int] = {}
    doubtful: set[str] = set()
    at, fixed, cut = _HEADER.size, _STAT + id_size + 2, len(prefix)
    encoding, errors = sys.getfilesystemencoding(), sys.getfilesystemencodeerrors()
    for _ in range(count):
        flags = data[at + fixed - 2] << 8 | data[at + fixed - 1]
        begin = at + fixed + (2 if flags & _EXTENDED else 0)
        end = data.index(b"\0", begin)
        more = data[begin - 2] << 8 if flags & _EXTENDED else 0
        if flags & _STAGE:
            return None
        full = data[begin:end].decode(encoding, errors)
        if full.startswith(prefix) and not more & _INTENDED:  # else nothing of it is staged
            path = full[cut:]
            places[path] = at
            if flags & _ASSUMED or more & _SKIPPED:
                doubtful.add(path)
        at += (end - at) // 8 * 8 + 8  # at least one NUL behind the path, up to a multiple of eight
    last = len(data) - id_size
    while at < last:
        if data[at : at + 4] in _PARTIAL:
            return None
        at += 8 + int.from_bytes(data[at + 4 : at + 8], "big")
    return Index(data, id_size, written, places, frozenset(doubtful)) if at == last else None
