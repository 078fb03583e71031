"""What the application needs of enforcement: its routes, and what their handlers find in `app.state`."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter, FastAPI

from reconciler.server.enforcement import evaluate, routes, stream
from reconciler.server.enforcement.engine import LiveEngine
from reconciler.server.enforcement.evaluating import Evaluator
from reconciler.server.options import ServerOptions
from reconciler.server.store import Store

ROUTERS: Final[tuple[APIRouter, ...]] = (evaluate.router, routes.router, stream.router)


def install(app: FastAPI, store: Store, options: ServerOptions) -> None:
    """Leave in `app.state` what the handlers of `ROUTERS` need; what policies remember is made again first."""
    engines = LiveEngine(options.data, options.composition)
    evaluator = Evaluator(store, engines, options.sample, options.alert_webhook is not None)
    evaluator.warm_up()
    app.state.evaluator = evaluator
    app.state.stream_readers = stream.Readers()
