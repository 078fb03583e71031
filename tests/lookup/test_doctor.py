"""`doctor`: every part of a run looked at by itself, with the way out, and nothing changed."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from tests.conftest import Golden
from tests.support import program as support
from tests.support.program import (
    TOKEN,
    Ended,
    Program,
    config_text,
    neosc_defaults,
    neosc_policy,
    neosc_target,
)
from tests.support.repos import Repo, clone, make_repo
from tests.support.servers import RunningServer, reference_server

GOLDEN = Path(__file__).with_name("golden")
NOWHERE = "http://127.0.0.1:9/api"
#: No connection is tried for lack of a token: the checks of the repository are the same, and fast.
NO_TOKEN: dict[str, str | None] = {"RECONCILER_TOKEN": None}


@pytest.fixture
def server() -> Iterator[RunningServer]:
    with reference_server() as running:
        yield running


def program_in(repo: Repo, *, token: str = TOKEN) -> Program:
    """Many of these repositories name an API that is not there, and nobody wants to wait for it."""
    return support.program_in(repo, token=token, hasty=True)


def repo_for(tmp_path: Path, url: str, *, remote: bool = True, **more: Any) -> Repo:
    config = config_text(neosc=neosc_target(url, **more))
    return make_repo(tmp_path, {"reconciler.yaml": config, **neosc_defaults()}, remote=remote)


def checks(ended: Ended) -> dict[str, dict[str, Any]]:
    return {check["name"]: check for check in ended.json()["checks"]}


def look(program: Program, **env: str | None) -> dict[str, dict[str, Any]]:
    """Return the checks of a repository whose API is not asked."""
    return checks(program.run("doctor", "--json", env={**NO_TOKEN, **env}))


@contextmanager
def stub(headers: Mapping[str, str], *, trail: int = 404) -> Iterator[str]:
    """A NeoSC-like server with one policy, these headers on its list, and this status for its trail."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            is_list = self.path.endswith("/policies")
            body = json.dumps([json.loads(neosc_policy()) | {"created_at": "2026-01-01T00:00:00Z"}] if is_list else [])
            self.send_response_only(200 if is_list else trail)
            for name, value in {"Content-Type": "application/json", **(headers if is_list else {})}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, format: str, *args: object) -> None:
            pass

    running = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=running.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{running.server_port}/api"
    finally:
        running.shutdown()
        running.server_close()
        thread.join()


# -------------------------------------------------------------------------------------------- all is well


def test_with_everything_in_place_it_ends_with_0(tmp_path: Path, server: RunningServer, golden: Golden) -> None:
    repo = repo_for(tmp_path, server.neosc_url, prune="never")
    program = program_in(repo, token=server.token)

    ended = program.ok("doctor")

    text = ended.out.replace(str(repo.path), "/repo").replace(server.url, "http://127.0.0.1:8800")
    text = re.sub(r"^(ok    python       ).*", r"\g<1>3.11.2, reconciler 0.1.0", text, flags=re.MULTILINE)
    text = re.sub(r"^(ok    git          ).*", r"\g<1>2.39.5", text, flags=re.MULTILINE)
    text = text.replace(repo.git("rev-parse", "HEAD")[:7], "1234567")
    above, _, settings = text.partition("\n\nSetting")  # its columns are as wide as the port
    golden(GOLDEN / "doctor.txt", f"{above}\n\nSetting" + re.sub(r"(?<=\S) {2,}", "  ", settings))
    assert ended.err == ""


def test_it_changes_nothing_and_only_reads(tmp_path: Path, server: RunningServer) -> None:
    repo = repo_for(tmp_path, server.neosc_url)
    program = program_in(repo, token=server.token)
    program.ok("apply", "--yes")
    before = (repo.git("for-each-ref"), repo.remote_refs(), repo.git("status", "--short"))
    server.request_log.clear()

    program.ok("doctor")

    assert (repo.git("for-each-ref"), repo.remote_refs(), repo.git("status", "--short")) == before
    assert server.request_log
    assert server.mutations == []


def test_after_an_apply_it_says_what_is_owned(tmp_path: Path, server: RunningServer) -> None:
    repo = repo_for(tmp_path, server.neosc_url)
    program = program_in(repo, token=server.token)
    program.ok("apply", "--yes")

    found = checks(program.ok("doctor", "--json"))

    sha = repo.git("rev-parse", "HEAD")
    assert found["ledger"]["detail"] == f"3 policies owned, {sha[:7]} applied last"
    assert found["lock"]["detail"] == "free"
    assert found["list"]["detail"] == "3 policies, proven to be all"


