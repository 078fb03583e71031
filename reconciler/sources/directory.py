"""The files of a policy folder, from the working tree or from one commit, by the same rules.

Every `*.yaml` and `*.yml` below the folder, but `settings.yaml` at its top apart. Bytes only: what is in them is
`core/documents.py`'s matter. What must not be read (links that leave the folder, submodules, devices, files over
1 MiB, names that could forge a terminal) is a `Problem`, never silently left out: a policy that is not seen would be
deleted.
"""

from __future__ import annotations

import os
import posixpath
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.core.model import Problem, Severity
from reconciler.errors import ConfigError
from reconciler.sources.limits import CONTROL, MAX_BYTES

if TYPE_CHECKING:
    from reconciler.sources.git import Repository

SETTINGS = "settings.yaml"
#: More files than this are not a folder of policies.
MAX_FILES = 50_000
#: Links that point at links.
_MAX_LINKS = 5


@dataclass(frozen=True, slots=True)
class Reading:
    """What a folder holds: policy files by path from the repository folder, its `settings.yaml`, and problems.

    All three sorted by path. `problems` are about files that are not in `files`.
    """

    files: Mapping[str, bytes]
    settings: tuple[str, bytes] | None
    problems: tuple[Problem, ...]

    @property
    def all_files(self) -> Mapping[str, bytes]:
        """Policy files and settings together: all that makes a tree dirty."""
        return {**self.files, **dict([self.settings] if self.settings else [])}


@dataclass(slots=True)
class Found:
    """Reading in the making: the path of each file and what to read it from, which for one of `links` is another file.

    `read` has what was read so far, None for what could not be.
    """

    folder: str
    places: dict[str, str] = field(default_factory=dict)
    links: set[str] = field(default_factory=set)
    read: dict[str, bytes | None] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    @property
    def settings(self) -> str:
        """The path of the file at the folder's top that is no policy."""
        return posixpath.normpath(posixpath.join(self.folder, SETTINGS))

    def problem(self, code: str, path: str, message: str, fix: str) -> None:
        self.problems.append(Problem(code, Severity.ERROR, message, shown(path), fix=fix))


def read_directory(root: Path, folder: str) -> Reading:
    """Read *folder* below *root* as it is on disk now.

    A link to a regular file inside the folder is read; no other link is followed, not even to a folder inside. A file
    is opened without following and checked after opening, so that nothing can be swapped in between.
    """
    found = list_directory(root, folder)
    return read_listed(found, found.places)


def list_directory(root: Path, folder: str) -> Found:
    """What is to be read of *folder* below *root*, by the rules of `read_directory`."""
    inner = checked_folder(folder)
    found = Found(inner)
    top = root / inner
    if (link := _first_link(root, inner)) is not None:
        found.problem("symlink", link, "the policy folder is reached through a symbolic link", "use the real folder")
        return found
    if not top.is_dir():
        _missing(found)
        return found
    real = Path(os.path.realpath(top))
    files, links = _walk(root, inner, found)
    if CONTROL.search("".join(files)) is not None:
        files = [path for path in files if _is_sound_name(path, found)]
    base = f"{root}/"
    found.places = {path: base + path for path in files}
    for path in links:
        place = _follow(root, real, path, found)
        if place is not None and _is_sound_name(path, found):
            found.places[path] = place
            found.links.add(path)
    return found


def read_listed(found: Found, paths: Iterable[str]) -> Reading:
    """Read those of a folder's files that are asked for, and its settings."""
    wanted = dict.fromkeys(paths)
    if found.settings in found.places:
        wanted[found.settings] = None
    data: dict[str, bytes] = {}
    for path in wanted:
        if path not in found.read:
            found.read[path] = _read(path, found.places[path], found)
        content = found.read[path]
        if content is not None:
            data[path] = content
    return _reading(found, data)


def read_commit(repository: Repository, commit: str, folder: str) -> Reading:
    """Read *folder* as it is in *commit*: the same rules, and no file system in between. Three processes at most."""
    found = list_commit(repository, commit, folder)
    blobs = repository.read_blobs_sized(found.places.values())
    data: dict[str, bytes] = {}
    for path, blob in found.places.items():
        if blob in blobs.too_large:
            _too_large(path, blobs.too_large[blob], found)
        else:
            data[path] = blobs.data[blob]
    return _reading(found, data)


