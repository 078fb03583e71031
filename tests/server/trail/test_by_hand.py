"""The two programs of docs/explanation/trail.md check an export without this project's code."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys

import pytest

from reconciler.server.store import Store
from reconciler.server.trail.entries import add_own
from reconciler.server.trail.exporting import export_audit, export_events, read_pages
from reconciler.server.trail.formats import to_jsonl
from reconciler.server.trail.query import Wanted
from reconciler.server.trail.records import CHAINS
from reconciler.server.trail.retention import parse_rules, prune
from reconciler.server.trail.verifying import verify
from tests.server.trail.rows import ORGANIZATION, add_entries, add_events
from tests.support.checkout import ROOT
from tests.support.clocks import FakeClock

PAGE = ROOT / "docs" / "explanation" / "trail.md"


def program(language: str) -> str:
    (found,) = re.findall(rf"^```{language}\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    return str(found)


def run(language: str, data: bytes, *arguments: str) -> subprocess.CompletedProcess[str]:
    interpreter = {"python": [sys.executable, "-c"], "sh": ["sh", "-c"]}[language]
    command = [*interpreter, program(language), *arguments]
    done = subprocess.run(command, input=data, capture_output=True, timeout=60)
    return subprocess.CompletedProcess(command, done.returncode, done.stdout.decode(), done.stderr.decode())


def exported(store: Store) -> bytes:
    export = export_audit(ORGANIZATION, Wanted(), as_entries=True)
    return b"".join(to_jsonl(read_pages(store, export), export.shape.kinds))


def head(store: Store, chain: str = "audit") -> str:
    found = verify(store, CHAINS[chain], ORGANIZATION).head
    assert found is not None
    return found.hash


@pytest.fixture
def filled(store: Store) -> Store:
    add_entries(store, 2)
    with store.write() as connection:
        odd = 'Ünïcödé 😀 "quoted" \\ / \x7f \u2028 <&> \t\n'
        add_own(connection, store, ORGANIZATION, action="odd", resource="policy:ö", details=odd)
    return store


@pytest.mark.parametrize("language", ["python", "sh"])
def test_a_whole_trail_is_found_whole_and_its_end_is_the_server_s(filled: Store, language: str) -> None:
    if language == "sh" and shutil.which("jq") is None:
        pytest.skip("needs jq")

    done = run(language, exported(filled))

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"whole, and ends with {head(filled)}\n"


@pytest.mark.parametrize("language", ["python", "sh"])
@pytest.mark.parametrize("way", ["edit", "delete", "swap"])
def test_a_trail_that_was_touched_is_not(filled: Store, language: str, way: str) -> None:
    if language == "sh" and shutil.which("jq") is None:
        pytest.skip("needs jq")
    one, two, three = exported(filled).splitlines(keepends=True)
    touched = {"edit": [one, two.replace(b"enabled", b"vanished"), three], "delete": [one, three], "swap": [two, one]}

    done = run(language, b"".join(touched[way]))

    assert done.returncode == 1
    assert done.stdout == ""


def test_what_is_left_after_a_removal_goes_on_from_the_hash_that_verify_shows(filled: Store, clock: FakeClock) -> None:
    clock.passed += 86_400 * 2
    add_entries(filled, 1)
    (anchor,) = prune(filled, parse_rules(["audit=1"]))

    done = run("python", exported(filled), anchor.hash)

    assert (done.returncode, done.stdout) == (0, f"whole, and ends with {head(filled)}\n")


def test_evaluation_records_can_be_checked_in_the_same_way(store: Store, clock: FakeClock) -> None:
    add_events(
        store, clock, {"trust_score": 70.0, "bytes": 2**60, "mcp_trust_score": 1e-7, "outcomes": [{"a": 0.1}]}, {}
    )
    export = export_events(ORGANIZATION, "events", None, None, as_entries=True)

    done = run("python", b"".join(to_jsonl(read_pages(store, export), export.shape.kinds)))

    assert (done.returncode, done.stdout) == (0, f"whole, and ends with {head(store, 'events')}\n")


def test_the_program_is_short() -> None:
    assert len(program("python").splitlines()) <= 15
    assert len(program("sh").splitlines()) <= 15
