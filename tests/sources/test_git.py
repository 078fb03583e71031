"""What `sources/git.py` answers, against real repositories."""

from __future__ import annotations

import hashlib
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest

from reconciler.core.model import CommitInfo
from reconciler.core.ports import PushStatus, RefUpdate, TreeFile
from reconciler.errors import ConfigError, ExitCode, GitError, UnreachableError
from reconciler.sources.git import open_repository
from reconciler.sources.limits import MAX_BYTES
from tests.support.processes import children, open_descriptors, spawned
from tests.support.repos import Repo, clone, make_repo

AT = datetime(2026, 11, 20, 9, 14, 7, tzinfo=UTC)
LEDGER = "refs/reconciler/ledger/neosc"
LOCK = "refs/reconciler/lock/neosc"


# ----------------------------------------------------------------------------------------------- opening


def test_a_folder_that_is_no_repository_is_an_error_with_a_way_out(tmp_path: Path) -> None:
    with pytest.raises(GitError) as caught:
        open_repository(tmp_path)

    assert caught.value.exit is ExitCode.ERROR
    assert caught.value.where == str(tmp_path)
    assert "git init" in caught.value.fix


def test_a_folder_that_does_not_exist_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(GitError, match="no such folder"):
        open_repository(tmp_path / "nowhere")


def test_a_repository_without_a_commit_opens_and_has_no_head(tmp_path: Path) -> None:
    repo = make_repo(tmp_path)

    repository = open_repository(repo.path)

    with pytest.raises(GitError, match="no commit yet") as caught:
        repository.head()
    assert caught.value.exit is ExitCode.ERROR


def test_a_bare_repository_has_no_work_tree_to_read(tmp_path: Path) -> None:
    repo = make_repo(tmp_path, {"a.yaml": "1"})
    assert repo.remote is not None

    with pytest.raises(GitError, match="no work tree"):
        open_repository(repo.remote)


def test_another_users_repository_names_safe_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    repo = make_repo(tmp_path, {"a.yaml": "1"})
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")

    with pytest.raises(GitError, match="dubious ownership") as caught:
        open_repository(repo.path)

    assert f"safe.directory {repo.path}" in caught.value.fix


def test_git_that_is_not_installed_is_an_error_with_a_way_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    repo = make_repo(tmp_path, {"a.yaml": "1"})
    open_repository(repo.path)
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))

    with pytest.raises(GitError, match="git cannot be started") as caught:
        open_repository(repo.path)

    assert "install git" in caught.value.fix


def test_a_folder_below_the_top_sees_paths_from_itself(tmp_path: Path) -> None:
    repo = make_repo(tmp_path, {"teams/sec/policies/a.yaml": "a: 1\n", "other/b.yaml": "b: 1\n"})
    repository = open_repository(repo.path / "teams" / "sec")
    head = repository.head()

    files = repository.list_files(head, ["policies"])

    assert list(files) == ["policies/a.yaml"]
    assert repository.read_file(head, "policies/a.yaml") == b"a: 1\n"
    assert repository.commit_log(head, ["policies/a.yaml"])["policies/a.yaml"].sha == head
    assert repository.blobs_at([(head, "policies/a.yaml")]) == {(head, "policies/a.yaml"): files["policies/a.yaml"][1]}
    assert repository.changed_paths(head, repo.commit({"teams/sec/x": "1", "other/c": "1"})) == {"x"}
    assert repository.git_dir == repo.path / ".git"


def test_a_linked_work_tree_shares_the_git_directory(tmp_path: Path) -> None:
    repo = make_repo(tmp_path, {"a.yaml": "1"})
    repo.git("worktree", "add", "--quiet", "--detach", str(tmp_path / "second"))

    repository = open_repository(tmp_path / "second")

    assert repository.git_dir == repo.path / ".git"
    assert repository.read_file(repository.head(), "a.yaml") == b"1"


def test_a_location_set_by_a_git_hook_is_not_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = make_repo(tmp_path / "other", {"other.yaml": "1"})
    repo = make_repo(tmp_path / "mine", {"mine.yaml": "1"})
    for name, value in {"GIT_DIR": ".git", "GIT_WORK_TREE": ".", "GIT_INDEX_FILE": ".git/index"}.items():
        monkeypatch.setenv(name, str(other.path / value))

    repository = open_repository(repo.path)

    assert [file.path for file in repository.read_tree(repository.head())] == ["mine.yaml"]


