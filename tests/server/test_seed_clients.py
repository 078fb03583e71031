"""The vendors' own client programs, taken from their documents, run against the server and get the documented answers.

Nothing of them is changed but what the web copy broke and what names a place: white space (a program's text with and
without repair is the same once all white space is gone), whatever runs on behind a closing quote of a command, host,
token, ids. The documents lie beside the checkout; without them these tests are skipped.
"""

from __future__ import annotations

import difflib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.servers import RunningServer, reference_server

HERE = Path(__file__).parent / "seed_clients"
SEEDS = Path(__file__).parents[3] / "shared" / "seeds"
NEOSC, OVERVIEW, OPENA2A = "neosc-policies-api.txt", "neosc-security-policies.txt", "opena2a-security-policies.txt"
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3})?Z")

pytestmark = pytest.mark.skipif(not SEEDS.is_dir(), reason="needs the vendors' documents beside the checkout")
needs_curl = pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")


@pytest.fixture
def server() -> Iterator[RunningServer]:
    with reference_server() as running:
        yield running


def seed(name: str) -> str:
    return (SEEDS / name).read_text(encoding="utf-8")


# ------------------------------------------------------------------------------------------------ Python programs


def squeeze(text: str) -> str:
    return re.sub(r"\s+", "", text)


def take_program(start: str, end: str) -> str:
    """The program between two headings of NeoSC's document, as the web copy left it."""
    return seed(NEOSC).split(f"\n{start}\n", 1)[1].split(f"\n{end}\n", 1)[0]


def run_program(name: str, server: RunningServer) -> str:
    text = (HERE / name).read_text(encoding="utf-8")
    text = text.replace("https://your-domain.com", server.url).replace("your-token-here", server.token)
    done = subprocess.run(
        [sys.executable, "-"],
        input=text,
        capture_output=True,
        text=True,
        env={**os.environ, "NO_PROXY": "*", "PYTHONIOENCODING": "utf-8"},
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.mark.parametrize(
    ("name", "start", "end"),
    [
        ("policy_manager.txt", "Example: Policy Management Dashboard", "Example: Audit Policy Changes"),
        ("audit_changes.txt", "Example: Audit Policy Changes", "Security Best Practices"),
    ],
)
def test_a_repaired_program_differs_from_the_documents_in_white_space_only(name: str, start: str, end: str) -> None:
    copied, repaired = take_program(start, end), (HERE / name).read_text(encoding="utf-8")

    assert squeeze(repaired) == squeeze(copied)
    changed = [line for line in difflib.ndiff(copied.splitlines(), repaired.splitlines()) if line[0] in "+-"]
    assert changed  # the copy is broken indeed: it does not run as it is
    with pytest.raises(SyntaxError):
        compile(copied, name, "exec")


def test_the_policy_manager_lists_filters_and_toggles(server: RunningServer) -> None:
    printed = run_program("policy_manager.txt", server)

    assert printed == (
        "\n=== Security Policies ===\n"
        "\n✓ ENABLED - MFA Required\n  Type: ACCESS\n"
        "  Description: Enforce multi-factor authentication for all users\n"
        "  Rules:\n    - Require MFA for login\n    - WebAuthn preferred\n    - TOTP as fallback\n"
        "\n✓ ENABLED - Zero Trust Network\n  Type: NETWORK\n"
        "  Description: All connections through encrypted NetBird tunnels\n"
        "  Rules:\n    - No direct connections\n    - WireGuard encryption\n    - Identity verification\n"
        "\n✓ ENABLED - Session Recording\n  Type: SESSION\n"
        "  Description: Record all workspace sessions for audit\n"
        "  Rules:\n    - Record screen activity\n    - Log keystrokes for audit\n    - 30-day retention\n"
        "\nAccess policies: 1\n"
        "\nPolicy disabled\n"
    )


def test_the_audit_example_prints_what_was_toggled(server: RunningServer) -> None:
    run_program("policy_manager.txt", server)

    printed = run_program("audit_changes.txt", server).splitlines()

    assert printed[:2] == ["", "=== Policy Change History ==="]
    assert TIME.fullmatch(printed[3])
    assert printed[4:] == [
        "  User: gitops@example.com",
        "  Resource: policy:pol-mfa-required",
        "  Action: Policy disabled",
        "  Success: True",
    ]


# ------------------------------------------------------------------------------------------------ curl commands


@dataclass(frozen=True)
class Command:
    """One command of a document, letter by letter, and the reply shown behind it; None where there is none."""

    text: str
    shown: Any


def take_commands(document: str) -> list[Command]:
    """Every command of a document. It ends with its line, or where text runs on behind its last closing quote."""
    found = []
    for match in re.finditer(r"^curl ", document, re.MULTILINE):
        end, quote = match.start(), ""
        while end < len(document):
            letter = document[end]
            if letter == "\\" and not quote:
                end += 1  # the line goes on
            elif quote and letter == quote:
                quote = ""
                if document[end + 1] not in " \\\n":
                    end += 1
                    break
            elif not quote and letter in "\"'":
                quote = letter
            elif not quote and letter == "\n":
                break
            end += 1
        found.append(Command(document[match.start() : end], reply_at(document[end:])))
    return found


def reply_at(text: str) -> Any:
    """The JSON that begins here, at once or below the word `Response`."""
    text = re.sub(r"\A\s*(Response( Example)?\n)?", "", text)
    if not text.startswith(("{", "[")):
        return None
    return json.JSONDecoder().raw_decode(text)[0]


def run_command(command: Command, server: RunningServer, ids: dict[str, str], tmp_path: Path) -> Any:
    """Run it in a shell with nothing replaced but host, token and ids, and return the JSON it prints."""
    text = re.sub(r"https://[a-z0-9.-]+", server.url, command.text)
    text = text.replace("YOUR_TOKEN", server.token).replace("your-token-here", server.token)
    for shown, real in ids.items():
        text = text.replace(shown, real)
    clean = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "NO_PROXY": "*"}
    done = subprocess.run(["sh", "-c", text], capture_output=True, text=True, env=clean, timeout=60)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def as_shown(value: Any, shown: Any, ids: dict[str, str]) -> Any:
    """*value* with what differs in every run as it is in the document: ids, and times of the documented form."""
    if isinstance(value, dict) and isinstance(shown, dict):
        return {key: as_shown(item, shown.get(key), ids) for key, item in value.items()}
    if isinstance(value, list) and isinstance(shown, list) and len(value) == len(shown):
        return [as_shown(item, other, ids) for item, other in zip(value, shown, strict=True)]
    if isinstance(value, str) and isinstance(shown, str) and TIME.fullmatch(value) and TIME.fullmatch(shown):
        return shown if ("." in value) == ("." in shown) else value
    return next((name for name, real in ids.items() if real == value), value)


