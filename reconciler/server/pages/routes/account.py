"""One's own account: the second factor, and where one is logged in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from reconciler.server.accounts.factors import (
    Enrolment,
    confirm_enrolment,
    count_recovery_codes,
    is_enrolled,
    remove_factor,
    start_enrolment,
    take_code,
)
from reconciler.server.accounts.sessions import close_session_of, list_sessions
from reconciler.server.accounts.throttle import count_attempt, forgive
from reconciler.server.pages.problems import PageError
from reconciler.server.pages.render import go, page
from reconciler.server.pages.visit import Looking, Sending, Sent, Visit
from reconciler.server.replies import ApiError
from reconciler.server.trail.entries import SERVER, record

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True, slots=True)
class OpenSession:
    id: str
    user_agent: str
    created_at: str
    seen_at: float
    is_this: bool


@dataclass(frozen=True, slots=True)
class AccountPage:
    """Who is logged in, whether a second factor is set up, with how many recovery codes left, and the sessions."""

    email: str
    role: str
    organization: str
    second_factor: bool
    recovery_codes: int
    sessions: tuple[OpenSession, ...]


@router.get("/account")
@router.get("/account.json")
def account(visit: Looking) -> Response:
    return _page(visit)


@router.post("/account/second-factor")
def start(sent: Sending) -> Response:
    """A new secret, shown in this reply and never again; nothing asks for it before it is confirmed."""
    visit = sent.visit
    try:
        with visit.store.write() as connection:
            enrolment = start_enrolment(connection, visit.store, visit.caller.user_id, visit.caller.email)
    except ApiError as error:
        raise PageError(error.status, "It is set up already", "Turn it off before you set up another.") from error
    return _page(visit, enrolment=enrolment)


@router.post("/account/second-factor/confirm")
def confirm(sent: Sending) -> Response:
    """Turn the factor on, and show the recovery codes for the only time. Other sessions of the account end."""
    visit = sent.visit
    _count(sent)
    with visit.store.write() as connection:
        own = None if visit.session is None else visit.session.id
        user_id = visit.caller.user_id
        codes = confirm_enrolment(connection, visit.store, user_id, sent.text("code"), session_id=own)
        if codes is not None:
            forgive(connection, visit.caller.email)
            _record(connection, visit, "add_mfa", "Second factor set up")
    if codes is None:
        return _page(visit, wrong="That code is wrong, or too old. Set it up again and type the next one.", status=422)
    return _page(visit, codes=codes)


@router.post("/account/second-factor/remove")
def remove(sent: Sending) -> Response:
    """Turn the factor off, for a code of it or a recovery code."""
    visit = sent.visit
    _count(sent)
    with visit.store.write() as connection:
        is_right = take_code(connection, visit.store, visit.caller.user_id, sent.text("code"))
        if is_right:
            forgive(connection, visit.caller.email)
            remove_factor(connection, visit.caller.user_id)
            _record(connection, visit, "remove_mfa", "Second factor removed")
    if not is_right:
        return _page(visit, wrong="That code is wrong, or was used before.", status=422)
    return go("/account", note="removed")


@router.post("/account/sessions/{session_id}/end")
def end_session(session_id: str, sent: Sending) -> Response:
    if not close_session_of(sent.visit.store, sent.visit.caller.user_id, session_id):
        raise PageError(404, "There is no such session", "It has ended already.")
    return go("/account", note="session")


def _count(sent: Sent) -> None:
    """Count an attempt on the account, as a login would: codes are short enough to be guessed otherwise."""
    client = sent.visit.request.client
    try:
        count_attempt(sent.visit.store, sent.visit.caller.email, client.host if client else "")
    except ApiError as error:
        raise PageError(error.status, "Too many attempts", "Wait a few minutes. Nothing was changed.") from error


def _record(connection: Any, visit: Visit, action: str, details: str) -> None:
    resource = f"user:{visit.caller.user_id}"
    record(connection, visit.asked, system=SERVER, action=action, resource=resource, details=details)


def _page(
    visit: Visit,
    *,
    enrolment: Enrolment | None = None,
    codes: tuple[str, ...] = (),
    wrong: str | None = None,
    status: int = 200,
) -> Response:
    user_id = visit.caller.user_id
    with visit.store.read() as connection:
        second_factor, left = is_enrolled(connection, user_id), count_recovery_codes(connection, user_id)
    here = None if visit.session is None else visit.session.id
    sessions = tuple(
        OpenSession(str(row["id"]), str(row["user_agent"]), str(row["created_at"]), _seconds(row), row["id"] == here)
        for row in list_sessions(visit.store, user_id)
    )
    caller = visit.caller
    view = AccountPage(caller.email, caller.role, caller.organization, second_factor, left, sessions)
    return page(visit, "account", view, title="Account", status=status, enrolment=enrolment, codes=codes, wrong=wrong)


def _seconds(row: Any) -> float:
    return float(row["seen_at"])