# ------------------------------------------------------------------------------------------- tools, repository


def test_outside_of_a_policies_repository_it_says_so(tmp_path: Path) -> None:
    program = program_in(make_repo(tmp_path, {"README.md": "x\n"}))

    ended = program.run("doctor", "--json")

    assert ended.code == 1
    assert checks(ended)["config"]["state"] == "fail"
    assert "no reconciler.yaml" in checks(ended)["config"]["detail"]


def test_a_config_that_is_wrong_is_one_failed_check(tmp_path: Path) -> None:
    program = program_in(make_repo(tmp_path, {"reconciler.yaml": "version: 2\ntargets: {}\n"}))

    ended = program.run("doctor")

    assert ended.code == 1
    assert "\nFAIL  config       reconciler.yaml:1:10: " in ended.out


def test_an_unknown_target_names_the_nearest(tmp_path: Path) -> None:
    ended = program_in(repo_for(tmp_path, NOWHERE)).run("doctor", "--target", "neosk")

    assert ended.code == 1
    assert 'did you mean "neosc"?' in ended.out


def test_without_git_the_rest_is_still_looked_at(tmp_path: Path) -> None:
    program = program_in(repo_for(tmp_path, NOWHERE))
    empty = tmp_path / "bin"
    empty.mkdir()

    found = look(program, PATH=str(empty))

    assert found["git"]["state"] == "fail"
    assert found["git"]["fix"] == "install git and put it on PATH"
    assert found["ledger"]["state"] == "skip"
    assert found["prune"]["state"] == "ok"


def test_a_repository_without_a_commit_is_named(tmp_path: Path) -> None:
    repo = make_repo(tmp_path)
    repo.write({"reconciler.yaml": config_text(neosc=neosc_target(NOWHERE)), **neosc_defaults()})

    assert look(program_in(repo))["history"]["detail"].endswith("the repository has no commit yet")


def test_a_shallow_clone_is_named_with_the_way_out(tmp_path: Path) -> None:
    repo = repo_for(tmp_path, NOWHERE)
    repo.commit({"README.md": "more\n"})
    repo.push()
    shallow = clone(repo, tmp_path / "shallow", "--depth=1")

    history = look(program_in(shallow))["history"]

    assert history["state"] == "warn"
    assert history["fix"] == "git fetch --unshallow; in CI: fetch-depth: 0"


def test_no_remote_is_a_warning_and_one_that_does_not_answer_is_to_be_tried_again(tmp_path: Path) -> None:
    alone = program_in(repo_for(tmp_path / "alone", NOWHERE, remote=False))
    cut = repo_for(tmp_path / "cut", NOWHERE)
    assert cut.remote is not None
    shutil.rmtree(cut.remote)

    assert look(alone)["remote"]["state"] == "warn"
    found = look(program_in(cut))
    assert found["remote"]["state"] == "wait"
    assert (found["ledger"]["state"], found["lock"]["state"]) == ("skip", "skip")


def test_bad_files_are_counted_and_validate_is_named(tmp_path: Path) -> None:
    repo = repo_for(tmp_path, NOWHERE)
    repo.write({"policies/neosc/bad.yaml": "id: pol-bad\nenabled: on\n"})

    files = look(program_in(repo))["files"]

    assert (files["state"], files["detail"], files["fix"]) == ("fail", "1 error in them", "reconciler validate")


def test_schema_copies_of_another_version_are_named(tmp_path: Path) -> None:
    program = program_in(repo_for(tmp_path, NOWHERE))
    program.ok("schema", "install")
    copy = program.folder / "schemas/overrides.schema.json"
    copy.write_text(copy.read_text().replace(":tool:0.1.0", ":tool:0.0.1"))

    schemas = look(program)["schemas"]

    assert schemas["detail"] == "schemas/overrides.schema.json is older"
    assert schemas["fix"] == "reconciler schema install"


def test_what_init_could_not_know_is_remembered(tmp_path: Path) -> None:
    program = program_in(make_repo(tmp_path, {"x": "x\n"}))
    program.ok("init")

    found = look(program)

    assert found["ci"]["state"] == "warn"
    assert ".github/CODEOWNERS" in found["ci"]["detail"]


# ------------------------------------------------------------------------------------------- token, host, API


