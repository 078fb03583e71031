"""`import`: live → files, comments and order kept; then git and live agree."""

from __future__ import annotations

import difflib
import json
import posixpath
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reconciler.core.schema import load_schemas
from tests.support.people import call_neosc, call_opena2a, live_opena2a
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

FOLDER = "policies/opena2a"
LIMIT = f"{FOLDER}/rate-limit-enforcement.yaml"
MFA = "pol-mfa-required"
BODY = json.loads(opena2a_policy())


@pytest.fixture
def server() -> Iterator[RunningServer]:
    with reference_server(neosc_crud=True) as running:
        yield running


@pytest.fixture
def repo(tmp_path: Path, server: RunningServer) -> Repo:
    """A repository with OpenA2A as its target, and no policy yet."""
    return make_repo(tmp_path, {"reconciler.yaml": config_text(opena2a=opena2a_target(server.opena2a_url))})


@pytest.fixture
def program(repo: Repo, server: RunningServer) -> Program:
    return program_in(repo, token=server.token)


def make(server: RunningServer, name: str, **fields: Any) -> Any:
    return call_opena2a(server, "POST", "", {**BODY, "name": name, **fields})


def edit(server: RunningServer, name: str, **fields: Any) -> None:
    policy = live_opena2a(server)[name]
    call_opena2a(server, "PUT", f"/{policy['id']}", {**policy, **fields})


def files(repo: Repo) -> dict[str, bytes]:
    found = (path for path in (repo.path / "policies").rglob("*") if path.is_file())
    return {path.relative_to(repo.path).as_posix(): path.read_bytes() for path in found}


def diff(before: bytes, after: bytes) -> list[str]:
    lines = difflib.unified_diff(before.decode().splitlines(), after.decode().splitlines(), n=0, lineterm="")
    return [line for line in list(lines)[2:] if not line.startswith("@@")]


def statuses(result: Any) -> dict[str, str]:
    return {entry["path"]: entry["status"] for entry in result["files"]}


# --------------------------------------------------------------------------------------------- what is new


def test_an_existing_api_is_adopted(repo: Repo, program: Program, server: RunningServer) -> None:
    make(server, "Rate Limit Enforcement")
    make(server, "Block bots", severity="high", enabled=False)
    sent = len(server.mutations)

    first = program.ok("import", "--json").json()
    plan = program.ok("plan", "--json").json()
    before = files(repo)
    again = program.ok("import", "--json").json()

    assert load_schemas().check("import", first) == ()
    assert statuses(first) == {f"{FOLDER}/block-bots.yaml": "created", LIMIT: "created"}
    assert (plan["changes"], plan["cannot"], plan["held"], plan["unmanaged"]) == ([], [], [], [])
    assert plan["summary"]["in_sync"] == 2
    assert set(statuses(again).values()) == {"unchanged"}
    assert files(repo) == before
    assert len(server.mutations) == sent
    assert repo.git("log", "--oneline").count("\n") == 0


def test_the_apply_after_the_commit_records_ownership_and_sends_nothing(
    repo: Repo, program: Program, server: RunningServer
) -> None:
    make(server, "Rate Limit Enforcement")
    sent = len(server.mutations)
    program.ok("import")
    asked = repo.commit({}, "Adopt what is live")

    run = program.ok("apply", "--yes", "--json").json()

    entry = json.loads(repo.git("show", f"{run['ledger']}:policies/Rate%20Limit%20Enforcement.json"))
    assert (entry["commit"], entry["path"]) == (asked, LIMIT)
    assert len(server.mutations) == sent


def test_a_neosc_api_is_adopted(tmp_path: Path, server: RunningServer) -> None:
    repo = make_repo(tmp_path, {"reconciler.yaml": config_text(neosc=neosc_target(server.neosc_url))})
    program = program_in(repo, token=server.token)
    call_neosc(server, "GET")
    call_neosc(server, "PATCH", f"/{MFA}", {})

    program.ok("import")
    before = files(repo)
    plan = program.run("plan", "--detailed-exitcode")
    program.ok("import")

    assert plan.code == 0
    assert "In sync: 3 policies" in plan.out
    assert files(repo) == before
    assert sorted(path.rpartition("/")[2] for path in before) == [
        "pol-mfa-required.yaml",
        "pol-network-zero-trust.yaml",
        "pol-session-recording.yaml",
    ]
    assert before[f"policies/neosc/{MFA}.yaml"].decode() == (
        "# yaml-language-server: $schema=../../schemas/neosc.policy.schema.json\n"
        "id: pol-mfa-required\n"
        "name: MFA Required\n"
        "description: Enforce multi-factor authentication for all users\n"
        "type: access\n"
        "rules:\n"
        "  - Require MFA for login\n"
        "  - WebAuthn preferred\n"
        "  - TOTP as fallback\n"
        "enabled: false\n"
    )


