"""`explain`: what a code, a guard, a field or a policy's key means, wherever one stands."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.core.schema import load_schemas
from tests.conftest import Golden
from tests.support.program import (
    Program,
    config_text,
    neosc_defaults,
    neosc_policy,
    neosc_target,
    opena2a_policy,
    opena2a_target,
    program_in,
)
from tests.support.repos import Repo, make_repo
from tests.support.servers import RunningServer, reference_server

GOLDEN = Path(__file__).with_name("golden")
MFA = {"critical": True, "owner": "identity-team", "rationale": "Protects against credential theft"}


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    config = config_text(neosc=neosc_target("http://127.0.0.1:9/api"), opena2a=opena2a_target("http://127.0.0.1:9/v1"))
    files = neosc_defaults(**{"pol-mfa-required": {"metadata": MFA}})
    return make_repo(
        tmp_path, {"reconciler.yaml": config, **files, "policies/opena2a/rate-limit.yaml": opena2a_policy()}
    )


@pytest.fixture
def program(repo: Repo) -> Program:
    return program_in(repo)


@pytest.fixture
def server() -> Iterator[RunningServer]:
    with reference_server() as running:
        yield running


@pytest.mark.parametrize(
    "word",
    [
        "unknown-key",
        "locked",
        "critical-disabled",
        "incomplete-read",
        "conditions.max_requests_per_hour",
        "severity",
        "prune",
        "metadata.exceptions.until",
        "Rate Limit Enforcement",
    ],
)
def test_each_kind_of_word_reads_as_on_the_page(program: Program, golden: Golden, word: str) -> None:
    ended = program.ok("explain", word)

    assert ended.err == ""
    assert [line for line in ended.out.splitlines() if len(line) > 80] == []
    golden(GOLDEN / f"{word.replace(' ', '-')}.txt", ended.out)


def test_codes_guards_and_fields_are_explained_outside_of_a_repository(program: Program, tmp_path: Path) -> None:
    outside = Program(tmp_path, program.env)

    for word in ("unknown-key", "too-many-deletes", "targets.neosc.url"):
        assert outside.ok("explain", word).out.startswith(word if "." not in word else "targets.<name>.url")


def test_a_field_is_found_by_path_by_pointer_and_by_its_last_key(program: Program) -> None:
    said = {
        program.ok("explain", word).out for word in ("conditions.window_type", "/conditions/window_type", "window_type")
    }

    (text,) = said
    assert "from weakest to strictest: tumbling, sliding" in text


def test_a_field_of_several_files_is_explained_for_each(program: Program) -> None:
    found = program.ok("explain", "until", "--json").json()["found"]

    assert {(entry["path"], entry["file"]) for entry in found} == {
        ("metadata.exceptions[].until", "aim policy"),
        ("metadata.exceptions[].until", "neosc policy"),
        ("metadata.exceptions[].until", "opena2a policy"),
        ("overrides[].until", "overrides.yaml"),
        ("hold[].until", "overrides.yaml"),
    }


def test_every_described_key_of_every_schema_is_found_by_its_path() -> None:
    from reconciler.core.fields import field_pages, find_fields

    pages = field_pages(load_schemas())

    assert len(pages) > 200
    for page in pages:
        assert page in find_fields(pages, page.path)


def test_a_policy_says_where_it_is_who_changed_it_and_that_it_was_never_applied(repo: Repo, program: Program) -> None:
    sha = repo.git("rev-parse", "HEAD")

    (found,) = program.ok("explain", "pol-mfa-required", "--json").json()["found"]

    assert found == {
        "kind": "policy",
        "target": "neosc",
        "key": "pol-mfa-required",
        "name": "MFA Required",
        "path": "policies/neosc/pol-mfa-required.yaml",
        "line": 2,
        "enabled": True,
        "critical": True,
        "owner": "identity-team",
        "rationale": "Protects against credential theft",
        "commit": {"sha": sha, "author": "Policy Author", "subject": "Add policies"},
        "state": "never-applied",
        "applied": None,
    }


def test_after_an_apply_a_policy_is_as_applied_until_its_file_changes(
    repo: Repo, program: Program, server: RunningServer
) -> None:
    sha = repo.commit({"reconciler.yaml": config_text(neosc=neosc_target(server.neosc_url))}, "Use the server")
    first = repo.git("rev-parse", "HEAD~1")
    repo.push()
    program.ok("apply", "--yes", env={"RECONCILER_TOKEN": server.token})

    (before,) = program.ok("explain", "pol-session-recording", "--json").json()["found"]
    repo.write({"policies/neosc/pol-session-recording.yaml": neosc_policy("pol-session-recording", enabled=False)})
    (after,) = program.ok("explain", "pol-session-recording", "--json").json()["found"]

    assert sha != first
    assert (before["state"], before["applied"]) == ("as-applied", first)
    assert (after["state"], after["applied"]) == ("changed", first)


def test_a_policy_is_found_while_another_file_is_broken(repo: Repo, program: Program) -> None:
    repo.write({"policies/neosc/broken.yaml": "id: pol-broken\nenabled: on\n"})

    ended = program.ok("explain", "pol-mfa-required")

    assert "where      policies/neosc/pol-mfa-required.yaml:2\n" in ended.out


@pytest.mark.parametrize(
    ("word", "near"),
    [
        ("unknwon-key", "unknown-key"),
        ("critical-disable", "critical-disabled"),
        ("max_requests_per_huor", "max_requests_per_hour"),
        ("pol-mfa-requird", "pol-mfa-required"),
        ("rate limit enforcement", "Rate Limit Enforcement"),
    ],
)
def test_an_unknown_word_names_the_nearest(program: Program, word: str, near: str) -> None:
    ended = program.run("explain", word)

    assert ended.code == 1
    assert ended.out == ""
    assert f'did you mean "{near}"?' in ended.err


def test_a_word_that_is_like_nothing_is_an_error_in_json_too(program: Program) -> None:
    ended = program.run("explain", "\x1b[2Jzzz", "--json")

    assert ended.code == 1
    assert ended.json()["error"]["code"] == "unknown-word"
    assert "\x1b" not in ended.err + ended.out


def test_without_a_word_every_code_and_guard_is_listed(program: Program) -> None:
    from reconciler.core.guard import GUARDS
    from reconciler.reports.pages import code_pages

    text = program.ok("explain").out
    value = program.ok("explain", "--json").json()

    listed = {line.split()[0] for line in text.splitlines() if line.startswith("  ") and line[2] != " "}
    assert listed == code_pages().keys() | GUARDS.keys()
    assert {entry.get("code") or entry["guard"] for entry in value["found"]} == listed


def test_a_policys_hostile_text_comes_out_harmless(repo: Repo, program: Program) -> None:
    hostile = "::stop-commands::x"
    rationale = f"{'x' * 60} {hostile} ##[error]y"
    files = {"policies/opena2a/odd.yaml": opena2a_policy(hostile, metadata={"rationale": rationale})}
    repo.commit(files, f"Subject \x1b[31m {'y' * 50} {hostile}")

    ended = program.ok("explain", hostile)

    assert "\x1b" not in ended.out
    assert "##[" not in ended.out
    assert ended.out.count("\\x3a:stop-commands::x") == 3
    assert not [line for line in ended.out.splitlines() if line.lstrip().startswith("::")]