def dirty_paths(repository: Repository, commit: str, folder: str, reading: Reading) -> tuple[str, ...]:
    """Paths of policy files that differ between *reading*, from disk, and *commit*; untracked and removed ones too.

    Compared by object id over the bytes read: no filter of the repository runs. Files that could not be read count as
    different.
    """
    there = list_commit(repository, commit, folder).places
    here = {path: repository.blob_id(data) for path, data in reading.all_files.items()}
    differing = {path for path in there.keys() | here.keys() if there.get(path) != here.get(path)}
    return tuple(sorted(differing))


def checked_folder(folder: str) -> str:
    """A folder of `reconciler.yaml` in normal form; `ConfigError` when it is not below the repository folder."""
    inner = posixpath.normpath(folder)
    if not folder or inner.startswith(("/", "..")) or CONTROL.search(folder) or "\\" in folder:
        raise ConfigError(
            f'"{shown(folder)}" is not a folder below reconciler.yaml',
            where="reconciler.yaml",
            fix="write a relative path without .., such as policies/neosc",
        )
    return inner


def is_policy_file(path: str) -> bool:
    """Whether a file of this name is read."""
    return path.endswith((".yaml", ".yml"))


def shown(path: str) -> str:
    """A path as people may see it: control, format and undecodable characters escaped."""
    return CONTROL.sub(lambda match: match.group().encode("unicode_escape").decode("ascii"), path)


# --------------------------------------------------------------------------------------------------- disk


def _first_link(root: Path, inner: str) -> str | None:
    """The first part of the folder's path that is a link."""
    if inner == ".":
        return None
    parts = inner.split("/")
    for count in range(1, len(parts) + 1):
        if (root / "/".join(parts[:count])).is_symlink():
            return "/".join(parts[:count])
    return None


def _walk(root: Path, inner: str, found: Found) -> tuple[list[str], list[str]]:
    """Paths below the folder that may be policy files, and all links; more than `MAX_FILES` are a problem, and cut off.

    So are folders that cannot be entered.
    """
    files: list[str] = []
    links: list[str] = []
    waiting = [inner]
    while waiting:
        here = waiting.pop()
        base = "" if here == "." else f"{here}/"
        try:
            with os.scandir(root / here) as entries:
                listed = sorted(entries, key=attrgetter("name"))
        except OSError as error:
            found.problem("unreadable", here, f"this folder cannot be read: {error.strerror}", "check its permissions")
            continue
        for entry in listed:
            name = entry.name
            if entry.is_file(follow_symlinks=False):
                if is_policy_file(name):
                    files.append(base + name)
            elif entry.is_symlink():
                links.append(base + name)
            elif entry.is_dir(follow_symlinks=False):
                if name == ".git":
                    continue
                if os.path.lexists(root / base / name / ".git"):
                    _submodule(base + name, found)
                else:
                    waiting.append(base + name)
            elif is_policy_file(name):
                files.append(base + name)
        if len(files) + len(links) > MAX_FILES:
            _too_many(found)
            return files[:MAX_FILES], links[: max(0, MAX_FILES - len(files))]
    return files, links


def _follow(root: Path, real: Path, path: str, found: Found) -> str | None:
    """The file that a link leads to, if it may be read; None when there is nothing to read."""
    target = Path(os.path.realpath(root / path))
    allowed = real if is_policy_file(path) else Path(os.path.realpath(root))
    if not target.is_relative_to(allowed) or not target.is_file():
        _link(path, found)
        return None
    return str(target) if is_policy_file(path) else None


