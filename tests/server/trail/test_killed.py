"""A process that dies leaves a chain that is whole, with all that it was told is written."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from reconciler.server.store import open_store
from reconciler.server.trail.chain import AUDIT
from reconciler.server.trail.verifying import verify
from tests.server.trail.rows import ORGANIZATION

PROGRAM = Path(__file__).with_name("dying.py")
ENVIRON = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}


def test_writers_that_are_killed_leave_the_chain_whole(db: str, tmp_path: Path) -> None:
    where = str(tmp_path / "trail.db") if db == ":memory:" else db
    open_store(where).close()
    with subprocess.Popen(
        [sys.executable, str(PROGRAM), "write", where], stdout=subprocess.PIPE, text=True, env=ENVIRON
    ) as process:
        try:
            assert process.stdout is not None
            told = [int(process.stdout.readline()) for _ in range(40)]
            process.send_signal(signal.SIGKILL)
            told += [int(line) for line in process.stdout if line.endswith("\n")]
        finally:
            process.kill()

    store = open_store(where)
    verdict = verify(store, AUDIT, ORGANIZATION)
    store.close()
    assert verdict.broken is None
    assert max(told) <= verdict.entries <= max(told) + 4


@pytest.mark.heavy
def test_a_retention_job_that_dies_removed_all_and_told_of_it_or_nothing(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(PROGRAM), "prune", str(tmp_path)], capture_output=True, text=True, timeout=120, env=ENVIRON
    )

    trials = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0, done.stderr
    assert [trial["killed"] for trial in trials] == [True] * (len(trials) - 1) + [False]
    assert len(trials) > 10
    for trial in trials:
        found = (trial["whole"], trial["entries"], trial["rows"], trial["anchors"])
        assert found in ((True, 2, 3, 0), (True, 3, 0, 1)), trial
    assert trials[-1]["rows"] == 0