def test_it_works_before_the_first_commit(tmp_path: Path, server: RunningServer) -> None:
    repo = make_repo(tmp_path)
    repo.write({"reconciler.yaml": config_text(neosc=neosc_target(server.neosc_url))})

    program_in(repo, token=server.token).ok("import")

    assert len(files(repo)) == 3


def test_only_one_policy_is_imported_managed_or_not(repo: Repo, program: Program, server: RunningServer) -> None:
    make(server, "Rate Limit Enforcement")
    make(server, "Block bots")

    result = program.ok("import", "--only", "Block bots", "--json").json()
    unknown = program.run("import", "--only", "Block bot")

    assert statuses(result) == {f"{FOLDER}/block-bots.yaml": "created"}
    assert unknown.code == 64
    assert 'did you mean "Block bots"?' in unknown.err


# ------------------------------------------------------------------------------------------ what is there

HAND_WRITTEN = """\
# yaml-language-server: $schema=../../schemas/opena2a.policy.schema.json

# Agents are slowed down, not stopped.
policy_type: rate_limit      # what it is
name: "Rate Limit Enforcement"
severity: medium

conditions:
    max_requests_per_hour: 1000   # agreed with the platform team
    window_size: 1h
actions: {on_violation: throttle, notify_admins: false}
description: Limit agents to 1000 requests per hour
metadata:
  owner: platform-team   # ask them first
  review_by: 2027-06-30
---
# The second of two.
name: Block bots
policy_type: rate_limit
conditions: {max_requests_per_hour: 5, window_size: 1h}
actions:
  on_violation: block
"""


@pytest.fixture
def adopted(repo: Repo, program: Program) -> Program:
    """The program, with two policies of one hand-written file live and owned."""
    repo.commit({f"{FOLDER}/limits.yaml": HAND_WRITTEN}, "Two limits")
    program.ok("apply", "--yes")
    return program


def test_importing_what_is_in_sync_changes_no_byte(repo: Repo, adopted: Program) -> None:
    before = files(repo)

    result = adopted.ok("import", "--json").json()

    assert files(repo) == before
    assert [entry["status"] for entry in result["files"]] == ["unchanged", "unchanged"]


def test_after_a_live_edit_only_its_lines_change(repo: Repo, adopted: Program, server: RunningServer) -> None:
    edit(
        server,
        "Rate Limit Enforcement",
        conditions={"max_requests_per_hour": 2000, "window_size": "1h"},
        actions={"on_violation": "throttle", "notify_admins": True},
    )

    adopted.ok("import")

    assert diff(HAND_WRITTEN.encode(), files(repo)[f"{FOLDER}/limits.yaml"]) == [
        "-    max_requests_per_hour: 1000   # agreed with the platform team",
        "+    max_requests_per_hour: 2000   # agreed with the platform team",
        "-actions: {on_violation: throttle, notify_admins: false}",
        "+actions: {on_violation: throttle, notify_admins: true}",
    ]
    assert adopted.ok("plan", "--json").json()["changes"] == []


def test_a_policy_switched_off_live_is_switched_off_in_its_file(
    repo: Repo, adopted: Program, server: RunningServer
) -> None:
    identity = live_opena2a(server)["Block bots"]["id"]
    call_opena2a(server, "PATCH", f"/{identity}/toggle", {"enabled": False})

    adopted.ok("import", "--only", "Block bots")

    assert diff(HAND_WRITTEN.encode(), files(repo)[f"{FOLDER}/limits.yaml"]) == ["+enabled: false"]
    assert adopted.run("plan", "--detailed-exitcode").code == 0


