"""People who look at the server's pages, without a browser: a cookie, forms with their token, and what a page holds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any

import httpx

from reconciler.server.accounts.people import find_user_id
from reconciler.server.accounts.sessions import COOKIE, make_csrf, open_session
from tests.support.servers import RunningServer

PASSWORD = "correct horse battery staple"
COMMIT = "3f9c2ab1d4e5f60718293a4b5c6d7e8f90a1b2c3"


@dataclass
class Page(HTMLParser):
    """A page taken apart: elements with their attributes in order, and the text in between."""

    elements: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())

    def all(self, tag: str, **wanted: str) -> list[dict[str, str]]:
        """The attributes of every such element."""
        named = {name.rstrip("_").replace("_", "-"): value for name, value in wanted.items()}
        return [attrs for found, attrs in self.elements if found == tag and named.items() <= attrs.items()]


def read_page(reply: httpx.Response) -> Page:
    page = Page()
    page.feed(reply.text)
    page.close()
    return page


@dataclass(frozen=True)
class Visitor:
    """Somebody with an open session, in whose name forms are sent as a browser sends them."""

    url: str
    cookie: str
    client: httpx.Client

    def get(self, path: str, **options: Any) -> httpx.Response:
        return self.client.get(path, **options)

    def page(self, path: str) -> Page:
        reply = self.client.get(path)
        assert reply.status_code == 200, (reply.status_code, reply.text)
        return read_page(reply)

    def post(
        self, path: str, fields: Mapping[str, str] | None = None, *, headers: Mapping[str, str] | None = None
    ) -> httpx.Response:
        """Send a form with this session's token."""
        sent = {"csrf": make_csrf(self.cookie), **(fields or {})}
        return self.client.post(path, data=sent, headers={"Origin": self.url, **(headers or {})})


@contextmanager
def visitor(
    server: RunningServer, email: str, role: str = "admin", *, organization: str = "default"
) -> Iterator[Visitor]:
    """Somebody who is logged in, for the length of a block."""
    with server.store.read() as connection:
        known = find_user_id(connection, email)  # making an account again ends its sessions
    user_id = known or server.store.add_user(email, role, organization=organization)
    cookie = open_session(server.store, user_id, user_agent="a browser")
    headers = {"Accept": "text/html", "Cookie": f"{COOKIE}={cookie}"}
    with httpx.Client(base_url=server.url, headers=headers, trust_env=False, timeout=30) as client:
        yield Visitor(server.url, cookie, client)


@contextmanager
def program(server: RunningServer, token: str | None = None) -> Iterator[httpx.Client]:
    """A client of the APIs with a token: an admin's when none is given."""
    headers = {"Authorization": f"Bearer {token or server.token}"}
    with httpx.Client(base_url=server.url, headers=headers, trust_env=False, timeout=30) as client:
        yield client


def from_git(key: str, commit: str = COMMIT) -> dict[str, str]:
    """The headers of a request that `reconciler apply` makes."""
    return {"User-Agent": f"reconciler/0.1.0 (commit={commit}; key={key}; plan=0123456789ab)"}
