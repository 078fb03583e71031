"""What a server remembers, read part by part: every part leads on, whatever the server says."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.core.model import Json, Trail
from reconciler.providers.entries import entries_from_wire
from reconciler.providers.history import judged_parts, trail_parts
from reconciler.providers.http import Transport
from reconciler.providers.wire import Reply, WireError, expect_array

Answer = Callable[[Mapping[str, str]], tuple[Any, Mapping[str, str]]]


@dataclass
class Server:
    """A transport that answers with what *answer* makes of a query; it gives up after a hundred."""

    answer: Answer
    asked: list[Mapping[str, str]] = field(default_factory=list)

    def get(self, path: str, parse: Callable[[Reply], Any], *, query: Mapping[str, str]) -> Any:
        assert len(self.asked) < 100, "nobody stops"
        self.asked.append(query)
        value, headers = self.answer(query)
        return parse(Reply(200, headers, value))


def judged(server: Server, after: int = 0) -> list[int]:
    parts = judged_parts(cast(Transport, server), "/events", after)
    return [cast(int, event["seq"]) for part in parts for event in part.events]


def trail(server: Server) -> list[str]:
    def parse(reply: Reply) -> Trail:
        return Trail(entries_from_wire(expect_array(reply.value, "log")), available=True, complete=False)

    parts = list(trail_parts(cast(Transport, server), "/audit-logs", parse))
    assert [part.complete for part in parts] == [False] * (len(parts) - 1) + [True]
    return [entry.id for part in parts for entry in part.entries]


def page(*numbers: int, following: Json = None, removed: Json = None) -> tuple[Any, Mapping[str, str]]:
    return {"events": [{"seq": number} for number in numbers], "next": following, "removed_until": removed}, {}


def test_parts_are_asked_for_one_after_the_other() -> None:
    pages = {"0": page(1, 2, following=2), "2": page(5, following=5), "5": page()}

    server = Server(lambda query: pages[query["after"]])

    assert judged(server) == [1, 2, 5]
    assert [query["after"] for query in server.asked] == ["0", "2", "5"]


@pytest.mark.parametrize(
    "reply",
    [
        page(1, 2, following=1),
        page(following=7),
        page(2, 1),
        page(3, 3),
        page(0),
        page(1, following=-1),
        page(1, removed="soon"),
        ({"events": [{}], "next": None}, {}),
        ({"events": [{"seq": True}], "next": None}, {}),
        ({"events": [7], "next": None}, {}),
        ({"events": None, "next": None}, {}),
        ({"events": []}, {}),
        ([], {}),
    ],
)
def test_a_list_that_does_not_lead_on_is_not_the_apis(reply: tuple[Any, Mapping[str, str]]) -> None:
    server = Server(lambda query: reply)

    with pytest.raises(WireError):
        judged(server)

    assert len(server.asked) == 1


def test_the_same_part_twice_ends_the_reading() -> None:
    with pytest.raises(WireError):
        judged(Server(lambda query: page(1, 2, following=2)))


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["events", "next", "seq", "removed_until", "x"]), inner, max_size=4)
        ),
        max_leaves=12,
    )
)
def test_any_json_is_events_or_a_wire_error(value: Any) -> None:
    answers = iter([value, {"events": [], "next": None}])

    try:
        found = judged(Server(lambda query: (next(answers), {})))
    except WireError:
        return

    assert found == sorted(found)


def entries(*names: str) -> list[Json]:
    return [{"id": name, "action": "x", "resource": "y"} for name in names]


def test_a_trail_is_read_to_its_end() -> None:
    pages: dict[str, tuple[Any, Mapping[str, str]]] = {
        "": (entries("d", "c"), {"x-next-cursor": "one"}),
        "one": (entries("b"), {"x-next-cursor": "two"}),
        "two": (entries("a"), {}),
    }

    server = Server(lambda query: pages[query.get("cursor", "")])

    assert trail(server) == ["d", "c", "b", "a"]
    assert {query["limit"] for query in server.asked} == {"1000"}


def cursors(*given: str) -> Iterator[tuple[Any, Mapping[str, str]]]:
    for cursor in given:
        yield entries("a"), {"x-next-cursor": cursor}


@pytest.mark.parametrize(
    "given", [("one", "one"), ("one", "two", "one"), ("",), ("a b",), ("a&limit=9",), ("é",), ("x" * 201,)]
)
def test_a_trail_that_goes_in_circles_or_nowhere_is_not_the_apis(given: tuple[str, ...]) -> None:
    replies = cursors(*given)

    with pytest.raises(WireError):
        trail(Server(lambda query: next(replies)))