@pytest.mark.parametrize("object_format", ["sha1", "sha256"])
def test_both_object_formats_are_read_and_written(tmp_path: Path, object_format: str) -> None:
    repo = make_repo(tmp_path, {"p/a.yaml": "a: 1\n"}, object_format=object_format)
    repository = open_repository(repo.path)
    head = repository.head()

    written = repository.write_commit(None, {"run.json": b"{}"}, "x\n", AT)

    assert len(written) == len(head) == {"sha1": 40, "sha256": 64}[object_format]
    assert repository.list_files(head, ["p"])["p/a.yaml"][1] == repository.blob_id(b"a: 1\n")
    assert repository.update_ref(LEDGER, written, None)
    assert repository.push("origin", [RefUpdate(LEDGER, written, None)]).status is PushStatus.DONE
    assert repository.update_ref(LEDGER, None, written)
    assert repository.read_ref(LEDGER) is None


# --------------------------------------------------------------------------------------------- revisions


def test_a_revision_becomes_the_full_id_of_its_commit(tmp_path: Path) -> None:
    repo = make_repo(tmp_path, {"a.yaml": "1"})
    first = repo.git("rev-parse", "HEAD")
    repo.git("tag", "-a", "-m", "signed off", "v1")
    second = repo.commit({"a.yaml": "2"})
    repository = open_repository(repo.path)

    found = [repository.resolve(name) for name in ("v1", "HEAD~1", first[:7], "main", second)]

    assert found == [first, first, first, second, second]


@pytest.mark.parametrize(
    "name",
    [
        "",
        "-x",
        "--upload-pack=touch x",
        "--output=x",
        "nope",
        "a..b",
        "@{u}",
        "HEAD:a.yaml",
        "HEAD^{tree}",
        "a\nb",
        "é\0",
    ],
)
def test_what_is_no_revision_is_refused(tmp_path: Path, name: str) -> None:
    repo = make_repo(tmp_path, {"a.yaml": "1"})
    repository = open_repository(repo.path)

    with pytest.raises(GitError):
        repository.resolve(name)

    assert sorted(path.name for path in repo.path.iterdir()) == [".git", "a.yaml"]


def test_ancestors_are_the_commits_that_history_proves(tmp_path: Path) -> None:
    repo = make_repo(tmp_path, {"a.yaml": "1"})
    first = repo.git("rev-parse", "HEAD")
    repo.git("checkout", "--quiet", "-b", "side")
    side = repo.commit({"b.yaml": "1"})
    repo.git("checkout", "--quiet", "main")
    second = repo.commit({"a.yaml": "2"})
    repository = open_repository(repo.path)

    found = repository.ancestors(second, [first, second, side, "0" * 40, "-x", ""])

    assert found == {first, second}
    assert repository.is_ancestor(first, second)
    assert repository.is_ancestor(second, second)
    assert not repository.is_ancestor(side, second)
    assert not repository.is_ancestor("1" * 40, second)
    assert not repository.has_commit("1" * 40)
    assert not repository.has_commit(repository.blob_id(b"1"))
    assert repository.has_commit(side)


# ------------------------------------------------------------------------------------------- last commits


def test_the_last_commit_of_a_path_is_the_one_that_gave_it_its_content(tmp_path: Path) -> None:
    repo = make_repo(tmp_path, {"p/a.yaml": "1", "p/b.yaml": "1"})
    changed = repo.commit({"p/a.yaml": "2"}, "Raise the limit", author="Ana Díaz <ana@example.invalid>")
    head = repo.commit({"README": "x"}, "Unrelated")
    repository = open_repository(repo.path)

    found = repository.commit_log(head, ["p/a.yaml", "p/b.yaml", "p/never.yaml"])

    assert found["p/a.yaml"].sha == changed
    assert (found["p/a.yaml"].author, found["p/a.yaml"].subject) == ("Ana Díaz", "Raise the limit")
    assert found["p/b.yaml"].subject == "Add policies"
    assert found.keys() == {"p/a.yaml", "p/b.yaml"}


def test_the_last_commit_of_a_removed_path_is_the_one_that_removed_it(tmp_path: Path) -> None:
    repo = make_repo(tmp_path, {"p/a.yaml": "1", "p/b.yaml": "1"})
    removed = repo.commit({"p/a.yaml": None}, "Retire a")
    head = repo.commit({"p/b.yaml": "2"})
    repository = open_repository(repo.path)

    assert repository.commit_log(head, ["p/a.yaml"])["p/a.yaml"].sha == removed


