"""Sessions of the page: whom a cookie speaks for, when that ends, and which forms are believed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import sqlalchemy as sa
from starlette.requests import Request

from reconciler.clock import SystemRandom
from reconciler.server.accounts import sessions
from reconciler.server.accounts.sessions import (
    ABSOLUTE_SECONDS,
    IDLE_SECONDS,
    close_session,
    close_session_of,
    close_sessions,
    find_session,
    is_csrf,
    is_same_origin,
    list_sessions,
    open_session,
    set_cookie_header,
)
from reconciler.server.store import Store, open_store
from reconciler.server.tables import users
from tests.support.clocks import FakeClock


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def store(clock: FakeClock) -> Iterator[Store]:
    store = open_store(clock=clock, random=SystemRandom())
    yield store
    store.close()


@pytest.fixture
def person(store: Store) -> str:
    return store.add_user("person@example.com", "admin", organization="acme")


def test_a_cookie_speaks_for_its_account(store: Store, person: str) -> None:
    cookie = open_session(store, person)

    session = find_session(store, cookie)

    assert session is not None
    assert (session.caller.user_id, session.caller.email) == (person, "person@example.com")
    assert (session.caller.role, session.caller.organization) == ("admin", "acme")


@pytest.mark.parametrize("cookie", [None, "", "x", "a" * 43, "' OR 1=1 --", "\udc80"])
def test_another_cookie_speaks_for_nobody(store: Store, person: str, cookie: str | None) -> None:
    open_session(store, person)

    assert find_session(store, cookie) is None


def test_a_role_taken_away_is_gone_from_sessions_that_are_open(store: Store, person: str) -> None:
    cookie = open_session(store, person)

    with store.write() as connection:
        connection.execute(users.update().values(role="user"))

    session = find_session(store, cookie)
    assert session is not None
    assert (session.caller.role, session.caller.scopes) == ("user", {"read"})


def test_a_session_ends_when_nobody_uses_it(store: Store, person: str, clock: FakeClock) -> None:
    cookie = open_session(store, person)

    clock.sleep(IDLE_SECONDS - 1)
    used = find_session(store, cookie)
    clock.sleep(IDLE_SECONDS - 1)
    used_again = find_session(store, cookie)
    clock.sleep(IDLE_SECONDS)
    unused = find_session(store, cookie)

    assert used is not None
    assert used_again is not None
    assert unused is None


def test_a_session_ends_however_much_it_is_used(store: Store, person: str, clock: FakeClock) -> None:
    cookie = open_session(store, person)

    hours = 0
    while find_session(store, cookie) is not None:
        clock.sleep(900)
        hours += 1

    assert hours == ABSOLUTE_SECONDS / 900


def test_a_new_login_makes_a_new_cookie_and_ends_the_old_one(store: Store, person: str) -> None:
    old = open_session(store, person)

    new = open_session(store, person, old_cookie=old)

    assert new != old
    assert find_session(store, old) is None
    assert find_session(store, new) is not None


def test_a_closed_session_is_over_and_others_are_not(store: Store, person: str) -> None:
    first, second = open_session(store, person), open_session(store, person)

    close_session(store, first)

    assert find_session(store, first) is None
    assert find_session(store, second) is not None


def test_somebody_elses_session_cannot_be_closed(store: Store, person: str) -> None:
    other = store.add_user("other@example.com", "admin")
    cookie = open_session(store, other)
    [shown] = list_sessions(store, other)

    closed = close_session_of(store, person, str(shown["id"]))

    assert not closed
    assert find_session(store, cookie) is not None


def test_ones_own_session_can_be_closed_by_its_id(store: Store, person: str) -> None:
    cookie = open_session(store, person)
    [shown] = list_sessions(store, person)

    closed = close_session_of(store, person, str(shown["id"]))

    assert closed
    assert find_session(store, cookie) is None


def test_all_sessions_but_ones_own_can_be_ended(store: Store, person: str) -> None:
    mine, *others = [open_session(store, person) for _ in range(3)]
    own = find_session(store, mine)
    assert own is not None

    with store.write() as connection:
        close_sessions(connection, person, but=own.id)

    assert find_session(store, mine) is not None
    assert [find_session(store, each) for each in others] == [None, None]


def test_the_list_shows_open_sessions_and_no_secret(store: Store, person: str, clock: FakeClock) -> None:
    open_session(store, person, user_agent="Long ago")
    clock.sleep(IDLE_SECONDS)
    cookie = open_session(store, person, user_agent="Firefox " + "x" * 1000)

    [shown] = list_sessions(store, person)

    assert shown.keys() == {"id", "user_agent", "created_at", "seen_at"}
    assert len(str(shown["user_agent"])) == 255
    assert cookie not in str(shown)


def test_neither_cookie_nor_csrf_token_is_stored(store: Store, person: str) -> None:
    cookie = open_session(store, person)
    session = find_session(store, cookie)
    assert session is not None

    with store.read() as connection:
        stored = str(connection.execute(sa.text("SELECT * FROM sessions")).all())

    assert session.id in stored
    assert cookie not in stored
    assert session.csrf not in stored


@pytest.mark.parametrize("value", [None, "", "x", "a" * 64, "é", "\udc80"])
def test_a_csrf_token_is_the_sessions_own(store: Store, person: str, value: str | None) -> None:
    session, other = (find_session(store, open_session(store, person)) for _ in range(2))
    assert session is not None
    assert other is not None

    assert is_csrf(session, session.csrf)
    assert not is_csrf(session, other.csrf)
    assert not is_csrf(session, value)


@pytest.mark.parametrize(
    ("headers", "same"),
    [
        ({"origin": "http://127.0.0.1:8800"}, True),
        ({"origin": "http://127.0.0.1:8801"}, False),
        ({"origin": "https://127.0.0.1:8800"}, False),
        ({"origin": "null", "referer": "http://127.0.0.1:8800/"}, False),
        ({"origin": ""}, False),
        ({"referer": "http://127.0.0.1:8800/policies"}, True),
        ({"referer": "http://127.0.0.1:8800"}, True),
        ({"referer": "http://127.0.0.1:8800.example.com/"}, False),
        ({}, False),
    ],
)
def test_a_form_comes_from_a_page_of_ours(headers: dict[str, str], same: bool) -> None:
    pairs = [(name.encode(), value.encode()) for name, value in {"host": "127.0.0.1:8800", **headers}.items()]
    request = Request({"type": "http", "scheme": "http", "path": "/mode", "headers": pairs, "query_string": b""})

    assert is_same_origin(request) is same


def test_a_cookie_is_out_of_reach_of_scripts_and_other_sites() -> None:
    plain, over_tls = (set_cookie_header("c", secure=secure) for secure in (False, True))

    assert plain == f"{sessions.COOKIE}=c; Path=/; HttpOnly; SameSite=Strict"
    assert over_tls == f"{plain}; Secure"
