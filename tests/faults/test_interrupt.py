"""SIGTERM, and a second signal: the first lets the call in flight finish, the second ends the run where it is (F28).

`tests/e2e/test_exit_codes.py` has Ctrl-C alone, `tests/e2e/test_every.py` the signals to a loop.
"""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path

import pytest

from reconciler.journal import read_open_intents
from tests.fake_api import FakeApi, Fault, SeenRequest
from tests.faults.killing import Running, journal_of
from tests.support.program import config_text, neosc_defaults, neosc_target, program_in
from tests.support.repos import make_repo

KEYS = ("pol-mfa-required", "pol-session-recording")


@pytest.mark.parametrize(
    ("signals", "fault"),
    [((signal.SIGTERM,), Fault.SLOW), ((signal.SIGINT, signal.SIGTERM), Fault.HANG_AFTER)],
    ids=["once", "twice"],
)
def test_a_signal_while_a_change_is_under_way(tmp_path: Path, signals: tuple[int, ...], fault: Fault) -> None:
    with FakeApi("neosc") as api:
        files = neosc_defaults(**{key: {"enabled": False} for key in KEYS})
        config = config_text(neosc=neosc_target(api.url, deadline=30))
        repo = make_repo(tmp_path, {"reconciler.yaml": config, **files})
        api.fail(fault, method="PATCH", seconds=0.01)
        running: list[Running] = []
        told = tmp_path / "stderr"

        def hook(request: SeenRequest) -> None:
            if request.is_mutating:
                for number in signals:
                    running[0].signal(number)
                    while "stopping after the call in flight" not in told.read_text():
                        assert running[0].process.poll() is None
                        time.sleep(0.01)

        api.on_request = hook
        with told.open("wb") as stderr:
            running.append(Running(program_in(repo, token=api.token), ["apply", "--yes", "--json"], stderr=stderr))

        ended = running[0].end()

        intents = read_open_intents(journal_of(repo.path))
        is_locked = "refs/reconciler/lock/neosc" in repo.remote_refs()
        assert ended.code == 130
        assert len(api.mutations) == 1
        assert "Traceback" not in told.read_text()
        if len(signals) == 1:
            assert sorted(o["status"] for o in json.loads(ended.out)["outcomes"]) == ["applied", "skipped"]
            assert (intents, is_locked) == ((), False)
            assert "refs/reconciler/ledger/neosc" in repo.remote_refs()
        else:
            assert ended.out == ""
            assert ([intent["key"] for intent in intents], is_locked) == ([api.audit[-1]["resource"][7:]], True)
