"""Signed commits with the real command: who may is said by what was applied, and nothing is sent for anybody else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.people import call_neosc
from tests.support.program import Ended, Program, config_text, neosc_defaults, neosc_policy, neosc_target, program_in
from tests.support.repos import Repo, make_repo
from tests.support.servers import RunningServer, reference_server
from tests.support.signers import Signer, make_signer, needs_ssh_keygen, signers_file

pytestmark = needs_ssh_keygen

SIGNERS = ".reconciler/allowed_signers"
VARIABLE = "RECONCILER_ALLOWED_SIGNERS_FILE"
POLICY = "pol-session-recording"
FILE = f"policies/neosc/{POLICY}.yaml"


@dataclass(frozen=True)
class Stage:
    """A repository, a server, the program, and people: Alice and Bob may sign, Mallory may not."""

    repo: Repo
    server: RunningServer
    program: Program
    people: Mapping[str, Signer]

    def commit(self, who: str | None, files: Mapping[str, str | None], message: str = "Change policies") -> str:
        repo = self.repo if who is None else self.people[who].sign_in(self.repo)
        return repo.commit(files, message)

    def config(self, **more: Any) -> dict[str, str]:
        return {"reconciler.yaml": config_text(neosc=neosc_target(self.server.neosc_url, crud=True, **more))}

    def signers(self, *names: str) -> dict[str, str]:
        return {SIGNERS: signers_file(*(self.people[name] for name in names))}

    def start(self, mode: str = "auto", signers: tuple[str, ...] = ("alice", "bob")) -> str:
        """Apply a first commit with these signers, signed by Alice."""
        files = {**self.config(signatures=mode), **neosc_defaults(), **(self.signers(*signers) if signers else {})}
        commit = self.commit("alice", files)
        self.program.ok("apply", "--yes", env={} if mode != "require" else self.pinned("alice"))
        self.server.request_log.clear()
        return commit

    def pinned(self, *names: str) -> dict[str, str]:
        path = self.repo.path.parent / "pinned"
        path.write_text(self.signers(*names)[SIGNERS])
        return {VARIABLE: str(path)}

    def apply(self, **env: str) -> Ended:
        return self.program.run("apply", "--yes", "--json", env=env)

    def warnings(self, **env: str) -> list[str]:
        found: list[str] = self.program.ok("plan", "--json", env=env).json()["warnings"]
        return [text for text in found if text.startswith(("unsigned", "no-"))]

    @property
    def is_off(self) -> bool:
        """Whether the policy that these tests switch off is off."""
        return any(each["id"] == POLICY and not each["enabled"] for each in call_neosc(self.server, "GET"))


OFF = {FILE: neosc_policy(POLICY, enabled=False)}


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with reference_server(neosc_crud=True) as server:
        repo = make_repo(tmp_path)
        people = {name: make_signer(tmp_path, name) for name in ("alice", "bob", "mallory")}
        yield Stage(repo, server, program_in(repo, token=server.token), people)


def refused(ended: Ended, commit: str, words: str) -> None:
    error = ended.json()["error"]
    assert (ended.code, error["code"]) == (1, "unsigned-commit")
    assert commit[:7] in error["message"]
    assert words in error["message"]
    assert "git rebase" in error["fix"]


@pytest.mark.parametrize("mode", ["auto", "require"])
@pytest.mark.parametrize(("who", "words"), [(None, "no SSH signature"), ("mallory", "not one of an allowed signer")])
def test_a_commit_of_nobody_who_may_is_refused_before_anything_is_asked(
    stage: Stage, mode: str, who: str | None, words: str
) -> None:
    stage.start(mode)
    commit = stage.commit(who, OFF)
    [warning] = stage.warnings()
    before = len(stage.server.request_log)

    ended = stage.apply()

    refused(ended, commit, words)
    assert warning == f"unsigned-commit: {ended.json()['error']['message']}; apply refuses this"
    assert len(stage.server.request_log) == before
    assert not stage.is_off


@pytest.mark.parametrize(("mode", "who"), [("auto", "alice"), ("require", "bob")])
def test_a_commit_of_somebody_who_may_is_applied(stage: Stage, mode: str, who: str) -> None:
    stage.start(mode)
    stage.commit(who, OFF)

    assert stage.warnings() == []
    assert stage.apply().code == 0
    assert stage.is_off


@pytest.mark.parametrize("who", [None, "mallory"])
def test_off_says_nothing_and_stops_nothing(stage: Stage, who: str | None) -> None:
    stage.start("off")
    stage.commit(who, OFF)

    assert stage.warnings() == []
    assert stage.apply().code == 0
    assert stage.is_off


def test_auto_without_signers_goes_on_and_says_that_nobody_checks(stage: Stage) -> None:
    stage.start("auto", signers=())
    stage.commit("mallory", OFF)

    [warning] = stage.warnings()

    assert warning.startswith("unsigned: ")
    assert SIGNERS in warning
    assert stage.apply().code == 0
    assert stage.warnings() == []


def test_require_without_signers_refuses(stage: Stage) -> None:
    stage.start("auto", signers=())
    stage.commit("alice", stage.config(signatures="require") | stage.signers("alice"))

    ended = stage.apply()

    assert (ended.code, ended.json()["error"]["code"]) == (1, "no-signers")
    assert VARIABLE in ended.json()["error"]["fix"]
    assert stage.warnings()[0].startswith("no-signers: ")


def test_the_first_time_the_environment_says_who_may(stage: Stage) -> None:
    files = {**stage.config(), **neosc_defaults(), **stage.signers("mallory")}
    first = stage.commit("mallory", files)

    refused(stage.apply(**stage.pinned("alice")), first, "not one of an allowed signer")
    assert stage.server.mutations == []
    assert stage.apply(**stage.pinned("alice", "mallory")).code == 0


def test_the_first_time_a_commit_cannot_switch_off_what_the_environment_asks_for(stage: Stage) -> None:
    first = stage.commit(None, {**stage.config(signatures="off"), **neosc_defaults()})

    refused(stage.apply(**stage.pinned("alice")), first, "no SSH signature")


def test_once_signers_were_applied_the_environment_no_longer_counts(stage: Stage) -> None:
    stage.start(signers=("alice",))
    commit = stage.commit("mallory", OFF)

    refused(stage.apply(**stage.pinned("mallory")), commit, "not one of an allowed signer")


def test_a_file_of_signers_that_cannot_be_read_lets_nobody_in(stage: Stage, tmp_path: Path) -> None:
    stage.commit("alice", {**stage.config(), **neosc_defaults()})

    ended = stage.apply(**{VARIABLE: str(tmp_path / "nowhere")})

    assert (ended.code, ended.json()["error"]["code"]) == (1, "no-signers")
    assert stage.server.mutations == []


def test_every_commit_since_counts_not_only_the_last(stage: Stage) -> None:
    stage.start()
    hidden = stage.commit("mallory", OFF)
    stage.commit("alice", {"README.md": "words\n"})

    refused(stage.apply(), hidden, "not one of an allowed signer")
    assert not stage.is_off


def test_the_oldest_is_named_and_the_others_are_counted(stage: Stage) -> None:
    stage.start()
    first = stage.commit(None, OFF)
    stage.commit("mallory", {"README.md": "words\n"})

    refused(stage.apply(), first, "(and 1 more)")


def test_signed_again_by_somebody_who_may_it_is_applied(stage: Stage) -> None:
    applied = stage.start()
    stage.commit(None, OFF)
    stage.commit("mallory", {"README.md": "words\n"})
    alice = stage.people["alice"].sign_in(stage.repo)

    alice.git("rebase", "--quiet", "--rebase-merges", "--exec", "git commit --quiet --amend --no-edit -S", applied[:12])

    assert stage.apply().code == 0
    assert stage.is_off


def test_a_signed_merge_speaks_for_a_branch_and_an_unsigned_one_does_not(stage: Stage) -> None:
    applied = stage.start()
    stage.repo.git("switch", "--quiet", "-c", "topic")
    stage.commit(None, OFF)
    stage.repo.git("switch", "--quiet", "main")
    unsigned = stage.repo.merge("topic")
    ended = stage.apply()
    stage.repo.git("reset", "--quiet", "--hard", applied)
    stage.people["alice"].sign_in(stage.repo).merge("topic")

    refused(ended, unsigned, "no SSH signature")
    assert stage.apply().code == 0
    assert stage.is_off


@pytest.mark.parametrize("who", [None, "mallory"])
def test_a_stranger_cannot_add_themselves(stage: Stage, who: str | None) -> None:
    stage.start()
    commit = stage.commit(who, {**OFF, **stage.signers("alice", "bob", "mallory")})

    refused(stage.apply(), commit, "signature" if who is None else "not one of an allowed signer")


@pytest.mark.parametrize("how", [None, "", "alice@example.invalid\n"])
def test_a_stranger_cannot_take_the_file_away(stage: Stage, how: str | None) -> None:
    stage.start()
    commit = stage.commit("mallory", {**OFF, SIGNERS: how})

    refused(stage.apply(), commit, "not one of an allowed signer")


def test_a_stranger_cannot_switch_the_check_off(stage: Stage) -> None:
    stage.start()
    commit = stage.commit("mallory", {**OFF, **stage.config(signatures="off")})

    refused(stage.apply(), commit, "not one of an allowed signer")


def test_a_new_signer_counts_once_a_commit_that_names_them_was_applied(stage: Stage) -> None:
    stage.start(signers=("alice",))
    stage.commit("alice", stage.signers("alice", "bob"))
    early = stage.commit("bob", OFF)
    ended = stage.apply()
    stage.repo.git("reset", "--quiet", "--hard", "HEAD~")

    named = stage.apply()
    stage.commit("bob", OFF)
    later = stage.apply()

    refused(ended, early, "not one of an allowed signer")
    assert (named.code, named.json()["outcomes"]) == (0, [])
    assert later.code == 0
    assert stage.is_off


def test_a_signer_who_was_taken_out_counts_no_more(stage: Stage) -> None:
    stage.start()
    stage.commit("alice", stage.signers("alice"))
    stage.program.ok("apply", "--yes")
    commit = stage.commit("bob", OFF)

    refused(stage.apply(), commit, "not one of an allowed signer")


def test_signers_that_come_later_count_from_the_next_apply_on(stage: Stage) -> None:
    stage.start(signers=())
    stage.commit(None, stage.signers("alice"))
    stage.program.ok("apply", "--yes")
    stage.program.ok("apply", "--yes")
    runs = stage.repo.git("rev-list", "--count", "refs/reconciler/ledger/neosc")
    commit = stage.commit(None, OFF)

    refused(stage.apply(), commit, "no SSH signature")
    assert runs == "2"


def test_a_link_in_place_of_the_signers_lets_nobody_in(stage: Stage) -> None:
    stage.start(signers=("alice",))
    (stage.repo.path / SIGNERS).unlink()
    (stage.repo.path / SIGNERS).symlink_to("../README.md")
    stage.commit("alice", {"README.md": stage.people["alice"].line})
    stage.program.ok("apply", "--yes")
    stage.commit("alice", OFF)

    ended = stage.apply()

    assert (ended.code, ended.json()["error"]["code"]) == (1, "no-signers")
    assert stage.apply(**stage.pinned("alice")).code == 0


def test_a_replaced_object_is_verified_as_it_is(stage: Stage) -> None:
    applied = stage.start()
    good = stage.commit("alice", OFF)
    stage.repo.git("reset", "--quiet", "--hard", applied)
    bad = stage.commit("mallory", OFF)
    stage.repo.git("replace", bad, good)

    refused(stage.apply(), bad, "not one of an allowed signer")


def test_without_ssh_keygen_a_plan_warns_and_an_apply_refuses(stage: Stage, tmp_path: Path) -> None:
    stage.start()
    stage.commit("alice", OFF)
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("git", "env"):
        (folder / name).symlink_to(Path("/usr/bin") / name)

    ended = stage.apply(PATH=str(folder))

    assert (ended.code, ended.json()["error"]["code"]) == (1, "no-ssh-keygen")
    assert stage.warnings(PATH=str(folder))[0].startswith("no-ssh-keygen: ")


def test_a_saved_plan_of_a_stranger_is_refused_alike(stage: Stage, tmp_path: Path) -> None:
    stage.start()
    commit = stage.commit("mallory", OFF)
    plan = tmp_path / "plan.json"
    stage.program.ok("plan", "--out", str(plan))

    ended = stage.program.run("apply", str(plan), "--yes", "--json")

    refused(ended, commit, "not one of an allowed signer")