def test_a_path_removed_on_a_merged_branch_is_explained_by_that_branch(tmp_path: Path) -> None:
    repo = make_repo(tmp_path, {"p/b.yaml": "1"})
    repo.git("checkout", "--quiet", "-b", "side")
    repo.commit({"p/a.yaml": "1"})
    removed = repo.commit({"p/a.yaml": None}, "Retire a")
    repo.git("checkout", "--quiet", "main")
    repo.commit({"p/b.yaml": "2"})
    head = repo.merge("side")
    repository = open_repository(repo.path)

    assert repository.commit_log(head, ["p/a.yaml"])["p/a.yaml"].sha == removed


def test_an_ordinary_merge_is_not_blamed(tmp_path: Path) -> None:
    repo = make_repo(tmp_path, {"p/a.yaml": "1", "p/b.yaml": "1"})
    repo.git("checkout", "--quiet", "-b", "side")
    side = repo.commit({"p/a.yaml": "2"})
    repo.git("checkout", "--quiet", "main")
    main = repo.commit({"p/b.yaml": "2"})
    head = repo.merge("side")
    repository = open_repository(repo.path)

    found = repository.commit_log(head, ["p/a.yaml", "p/b.yaml"])

    assert {path: commit.sha for path, commit in found.items()} == {"p/a.yaml": side, "p/b.yaml": main}


def test_an_evil_merge_is_blamed(tmp_path: Path) -> None:
    repo = make_repo(tmp_path, {"p/a.yaml": "1", "p/b.yaml": "1"})
    repo.git("checkout", "--quiet", "-b", "side")
    side = repo.commit({"p/a.yaml": "2"})
    repo.git("checkout", "--quiet", "main")
    repo.commit({"p/b.yaml": "2"})
    repo.git("merge", "--quiet", "--no-ff", "--no-commit", "side")
    evil = repo.commit({"p/b.yaml": "nobody asked"}, "Merge side")
    repository = open_repository(repo.path)

    found = repository.commit_log(evil, ["p/a.yaml", "p/b.yaml"])

    assert {path: commit.sha for path, commit in found.items()} == {"p/a.yaml": side, "p/b.yaml": evil}


def test_a_change_that_lost_in_a_merge_is_not_blamed(tmp_path: Path) -> None:
    repo = make_repo(tmp_path, {"p/a.yaml": "1", "p/b.yaml": "1"})
    repo.git("checkout", "--quiet", "-b", "side")
    repo.commit({"p/a.yaml": "lost"})
    side = repo.commit({"p/b.yaml": "kept"})
    repo.git("checkout", "--quiet", "main")
    won = repo.commit({"p/a.yaml": "won"})
    repo.git("merge", "--quiet", "--no-ff", "-s", "recursive", "-X", "ours", "-m", "Merge", "side")
    repository = open_repository(repo.path)

    found = repository.commit_log(repository.head(), ["p/a.yaml", "p/b.yaml"])

    assert {path: commit.sha for path, commit in found.items()} == {"p/a.yaml": won, "p/b.yaml": side}


def test_a_rename_is_the_commit_of_the_new_path(tmp_path: Path) -> None:
    repo = make_repo(tmp_path, {"p/a.yaml": "same content\n" * 20})
    repo.git("config", "log.follow", "true")
    repo.git("config", "diff.renames", "copies")
    repo.git("mv", "p/a.yaml", "p/z.yaml")
    head = repo.commit({}, "Rename")
    repository = open_repository(repo.path)

    found = repository.commit_log(head, ["p/z.yaml"]) | repository.commit_log(head, ["p/a.yaml"])

    assert {path: commit.sha for path, commit in found.items()} == {"p/z.yaml": head, "p/a.yaml": head}


def test_texts_of_a_commit_cannot_forge_another(tmp_path: Path) -> None:
    repo = make_repo(tmp_path, {"p/a.yaml": "1"})
    forged = "\x01" + "f" * 40 + " :100644 100644 x"
    head = repo.commit({"p/a.yaml": "2", "p/\x01" + "e" * 40: "1"}, forged, author=f"{forged} <a@example.invalid>")
    repository = open_repository(repo.path)

    found = repository.commit_log(head, ["p/a.yaml"])["p/a.yaml"]

    assert found.sha == head
    assert (found.author, found.subject) == (forged.lstrip("\x01"), forged)


def test_many_paths_are_explained_like_few(tmp_path: Path) -> None:
    repo = make_repo(tmp_path, {f"p/{number % 7}/{number}.yaml": str(number) for number in range(200)})
    first = repo.git("rev-parse", "HEAD")
    second = repo.commit({f"p/{number % 7}/{number}.yaml": "new" for number in range(0, 200, 2)})
    repository = open_repository(repo.path)
    paths = [f"p/{number % 7}/{number}.yaml" for number in range(200)]

    found = repository.commit_log(second, paths)

    assert [found[path].sha for path in paths] == [second if n % 2 == 0 else first for n in range(200)]


