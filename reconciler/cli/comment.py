"""The command `comment`: a saved plan as one comment on the pull or merge request of this CI job."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import click
from click import Context

from reconciler.cli.command import command
from reconciler.cli.output import emit
from reconciler.core.safe import for_log, safe
from reconciler.errors import ConfigError, ExitCode, ReconcilerError

MAX_EVENT_BYTES = 32 * 1024 * 1024


@command("comment", short_help="Put a saved plan on the pull request, once.")
@click.argument("plan", type=click.Path(path_type=Path))
@click.pass_context
def comment_command(ctx: Context, plan: Path) -> int:
    """Write a plan that `plan --out` saved as a comment on this CI job's pull or merge request.

    One comment for each target, edited in place; when a push weakens more than the comment says, a new one
    is posted and the old one marked as outdated. Reads the variables of GitHub Actions (GITHUB_TOKEN) or of
    GitLab CI (RECONCILER_FORGE_TOKEN or GITLAB_TOKEN). The long form goes to GITHUB_STEP_SUMMARY.

    \b
    reconciler plan --out plan.json
    reconciler comment plan.json
    """
    from reconciler.cli.review import read_plans
    from reconciler.clock import SystemClock, SystemRandom
    from reconciler.workflows.commenting import comment_plans

    plans = read_plans(plan)
    result = comment_plans(
        plans, environ=os.environ, event=_event(os.environ), clock=SystemClock(), random=SystemRandom()
    )
    _write_summary(os.environ, result.summary)
    words = {"keep": "says it already", "edit": "edited", "post": "posted"}
    for done in result.done:
        old = f", {done.outdated} marked as outdated" if done.outdated else ""
        short = "" if done.complete else "; NOT every row fits: read the whole plan before approving"
        emit(for_log(f"Comment for {safe(done.target)}: {words[done.act.value]}{old}{short}", prefix=""))
    return ExitCode.DONE if all(done.complete for done in result.done) else ExitCode.ERROR


def _event(environ: Mapping[str, str]) -> bytes | None:
    """The event that started the job; no file, no event."""
    path = environ.get("GITHUB_EVENT_PATH")
    if not path:
        return None
    try:
        with open(path, "rb") as file:
            data = file.read(MAX_EVENT_BYTES + 1)
    except OSError as error:
        raise ConfigError(
            f"cannot be read ({error.strerror or type(error).__name__})",
            where="GITHUB_EVENT_PATH",
            fix="leave the variable as GitHub Actions sets it",
            code="no-request",
        ) from error
    return data if len(data) <= MAX_EVENT_BYTES else None


def _write_summary(environ: Mapping[str, str], text: str) -> None:
    """Append the long form to the page of the job, where there is one."""
    path = environ.get("GITHUB_STEP_SUMMARY")
    if not path:
        return
    try:
        with open(path, "a", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise ReconcilerError(
            f"the summary cannot be written ({error.strerror or type(error).__name__})",
            where="GITHUB_STEP_SUMMARY",
            fix="leave the variable as GitHub Actions sets it",
            code="output",
        ) from error
