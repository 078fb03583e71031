"""The live system takes another token from some moment on, as NeoSC does after a restart (reliability.md F18)."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from tests.fake_api import TOKEN, FakeApi, SeenRequest
from tests.support.program import Program, config_text, neosc_defaults, neosc_target, program_in
from tests.support.repos import make_repo

NEXT = "the-next-token-9f8e7d6c5b4a3210"
OFF = {key: {"enabled": False} for key in ("pol-mfa-required", "pol-network-zero-trust", "pol-session-recording")}


def setup(tmp_path: Path, api: FakeApi) -> Program:
    """Three policies to switch off, and the token in a file."""
    config = config_text(neosc=neosc_target(api.url, concurrency=1))
    repo = make_repo(tmp_path, {"reconciler.yaml": config, **neosc_defaults()})
    program = program_in(repo, token=api.token)
    program.ok("apply", "--yes")
    repo.commit(neosc_defaults(**OFF), "Switch all off")
    return program


def restart_at(api: FakeApi, method: str, number: int, token_file: Path | None) -> None:
    """Take only the next token from the *number*-th request with *method* on; somebody writes it into the file."""
    before = len([request for request in api.requests if request.method == method])

    def hook(request: SeenRequest) -> None:
        if len([seen for seen in api.requests if seen.method == method]) == before + number:
            api.token = NEXT
            if token_file is not None:
                token_file.write_text(NEXT + "\n")

    api.on_request = hook


@pytest.mark.parametrize(("method", "number"), [("GET", 3), ("PATCH", 2)])
def test_a_token_that_was_replaced_in_its_file_is_read_once_more_and_the_run_goes_on(
    tmp_path: Path, method: str, number: int
) -> None:
    with FakeApi("neosc") as api:
        program = setup(tmp_path, api)
        token_file = tmp_path / "token"
        token_file.write_text(TOKEN)
        token_file.chmod(stat.S_IRUSR | stat.S_IWUSR)
        restart_at(api, method, number, token_file)
        env = {"RECONCILER_TOKEN": None, "RECONCILER_TOKEN_FILE": str(token_file)}

        ended = program.ok("apply", "--yes", "--json", env=env)

        assert [outcome["status"] for outcome in ended.json()["outcomes"]] == ["applied"] * 3
        assert [policy["enabled"] for policy in api.policies.values()] == [False] * 3
        assert len([entry for entry in api.audit if entry["action"] == "toggle_policy"]) == 3
        assert NEXT not in ended.out + ended.err


def test_a_token_that_stays_the_same_ends_the_run(tmp_path: Path) -> None:
    with FakeApi("neosc") as api:
        program = setup(tmp_path, api)
        token_file = tmp_path / "token"
        token_file.write_text(TOKEN)
        restart_at(api, "PATCH", 2, None)
        env = {"RECONCILER_TOKEN": None, "RECONCILER_TOKEN_FILE": str(token_file)}

        ended = program.run("apply", "--yes", "--json", env=env)

        assert ended.code == 4
        statuses = [outcome["status"] for outcome in json.loads(ended.out)["outcomes"]]
        assert statuses[0] == "applied"
        assert set(statuses[1:]) <= {"failed", "skipped", "unknown"}
        assert len(api.mutations) <= 3