def test_keys_that_come_live_come_into_the_file(repo: Repo, adopted: Program, server: RunningServer) -> None:
    edit(
        server,
        "Block bots",
        description="Nobody else",
        conditions={"max_requests_per_hour": 5, "window_size": "1h", "burst_limit": 9},
    )

    adopted.ok("import")

    assert diff(HAND_WRITTEN.encode(), files(repo)[f"{FOLDER}/limits.yaml"]) == [
        "+description: Nobody else",
        "-conditions: {max_requests_per_hour: 5, window_size: 1h}",
        "+conditions: {max_requests_per_hour: 5, window_size: 1h, burst_limit: 9}",
    ]


def test_files_of_policies_that_are_not_live_stay(repo: Repo, adopted: Program, server: RunningServer) -> None:
    call_opena2a(server, "DELETE", f"/{live_opena2a(server)['Block bots']['id']}")
    before = files(repo)

    result = adopted.ok("import", "--json").json()

    assert files(repo) == before
    assert [entry["key"] for entry in result["not_live"]] == ["Block bots"]


def test_a_file_that_git_gave_up_comes_back_with_its_protection(
    repo: Repo, program: Program, server: RunningServer
) -> None:
    repo.commit({LIMIT: opena2a_policy(metadata={"critical": True})}, "A critical policy")
    program.ok("apply", "--yes")
    repo.commit({LIMIT: None, f"{FOLDER}/README.md": "none\n"}, "Drop it")

    program.ok("import")

    assert "critical: true" in files(repo)[LIMIT].decode()
    assert program.ok("plan", "--json").json()["changes"] == []


def test_our_trailer_and_what_the_server_owns_stay_out(tmp_path: Path, server: RunningServer) -> None:
    target = opena2a_target(server.opena2a_url, annotate="description")
    repo = make_repo(tmp_path, {"reconciler.yaml": config_text(opena2a=target), LIMIT: opena2a_policy(severity="low")})
    program = program_in(repo, token=server.token)
    program.ok("apply", "--yes")
    assert "[reconciler commit=" in live_opena2a(server)["Rate Limit Enforcement"]["description"]
    repo.write({LIMIT: None})

    program.ok("import")

    text = files(repo)[LIMIT].decode()
    assert "reconciler commit" not in text
    assert "created_at" not in text
    assert "\nid:" not in text


def test_an_overlay_and_an_exception_keep_the_last_word(tmp_path: Path, server: RunningServer) -> None:
    overlay = {"Rate Limit Enforcement": {"conditions": {"max_requests_per_hour": 50}}}
    target = opena2a_target(server.opena2a_url, overlays=[overlay])
    repo = make_repo(tmp_path, {"reconciler.yaml": config_text(opena2a=target), LIMIT: opena2a_policy()})
    program = program_in(repo, token=server.token)
    program.ok("apply", "--yes")
    before = files(repo)
    same = program.ok("import", "--json").json()
    edit(
        server, "Rate Limit Enforcement", conditions={"max_requests_per_hour": 60, "window_size": "1h"}, severity="low"
    )

    run = program.run("import", "--json")

    assert statuses(same) == {LIMIT: "unchanged"}
    assert run.code == 1
    assert "/conditions/max_requests_per_hour" in run.json()["skipped"][0]["reason"]
    assert '"severity": "low"' in files(repo)[LIMIT].decode()
    assert files(repo) != before


def test_the_mode_is_imported_where_git_speaks_of_it(repo: Repo, program: Program, server: RunningServer) -> None:
    repo.write({LIMIT: opena2a_policy()})
    program.ok("import")
    assert f"{FOLDER}/settings.yaml" not in files(repo)
    repo.commit({f"{FOLDER}/settings.yaml": "enforcement_mode: strict # we mean it\n"}, "Strict")

    result = program.ok("import", "--only", "enforcement_mode", "--json").json()

    assert statuses(result) == {f"{FOLDER}/settings.yaml": "updated"}
    assert files(repo)[f"{FOLDER}/settings.yaml"] == b"enforcement_mode: monitoring # we mean it\n"


# ---------------------------------------------------------------------------------------------- hostile names


HOSTILE = ("../../../outside", "/etc/cron.d/x", "settings", "a/../../b", ".git/config", "COM1", "日本語", "x" * 200)


def test_no_name_leads_out_of_the_folder(repo: Repo, program: Program, server: RunningServer) -> None:
    def everything() -> set[Path]:
        """Every file around the repository; git's own and the home folder come and go."""
        found = (path for path in repo.path.parent.rglob("*") if path.is_file())
        return {path for path in found if not {".git", "home", "remote.git"} & {*path.parts}}

    for name in HOSTILE:
        make(server, name)
    around = everything()

    result = program.ok("import", "--json").json()

    assert everything() - around == {repo.path / entry["path"] for entry in result["files"]}
    assert {posixpath.dirname(entry["path"]) for entry in result["files"]} == {FOLDER}
    assert f"{FOLDER}/settings.yaml" not in files(repo)
    assert program.ok("plan", "--json").json()["summary"]["in_sync"] == len(HOSTILE)


