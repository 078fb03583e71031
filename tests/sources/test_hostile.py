"""Repositories that mean harm (reliability.md T9): each would leave a mark, and none does."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from reconciler.core.ports import PushStatus, RefUpdate
from reconciler.errors import UnreachableError
from reconciler.sources.changed import differing, make_base
from reconciler.sources.directory import dirty_paths, list_directory, read_commit, read_directory
from reconciler.sources.git import open_repository
from tests.support.repos import Repo, clone, make_repo

AT = datetime(2026, 11, 20, 9, 14, 7, tzinfo=UTC)
LEDGER = "refs/reconciler/ledger/neosc"
HOOKS = (
    "applypatch-msg",
    "fsmonitor-watchman",
    "post-checkout",
    "post-index-change",
    "pre-auto-gc",
    "pre-push",
    "reference-transaction",
    "update",
)


def _script(repo: Repo, name: str = "evil") -> tuple[str, Path]:
    """A program that leaves a mark, as a command for git's settings, and the mark."""
    mark = repo.path.parent / f"{name}.mark"
    script = repo.path.parent / f"{name}.sh"
    script.write_text(f'#!/bin/sh\necho ran "$0" >> "{mark}"\nexit 1\n')
    script.chmod(0o755)
    return str(script), mark


def _hooks(repo: Repo, command: str) -> None:
    for folder in (repo.path / ".git" / "hooks", repo.path / "hooks"):
        folder.mkdir(exist_ok=True)
        for hook in HOOKS:
            (folder / hook).unlink(missing_ok=True)
            (folder / hook).symlink_to(command)
    repo.git("config", "core.hooksPath", "hooks")


def _fsmonitor(repo: Repo, command: str) -> None:
    repo.git("config", "core.fsmonitor", command)
    repo.git("config", "core.fsmonitorHookVersion", "1")


def _filters(repo: Repo, command: str) -> None:
    (repo.path / ".git" / "info").mkdir(exist_ok=True)
    (repo.path / ".git" / "info" / "attributes").write_text("*.yaml filter=evil diff=evil merge=evil\n")
    for name in ("filter.evil.clean", "filter.evil.smudge", "filter.evil.process", "diff.evil.textconv"):
        repo.git("config", name, command)
    repo.git("config", "diff.evil.command", command)
    repo.git("config", "diff.external", command)


def _signatures(repo: Repo, command: str) -> None:
    repo.git("config", "log.showSignature", "true")
    repo.git("config", "gpg.program", command)
    repo.git("config", "commit.gpgSign", "true")
    repo.git("config", "push.gpgSign", "if-asked")


def _pagers(repo: Repo, command: str) -> None:
    for name in ("core.pager", "pager.log", "core.editor", "sequence.editor"):
        repo.git("config", name, command)


def _packs(repo: Repo, command: str) -> None:
    repo.git("config", "remote.origin.uploadpack", command)
    repo.git("config", "remote.origin.receivepack", command)
    repo.git("config", "core.alternateRefsCommand", command)
    (repo.path / ".git" / "objects" / "info").mkdir(exist_ok=True)
    assert repo.remote is not None
    (repo.path / ".git" / "objects" / "info" / "alternates").write_text(f"{repo.remote}/objects\n")


def _odd_settings(repo: Repo, command: str) -> None:
    repo.git("config", "remote.origin.mirror", "true")
    repo.git("config", "push.followTags", "true")
    repo.git("config", "fetch.prune", "true")
    repo.git("config", "diff.orderFile", "/nonexistent")
    repo.git("config", "log.follow", "true")
    repo.git("config", "core.quotePath", "true")
    repo.git("config", "core.abbrev", "4")
    repo.git("config", "alias.log", f"!{command}")
    repo.git("config", "alias.rev-parse", f"!{command}")


@pytest.mark.parametrize("plant", [_hooks, _fsmonitor, _filters, _signatures, _pagers, _packs, _odd_settings])
def test_no_program_of_the_repository_runs(tmp_path: Path, plant: Callable[[Repo, str], None]) -> None:
    repo = make_repo(tmp_path, {"p/a.yaml": "a: 1\n", "p/b.yaml": "b: 1\n"})
    other = open_repository(clone(repo, tmp_path / "other").path)
    other.push("origin", [RefUpdate(LEDGER, other.write_commit(None, {"run.json": b"1"}, "x\n", AT), None)])
    command, mark = _script(repo)
    plant(repo, command)

    repository = open_repository(repo.path)
    head = repository.head()
    reading = read_directory(repo.path, "p")
    theirs = repository.list_remote("origin", "refs/reconciler/*")[LEDGER]
    repository.fetch_objects("origin", [LEDGER])
    sha = repository.write_commit(theirs, {"run.json": b"2"}, "y\n", AT)

    assert repository.update_ref(LEDGER, sha, None)
    assert repository.push("origin", [RefUpdate(LEDGER, sha, theirs)]).status is PushStatus.DONE
    assert repository.commit_log(head, ["p/a.yaml", "p/b.yaml"]).keys() == {"p/a.yaml", "p/b.yaml"}
    assert repository.changed_paths(theirs, sha) == {"run.json"}
    assert read_commit(repository, head, "p").files == reading.files
    assert dirty_paths(repository, head, "p", reading) == ()
    assert differing(make_base(repository, head, ["p"]), list_directory(repo.path, "p")) == {}
    assert len(repository.read_chain(sha)) == 2
    assert not mark.exists(), mark.read_text()
    assert repo.remote_refs("refs").keys() == {"refs/heads/main", LEDGER}


