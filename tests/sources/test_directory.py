"""Policy folders on disk and in a commit: one set of rules, shown on both."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from reconciler.core.model import Severity
from reconciler.errors import ConfigError
from reconciler.sources.directory import Reading, dirty_paths, read_commit, read_directory
from reconciler.sources.git import open_repository
from reconciler.sources.limits import MAX_BYTES
from tests.support.processes import open_descriptors, spawned
from tests.support.repos import Repo, make_repo


def _disk(repo: Repo, folder: str = "p") -> Reading:
    return read_directory(repo.path, folder)


def _commit(repo: Repo, folder: str = "p") -> Reading:
    repo.commit({})
    repository = open_repository(repo.path)
    return read_commit(repository, repository.head(), folder)


both = pytest.mark.parametrize("read", [_disk, _commit])
Read = Callable[..., Reading]


def _codes(reading: Reading) -> list[tuple[str, str]]:
    assert all(problem.severity is Severity.ERROR and problem.fix for problem in reading.problems)
    return [(problem.code, problem.path) for problem in reading.problems]


@both
def test_every_yaml_below_the_folder_is_read_and_nothing_else(tmp_path: Path, read: Read) -> None:
    files = {
        "p/b.yaml": "b: 1\n",
        "p/a.yml": "a: 1\n",
        "p/deep/er/c.yaml": "",
        "p/deep/settings.yaml": "x: 1\n",
        "p/.hidden.yaml": "h: 1\n",
        "p/README.md": "x",
        "p/UPPER.YAML": "x",
        "q/d.yaml": "d: 1\n",
    }
    repo = make_repo(tmp_path, files)

    reading = read(repo)

    assert list(reading.files) == ["p/.hidden.yaml", "p/a.yml", "p/b.yaml", "p/deep/er/c.yaml", "p/deep/settings.yaml"]
    assert reading.files["p/b.yaml"] == b"b: 1\n"
    assert reading.settings is None
    assert reading.problems == ()


@both
def test_the_settings_file_at_the_top_stands_apart(tmp_path: Path, read: Read) -> None:
    repo = make_repo(tmp_path, {"p/settings.yaml": "enforcement_mode: strict\n", "p/a.yaml": "1"})

    reading = read(repo, "./p/")

    assert reading.settings == ("p/settings.yaml", b"enforcement_mode: strict\n")
    assert list(reading.files) == ["p/a.yaml"]
    assert list(reading.all_files) == ["p/a.yaml", "p/settings.yaml"]


@both
def test_a_folder_that_is_missing_is_a_problem_and_not_an_empty_one(tmp_path: Path, read: Read) -> None:
    repo = make_repo(tmp_path, {"q/a.yaml": "1"})

    assert _codes(read(repo)) == [("missing-folder", "p")]


@both
def test_a_file_where_the_folder_should_be_is_a_missing_folder(tmp_path: Path, read: Read) -> None:
    repo = make_repo(tmp_path, {"p": "1"})

    assert _codes(read(repo)) == [("missing-folder", "p")]


@both
@pytest.mark.parametrize("folder", ["", "..", "../p", "/p", "p/../../q", "p\\q", "p\x00", "p\n"])
def test_a_folder_outside_is_a_config_error(tmp_path: Path, read: Read, folder: str) -> None:
    repo = make_repo(tmp_path, {"p/a.yaml": "1"})

    with pytest.raises(ConfigError):
        read(repo, folder)


@both
def test_a_file_of_one_mebibyte_is_read_and_a_larger_one_is_not(tmp_path: Path, read: Read) -> None:
    repo = make_repo(tmp_path, {"p/max.yaml": "#" * MAX_BYTES, "p/over.yaml": "#" * (MAX_BYTES + 1)})

    reading = read(repo)

    assert list(reading.files) == ["p/max.yaml"]
    assert _codes(reading) == [("file-too-large", "p/over.yaml")]
    assert str(MAX_BYTES + 1) in reading.problems[0].message


@both
def test_a_link_to_a_file_inside_the_folder_is_read(tmp_path: Path, read: Read) -> None:
    repo = make_repo(tmp_path, {"p/base/template.txt": "shared: 1\n", "p/a.yaml": "a: 1\n"})
    (repo.path / "p" / "link.yaml").symlink_to("base/template.txt")
    (repo.path / "p" / "base" / "chain.yaml").symlink_to("../link.yaml")

    reading = read(repo)

    assert reading.problems == ()
    assert reading.files == {"p/a.yaml": b"a: 1\n", "p/base/chain.yaml": b"shared: 1\n", "p/link.yaml": b"shared: 1\n"}


@both
@pytest.mark.parametrize(
    "target", ["../q/secret.yaml", "/etc/hostname", "../../outside.yaml", "gone.yaml", "sub", ".", "loop.yaml", "../p"]
)
def test_a_link_that_leads_anywhere_else_is_a_problem(tmp_path: Path, read: Read, target: str) -> None:
    repo = make_repo(tmp_path, {"p/a.yaml": "1", "p/sub/b.yaml": "1", "q/secret.yaml": "s"})
    (tmp_path / "outside.yaml").write_text("o")
    (repo.path / "p" / "loop.yaml").symlink_to(target)

    reading = read(repo)

    assert _codes(reading) == [("symlink", "p/loop.yaml")]
    assert list(reading.files) == ["p/a.yaml", "p/sub/b.yaml"]


@both
@pytest.mark.parametrize("target", ["sub", "../q", "/etc", "gone"])
def test_a_link_that_may_be_a_folder_of_policies_is_a_problem(tmp_path: Path, read: Read, target: str) -> None:
    repo = make_repo(tmp_path, {"p/a.yaml": "1", "p/sub/b.yaml": "1", "q/c.yaml": "1"})
    (repo.path / "p" / "more").symlink_to(target)

    reading = read(repo)

    assert _codes(reading) == [("symlink", "p/more")]
    assert list(reading.files) == ["p/a.yaml", "p/sub/b.yaml"]


@both
def test_a_link_to_a_file_that_is_no_policy_is_nobodys_matter(tmp_path: Path, read: Read) -> None:
    repo = make_repo(tmp_path, {"p/a.yaml": "1", "LICENSE": "x"})
    (repo.path / "p" / "LICENSE").symlink_to("../LICENSE")

    assert read(repo).problems == ()


@both
def test_a_folder_reached_through_a_link_is_a_problem(tmp_path: Path, read: Read) -> None:
    repo = make_repo(tmp_path, {"real/p/a.yaml": "1"})
    (repo.path / "p").symlink_to("real/p")

    reading = read(repo)

    assert [code for code, _ in _codes(reading)] == ["symlink"]
    assert reading.files == {}


@both
def test_a_parent_that_is_a_link_yields_no_files(tmp_path: Path, read: Read) -> None:
    repo = make_repo(tmp_path, {"real/p/a.yaml": "1"})
    (repo.path / "policies").symlink_to("real")

    reading = read(repo, "policies/p")

    assert reading.files == {}
    assert len(reading.problems) == 1


@both
def test_a_submodule_in_the_folder_is_a_problem(tmp_path: Path, read: Read) -> None:
    repo = make_repo(tmp_path, {"p/a.yaml": "1"})
    module = make_repo(tmp_path / "module", {"b.yaml": "1"}, remote=False)
    repo.git("-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(module.path), "p/module")

    reading = read(repo)

    assert _codes(reading) == [("submodule", "p/module")]
    assert list(reading.files) == ["p/a.yaml"]


@both
@pytest.mark.parametrize("name", ["x\x1b[31m.yaml", "x\n.yaml", "x\u202e.yaml", "x\u200b.yaml", "x\udcff.yaml"])
def test_a_name_that_could_forge_a_terminal_is_a_problem_shown_escaped(tmp_path: Path, read: Read, name: str) -> None:
    repo = make_repo(tmp_path, {"p/a.yaml": "1", f"p/{name}": "1"})

    reading = read(repo)

    assert [code for code, _ in _codes(reading)] == ["file-name"]
    assert reading.problems[0].path.isprintable()
    assert reading.problems[0].path.startswith("p/x\\")
    assert list(reading.files) == ["p/a.yaml"]


def test_a_pipe_or_socket_is_not_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "p").mkdir()
    os.mkfifo(tmp_path / "p" / "pipe.yaml")
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as plug:
        plug.bind("p/plug.yaml")

        reading = read_directory(tmp_path, "p")

    assert _codes(reading) == [("special-file", "p/pipe.yaml"), ("special-file", "p/plug.yaml")]


def test_a_git_directory_is_not_a_place_for_policies(tmp_path: Path) -> None:
    repo = make_repo(tmp_path, {"a.yaml": "1"})
    repo.write({".git/evil.yaml": "1"})

    assert list(read_directory(repo.path, ".").files) == ["a.yaml"]
    assert list(_commit(repo, ".").files) == ["a.yaml"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_file_that_may_not_be_read_is_a_problem(tmp_path: Path) -> None:
    repo = make_repo(tmp_path, {"p/a.yaml": "1"})
    (repo.path / "p" / "a.yaml").chmod(0)

    assert _codes(read_directory(repo.path, "p")) == [("unreadable", "p/a.yaml")]


def test_reading_leaves_nothing_open(tmp_path: Path) -> None:
    repo = make_repo(tmp_path, {f"p/{number}.yaml": "1" for number in range(30)})
    os.mkfifo(repo.path / "p" / "pipe.yaml")
    before = open_descriptors()

    read_directory(repo.path, "p")

    assert open_descriptors() == before


def test_a_commit_is_read_with_as_many_processes_for_many_files_as_for_few(tmp_path: Path) -> None:
    counts = []
    for name, number in (("few", 2), ("many", 200)):
        repo = make_repo(tmp_path / name, {f"p/{n}.yaml": str(n) for n in range(number)})
        repository = open_repository(repo.path)
        head = repository.head()
        with spawned() as seen:
            assert len(read_commit(repository, head, "p").files) == number
        counts.append(len(seen))

    assert counts == [2, 2]


@pytest.mark.parametrize(
    ("change", "dirty"),
    [
        ({}, ()),
        ({"p/README.md": "y", "q/x.yaml": "1", "reconciler.txt": "1"}, ()),
        ({"p/a.yaml": "2"}, ("p/a.yaml",)),
        ({"p/new.yaml": "1"}, ("p/new.yaml",)),
        ({"p/a.yaml": None}, ("p/a.yaml",)),
        ({"p/settings.yaml": "enforcement_mode: monitoring\n"}, ("p/settings.yaml",)),
        ({"p/target.txt": "other"}, ("p/link.yaml",)),
        ({"p/a.yaml": "#" * (MAX_BYTES + 1)}, ("p/a.yaml",)),
    ],
)
def test_dirty_means_that_a_policy_file_is_not_what_head_says(
    tmp_path: Path, change: dict[str, str | bytes | None], dirty: tuple[str, ...]
) -> None:
    repo = make_repo(tmp_path, {"p/a.yaml": "1", "p/b.yaml": "1", "p/settings.yaml": "x", "p/target.txt": "t"})
    (repo.path / "p" / "link.yaml").symlink_to("target.txt")
    repo.commit({})
    repository = open_repository(repo.path)
    repo.write(change)

    found = dirty_paths(repository, repository.head(), "p", read_directory(repo.path, "p"))

    assert found == dirty
