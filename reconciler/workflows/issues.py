"""The issue about drift: find the project, find our issue, write what has to be written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from reconciler.config import choose_targets
from reconciler.core.model import Change
from reconciler.forges.issues import Issue, Tracker, find_project, make_tracker
from reconciler.reports.issue import Act, Decision, Text, decide, make_issue, marker
from reconciler.workflows.forge_http import forge_http
from reconciler.workflows.planning import PlannedTargets
from reconciler.workflows.session import Session, read_config


@dataclass(frozen=True, slots=True)
class Reported:
    """What became of the issue; `closed` counts those that were closed."""

    act: Act
    closed: int


def report_drift(
    session: Session, names: tuple[str, ...], planned: PlannedTargets, changes: Mapping[str, Sequence[Change]]
) -> Reported:
    """Bring the one issue about the named targets up to date; equal text writes nothing.

    While a target cannot be read nothing is closed: nobody knows whether it is clean.
    """
    spot = find_project(session.environ)
    targets = [target.name for target in choose_targets(read_config(session), names)]
    unread = [name for name in targets if name not in changes]
    text: Text | None = None
    if any(changes.values()):
        text = make_issue(
            [(each.plan, changes[each.settings.name]) for each in planned.made],
            targets=targets,
            unread=unread,
            now=session.clock.now(),
            report=spot.report,
        )
    with forge_http(
        spot, what="issue", right="issues", environ=session.environ, clock=session.clock, random=session.random
    ) as http:
        tracker = make_tracker(http, spot)
        decision = decide(tracker.fetch_issues(marker(targets)), text, sure=not unread)
        return _carry_out(tracker, decision, text)


def _carry_out(tracker: Tracker, decision: Decision[Issue], text: Text | None) -> Reported:
    if text is not None and decision.act is Act.OPEN:
        tracker.create(text.title, text.body)
    elif text is not None and decision.act is Act.EDIT and decision.issue is not None:
        tracker.edit(decision.issue, text.title, text.body)
    for issue in decision.closes:
        tracker.close(issue)
    return Reported(decision.act, len(decision.closes))