def test_the_hooks_of_this_test_would_run_for_others(tmp_path: Path) -> None:
    repo = make_repo(tmp_path, {"p/a.yaml": "a: 1\n"})
    command, mark = _script(repo)
    _hooks(repo, command)

    with pytest.raises(AssertionError):
        repo.git("update-ref", "refs/x/y", "HEAD")

    assert mark.exists()


@pytest.mark.parametrize("scheme", ["ext::", "http://127.0.0.1:1/", "git://127.0.0.1:1/", "evil::"])
def test_a_remote_of_an_odd_transport_is_not_used(tmp_path: Path, scheme: str) -> None:
    repo = make_repo(tmp_path, {"a.yaml": "1"})
    command, mark = _script(repo)
    repo.git("config", "protocol.ext.allow", "always")
    repo.git("remote", "set-url", "origin", f"{scheme}{command if scheme == 'ext::' else 'x'}")
    repository = open_repository(repo.path)

    with pytest.raises(UnreachableError, match="not allowed"):
        repository.list_remote("origin", "refs/reconciler/*")
    with pytest.raises(UnreachableError, match="not allowed"):
        repository.fetch_objects("origin", [LEDGER])

    assert not mark.exists()


def test_a_replace_ref_does_not_change_what_a_commit_shows(tmp_path: Path) -> None:
    repo = make_repo(tmp_path, {"p/a.yaml": "reviewed: true\n"})
    good = repo.git("rev-parse", "HEAD")
    evil = repo.commit({"p/a.yaml": "reviewed: false\n"}, "Evil")
    repo.git("reset", "--quiet", "--hard", good)
    repo.git("replace", good, evil)
    repo.git("replace", repo.git("rev-parse", f"{evil}~0:p/a.yaml"), repo.git("hash-object", "-w", ".git/HEAD"))
    repository = open_repository(repo.path)

    assert repo.git("show", f"{good}:p/a.yaml") != "reviewed: true", "the replacement works for git itself"
    assert read_commit(repository, good, "p").files == {"p/a.yaml": b"reviewed: true\n"}
    assert repository.commit_log(good, ["p/a.yaml"])["p/a.yaml"].subject == "Add policies"


def test_a_graft_does_not_make_an_ancestor(tmp_path: Path) -> None:
    repo = make_repo(tmp_path, {"p/a.yaml": "1"})
    first = repo.git("rev-parse", "HEAD")
    repo.git("checkout", "--quiet", "--orphan", "other")
    stranger = repo.commit({"p/a.yaml": "stranger"})
    repo.git("checkout", "--quiet", "main")
    (repo.path / ".git" / "info").mkdir(exist_ok=True)
    (repo.path / ".git" / "info" / "grafts").write_text(f"{first} {stranger}\n")
    repository = open_repository(repo.path)

    assert repository.ancestors(first, [first, stranger]) == {first}
    assert not repository.is_ancestor(stranger, first)


def test_refs_of_the_remote_with_names_of_options_are_not_taken(tmp_path: Path) -> None:
    repo = make_repo(tmp_path, {"a.yaml": "1"})
    assert repo.remote is not None
    head = repo.git("rev-parse", "HEAD")
    packed = repo.remote / "packed-refs"
    names = ["--upload-pack=x", "ledger/a b", "lock/-x", "ledger/ok", "ledger/x;y", "ledger/$(id)"]
    packed.write_text("".join(f"{head} refs/reconciler/{name}\n" for name in sorted(names)))
    repository = open_repository(repo.path)

    assert repository.list_remote("origin", "refs/reconciler/*") == {"refs/reconciler/ledger/ok": head}


def test_a_file_named_like_an_option_or_a_pattern_is_only_a_file(tmp_path: Path) -> None:
    names = ["p/--output=x.yaml", "p/*.yaml", "p/:(exclude)a.yaml", "p/é ü.yaml", "-p/a.yaml"]
    repo = make_repo(tmp_path, dict.fromkeys(names, "1"))
    repository = open_repository(repo.path)
    head = repository.head()

    assert repository.commit_log(head, names).keys() == set(names)
    assert {name for name, sha in repository.tree_ids(head, names).items() if sha} == set(names)
    assert [repository.read_file(head, name) for name in names] == [b"1"] * len(names)
    assert repository.blobs_at([(head, name) for name in names]).keys() == {(head, name) for name in names}
    assert list(repository.list_files(head, ["-p"])) == ["-p/a.yaml"]
