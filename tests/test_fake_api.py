"""The stand-in does to a request what it was told to, and no more."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from http.client import HTTPException
from pathlib import Path
from typing import Any

import pytest

from tests.fake_api import DEFAULTS, PERSON, TOKEN, FakeApi, Fault

ID = "pol-mfa-required"
MAKES_THE_CHANGE = {
    Fault.DROP_AFTER,
    Fault.RESET_AFTER,
    Fault.HANG_AFTER,
    Fault.LATE,
    Fault.ERROR_AFTER,
    Fault.HTML_AFTER,
    Fault.SLOW,
    Fault.CUT,
}


def ask(url: str, method: str = "GET", path: str = "/policies", *, timeout: float = 5.0) -> Any:
    request = urllib.request.Request(url + path, method=method, headers={"Authorization": f"Bearer {TOKEN}"})
    with urllib.request.urlopen(request, timeout=timeout) as reply:
        return json.load(reply)


@pytest.mark.parametrize("fault", list(Fault))
def test_a_fault_makes_the_change_or_does_not_and_is_over_after_one_request(fault: Fault) -> None:
    with FakeApi("neosc", policies=DEFAULTS) as api:
        api.fail(fault, method="PATCH", seconds=0.4 if fault is Fault.SLOW else 0.01)

        with pytest.raises((OSError, HTTPException, ValueError, TypeError)):
            ask(api.url, "PATCH", f"/policies/{ID}", timeout=0.3)["enabled"]
        ask(api.url)

        assert api.policies[ID]["enabled"] is (fault not in MAKES_THE_CHANGE)
        assert len(api.audit) == (fault in MAKES_THE_CHANGE)
        assert [request.fault for request in api.requests] == [fault, None]
        assert ask(api.url, "PATCH", f"/policies/{ID}")["enabled"] is (fault in MAKES_THE_CHANGE)


def test_a_fault_waits_for_its_request() -> None:
    with FakeApi("neosc", policies=DEFAULTS) as api:
        api.fail(Fault.NULL, path="/policies", skip=1, times=2)

        answers = [ask(api.url) for _ in range(4)]

    assert [answer is None for answer in answers] == [False, True, True, False]


def test_a_person_leaves_a_trace_in_the_trail() -> None:
    with FakeApi("neosc", policies=DEFAULTS) as api:
        api.edit(ID, enabled=False)
        api.edit(ID, description="x")
        api.remove(ID)

        entries = ask(api.url, path="/audit-logs")

    assert [entry["action"] for entry in entries] == ["delete_policy", "update_policy", "toggle_policy"]
    assert {entry["user_email"] for entry in entries} == {PERSON}


def test_the_first_list_makes_the_defaults_and_forgets_their_times() -> None:
    with FakeApi("neosc") as api:
        first, second = ask(api.url), ask(api.url)

    assert [policy["id"] for policy in first] == [policy["id"] for policy in DEFAULTS]
    assert not any("created_at" in policy for policy in first)
    assert all("created_at" in policy for policy in second)


def test_a_cut_list_has_no_total_when_told_so() -> None:
    many = [{"id": f"pol-{number}", "name": "x"} for number in range(120)]
    with FakeApi("neosc", policies=many, list_cap=100, total=False) as api:
        assert len(ask(api.url)) == 100


def test_a_normalizer_rewrites_what_is_stored() -> None:
    with FakeApi("opena2a", normalize=lambda policy: {**policy, "name": policy["name"].strip()}) as api:
        made = api.add({"name": "  padded "})

    assert made["name"] == "padded"


def test_without_crud_neosc_only_lists_and_toggles() -> None:
    with FakeApi("neosc", policies=DEFAULTS, crud=False) as api:
        for method, path in (("POST", "/policies"), ("PUT", f"/policies/{ID}"), ("DELETE", f"/policies/{ID}")):
            with pytest.raises(urllib.error.HTTPError, match="405") as caught:
                ask(api.url, method, path)
            caught.value.close()

        assert ask(api.url, "PATCH", f"/policies/{ID}") == {"message": "Policy disabled", "enabled": False}


def test_it_runs_by_hand() -> None:
    command = [sys.executable, "-u", "-m", "tests.fake_api", "neosc", "--fail", "GET:null"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[1]) as process:
        assert process.stdout is not None
        url = process.stdout.readline().removeprefix("url: ").strip()
        assert process.stdout.readline() == f"token: {TOKEN}\n"
        assert ask(url) is None
        assert len(ask(url)) == 3
        os.kill(process.pid, signal.SIGINT)
        lines = process.stdout.read().splitlines()

    assert lines[1:] == ["GET /api/policies Fault.NULL", "GET /api/policies "]
    assert process.returncode == 0
