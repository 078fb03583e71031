"""Where a live field comes from: the ledger proves it, the file's history says which commit, else it is unknown."""

from __future__ import annotations

from typing import Any

import pytest

from reconciler.core.blame import AppliedAt, By, Version, blame_fields, pull_request_in
from reconciler.core.model import Confidence, Drift
from tests.builders import applied, rate_limit, schemas

SCHEMA = schemas().policy_schema("opena2a", "rate_limit")
HAND = Drift("admin@example.com", "2026-11-19T02:14:55Z", "log-1", Confidence.EXACT)
LIMIT = "/conditions/max_requests_per_hour"


def run(commit: str, limit: int, at: str, **more: Any) -> AppliedAt:
    return AppliedAt(applied(rate_limit(limit=limit), commit=commit * 40, **more), at)


def version(commit: str, limit: int | None) -> Version:
    return Version(commit * 40, None if limit is None else {**rate_limit(limit=limit), "enabled": True})


def blamed(limit: int, runs: list[AppliedAt], versions: list[Version], **more: Any) -> Any:
    live = {**rate_limit(limit=limit), "enabled": True, **more}
    return {field.pointer: field for field in blame_fields(live, runs, versions, SCHEMA, lambda switch: HAND)}


def test_a_field_belongs_to_the_commit_that_set_it_and_the_run_that_applied_it() -> None:
    runs = [run("c", 5, "third"), run("b", 5, "second"), run("a", 9, "first")]
    versions = [version("c", 5), version("b", 5), version("a", 9)]

    fields = blamed(5, runs, versions)

    assert (fields[LIMIT].by, fields[LIMIT].commit, fields[LIMIT].applied_at) == (By.GIT, "b" * 40, "second")
    assert (fields["/name"].commit, fields["/name"].applied_at) == ("a" * 40, "first")


def test_of_several_commits_behind_one_run_it_is_the_one_that_set_the_field() -> None:
    runs = [run("c", 5, "second"), run("a", 9, "first")]
    versions = [version("c", 5), version("b", 5), version("a", 9)]

    assert blamed(5, runs, versions)[LIMIT].commit == "b" * 40


def test_a_commit_that_was_never_applied_is_not_blamed() -> None:
    runs = [run("a", 9, "first")]
    versions = [version("c", 9), version("b", 5), version("a", 9)]

    assert blamed(9, runs, versions)[LIMIT].commit == "a" * 40


def test_a_value_that_an_overlay_made_belongs_to_the_commit_that_was_applied() -> None:
    runs = [run("b", 5, "second")]
    versions = [version("b", 1000), version("a", 1000)]

    assert blamed(5, runs, versions)[LIMIT].commit == "b" * 40


def test_a_value_the_ledger_does_not_have_was_set_by_hand() -> None:
    fields = blamed(7, [run("a", 5, "first")], [version("a", 5)], enabled=False)

    assert (fields[LIMIT].by, fields[LIMIT].drift) == (By.HAND, HAND)
    assert fields["/enabled"].by is By.HAND
    assert fields["/name"].by is By.GIT


def test_a_field_git_never_spoke_of_is_unknown() -> None:
    fields = blamed(5, [run("a", 5, "first")], [version("a", 5)], severity="low")

    assert fields["/severity"].by is By.UNKNOWN


def test_a_policy_that_was_never_applied_is_unknown_in_every_field() -> None:
    assert {field.by for field in blamed(5, [], []).values()} == {By.UNKNOWN}


def test_another_spelling_of_the_same_is_no_edit() -> None:
    allow = {"name": "A", "policy_type": "ip_allowlist", "conditions": {"allowed_ips": ["10.0.0.0/8", "1.2.3.4"]}}
    live = {**allow, "conditions": {"allowed_ips": ["1.2.3.4", "10.0.0.0/8"]}}
    schema = schemas().policy_schema("opena2a", "ip_allowlist")
    entry = AppliedAt(applied(allow, commit="a" * 40), "first")

    fields = blame_fields(live, [entry], [], schema, lambda switch: HAND)

    assert {field.by for field in fields} == {By.GIT}


@pytest.mark.parametrize(
    ("message", "number"),
    [
        ("Allow SSO cut-over (#42)", 42),
        ("Allow SSO (!7)", 7),
        ("Merge pull request #42 from acme/branch\n\nAllow SSO", 42),
        ("Merge branch 'a' into 'main'\n\nAllow\n\nSee merge request acme/policies!12", 12),
        ("Fix #42", None),
        ("Revert (#1) and more", None),
        ("Subject\n\nBody (#9)", None),
        ("(#99999999999999999999)", None),
        ("", None),
    ],
)
def test_a_message_names_its_request_or_none(message: str, number: int | None) -> None:
    assert pull_request_in(message) == number