def test_names_that_make_the_same_file_name_get_one_each(repo: Repo, program: Program, server: RunningServer) -> None:
    for name in ("Block bots", "Block-bots", "Block: bots"):
        make(server, name)

    program.ok("import")

    assert len(files(repo)) == 3
    assert program.ok("plan", "--json").json()["summary"]["in_sync"] == 3


def test_a_file_of_somebody_else_is_never_overwritten(repo: Repo, program: Program, server: RunningServer) -> None:
    repo.write({LIMIT: opena2a_policy("Another one")})
    make(server, "Rate Limit Enforcement")

    program.ok("import")

    assert files(repo)[LIMIT].decode() == opena2a_policy("Another one")
    assert len(files(repo)) == 2


def test_names_that_differ_only_by_case_are_not_both_imported(
    repo: Repo, program: Program, server: RunningServer
) -> None:
    make(server, "Block bots")
    make(server, "BLOCK BOTS")

    run = program.run("import", "--json")

    assert run.code == 1
    assert len(files(repo)) == 1
    assert "case" in run.json()["skipped"][0]["reason"]


def test_text_that_git_may_not_hold_is_skipped_and_shown_harmless(
    repo: Repo, program: Program, server: RunningServer
) -> None:
    make(server, "Fine")
    for number, text in enumerate(("evil \u202e txet", "a\u200bb", "\x1b[2Jx")):
        make(server, f"Hidden {number}", description=text)

    run = program.run("import")

    assert run.code == 1
    assert list(files(repo)) == [f"{FOLDER}/fine.yaml"]
    assert run.out.count("SKIPPED    Hidden") == 3
    assert "\u202e" not in run.out
    assert "\x1b" not in run.out


def test_a_policy_of_a_kind_that_no_schema_has_is_skipped(repo: Repo, program: Program, server: RunningServer) -> None:
    make(server, "Odd", policy_type="quantum", conditions={"x": 1})

    run = program.run("import", "--json")

    assert run.code == 1
    assert [entry["key"] for entry in run.json()["skipped"]] == ["Odd"]
    assert not (repo.path / "policies").exists() or files(repo) == {}


def test_nothing_is_written_through_links(repo: Repo, program: Program, server: RunningServer, tmp_path: Path) -> None:
    make(server, "Rate Limit Enforcement")
    outside = tmp_path / "outside"
    outside.mkdir()
    (repo.path / "policies").mkdir()
    (repo.path / FOLDER).symlink_to(outside)

    run = program.run("import")

    assert run.code == 1
    assert list(outside.iterdir()) == []


def test_bad_files_stop_an_import_before_anything_is_written(
    repo: Repo, program: Program, server: RunningServer
) -> None:
    make(server, "Rate Limit Enforcement")
    repo.write({f"{FOLDER}/bad.yaml": "name: [\n"})

    run = program.run("import")

    assert run.code == 1
    assert list(files(repo)) == [f"{FOLDER}/bad.yaml"]


def test_two_systems_are_not_written_into_one_folder(tmp_path: Path, server: RunningServer) -> None:
    target = neosc_target(server.neosc_url)
    repo = make_repo(tmp_path, {"reconciler.yaml": config_text(one=target, two=target), **neosc_defaults()})
    program = program_in(repo, token=server.token)

    assert program.run("import").code == 64
    assert program.run("import", "--target", "two").code == 0


def test_a_json_file_keeps_its_lines(tmp_path: Path, server: RunningServer) -> None:
    repo = make_repo(
        tmp_path, {"reconciler.yaml": config_text(neosc=neosc_target(server.neosc_url)), **neosc_defaults()}
    )
    call_neosc(server, "GET")
    call_neosc(server, "PATCH", f"/{MFA}", {})

    program_in(repo, token=server.token).ok("import")

    assert diff(neosc_policy(MFA).encode(), files(repo)[f"policies/neosc/{MFA}.yaml"]) == [
        '-  "enabled": true',
        '+  "enabled": false',
    ]