def _read(path: str, place: str, found: Found) -> bytes | None:
    try:
        # Not blocking, for a pipe that stands where a file stood.
        descriptor = os.open(place, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    except OSError as error:
        if not os.path.lexists(place) or stat.S_ISREG(os.lstat(place).st_mode):
            found.problem("unreadable", path, f"this file cannot be read: {error.strerror}", "check its permissions")
        else:
            _special(path, found)
        return None
    try:
        facts = os.fstat(descriptor)
        if not stat.S_ISREG(facts.st_mode):
            _special(path, found)
            return None
        if facts.st_size > MAX_BYTES:
            _too_large(path, facts.st_size, found)
            return None
        data = os.read(descriptor, facts.st_size + 1)
        if len(data) != facts.st_size:  # it grew or shrank, or came in pieces
            parts, size = [data], len(data)
            while part := os.read(descriptor, max(0, MAX_BYTES + 1 - size)):
                parts.append(part)
                size += len(part)
            data = b"".join(parts)
    finally:
        os.close(descriptor)
    if len(data) > MAX_BYTES:
        _too_large(path, len(data), found)
        return None
    return data


# ------------------------------------------------------------------------------------------------- commit


def list_commit(repository: Repository, commit: str, folder: str) -> Found:
    """What is to be read at a commit, by object id; links resolved inside the tree."""
    found = Found(checked_folder(folder))
    entries = repository.list_files(commit, [found.folder])
    if not entries or found.folder in entries:
        # A folder that is a link or a file in the tree is listed as itself.
        if found.folder in entries and entries[found.folder][0] == "120000":
            found.problem("symlink", found.folder, "the policy folder is a symbolic link", "use the real folder")
        else:
            _missing(found)
        return found
    links = {path: blob for path, (mode, blob) in entries.items() if mode == "120000"}
    targets = repository.read_blobs(links.values()) if links else {}
    others: dict[str, str] = {}
    for path, (mode, blob) in sorted(entries.items()):
        if mode == "160000":
            _submodule(path, found)
            continue
        if path in links:
            target: str | None = _target(path, os.fsdecode(targets.get(blob, b"")))
            if not is_policy_file(path):
                others[path] = target or ""
                continue
            for _ in range(_MAX_LINKS):
                if target in links:
                    target = _target(target, os.fsdecode(targets.get(links[target], b"")))
            if target not in entries or entries[target][0] not in ("100644", "100755"):
                _link(path, found)
                continue
            blob = entries[target][1]
        elif not is_policy_file(path):
            continue
        if not _is_sound_name(path, found):
            continue
        if len(found.places) >= MAX_FILES:
            _too_many(found)
            break
        found.places[path] = blob
    kinds = repository.tree_kinds(commit, {target for target in others.values() if target}) if others else {}
    for path, target in others.items():
        if kinds.get(target) != "blob":
            _link(path, found)
    return found


def _target(path: str, text: str) -> str | None:
    """Where a link in a tree points, from the repository folder; None when it leaves it or is no plain path."""
    if not text or text.startswith("/") or CONTROL.search(text):
        return None
    joined = posixpath.normpath(posixpath.join(posixpath.dirname(path), text))
    return None if joined.startswith("..") or joined == "." else joined


# ----------------------------------------------------------------------------------------------- problems


def _reading(found: Found, data: Mapping[str, bytes]) -> Reading:
    settings = found.settings
    return Reading(
        files={path: data[path] for path in sorted(data) if path != settings},
        settings=(settings, data[settings]) if settings in data else None,
        problems=tuple(sorted(found.problems, key=lambda problem: problem.sort_key)),
    )


def _is_sound_name(path: str, found: Found) -> bool:
    if CONTROL.search(path) is None:
        return True
    message = "the file's name has control, invisible or undecodable characters"
    found.problem("file-name", path, message, "rename it with plain characters")
    return False


def _missing(found: Found) -> None:
    message = f'there is no folder "{found.folder}"'
    fix = "create it with at least one policy file, or correct policies: in reconciler.yaml"
    found.problem("missing-folder", found.folder, message, fix)


def _link(path: str, found: Found) -> None:
    fix = "put the file itself there, or link to a file in the same policy folder"
    found.problem("symlink", path, "this symbolic link does not lead to a file inside the policy folder", fix)


def _submodule(path: str, found: Found) -> None:
    found.problem("submodule", path, "a submodule stands inside the policy folder", "keep policies in this repository")


def _special(path: str, found: Found) -> None:
    found.problem("special-file", path, "this is not a regular file", "replace it with a regular file")


def _too_large(path: str, size: int, found: Found) -> None:
    found.problem("file-too-large", path, f"the file has {size} bytes; the limit is {MAX_BYTES}", "split it")


def _too_many(found: Found) -> None:
    message = f"the folder holds more than {MAX_FILES} policy files"
    found.problem("too-many-files", found.folder, message, "use several targets or folders")
