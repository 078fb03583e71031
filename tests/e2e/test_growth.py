"""What does not grow with the number of policies: git processes, and requests of a plan."""

from __future__ import annotations

import math
import shutil
from pathlib import Path

import pytest

from tests.fake_api import TOKEN, FakeApi
from tests.support.program import config_text, neosc_defaults, neosc_policy, neosc_target, program_in
from tests.support.repos import make_repo
from tests.support.servers import reference_server

COMMANDS = (("apply", "--yes"), ("plan",), ("validate", "--since", "HEAD~1"))

#: Stands before git on PATH and writes down each start.
WRAPPER = '#!/bin/sh\necho "$@" >>"{log}"\nexec "{git}" "$@"\n'


def counted(folder: Path, policies: int) -> dict[str, tuple[int, int]]:
    """Return for each command how many git processes and how many requests it took.

    All is as git wants it from the start; the apply records that. Then one policy is changed in git.
    """
    names = [f"pol-{number:04}" for number in range(policies)]
    bodies = [{"name": name, "type": "access", "rules": ["x"], "description": "d"} for name in names]
    files = {
        f"policies/neosc/{name}.yaml": neosc_policy(name, **body) for name, body in zip(names, bodies, strict=True)
    }
    with FakeApi(
        "neosc", [{"id": name, "enabled": True, **body} for name, body in zip(names, bodies, strict=True)]
    ) as api:
        repo = make_repo(folder, {"reconciler.yaml": config_text(neosc=neosc_target(api.url, crud=True)), **files})
        log, wrapper = folder / "git.log", folder / "bin/git"
        wrapper.parent.mkdir()
        wrapper.write_text(WRAPPER.format(log=log, git=shutil.which("git")))
        wrapper.chmod(0o755)
        program = program_in(repo, token=TOKEN)
        path = f"{wrapper.parent}:{program.env['PATH']}"
        found = {}
        for command in COMMANDS:
            before = len(api.requests)
            log.write_text("")
            program.ok(*command, env={"PATH": path})
            found[" ".join(command)] = len(log.read_text().splitlines()), len(api.requests) - before
            if command[0] == "apply":
                changed = {"rules": ["y"], **{key: value for key, value in bodies[0].items() if key != "rules"}}
                repo.commit({f"policies/neosc/{names[0]}.yaml": neosc_policy(names[0], **changed)}, "Change one")
    return found


def test_a_thousand_policies_start_no_more_git_processes_and_send_no_more_requests_than_ten(tmp_path: Path) -> None:
    few = counted(tmp_path / "few", 10)

    many = counted(tmp_path / "many", 1_000)

    for command, (processes, requests) in many.items():
        assert 3 < processes <= few[command][0], command
        assert requests == few[command][1], command
    assert many["plan"][1] == 1


@pytest.mark.parametrize("size", [2, 1000])
def test_a_plan_that_finds_nothing_asks_for_each_part_of_a_long_list_once(tmp_path: Path, size: int) -> None:
    with reference_server(parts_of=size) as server:
        files = {"reconciler.yaml": config_text(neosc=neosc_target(server.neosc_url)), **neosc_defaults()}
        program = program_in(make_repo(tmp_path, files), token=server.token)

        plan = program.ok("plan", "--json").json()

        lists = [request for request in server.request_log if request.path == "/api/policies"]
        assert plan["summary"]["in_sync"] == 3
        assert len(server.request_log) == len(lists) == 1 + math.ceil(3 / size)  # the first one is left at its head
