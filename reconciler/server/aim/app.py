"""The AIM server as an application of its own, to be mounted under `/api/v1`: its own replies, its own errors.

`serve --quirks aim` puts it beside the documented APIs. What is odd here is odd there (systems.md 1.2); nothing is
mended, not even the toggle that writes a whole row back.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, TypeVar, cast

from fastapi import Depends, FastAPI, Request, Response
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from reconciler.server.accounts.login import Account, CodeRequiredError, log_in
from reconciler.server.aim import entries, policies
from reconciler.server.aim.dialects import Dialect
from reconciler.server.aim.policies import Here
from reconciler.server.aim.tokens import REFRESH_LIFETIME, Claims, Signer, find_admin
from reconciler.server.aim.wire import bind_policy, bind_texts, bind_toggle
from reconciler.server.limits import Limiter
from reconciler.server.replies import ApiError, reply
from reconciler.server.store import Store

T = TypeVar("T")

#: Requests a minute of one user to all admin routes together.
LIMIT = 100


@dataclass(frozen=True, slots=True)
class Running:
    """What the handlers share. `signer` is here so that a test can end every token, as a restart does."""

    store: Store
    dialect: Dialect
    signer: Signer
    limiter: Limiter


def create_aim_app(store: Store, dialect: Dialect) -> FastAPI:
    """The server of one generation over *store*."""
    app = FastAPI(title="AIM", openapi_url=None, redirect_slashes=False)
    app.state.aim = Running(store, dialect, Signer(store), Limiter(LIMIT, store.seconds))
    app.add_api_route("/public/login", _log_in, methods=["POST"])
    app.add_api_route("/auth/login/local", _log_in_locally, methods=["POST"])
    app.add_api_route("/auth/refresh", _refresh, methods=["POST"])
    listed, one = "/admin/security-policies", "/admin/security-policies/{policy_id}"
    app.add_api_route(listed, _list_policies, methods=["GET"])
    app.add_api_route(listed, _create_policy, methods=["POST"])
    app.add_api_route(one, _get_policy, methods=["GET"])
    app.add_api_route(one, _update_policy, methods=["PUT"])
    app.add_api_route(one, _delete_policy, methods=["DELETE"])
    app.add_api_route(f"{one}/toggle", _toggle_policy, methods=["PATCH"])
    app.add_api_route("/admin/audit-logs", _list_entries, methods=["GET"])
    if dialect.has_mode:
        app.add_api_route("/admin/enforcement-settings", _get_mode, methods=["GET"])
        app.add_api_route("/admin/enforcement-settings", _put_mode, methods=["PUT"])
    app.add_exception_handler(ApiError, _refuse)
    app.add_exception_handler(HTTPException, _refuse_route)
    app.add_exception_handler(Exception, _fail)
    return app


def _here(request: Request) -> Here:
    """The admin who asks, with a place in the rate limit taken."""
    running: Running = request.app.state.aim
    claims, headers = find_admin(request, running.signer, running.store, running.limiter)
    return Here(running.store, running.dialect, claims, request, headers)


Admin = Annotated[Here, Depends(_here)]


# ------------------------------------------------------------------------------------------------- login


def _log_in(request: Request) -> JSONResponse:
    """A token by email and password; 200 without one while something else is asked of the account."""

    def made(account: Account, token: str, refresh: str) -> dict[str, object]:
        user = _user(account)
        told = {"success": True, "message": "Login successful", "user": user, "isApproved": True}
        return {**told, "accessToken": token, "refreshToken": refresh}

    try:
        return _login(request, made)
    except CodeRequiredError:
        told = {"success": False, "message": "Two-factor authentication is required", "isApproved": True}
        return reply({**told, "user": None})


def _log_in_locally(request: Request) -> JSONResponse:
    return _login(
        request,
        lambda account, token, refresh: {"access_token": token, "refresh_token": refresh, "user": _user(account)},
    )


def _login(request: Request, made: Callable[[Account, str, str], dict[str, object]]) -> JSONResponse:
    running: Running = request.app.state.aim
    body = _bound(lambda: bind_texts(_body(request), "email", "password"))
    account, token, refresh = log_in(
        request,
        running.store,
        email=body["email"],
        password=body["password"],
        code=None,
        system="aim",
        finish=lambda _, account: (account, *_tokens(running.signer, account)),
    )
    return reply(made(account, token, refresh))


def _tokens(signer: Signer, account: Account) -> tuple[str, str]:
    caller = account.caller
    claims = Claims(caller.user_id, caller.organization, caller.email, caller.role)
    refresh = Claims(caller.user_id, caller.organization, caller.email, "")
    return signer.make(claims), signer.make(refresh, REFRESH_LIFETIME)


def _user(account: Account) -> dict[str, object]:
    caller = account.caller
    return {"id": caller.user_id, "email": caller.email, "name": account.name, "role": caller.role}


def _refresh() -> JSONResponse:
    """Only tokens of the SDK are refreshed: a bot has to log in again."""
    raise ApiError(401, "Invalid refresh token")


# ---------------------------------------------------------------------------------------------- policies


def _list_policies(here: Admin) -> JSONResponse:
    return here.reply(policies.list_all(here))


def _get_policy(policy_id: str, here: Admin) -> JSONResponse:
    return here.reply(policies.get_one(here, policies.read_id(policy_id)))


def _create_policy(here: Admin) -> JSONResponse:
    fields = _bound(lambda: bind_policy(_body(here.request), here.dialect))
    return here.reply(policies.create(here, fields), 201)


def _update_policy(policy_id: str, here: Admin) -> JSONResponse:
    found = policies.read_id(policy_id)
    fields = _bound(lambda: bind_policy(_body(here.request), here.dialect))
    return here.reply(policies.replace_all(here, found, fields))


def _delete_policy(policy_id: str, here: Admin) -> Response:
    policies.delete(here, policies.read_id(policy_id))
    return Response(status_code=204, headers=here.headers)


def _toggle_policy(policy_id: str, here: Admin) -> JSONResponse:
    found = policies.read_id(policy_id)
    return here.reply(policies.toggle(here, found, enabled=_bound(lambda: bind_toggle(_body(here.request)))))


# ------------------------------------------------------------------------------------ audit log and mode


def _list_entries(here: Admin) -> JSONResponse:
    return here.reply(entries.list_entries(here))


def _get_mode(here: Admin) -> JSONResponse:
    return here.reply(policies.show_mode(policies.read_mode(here)))


def _put_mode(here: Admin) -> JSONResponse:
    mode = _bound(lambda: bind_texts(_body(here.request), "enforcementMode"))["enforcementMode"]
    return here.reply(policies.show_mode(policies.set_mode(here, mode)))


# ------------------------------------------------------------------------------------------------ errors


def _body(request: Request) -> bytes:
    """What was sent, as `edge.py` read it; the server binds nothing but JSON."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise ValueError("not JSON")
    data: bytes = request.scope["reconciler.body"]
    return data


def _bound(bind: Callable[[], T]) -> T:
    try:
        return bind()
    except ValueError as error:
        raise ApiError(400, "Invalid request body") from error


def _refuse(request: Request, error: Exception) -> Response:
    refusal = cast("ApiError", error)
    return reply({"error": refusal.sentence}, refusal.status, refusal.headers)


def _refuse_route(request: Request, error: Exception) -> Response:
    """What the framework says by itself: `error` is true there, and the sentence stands beside it."""
    status = cast("HTTPException", error).status_code
    sentence = f"Cannot {request.method} {request.url.path}" if status == 404 else "Method Not Allowed"
    return _framework_error(request, status, sentence)


def _fail(request: Request, error: Exception) -> Response:
    return _framework_error(request, 500, "Internal Server Error")


def _framework_error(request: Request, status: int, sentence: str) -> JSONResponse:
    running: Running = request.app.state.aim
    return reply({"error": True, "message": sentence, "timestamp": running.store.timestamp()}, status)
