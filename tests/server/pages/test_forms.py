"""Forms: which are believed, and that one which is not believed changes nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from urllib.parse import urlencode

import httpx
import pytest
import sqlalchemy as sa
from fastapi.routing import APIRoute
from hypothesis import given
from hypothesis import strategies as st

from reconciler.server.accounts.sessions import COOKIE, make_csrf
from reconciler.server.pages import app as pages
from reconciler.server.pages.forms import own_page, parse_form, read_moment
from reconciler.server.pages.problems import PageError
from reconciler.server.tables import metadata
from tests.support.servers import RunningServer, reference_server
from tests.support.visitors import Visitor, program, visitor

#: Every form there is, by its address: a new one is tested without being named here.
FORMS = sorted(
    route.path
    for router in pages.ROUTERS
    for route in router.routes
    if isinstance(route, APIRoute) and "POST" in route.methods and route.path != "/login"
)
#: Those that anybody may send for their own account.
OWN = {path for path in FORMS if path.startswith(("/account", "/logout"))}


@pytest.fixture(scope="module")
def running() -> Iterator[RunningServer]:
    with reference_server(neosc_crud=True) as server, program(server) as api:
        api.get("/api/policies")
        yield server


@pytest.fixture(scope="module")
def admin(running: RunningServer) -> Iterator[Visitor]:
    with visitor(running, "admin@example.com") as found:
        yield found


@pytest.fixture(scope="module")
def viewer(running: RunningServer) -> Iterator[Visitor]:
    with visitor(running, "viewer@example.com", "user") as found:
        yield found


KIND = "application/x-www-form-urlencoded; charset=utf-8"
#: What is no text: controls, but for tab and line ends. Half a surrogate cannot even be sent.
UNUSABLE = {chr(code) for code in (*range(32), 127)} - {"\t", "\n", "\r"}


def address(path: str) -> str:
    filled = path.replace("{system}", "neosc").replace("{policy_id}", "pol-mfa-required")
    return filled.replace("{finding_id}", "find-1").replace("{verb}", "resolve").replace("{session_id}", "ses-1")


def everything(server: RunningServer) -> Mapping[str, list[tuple[object, ...]]]:
    """Every row of every table, but for when a session was last seen."""
    with server.store.read() as connection:
        return {
            table.name: [
                tuple(row)
                for row in connection.execute(sa.select(*(each for each in table.c if each.name != "seen_at")))
            ]
            for table in metadata.sorted_tables
        }


def fields(csrf: str | None) -> dict[str, str]:
    rest = {"enabled": "off", "mode": "strict", "confirm": "strict", "reason": "because it has to be"}
    return {**rest, "until": "2027-01-01T00:00", **({} if csrf is None else {"csrf": csrf})}


def test_there_are_forms() -> None:
    assert len(FORMS) > 8
    assert len(OWN) == 5


@pytest.mark.parametrize("path", FORMS)
def test_a_form_that_is_not_this_sessions_is_refused_and_changes_nothing(
    running: RunningServer, admin: Visitor, viewer: Visitor, path: str
) -> None:
    own, origin = make_csrf(admin.cookie), {"Origin": running.url}
    tries: list[tuple[dict[str, str], dict[str, str]]] = [
        (fields(None), origin),
        (fields(""), origin),
        (fields("0" * 64), origin),
        (fields(make_csrf(viewer.cookie)), origin),
        (fields(admin.cookie), origin),
        (fields(own), {}),
        (fields(own), {"Origin": "https://example.org"}),
        (fields(own), {"Origin": "null"}),
        (fields(own), {"Referer": f"{running.url}.example.org/"}),
    ]
    before = everything(running)

    statuses = [admin.client.post(address(path), data=data, headers=headers).status_code for data, headers in tries]

    assert statuses == [403] * len(tries)
    assert everything(running) == before


@pytest.mark.parametrize("path", FORMS)
def test_a_form_without_a_session_leads_to_the_login_and_changes_nothing(running: RunningServer, path: str) -> None:
    before = everything(running)

    for cookie in ("", "a" * 43):
        headers = {"Origin": running.url, **({"Cookie": f"{COOKIE}={cookie}"} if cookie else {})}
        reply = httpx.post(
            running.url + address(path), data=fields(make_csrf(cookie)), headers=headers, trust_env=False
        )

        assert reply.status_code == 303
        assert reply.headers["location"].startswith("/login")
    assert everything(running) == before


@pytest.mark.parametrize("path", sorted(set(FORMS) - OWN))
def test_a_plain_user_changes_nothing(running: RunningServer, viewer: Visitor, path: str) -> None:
    before = everything(running)

    reply = viewer.post(address(path), fields(None))

    assert reply.status_code == 403
    assert "Only admins" in reply.text
    assert everything(running) == before


@pytest.mark.parametrize("path", FORMS)
@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b'{"enabled": "off"}', "application/json"),
        (b"csrf=a&csrf=b", "application/x-www-form-urlencoded"),
        (b"a=%ff", "application/x-www-form-urlencoded"),
        (b"a=%00", "application/x-www-form-urlencoded"),
        (b"&".join(b"a%d=b" % number for number in range(50)), "application/x-www-form-urlencoded"),
    ],
)
def test_what_is_no_form_is_refused(running: RunningServer, admin: Visitor, path: str, body: bytes, kind: str) -> None:
    headers = {"Origin": running.url, "Content-Type": kind}

    reply = admin.client.post(address(path), content=body, headers=headers)

    assert reply.status_code == 400
    assert reply.headers["content-type"].startswith("text/html")


def test_a_scripts_form_without_a_session_is_told_where_to_go(running: RunningServer) -> None:
    reply = httpx.post(f"{running.url}/mode", data=fields(None), headers={"HX-Request": "true"}, trust_env=False)

    assert reply.status_code == 401
    assert reply.headers["hx-redirect"] == "/login"


def test_the_token_may_come_in_a_header(running: RunningServer, admin: Visitor) -> None:
    headers = {"X-CSRF-Token": make_csrf(admin.cookie), "Origin": running.url}

    reply = admin.client.post("/mode", data={"mode": "neither"}, headers=headers)

    assert reply.status_code == 400


@given(st.dictionaries(st.text(max_size=20), st.text(max_size=50), max_size=10))
def test_a_form_that_a_browser_sends_is_read_as_it_was_or_refused(sent: dict[str, str]) -> None:
    try:
        body = urlencode(sent).encode()
    except UnicodeEncodeError:
        return

    if any(char in text for pair in sent.items() for text in pair for char in UNUSABLE):
        with pytest.raises(PageError):
            parse_form(body, KIND)
    else:
        assert parse_form(body, KIND) == sent


@pytest.mark.parametrize(
    "target",
    [
        *("//example.org", "https://example.org", "/\\example.org", "\\\\example.org", "javascript:alert(1)", "x", ""),
        *("/a\r\nSet-Cookie: x=y", "/\texample.org", "/é", "/" + "a" * 600),
    ],
)
def test_a_login_leads_to_no_other_origin(target: str) -> None:
    assert own_page(target) == "/"


@pytest.mark.parametrize("target", ["/", "/policies?origin=git&q=a%20b", "/policies/neosc/pol-mfa-required"])
def test_a_login_leads_back_to_a_page_of_ours(target: str) -> None:
    assert own_page(target) == target


@pytest.mark.parametrize("text", ["", "tomorrow", "2026-11-20", "2026-13-01T00:00", "2026-11-20T09:00:00Z", "9" * 400])
def test_a_time_that_is_none_is_none(text: str) -> None:
    assert read_moment(text) is None