def test_a_commit_tells_its_author_and_subject(tmp_path: Path) -> None:
    repo = make_repo(tmp_path, {"p/a.yaml": "1"})
    sha = repo.commit({"p/a.yaml": "2"}, "Raise the limit\n\nBecause.", author="Ana Díaz <ana@example.invalid>")
    repository = open_repository(repo.path)

    assert repository.commit_info(sha) == CommitInfo(sha, "Ana Díaz", "Raise the limit")
    with pytest.raises(GitError):
        repository.commit_info("0" * 40)


# ------------------------------------------------------------------------------------------------ shallow


def test_a_shallow_clone_explains_only_what_it_knows(tmp_path: Path) -> None:
    repo = make_repo(tmp_path, {"p/a.yaml": "1", "p/b.yaml": "1"})
    first = repo.git("rev-parse", "HEAD")
    repo.commit({"p/a.yaml": "2"})
    last = repo.commit({"p/b.yaml": "2"})
    repo.push()
    copy = open_repository(clone(repo, tmp_path / "copy", "--depth=2").path)

    assert copy.is_shallow()
    assert {path: commit.sha for path, commit in copy.commit_log(last, ["p/a.yaml", "p/b.yaml"]).items()} == {
        "p/b.yaml": last
    }
    assert copy.ancestors(last, [first, last]) == {last}
    with pytest.raises(GitError, match="no commit") as caught:
        copy.resolve(first)
    assert "fetch-depth: 0" in caught.value.fix


def test_the_rest_of_history_can_be_fetched(tmp_path: Path) -> None:
    repo = make_repo(tmp_path, {"p/a.yaml": "1"})
    first = repo.git("rev-parse", "HEAD")
    last = repo.commit({"p/b.yaml": "2"})
    repo.push()
    shallow = clone(repo, tmp_path / "copy", "--depth=1")
    refs = shallow.git("for-each-ref")
    copy = open_repository(shallow.path)

    assert copy.unshallow("origin")

    assert not copy.is_shallow()
    assert copy.commit_log(last, ["p/a.yaml"])["p/a.yaml"].sha == first
    assert shallow.git("for-each-ref") == refs
    assert not (shallow.path / ".git" / "FETCH_HEAD").exists()


def test_a_remote_that_is_gone_leaves_the_clone_shallow(tmp_path: Path) -> None:
    repo = make_repo(tmp_path, {"p/a.yaml": "1"})
    repo.commit({"p/a.yaml": "2"})
    repo.push()
    copy = open_repository(clone(repo, tmp_path / "copy", "--depth=1").path)
    assert repo.remote is not None
    shutil.rmtree(repo.remote)

    assert not copy.unshallow("origin")


# -------------------------------------------------------------------------------------------------- trees


def test_trees_are_listed_with_modes_and_without_following_anything(tmp_path: Path) -> None:
    repo = make_repo(tmp_path, {"p/a.yaml": "1", "p/sub/b.yaml": "2", "q/c.yaml": "3"})
    (repo.path / "p" / "link.yaml").symlink_to("a.yaml")
    repo.git("update-index", "--add", "--cacheinfo", f"160000,{repo.git('rev-parse', 'HEAD')},p/module")
    repo.git("add", "p/link.yaml")
    repo.git("commit", "--quiet", "-m", "odd modes")
    repository = open_repository(repo.path)

    files = repository.list_files(repository.head(), ["p"])

    assert sorted((path, mode) for path, (mode, _) in files.items()) == [
        ("p/a.yaml", "100644"),
        ("p/link.yaml", "120000"),
        ("p/module", "160000"),
        ("p/sub/b.yaml", "100644"),
    ]
    assert repository.read_file(repository.head(), "p/link.yaml") is None
    assert repository.read_file(repository.head(), "p/module") is None
    assert repository.read_file(repository.head(), "p") is None
    assert repository.read_file(repository.head(), "p/none") is None


