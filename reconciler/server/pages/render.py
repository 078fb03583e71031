"""A view to a reply: the page, or the same view as JSON. Every header that protects a page is set here.

Whatever a template prints is made visible (`core.safe`) and escaped, wherever it comes from: no template can forget.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

import sqlalchemy as sa
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from reconciler import __version__
from reconciler.core.safe import safe
from reconciler.server.pages.assets import asset_url
from reconciler.server.pages.findings import count_open_alerts
from reconciler.server.pages.mode import Mode, read_mode
from reconciler.server.pages.views import decision_words, policy_url
from reconciler.server.pages.visit import Visit, wants_json
from reconciler.server.replies import reply

if TYPE_CHECKING:
    from _typeshed import DataclassInstance
    from jinja2 import Environment

POLICY: Final = "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'"
HEADERS: Final[Mapping[str, str]] = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",  # not `no-referrer`: a form's `Origin` would be `null` then
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cache-Control": "no-store",
    "Vary": "Cookie",
}
#: What the line under the header says after a form did its work; the address carries the word, never the sentence.
NOTES: Final[Mapping[str, str]] = {
    "on": "Switched on.",
    "off": "Switched off.",
    "glass": "Done, and recorded with your reason. It stays so until somebody ends it or the next apply.",
    "ended": "The switch is back where it was, and that is recorded.",
    "strict": "Mode is STRICT: policies that block do block.",
    "monitoring": "Mode is MONITORING: nothing is blocked, everything is recorded.",
    "acknowledged": "Acknowledged.",
    "resolved": "Resolved.",
    "enrolled": "The second factor is set up. Your next login asks for a code.",
    "removed": "The second factor is removed.",
    "session": "That session has ended.",
    "out": "You are logged out.",
}
_LONGEST: Final = 20_000


@dataclass(frozen=True, slots=True)
class Frame:
    """What stands around every page."""

    mode: Mode
    open_alerts: int


def page(
    visit: Visit,
    name: str,
    view: DataclassInstance,
    *,
    title: str,
    status: int = 200,
    as_json: bool | None = None,
    template: str | None = None,
    **extra: Any,
) -> Response:
    """*view* on its page, or as JSON. *extra* is for the page alone: what only a form or a filter needs.

    An address that ends in `.json` asks for JSON, unless *as_json* knows better.
    """
    if wants_json(visit.request) if as_json is None else as_json:
        return reply({"format": f"reconciler.page.{name}/1", **asdict(view)}, status)
    with visit.store.read() as connection:
        frame = _frame(connection, visit)
    note = NOTES.get(visit.request.query_params.get("note", ""))
    shown = {"title": title, "view": view, "visit": visit, "frame": frame, "note": note, "name": name, **extra}
    return show(template or f"{name}.html", status=status, **shown)


def show(template: str, *, status: int = 200, headers: Mapping[str, str] | None = None, **values: Any) -> Response:
    """A template as a page of its own: the login, an error."""
    text = (
        _environment()
        .get_template(template)
        .render(version=__version__, status=status, **{"visit": None, "note": None, **values})
    )
    return HTMLResponse(text, status, {**HEADERS, **(headers or {})})


def go(path: str, *, note: str | None = None, headers: Mapping[str, str] | None = None) -> Response:
    """To another page of ours, by GET, so that loading it again sends nothing again."""
    if note is not None:
        path += ("&" if "?" in path else "?") + urlencode({"note": note})
    return RedirectResponse(path, 303, {**HEADERS, **(headers or {})})


def back(request: Request, path: str) -> str:
    """*path* under which the form's page was shown, with its filters, when the browser says so; else *path*."""
    referrer = request.headers.get("referer", "")
    own = f"{request.url.scheme}://{request.url.netloc}{path}"
    if referrer == own or referrer.startswith(f"{own}?"):
        query = referrer[len(own) + 1 :]
        kept = [part for part in query.split("&") if part and not part.startswith("note=")]
        return f"{path}?{'&'.join(kept)}" if kept else path
    return path


def _frame(connection: sa.Connection, visit: Visit) -> Frame:
    organization = visit.caller.organization
    return Frame(read_mode(connection, organization), count_open_alerts(connection, organization))


@cache
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("reconciler.server.pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_visible,
        auto_reload=False,
    )
    environment.filters |= {"clock": clock, "compact": compact, "short": short, "n": number, "spaced": spaced}
    environment.globals |= {
        "asset": asset_url,
        "policy_url": policy_url,
        "decision_words": decision_words,
        "urlencode": urlencode,
    }
    return environment


def _visible(value: Any) -> Any:
    """Text with nothing in it that an eye could be fooled by; the template escapes it afterwards."""
    return safe(value, _LONGEST) if isinstance(value, str) and not isinstance(value, Markup) else value


def clock(value: str | float | None) -> Markup:
    """A moment in UTC for people and for programs; what is no time is shown as it stands."""
    if value is None:
        return Markup('<span class="dim">never</span>')
    try:
        moment = datetime.fromtimestamp(value, UTC) if isinstance(value, float | int) else datetime.fromisoformat(value)
        moment = moment.astimezone(UTC)
    except (ValueError, OverflowError, OSError):
        return Markup("{}").format(safe(str(value), 40))
    exact, shown = f"{moment:%Y-%m-%dT%H:%M:%SZ}", f"{moment:%Y-%m-%d %H:%M:%S} UTC"
    return Markup('<time datetime="{}">{}</time>').format(exact, shown)


def compact(value: object) -> str:
    """A value of a policy on one line: text as it is, everything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def short(sha: str) -> str:
    return sha[:7]


def spaced(secret: str) -> str:
    """In groups of four, as people type it."""
    return " ".join(secret[index : index + 4] for index in range(0, len(secret), 4))


def number(value: int) -> str:
    return f"{value:,}"
