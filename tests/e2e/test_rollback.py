"""`rollback REV`: the files of an earlier revision in the working tree, the plan, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.people import live_opena2a
from tests.support.program import (
    Program,
    config_text,
    neosc_defaults,
    neosc_target,
    opena2a_policy,
    opena2a_target,
    program_in,
)
from tests.support.repos import Repo, make_repo
from tests.support.servers import RunningServer, reference_server

ONE, TWO, DEEP = (f"policies/opena2a/{name}.yaml" for name in ("one", "two", "deep/three"))


@pytest.fixture
def server() -> Iterator[RunningServer]:
    with reference_server() as running:
        yield running


@pytest.fixture
def repo(tmp_path: Path, server: RunningServer) -> Repo:
    config = config_text(opena2a=opena2a_target(server.opena2a_url))
    return make_repo(tmp_path, {"reconciler.yaml": config, ONE: opena2a_policy("One"), TWO: opena2a_policy("Two")})


@pytest.fixture
def first(repo: Repo) -> str:
    """The first revision; since then One was changed, Two removed, Three added, and the config touched."""
    first = repo.git("rev-parse", "HEAD")
    config = (repo.path / "reconciler.yaml").read_text(encoding="utf-8")
    repo.commit({ONE: opena2a_policy("One", enabled=False), TWO: None, DEEP: opena2a_policy("Three")}, "Change all")
    repo.commit(
        {"reconciler.yaml": "# said better\n" + config, "policies/opena2a/README.md": "How we work\n"}, "Say it"
    )
    return first


@pytest.fixture
def program(repo: Repo, server: RunningServer) -> Program:
    return program_in(repo, token=server.token)


def policy_files(repo: Repo) -> dict[str, str]:
    """The policy files on disk."""
    found = (repo.path / "policies").rglob("*.yaml")
    return {path.relative_to(repo.path).as_posix(): path.read_text(encoding="utf-8") for path in found}


def policy_files_at(repo: Repo, revision: str) -> dict[str, str]:
    """The policy files of a commit, as git itself says."""
    names = repo.git("ls-tree", "-r", "--name-only", revision, "policies/").splitlines()
    return {name: repo.git("show", f"{revision}:{name}") for name in names if name.endswith(".yaml")}


def test_the_files_of_the_revision_are_there_and_everything_else_is_left_alone(
    repo: Repo, first: str, program: Program
) -> None:
    head = repo.git("rev-parse", "HEAD")

    text = program.ok("rollback", first).out

    assert policy_files(repo) == policy_files_at(repo, first)
    assert not (repo.path / DEEP).exists()
    assert (repo.path / "policies/opena2a/README.md").read_text(encoding="utf-8") == "How we work\n"
    assert (repo.path / "reconciler.yaml").read_text(encoding="utf-8").startswith("# said better\n")
    assert repo.git("rev-parse", "HEAD") == head
    assert repo.git("diff", "--cached", "--name-only") == ""
    assert [line.split() for line in text.splitlines()[1:4]] == [["removed", DEEP], ["changed", ONE], ["added", TWO]]


def test_it_shows_the_plan_and_sends_nothing(repo: Repo, first: str, program: Program, server: RunningServer) -> None:
    program.ok("apply", "--yes")
    sent = len(server.mutations)

    plan = program.ok("rollback", first, "--json").json()

    assert plan["format"] == "reconciler.plan/1"
    assert plan["git"]["dirty"] is True
    assert {(change["key"], change["action"]) for change in plan["changes"]} == {
        ("One", "enable"),
        ("Two", "create"),
        ("Three", "delete"),
    }
    assert len(server.mutations) == sent


def test_committed_and_applied_it_is_undone(repo: Repo, first: str, program: Program, server: RunningServer) -> None:
    program.ok("apply", "--yes")
    program.ok("rollback", first)
    repo.commit({}, "Back to the first revision")

    program.ok("apply", "--yes")

    assert {name: policy["enabled"] for name, policy in live_opena2a(server).items()} == {"One": True, "Two": True}


@pytest.mark.parametrize(
    "change", [{ONE: opena2a_policy("One", severity="low")}, {"policies/opena2a/new.yaml": opena2a_policy("New")}]
)
def test_uncommitted_policy_files_are_never_overwritten(
    repo: Repo, first: str, program: Program, change: dict[str, str]
) -> None:
    repo.write(change)
    before = repo.git("status", "--porcelain")

    run = program.run("rollback", first)

    assert run.code == 1
    assert next(iter(change)) in run.err
    assert repo.git("status", "--porcelain") == before


def test_other_uncommitted_files_do_not_matter(repo: Repo, first: str, program: Program) -> None:
    repo.write({"notes.txt": "mine\n", "policies/opena2a/README.md": "Better\n"})

    program.ok("rollback", first)

    assert (repo.path / "notes.txt").read_text(encoding="utf-8") == "mine\n"
    assert (repo.path / "policies/opena2a/README.md").read_text(encoding="utf-8") == "Better\n"


@pytest.mark.parametrize("revision", ["nonsense", "--upload-pack=x", "HEAD~99", "HEAD:policies", "", "a\x1b[2Jb"])
def test_a_revision_that_is_none_is_refused(repo: Repo, first: str, program: Program, revision: str) -> None:
    run = program.run("rollback", "--", revision)

    assert run.code == 1
    assert "\x1b" not in run.err
    assert repo.git("status", "--porcelain") == ""


def test_a_branch_a_tag_and_a_short_id_are_revisions(repo: Repo, first: str, program: Program) -> None:
    repo.git("tag", "v1", first)
    repo.git("branch", "old", first)

    for revision in ("v1", "old", first[:8], "HEAD~2"):
        program.ok("rollback", revision)
        assert policy_files(repo) == policy_files_at(repo, first)
        repo.git("checkout", "--quiet", "--", ".")
        repo.git("clean", "--quiet", "-d", "--force")


def test_going_back_behind_the_folder_itself_is_refused(
    repo: Repo, first: str, program: Program, server: RunningServer
) -> None:
    targets = {"opena2a": opena2a_target(server.opena2a_url), "neosc": neosc_target(server.neosc_url)}
    repo.commit({"reconciler.yaml": config_text(**targets), **neosc_defaults()}, "NeoSC as well")

    both, one = program.run("rollback", first), program.run("rollback", first, "--target", "opena2a")

    assert both.code == 1
    assert "policies/neosc" in both.err
    assert one.code == 0
    assert len(list((repo.path / "policies/neosc").iterdir())) == 3


def test_a_revision_that_is_the_same_changes_nothing(repo: Repo, program: Program) -> None:
    text = program.ok("rollback", "HEAD").out

    assert "already" in text
    assert repo.git("status", "--porcelain") == ""


def test_files_are_there_even_when_no_plan_can_be_made(repo: Repo, first: str, program: Program) -> None:
    run = program.run("rollback", first, env={"RECONCILER_TOKEN": None})

    assert run.code == 1
    assert TWO in run.out
    assert (repo.path / TWO).exists()


def test_a_link_on_the_way_is_not_followed(repo: Repo, first: str, program: Program, tmp_path: Path) -> None:
    deep = repo.git("rev-parse", "HEAD")
    program.ok("rollback", first)
    repo.commit({}, "Back")
    outside = tmp_path / "outside"
    outside.mkdir()
    (repo.path / "policies/opena2a/deep").rmdir()
    (repo.path / "policies/opena2a/deep").symlink_to(outside)

    run = program.run("rollback", deep)

    assert run.code == 1
    assert list(outside.iterdir()) == []
