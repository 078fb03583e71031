"""Logging in to the page: with a password, with a code, and not at all."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pyotp
import pytest
import sqlalchemy as sa

from reconciler.server.accounts.sessions import COOKIE, IDLE_SECONDS
from reconciler.server.tables import sessions
from tests.support.clocks import FakeClock
from tests.support.servers import RunningServer, reference_server
from tests.support.visitors import PASSWORD, Visitor, read_page, visitor

EMAIL = "admin@example.com"


@pytest.fixture
def site(clock: FakeClock) -> Iterator[RunningServer]:
    with reference_server(clock=clock) as running:
        running.store.add_user(EMAIL, "admin", password=PASSWORD)
        yield running


@pytest.fixture
def browser(site: RunningServer) -> Iterator[httpx.Client]:
    """Somebody who is not logged in, with a jar for cookies."""
    with httpx.Client(base_url=site.url, headers={"Accept": "text/html"}, trust_env=False, timeout=30) as client:
        yield client


def enter(browser: httpx.Client, *, address: str = "/login", **fields: str) -> httpx.Response:
    """Fill the login's form and send it."""
    page = read_page(browser.get(address))
    hidden = {each["name"]: each["value"] for each in page.all("input", type="hidden")}
    filled = {**hidden, "email": EMAIL, "password": PASSWORD, "code": "", **fields}
    return browser.post("/login", data=filled, headers={"Origin": str(browser.base_url).rstrip("/")})


def test_a_page_leads_to_the_login_and_the_login_back(browser: httpx.Client) -> None:
    asked = browser.get("/policies?origin=git")

    reply = enter(browser, address=asked.headers["location"])

    assert (asked.status_code, reply.status_code) == (303, 303)
    assert reply.headers["location"] == "/policies?origin=git"
    assert browser.get("/policies?origin=git").status_code == 200
    cookies = " ".join(reply.headers.get_list("set-cookie"))
    assert f"{COOKIE}=" in cookies
    assert cookies.count("HttpOnly; SameSite=Strict") == 2


@pytest.mark.parametrize(
    "fields", [{"password": "wrong"}, {"password": ""}, {"email": "nobody@example.com"}, {"email": "' OR 1=1 --"}]
)
def test_a_wrong_login_says_that_and_not_which(browser: httpx.Client, fields: dict[str, str]) -> None:
    reply = enter(browser, **fields)

    assert reply.status_code == 401
    assert "E-mail, password or code is wrong." in read_page(reply).text
    assert PASSWORD not in reply.text
    assert browser.get("/").status_code == 303


def test_a_login_that_another_page_sends_is_refused(site: RunningServer, browser: httpx.Client) -> None:
    filled = {"email": EMAIL, "password": PASSWORD, "code": ""}
    token = read_page(browser.get("/login")).all("input", name="csrf")[0]["value"]
    origin = {"Origin": site.url}

    replies = [
        browser.post("/login", data=filled, headers=origin),
        browser.post("/login", data={**filled, "csrf": "0" * 64}, headers=origin),
        browser.post("/login", data={**filled, "csrf": token}, headers={"Origin": "https://example.org"}),
        httpx.post(f"{site.url}/login", data={**filled, "csrf": token}, headers=origin, trust_env=False),
    ]

    assert [reply.status_code for reply in replies] == [403] * 4
    with site.store.read() as connection:
        assert connection.execute(sa.select(sessions)).first() is None


def test_too_many_wrong_logins_have_to_wait(browser: httpx.Client) -> None:
    statuses = [enter(browser, password="wrong").status_code for _ in range(6)]

    assert statuses == [401] * 5 + [429]
    assert "Wait a few minutes" in enter(browser).text


