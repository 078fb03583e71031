"""The pages as part of the application: their routes, their files, and what a refused request looks like."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, cast
from urllib.parse import urlencode

from fastapi import APIRouter, FastAPI, Request
from starlette.responses import Response

from reconciler.server.accounts.sessions import COOKIE, drop_cookie_header
from reconciler.server.pages import assets
from reconciler.server.pages.problems import LoginNeeded, PageError
from reconciler.server.pages.render import HEADERS, go, show
from reconciler.server.pages.routes import account, findings, glass, login, mode, overview, policies, trail
from reconciler.server.pages.trail import ChainWatch
from reconciler.server.pages.visit import wants_json
from reconciler.server.replies import reply

_files = APIRouter(include_in_schema=False)

#: Addresses of the APIs: what goes wrong there is said in the shape of their documents, never as a page.
_APIS: Final = ("/api", "/v1")


_SAID: Final[Mapping[int, tuple[str, str]]] = {
    404: ("There is no such page", "The address may be mistyped, or what it showed is gone."),
    405: ("That page takes no such request", "Nothing was changed."),
    429: ("Too many requests", "Wait a moment, then load the page again."),
    500: ("Something is wrong with the server", "Nothing was changed. Its log says more."),
}


@_files.get(assets.PREFIX + "{name:path}")
def static(name: str, request: Request) -> Response:
    found = assets.asset_reply(request, name)
    if found is None:
        raise PageError(404, "There is no such file", "No page asks for it.")
    return found


#: Every page. They are no part of the APIs, so no document of theirs tells of them.
ROUTERS: Final[tuple[APIRouter, ...]] = (
    _files,
    *(each.router for each in (overview, glass, policies, trail, findings, mode, account, login)),
)


def install(app: FastAPI) -> None:
    """Have *app* answer what keeps a page from being shown; the routes are `ROUTERS`."""
    app.state.chains = ChainWatch()
    app.add_exception_handler(LoginNeeded, _ask_to_log_in)
    app.add_exception_handler(PageError, _refuse)


def error_page(request: Request, status: int, headers: Mapping[str, str] | None = None) -> Response | None:
    """A page that says what went wrong; None where a program asked, or one of the APIs."""
    path = request.url.path
    is_api = any(path == api or path.startswith(f"{api}/") for api in _APIS)
    if is_api or wants_json(request) or "text/html" not in request.headers.get("accept", ""):
        return None
    title, sentence = _SAID.get(status, ("That did not work", "Nothing was changed."))
    return show("error.html", status=status, headers=headers, title=title, sentence=sentence, name="error")


def _ask_to_log_in(request: Request, error: Exception) -> Response:
    """To the login, and from there back to the page. A script is told so in a header, a program in JSON."""
    needed = cast("LoginNeeded", error)
    if wants_json(request):
        return reply({"detail": "Not authenticated"}, 401, {"WWW-Authenticate": "Bearer"})
    asked = {"next": needed.back, **({"ended": "yes"} if needed.has_ended else {})}
    target = "/login" if asked == {"next": "/"} else f"/login?{urlencode(asked)}"
    gone = {"Set-Cookie": drop_cookie_header(secure=request.url.scheme == "https")} if COOKIE in request.cookies else {}
    if request.headers.get("hx-request") == "true":
        return Response(status_code=401, headers={**HEADERS, **gone, "HX-Redirect": target})
    return go(target, headers=gone)


def _refuse(request: Request, error: Exception) -> Response:
    refused = cast("PageError", error)
    if wants_json(request):
        return reply({"detail": refused.sentence}, refused.status)
    return show("error.html", status=refused.status, title=refused.title, sentence=refused.sentence, name="error")