def test_every_command_of_the_documents_is_found() -> None:
    found = {name: take_commands(seed(name)) for name in (NEOSC, OVERVIEW, OPENA2A)}

    assert {name: len(commands) for name, commands in found.items()} == {NEOSC: 3, OVERVIEW: 1, OPENA2A: 6}
    for name, commands in found.items():
        assert len(commands) == seed(name).count("curl ")
        assert all(command.text in seed(name) for command in commands)
        assert all(len(re.findall("[\"']", command.text)) % 2 == 0 for command in commands)


@needs_curl
def test_every_command_of_opena2as_document_gets_the_documented_reply(server: RunningServer, tmp_path: Path) -> None:
    commands = take_commands(seed(OPENA2A))
    listed = commands[0].shown["policies"]
    headers = {"Authorization": f"Bearer {server.token}"}
    ids = {}
    with httpx.Client(base_url=f"{server.opena2a_url}/admin", headers=headers, trust_env=False) as client:
        for policy in listed:  # what the document shows as there already
            body = {key: value for key, value in policy.items() if key not in ("id", "created_at", "updated_at")}
            ids[policy["id"]] = client.post("/security-policies", json=body).json()["policy"]["id"]
    replies = []

    for command in commands:
        reply = run_command(command, server, ids, tmp_path)
        if "-X POST" in command.text:
            ids[command.shown["policy"]["id"]] = reply["policy"]["id"]
        replies.append(as_shown(reply, command.shown, ids))

    everything, one, made, updated, toggled, deleted = replies
    assert everything == commands[0].shown
    assert as_shown(one, {"policy": listed[0]}, ids) == {"policy": listed[0]}
    assert made == commands[2].shown
    assert updated["policy"] == {
        **made["policy"],
        "id": ids["policy_xyz789"],
        **json.loads(commands[3].text.split("-d '", 1)[1].rstrip("'")),
        "created_at": updated["policy"]["created_at"],
        "updated_at": updated["policy"]["updated_at"],
    }
    assert toggled == commands[4].shown
    assert deleted == commands[5].shown


@needs_curl
def test_every_command_of_neoscs_documents_gets_the_documented_reply(server: RunningServer, tmp_path: Path) -> None:
    policies, toggle, logs = take_commands(seed(NEOSC))
    [first] = take_commands(seed(OVERVIEW))
    entry = reply_at(seed(NEOSC).split("Policy-related audit log entries:", 1)[1])

    everything = run_command(policies, server, {}, tmp_path)
    toggled = run_command(toggle, server, {}, tmp_path)
    told = run_command(logs, server, {}, tmp_path)
    again = run_command(first, server, {}, tmp_path)

    assert as_shown(everything, policies.shown, {}) == policies.shown
    assert toggled == toggle.shown
    assert [policy["id"] for policy in again] == [policy["id"] for policy in everything]
    assert list(again[0]) == list(first.shown[0])
    [seen] = told
    shown = as_shown(seen, entry, {})
    assert {key: shown[key] for key in entry} == {
        **entry,
        "id": seen["id"],
        "user_id": seen["user_id"],
        "user_email": "gitops@example.com",
    }
    assert set(seen) - set(entry) == {"user_agent", "annotation"}


@needs_curl
def test_the_documented_errors_are_answered(server: RunningServer, tmp_path: Path) -> None:
    missing, stranger = '{\n"detail" : "Policy not found"\n}', '{\n"detail" : "Not authenticated"\n}'
    policies, toggle, _ = take_commands(seed(NEOSC))
    anonymous = Command(re.sub(r' \\\n-H "[^"]*"', "", policies.text), None)

    assert missing in seed(NEOSC)
    assert stranger in seed(NEOSC)
    assert run_command(toggle, server, {"pol-mfa-required": "pol-nobody"}, tmp_path) == json.loads(missing)
    assert run_command(anonymous, server, {}, tmp_path) == json.loads(stranger)
