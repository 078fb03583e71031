"""The comment on a pull or merge request: find the request, find our comment, write what has to be written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from reconciler.core.model import MISSING, Json, Plan
from reconciler.core.ports import Clock, Random
from reconciler.core.safe import safe
from reconciler.errors import LiveError, UnreachableError
from reconciler.forges import Answer, Forge, Spot, find_spot, make_forge, root_of
from reconciler.providers.http import Transport
from reconciler.providers.wire import Reply
from reconciler.reports.comment import Act, decide, make_comment, marker, outdated
from reconciler.reports.markdown import SUMMARY_BUDGET, render_markdown
from reconciler.reports.markdown_parts import Setting

#: A page of fifty comments, each as long as a forge takes them.
MAX_BYTES = 64 * 1024 * 1024
DEADLINE = 30.0


@dataclass(frozen=True, slots=True)
class Commented:
    """What became of one plan's comment. `complete`: every row that must be read is in it."""

    target: str
    act: Act
    outdated: int
    complete: bool


@dataclass(frozen=True, slots=True)
class Comments:
    """The comments of one call, and the long form for the job's own page."""

    done: tuple[Commented, ...]
    summary: str


def comment_plans(
    plans: Sequence[Plan],
    *,
    environ: Mapping[str, str],
    event: bytes | None,
    clock: Clock,
    random: Random,
) -> Comments:
    """Bring the comments on the CI job's request up to date, one for each plan; equal text writes nothing."""
    spot = find_spot(environ, event)
    transport = Transport(
        root_of(spot),
        spot.token,
        deadline=DEADLINE,
        clock=clock,
        random=random,
        ca_file=environ.get("RECONCILER_CA_FILE") or None,
        proxy=environ.get("RECONCILER_PROXY") or None,
        max_bytes=MAX_BYTES,
    )
    try:
        forge = make_forge(_TransportHttp(transport, "GitHub" if spot.kind == "github" else "GitLab"), spot)
        setting = Setting(fork=spot.fork, own_commits=forge.fetch_commits(), report=spot.report)
        done = tuple(comment_plan(plan, forge, _setting_of(plan, setting, spot)) for plan in plans)
    finally:
        transport.close()
    budget = SUMMARY_BUDGET // max(len(plans), 1)
    parts = [render_markdown(plan, setting=_setting_of(plan, setting, spot), budget=budget) for plan in plans]
    return Comments(done, "\n".join(parts))


def comment_plan(plan: Plan, forge: Forge, setting: Setting) -> Commented:
    """Write one plan's comment: nothing, an edit, or a new one and the old ones marked as outdated."""
    fitted = make_comment(plan, setting=setting)
    decision = decide(forge.fetch_comments(marker(plan)), fitted.text)
    if decision.act is Act.POST:
        forge.create(fitted.text)
    elif decision.act is Act.EDIT and decision.comment is not None:
        forge.edit(decision.comment, fitted.text)
    for old in decision.outdates:  # only now: a run that dies before this is taken up by the next
        forge.outdate(old, outdated(old.body))
    return Commented(plan.target.name, decision.act, len(decision.outdates), fitted.complete)


def _setting_of(plan: Plan, setting: Setting, spot: Spot) -> Setting:
    return replace(setting, files=f"{spot.files}/{plan.git.head}" if spot.files else None)


class _TransportHttp:
    """`forges.Http` over the one transport, with errors in words that fit a forge."""

    def __init__(self, transport: Transport, name: str) -> None:
        self._transport, self._name = transport, name

    def get(self, path: str, query: Mapping[str, str]) -> Answer:
        try:
            return self._transport.get(path, _answer, query=query)
        except UnreachableError as error:
            raise UnreachableError(
                f"{self._name} cannot be reached", where=error.where, fix="try again later"
            ) from error
        except LiveError as error:
            raise self._refused(error.what, str(error.where)) from error

    def send(self, method: str, path: str, body: Mapping[str, Json]) -> Answer:
        sent = self._transport.send(method, path, dict(body), {})
        where = f"{method} {self._transport.origin}{self._transport.origin.prefix}{path}"
        if sent.status is not None and sent.status in (200, 201) and sent.reply is not None:
            return _answer(sent.reply)
        if sent.status is None or sent.status >= 500 or sent.status == 429:
            why = safe(sent.failure) if sent.status is None else f"status {sent.status}"
            raise UnreachableError(
                f"{self._name} did not confirm the comment ({why})",
                where=where,
                fix="run it again: it looks first at what is there",
            )
        raise self._refused(f"{self._name} answers {sent.status}", where)

    def _refused(self, what: str, where: str) -> LiveError:
        rights = {"GitHub": "`permissions: {pull-requests: write}`", "GitLab": "a token with the scope `api`"}
        return LiveError(what, where=where, fix=f"give the job {rights[self._name]}", code="refused")


def _answer(reply: Reply) -> Answer:
    return Answer(None if reply.value is MISSING else reply.value, reply.headers)