def test_tree_ids_tell_whether_folders_and_files_are_the_same(tmp_path: Path) -> None:
    repo = make_repo(tmp_path, {"p/a.yaml": "1", "q/b.yaml": "2"})
    first = repo.git("rev-parse", "HEAD")
    second = repo.commit({"q/b.yaml": "3"})
    repository = open_repository(repo.path)

    before = repository.tree_ids(first, ["p", "p/a.yaml", "q", "none", "."])
    after = repository.tree_ids(second, ["p", "p/a.yaml", "q", "none", "."])

    assert {path for path in before if before[path] != after[path]} == {"q", "."}
    assert before["p"] == repo.git("rev-parse", "HEAD:p")
    assert before["none"] is None
    assert repository.changed_paths(first, second) == {"q/b.yaml"}
    assert repository.changed_paths(first, second, ["p"]) == frozenset()


def test_files_of_old_commits_are_found_whether_or_not_the_commit_touched_them(tmp_path: Path) -> None:
    repo = make_repo(tmp_path, {"p/a.yaml": "1", "p/b c.yaml": "x"})
    first = repo.git("rev-parse", "HEAD")
    second = repo.commit({"p/a.yaml": "2"})
    repository = open_repository(repo.path)
    places = [(first, "p/a.yaml"), (second, "p/a.yaml"), (second, "p/b c.yaml"), (second, "p"), (second, "p/none")]

    found = repository.blobs_at([*places, ("0" * 40, "p/a.yaml"), (second, "../x"), (second, "p\n/a"), ("-x", "p")])

    assert found == {
        (first, "p/a.yaml"): repository.blob_id(b"1"),
        (second, "p/a.yaml"): repository.blob_id(b"2"),
        (second, "p/b c.yaml"): repository.blob_id(b"x"),
    }


def test_a_file_over_the_limit_is_named_and_not_read(tmp_path: Path) -> None:
    large = b"#" * (MAX_BYTES + 1)
    exact = b"#" * MAX_BYTES
    repo = make_repo(tmp_path, {"large.yaml": large, "exact.yaml": exact, "small.yaml": b"", "x.yaml": b"a\n\nb"})
    repository = open_repository(repo.path)
    ids = {file.path: file.blob for file in repository.read_tree(repository.head())}

    blobs = repository.read_blobs_sized(ids.values())

    assert blobs.too_large == {ids["large.yaml"]: MAX_BYTES + 1}
    assert {path: blobs.data[ids[path]] for path in ("exact.yaml", "small.yaml", "x.yaml")} == {
        "exact.yaml": exact,
        "small.yaml": b"",
        "x.yaml": b"a\n\nb",
    }
    with pytest.raises(GitError, match="over 1 MiB"):
        repository.read_file(repository.head(), "large.yaml")


def test_an_object_that_is_missing_is_an_error(tmp_path: Path) -> None:
    repo = make_repo(tmp_path, {"a.yaml": "1"})
    repository = open_repository(repo.path)

    with pytest.raises(GitError, match="missing"):
        repository.read_blobs(["0" * 40])


def test_no_filter_stands_between_a_blob_and_its_bytes(tmp_path: Path) -> None:
    repo = make_repo(tmp_path, {".gitattributes": "*.yaml text eol=crlf ident\n", "a.yaml": "a: $Id$\n"})
    repo.git("config", "core.autocrlf", "true")
    repository = open_repository(repo.path)

    assert repository.read_file(repository.head(), "a.yaml") == b"a: $Id$\n"
    assert repository.blob_id(b"a: $Id$\n") == repo.git("rev-parse", "HEAD:a.yaml")


# ------------------------------------------------------------------------------------------- refs, writing


def test_a_ref_moves_only_from_what_was_expected(tmp_path: Path) -> None:
    repo = make_repo(tmp_path, {"a.yaml": "1"})
    repository = open_repository(repo.path)
    one, two = (repository.write_commit(None, {}, message, AT) for message in ("one\n", "two\n"))

    moves = [
        repository.update_ref(LEDGER, one, None),
        repository.update_ref(LEDGER, two, None),
        repository.update_ref(LEDGER, two, two),
        repository.update_ref(LEDGER, two, one),
    ]

    assert moves == [True, False, False, True]
    assert repository.read_ref(LEDGER) == two
    assert repository.list_refs("refs/reconciler") == {LEDGER: two}


def test_several_refs_move_together_or_not_at_all(tmp_path: Path) -> None:
    repo = make_repo(tmp_path, {"a.yaml": "1"})
    repository = open_repository(repo.path)
    one, two = (repository.write_commit(None, {}, message, AT) for message in ("one\n", "two\n"))
    repository.update_refs([RefUpdate(LEDGER, one, None), RefUpdate(LOCK, one, None)])

    moved = repository.update_refs([RefUpdate(LEDGER, two, one), RefUpdate(LOCK, None, two)])

    assert not moved
    assert repository.list_refs("refs/reconciler") == {LEDGER: one, LOCK: one}


