"""What differs on disk from a commit: told by git's index and the stat of a file, or by its bytes."""

from __future__ import annotations

import hashlib
import os
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from reconciler.sources.changed import Base, differing, gone, make_base
from reconciler.sources.directory import Found, list_directory
from reconciler.sources.git import open_repository
from tests.support.repos import Repo, make_repo

A, B = "p/a.yaml", "p/sub/b.yaml"
FILES = {A: "a: 1\n", B: "b: 1\n", "p/settings.yaml": "x: 1\n", "other/c.yaml": "c: 1\n"}


def age(folder: Path, seconds: int = 10) -> None:
    """Let git have written its index so long after the files: what it noted of them is then beyond doubt."""
    index = folder / ".git/index"
    os.utime(index, ns=(index.stat().st_atime_ns, max(os.lstat(folder / A).st_ctime_ns, 0) + seconds * 10**9))


def look(folder: Path, revision: str = "HEAD") -> tuple[Base, Found]:
    repository = open_repository(folder)
    return make_base(repository, repository.resolve(revision), ["p"]), list_directory(folder, "p")


def changed(folder: Path, revision: str = "HEAD") -> set[str]:
    base, found = look(folder, revision)
    return set(differing(base, found))


@pytest.mark.parametrize("object_format", ["sha1", "sha256"])
def test_a_file_that_is_as_git_saw_it_is_not_read(tmp_path: Path, object_format: str) -> None:
    repo = make_repo(tmp_path, FILES, object_format=object_format)
    age(repo.path)
    base, found = look(repo.path)

    assert differing(base, found) == {}
    assert found.read.keys() == {"p/settings.yaml"}
    assert base.id_of(A) == repo.git("rev-parse", f"HEAD:{A}")
    assert base.id_of("p/none.yaml") is None


def _saved(repo: Repo) -> None:
    repo.write({A: "a: 2\n"})


def _saved_at_the_old_time(repo: Repo) -> None:
    before = (repo.path / A).stat()
    repo.write({A: "a: 2\n"})
    os.utime(repo.path / A, ns=(before.st_atime_ns, before.st_mtime_ns))


def _replaced(repo: Repo) -> None:
    repo.write({"p/a.tmp": "a: 2\n"})
    (repo.path / "p/a.tmp").rename(repo.path / A)


def _staged(repo: Repo) -> None:
    repo.write({A: "a: 2\n"})
    repo.git("add", A)


def _committed(repo: Repo) -> None:
    repo.commit({A: "a: 2\n"})


def _staged_and_taken_back_on_disk(repo: Repo) -> None:
    repo.commit({A: "a: 2\n"})
    repo.write({A: "a: 3\n"})
    repo.git("add", A)
    repo.write({A: "a: 2\n"})


def _assumed(repo: Repo) -> None:
    repo.git("update-index", "--assume-unchanged", A)
    _saved(repo)


def _skipped(repo: Repo) -> None:
    repo.git("update-index", "--skip-worktree", A)
    _saved(repo)


def _untracked(repo: Repo) -> None:
    repo.git("rm", "--quiet", "--cached", A)
    _saved(repo)


def _intended(repo: Repo) -> None:
    repo.git("rm", "--quiet", "--cached", A)
    repo.git("add", "--intent-to-add", A)
    _saved(repo)


def _version_four(repo: Repo) -> None:
    repo.git("update-index", "--index-version", "4")
    _saved(repo)


def _split(repo: Repo) -> None:
    repo.git("update-index", "--split-index")
    _saved(repo)


def _linked(repo: Repo) -> None:
    repo.git("mv", A, "p/real.yaml")
    (repo.path / A).symlink_to("real.yaml")
    repo.write({"p/real.yaml": "a: 2\n"})


CHANGES = (
    _saved,
    _saved_at_the_old_time,
    _replaced,
    _staged,
    _committed,
    _staged_and_taken_back_on_disk,
    _assumed,
    _skipped,
    _untracked,
    _intended,
    _version_four,
    _split,
)


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__.strip("_"))
def test_a_change_is_found_whatever_git_was_told_of_the_file(tmp_path: Path, change: Callable[[Repo], None]) -> None:
    repo = make_repo(tmp_path, FILES)
    base = repo.git("rev-parse", "HEAD")
    change(repo)
    age(repo.path)

    assert changed(repo.path, base) == {A}


