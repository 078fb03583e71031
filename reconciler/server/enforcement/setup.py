"""What the application needs of enforcement: its routes, and what their handlers find in `app.state`."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter

from reconciler.server.enforcement import evaluate
from reconciler.server.enforcement.engine import LiveEngine
from reconciler.server.enforcement.evaluating import Evaluator
from reconciler.server.options import ServerOptions
from reconciler.server.store import Store

ROUTERS: Final[tuple[APIRouter, ...]] = (evaluate.router,)


def make_evaluator(store: Store, options: ServerOptions) -> Evaluator:
    return Evaluator(store, LiveEngine(options.data, options.composition), options.sample, bool(options.alert_webhook))