def test_a_missing_token_fails_and_the_fix_names_the_variable(tmp_path: Path) -> None:
    ended = program_in(repo_for(tmp_path, NOWHERE)).run("doctor", "--json", env=NO_TOKEN)

    assert ended.code == 1
    assert "RECONCILER_TOKEN_NEOSC" in checks(ended)["token"]["fix"]
    assert checks(ended)["api"]["state"] == "skip"


def test_the_source_of_a_token_is_told_and_a_file_others_may_read_is_a_warning(
    tmp_path: Path, server: RunningServer
) -> None:
    program = program_in(repo_for(tmp_path, server.neosc_url), token=server.token)
    file = tmp_path / "token"
    file.write_text(server.token)
    file.chmod(0o644)
    env = {"RECONCILER_TOKEN": None, "RECONCILER_TOKEN_NEOSC_FILE": str(file)}

    open_to_all = checks(program.ok("doctor", "--json", env=env))["token"]
    file.chmod(0o600)
    kept = checks(program.ok("doctor", "--json", env=env))["token"]

    assert (open_to_all["state"], open_to_all["fix"]) == ("warn", f"chmod 600 {file}")
    assert (kept["state"], kept["detail"]) == ("ok", "present, from RECONCILER_TOKEN_NEOSC_FILE")


def test_a_token_that_is_not_taken_fails_the_api(tmp_path: Path, server: RunningServer) -> None:
    ended = program_in(repo_for(tmp_path, server.neosc_url)).run("doctor", "--json")

    assert ended.code == 1
    assert "does not take the token" in checks(ended)["api"]["detail"]


def test_an_api_that_does_not_answer_is_to_be_tried_again(tmp_path: Path) -> None:
    ended = program_in(repo_for(tmp_path, NOWHERE)).run("doctor", "--json")

    assert ended.code == 75
    assert checks(ended)["api"]["state"] == "wait"


def test_a_host_that_is_not_allowed_fails_and_gets_no_request(tmp_path: Path, server: RunningServer) -> None:
    program = program_in(repo_for(tmp_path, server.neosc_url), token=server.token)

    ended = program.run("doctor", "--json", env={"RECONCILER_ALLOWED_HOSTS": "neosc.example.com"})

    assert ended.code == 1
    assert checks(ended)["host"]["state"] == "fail"
    assert checks(ended)["api"]["state"] == "skip"
    assert server.request_log == []


def test_in_ci_hosts_that_nobody_limited_are_a_warning(tmp_path: Path) -> None:
    program = program_in(repo_for(tmp_path, NOWHERE))

    assert look(program)["host"]["state"] == "ok"
    assert look(program, CI="true")["host"]["fix"] == "set it to 127.0.0.1:9 where the workflow starts"
    assert look(program, CI="true", RECONCILER_ALLOWED_HOSTS="127.0.0.1:9")["host"]["state"] == "ok"


@pytest.mark.parametrize(
    ("minutes", "state", "words"), [(0, "ok", "within"), (60, "warn", "behind"), (-60, "warn", "ahead of")]
)
def test_a_clock_that_is_off_is_a_warning(tmp_path: Path, minutes: int, state: str, words: str) -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(minutes=minutes), usegmt=True)
    with stub({"Date": date}) as url:
        clock = checks(program_in(repo_for(tmp_path, url)).ok("doctor", "--json"))["clock"]

    assert clock["state"] == state
    assert words in clock["detail"]


def test_a_server_without_a_date_a_short_list_and_no_trail_are_told(tmp_path: Path) -> None:
    with stub({"X-Total-Count": "5"}) as url:
        ended = program_in(repo_for(tmp_path, url)).ok("doctor", "--json")

    found = checks(ended)
    assert found["clock"]["state"] == "skip"
    assert found["list"]["state"] == "warn"
    assert found["list"]["detail"].startswith("1 policy, maybe not all")
    assert found["trail"]["state"] == "warn"


def test_what_an_api_can_do_is_told_without_probing(tmp_path: Path) -> None:
    plain = look(program_in(repo_for(tmp_path / "a", NOWHERE)))["can"]["detail"]
    crud = look(program_in(repo_for(tmp_path / "b", NOWHERE, crud=True)))["can"]["detail"]

    assert plain.startswith("toggle (a flip: read before and after); no create or update or delete")
    assert crud == "create, update, delete, toggle (a flip: read before and after)"


# ---------------------------------------------------------------------------------------------- ledger, lock


