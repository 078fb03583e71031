"""The enforcement mode, and the form that sets it: weakening asks to type the word."""

from __future__ import annotations

from dataclasses import dataclass

from fastapi import APIRouter
from starlette.responses import Response

from reconciler.server import opena2a
from reconciler.server.pages.mode import MONITORING, STRICT, Mode, read_mode
from reconciler.server.pages.problems import PageError
from reconciler.server.pages.render import go, page
from reconciler.server.pages.visit import AdminSending, Looking, Visit
from reconciler.server.preconditions.changing import changing

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True, slots=True)
class ModePage:
    mode: Mode


@router.get("/mode")
@router.get("/mode.json")
def mode(visit: Looking) -> Response:
    return _page(visit)


@router.post("/mode")
def set_mode(sent: AdminSending) -> Response:
    """Set the mode that the form names, once its word was typed or its box ticked."""
    wanted = sent.text("mode")
    if wanted not in (STRICT, MONITORING):
        raise PageError(400, "That form could not be used", "It names no mode. Nothing was changed.")
    if sent.text("confirm").lower() != wanted:
        return _page(sent.visit, wrong=f"Confirm with the word {wanted}.", status=422)
    with changing(sent.visit.asked) as change:
        if read_mode(change.connection, sent.visit.caller.organization).value != wanted:
            opena2a.set_mode(change.connection, sent.visit.asked, wanted)
    return go("/mode", note=wanted)


def _page(visit: Visit, *, wrong: str | None = None, status: int = 200) -> Response:
    with visit.store.read() as connection:
        view = ModePage(read_mode(connection, visit.caller.organization))
    return page(visit, "mode", view, title="Enforcement mode", status=status, wrong=wrong)