def test_a_repository_that_cannot_be_written_is_an_error_and_not_a_lost_race(tmp_path: Path) -> None:
    repo = make_repo(tmp_path, {"a.yaml": "1"})
    repository = open_repository(repo.path)

    with pytest.raises(GitError, match="cannot move"):
        repository.update_ref(LEDGER, "1" * 40, None)


@pytest.mark.parametrize("ref", ["HEAD", "--stdin", "refs/x/../y", "refs/a b", "refs/x\n", "refs/-x/y.lock", "refs/"])
def test_what_is_no_ref_is_refused(tmp_path: Path, ref: str) -> None:
    repo = make_repo(tmp_path, {"a.yaml": "1"})
    repository = open_repository(repo.path)

    with pytest.raises(GitError):
        repository.read_ref(ref)


def test_a_commit_is_written_on_its_parents_tree_and_moves_no_ref(tmp_path: Path) -> None:
    repo = make_repo(tmp_path, {"a.yaml": "1"})
    refs = repo.git("for-each-ref")
    repository = open_repository(repo.path)

    first = repository.write_commit(None, {"policies/a.json": b"\0one\n", "run.json": b"1"}, "First\n", AT)
    second = repository.write_commit(first, {"policies/a.json": None, "policies/%41.json": b"2"}, "Second é\n", AT)

    assert [file.path for file in repository.read_tree(second)] == ["policies/%41.json", "run.json"]
    assert repository.read_file(first, "policies/a.json") == b"\0one\n"
    assert repository.read_message(second) == "Second é\n"
    assert repo.git("log", "--format=%an %ad %P", "--date=iso-strict", second).splitlines() == [
        f"reconciler 2026-11-20T09:14:07+00:00 {first}",
        "reconciler 2026-11-20T09:14:07+00:00 ",
    ]
    assert repository.write_commit(None, {"policies/a.json": b"\0one\n", "run.json": b"1"}, "First\n", AT) == first
    assert repo.git("for-each-ref") == refs
    assert [step.sha for step in repository.read_chain(second)] == [second, first]
    assert repository.read_chain(second)[0].changes == {
        "policies/a.json": None,
        "policies/%41.json": repository.blob_id(b"2"),
    }
    repo.git("fsck", "--strict", "--no-dangling")


@pytest.mark.parametrize("path", ["../x", "/x", "a//b", "a\nb", 'a"b', "", "a b"])
def test_a_path_that_could_be_read_otherwise_is_not_written(tmp_path: Path, path: str) -> None:
    repo = make_repo(tmp_path, {"a.yaml": "1"})
    repository = open_repository(repo.path)

    with pytest.raises(ValueError, match="not a path"):
        repository.write_commit(None, {path: b"1"}, "x\n", AT)


# ------------------------------------------------------------------------------------------------ remotes


def test_the_remote_is_origin_else_the_only_one_else_none(tmp_path: Path) -> None:
    repo = make_repo(tmp_path, {"a.yaml": "1"}, remote=False)
    repository = open_repository(repo.path)
    found = [repository.remote_name(None)]
    repo.git("remote", "add", "mirror", "/nowhere")
    found.append(repository.remote_name(None))
    repo.git("remote", "add", "backup", "/nowhere")
    found.append(repository.remote_name(None))
    repo.git("remote", "add", "origin", "/nowhere")
    found.append(repository.remote_name(None))

    assert found == [None, "mirror", None, "origin"]
    assert repository.remote_name("backup") == "backup"


@pytest.mark.parametrize("name", ["gone", "--upload-pack=x", "ext::sh -c x", "/tmp", ""])
def test_a_configured_remote_that_does_not_exist_is_a_config_error(tmp_path: Path, name: str) -> None:
    repo = make_repo(tmp_path, {"a.yaml": "1"})
    repository = open_repository(repo.path)

    with pytest.raises(ConfigError) as caught:
        repository.remote_name(name)

    assert "origin" in caught.value.fix


def test_a_push_moves_refs_only_from_what_was_expected(tmp_path: Path) -> None:
    repo = make_repo(tmp_path, {"a.yaml": "1"})
    repository = open_repository(repo.path)
    one, two = (repository.write_commit(None, {}, message, AT) for message in ("one\n", "two\n"))

    results = [
        repository.push("origin", [RefUpdate(LOCK, one, None)]).status,
        repository.push("origin", [RefUpdate(LOCK, one, None)]).status,
        repository.push("origin", [RefUpdate(LOCK, two, None)]).status,
        repository.push("origin", [RefUpdate(LOCK, None, two)]).status,
        repository.push("origin", [RefUpdate(LOCK, two, one)]).status,
    ]

    assert results == [PushStatus.DONE, PushStatus.STALE, PushStatus.STALE, PushStatus.STALE, PushStatus.DONE]
    assert repo.remote_refs() == {LOCK: two}
    assert repository.list_remote("origin", "refs/reconciler/*") == {LOCK: two}


