"""The journal under threads: who waits for the disk waits together, and hears of a write only when it happened."""

from __future__ import annotations

import errno
import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from reconciler.journal import Disk, Journal, JournalError, _Waiting, read_open_intents


class SlowDisk(Disk):
    """A disk that is held up in its first sync until the test lets it go, and may fail in a later write."""

    def __init__(self) -> None:
        self.syncs = 0
        self.writes = 0
        self.fails_after: int | None = None
        self.syncing = threading.Event()
        self.go = threading.Event()

    def write(self, descriptor: int, data: bytes) -> int:
        self.writes += 1
        if self.fails_after is not None and self.writes > self.fails_after:
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().write(descriptor, data)

    def sync(self, descriptor: int) -> None:
        self.syncs += 1
        if self.syncs == 1:
            self.syncing.set()
            assert self.go.wait(60)
        super().sync(descriptor)


def intent(number: int) -> dict[str, str]:
    return {"event": "intent", "key": f"pol-{number}", "operation": "toggle"}


def append_behind_one(journal: Journal, disk: SlowDisk, count: int) -> list[BaseException | None]:
    """Append one record, and *count* more while the disk is busy with it; return how each of those ended."""

    def append(number: int) -> BaseException | None:
        try:
            journal.append([intent(number)])
        except JournalError as error:
            return error
        return None

    with ThreadPoolExecutor(count + 1) as pool:
        first = pool.submit(append, 0)
        assert disk.syncing.wait(60)
        others = [pool.submit(append, number) for number in range(1, count + 1)]
        wait_for(lambda: len(journal._waiting) == count)
        disk.go.set()
        assert first.result() is None
        return [other.result() for other in others]


def wait_for(condition: Callable[[], bool]) -> None:
    for _ in range(6_000):
        if condition():
            return
        threading.Event().wait(0.01)
    raise AssertionError("it never came true")


def test_intents_that_come_while_the_disk_is_busy_wait_for_it_once(tmp_path: Path) -> None:
    disk = SlowDisk()

    with Journal(tmp_path / "journal.jsonl", disk) as journal:
        ended = append_behind_one(journal, disk, 20)

    assert ended == [None] * 20
    assert disk.syncs == 2
    assert {record["key"] for record in read_open_intents(journal.path)} == {f"pol-{number}" for number in range(21)}


def test_a_disk_that_gets_full_is_told_to_all_who_wait_for_it(tmp_path: Path) -> None:
    disk = SlowDisk()
    disk.fails_after = 1

    with Journal(tmp_path / "journal.jsonl", disk) as journal:
        ended = append_behind_one(journal, disk, 5)

    assert [type(error) for error in ended] == [JournalError] * 5
    assert [json.loads(line)["key"] for line in journal.path.read_text().splitlines() if line] == ["pol-0"]


def test_whoever_is_interrupted_at_the_disk_does_not_leave_others_believing_that_they_were_written(
    tmp_path: Path,
) -> None:
    class Interrupted(Disk):
        def write(self, descriptor: int, data: bytes) -> int:
            raise KeyboardInterrupt

    with Journal(tmp_path / "journal.jsonl", Interrupted()) as journal:
        other = _Waiting(b"{}\n")
        journal._waiting.append(other)
        with pytest.raises(KeyboardInterrupt):
            journal.append([intent(0)])

    assert other.error is not None
