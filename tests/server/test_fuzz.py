"""Schemathesis makes requests of the server's own OpenAPI document: all of its checks, over a real socket.

Left out of the copy it is given, because nobody can guess them and each has tests of its own: the headers of
conditions, cursors, one of every two parameters that ask for the same, locks that want a token, and the stream, which
has no end. What takes a token back runs last, on a server of its own, since it would take back the one in use; so does
what takes a second factor away, which a user who was just made does not have.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.servers import reference_server

pytestmark = pytest.mark.heavy

NOT_GUESSED = {"cursor", "annotation", "agent"}
WITHOUT = ("put_v1_locks_name", "delete_v1_locks_name", "get_v1_admin_stream")
LAST = ("delete_v1_admin_tokens_token_id", "delete_v1_admin_users_user_id_mfa")
#: A refusal of a wrong request may be any of these, and a right one may find the world not as it should be.
SETTINGS = """
[checks.negative_data_rejection]
expected-statuses = [400, 401, 403, 404, 405, 409, 412, 413, 415, 422, 429]

[checks.positive_data_acceptance]
expected-statuses = ["2xx", 401, 403, 404, 409, 429]
"""


def copy_of(document: Any) -> Any:
    for path, methods in document["paths"].items():
        for operation in methods.values():
            operation["parameters"] = [
                each
                for each in operation["parameters"]
                if each["in"] != "header"
                and each["name"] not in NOT_GUESSED
                and not (each["name"] == "policy" and "audit-logs" in path)
            ]
    return document


@pytest.mark.parametrize(("last", "examples"), [(False, 8), (True, 25)], ids=["everything", "what ends a token"])
def test_schemathesis_finds_nothing(tmp_path: Path, last: bool, examples: int) -> None:
    with reference_server(neosc_crud=True, db=str(tmp_path / "server.db")) as server:
        document = httpx.get(f"{server.url}/openapi.json", trust_env=False).json()
        (tmp_path / "openapi.json").write_text(json.dumps(copy_of(document)))
        (tmp_path / "schemathesis.toml").write_text(SETTINGS)

        only = [word for name in LAST for word in ("--include-operation-id", name)]
        without = [word for name in (*WITHOUT, *LAST) for word in ("--exclude-operation-id", name)]

        done = subprocess.run(
            [
                *(str(Path(sys.executable).with_name("schemathesis")), "run", "openapi.json", "--url", server.url),
                *("-H", f"Authorization: Bearer {server.token}", "--checks", "all", "--continue-on-failure"),
                *("--max-examples", str(examples), "--seed", "8800", "--request-timeout", "30", "--no-shrink"),
                *("--generation-allow-x00", "false", "--generation-database", "none", "--no-color"),
                *(only if last else without),
            ],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=500,
        )

        still_known = last or httpx.get(
            f"{server.neosc_url}/policies", headers={"Authorization": f"Bearer {server.token}"}, trust_env=False
        )
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-2000:]
    assert last or still_known.status_code == 200  # otherwise most of it was answered 401, and proves nothing
