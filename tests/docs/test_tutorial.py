"""Tutorial and adopting, command by command, as newcomers type them: in an empty folder, on the reference server."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.checkout import ROOT

TUTORIAL = ROOT / "docs" / "tutorial.md"
ADOPT = ROOT / "docs" / "how-to" / "adopt.md"

#: Somebody's live system: the server runs, and holds a policy that was made by hand.
LIVE = """\
export RECONCILER_TOKEN=0123456789abcdef0123456789abcdef
RECONCILER_SERVER_TOKEN=$RECONCILER_TOKEN reconciler serve --port 8800 >server.log 2>&1 &
curl --silent --retry 20 --retry-delay 1 --retry-connrefused --output reply.json \\
  --header "Authorization: Bearer $RECONCILER_TOKEN" --header "Content-Type: application/json" \\
  --data '{"name": "Made by hand", "policy_type": "rate_limit", "conditions": {"max_requests_per_hour": 100}}' \\
  http://127.0.0.1:8800/v1/admin/security-policies
"""

#: However the script ends, what it started in the background ends, too.
STOP_SERVER = "trap 'kill $(jobs -p) 2>/dev/null || true' EXIT"

_FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_ENDS_WITH = re.compile(r"^(?P<command>.+?)\s+# ends with (?P<code>\d+)$")
#: What differs from run to run, and what stands for it.
_MOVING = (
    (re.compile(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(\.\d+)?Z"), "TIME"),
    (re.compile(r"\d\d:\d\d:\d\d(\.\d+)?Z"), "TIME"),
    (re.compile(r"policy_[0-9a-f]+"), "ID"),
    (re.compile(r"log-[0-9a-f]+"), "ENTRY"),
    (re.compile(r"\b[0-9a-f]{7,64}\b"), "HASH"),
    (re.compile(r"/\S+/my-policies/"), "HERE/"),
    (re.compile(r"^ok python .*"), "ok python"),
    (re.compile(r"127\.0\.0\.1:\d+"), "HOST"),
    (re.compile(r"\d{4}-\d\d-\d\d"), "DAY"),
)


@dataclass(frozen=True)
class Step:
    """A block of commands, and the lines it is said to print (`...` stands for any others)."""

    commands: str
    says: tuple[str, ...]


def read_steps(text: str) -> Iterator[Step]:
    """Every `sh` block with the `text` block behind it, if there is one. Other blocks are to be read only."""
    blocks = _FENCE.findall(text)
    for (kind, body), (next_kind, next_body) in zip(blocks, [*blocks[1:], ("", "")], strict=True):
        if kind == "sh":
            yield Step(body, tuple(next_body.splitlines()) if next_kind == "text" else ())


def script_of(steps: list[Step], port: int) -> str:
    """One bash script: it stops at the first command that ends other than said, and marks where each block ends."""
    lines = ["set -eu", STOP_SERVER]
    for step in steps:
        for line in step.commands.replace("8800", str(port)).splitlines():
            expected = _ENDS_WITH.match(line)
            if expected:
                lines += [f"code=0; {expected['command']} || code=$?", f"[ $code = {expected['code']} ]"]
            else:
                lines.append(line)
        lines.append("echo END-OF-BLOCK")
    return "\n".join(lines) + "\n"


def still(line: str) -> str:
    """A line without what moves, and with single blanks."""
    line = " ".join(line.split())
    for pattern, word in _MOVING:
        line = pattern.sub(word, line)
    return line


def missing(said: tuple[str, ...], printed: str) -> list[str]:
    """Lines that were said and not printed, in this order."""
    rest = iter([still(line) for line in printed.splitlines()])
    return [line for line in said if line.strip() not in ("", "...") and still(line) not in rest]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A newcomer's home: git knows who they are, `reconciler` is on the path, nothing else is set."""
    bin_folder = tmp_path / "bin"
    bin_folder.mkdir()
    program = bin_folder / "reconciler"
    program.write_text(
        # `init` writes the port of `serve`; here another one is free.
        f'#!/bin/sh\n[ "$1" = init ] || exec "{sys.executable}" -P -m reconciler "$@"\n'
        f'"{sys.executable}" -P -m reconciler "$@" && sed -i "s/:8800/:$TUTORIAL_PORT/" "$2/reconciler.yaml"\n'
    )
    program.chmod(0o755)
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / ".gitconfig").write_text("[user]\n  name = Ada\n  email = ada@example.invalid\n")
    return tmp_path


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
    return port


def is_free(port: int, patience: float = 20.0) -> bool:
    """Whether nobody listens on *port*, now or soon."""
    end = time.monotonic() + patience
    while time.monotonic() < end:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            return True
        time.sleep(0.1)
    return False


@pytest.mark.skipif(shutil.which("curl") is None, reason="the pages talk to the server with curl")
@pytest.mark.parametrize(("page", "before"), [(TUTORIAL, ""), (ADOPT, LIVE)], ids=["tutorial", "adopt"])
def test_a_page_works_as_it_is_written(page: Path, before: str, home: Path) -> None:
    steps = [Step(before, ()), *read_steps(page.read_text(encoding="utf-8"))]
    port = free_port()
    environ = {
        "HOME": str(home / "home"),
        "PATH": f"{home / 'bin'}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "LANG": "C.UTF-8",
        "TUTORIAL_PORT": str(port),
    }
    folder = home / "work"
    folder.mkdir()

    done = subprocess.run(
        ["bash", "-c", script_of(steps, port)],
        cwd=folder,
        env=environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
        check=False,
    )

    printed = done.stdout.split("END-OF-BLOCK\n")
    assert done.returncode == 0, f"block {len(printed)} of {len(steps)} stopped\n{done.stdout[-4000:]}"
    assert len(steps) > 4
    assert is_free(port), "the server goes on"
    for step, text in zip(steps, printed, strict=False):
        assert missing(step.says, text) == [], f"{step.commands}\nprinted\n{text}"


def test_a_line_that_is_not_printed_is_found() -> None:
    assert missing(("a  1", "...", "c 0123abc"), "a 1\nb\nc 7654321\n") == []
    assert missing(("a", "b"), "b\na\n") == ["b"]
    assert missing(("c 0123abc",), "c 12\n") == ["c 0123abc"]


def test_the_steps_are_the_blocks_that_are_run() -> None:
    text = "```sh\nx    # ends with 3\n```\n\n```text\nout\n```\n\n```yaml\na: 1\n```\n\n```sh\ny 8800\n```\n"

    steps = list(read_steps(text))

    assert steps == [Step("x    # ends with 3\n", ("out",)), Step("y 8800\n", ())]
    assert script_of(steps, 9).splitlines() == [
        "set -eu",
        STOP_SERVER,
        "code=0; x || code=$?",
        "[ $code = 3 ]",
        "echo END-OF-BLOCK",
        "y 9",
        "echo END-OF-BLOCK",
    ]