@pytest.mark.parametrize("folder", [".", "p"])
def test_the_whole_repository_may_be_the_folder(tmp_path: Path, folder: str) -> None:
    repo = make_repo(tmp_path, FILES)
    base = repo.git("rev-parse", "HEAD")
    repo.commit({A: "a: 2\n"})
    age(repo.path)
    repository = open_repository(repo.path)

    found = differing(make_base(repository, base, ["reconciler.yaml", folder]), list_directory(repo.path, folder))

    assert set(found) == {A}


def test_a_link_is_what_it_leads_to(tmp_path: Path) -> None:
    repo = make_repo(tmp_path, FILES)
    _linked(repo)
    age(repo.path)

    assert changed(repo.path) == {A, "p/real.yaml"}


def test_a_conflict_in_the_index_makes_every_file_be_read(tmp_path: Path) -> None:
    repo = make_repo(tmp_path, FILES)
    repo.git("checkout", "--quiet", "-b", "theirs")
    repo.commit({A: "a: 2\n"})
    repo.git("checkout", "--quiet", "main")
    repo.commit({A: "a: 3\n"})
    with pytest.raises(AssertionError):
        repo.merge("theirs")
    age(repo.path)
    base, found = look(repo.path)

    assert set(differing(base, found)) == {A}
    assert found.read.keys() >= {A, B}


def test_new_and_removed_files_are_told_apart(tmp_path: Path) -> None:
    repo = make_repo(tmp_path, FILES)
    blob = repo.git("rev-parse", f"HEAD:{B}")
    repo.write({"p/new.yaml": "n: 1\n"})
    repo.git("rm", "--quiet", B)
    age(repo.path)
    base, found = look(repo.path)

    assert differing(base, found) == {"p/new.yaml": None}
    assert gone(base, found) == {blob}


def test_a_folder_below_the_top_and_a_linked_work_tree_have_their_own_view(tmp_path: Path) -> None:
    repo = make_repo(tmp_path, {f"team/{path}": text for path, text in FILES.items()})
    second = tmp_path / "second"
    repo.git("worktree", "add", "--quiet", "--detach", str(second))
    (second / "team" / A).write_text("a: 2\n")

    assert changed(repo.path / "team") == set()
    assert changed(second / "team") == {A}


def disguise(repo: Repo, path: str) -> None:
    """Write into git's index that it saw *path* as it is on disk now, as if both had happened within one tick."""
    file = repo.path / ".git/index"
    data, facts = bytearray(file.read_bytes()), (repo.path / path).stat()
    at = data.index(path.encode() + b"\0") - 62
    times = (*divmod(facts.st_ctime_ns, 10**9), *divmod(facts.st_mtime_ns, 10**9))
    data[at : at + 24] = struct.pack(">6I", *times, facts.st_dev & 0xFFFFFFFF, facts.st_ino & 0xFFFFFFFF)
    data[-20:] = hashlib.sha1(data[:-20], usedforsecurity=False).digest()
    file.write_bytes(data)


@pytest.mark.parametrize(
    ("ticks", "seen"), [(-1_000_000_000, {A}), (0, {A}), (20_000_000, {A}), (10_000_000_000, set())], ids=str
)
def test_a_file_of_the_tick_in_which_the_index_was_written_is_read(tmp_path: Path, ticks: int, seen: set[str]) -> None:
    repo = make_repo(tmp_path, FILES)
    repo.write({A: "a: 2\n"})
    disguise(repo, A)

    when = (repo.path / A).stat().st_ctime_ns + ticks
    os.utime(repo.path / ".git/index", ns=(when, when))

    assert changed(repo.path) == seen  # at last what git itself would say


def test_a_file_system_of_whole_seconds_is_given_two_of_them(tmp_path: Path) -> None:
    repo = make_repo(tmp_path, FILES)
    repo.write({A: "a: 2\n"})
    second = (repo.path / A).stat().st_mtime_ns // 10**9 * 10**9
    os.utime(repo.path / A, ns=(second, second))
    disguise(repo, A)

    when = (repo.path / A).stat().st_ctime_ns + 1_000_000_000
    os.utime(repo.path / ".git/index", ns=(when, when))

    assert changed(repo.path) == {A}


def test_an_index_that_is_cut_off_tells_everything_or_nothing(tmp_path: Path) -> None:
    repo = make_repo(tmp_path, FILES)
    repository = open_repository(repo.path)
    file = repo.path / ".git/index"
    whole = file.read_bytes()
    told = []

    for length in range(len(whole)):
        file.write_bytes(whole[:length])
        index = repository.read_index()
        told.append(None if index is None else set(index.places))

    assert {frozenset(places) for places in told if places is not None} <= {frozenset(FILES)}
    assert told.count(None) > len(whole) - 4
