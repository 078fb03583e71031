"""What is so now and what was done: status, drift, log. Reads only."""

from __future__ import annotations

from collections.abc import Sequence

from reconciler import __version__
from reconciler.core.model import Change, Json, LogEntry, Origin, PolicyState
from reconciler.ledger import history
from reconciler.providers.snapshot import Snapshot, snapshots_to_json
from reconciler.trail import join_log
from reconciler.workflows.planning import Planned, PlannedTargets, plan_targets
from reconciler.workflows.session import Session


def find_drift(session: Session, names: tuple[str, ...]) -> tuple[PlannedTargets, dict[str, tuple[Change, ...]]]:
    """Plan the targets and return, by target, the changes that undo edits made outside git."""
    planned = plan_targets(session, names)
    return planned, {
        each.settings.name: tuple(change for change in each.plan.changes if change.origin is not Origin.GIT)
        for each in planned.made
    }


def snapshots_of(planned: PlannedTargets) -> dict[str, Json]:
    """Return what was read of the targets as `reconciler.snapshot/1`."""
    return snapshots_to_json(
        [
            Snapshot(each.settings.name, each.settings.provider, each.settings.url, each.inputs.live)
            for each in planned.made
        ],
        __version__,
    )


def read_states(session: Session, names: tuple[str, ...]) -> tuple[PlannedTargets, dict[str, tuple[PolicyState, ...]]]:
    """Return, by target, one line per policy of git and per unmanaged live one."""
    planned = plan_targets(session, names)
    return planned, {each.settings.name: states_of(each) for each in planned.made}


def states_of(planned: Planned) -> tuple[PolicyState, ...]:
    """Return the state of every policy of one target, sorted by key."""
    plan = planned.plan
    changes = {change.key: change for change in plan.changes}
    aside = {entry.key: ("held", entry) for entry in plan.held}
    aside |= {entry.key: ("cannot", entry) for entry in plan.cannot}
    states = []
    for policy in planned.desired.policies:
        info = planned.inputs.commits.get(policy.source.path)
        commit = info.sha if info is not None else None
        change = changes.get(policy.key)
        if change is not None:
            states.append(PolicyState(policy.key, _state(change), commit, _detail(change)))
        elif policy.key in aside:
            state, entry = aside[policy.key]
            states.append(PolicyState(policy.key, state, commit, entry.reason))
        else:
            states.append(PolicyState(policy.key, "in_sync", commit))
    known = {state.key for state in states}
    for key, change in changes.items():
        if key not in known:
            commit = change.commit.sha if change.commit is not None else None
            states.append(PolicyState(key, _state(change), commit, _detail(change)))
    for key, (state, entry) in aside.items():
        if key not in known:
            states.append(PolicyState(key, state, None, entry.reason))
    states += [PolicyState(key, "unmanaged", None) for key in plan.unmanaged]
    return tuple(sorted(states, key=lambda state: state.key))


def _state(change: Change) -> str:
    return {Origin.GIT: "pending", Origin.DRIFT: "drift", Origin.BOTH: "both"}[change.origin]


def _detail(change: Change) -> str:
    words = [change.action.value]
    if change.drift is not None:
        words += [change.drift.at or "", change.drift.actor or "author unknown"]
    return " ".join([*(word for word in words if word), *change.guards])


def read_log(session: Session, names: tuple[str, ...]) -> dict[str, tuple[LogEntry, ...]]:
    """Return, by target, the audit trail joined with the ledger, newest first."""
    planned = plan_targets(session, names)
    if planned.failed:
        raise planned.failed[0]
    return {each.settings.name: log_of(each) for each in planned.made}


def log_of(planned: Planned) -> tuple[LogEntry, ...]:
    """Join one target's trail with its ledger."""
    trail = planned.provider.fetch_trail()
    repository = planned.repository
    by_id = {live.id: live.natural_key for live in planned.inputs.live.policies}
    by_id |= {entry.id: entry.key for entry in planned.inputs.applied.values()}

    records = [entry for run in history(repository, planned.sync.tip) for entry in run.entries]

    def known(commits: Sequence[str]) -> set[str]:
        return {commit for commit in commits if repository.has_commit(commit)}

    return join_log(trail, records, by_id, known)
