"""Documents of files that were valid, kept from run to run by what is in the files, so that they are not parsed again.

For commands that only read, on somebody's own computer: whoever can write here can say what a file holds. So nothing
that is applied comes from here, and CI keeps nothing (docs/explanation/performance.md). Safe to delete at any time.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, TypeAlias

from reconciler import __version__, core
from reconciler.core.model import Json
from reconciler.core.schema import Schemas

#: A file over this is not read: it is none of ours.
MAX_BYTES = 512 * 1024 * 1024

#: Content id → the first line and the value of each document.
Kept: TypeAlias = dict[str, list[tuple[int, dict[str, Json]]]]


@dataclass(frozen=True, slots=True)
class Shelf:
    """The file for one policy folder of one repository, and what its documents were read with."""

    file: Path
    made_with: str


def find_shelf(folder: Path, *, root: Path, policies: str, provider: str, schemas: Schemas) -> Shelf:
    """Return where the documents of *policies* below *root* are kept in the cache folder *folder*."""
    name = _digest([os.path.realpath(root), policies, provider])
    return Shelf(
        folder / f"documents-{name[:32]}.json", _digest([__version__, sys.version, _code(), dict(schemas.raw)])
    )


def content_id(data: bytes) -> str:
    """Return the name of a content. Not git's: SHA-1 has collisions that can be made."""
    return hashlib.sha256(data).hexdigest()


def load(shelf: Shelf) -> Kept:
    """Return what is kept; nothing when there is none, another version wrote it, or it is not as we write it."""
    try:
        value = json.loads(_read(shelf.file), parse_constant=_no_constant)
        if value["made_with"] != shelf.made_with:
            return {}
        return {
            name: [_document(line, document) for line, document in documents]
            for name, documents in value["documents"].items()
        }
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return {}


def save(shelf: Shelf, documents: Mapping[str, Iterable[tuple[int, Mapping[str, Json]]]]) -> None:
    """Keep *documents* in place of what was kept. What cannot be written is not kept, and nobody is told."""
    value = {"made_with": shelf.made_with, "documents": {name: list(each) for name, each in documents.items()}}
    temporary = shelf.file.with_name(f".{shelf.file.name}.{os.getpid()}.tmp")
    try:
        shelf.file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with open(descriptor, "w", encoding="ascii") as file:
                file.write(json.dumps(value, separators=(",", ":")))
            os.replace(temporary, shelf.file)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    except (OSError, ValueError, RecursionError):
        return


def _read(file: Path) -> bytes:
    """Return a file's bytes; an `OSError` unless it is ours and nobody else can write it."""
    descriptor = os.open(file, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    with open(descriptor, "rb") as stream:
        facts = os.fstat(descriptor)
        if not stat.S_ISREG(facts.st_mode) or facts.st_size > MAX_BYTES or not _is_private(facts):
            raise PermissionError
        return stream.read()


def _is_private(facts: os.stat_result) -> bool:
    if sys.platform == "win32":  # the platform's folder is the user's own
        return True
    return facts.st_uid == os.geteuid() and not facts.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def _document(line: object, value: object) -> tuple[int, dict[str, Json]]:
    if type(line) is not int or type(value) is not dict:
        raise TypeError
    return line, value


def _no_constant(name: str) -> NoReturn:
    raise ValueError(name)


def _code() -> list[Any]:
    """What tells one state of the reading code from another, also where somebody works on it."""
    files = sorted(Path(str(core.__file__)).parent.glob("*.py"))
    return [[file.name, facts.st_size, facts.st_mtime_ns] for file in files for facts in [file.stat()]]


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()
