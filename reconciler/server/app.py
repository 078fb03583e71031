"""The application: both dialects over one store, and every refusal in the shape of the dialect it belongs to."""

from __future__ import annotations

from typing import cast

from fastapi import APIRouter, FastAPI, Request, Response
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute, Match

from reconciler.server import neosc, neosc_published, opena2a
from reconciler.server.accounts import routes as accounts
from reconciler.server.aim.app import create_aim_app
from reconciler.server.aim.dialects import dialect_of
from reconciler.server.edge import BodyLimit
from reconciler.server.enforcement.setup import ROUTERS, install
from reconciler.server.limits import Limiter, RateHeaders
from reconciler.server.openapi import document
from reconciler.server.options import ServerOptions
from reconciler.server.pages import app as pages
from reconciler.server.preconditions import locks
from reconciler.server.preconditions.replays import Replay
from reconciler.server.replies import ApiError, error_reply
from reconciler.server.store import Store
from reconciler.server.trail import routes as trail


def create_app(store: Store, options: ServerOptions | None = None) -> FastAPI:
    """The server over *store*, which stays the caller's to close."""
    options = options or ServerOptions()
    published = neosc_published.QUIRK in options.quirks
    routers = [
        *([neosc_published.router] if published else []),
        accounts.login_router,
        accounts.router,
        *([] if published else [neosc.router]),
        *([neosc.announced] if options.neosc_crud else []),
        opena2a.router,
        locks.router,
        document.router,
        trail.router,
        *ROUTERS,
        *pages.ROUTERS,
    ]
    app = FastAPI(title="reconciler reference server", openapi_url=None, redirect_slashes=False)
    app.state.store = store
    app.state.options = options
    install(app, store, options)
    pages.install(app)
    app.state.limiter = Limiter(options.rate_limit, store.seconds) if options.rate_limit else None
    app.state.routes = _routes(routers)
    for router in routers:
        app.include_router(router)
    aim = dialect_of(options.quirks)
    if aim is not None:
        app.mount("/api/v1", create_aim_app(store, aim))
    if published:
        neosc_published.forget_logins(store)
    app.add_middleware(BodyLimit)
    app.add_middleware(RateHeaders)
    app.add_exception_handler(ApiError, _refuse)
    app.add_exception_handler(Replay, _replay)
    app.add_exception_handler(HTTPException, _refuse_route)
    app.add_exception_handler(Exception, _fail)
    return app


def _routes(routers: list[APIRouter]) -> list[BaseRoute]:
    return [route for router in routers for route in router.routes]


def _refuse(request: Request, error: Exception) -> Response:
    refusal = cast("ApiError", error)
    page = pages.error_page(request, refusal.status, refusal.headers)
    return page or error_reply(request.url.path, refusal.status, refusal.sentence, refusal.headers)


def _replay(request: Request, error: Exception) -> Response:
    return cast("Replay", error).response


def _refuse_route(request: Request, error: Exception) -> Response:
    """404 and 405 of the router; `Allow` names every method of the path, not only the first route's."""
    status, sentence = cast("HTTPException", error).status_code, str(cast("HTTPException", error).detail)
    headers = {}
    if status == 405:
        methods: set[str] = set()
        for route in request.app.state.routes:
            if route.matches(request.scope)[0] is not Match.NONE:
                methods |= route.methods
        headers["Allow"] = ", ".join(sorted(methods))
    page = pages.error_page(request, status, headers)
    return page or error_reply(request.url.path, status, sentence, headers)


def _fail(request: Request, error: Exception) -> Response:
    """A bug, or a database that failed: nothing was committed by us. The traceback is in the log, not in the reply."""
    return pages.error_page(request, 500) or error_reply(request.url.path, 500, "Internal Server Error")
