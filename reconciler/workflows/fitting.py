"""Whether a plan that was saved, or reviewed, still is the plan that would be carried out now.

A saved plan is applied exactly or refused; what else moved meanwhile is left for the next one (design.md 5).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from reconciler.core.model import Action, Change, Plan
from reconciler.core.plan import digest_of
from reconciler.core.planform import change_to_json
from reconciler.core.reviewed import beyond_review
from reconciler.errors import StaleError
from reconciler.sources.git import Repository
from reconciler.workflows.planning import Planned


def require_same_tree(repository: Repository, saved: Plan, head: str, paths: Sequence[str]) -> None:
    """Raise `StaleError` unless *paths* are the same at the plan's commit and at *head*."""
    if saved.git.head == head:
        return
    if not repository.has_commit(saved.git.head):
        raise stale(saved, f"it was made at {saved.git.head[:7]}, which is not in this clone")
    before, after = repository.tree_ids(saved.git.head, paths), repository.tree_ids(head, paths)
    moved = sorted(path for path in paths if before[path] != after[path])
    if moved:
        raise stale(saved, f"{', '.join(moved)} changed since {saved.git.head[:7]}")


def restrict(planned: Planned, saved: Plan) -> Planned:
    """Return *planned* with exactly the changes of *saved*; raise `StaleError` when git or live asks for others now.

    Whatever else moved since stays for the next plan.
    """
    if saved.target != replace(planned.plan.target, mode=saved.target.mode):
        raise stale(saved, "it was made for another target, provider or url")
    now = {change.key: change for change in planned.plan.changes}
    for change in saved.changes:
        found = now.get(change.key)
        if found is None or not _asks_the_same(change, found):
            raise stale(saved, f"{change.key} is no longer as it was planned")
    kept = tuple(now[change.key] for change in saved.changes)
    if digest_of(kept) != saved.live.digest:
        raise stale(saved, "a live policy is no longer as it was planned")
    dropped = {guard for change in planned.plan.changes for guard in change.guards} - {
        guard for change in kept for guard in change.guards
    }
    blocked = tuple(guard for guard in planned.plan.blocked if guard not in dropped)
    counts = {action.value: sum(change.action is action for change in kept) for action in Action}
    summary = {**planned.plan.summary, **counts}
    plan = replace(planned.plan, changes=kept, fingerprint=saved.fingerprint, blocked=blocked, summary=summary)
    return replace(planned, plan=plan)


def require_reviewed(plan: Plan, reviewed: Plan) -> None:
    """Raise `StaleError` when *plan* weakens what *reviewed* does not, or is for another place."""
    if (reviewed.target.name, reviewed.target.provider, reviewed.target.url) != (
        plan.target.name,
        plan.target.provider,
        plan.target.url,
    ):
        raise stale(reviewed, "it was made for another target, provider or url")
    beyond = beyond_review(plan, reviewed)
    if beyond:
        named = "; ".join(beyond[:10]) + (f"; and {len(beyond) - 10} more" if len(beyond) > 10 else "")
        raise StaleError(
            f"more would get weaker than was reviewed: {named}",
            where=f"plan {reviewed.fingerprint[7:19]}",
            fix="have a new plan reviewed: reconciler plan --out FILE",
            code="not-reviewed",
        )


def _asks_the_same(saved: Change, found: Change) -> bool:
    """Whether two changes do the same to the same policy; who asked, and for which guards, may have moved."""
    moving = {"commit", "drift", "guards", "source"}
    before, now = change_to_json(saved), change_to_json(found)
    return all(before[name] == now[name] for name in before.keys() - moving)


def stale(saved: Plan, why: str) -> StaleError:
    return StaleError(
        f"the plan no longer fits: {why}", where=f"plan {saved.fingerprint[7:19]}", fix="plan again and review it"
    )
