"""Signed commits as git and ssh-keygen see them: real keys, real commits, hostile settings (reliability.md 7)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from reconciler.errors import GitError
from reconciler.sources import history
from reconciler.sources.git import open_repository
from reconciler.sources.plumbing import Signature
from tests.support.processes import spawned
from tests.support.repos import Repo, clone, make_repo
from tests.support.signers import Signer, make_signer, needs_ssh_keygen, signers_file

pytestmark = needs_ssh_keygen


@dataclass(frozen=True)
class Stage:
    """A repository with one commit that was applied, Alice and Bob who may sign, and Mallory who may not."""

    repo: Repo
    applied: str
    alice: Signer
    bob: Signer
    mallory: Signer

    def commit(self, who: Signer | None, message: str = "Change", **options: str) -> str:
        repo = self.repo if who is None else who.sign_in(self.repo)
        return repo.commit({}, message, **options)

    def look(self, after: str | None = "", signers: str | None = None) -> tuple[Signature, ...]:
        text = signers_file(self.alice, self.bob) if signers is None else signers
        repository = open_repository(self.repo.path)
        return repository.signatures(repository.head(), self.applied if after == "" else after, text.encode())

    def states(self) -> list[str]:
        return [each.state for each in self.look()]


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    repo = make_repo(tmp_path, {"a.yaml": "a: 1\n"}, remote=True)
    signers = [make_signer(tmp_path, name) for name in ("alice", "bob", "mallory")]
    return Stage(repo, repo.git("rev-parse", "HEAD"), *signers)


def test_a_commit_is_good_only_with_a_key_of_the_file(stage: Stage) -> None:
    commits = [stage.commit(who) for who in (None, stage.mallory, stage.bob, stage.alice)]

    found = stage.look()

    assert [each.commit for each in found] == commits[::-1]
    assert [each.state for each in found] == ["G", "G", "U", "N"]
    assert [each.is_good for each in found] == [True, True, False, False]
    assert [each.signer for each in found] == ["alice@example.invalid", "bob@example.invalid", "", ""]


def test_the_author_field_proves_nothing(stage: Stage) -> None:
    stage.commit(stage.bob, author="Alice <alice@example.invalid>")
    stage.commit(stage.mallory, author="Alice <alice@example.invalid>")

    found = stage.look()

    assert [(each.is_good, each.signer) for each in found] == [(False, ""), (True, "bob@example.invalid")]


@pytest.mark.parametrize("signers", ["", "nonsense\n", "alice@example.invalid ssh-ed25519 AAAA\n"])
def test_a_file_without_anybody_lets_nobody_in(stage: Stage, signers: str) -> None:
    stage.commit(stage.alice)

    assert not stage.look(signers=signers)[0].is_good


def test_a_signer_who_was_taken_out_no_longer_counts(stage: Stage) -> None:
    stage.commit(stage.bob)

    assert not stage.look(signers=signers_file(stage.alice))[0].is_good


def test_a_key_for_another_purpose_does_not_count(stage: Stage) -> None:
    stage.commit(stage.alice)
    name, key = stage.alice.line.split(" ", 1)

    assert not stage.look(signers=f'{name} namespaces="file" {key}')[0].is_good
    assert stage.look(signers=f'{name} namespaces="git" {key}')[0].is_good


def test_an_end_date_is_checked_against_a_date_the_signer_chooses(stage: Stage) -> None:
    stage.commit(stage.alice)  # on a day of 2026
    name, key = stage.alice.line.split(" ", 1)

    assert not stage.look(signers=f'{name} valid-before="20250101" {key}')[0].is_good
    assert stage.look(signers=f'{name} valid-before="20270101" {key}')[0].is_good


def test_a_signature_over_something_else_is_bad(stage: Stage) -> None:
    signed = stage.commit(stage.alice)
    text = stage.repo.git("cat-file", "commit", signed) + "\n"
    forged = stage.repo.git(
        "hash-object", "-t", "commit", "-w", "--stdin", given=text.replace("Change", "Chance").encode()
    )
    stage.repo.git("update-ref", "HEAD", forged)

    assert stage.states() == ["B"]


def test_a_replaced_object_is_seen_as_it_is(stage: Stage) -> None:
    signed = stage.commit(stage.alice)
    stage.repo.git("reset", "--quiet", "--hard", stage.applied)
    unsigned = stage.commit(None)
    stage.repo.git("replace", unsigned, signed)

    assert [(each.commit, each.state) for each in stage.look()] == [(unsigned, "N")]


def test_a_merge_speaks_for_what_it_brings(stage: Stage) -> None:
    stage.repo.git("switch", "--quiet", "-c", "topic")
    stage.repo.commit({"topic.yaml": "a: 1\n"})
    stage.repo.git("switch", "--quiet", "main")
    merge = stage.alice.sign_in(stage.repo).merge("topic")

    assert [(each.commit, each.state) for each in stage.look()] == [(merge, "G")]


@pytest.mark.parametrize("branches", [["one"], ["one", "two"]])
def test_an_unsigned_merge_is_found_however_many_signed_commits_it_joins(stage: Stage, branches: list[str]) -> None:
    alice = stage.alice.sign_in(stage.repo)
    for name in branches:
        stage.repo.git("switch", "--quiet", "-c", name, stage.applied)
        alice.commit({f"{name}.yaml": "a: 1\n"})
    stage.repo.git("switch", "--quiet", "main")
    stage.repo.git("merge", "--quiet", "--no-ff", "-m", "Merge", *branches)

    assert stage.states() == ["N"]


def test_a_commit_that_only_a_merge_brought_is_no_anchor(stage: Stage) -> None:
    stage.repo.git("switch", "--quiet", "-c", "topic")
    side = stage.commit(None, "Never the tip")
    stage.repo.git("switch", "--quiet", "main")
    merge = stage.alice.sign_in(stage.repo).merge("topic")
    stage.repo.git("reset", "--quiet", "--hard", side)

    assert [(each.commit, each.state) for each in stage.look(after=merge)] == [(side, "N")]


def test_what_was_applied_is_not_looked_at_again(stage: Stage) -> None:
    assert stage.look() == ()
    assert [each.state for each in stage.look(after=None)] == ["N"]


def test_no_setting_of_the_repository_makes_a_stranger_good(stage: Stage, tmp_path: Path) -> None:
    stage.commit(stage.mallory)
    theirs, mark, script = tmp_path / "theirs", tmp_path / "mark", tmp_path / "evil.sh"
    theirs.write_text(signers_file(stage.mallory))
    script.write_text(f'#!/bin/sh\necho "$0" >>"{mark}"\necho Good\nexit 0\n')
    script.chmod(0o755)
    for name in ("gpg.program", "gpg.ssh.program", "gpg.openpgp.program", "gpg.x509.program"):
        stage.repo.git("config", name, str(script))
    stage.repo.git("config", "gpg.ssh.allowedSignersFile", str(theirs))
    stage.repo.git("config", "gpg.ssh.revocationFile", str(theirs))
    stage.repo.git("config", "gpg.ssh.defaultKeyCommand", str(script))
    stage.repo.git("config", "gpg.format", "openpgp")
    stage.repo.git("config", "format.pretty", "oneline")

    assert stage.states() == ["U"]
    assert not mark.exists(), mark.read_text()


@pytest.mark.parametrize("kind", ["PGP SIGNATURE", "PGP MESSAGE", "SIGNED MESSAGE"])
def test_a_signature_of_another_kind_starts_no_program(stage: Stage, tmp_path: Path, kind: str) -> None:
    mark, script = tmp_path / "mark", tmp_path / "evil.sh"
    script.write_text(f'#!/bin/sh\necho "$0" >>"{mark}"\nexit 0\n')
    script.chmod(0o755)
    for name in ("gpg.program", "gpg.openpgp.program", "gpg.x509.program"):
        stage.repo.git("config", name, str(script))
    text = stage.repo.git("cat-file", "commit", stage.commit(None)).replace(
        "\n\n", f"\ngpgsig -----BEGIN {kind}-----\n \n iQEz\n -----END {kind}-----\n\n", 1
    )
    forged = stage.repo.git("hash-object", "-t", "commit", "-w", "--stdin", given=text.encode())
    stage.repo.git("update-ref", "HEAD", forged)

    assert not stage.look()[0].is_good
    assert not mark.exists(), mark.read_text()


def test_a_history_that_is_cut_off_is_not_taken_for_whole(stage: Stage, tmp_path: Path) -> None:
    for _ in range(3):
        stage.commit(stage.alice)
    stage.repo.push()
    shallow = open_repository(clone(stage.repo, tmp_path / "shallow", "--depth=2").path)

    with pytest.raises(GitError, match="history is cut off"):
        shallow.signatures(shallow.head(), None, signers_file(stage.alice).encode())


def test_more_commits_than_can_be_verified_are_refused(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "MAX_SIGNATURES", 2)
    for _ in range(3):
        stage.commit(None)

    with pytest.raises(GitError, match="more than 2 commits"):
        stage.look()


def test_without_ssh_keygen_it_says_so(stage: Stage, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    head, repository = stage.commit(stage.alice), open_repository(stage.repo.path)
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(GitError, match="no ssh-keygen") as error:
        repository.signatures(head, stage.applied, b"")

    assert error.value.code == "no-ssh-keygen"


def test_one_git_process_whatever_the_number_of_commits(stage: Stage) -> None:
    for _ in range(5):
        stage.commit(None)
    repository = open_repository(stage.repo.path)
    head, signers = repository.head(), signers_file(stage.alice).encode()

    with spawned() as commands:
        found = repository.signatures(head, stage.applied, signers)

    assert len(found) == 5
    assert len(commands) == 1


def test_a_repository_with_sha256_names_is_verified_alike(tmp_path: Path) -> None:
    repo = make_repo(tmp_path, {"a.yaml": "a: 1\n"}, remote=False, object_format="sha256")
    applied, alice, bob = repo.git("rev-parse", "HEAD"), make_signer(tmp_path, "alice"), make_signer(tmp_path, "bob")
    alice.sign_in(repo).commit({})
    bob.sign_in(repo).commit({})
    repository = open_repository(repo.path)

    found = repository.signatures(repository.head(), applied, signers_file(alice).encode())

    assert [each.state for each in found] == ["U", "G"]
