"""A disk that is full at each record of the journal: what is not written down is not sent (reliability.md F29, F30).

On a small file system of its own where one may be mounted; and below a limit on the size of files, which needs no
rights and gives EFBIG in place of ENOSPC.
"""

from __future__ import annotations

import json
import resource
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from tests.faults.killing import Running, Site, journal_of, site
from tests.faults.test_kill import EVENTS, converges, work
from tests.support.program import Ended, Program
from tests.support.repos import Repo

PAGE = 4096
LIMIT = 1024 * 1024
#: Which record does not fit any more → how many changes have been sent by then, and the exit code.
FULL_AT = {0: (0, 1), 1: (0, 1), 2: (1, 4), 3: (1, 4), 4: (2, 4), 5: (2, 4), 6: (3, 4)}
Start = Callable[[Program], Ended]
Disk = Callable[[Repo, int], AbstractContextManager[Start]]


@pytest.fixture(scope="module")
def lengths(tmp_path_factory: pytest.TempPathFactory) -> list[int]:
    """How long each record is when nothing goes wrong, the line break before the first one included."""
    with site() as server:
        repo, program = work(tmp_path_factory.mktemp("undisturbed"), server)
        program.ok("apply", "--yes")
        lines = journal_of(repo.path).read_bytes().splitlines(keepends=True)
    assert [json.loads(line)["event"] for line in lines[1:]] == list(EVENTS)
    return [len(lines[0] + lines[1]), *map(len, lines[2:])]


def start(program: Program) -> Ended:
    return Running(program, ["apply", "--yes", "--json"]).end()


@contextmanager
def small_disk(repo: Repo, room: int) -> Iterator[Start]:
    """A file system of one page for the journal, with *room* bytes left."""
    journal = journal_of(repo.path)
    journal.parent.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={PAGE}", "tmpfs", str(journal.parent)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("no file system can be mounted here; the limit on file sizes is tested all the same")
    try:
        journal.write_bytes(b"\n" * (PAGE - room))
        yield start
        rest = journal.read_bytes()
    finally:
        subprocess.run(["umount", str(journal.parent)], check=True)
    journal.write_bytes(rest)


@contextmanager
def limited_files(repo: Repo, room: int) -> Iterator[Start]:
    """No file may grow beyond what the journal has, and *room* bytes more."""
    journal = journal_of(repo.path)
    journal.parent.mkdir()
    journal.write_bytes(b"\n" * (LIMIT - room))

    def limited(program: Program) -> Ended:
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (LIMIT, before[1]))
        try:
            running = Running(program, ["apply", "--yes", "--json"])
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        return running.end()

    yield limited


def full_at(tmp_path: Path, server: Site, disk: Disk, lengths: list[int], number: int) -> None:
    """Apply on *disk*, full in the middle of record *number*; look at what was sent, and run again with room."""
    repo, program = work(tmp_path, server)
    room = sum(lengths[:number]) + lengths[number] // 2
    sent, code = FULL_AT[number]
    with disk(repo, room) as apply:
        ended = apply(program)

    assert ended.code == code, ended
    assert "Traceback" not in ended.err
    assert "the journal cannot be written" in ended.err + ended.out
    assert sum(method != "GET" for method in server.boundaries.methods) == sent
    assert "refs/reconciler/lock/neosc" not in repo.remote_refs()
    if number:
        told = [outcome["status"] for outcome in json.loads(ended.out)["outcomes"]]
        assert told == ["applied"] * sent + ["skipped"] * (3 - sent)
    converges(tmp_path, server, repo, program)


@pytest.mark.parametrize(
    "number", [number if number in (1, 2) else pytest.param(number, marks=pytest.mark.heavy) for number in FULL_AT]
)
def test_on_a_full_disk_nothing_is_sent_that_is_not_written_down(
    tmp_path: Path, lengths: list[int], number: int
) -> None:
    with site() as server:
        full_at(tmp_path, server, small_disk, lengths, number)


@pytest.mark.parametrize("number", [3, pytest.param(2, marks=pytest.mark.heavy)])
def test_below_a_limit_on_files_nothing_is_sent_that_is_not_written_down(
    tmp_path: Path, lengths: list[int], number: int
) -> None:
    with site() as server:
        full_at(tmp_path, server, limited_files, lengths, number)
