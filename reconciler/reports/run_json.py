"""`reconciler.run/1` (design.md 5): what an apply did, as programs read it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final, Protocol

from reconciler.core.model import Json, Outcome, Plan, Status
from reconciler.core.planform import target_to_json
from reconciler.errors import ExitCode, ReconcilerError
from reconciler.reports.problems import error_to_json

RUN_FORMAT: Final = "reconciler.run/1"
RUNS_FORMAT: Final = "reconciler.runs/1"


class FinishedRun(Protocol):
    """A plan with its outcomes, one per change; `ledger` is the ledger's commit afterwards.

    `error` says what went wrong beside the changes themselves.
    """

    @property
    def plan(self) -> Plan: ...

    @property
    def outcomes(self) -> tuple[Outcome, ...]: ...

    @property
    def ledger(self) -> str | None: ...

    @property
    def exit(self) -> ExitCode: ...

    @property
    def error(self) -> str | None: ...


def run_to_json(run: FinishedRun) -> dict[str, Json]:
    """Return `reconciler.run/1`. `target` is as in the plan; `summary` counts outcomes by status, and requests sent."""
    return {
        "format": RUN_FORMAT,
        "target": target_to_json(run.plan.target),
        "plan": run.plan.fingerprint,
        "head": run.plan.git.head,
        "outcomes": [_outcome_to_json(outcome) for outcome in run.outcomes],
        "blocked": list(run.plan.blocked),
        "ledger": run.ledger,
        "summary": dict(summarize(run.outcomes)),
    }


def runs_to_json(runs: Sequence[FinishedRun], failed: Sequence[ReconcilerError] = ()) -> dict[str, Json]:
    """Return `reconciler.runs/1`, for several targets: what was run, and the errors of the others."""
    return {
        "format": RUNS_FORMAT,
        "runs": [run_to_json(run) for run in runs],
        "errors": [error_to_json(error)["error"] for error in failed],
    }


def summarize(outcomes: Sequence[Outcome]) -> dict[str, int]:
    """Return how many changes ended how, every status named, and how many mutating requests were sent."""
    counts = Counter(outcome.status for outcome in outcomes)
    return {**{status.value: counts[status] for status in Status}, "calls": sum(outcome.calls for outcome in outcomes)}


def _outcome_to_json(outcome: Outcome) -> dict[str, Json]:
    annotation = outcome.annotation
    return {
        "key": outcome.key,
        "action": outcome.action.value,
        "status": outcome.status.value,
        "commit": outcome.commit,
        "annotation": None
        if annotation is None
        else {
            "strength": annotation.strength.value,
            "verified": annotation.verified,
            "audit_id": annotation.audit_id,
        },
        "error": outcome.error,
        "calls": outcome.calls,
    }
