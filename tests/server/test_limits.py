"""How often one token may ask, and what a reply says about it."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.server.limits import WINDOW, Limiter
from tests.support.servers import RunningServer, reference_server


@pytest.fixture
def server() -> Iterator[RunningServer]:
    with reference_server(rate_limit=3) as running:
        yield running


def ask(server: RunningServer, token: str, path: str = "/api/policies") -> httpx.Response:
    return httpx.get(server.url + path, headers={"Authorization": f"Bearer {token}"}, trust_env=False, verify=False)


def test_every_reply_says_what_is_left(server: RunningServer) -> None:
    paths = ("/api/policies", "/v1/admin/security-policies/none", "/api/policies")

    replies = [ask(server, server.token, path) for path in paths]

    assert [reply.status_code for reply in replies] == [200, 404, 200]
    assert [reply.headers["x-ratelimit-limit"] for reply in replies] == ["3"] * 3
    assert [reply.headers["x-ratelimit-remaining"] for reply in replies] == ["2", "1", "0"]
    assert all(0 < int(reply.headers["x-ratelimit-reset"]) <= WINDOW for reply in replies)


@pytest.mark.parametrize(("path", "key"), [("/api/policies", "detail"), ("/v1/admin/security-policies", "error")])
def test_one_request_too_many_is_429_in_the_shape_of_its_dialect(server: RunningServer, path: str, key: str) -> None:
    for _ in range(3):
        ask(server, server.token)

    reply = ask(server, server.token, path)

    assert (reply.status_code, reply.json()) == (429, {key: "Rate limit exceeded. Please try again later."})
    assert reply.headers["retry-after"] == reply.headers["x-ratelimit-reset"]
    assert reply.headers["x-ratelimit-remaining"] == "0"


def test_a_refused_change_is_not_made(server: RunningServer) -> None:
    for _ in range(3):
        ask(server, server.token)

    reply = httpx.patch(
        f"{server.neosc_url}/policies/pol-mfa-required",
        headers={"Authorization": f"Bearer {server.token}"},
        trust_env=False,
    )

    other = server.store.add_token("other@example.com", "admin")
    assert reply.status_code == 429
    assert ask(server, other).json()[0]["enabled"] is True
    assert ask(server, other, "/api/audit-logs").json() == []


def test_each_token_has_its_own_window(server: RunningServer) -> None:
    other = server.store.add_token("gitops@example.com", "admin")
    for _ in range(4):
        ask(server, server.token)

    assert ask(server, other).status_code == 200


def test_a_token_that_is_not_ours_takes_no_place(server: RunningServer) -> None:
    reply = ask(server, "not-one-of-ours")

    assert reply.status_code == 401
    assert "x-ratelimit-limit" not in reply.headers


def test_without_the_option_nothing_is_counted() -> None:
    with reference_server() as server:
        assert "x-ratelimit-limit" not in ask(server, server.token).headers


def test_a_new_window_begins_when_the_old_one_is_over() -> None:
    now = 1000.0
    limiter = Limiter(2, lambda: now)
    taken = [limiter.take("a").is_taken for _ in range(3)]

    now += WINDOW - 0.5
    late = limiter.take("a")
    now += 0.5
    fresh = limiter.take("a")

    assert taken == [True, True, False]
    assert (late.is_taken, late.reset) == (False, 1)
    assert (fresh.is_taken, fresh.remaining, fresh.reset) == (True, 1, 60)


def test_a_clock_set_back_locks_nobody_out() -> None:
    now = 1000.0
    limiter = Limiter(1, lambda: now)
    limiter.take("a")

    now -= 5000

    assert limiter.take("a").is_taken


def test_windows_that_are_over_are_forgotten() -> None:
    now = 0.0
    limiter = Limiter(1, lambda: now)
    for number in range(4096):
        limiter.take(f"key-{number}")

    now += WINDOW
    limiter.take("one more")

    assert len(limiter._windows) == 1


@given(st.lists(st.tuples(st.sampled_from("ab"), st.floats(0, 40)), max_size=60), st.integers(1, 4))
def test_no_window_has_more_than_its_limit(steps: list[tuple[str, float]], limit: int) -> None:
    now = 0.0
    limiter = Limiter(limit, lambda: now)
    taken: dict[tuple[str, float], int] = {}
    began: dict[str, float] = {}

    for key, wait in steps:
        now += wait
        if key not in began or now >= began[key] + WINDOW:
            began[key] = now
        taken[key, began[key]] = taken.get((key, began[key]), 0) + limiter.take(key).is_taken

    assert all(count <= limit for count in taken.values())
