"""Audit entries of all the shapes the documents and the real servers show."""

from __future__ import annotations

import pytest

from reconciler.core.annotation import find_commit
from reconciler.core.model import Json, TrailEntry
from reconciler.providers.entries import entries_from_wire
from reconciler.providers.wire import WireError

SHA = "3f9c2ab0" * 5


def entry(**fields: Json) -> TrailEntry:
    return entries_from_wire([fields])[0]


def test_the_documented_entry_is_read_field_by_field() -> None:
    found = entry(
        id="log-123",
        user_id="user-456",
        user_email="admin@example.com",
        action="toggle_policy",
        resource="policy:pol-mfa-required",
        details="Policy disabled",
        timestamp="2026-03-05T14:30:00.000Z",
        success=True,
    )

    assert (found.id, found.at, found.actor) == ("log-123", "2026-03-05T14:30:00.000Z", "admin@example.com")
    assert (found.action, found.resource, found.details) == (
        "toggle_policy",
        "policy:pol-mfa-required",
        "Policy disabled",
    )
    assert (found.policy_id, found.success) == ("pol-mfa-required", True)


def test_an_entry_may_name_type_and_id_apart_in_either_spelling() -> None:
    assert entry(resource_type="security_policy", resource_id="policy_abc123").policy_id == "policy_abc123"
    assert entry(resourceType="policy", resourceId="p1").policy_id == "p1"
    assert entry(resource_type="agent", resource_id="p1").policy_id is None


@pytest.mark.parametrize("resource", ["user:x", "policy:", "policy:../x", "policy:a b", "xpolicy:a", ""])
def test_what_names_no_policy_has_no_policy_id(resource: str) -> None:
    assert entry(resource=resource).policy_id is None


def test_a_number_for_an_id_is_read_as_text() -> None:
    assert entry(id=17).id == "17"


def test_entries_without_an_id_are_told_apart_by_what_they_say() -> None:
    first, again, other = entry(details="a"), entry(details="a"), entry(details="b", id=True)

    assert first.id == again.id != other.id
    assert other.id.startswith("no-id-")


def test_only_false_is_a_failure() -> None:
    assert [entry(success=value).success for value in (True, False, None)] == [True, False, True]


@pytest.mark.parametrize(
    "fields",
    [
        {"user_agent": f"reconciler/0.1.0 (commit={SHA}; key=k; plan=0123456789ab)"},
        {"annotation": SHA},
        {"details": f"Policy updated ({SHA})"},
        {"metadata": {"request": {"headers": [f"commit={SHA}"]}}},
        {"something_new": {"deep": [{"er": SHA}]}},
    ],
)
def test_a_commit_is_found_wherever_an_entry_hides_it(fields: dict[str, Json]) -> None:
    assert find_commit(entry(id="1", **fields).texts) == SHA


def test_entries_are_newest_first_whichever_way_the_server_sorts() -> None:
    times = [
        "2026-11-20T09:00:00Z",
        "2026-11-20T09:00:02.5+00:00",
        "2026-11-20T09:00:01",
        "2026-11-20T11:00:01.9+02:00",
    ]

    found = entries_from_wire([{"id": str(index), "timestamp": at} for index, at in enumerate(times)])

    assert [entry.id for entry in found] == ["1", "3", "2", "0"]


def test_entries_without_readable_times_stay_as_they_came() -> None:
    found = entries_from_wire([{"id": "a", "timestamp": "2026-11-20T09:00:00Z"}, {"id": "b", "timestamp": "later"}])

    assert [entry.id for entry in found] == ["a", "b"]


@pytest.mark.parametrize("value", [None, 1, "x", [], True])
def test_an_entry_that_is_no_object_is_not_the_apis(value: Json) -> None:
    with pytest.raises(WireError, match="expected an object for audit entry 0"):
        entries_from_wire([value])
