"""The pages in a real browser: with and without a script, by keyboard, light and dark, live."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import httpx
import pyotp
import pytest

from docs.pictures import IMAGES, SCREENSHOTS
from reconciler.server.accounts.sessions import COOKIE, open_session
from tests.server.pages.test_pages import HOSTILE
from tests.support.browsers import Tab, browser, tab
from tests.support.checkout import ROOT
from tests.support.clocks import FakeClock
from tests.support.servers import RunningServer, reference_server
from tests.support.staging import stage
from tests.support.visitors import PASSWORD, from_git, program

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = pytest.mark.heavy

AXE = (ROOT / "tests" / "vendor" / "axe-core" / "axe-4.14.1.min.js").read_text(encoding="utf-8")
#: WCAG 2.2 AA and what axe calls good practice.
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
EMAIL = "alex@example.com"
MFA = "/policies/neosc/pol-mfa-required"


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser() as started:
        yield started


class Place:
    """A server with two weeks behind it, and the ways to come to it."""

    def __init__(self, chromium: Browser, server: RunningServer, clock: FakeClock, policies: dict[str, str]) -> None:
        self.chromium, self.server, self.clock, self.policies = chromium, server, clock, policies
        self.user_id = server.store.add_user(EMAIL, "admin", password=PASSWORD)

    def visit(self, **options: Any) -> Any:
        """A tab of somebody who is logged in."""
        cookie = open_session(self.server.store, self.user_id, user_agent="Chromium on Linux")
        return tab(self.chromium, self.server.url, cookies={COOKIE: cookie}, **options)

    @property
    def paths(self) -> Sequence[str]:
        """Every page, those that ask for something as well."""
        rates, glass = (self.policies[name] for name in ("Rate Limit Enforcement", "IP Allowlist Policy"))
        lists = ("/", "/policies", "/matrix", "/trail", "/violations", "/alerts", "/mode", "/account")
        return (*lists, rates, glass, MFA, f"{MFA}/break-glass", "/nothing")


@pytest.fixture(scope="module")
def place(chromium: Browser) -> Iterator[Place]:
    clock = FakeClock()
    with reference_server(clock=clock, neosc_crud=True) as server:
        yield Place(chromium, server, clock, stage(server, clock))


@pytest.fixture
def fresh(chromium: Browser) -> Iterator[Place]:
    """A server that nothing has happened to yet."""
    clock = FakeClock()
    with reference_server(clock=clock, neosc_crud=True) as server, program(server) as api:
        policies = {each["name"]: f"/policies/neosc/{each['id']}" for each in api.get("/api/policies").json()}
        yield Place(chromium, server, clock, policies)


@pytest.fixture
def api(fresh: Place) -> Iterator[httpx.Client]:
    with program(fresh.server) as client:
        yield client


def fill_login(opened: Tab, code: str = "") -> None:
    opened.page.get_by_label("E-mail").fill(EMAIL)
    opened.page.get_by_label("Password").fill(PASSWORD)
    opened.page.get_by_label("Code").fill(code)
    opened.page.get_by_role("button", name="Log in").click()


def is_on(api: httpx.Client, policy_id: str = "pol-mfa-required") -> bool:
    return {each["id"]: each["enabled"] for each in api.get("/api/policies").json()}[policy_id]


def test_a_second_factor_is_set_up_and_asked_for(fresh: Place) -> None:
    with tab(fresh.chromium, fresh.server.url) as opened:
        page = opened.page
        opened.go("/account")
        fill_login(opened)
        page.get_by_role("button", name="Set it up").click()
        secret = page.locator("dd code").first.inner_text().replace(" ", "")
        page.get_by_label("Code").fill(pyotp.TOTP(secret).at(fresh.clock.now()))
        page.get_by_role("button", name="Turn it on").click()
        assert page.locator("li.card").count() == 10
        page.get_by_role("button", name="Log out").click()
        assert page.get_by_text("You are logged out.").is_visible()

        fresh.clock.passed += 60
        fill_login(opened)
        assert page.get_by_role("alert").inner_text() == "A code is needed, too. Type the password again with it."
        fill_login(opened, pyotp.TOTP(secret).at(fresh.clock.now()))
        page.get_by_role("heading", name="Overview").wait_for()


def test_a_switch_flips_in_its_place(fresh: Place, api: httpx.Client) -> None:
    with fresh.visit() as opened:
        page = opened.page
        opened.go("/policies")
        page.evaluate("window.untouched = true")

        page.get_by_role("switch", name="MFA Required").click()
        page.get_by_role("switch", name="MFA Required", checked=False).wait_for()

        assert page.get_by_role("status").inner_text() == "Switched off."
        assert page.evaluate("window.untouched")
        assert page.evaluate("document.activeElement.id") == "switch-neosc-pol-mfa-required"
        assert not is_on(api)


def test_a_switch_that_git_took_over_meanwhile_says_why_it_does_not_move(fresh: Place, api: httpx.Client) -> None:
    with fresh.visit() as opened:
        opened.expected = ("409", "ERR_FAILED")
        opened.page.route("**/stream", lambda route: route.abort())  # so that the page does not hear of it
        opened.go("/policies")
        for _ in range(2):
            api.patch("/api/policies/pol-mfa-required", headers=from_git("pol-mfa-required"))

        opened.page.get_by_role("switch", name="MFA Required").click()
        opened.page.get_by_role("status").get_by_text("Git manages MFA Required.").wait_for()

        assert opened.page.get_by_role("switch", name="MFA Required").get_attribute("aria-checked") == "true"
        assert is_on(api)


def test_a_switch_is_locked_on_an_open_page_once_git_has_it(fresh: Place, api: httpx.Client) -> None:
    with fresh.visit() as opened:
        opened.go("/policies")

        for _ in range(2):
            api.patch("/api/policies/pol-mfa-required", headers=from_git("pol-mfa-required"))

        opened.page.get_by_role("link", name="Break glass for MFA Required").wait_for()
        switch = opened.page.get_by_role("switch", name="MFA Required")
        assert switch.get_attribute("aria-disabled") == "true"
        switch.click(force=True)
        assert is_on(api)


def test_the_glass_is_broken_and_mended(fresh: Place, api: httpx.Client) -> None:
    for _ in range(2):
        api.patch("/api/policies/pol-mfa-required", headers=from_git("pol-mfa-required"))
    with fresh.visit() as opened:
        opened.expected = ("422",)
        page = opened.page
        opened.go("/policies")
        page.get_by_role("link", name="Break glass for MFA Required").click()
        page.get_by_label("Reason").fill("The identity provider is down")
        page.get_by_label("Type the id").fill("pol-mfa")
        page.get_by_role("button", name="Switch off").click()
        assert "Nothing was changed." in page.get_by_role("alert").inner_text()
        assert is_on(api)

        page.get_by_label("Type the id").fill("pol-mfa-required")
        page.get_by_role("button", name="Switch off").click()

        assert page.get_by_text("break-glass", exact=True).is_visible()
        assert not is_on(api)
        page.get_by_role("button", name="End break-glass: switch on").click()
        page.get_by_role("switch", name="MFA Required", checked=True).wait_for()
        assert is_on(api)


def raise_alert(api: httpx.Client, event_id: str) -> None:
    event = {"event_id": event_id, "actor_id": f"agent-{event_id}", "action": "read", "resource": "crm/customers"}
    event |= {"source_ip": "203.0.113.9", "tunnel_status": "none"}
    reply = api.post("/v1/evaluate", json={**event, "ts_us": 1})
    assert reply.json()["alerts"], reply.text


def test_an_alert_appears_by_itself_and_is_settled_in_its_place(fresh: Place, api: httpx.Client) -> None:
    with fresh.visit() as opened:
        page = opened.page
        opened.go("/alerts")
        page.evaluate("window.untouched = true")
        assert page.get_by_text("There are none.").is_visible()

        raise_alert(api, "first")
        page.get_by_text("agent-first").first.wait_for()
        assert page.get_by_role("status").inner_text() == "New alert: Zero Trust Network, medium."
        page.locator("#alert-count .count").wait_for()

        page.get_by_role("button", name="Acknowledge").first.click()
        page.locator("#findings .badge", has_text="acknowledged").first.wait_for()
        page.get_by_role("button", name="Resolve").first.click()
        page.locator("#findings .badge", has_text="resolved").first.wait_for()
        assert page.evaluate("window.untouched")


def test_a_page_that_nobody_touches_stops_being_live(fresh: Place, api: httpx.Client) -> None:
    with fresh.visit() as opened:
        page = opened.page
        page.clock.install()
        opened.go("/alerts")
        page.clock.run_for(19 * 60 * 1000)
        page.keyboard.press("Tab")
        page.clock.run_for(19 * 60 * 1000)
        assert page.get_by_role("status").inner_text() == ""

        page.clock.run_for(2 * 60 * 1000)

        assert page.get_by_role("status").inner_text() == "This page is no longer live: load it again."


def test_the_mode_on_an_open_page_follows(fresh: Place, api: httpx.Client) -> None:
    with fresh.visit() as opened:
        opened.go("/policies")
        pill = opened.page.locator("#mode-pill")
        assert "MONITORING" in pill.inner_text()

        api.put("/v1/admin/enforcement-settings", json={"enforcementMode": "strict"})

        opened.page.locator("#mode-pill", has_text="STRICT").wait_for()


def test_everything_can_be_done_by_keyboard(fresh: Place, api: httpx.Client) -> None:
    with tab(fresh.chromium, fresh.server.url) as opened:
        page, keyboard = opened.page, opened.page.keyboard
        opened.go("/login?next=/policies")
        assert page.evaluate("document.activeElement.id") == "email"
        for text in (EMAIL, PASSWORD):
            keyboard.type(text)
            keyboard.press("Tab")
        keyboard.press("Enter")
        page.get_by_role("heading", name="Policies").wait_for()

        keyboard.press("Tab")
        assert page.evaluate("document.activeElement.className") == "skip"
        assert page.locator(".skip").bounding_box()["x"] >= 0
        keyboard.press("Enter")
        assert page.evaluate("document.activeElement.id") == "main"
        for _ in range(40):
            keyboard.press("Tab")
            if page.evaluate("document.activeElement.id") == "switch-neosc-pol-mfa-required":
                break
        outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        keyboard.press("Space")
        page.get_by_role("switch", name="MFA Required", checked=False).wait_for()

        assert outline == "solid"
        assert not is_on(api)


def test_everything_works_without_a_script(fresh: Place, api: httpx.Client) -> None:
    raise_alert(api, "first")
    with tab(fresh.chromium, fresh.server.url, java_script_enabled=False) as opened:
        page = opened.page
        opened.go("/policies")
        fill_login(opened)

        page.get_by_role("switch", name="MFA Required").click()
        assert page.get_by_text("Switched off.").is_visible()
        assert not is_on(api)
        page.get_by_label("Switch").select_option("off")
        page.get_by_role("button", name="Show").click()
        assert page.get_by_role("switch").count() == 1
        opened.go("/alerts")
        page.get_by_role("button", name="Resolve").first.click()
        assert page.get_by_text("Resolved.").is_visible()
        opened.go("/mode")
        page.get_by_role("checkbox").check()
        page.get_by_role("button", name="Set STRICT").click()
        assert page.get_by_text("Mode is STRICT").is_visible()
        page.get_by_role("button", name="Log out").click()
        assert page.get_by_role("heading", name="Log in").is_visible()


def test_what_somebody_wrote_does_nothing_in_a_browser(fresh: Place, api: httpx.Client) -> None:
    text = " ".join(HOSTILE.values())
    body = {"id": "pol-x", "name": text[:250], "description": text, "type": "access", "rules": list(HOSTILE.values())}
    assert api.post("/api/policies", json=body).status_code == 201
    with fresh.visit() as opened:
        for path in ("/", "/policies", "/policies/neosc/pol-x", "/matrix", "/trail", "/policies?q=<script>alert(1)"):
            opened.go(path)
            assert opened.page.title().endswith(" · reconciler")
        assert opened.page.evaluate("document.querySelectorAll('main script, main img, main iframe').length") == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_page_has_a_barrier(place: Place, scheme: str) -> None:
    found = {}
    with place.visit(color_scheme=scheme, reduced_motion="reduce") as opened:
        opened.expected = ("404",)
        for path in place.paths:
            opened.go(path)
            found[path] = barriers(opened)
    with tab(place.chromium, place.server.url, color_scheme=scheme) as opened:
        opened.go("/login?ended=yes")
        found["/login"] = barriers(opened)

    assert {path: each for path, each in found.items() if each} == {}


def barriers(opened: Tab) -> list[str]:
    """What axe finds: the rule, and where."""
    opened.page.evaluate(AXE)
    options = {"runOnly": {"type": "tag", "values": RULES}, "resultTypes": ["violations"]}
    result = opened.page.evaluate(f"axe.run(document, {json.dumps(options)})")
    return [
        f"{each['id']}: {node['html'][:150]} {node['failureSummary']}"
        for each in result["violations"]
        for node in each["nodes"]
    ]


def test_a_narrow_page_does_not_scroll_sideways(place: Place) -> None:
    with place.visit(viewport={"width": 320, "height": 640}) as opened:
        opened.expected = ("404",)
        wide = []
        for path in place.paths:
            opened.go(path)
            if opened.page.evaluate("document.documentElement.scrollWidth") > 320:
                wide.append(path)

    assert wide == []


def test_nothing_moves_for_those_who_asked_for_less_motion(place: Place) -> None:
    with place.visit(reduced_motion="reduce") as opened:
        opened.go("/policies")
        moving = (
            "[...document.querySelectorAll('*')].filter(e => getComputedStyle(e).transitionDuration !== '0s').length"
        )

        assert opened.page.evaluate(moving) == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_screenshots_of_the_docs(place: Place, scheme: str, request: pytest.FixtureRequest) -> None:
    paths = {"overview": "/", "policies": "/policies", "trail": "/trail"}
    keep = request.config.getoption("--screenshots")
    with place.visit(color_scheme=scheme) as opened:
        for name, path in paths.items():
            opened.go(path)
            picture = opened.page.screenshot(full_page=False)
            assert picture.startswith(b"\x89PNG")
            assert f"page-{name}-{scheme}.png" in SCREENSHOTS
            if keep:
                (IMAGES / f"page-{name}-{scheme}.png").write_bytes(picture)
