"""The ledger against real repositories: what is written, what is believed, and how two clones agree."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.core.model import Applied
from reconciler.errors import GitError
from reconciler.ledger import (
    LedgerState,
    RunInfo,
    Sync,
    commit_by_audit_id,
    entry_path,
    history,
    ledger_ref,
    owned,
    push,
    read_ledger,
    sync,
    write_ledger,
)
from reconciler.sources.git import Repository, open_repository
from tests.support.processes import spawned
from tests.support.repos import ENVIRONMENT, Repo, clone, make_repo

AT = datetime(2026, 11, 20, 9, 14, 7, tzinfo=UTC)
REF = ledger_ref("neosc")
RUN = RunInfo("a" * 40, "0.1.0", "2026-11-20T09:14:07Z", "sha256:12ab")


@pytest.fixture(autouse=True)
def _own_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    return make_repo(tmp_path, {"p/mfa.yaml": "id: mfa\n"})


@pytest.fixture
def store(repo: Repo) -> Repository:
    return open_repository(repo.path)


def entry(key: str = "mfa", **changes: object) -> Applied:
    base = Applied(key, f"id-{key}", {"name": "MFA"}, True, {"critical": True}, "p/mfa.yaml", "b" * 40, "audit-1")
    return replace(base, **changes)  # type: ignore[arg-type]


def by_key(*entries: Applied) -> dict[str, Applied]:
    return {one.key: one for one in entries}


def keys_of(path: str, content: bytes) -> set[str]:
    """The key of our little test files: `id: KEY`."""
    return {line.removeprefix("id: ") for line in content.decode().splitlines() if line.startswith("id: ")}


def write(
    store: Repository, entries: Mapping[str, Applied], previous: LedgerState | None = None, run: RunInfo = RUN
) -> str:
    sha = write_ledger(store, previous or LedgerState(), entries, run, at=AT)
    assert sha is not None
    return sha


# ---------------------------------------------------------------------------------------- write and read


def test_what_is_written_is_read(store: Repository) -> None:
    entries = by_key(entry(), entry("PII protection", audit_id=None, enabled=False, body={"a": [1, None, {"b": 1.5}]}))
    settings = entry("enforcement_mode", body={"enforcement_mode": "strict"})

    sha = write_ledger(store, LedgerState(), entries, RUN, at=AT, settings=settings)

    assert read_ledger(store, sha) == LedgerState(sha, RUN, entries, settings)
    assert read_ledger(store, sha).applied_commit == "a" * 40


def test_no_ledger_is_an_empty_one(store: Repository) -> None:
    assert read_ledger(store, None) == LedgerState()
    assert read_ledger(store, None).applied_commit is None


def test_the_tree_has_one_file_per_policy_and_the_run(repo: Repo, store: Repository) -> None:
    sha = write(store, by_key(entry(), entry("A/B ü")))

    assert repo.git("ls-tree", "-r", "--name-only", sha).splitlines() == [
        "policies/A%2FB%20%C3%BC.json",
        "policies/mfa.json",
        "run.json",
    ]
    assert json.loads(repo.git("show", f"{sha}:policies/mfa.json")) == {
        "key": "mfa",
        "id": "id-mfa",
        "body": {"name": "MFA"},
        "enabled": True,
        "metadata": {"critical": True},
        "path": "p/mfa.yaml",
        "commit": "b" * 40,
        "audit_id": "audit-1",
    }
    assert json.loads(repo.git("show", f"{sha}:run.json"))["applied"] == "a" * 40


def test_the_same_run_gives_the_same_commit_whatever_the_order(store: Repository) -> None:
    one, two = entry("one", body={"a": 1, "b": 2}), entry("two")

    first = write(store, by_key(one, two))
    second = write(store, by_key(two, replace(one, body={"b": 2, "a": 1})))

    assert first == second


def test_a_run_is_a_commit_on_the_one_before(repo: Repo, store: Repository) -> None:
    first = write(store, by_key(entry(), entry("gone")))

    second = write(store, by_key(entry(enabled=False)), read_ledger(store, first))

    assert repo.git("rev-parse", f"{second}^") == first
    assert read_ledger(store, second).entries == by_key(entry(enabled=False))
    assert repo.git("diff-tree", "-r", "--name-status", first, second).splitlines() == [
        "D\tpolicies/gone.json",
        "M\tpolicies/mfa.json",
    ]
    assert "-enabled" not in repo.git("diff", first, second)
    assert '-  "enabled": true,' in repo.git("diff", first, second).splitlines()


def test_nothing_changed_nothing_written(store: Repository) -> None:
    state = read_ledger(store, write(store, by_key(entry())))
    other_run = RunInfo("c" * 40, "0.2.0", "2027-01-01T00:00:00Z")

    with spawned() as seen:
        again = write_ledger(store, state, by_key(entry()), other_run, at=AT)
        nothing = write_ledger(store, LedgerState(), {}, other_run, at=AT)

    assert again == state.sha
    assert nothing is None
    assert seen == []


def test_a_run_that_touched_the_live_system_is_written_even_with_equal_entries(store: Repository) -> None:
    state = read_ledger(store, write(store, by_key(entry())))

    sha = write_ledger(store, state, by_key(entry()), replace(RUN, applied="c" * 40), at=AT, touched=True)

    assert sha != state.sha
    assert read_ledger(store, sha).applied_commit == "c" * 40
    assert read_ledger(store, sha).entries == state.entries


def test_a_change_of_metadata_alone_is_written(store: Repository) -> None:
    state = read_ledger(store, write(store, by_key(entry())))

    assert write(store, by_key(entry(metadata={"owner": "iam"})), state) != state.sha


def test_a_long_key_is_cut_and_told_apart_by_its_hash(store: Repository) -> None:
    plain, one, two = "k" * 200, "ü" * 100 + "1", "ü" * 100 + "2"

    sha = write(store, by_key(entry(plain), entry(one), entry(two)))

    assert entry_path(plain) == f"policies/{plain}.json"
    assert (
        entry_path(one) == "policies/" + "%C3%BC" * 30 + "~" + hashlib.sha256(one.encode()).hexdigest()[:16] + ".json"
    )
    assert read_ledger(store, sha).entries.keys() == {plain, one, two}


@given(st.text(st.characters(exclude_categories=["Cs"])), st.text(st.characters(exclude_categories=["Cs"])))
def test_a_key_is_always_one_plain_file_name_of_its_own(one: str, two: str) -> None:
    name = entry_path(one).removeprefix("policies/")

    assert name.isascii()
    assert "/" not in name
    assert len(name) <= 205
    assert (one == two) == (entry_path(one) == entry_path(two))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"null",
        b"[]",
        b"{",
        b'{"key": "mfa"}',
        b"\xff",
        b"[" * 100_000,
        b'{"key": "mfa", "key": "mfa"}',
        b'{"key": NaN}',
        b"#" * (1024 * 1024 + 1),
    ],
)
def test_a_malformed_entry_is_a_located_error(store: Repository, content: bytes) -> None:
    good = write(store, by_key(entry()))
    sha = store.write_commit(good, {"policies/mfa.json": content}, "x\n", AT)

    with pytest.raises(GitError) as caught:
        read_ledger(store, sha)

    assert caught.value.where == f"policies/mfa.json at {sha[:7]}"
    with pytest.raises(GitError):
        history(store, sha)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("key", "other"),
        ("key", 1),
        ("id", None),
        ("body", []),
        ("enabled", 1),
        ("enabled", "true"),
        ("metadata", None),
        ("path", 1),
        ("commit", "HEAD"),
        ("commit", "-" * 40),
        ("commit", None),
        ("audit_id", 7),
    ],
)
def test_a_field_of_another_type_is_an_error(store: Repository, field: str, value: object) -> None:
    good = write(store, by_key(entry()))
    content = json.loads(store.read_file(good, "policies/mfa.json") or b"") | {field: value}
    sha = store.write_commit(good, {"policies/mfa.json": json.dumps(content).encode()}, "x\n", AT)

    with pytest.raises(GitError, match="the ledger cannot be read"):
        read_ledger(store, sha)


@pytest.mark.parametrize(
    "changes",
    [
        {"run.json": None},
        {"run.json": b"{}"},
        {"run.json": b'{"format": "reconciler.ledger/1", "tool": "1", "at": "1", "applied": "HEAD"}'},
        {"stray": b"x"},
        {"policies/deep/mfa.json": b"{}"},
    ],
)
def test_a_tree_that_is_no_ledger_is_an_error(store: Repository, changes: dict[str, bytes | None]) -> None:
    sha = store.write_commit(write(store, by_key(entry())), changes, "x\n", AT)

    with pytest.raises(GitError):
        read_ledger(store, sha)


def test_reading_and_writing_take_as_many_processes_for_many_policies_as_for_few(store: Repository) -> None:
    counts = []
    for number in (2, 300):
        with spawned() as seen:
            state = read_ledger(store, write(store, by_key(*(entry(f"k{n}") for n in range(number)))))
            assert len(history(store, state.sha)[0].entries) == number
        counts.append(len(seen))

    assert counts == [5, 5]


# -------------------------------------------------------------------------------------------------- owned


def test_owned_is_what_history_confirms(repo: Repo, store: Repository) -> None:
    first = repo.git("rev-parse", "HEAD")
    repo.git("checkout", "--quiet", "-b", "side")
    side = repo.commit({"p/mfa.yaml": "id: side\n"})
    repo.git("checkout", "--quiet", "main")
    repo.commit({"p/mfa.yaml": "id: renamed\n", "p/other.yaml": "id: other\n"})
    head = repo.commit({"p/mfa.yaml": None})
    entries = by_key(
        entry("mfa", commit=first),
        entry("renamed", commit=repo.git("rev-parse", "HEAD~1")),
        entry("other", commit=head, path="p/other.yaml"),
        entry("side", commit=side),
        entry("forged", commit=first),
        entry("nowhere", commit="f" * 40),
        entry("gone", commit=head),
        entry("outside", commit=first, path="../../etc/passwd"),
    )

    assert owned(store, head, entries, keys_of) == {"mfa", "renamed", "other"}


def test_a_file_already_parsed_is_not_parsed_again(repo: Repo, store: Repository) -> None:
    head = repo.git("rev-parse", "HEAD")
    blob = store.blob_id(b"id: mfa\n")

    def never(path: str, content: bytes) -> set[str]:
        raise AssertionError(path)

    assert owned(store, head, by_key(entry(commit=head)), never, known={("p/mfa.yaml", blob): {"mfa"}}) == {"mfa"}


def test_owning_many_takes_as_many_processes_as_owning_few(repo: Repo, store: Repository) -> None:
    counts = []
    for number in (2, 200):
        repo.commit({f"p/{n}.yaml": f"id: {n} of {number}\n" for n in range(number)})
        shas = [repo.commit({f"p/{n}.yaml": f"id: {n} again\n"}) for n in range(min(number, 5))]
        keys = {f"{n} again": (shas[n], f"p/{n}.yaml") for n in range(len(shas[:number]))}
        entries = by_key(*(entry(key, commit=sha, path=path) for key, (sha, path) in keys.items()))
        with spawned() as seen:
            assert owned(store, shas[-1], entries, keys_of) == keys.keys()
        counts.append(len(seen))

    assert counts[0] == counts[1] <= 5


def test_a_shallow_clone_owns_only_what_it_can_prove(repo: Repo, tmp_path: Path) -> None:
    first = repo.git("rev-parse", "HEAD")
    head = repo.commit({"p/other.yaml": "id: other\n"})
    repo.push()
    shallow = open_repository(clone(repo, tmp_path / "shallow", "--depth=1").path)
    entries = by_key(entry(commit=first), entry("other", commit=head, path="p/other.yaml"))

    assert owned(shallow, head, entries, keys_of) == {"other"}


# ------------------------------------------------------------------------------------------------ history


def test_history_tells_each_run_newest_first(store: Repository) -> None:
    first = write(store, by_key(entry("a", audit_id="1"), entry("b", audit_id="2")))
    second_run = RunInfo("c" * 40, "0.1.0", "2026-11-21T00:00:00Z")
    second = write(store, by_key(entry("a", audit_id="3", commit="d" * 40)), read_ledger(store, first), second_run)

    runs = history(store, second)

    assert [(run.sha, run.run, [one.key for one in run.entries], run.removed) for run in runs] == [
        (second, second_run, ["a"], ("b",)),
        (first, RUN, ["a", "b"], ()),
    ]
    assert commit_by_audit_id(runs) == {"3": ("d" * 40, "a"), "1": ("b" * 40, "a"), "2": ("b" * 40, "b")}
    assert [run.sha for run in history(store, second, limit=1)] == [second]
    assert history(store, None) == ()


# --------------------------------------------------------------------------------------------------- sync


def test_without_a_remote_the_local_ledger_is_the_ledger(store: Repository) -> None:
    sha = write(store, by_key(entry()))
    store.update_ref(REF, sha, None)

    assert sync(store, None, "neosc") == Sync(sha, None, unpushed=False)


def test_a_fresh_clone_takes_the_remotes_ledger(repo: Repo, store: Repository, tmp_path: Path) -> None:
    sha = write(store, by_key(entry()))
    store.update_ref(REF, sha, None)
    assert push(store, "origin", "neosc", sync(store, "origin", "neosc")) == Sync(sha, sha, unpushed=False)
    fresh = open_repository(clone(repo, tmp_path / "fresh", "--depth=1").path)

    state = sync(fresh, "origin", "neosc")

    assert state == Sync(sha, sha, unpushed=False)
    assert fresh.read_ref(REF) == sha
    assert read_ledger(fresh, state.tip).entries == by_key(entry())
    assert sync(fresh, "origin", "other") == Sync(None, None, unpushed=False)


def test_a_remote_that_is_ahead_moves_the_local_ledger(repo: Repo, store: Repository, tmp_path: Path) -> None:
    first = write(store, by_key(entry()))
    store.update_ref(REF, first, None)
    push(store, "origin", "neosc", sync(store, "origin", "neosc"))
    other = open_repository(clone(repo, tmp_path / "other").path)
    sync(other, "origin", "neosc")
    second = write(other, by_key(entry(enabled=False)), read_ledger(other, first))
    other.update_ref(REF, second, first)
    push(other, "origin", "neosc", sync(other, "origin", "neosc"))

    assert sync(store, "origin", "neosc") == Sync(second, second, unpushed=False)
    assert store.read_ref(REF) == second


def test_a_local_ledger_that_is_ahead_is_kept_and_pushed(repo: Repo, store: Repository) -> None:
    first = write(store, by_key(entry()))
    store.update_ref(REF, first, None)
    push(store, "origin", "neosc", sync(store, "origin", "neosc"))
    second = write(store, by_key(entry(enabled=False)), read_ledger(store, first))
    store.update_ref(REF, second, first)

    state = sync(store, "origin", "neosc", refs=store.list_remote("origin", "refs/reconciler/*"))

    assert state == Sync(second, first, unpushed=True)
    assert push(store, "origin", "neosc", state) == Sync(second, second, unpushed=False)
    assert repo.remote_refs() == {REF: second}


def test_two_ledgers_that_parted_are_an_error_that_says_how_to_settle_it(
    repo: Repo, store: Repository, tmp_path: Path
) -> None:
    mine, theirs = write(store, by_key(entry("mine"))), write(store, by_key(entry("theirs")))
    store.update_ref(REF, theirs, None)
    push(store, "origin", "neosc", sync(store, "origin", "neosc"))
    store.update_ref(REF, mine, theirs)

    with pytest.raises(GitError, match="have parted") as caught:
        sync(store, "origin", "neosc")

    assert f"git update-ref {REF} {theirs}" in caught.value.fix
    assert store.read_ref(REF) == mine


def test_a_push_that_comes_too_late_sees_what_came_before(repo: Repo, store: Repository) -> None:
    mine, theirs = write(store, by_key(entry("mine"))), write(store, by_key(entry("theirs")))
    store.update_ref(REF, mine, None)
    state = sync(store, "origin", "neosc")
    repo.git("push", "--quiet", "origin", f"{theirs}:{REF}")

    with pytest.raises(GitError, match="have parted"):
        push(store, "origin", "neosc", state)


def test_a_host_that_refuses_our_refs_is_an_error_that_says_what_to_allow(repo: Repo, store: Repository) -> None:
    assert repo.remote is not None
    hook = repo.remote / "hooks" / "pre-receive"
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)
    store.update_ref(REF, write(store, by_key(entry())), None)

    with pytest.raises(GitError, match="declined") as caught:
        push(store, "origin", "neosc", sync(store, "origin", "neosc"))

    assert "refs/reconciler/*" in caught.value.fix


def test_a_remote_that_is_gone_is_told_and_changes_nothing(repo: Repo, store: Repository) -> None:
    sha = write(store, by_key(entry()))
    store.update_ref(REF, sha, None)
    assert repo.remote is not None
    shutil.rmtree(repo.remote)

    state = sync(store, "origin", "neosc")

    assert (state.tip, state.remote_tip, state.unpushed) == (sha, None, False)
    assert state.unreachable is not None
    assert "cannot be used now" in state.unreachable
