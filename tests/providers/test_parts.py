"""Lists in parts: one state of the list or none, whatever the server says, and an end in any case (F37, F38)."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.core.model import TargetSettings
from reconciler.core.secret import Secret
from reconciler.errors import ExitCode, LiveError
from reconciler.providers import parts
from reconciler.providers.base import Provider
from reconciler.providers.http import MAX_BYTES, Transport
from reconciler.providers.registry import make_provider
from reconciler.providers.wire import MAX_VALUES
from tests.support.clocks import CountingRandom, FakeClock

#: What a list answers to a query: its policies by number, and headers that differ from the good ones (None: left out).
Answer = tuple[range, dict[str, str | None]]
Script = Callable[[Mapping[str, str]], Answer]
WHOLE: Mapping[str, str] = {}
COUNT = 10


def policy(number: int) -> dict[str, Any]:
    return {"id": f"pol-{number}", "name": f"Policy {number}", "type": "access", "rules": ["x"], "created_at": "now"}


@dataclass
class Server:
    """A NeoSC whose lists a test writes; whole, they say that they are longer than a reply may be."""

    url: str
    script: Script
    asked: list[dict[str, str]] = field(default_factory=list)
    padding: Mapping[str, bytes] = field(default_factory=lambda: {"": b" " * MAX_BYTES})


@contextmanager
def serving(script: Script) -> Iterator[Server]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            query = dict(parse_qsl(urlsplit(self.path).query))
            server.asked.append(query)
            numbers, headers = server.script(query)
            body = json.dumps([policy(number) for number in numbers]).encode()
            body += server.padding.get(query.get("limit", ""), b"")
            told: dict[str, str | None] = {
                "Content-Type": "application/json",
                "Content-Length": str(len(body)),
                "X-Capabilities": "cursors",
                "X-Total-Count": str(COUNT),
                "ETag": '"one"',
                **headers,
            }
            self.send_response(200)
            for name, value in told.items():
                if value is not None:
                    self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    class Listener(ThreadingHTTPServer):
        def handle_error(self, *_: object) -> None:
            """The client may leave in the middle of a body."""

    with Listener(("127.0.0.1", 0), Handler) as listener:
        server = Server(f"http://127.0.0.1:{listener.server_address[1]}/api", script)
        thread = Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            listener.shutdown()
            thread.join()


def in_parts(query: Mapping[str, str], size: int = 4) -> Answer:
    """What a good server answers."""
    first = int(query.get("cursor", "0"))
    after = min(first + min(int(query.get("limit", COUNT)), size), COUNT)
    return range(first, after), {"X-Next-Cursor": str(after)} if after < COUNT else {}


def provider_of(server: Server, clock: FakeClock | None = None, **settings: Any) -> Provider:
    transport = Transport(
        server.url, Secret("a-token-that-works"), deadline=5.0, clock=clock or FakeClock(), random=CountingRandom()
    )
    return make_provider(TargetSettings("t", "neosc", server.url, "p", **settings), transport)


def ids(provider: Provider) -> list[str]:
    return [policy.id for policy in provider.fetch_listing().policies]


ALL = [f"pol-{number}" for number in range(COUNT)]


def test_a_list_that_is_too_large_is_read_in_parts() -> None:
    with serving(in_parts) as server:
        listing = provider_of(server).fetch_listing()

        assert [policy.id for policy in listing.policies] == ALL
        assert (listing.complete, listing.reason) == (True, None)
        assert server.asked == [
            {},
            {"limit": "1000"},
            {"limit": "1000", "cursor": "4"},
            {"limit": "1000", "cursor": "8"},
        ]


def test_a_list_that_was_too_large_once_is_not_asked_for_whole_again() -> None:
    with serving(in_parts) as server:
        provider = provider_of(server)

        assert ids(provider) == ids(provider) == ALL
        assert [query for query in server.asked if "limit" not in query] == [{}]
        assert len(server.asked) == 1 + 3 + 3


def test_a_list_that_fits_into_a_reply_is_never_read_in_parts() -> None:
    with serving(lambda query: (range(COUNT), {})) as server:
        server.padding = {}

        assert ids(provider_of(server)) == ALL
        assert server.asked == [{}]


def test_a_list_that_is_too_large_and_has_no_parts_is_not_the_apis() -> None:
    with serving(lambda query: (range(COUNT), {"X-Capabilities": "etags"})) as server:
        with pytest.raises(LiveError, match="longer than 8388608 bytes") as caught:
            provider_of(server).fetch_listing()

        assert caught.value.code == "not-the-api"
        assert server.asked == [{}] * 5


def test_a_list_with_too_many_values_is_read_in_parts() -> None:
    with serving(in_parts) as server:
        many = json.dumps([{**policy(0), "rules": ["x"] * MAX_VALUES}]).encode()
        server.script = lambda query: in_parts(query) if query else (range(0), {"Content-Length": str(len(many) + 2)})
        server.padding = {"": many}  # behind `[]`, which makes it no JSON; it is never looked at

        assert ids(provider_of(server)) == ALL


def test_a_part_that_is_too_large_is_asked_for_with_fewer_policies() -> None:
    with serving(in_parts) as server:
        large = b" " * MAX_BYTES
        server.padding = {"": large, "1000": large, "500": large}

        assert ids(provider_of(server)) == ALL
        assert [query.get("limit") for query in server.asked] == [None, "1000", "500", "250", "250", "250"]


def test_one_policy_that_is_too_large_for_a_reply_ends_the_read() -> None:
    with serving(in_parts) as server:
        server.padding = {str(limit): b" " * MAX_BYTES for limit in ("", 1000, 500, 250, 125, 62, 31, 15, 7, 3, 1)}

        with pytest.raises(LiveError, match="longer than 8388608 bytes"):
            provider_of(server).fetch_listing()


def test_tags_are_asked_for_with_every_part() -> None:
    with serving(lambda query: in_parts(query)) as server:
        server.script = lambda query: (in_parts(query)[0], {**in_parts(query)[1], "X-Capabilities": "cursors, etags"})

        provider_of(server).fetch_listing()

        assert {query.get("etags") for query in server.asked if "limit" in query} == {"true"}


# ------------------------------------------------------------------------------------------------ lists that move


def moving(changes: int) -> Script:
    """A list whose tag changes before each of the first so many second parts."""
    left = [changes]
    tags = iter(f'"{number}"' for number in range(100))
    tag = [next(tags)]

    def answer(query: Mapping[str, str]) -> Answer:
        if query.get("cursor") == "4" and left[0] > 0:
            left[0] -= 1
            tag[0] = next(tags)
        numbers, headers = in_parts(query)
        return numbers, {**headers, "ETag": tag[0]}

    return answer


def test_a_list_that_moved_while_it_was_read_is_read_again() -> None:
    with serving(moving(2)) as server:
        listing = provider_of(server).fetch_listing()

        assert [policy.id for policy in listing.policies] == ALL
        assert listing.complete
        assert [query.get("cursor") for query in server.asked] == [None, None, "4", None, "4", None, "4", "8"]


def test_a_list_that_never_stands_still_is_incomplete() -> None:
    with serving(moving(99)) as server:
        listing = provider_of(server).fetch_listing()

        assert [policy.id for policy in listing.policies] == ALL
        assert (listing.complete, listing.reason) == (False, "the list moved while it was read, 3 times")
        assert len(server.asked) == 1 + 2 + 2 + 3


def test_a_total_that_changes_between_parts_is_a_list_that_moved() -> None:
    totals = iter(["10", "10", "11", *["10"] * 3])
    with serving(in_parts) as server:
        server.script = lambda query: (in_parts(query)[0], {**in_parts(query)[1], "X-Total-Count": next(totals)})

        listing = provider_of(server).fetch_listing()

        assert listing.complete
        assert len(server.asked) == 6


@pytest.mark.parametrize(
    ("hole", "reason"),
    [
        (lambda first: range(first, first + 3), "the list holds 8 policies, and its total is another number"),
        (lambda first: range(max(first - 1, 0), first + 4), "the list holds an id twice"),
    ],
)
def test_parts_that_leave_one_out_or_give_one_twice_are_never_taken_for_the_whole(
    hole: Callable[[int], range], reason: str
) -> None:
    def answer(query: Mapping[str, str]) -> Answer:
        numbers, headers = in_parts(query)
        found = [number for number in hole(numbers.start) if number < COUNT]
        return range(found[0], found[-1] + 1), {
            **headers,
            "X-Total-Count": str(COUNT + 2) if "twice" in reason else "10",
        }

    with serving(answer) as server:
        listing = provider_of(server).fetch_listing()

        assert (listing.complete, listing.reason) == (False, reason)


# ------------------------------------------------------------------------------------------------ lists without end

#: What a hostile server answers to a list in parts, and the words of the error.
ENDLESS: Mapping[str, tuple[Script, str]] = {
    "one cursor for ever": (
        lambda query: (range(2), {"X-Next-Cursor": "4", "X-Total-Count": "99"}),
        "one cursor twice",
    ),
    "cursors in a circle": (
        lambda query: (
            range(1),
            {"X-Next-Cursor": {"a": "b", "b": "c"}.get(query.get("cursor", ""), "a"), "X-Total-Count": "99"},
        ),
        "one cursor twice",
    ),
    "an empty part with a cursor": (lambda query: (range(0), {"X-Next-Cursor": "4"}), "is empty, and says that more"),
    "more than its total": (
        lambda query: (range(4), {"X-Next-Cursor": query.get("cursor", "") + "x"}),
        "more follow after as many policies as its total says",
    ),
    "parts without end": (
        lambda query: (
            range(1),
            {"X-Next-Cursor": str(int(query.get("cursor", "0")) + 1), "X-Total-Count": "999999999"},
        ),
        "it has more than 20 parts",
    ),
    "parts without end, each of another state": (
        lambda query: (
            range(1),
            {"X-Next-Cursor": str(int(query.get("cursor", "0")) + 1), "ETag": f'"{query.get("cursor")}"'},
        ),
        "it has more than 20 parts",
    ),
    "values without end": (
        lambda query: (
            range(1000),
            {"X-Next-Cursor": str(int(query.get("cursor", "0")) + 1), "X-Total-Count": "999999999"},
        ),
        "it holds more than 50,000 values",
    ),
}


@pytest.mark.parametrize("name", ENDLESS)
def test_a_list_without_end_has_one(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "MAX_PARTS", 20)
    monkeypatch.setattr(parts, "MAX_LIST_VALUES", 50_000)
    script, words = ENDLESS[name]
    with serving(script) as server:
        with pytest.raises(LiveError, match="cannot be read to its end") as caught:
            provider_of(server).fetch_listing()

        assert words in caught.value.what
        assert (caught.value.code, caught.value.exit) == ("endless-list", ExitCode.ERROR)
        assert caught.value.where == f"GET {server.url}/policies"
        assert len(server.asked) <= 30


def test_parts_that_take_too_long_in_all_end_the_read() -> None:
    clock = FakeClock()

    def answer(query: Mapping[str, str]) -> Answer:
        clock.passed += 4.0
        return in_parts(query, 1)

    with serving(answer) as server:
        with pytest.raises(LiveError, match="reading it took more than 15 seconds"):
            provider_of(server, clock, budget=15.0).fetch_listing()

        assert len(server.asked) == 5


#: Parts that are not as our own server makes them: asked for five times, then not the API's.
ODD: Mapping[str, dict[str, str | None]] = {
    "no total": {"X-Total-Count": None},
    "an odd total": {"X-Total-Count": "-1"},
    "no tag": {"ETag": None},
    "a weak tag": {"ETag": 'W/"one"'},
    "a cursor with a blank": {"X-Next-Cursor": "a b"},
    "a cursor that would be more of a query": {"X-Next-Cursor": "a&limit=1"},
    "an empty cursor": {"X-Next-Cursor": ""},
    "a cursor without end": {"X-Next-Cursor": "a" * 201},
}


@pytest.mark.parametrize("name", ODD)
def test_a_part_that_cannot_be_believed_is_not_the_apis(name: str) -> None:
    with serving(in_parts) as server:
        server.script = lambda query: (in_parts(query)[0], {**in_parts(query)[1], **ODD[name]})

        with pytest.raises(LiveError) as caught:
            provider_of(server).fetch_listing()

        assert caught.value.code == "not-the-api"
        assert server.asked == [{}, *[{"limit": "1000"}] * 5]


def test_a_server_that_ignores_how_many_are_asked_for_is_not_believed() -> None:
    with serving(in_parts) as server:
        server.script = lambda query: (range(1001), {"X-Total-Count": "1001"})

        with pytest.raises(LiveError, match="more policies than were asked for"):
            provider_of(server).fetch_listing()


# ------------------------------------------------------------------------------------------------ a law


class Shelf:
    """Policies in the order they were made, a tag for each state, parts as our own server gives them; and busy people.

    Before each request the next of *edits* happens: a policy is made, edited, deleted, or deleted and made again.
    """

    def __init__(self, count: int, size: int, edits: Sequence[tuple[str, int]]) -> None:
        self.size, self.edits = size, list(edits)
        self.rows = {place: (f"pol-{place}", 0) for place in range(count)}
        self.place, self.version = count, 0
        self.states: list[tuple[tuple[str, int], ...]] = []

    def edit(self, kind: str, which: int) -> None:
        places = sorted(self.rows)
        place = places[which % len(places)] if places else None
        self.version += kind != "nothing"
        if kind == "make":
            self.put(f"new-{self.place}")
        elif place is not None and kind == "edit":
            self.rows[place] = (self.rows[place][0], self.version)
        elif place is not None and kind in ("delete", "again"):
            name, _ = self.rows.pop(place)
            if kind == "again":
                self.put(name)

    def put(self, name: str) -> None:
        self.rows[self.place] = (name, self.version)
        self.place += 1

    def handle(self, request: httpx.Request) -> httpx.Response:
        if self.edits:
            self.edit(*self.edits.pop(0))
        self.states.append(tuple(self.rows.values()))
        query = dict(request.url.params)
        headers = {"Content-Type": "application/json", "X-Capabilities": "cursors", "ETag": f'"{self.version}"'}
        if "limit" not in query:
            return httpx.Response(200, headers=headers, content=b"[]" + b" " * 100_000)
        left = [place for place in sorted(self.rows) if place > int(query.get("cursor", "-1"))]
        shown = left[: self.size]
        if len(left) > len(shown):
            headers["X-Next-Cursor"] = str(shown[-1])
        rows = [policy(0) | {"id": self.rows[place][0], "name": f"at {self.rows[place][1]}"} for place in shown]
        return httpx.Response(200, headers={**headers, "X-Total-Count": str(len(self.rows))}, json=rows)


@given(
    count=st.integers(0, 9),
    size=st.integers(1, 4),
    edits=st.lists(
        st.tuples(st.sampled_from(["nothing"] * 4 + ["make", "edit", "delete", "again"]), st.integers(0, 99))
    ),
)
def test_a_list_that_counts_as_complete_is_the_list_at_one_instant(
    count: int, size: int, edits: list[tuple[str, int]]
) -> None:
    shelf = Shelf(count, size, edits)
    transport = Transport(
        "http://127.0.0.1:9/api",
        Secret("a-token-that-works"),
        deadline=5.0,
        clock=FakeClock(),
        random=CountingRandom(),
        max_bytes=50_000,
        wire=lambda: httpx.MockTransport(shelf.handle),
    )

    listing = make_provider(TargetSettings("t", "neosc", "http://127.0.0.1:9/api", "p"), transport).fetch_listing()

    found = tuple((each.id, int(str(each.body["name"]).removeprefix("at "))) for each in listing.policies)
    if listing.complete:
        assert found in shelf.states
    else:
        assert listing.reason == "the list moved while it was read, 3 times"
    if not edits:
        assert listing.complete
