"""A real browser for a test: Debian's Chromium, driven by Playwright, with all it asked for and complained of."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, ConsoleMessage, Page, Request

NAMES = ("chromium", "chromium-browser", "google-chrome")


def find_chromium() -> str | None:
    """The program: the one that `CHROMIUM` names, else the first that is installed."""
    return os.environ.get("CHROMIUM") or next((found for name in NAMES if (found := shutil.which(name))), None)


@contextmanager
def browser() -> Iterator[Browser]:
    """A browser without a window; the test is skipped where there is none."""
    program = find_chromium()
    if program is None:
        pytest.skip("needs a browser: apt-get install chromium, or name one in CHROMIUM")
    playwright = pytest.importorskip("playwright.sync_api", reason="needs Playwright, which is in the development lock")
    as_root = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    with playwright.sync_playwright() as running:
        started = running.chromium.launch(executable_path=program, args=as_root)
        yield started
        started.close()


@dataclass
class Tab:
    """One page in a browser of its own, and what must not happen in it."""

    page: Page
    url: str
    complaints: list[str] = field(default_factory=list)
    #: Texts of complaints that the test expects: a refusal is one to a browser.
    expected: tuple[str, ...] = ()

    def go(self, path: str) -> None:
        self.page.goto(self.url + path)

    def check(self) -> None:
        """No error, no dialog, nothing asked of another place."""
        found = [text for text in self.complaints if not any(each in text for each in self.expected)]
        assert found == []


@contextmanager
def tab(browser: Browser, url: str, *, cookies: dict[str, str] | None = None, **options: Any) -> Iterator[Tab]:
    """A fresh profile in UTC with one page; *options* are Playwright's. At the end nothing must have gone wrong."""
    context = browser.new_context(**{"viewport": {"width": 1280, "height": 800}, "locale": "en-GB", **options})
    context.add_cookies([{"name": name, "value": value, "url": url} for name, value in (cookies or {}).items()])
    opened = Tab(context.new_page(), url)
    opened.page.set_default_timeout(15_000)

    def hear(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            opened.complaints.append(f"{message.type}: {message.text}")

    def see(request: Request) -> None:
        if not request.url.startswith(f"{url}/"):
            opened.complaints.append(f"asked for {request.url}")

    opened.page.on("console", hear)
    opened.page.on("request", see)
    opened.page.on("pageerror", lambda error: opened.complaints.append(f"exception: {error}"))
    opened.page.on("dialog", lambda dialog: opened.complaints.append(f"dialog: {dialog.message}"))
    yield opened
    context.close()
    opened.check()