def test_a_second_factor_is_set_up_asked_for_and_turned_off(
    site: RunningServer, browser: httpx.Client, clock: FakeClock
) -> None:
    with visitor(site, EMAIL) as admin:
        page = read_page(admin.post("/account/second-factor"))
        secret = page.text.partition("Secret ")[2].partition(" On this device")[0].replace(" ", "")
        totp = pyotp.TOTP(secret)
        wrong = admin.post("/account/second-factor/confirm", {"code": "000000"})
        confirmed = read_page(admin.post("/account/second-factor/confirm", {"code": totp.at(clock.now())}))
        codes = [text for text in confirmed.texts if len(text) > 8 and text.replace("-", "").isalnum() and "-" in text]
        assert admin.get("/account.json").json()["second_factor"]
        assert (wrong.status_code, len(codes)) == (422, 10)
        assert secret not in admin.get("/account").text

        clock.passed += 60
        without = enter(browser)
        replies = [enter(browser, code=code).status_code for code in ("123456", totp.at(clock.now()))]
        assert (without.status_code, replies) == (200, [401, 303])
        assert "A code is needed, too." in read_page(without).text

        refused = admin.post("/account/second-factor/remove", {"code": totp.at(clock.now())})
        removed = admin.post("/account/second-factor/remove", {"code": codes[0]})
        assert (refused.status_code, removed.status_code) == (422, 303)
        assert not admin.get("/account.json").json()["second_factor"]
        actions = [each["action"] for each in admin.get("/trail.json").json()["entries"]]
        assert actions == ["remove_mfa", "login", "login_failed", "add_mfa"]


def test_a_login_starts_a_new_session_and_a_logout_ends_it(site: RunningServer, browser: httpx.Client) -> None:
    enter(browser)
    first = browser.cookies[COOKIE]
    csrf = read_page(browser.get("/account")).all("input", name="csrf")[0]["value"]

    left = browser.post("/logout", data={"csrf": csrf}, headers={"Origin": site.url})
    after = httpx.get(f"{site.url}/", headers={"Cookie": f"{COOKIE}={first}"}, trust_env=False)

    assert left.headers["location"] == "/login?note=out"
    assert "You are logged out." in browser.get("/login?note=out").text
    assert after.status_code == 303
    assert COOKIE not in browser.cookies


def test_a_session_that_has_ended_says_so(site: RunningServer, clock: FakeClock) -> None:
    with visitor(site, EMAIL) as admin:
        assert admin.get("/policies").status_code == 200

        clock.passed += IDLE_SECONDS + 1
        reply = admin.get("/policies")
        page = read_page(admin.get(reply.headers["location"]))

    assert reply.headers["location"] == "/login?next=%2Fpolicies&ended=yes"
    assert "Max-Age=0" in reply.headers["set-cookie"]
    assert "Your session has ended." in page.text


def test_one_ends_ones_own_sessions_and_nobody_elses(site: RunningServer) -> None:
    with visitor(site, EMAIL) as here, visitor(site, EMAIL) as there, visitor(site, "other@example.com") as other:

        def own(who: Visitor) -> str:
            [found] = [each["id"] for each in who.get("/account.json").json()["sessions"] if each["is_this"]]
            return str(found)

        theirs = own(there)

        assert other.post(f"/account/sessions/{theirs}/end").status_code == 404
        assert here.post(f"/account/sessions/{theirs}/end").status_code == 303
        assert [there.get("/").status_code, here.get("/").status_code, other.get("/").status_code] == [303, 200, 200]


def test_what_people_do_with_their_account_is_in_the_trail(site: RunningServer, browser: httpx.Client) -> None:
    enter(browser, password="wrong")
    enter(browser)
    csrf = read_page(browser.get("/account")).all("input", name="csrf")[0]["value"]
    browser.post("/logout", data={"csrf": csrf}, headers={"Origin": site.url})

    with visitor(site, EMAIL) as admin:
        entries = admin.get("/trail.json").json()["entries"]

    assert [each["action"] for each in entries] == ["logout", "login", "login_failed"]
    assert {each["actor"] for each in entries} == {EMAIL}