def test_a_ledger_that_was_not_pushed_is_a_warning(tmp_path: Path, server: RunningServer) -> None:
    repo = repo_for(tmp_path, server.neosc_url)
    program = program_in(repo, token=server.token)
    program.ok("apply", "--yes")
    assert repo.remote is not None
    repo.git("update-ref", "-d", "refs/reconciler/ledger/neosc", cwd=repo.remote)

    ledger = checks(program.ok("doctor", "--json"))["ledger"]

    assert (ledger["state"], ledger["fix"]) == ("warn", "the next apply pushes it")


@pytest.mark.parametrize(("minutes", "state"), [(-1, "ok"), (-600, "warn")])
def test_a_lock_names_its_holder(tmp_path: Path, minutes: int, state: str) -> None:
    repo = repo_for(tmp_path, NOWHERE)
    acquired = (datetime.now(UTC) + timedelta(minutes=minutes)).isoformat()
    message = json.dumps({"holder": "alice@laptop\x1b[2J", "acquired": acquired, "ttl": 600, "nonce": "a" * 32})
    tree = repo.git("mktree", given=b"")
    sha = repo.git("commit-tree", tree, given=message.encode())
    repo.push(f"{sha}:refs/reconciler/lock/neosc")

    lock = look(program_in(repo))["lock"]

    assert lock["state"] == state
    assert lock["detail"].startswith("held by alice@laptop?[2J since ")
    assert (f"--nonce {'a' * 32}" in (lock["fix"] or "")) == (state == "warn")


def test_a_lock_that_cannot_be_read_fails(tmp_path: Path) -> None:
    repo = repo_for(tmp_path, NOWHERE)
    sha = repo.git("commit-tree", repo.git("mktree", given=b""), given=b"nonsense")
    repo.push(f"{sha}:refs/reconciler/lock/neosc")

    assert look(program_in(repo))["lock"]["state"] == "fail"


# ------------------------------------------------------------------------------------------------- settings


def test_every_setting_says_where_it_came_from(tmp_path: Path) -> None:
    repo = repo_for(tmp_path, NOWHERE, max_deletes=3)
    line = (repo.path / "reconciler.yaml").read_text().splitlines().index('      "max_deletes": 3') + 1
    env = {**NO_TOKEN, "RECONCILER_PROXY": "http://user:hunter2pass@proxy.example.com:3128"}

    ended = program_in(repo).run("doctor", "--json", env=env)

    settings = {(each["target"], each["name"]): (each["value"], each["source"]) for each in ended.json()["settings"]}
    assert settings["neosc", "max_deletes"] == ("3", f"reconciler.yaml:{line}")
    assert settings["neosc", "prune"] == ("owned", "default")
    assert settings["neosc", "max_changes_percent"] == ("none", "default")
    assert settings[None, "proxy"] == ("http://***@proxy.example.com:3128", "RECONCILER_PROXY")
    assert settings[None, "allowed_hosts"] == ("any", "default")
    assert "hunter2pass" not in ended.out + ended.err


def test_the_users_own_file_is_a_source_and_a_wrong_one_a_failed_check(tmp_path: Path) -> None:
    repo = repo_for(tmp_path, NOWHERE)
    home = tmp_path / "config" / "reconciler"
    home.mkdir(parents=True)
    file = home / "config.yaml"
    file.write_text("ca_file: /etc/ssl/company.pem\n")
    env = {**NO_TOKEN, "XDG_CONFIG_HOME": str(tmp_path / "config")}

    good = program_in(repo).run("doctor", "--json", env=env).json()["settings"]
    file.write_text("ca_fiel: x\n")
    bad = program_in(repo).run("doctor", "--json", env=env)

    assert {"target": None, "name": "ca_file", "value": "/etc/ssl/company.pem", "source": str(file)} in good
    assert checks(bad)["user file"]["state"] == "fail"
    assert bad.code == 1


def test_no_output_ever_has_the_token(tmp_path: Path, server: RunningServer) -> None:
    """`Program` looks for the token in every output; here once more with colour and as JSON."""
    program = program_in(repo_for(tmp_path, server.neosc_url), token=server.token)
    env: dict[str, str | None] = {"NO_COLOR": None, "FORCE_COLOR": "1"}

    colored = program.ok("doctor", env=env)
    plain = program.ok("doctor")

    assert re.sub(r"\x1b\[[0-9;]*m", "", colored.out) == plain.out
    assert colored.out != plain.out
    assert TOKEN not in colored.out
    assert os.environ.get("RECONCILER_TOKEN") is None