def test_a_push_of_several_refs_is_all_or_nothing(tmp_path: Path) -> None:
    repo = make_repo(tmp_path, {"a.yaml": "1"})
    repository = open_repository(repo.path)
    one, two = (repository.write_commit(None, {}, message, AT) for message in ("one\n", "two\n"))
    repository.push("origin", [RefUpdate(LOCK, one, None)])

    result = repository.push("origin", [RefUpdate(LEDGER, two, None), RefUpdate(LOCK, None, two)])

    assert result.status is PushStatus.STALE
    assert repo.remote_refs() == {LOCK: one}


def test_a_host_that_declines_is_told_apart_from_a_lost_race(tmp_path: Path) -> None:
    repo = make_repo(tmp_path, {"a.yaml": "1"})
    assert repo.remote is not None
    hook = repo.remote / "hooks" / "pre-receive"
    hook.write_text("#!/bin/sh\nprintf 'no refs here\\033[31m\\n' >&2\nexit 1\n")
    hook.chmod(0o755)
    repository = open_repository(repo.path)
    one = repository.write_commit(None, {}, "one\n", AT)

    result = repository.push("origin", [RefUpdate(LOCK, one, None)])

    assert result.status is PushStatus.REFUSED
    assert "declined" in result.detail
    assert result.detail.isprintable()


def test_a_remote_that_is_gone_can_be_tried_again_later(tmp_path: Path) -> None:
    repo = make_repo(tmp_path, {"a.yaml": "1"})
    repository = open_repository(repo.path)
    assert repo.remote is not None
    shutil.rmtree(repo.remote)

    for ask in (
        lambda: repository.list_remote("origin", "refs/reconciler/*"),
        lambda: repository.fetch_objects("origin", [LEDGER]),
        lambda: repository.push("origin", [RefUpdate(LOCK, repository.head(), None)]),
    ):
        with pytest.raises(UnreachableError) as caught:
            ask()
        assert caught.value.exit is ExitCode.TRY_AGAIN
        assert "git ls-remote origin" in caught.value.fix


def test_a_password_in_a_remotes_url_is_not_shown(tmp_path: Path) -> None:
    repo = make_repo(tmp_path, {"a.yaml": "1"})
    repo.git("remote", "set-url", "origin", "https://user:hunter2@127.0.0.1:1/x.git")
    repository = open_repository(repo.path)

    with pytest.raises(UnreachableError) as caught:
        repository.list_remote("origin", "refs/reconciler/*")

    assert "hunter2" not in str(caught.value)


def test_a_push_whose_reply_was_lost_is_recognized_by_what_is_there(tmp_path: Path) -> None:
    repo = make_repo(tmp_path, {"a.yaml": "1"})
    assert repo.remote is not None
    hook = repo.remote / "hooks" / "post-update"
    # The ref has moved; now the connection dies with the process at its other end.
    hook.write_text("#!/bin/sh\nkill -9 $PPID\n")
    hook.chmod(0o755)
    repository = open_repository(repo.path)
    one = repository.write_commit(None, {}, "one\n", AT)

    result = repository.push("origin", [RefUpdate(LOCK, one, None)])

    assert result.status is PushStatus.DONE
    assert repo.remote_refs() == {LOCK: one}


def test_fetching_brings_objects_and_moves_nothing(tmp_path: Path) -> None:
    repo = make_repo(tmp_path, {"a.yaml": "1"})
    other = clone(repo, tmp_path / "other")
    theirs = open_repository(other.path)
    sha = theirs.write_commit(None, {"run.json": b"1"}, "x\n", AT)
    theirs.push("origin", [RefUpdate(LEDGER, sha, None)])
    repo.git("config", "--add", "remote.origin.fetch", "+refs/reconciler/*:refs/reconciler/*")
    refs = repo.git("for-each-ref")
    mine = open_repository(repo.path)

    mine.fetch_objects("origin", [LEDGER])

    assert mine.has_commit(sha)
    assert repo.git("for-each-ref") == refs
    assert not (repo.path / ".git" / "FETCH_HEAD").exists()


