"""Logging in and out. The form has a token of its own, so that nobody logs a visitor in as somebody else."""

from __future__ import annotations

import re
from typing import Final

import sqlalchemy as sa
from fastapi import APIRouter, Request
from starlette.responses import Response

from reconciler.server.accounts.login import Account, CodeRequiredError, log_in
from reconciler.server.accounts.sessions import (
    COOKIE,
    close_session,
    drop_cookie_header,
    find_session,
    insert_session,
    is_same_origin,
    make_csrf,
    set_cookie_header,
)
from reconciler.server.credentials import make_token
from reconciler.server.pages.forms import own_page
from reconciler.server.pages.render import NOTES, go, show
from reconciler.server.pages.visit import Sending, read_form, refused_form, store_of
from reconciler.server.replies import ApiError
from reconciler.server.trail.entries import SERVER, record

#: Holds what the login form's token is made of, until somebody is logged in.
LOGIN_COOKIE: Final = "reconciler_login"
_COOKIE_VALUE: Final = re.compile(r"[A-Za-z0-9_-]{43}")

router = APIRouter(include_in_schema=False)


@router.get("/login")
def ask(request: Request) -> Response:
    """The form; whoever is logged in already goes on at once."""
    back = own_page(request.query_params.get("next"))
    if find_session(store_of(request), request.cookies.get(COOKIE)) is not None:
        return go(back)
    return _form(request, back=back, ended=request.query_params.get("ended") == "yes")


@router.post("/login")
def enter(request: Request) -> Response:
    """Open a session for the right email, password and code; else show the form again, with a sentence."""
    fields, planted = read_form(request), request.cookies.get(LOGIN_COOKIE, "")
    is_ours = _COOKIE_VALUE.fullmatch(planted) and fields.get("csrf") == make_csrf(planted)
    if not is_ours or not is_same_origin(request):
        raise refused_form()
    back, email = own_page(fields.get("next")), fields.get("email", "").strip()[:255]
    store, agent = store_of(request), request.headers.get("user-agent", "")

    def finish(connection: sa.Connection, account: Account) -> str:
        old = request.cookies.get(COOKIE)
        return insert_session(connection, store, account.caller.user_id, user_agent=agent, old_cookie=old)

    try:
        cookie = log_in(
            request,
            store,
            email=email,
            password=fields.get("password", "")[:1024],
            code=fields.get("code", "").strip()[:64] or None,
            system=SERVER,
            finish=finish,
        )
    except CodeRequiredError:
        return _form(request, back=back, email=email, wrong="A code is needed, too. Type the password again with it.")
    except ApiError as error:
        wrong = {429: "Too many attempts. Wait a few minutes."}.get(error.status, "E-mail, password or code is wrong.")
        return _form(request, back=back, email=email, wrong=wrong, status=error.status, headers=error.headers)
    secure = request.url.scheme == "https"
    reply = go(back)
    reply.headers.append("Set-Cookie", set_cookie_header(cookie, secure=secure))
    reply.headers.append("Set-Cookie", f"{LOGIN_COOKIE}=; Path=/login; HttpOnly; SameSite=Strict; Max-Age=0")
    return reply


@router.post("/logout")
def leave(sent: Sending) -> Response:
    visit = sent.visit
    close_session(visit.store, visit.request.cookies.get(COOKIE, ""))
    with visit.store.write() as connection:
        resource = f"user:{visit.caller.user_id}"
        record(connection, visit.asked, system=SERVER, action="logout", resource=resource, details="User logged out")
    gone = drop_cookie_header(secure=visit.request.url.scheme == "https")
    return go("/login", note="out", headers={"Set-Cookie": gone})


def _form(
    request: Request,
    *,
    back: str,
    email: str = "",
    wrong: str | None = None,
    ended: bool = False,
    status: int = 200,
    headers: dict[str, str] | None = None,
) -> Response:
    cookie = make_token()
    secure = "; Secure" if request.url.scheme == "https" else ""
    planted = f"{LOGIN_COOKIE}={cookie}; Path=/login; HttpOnly; SameSite=Strict{secure}"
    shown = {"csrf_value": make_csrf(cookie), "next": back, "email": email, "wrong": wrong, "ended": ended}
    note = NOTES["out"] if request.query_params.get("note") == "out" else None
    sent = {**(headers or {}), "Set-Cookie": planted}
    return show("login.html", status=status, headers=sent, title="Log in", name="login", note=note, **shown)
