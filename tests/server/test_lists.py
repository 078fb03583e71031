"""Lists of policies in parts carry a tag of the whole list: one tag, one state, whoever wrote in between."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest

MFA = "/policies/pol-mfa-required"
POLICIES = "/security-policies"
RATE: dict[str, Any] = {"name": "Rate", "policy_type": "rate_limit", "conditions": {"max_requests_per_hour": 5}}


def part_of(client: httpx.Client, path: str) -> str:
    return client.get(path, params={"limit": 1}).headers["etag"]


CHANGES: dict[str, Callable[[httpx.Client], httpx.Response]] = {
    "create": lambda client: client.post("/policies", json={"id": "new", "name": "New", "type": "access"}),
    "update": lambda client: client.put(MFA, json={"description": "Other"}),
    "toggle": lambda client: client.patch(MFA),
    "delete": lambda client: client.delete(MFA),
}


@pytest.mark.parametrize("change", CHANGES)
def test_every_change_of_a_policy_gives_the_list_another_tag(neosc_crud: httpx.Client, change: str) -> None:
    before = part_of(neosc_crud, "/policies")

    made = CHANGES[change](neosc_crud)

    assert made.is_success
    assert part_of(neosc_crud, "/policies") != before


def test_a_change_that_is_taken_back_leaves_another_tag(neosc_crud: httpx.Client) -> None:
    before = part_of(neosc_crud, "/policies")

    for _ in range(2):
        neosc_crud.patch(MFA)

    assert part_of(neosc_crud, "/policies") != before


def test_the_list_of_one_system_does_not_move_with_the_other(neosc: httpx.Client, opena2a: httpx.Client) -> None:
    lists = part_of(neosc, "/policies"), part_of(opena2a, POLICIES)

    opena2a.post(POLICIES, json=RATE)
    after = part_of(neosc, "/policies"), part_of(opena2a, POLICIES)

    assert after[0] == lists[0]
    assert after[1] != lists[1]


def test_a_refused_change_moves_nothing(neosc_crud: httpx.Client) -> None:
    before = part_of(neosc_crud, "/policies")

    neosc_crud.patch("/policies/nobody")
    neosc_crud.put(MFA, json={"type": "other"})

    assert part_of(neosc_crud, "/policies") == before


def test_all_parts_of_a_list_have_its_tag_and_a_whole_list_has_none(neosc: httpx.Client) -> None:
    first = neosc.get("/policies", params={"limit": 2})
    rest = neosc.get("/policies", params={"limit": 2, "cursor": first.headers["x-next-cursor"]})
    last = neosc.get("/policies", params={"cursor": first.headers["x-next-cursor"]})

    assert first.headers["etag"] == rest.headers["etag"] == last.headers["etag"]
    assert "etag" not in neosc.get("/policies").headers