# ------------------------------------------------------------------------------------ processes and leaks


def _work(repo: Repo, count: int) -> list[list[str]]:
    files = {f"p/{number:04}.yaml": f"n: {number}\n" for number in range(count)}
    repo.commit(files)
    repo.push()
    with spawned() as seen:
        repository = open_repository(repo.path)
        head = repository.head()
        listed = repository.list_files(head, ["p"])
        repository.read_blobs(blob for _, blob in listed.values())
        repository.commit_log(head, list(listed))
        repository.ancestors(head, [head])
        repository.tree_ids(head, list(listed))
        repository.blobs_at([(head, path) for path in listed])
        ledger = repository.write_commit(None, {f"policies/{number}.json": b"{}" for number in range(count)}, "x\n", AT)
        repository.read_blobs(file.blob for file in repository.read_tree(ledger))
        repository.read_chain(ledger)
    return seen


def test_the_number_of_processes_does_not_grow_with_the_number_of_policies(tmp_path: Path) -> None:
    few = _work(make_repo(tmp_path / "few", {}), 3)
    many = _work(make_repo(tmp_path / "many", {}), 300)

    assert len(many) == len(few)
    assert all(any("git" in Path(part).name for part in argv[:1]) for argv in many)


def test_nothing_stays_open_and_no_child_stays_behind(tmp_path: Path) -> None:
    repo = make_repo(tmp_path, {f"{number}.yaml": "x" * 5000 for number in range(50)})
    repository = open_repository(repo.path)
    head = repository.head()
    before = open_descriptors(), children()

    for _ in range(5):
        repository.commit_log(head, ["1.yaml"])
        repository.ancestors(head, [head])
        repository.read_blobs(file.blob for file in repository.read_tree(head))
        repository.list_remote("origin", "refs/reconciler/*")
        with pytest.raises(GitError):
            repository.read_tree("0" * 40)
        with pytest.raises(GitError):
            repository.ancestors("0" * 40, [head])

    assert (open_descriptors(), children()) == before


def test_one_repository_answers_several_threads_at_once(tmp_path: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    repo = make_repo(tmp_path, {f"{number}.yaml": str(number) for number in range(20)})
    repository = open_repository(repo.path)
    head = repository.head()

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda number: repository.read_file(head, f"{number}.yaml"), range(20)))

    assert answers == [str(number).encode() for number in range(20)]


def test_a_tree_file_is_what_git_says(tmp_path: Path) -> None:
    repo = make_repo(tmp_path, {"a.yaml": "1"})
    repository = open_repository(repo.path)

    assert repository.read_tree(repository.head()) == (
        TreeFile("a.yaml", hashlib.sha1(b"blob 1\x001", usedforsecurity=False).hexdigest(), "100644"),
    )


def test_a_files_history_is_every_commit_that_gave_it_its_contents_newest_first(tmp_path: Path) -> None:
    repo = make_repo(tmp_path, {"a.yaml": "1\n", "b.yaml": "1\n"})
    first = repo.git("rev-parse", "HEAD")
    repo.commit({"b.yaml": "2\n"}, "Another file")
    second = repo.commit({"a.yaml": "2\n"}, "Change it")
    third = repo.commit({"a.yaml": None}, "Drop it")

    steps = open_repository(repo.path).file_history(third, "a.yaml")

    assert [(commit.sha, blob) for commit, blob in steps] == [
        (third, None),
        (second, repo.git("rev-parse", f"{second}:a.yaml")),
        (first, repo.git("rev-parse", f"{first}:a.yaml")),
    ]


def test_the_merge_that_brought_a_commit_is_found_and_a_commit_in_the_line_has_none(tmp_path: Path) -> None:
    repo = make_repo(tmp_path, {"a.yaml": "1\n"})
    repo.git("checkout", "--quiet", "-b", "topic")
    inside = repo.commit({"a.yaml": "2\n"}, "On a branch")
    repo.git("checkout", "--quiet", "main")
    before = repo.commit({"b.yaml": "1\n"}, "In the line")
    merge = repo.merge("topic")
    after = repo.commit({"b.yaml": "2\n"}, "Later")
    repo.git("checkout", "--quiet", "-b", "other", before)
    repo.commit({"c.yaml": "1\n"}, "On another branch")
    repo.git("checkout", "--quiet", "main")
    repo.merge("other")
    head = repo.git("rev-parse", "HEAD")
    opened = open_repository(repo.path)

    assert opened.merge_of(inside, head) == merge
    assert [opened.merge_of(sha, head) for sha in (before, after, merge)] == [None, None, None]
