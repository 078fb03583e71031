"""`notify:`: who is told what, signed; and that no receiver can change a result."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reconciler.errors import ExitCode
from tests.fake_api import PERSON, FakeApi, Fault
from tests.support.hooks import Hook, hook
from tests.support.program import Program, neosc_defaults, neosc_policy, neosc_target, program_in
from tests.support.repos import Repo, make_repo

MFA = "pol-mfa-required"
FILE = f"policies/neosc/{MFA}.yaml"
SECRET = "notify-secret-0123456789abcdef"


@pytest.fixture
def api() -> Iterator[FakeApi]:
    with FakeApi("neosc") as api:
        yield api


@pytest.fixture
def receiver() -> Iterator[Hook]:
    with hook() as found:
        yield found


def setup(
    tmp_path: Path, api: FakeApi, notify: list[dict[str, Any]], *, top: bool = True, **target: Any
) -> tuple[Repo, Program]:
    """A repository whose policies are applied already, and the program with a secret."""
    settings: dict[str, Any] = {"version": 1, "targets": {"neosc": neosc_target(api.url, **target)}}
    (settings if top else settings["targets"]["neosc"])["notify"] = notify
    repo = make_repo(tmp_path, {"reconciler.yaml": json.dumps(settings), **neosc_defaults()})
    program = program_in(repo, token=api.token)
    program = Program(program.folder, {**program.env, "RECONCILER_NOTIFY_SECRET": SECRET}, program.token)
    program.ok("apply", "--yes")
    return repo, program


def test_drift_is_told_with_who_and_without_what(tmp_path: Path, api: FakeApi, receiver: Hook) -> None:
    repo, program = setup(tmp_path, api, [{"url": receiver.url}])
    api.edit(MFA, enabled=False)

    ended = program.run("drift")

    assert ended.code == ExitCode.CHANGES
    [posted] = receiver.posted
    assert (posted.method, posted.path) == ("POST", "/hooks/policies")
    assert posted.headers["content-type"] == "application/json"
    assert posted.is_signed_with(SECRET)
    assert "authorization" not in posted.headers
    notice = posted.json()
    entry = api.audit[-1]
    assert notice == {
        "format": "reconciler.notice/1",
        "id": notice["id"],
        "at": notice["at"],
        "finding": notice["finding"],
        "event": "drift",
        "target": "neosc",
        "head": repo.git("rev-parse", "HEAD"),
        "changes": [
            {
                "key": MFA,
                "action": "enable",
                "origin": "drift",
                "actor": PERSON,
                "at": notice["changes"][0]["at"],
                "audit_id": entry["id"],
                "confidence": "exact",
            }
        ],
        "more": 0,
    }
    assert "Enforce multi-factor" not in posted.body.decode()


def test_the_same_finding_has_the_same_name_in_another_notice(tmp_path: Path, api: FakeApi, receiver: Hook) -> None:
    _, program = setup(tmp_path, api, [{"url": receiver.url}])
    api.edit(MFA, enabled=False)

    program.run("drift")
    program.run("drift")
    api.edit("pol-session-recording", enabled=False)
    program.run("drift")

    first, again, other = (posted.json() for posted in receiver.posted)
    assert first["finding"] == again["finding"] != other["finding"]
    assert first["id"] != again["id"]


def test_nothing_to_tell_tells_nobody(tmp_path: Path, api: FakeApi, receiver: Hook) -> None:
    repo, program = setup(tmp_path, api, [{"url": receiver.url}])

    program.ok("drift")
    repo.commit({FILE: neosc_policy(enabled=False)}, "Switch MFA off")
    program.ok("drift")  # pending is no drift
    program.ok("apply", "--yes")

    assert receiver.posted == []


def test_a_run_in_doubt_is_told(tmp_path: Path, api: FakeApi, receiver: Hook) -> None:
    repo, program = setup(tmp_path, api, [{"url": receiver.url}], budget=3)
    asked = repo.commit({FILE: neosc_policy(enabled=False)}, "Switch MFA off")
    api.fail(Fault.DROP_BEFORE, method="PATCH", times=99)

    ended = program.run("apply", "--yes")

    assert ended.code == ExitCode.PARTIAL
    [posted] = receiver.posted
    assert posted.is_signed_with(SECRET)
    notice = posted.json()
    assert (notice["event"], notice["exit"], notice["error"]) == ("failure", 4, None)
    assert notice["outcomes"] == [{"key": MFA, "action": "disable", "status": "unknown", "commit": asked}]


def test_a_run_that_could_not_begin_is_told_with_its_code_and_no_word_of_the_server(
    tmp_path: Path, api: FakeApi, receiver: Hook
) -> None:
    repo, program = setup(tmp_path, api, [{"url": receiver.url}])
    api.fail(Fault.UNAUTHORIZED)

    ended = program.run("apply", "--yes")

    assert ended.code == ExitCode.ERROR
    notice = receiver.posted[0].json()
    assert (notice["exit"], notice["error"], notice["outcomes"]) == (1, "refused", [])
    assert notice["head"] == repo.git("rev-parse", "HEAD")
    assert "Not authenticated" not in receiver.posted[0].body.decode()


def test_a_blocked_run_is_told(tmp_path: Path, api: FakeApi, receiver: Hook) -> None:
    repo, program = setup(tmp_path, api, [{"url": receiver.url}], require_override="weakens")
    repo.commit({FILE: neosc_policy(enabled=False)}, "Switch MFA off")

    ended = program.run("apply", "--yes")

    assert ended.code == ExitCode.BLOCKED
    notice = receiver.posted[0].json()
    assert (notice["exit"], [outcome["status"] for outcome in notice["outcomes"]]) == (3, ["skipped"])


def test_receivers_of_all_targets_and_of_one_are_told_what_they_asked_for(tmp_path: Path, api: FakeApi) -> None:
    with hook() as drifts, hook() as failures, hook() as both:
        notify = [
            {"url": drifts.url, "events": ["drift"]},
            {"url": failures.url, "events": ["failure"]},
            {"url": both.url},
            {"url": both.url},
        ]
        _, program = setup(tmp_path, api, notify, top=False)
        api.edit(MFA, enabled=False)

        program.run("drift")
        api.fail(Fault.UNAUTHORIZED)
        program.run("apply", "--yes")

        events = [[posted.json()["event"] for posted in each.posted] for each in (drifts, failures, both)]
        assert events == [["drift"], ["failure"], ["drift", "failure"]]


def test_a_receiver_that_stumbles_is_told_again_with_the_same_notice(
    tmp_path: Path, api: FakeApi, receiver: Hook
) -> None:
    _, program = setup(tmp_path, api, [{"url": receiver.url}])
    api.edit(MFA, enabled=False)
    receiver.answers = [503, 429]

    ended = program.run("drift")

    assert ended.code == ExitCode.CHANGES
    assert "not notified" not in ended.err
    assert len({posted.body for posted in receiver.posted}) == 1
    assert len(receiver.posted) == 3


@pytest.mark.parametrize(
    ("status", "asked", "why"),
    [(500, 3, "it answers 500"), (404, 1, "it answers 404"), (307, 1, "redirects are never followed")],
)
def test_a_receiver_that_says_no_is_a_warning_and_no_more(
    tmp_path: Path, api: FakeApi, receiver: Hook, status: int, asked: int, why: str
) -> None:
    _, program = setup(tmp_path, api, [{"url": receiver.url}])
    api.edit(MFA, enabled=False)
    with hook() as elsewhere:
        receiver.answers, receiver.headers = [status] * 9, {"Location": elsewhere.url}

        ended = program.run("drift", "--json")

        assert (ended.code, ended.json()["format"]) == (ExitCode.CHANGES, "reconciler.drift/1")
        assert len(receiver.posted) == asked
        assert elsewhere.posted == []
    [line] = [line for line in ended.err.splitlines() if "not notified" in line]
    assert why in line
    assert "/hooks" not in line  # a path may be as good as a password


def test_a_receiver_that_never_answers_holds_nobody_up_for_long(tmp_path: Path, api: FakeApi, receiver: Hook) -> None:
    _, program = setup(tmp_path, api, [{"url": receiver.url}])
    api.edit(MFA, enabled=False)
    receiver.hang = True

    ended = program.run("drift", timeout=60)

    assert ended.code == ExitCode.CHANGES
    assert "no whole reply within the deadline" in ended.err
    assert 1 <= len(receiver.posted) <= 3


def test_without_a_secret_nothing_is_sent(tmp_path: Path, api: FakeApi, receiver: Hook) -> None:
    _, program = setup(tmp_path, api, [{"url": receiver.url}])
    api.edit(MFA, enabled=False)

    ended = program.run("drift", env={"RECONCILER_NOTIFY_SECRET": None})

    assert ended.code == ExitCode.CHANGES
    assert "RECONCILER_NOTIFY_SECRET is not set" in ended.err
    assert receiver.posted == []


def test_the_secret_may_stand_in_a_file(tmp_path: Path, api: FakeApi, receiver: Hook) -> None:
    _, program = setup(tmp_path, api, [{"url": receiver.url}])
    api.edit(MFA, enabled=False)
    (tmp_path / "secret").write_text("another-secret-of-a-file\n")

    program.run(
        "drift",
        env={"RECONCILER_NOTIFY_SECRET": None, "RECONCILER_NOTIFY_SECRET_FILE": str(tmp_path / "secret")},
    )

    assert receiver.posted[0].is_signed_with("another-secret-of-a-file")


def test_a_host_that_is_not_allowed_hears_nothing(tmp_path: Path, api: FakeApi, receiver: Hook) -> None:
    _, program = setup(tmp_path, api, [{"url": receiver.url}])
    api.edit(MFA, enabled=False)

    ended = program.run("drift", env={"RECONCILER_ALLOWED_HOSTS": f"127.0.0.1:{api.port}"})

    assert ended.code == ExitCode.CHANGES
    assert "not among the hosts" in ended.err
    assert receiver.posted == []


def test_drift_is_told_although_nobody_reads_the_result(tmp_path: Path, api: FakeApi, receiver: Hook) -> None:
    _, program = setup(tmp_path, api, [{"url": receiver.url}])
    api.edit(MFA, enabled=False)

    process = subprocess.Popen(
        [sys.executable, "-m", "reconciler", "drift"],
        cwd=program.folder,
        env=dict(program.env),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    process.stdout.close()
    process.stdout = None
    _, err = process.communicate(timeout=60)

    assert b"Traceback" not in err
    assert [posted.json()["event"] for posted in receiver.posted] == ["drift"]


@pytest.mark.parametrize(
    ("entry", "code"),
    [
        ({"url": "http://hooks.example.com"}, "wrong"),
        ({"url": "https://user:pass@hooks.example.com/x"}, "wrong"),
        ({"url": "https://hooks.example.com/x?token=1"}, "wrong"),
        ({"url": "https://hooks.example.com/x", "events": []}, "wrong"),
        ({"url": "https://hooks.example.com/x", "events": ["plans"]}, "wrong"),
        ({"url": "https://hooks.example.com/x", "secret": "s3cr3t"}, "RECONCILER_NOTIFY_SECRET"),
        ({}, "url"),
    ],
)
def test_a_receiver_that_cannot_be_meant_is_a_located_error(tmp_path: Path, entry: dict[str, Any], code: str) -> None:
    settings = {"version": 1, "targets": {"neosc": neosc_target("http://127.0.0.1:9/api")}, "notify": [entry]}
    repo = make_repo(tmp_path, {"reconciler.yaml": json.dumps(settings, indent=1), **neosc_defaults()}, remote=False)

    ended = program_in(repo).run("validate")

    assert ended.code == ExitCode.ERROR
    assert "reconciler.yaml:" in ended.out + ended.err
    assert code == "wrong" or code in ended.out + ended.err


def test_doctor_says_where_the_receivers_of_a_target_stand(tmp_path: Path) -> None:
    url = "https://hooks.example.com/x"
    settings = {"version": 1, "targets": {"neosc": neosc_target("http://127.0.0.1:9/api")}, "notify": [{"url": url}]}
    repo = make_repo(tmp_path, {"reconciler.yaml": json.dumps(settings, indent=1), **neosc_defaults()}, remote=False)

    ended = program_in(repo).run("doctor", "--json", env={"RECONCILER_TOKEN": None})

    [found] = [each for each in ended.json()["settings"] if each["name"] == "notify"]
    line = json.dumps(settings, indent=1).split('"notify"')[0].count("\n") + 1
    assert (found["value"], found["source"]) == ("1", f"reconciler.yaml:{line}")
