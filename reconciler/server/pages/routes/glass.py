"""Breaking the glass: a form that asks why and until when, and the way back."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from fastapi import APIRouter
from starlette.responses import Response

from reconciler.server.pages import glass, views
from reconciler.server.pages.facts import Policy
from reconciler.server.pages.forms import read_moment
from reconciler.server.pages.problems import PageError
from reconciler.server.pages.render import go, page
from reconciler.server.pages.routes.policies import find_switchable
from reconciler.server.pages.switching import flip
from reconciler.server.pages.views import policy_url
from reconciler.server.pages.visit import AdminSending, Looking, Sent, Visit
from reconciler.server.preconditions.changing import changing

_USUAL: Final = timedelta(hours=1)
_FORM: Final = "%Y-%m-%dT%H:%M"

router = APIRouter(prefix="/policies/{system}/{policy_id}", include_in_schema=False)


@dataclass(frozen=True, slots=True)
class GlassForm:
    """The policy whose glass may be broken."""

    policy: views.PolicyView


@router.get("/break-glass")
def ask(system: str, policy_id: str, visit: Looking) -> Response:
    if not visit.is_admin:
        raise PageError(403, "Only admins can do that", "Your account can look at everything here and change nothing.")
    with visit.store.read() as connection:
        found = find_switchable(connection, visit.caller.organization, system, policy_id)
    _need_git(found)
    given = {"reason": "", "until": f"{_now(visit) + _USUAL:{_FORM}}", "confirm": ""}
    return _form(visit, found, given, {})


@router.post("/break-glass")
def break_glass(system: str, policy_id: str, sent: AdminSending) -> Response:
    """Flip the switch with a reason, in one transaction with its record; a form that lacks something comes back."""
    visit, now = sent.visit, _now(sent.visit)
    ends, reason = read_moment(sent.text("until")), sent.text("reason")
    with changing(visit.asked) as change:
        found = find_switchable(change.connection, visit.caller.organization, system, policy_id)
        _need_git(found)
        wrong = _find_wrong(sent, found, reason, ends, now)
        if sent.text("enabled") != ("off" if found.enabled else "on"):
            sentence = "Somebody moved this switch while you wrote. Look at it again. Nothing was changed."
            raise PageError(409, "The switch has moved", sentence)
        if not wrong and ends is not None:
            because = glass.describe(reason, ends)
            audit_id = flip(change.connection, visit.asked, found, because=because)
            by, at = visit.caller.email, visit.store.timestamp()
            started = glass.Start(found, reason, by, at, ends.timestamp(), audit_id)
            glass.start(change.connection, visit.caller.organization, started)
            return go(policy_url(system, policy_id), note="glass")
    given = {name: sent.text(name) for name in ("reason", "until", "confirm")}
    return _form(visit, found, given, wrong, status=422)


@router.post("/end-break-glass")
def end_break_glass(system: str, policy_id: str, sent: AdminSending) -> Response:
    """Put the switch back where it was before the glass was broken. When it is back already, nothing happens."""
    visit = sent.visit
    with changing(visit.asked) as change:
        organization = visit.caller.organization
        found = find_switchable(change.connection, organization, system, policy_id)
        held = glass.glass_of(found, glass.read_glasses(change.connection, organization))
        if held is not None:
            flip(change.connection, visit.asked, found, because=f"; end of the break-glass of {held.audit_id}")
            glass.end(change.connection, organization, found, visit.caller.email, visit.store.timestamp())
    return go(policy_url(system, policy_id), note="ended")


def _need_git(policy: Policy) -> None:
    if policy.origin.git is None:
        raise PageError(409, "There is no glass to break", f"Git does not manage {policy.name}: just use its switch.")


def _find_wrong(sent: Sent, policy: Policy, reason: str, ends: datetime | None, now: datetime) -> dict[str, str]:
    """What is wrong with each field of the form, in a sentence; empty when nothing is."""
    found = {"reason": glass.wrong_reason(reason), "until": glass.wrong_end(ends, now)}
    if policy.is_critical and sent.text("confirm") != policy.id:
        found["id"] = f"Type {policy.id} to show that you mean this policy."
    return {name: sentence for name, sentence in found.items() if sentence is not None}


def _form(visit: Visit, policy: Policy, given: dict[str, str], wrong: dict[str, str], *, status: int = 200) -> Response:
    view = GlassForm(views.policy_view(policy, ()))
    title, now = f"Break glass: {policy.name}", f"{_now(visit):%Y-%m-%d %H:%M}"
    return page(visit, "break_glass", view, title=title, status=status, given=given, wrong=wrong, now=now)


def _now(visit: Visit) -> datetime:
    return datetime.fromtimestamp(visit.store.seconds(), UTC)
