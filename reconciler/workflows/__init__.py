"""What the program does, as functions: whatever the command line can do, a caller of this package can do too."""

from reconciler.workflows.applying import Run, RunReport, apply
from reconciler.workflows.planning import Planned, PlannedTargets, plan_targets
from reconciler.workflows.session import Session, Validated, open_session, validate
from reconciler.workflows.watching import find_drift, read_log, read_states

__all__ = [
    "Planned",
    "PlannedTargets",
    "Run",
    "RunReport",
    "Session",
    "Validated",
    "apply",
    "find_drift",
    "open_session",
    "plan_targets",
    "read_log",
    "read_states",
    "validate",
]
