"""Who looks at a page, and whether what their browser sent may change something."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from reconciler.server.accounts.sessions import (
    COOKIE,
    CSRF_FIELD,
    CSRF_HEADER,
    Session,
    find_session,
    is_csrf,
    is_same_origin,
)
from reconciler.server.auth import Asked, find_reader
from reconciler.server.pages.forms import parse_form
from reconciler.server.pages.problems import LoginNeeded, PageError
from reconciler.server.pages.trail import ChainWatch
from reconciler.server.store import Caller, Store


@dataclass(frozen=True, slots=True)
class Visit:
    """One request for a page by somebody who is known. A program that reads `.json` with a token has no session."""

    caller: Caller
    store: Store
    request: Request
    session: Session | None

    @property
    def is_admin(self) -> bool:
        return self.caller.role == "admin" and "write" in self.caller.scopes

    @property
    def asked(self) -> Asked:
        """The same request as the API's handlers know it."""
        return Asked(self.caller, self.store, self.request)


@dataclass(frozen=True, slots=True)
class Sent:
    """A form that may take effect: it came from a page of this session."""

    visit: Visit
    fields: Mapping[str, str]

    def text(self, name: str) -> str:
        """The field, trimmed; empty when it was not sent."""
        return self.fields.get(name, "").strip()


def wants_json(request: Request) -> bool:
    return request.url.path.endswith(".json")


def store_of(request: Request) -> Store:
    store: Store = request.app.state.store
    return store


def chains_of(visit: Visit) -> ChainWatch:
    watch: ChainWatch = visit.request.app.state.chains
    return watch


def find_visit(request: Request) -> Visit:
    """The visitor of a page: by the session's cookie, or by a token where JSON was asked for."""
    if wants_json(request) and "authorization" in request.headers:
        asked = find_reader(request)
        return Visit(asked.caller, asked.store, request, None)
    store, cookie = store_of(request), request.cookies.get(COOKIE)
    session = find_session(store, cookie)
    if session is None:
        raise LoginNeeded(_here(request), has_ended=bool(cookie))
    return Visit(session.caller, store, request, session)


def find_sent(request: Request) -> Sent:
    """The form of a logged-in visitor; 403 unless it carries the session's own token and came from our own page."""
    visit = find_visit(request)
    fields = read_form(request)
    token = request.headers.get(CSRF_HEADER) or fields.get(CSRF_FIELD)
    if visit.session is None or not is_csrf(visit.session, token) or not is_same_origin(request):
        raise refused_form()
    return Sent(visit, fields)


def find_admin_sent(request: Request) -> Sent:
    """As `find_sent`, and 403 unless the visitor is an admin."""
    sent = find_sent(request)
    if not sent.visit.is_admin:
        raise PageError(403, "Only admins can do that", "Your account can look at everything here and change nothing.")
    return sent


def read_form(request: Request) -> Mapping[str, str]:
    data: bytes = request.scope["reconciler.body"]
    return parse_form(data, request.headers.get("content-type", ""))


def refused_form() -> PageError:
    sentence = "The form did not come from a page of this session. Nothing was changed. Load the page again and retry."
    return PageError(403, "That form was refused", sentence)


def _here(request: Request) -> str:
    """Where to come back to after a login: this page, or for a form the page it stood on, which is the one above."""
    path = request.url.path
    if request.method != "GET":
        return "/"
    return f"{path}?{request.url.query}" if request.url.query else path


Looking = Annotated[Visit, Depends(find_visit)]
Sending = Annotated[Sent, Depends(find_sent)]
AdminSending = Annotated[Sent, Depends(find_admin_sent)]
