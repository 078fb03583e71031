"""The comment on a pull or merge request: find the request, find our comment, write what has to be written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from reconciler.core.model import Plan
from reconciler.core.ports import Clock, Random
from reconciler.forges import Forge, Spot, find_spot, make_forge
from reconciler.reports.comment import Act, decide, earlier_plans, make_comment, marker, outdated
from reconciler.reports.markdown import SUMMARY_BUDGET, render_markdown
from reconciler.reports.markdown_parts import Setting
from reconciler.workflows.forge_http import forge_http


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
    with forge_http(spot, what="comment", right="pull-requests", environ=environ, clock=clock, random=random) as http:
        forge = make_forge(http, spot)
        setting = Setting(fork=spot.fork, own_commits=forge.fetch_commits(), report=spot.report)
        done = tuple(comment_plan(plan, forge, _setting_of(plan, setting, spot)) for plan in plans)
    budget = SUMMARY_BUDGET // max(len(plans), 1)
    parts = [render_markdown(plan, setting=_setting_of(plan, setting, spot), budget=budget) for plan in plans]
    return Comments(done, "\n".join(parts))


def comment_plan(plan: Plan, forge: Forge, setting: Setting) -> Commented:
    """Write one plan's comment: nothing, an edit, or a new one and the old ones marked as outdated."""
    comments = tuple(forge.fetch_comments(marker(plan)))
    fitted = make_comment(plan, setting=setting, earlier=earlier_plans(comments, plan))
    decision = decide(comments, fitted.text)
    if decision.act is Act.POST:
        forge.create(fitted.text)
    elif decision.act is Act.EDIT and decision.comment is not None:
        forge.edit(decision.comment, fitted.text)
    for old in decision.outdates:  # only now: a run that dies before this is taken up by the next
        forge.outdate(old, outdated(old.body))
    return Commented(plan.target.name, decision.act, len(decision.outdates), fitted.complete)


def _setting_of(plan: Plan, setting: Setting, spot: Spot) -> Setting:
    return replace(setting, files=f"{spot.files}/{plan.git.head}" if spot.files else None)
