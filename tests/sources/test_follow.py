"""What a branch follows, and moving it forward: never over local changes, never through another program."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.errors import GitError
from reconciler.sources.git import open_repository
from tests.support.repos import Repo, clone, make_repo


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    return make_repo(tmp_path, {"a.yaml": "a: 1\n", "b.yaml": "b: 1\n"})


@pytest.fixture
def copy(repo: Repo, tmp_path: Path) -> Repo:
    return clone(repo, tmp_path / "copy")


def test_a_branch_of_a_clone_follows_the_branch_it_was_made_from(copy: Repo) -> None:
    assert open_repository(copy.path).upstream() == ("origin", "refs/heads/main")


def test_a_branch_without_an_upstream_follows_nothing(repo: Repo) -> None:
    assert open_repository(repo.path).upstream() is None


@pytest.mark.parametrize("remote", [".", "--upload-pack=evil", "ext::sh -c evil"])
def test_an_upstream_that_no_remote_has_as_its_name_is_none(copy: Repo, remote: str) -> None:
    copy.git("config", "branch.main.remote", remote)

    assert open_repository(copy.path).upstream() is None


def test_a_head_on_no_branch_follows_nothing(copy: Repo) -> None:
    copy.git("checkout", "--quiet", "--detach")

    assert open_repository(copy.path).upstream() is None


def test_a_branch_is_moved_with_its_files(repo: Repo, copy: Repo, tmp_path: Path) -> None:
    tip = repo.commit({"a.yaml": "a: 2\n"})
    repo.push()
    hook, ran = copy.path / ".git/hooks/post-merge", tmp_path / "hook-ran"
    hook.write_text(f"#!/bin/sh\ntouch {ran}\n")
    hook.chmod(0o755)
    repository = open_repository(copy.path)
    repository.fetch_objects("origin", ["refs/heads/main"])

    repository.fast_forward(tip)

    assert (copy.path / "a.yaml").read_text() == "a: 2\n"
    assert repository.head() == tip
    assert copy.git("status", "--porcelain") == ""
    assert not ran.exists()


def test_a_local_change_in_the_way_is_not_overwritten(repo: Repo, copy: Repo) -> None:
    before = copy.git("rev-parse", "HEAD")
    tip = repo.commit({"a.yaml": "a: 2\n", "b.yaml": "b: 2\n"})
    repo.push()
    copy.write({"a.yaml": "a: mine\n"})
    copy.git("config", "merge.autoStash", "true")
    repository = open_repository(copy.path)
    repository.fetch_objects("origin", ["refs/heads/main"])

    with pytest.raises(GitError, match="cannot be moved"):
        repository.fast_forward(tip)

    assert (copy.path / "a.yaml").read_text() == "a: mine\n"
    assert (copy.path / "b.yaml").read_text() == "b: 1\n"
    assert repository.head() == before


def test_a_commit_that_is_no_descendant_moves_nothing(repo: Repo, copy: Repo) -> None:
    tip = repo.commit({"a.yaml": "a: 2\n"})
    repo.push()
    mine = copy.commit({"b.yaml": "b: mine\n"})
    repository = open_repository(copy.path)
    repository.fetch_objects("origin", ["refs/heads/main"])

    with pytest.raises(GitError, match="cannot be moved"):
        repository.fast_forward(tip)

    assert repository.head() == mine
