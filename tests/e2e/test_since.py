"""`validate --since`: what a branch changed, and what that decides on."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.clock import SystemClock, SystemRandom
from reconciler.errors import GitError
from reconciler.workflows.session import Validated, open_session, validate
from tests.support.program import config_text, neosc_policy, neosc_target, program_in
from tests.support.repos import Repo, make_repo

URL = "http://127.0.0.1:9/api"
BROKEN = "policies/neosc/broken.yaml"
MFA = "policies/neosc/mfa.yaml"


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    """One good policy, and one that has been wrong for long."""
    files = {"reconciler.yaml": config_text(neosc=neosc_target(URL)), MFA: neosc_policy(), BROKEN: "id: pol-broken\n"}
    return make_repo(tmp_path, files)


def since(repo: Repo, revision: str = "HEAD") -> Validated:
    session = open_session(repo.path, environ={}, clock=SystemClock(), random=SystemRandom())
    return validate(session, since=revision)


def test_nothing_changed_and_no_policy_is_looked_at(repo: Repo) -> None:
    found = since(repo)

    assert found == Validated((), files=1, policies=0)


@pytest.mark.parametrize("committed", [True, False])
def test_a_changed_file_is_checked_and_an_unchanged_one_is_not(repo: Repo, committed: bool) -> None:
    base = repo.git("rev-parse", "HEAD").strip()
    repo.write({MFA: neosc_policy(enabled="perhaps")})
    if committed:
        repo.commit({}, "Change a policy")

    found = since(repo, base)

    assert {problem.path for problem in found.problems} == {MFA}
    assert found.files == 2


def test_a_new_file_with_the_key_of_an_unchanged_one_is_found(repo: Repo) -> None:
    repo.write({"policies/neosc/again.yaml": neosc_policy()})

    found = since(repo)

    assert "duplicate-policy" in {problem.code for problem in found.problems}


def test_a_key_that_differs_by_case_is_found(repo: Repo) -> None:
    repo.write({"policies/neosc/again.yaml": neosc_policy("POL-MFA-REQUIRED", name="x", type="access", rules=["x"])})

    found = since(repo)

    assert "duplicate-policy" in {problem.code for problem in found.problems}


def test_a_policy_that_keeps_its_key_makes_no_other_file_be_read(repo: Repo) -> None:
    repo.commit({"policies/neosc/again.yaml": neosc_policy()}, "Add a second one of the key")
    repo.write({MFA: neosc_policy(enabled=False)})

    found = since(repo)

    assert (found.problems, found.files) == ((), 2)


def test_changed_settings_decide_on_every_file(repo: Repo) -> None:
    repo.write({"reconciler.yaml": config_text(neosc=neosc_target(URL, max_deletes=1))})

    assert {problem.path for problem in since(repo).problems} == {BROKEN}


def test_a_target_with_overlays_is_checked_whole(tmp_path: Path, repo: Repo) -> None:
    overlays = [{"pol-mfa-required": {"description": "Overlaid"}}]
    repo.commit({"reconciler.yaml": config_text(neosc=neosc_target(URL, overlays=overlays))}, "Add an overlay")

    assert {problem.path for problem in since(repo).problems} == {BROKEN}


def test_many_changed_files_and_every_file_is_checked(repo: Repo) -> None:
    many = {f"policies/neosc/{number}.yaml": neosc_policy(f"pol-{number}", name="x", type="access", rules=["x"])
            for number in range(65)}  # fmt: skip
    repo.write(many)

    assert BROKEN in {problem.path for problem in since(repo).problems}


def test_a_removed_file_is_no_problem(repo: Repo) -> None:
    (repo.path / BROKEN).unlink()

    assert since(repo) == Validated((), files=1, policies=0)


def test_a_revision_that_is_not_there_is_an_error(repo: Repo) -> None:
    with pytest.raises(GitError, match="no commit has this name here"):
        since(repo, "nowhere")


def test_the_command_says_since_when(repo: Repo) -> None:
    ended = program_in(repo).ok("validate", "--since", "HEAD")

    assert ended.out == "Valid since HEAD: 1 files, 0 policies. Nothing was sent to the API.\n"
