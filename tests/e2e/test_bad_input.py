"""Bad input gives one located error and exit 1: no traceback, no request, JSON where JSON was promised."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.support.program import Program, config_text, neosc_policy, neosc_target, opena2a_policy, program_in
from tests.support.repos import make_repo

POLICY = "policies/neosc/mfa.yaml"


@dataclass
class Silent:
    """A listener that only notes whether anybody connected."""

    port: int
    connections: list[object] = field(default_factory=list)


@pytest.fixture
def silent() -> Iterator[Silent]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        seen = Silent(listener.getsockname()[1])
        listener.settimeout(0.1)
        over = threading.Event()

        def watch() -> None:
            while not over.is_set():
                try:
                    connection, address = listener.accept()
                except TimeoutError:
                    continue
                seen.connections.append(address)
                connection.close()

        thread = threading.Thread(target=watch)
        thread.start()
        yield seen
        over.set()
        thread.join()


def make(tmp_path: Path, silent: Silent, files: dict[str, str | bytes], **target: object) -> Program:
    config = config_text(neosc=neosc_target(f"http://127.0.0.1:{silent.port}/api", **target))
    return program_in(make_repo(tmp_path, {"reconciler.yaml": config, POLICY: neosc_policy(), **files}, remote=False))


BAD_FILES: dict[str, tuple[str | bytes, str, str]] = {
    "duplicate key": ("id: pol-a\nname: A\nid: pol-b\n", "duplicate-key", ":3:1"),
    "alias bomb": ("a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n", "yaml-", ":1:4"),
    "merge bomb": ("a: &a {x: 1}\nb:\n  <<: [*a, *a]\n", "yaml-", ":1:4"),
    "nested brackets": ("[" * 200_000, "yaml-depth", ":1:"),
    "nested dashes": ("- " * 50_000, "yaml-depth", ":1:"),
    "not a number": ("id: pol-a\nname: .nan\n", "yaml-number", ":2:7"),
    "infinity": ("id: pol-a\nname: -.inf\n", "yaml-number", ":2:7"),
    "a 1.1 boolean": (neosc_policy("pol-b").replace("true", "no"), "yaml-1.1", ":9:14"),
    "wrong type": (neosc_policy("pol-b", enabled="true"), "wrong-type", ":9:"),
    "unknown key": (neosc_policy("pol-b", enabeld=True), "unknown-key", ":"),
    "two files, one key": (neosc_policy(), "duplicate-policy", ":"),
    "keys that differ in case": (neosc_policy("POL-mfa-required"), "duplicate-policy", ":"),
    "a tag": ("id: !!python/object/apply:os.system [id]\n", "yaml-tag", ":1:5"),
    "not UTF-8": (b"id: pol-\xff\n", "yaml-encoding", ":1:"),
    "a hidden direction mark": ("id: pol-a\nname: \u202eevil\n", "yaml-invisible", ":2:"),
    "a syntax error": ("id: [pol-a\nname: A\n", "yaml-", ":"),
    "over 1 MiB": ("# " + "x" * (1 << 20) + "\n", "file-too-large", ""),
    "a list": ("- id: pol-a\n", "yaml-shape", ":1:1"),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_a_bad_file_is_one_located_error(tmp_path: Path, silent: Silent, name: str) -> None:
    content, code, place = BAD_FILES[name]
    program = make(tmp_path, silent, {"policies/neosc/zz-bad.yaml": content})

    shown = program.run("validate")
    parsed = [program.run(*command, "--json") for command in (("validate",), ("apply", "--yes"))]

    assert [ended.code for ended in (shown, *parsed)] == [1, 1, 1]
    assert f"policies/neosc/zz-bad.yaml{place}" in shown.out
    for ended in parsed:
        value = ended.json()
        assert value["format"] == "reconciler.problems/1"
        problems = [problem for problem in value["problems"] if problem["path"] == "policies/neosc/zz-bad.yaml"]
        assert problems
        assert problems[0]["code"].startswith(code)
        assert problems[0]["fix"]
    assert silent.connections == []


def test_a_link_that_leaves_the_folder_is_an_error_on_disk_and_in_a_commit(tmp_path: Path, silent: Silent) -> None:
    program = make(tmp_path, silent, {})
    (program.folder / "policies/neosc/outside.yaml").symlink_to("/etc/hostname")

    on_disk = program.run("validate", "--json")
    repo_git(program, "add", "--all")
    repo_git(program, "commit", "-qm", "Add a link")
    committed = program.run("plan", "--commit", "HEAD", "--json")
    applied = program.run("apply", "--yes", "--json")

    for ended in (on_disk, committed, applied):
        assert ended.code == 1
        assert [(p["code"], p["path"]) for p in ended.json()["problems"]] == [
            ("symlink", "policies/neosc/outside.yaml")
        ]
    assert silent.connections == []


def test_without_a_config_or_a_token_nothing_is_sent(tmp_path: Path, silent: Silent) -> None:
    program = make(tmp_path, silent, {})

    no_token = program.run("plan", "--json", env={"RECONCILER_TOKEN": None})
    (program.folder / "reconciler.yaml").unlink()
    no_config = program.run("plan", "--json")
    no_folder = program.run("-C", "nowhere", "plan", "--json")

    assert [ended.code for ended in (no_token, no_config, no_folder)] == [1, 1, 1]
    assert [ended.json()["error"]["code"] for ended in (no_token, no_config)] == ["missing-token", "missing-config"]
    assert "RECONCILER_TOKEN" in no_token.json()["error"]["fix"]
    assert silent.connections == []


@pytest.mark.parametrize(
    "url",
    [
        "http://192.0.2.1/api",
        "http://127.0.0.1@192.0.2.1/api",
        "http://0x7f000001/api",
        "http://localhost./api",
        "http://policies.example.com/api",
        "ftp://127.0.0.1/api",
    ],
)
def test_a_token_never_goes_over_plain_http_to_another_host(tmp_path: Path, url: str) -> None:
    config = config_text(neosc=neosc_target(url))
    program = program_in(make_repo(tmp_path, {"reconciler.yaml": config, POLICY: neosc_policy()}, remote=False))

    ended = program.run("plan", "--json")

    assert ended.code == 1
    assert "error" in ended.json() or "problems" in ended.json()


def test_a_url_outside_the_allowed_hosts_is_refused(tmp_path: Path, silent: Silent) -> None:
    program = make(tmp_path, silent, {})

    refused = program.run("plan", "--json", env={"RECONCILER_ALLOWED_HOSTS": "policies.example.com"})
    other_port = program.run("plan", "--json", env={"RECONCILER_ALLOWED_HOSTS": "127.0.0.1"})

    assert (refused.code, other_port.code) == (1, 1)
    assert silent.connections == []


def test_a_repository_without_a_commit_is_an_error(tmp_path: Path) -> None:
    repo = make_repo(tmp_path, None, remote=False)
    repo.write({"reconciler.yaml": config_text(neosc=neosc_target("http://127.0.0.1:9/api")), POLICY: neosc_policy()})
    program = program_in(repo)

    assert program.run("validate").code == 0
    assert program.run("plan", "--json").code == 1
    assert program.run("apply", "--yes", "--json").code == 1


def test_two_targets_with_one_bad_policy_name_it_once(tmp_path: Path) -> None:
    from tests.support.program import opena2a_target

    url = "http://127.0.0.1:9/v1"
    config = config_text(one=opena2a_target(url), two=opena2a_target(url))
    files = {"reconciler.yaml": config, "policies/opena2a/a.yaml": opena2a_policy(severity="medum")}
    program = program_in(make_repo(tmp_path, files, remote=False))

    ended = program.run("validate")

    assert ended.code == 1
    assert ended.out.count("-->") == 1
    assert 'did you mean "medium"' in ended.out


def repo_git(program: Program, *arguments: str) -> None:
    import subprocess

    subprocess.run(["git", *arguments], cwd=program.folder, env=dict(program.env), check=True, capture_output=True)
