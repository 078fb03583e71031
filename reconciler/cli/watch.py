"""The Watch group: status, drift, log. Reads only."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

import click
from click import Context

from reconciler.cli.app import State
from reconciler.cli.command import command
from reconciler.cli.options import format_options, session_of, targets_option, wants_json
from reconciler.cli.output import emit, emit_json, note, to_json, use_color
from reconciler.errors import ExitCode, ReconcilerError, worst
from reconciler.workflows.files import write_whole


@command("status", short_help="One line per policy: in sync, drifted, pending.")
@targets_option
@format_options("text", "json")
@click.pass_context
def status_command(ctx: Context, targets: tuple[str, ...], format: str) -> int:
    """Show one line per policy: in sync, pending, drifted, not in git.

    \b
    reconciler status
    reconciler status --target neosc --json
    """
    from reconciler.reports.trail_text import render_status, status_to_json
    from reconciler.workflows.watching import read_states

    planned, states = read_states(session_of(ctx), targets)
    if wants_json(ctx):
        emit_json(status_to_json(states))
    else:
        emit(render_status(states, color=use_color(sys.stdout)))
    for error in planned.failed:
        note(f"error: {error}")
    return worst([error.exit for error in planned.failed])


_ISSUE_WORDS = {"nothing": "nothing to write", "open": "opened", "edit": "edited", "close": "live and git agree"}


@command("drift", short_help="Report edits made outside git: who, when, what.")
@targets_option
@click.option(
    "--snapshot",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Save what was read, for `plan --live` where no token may be.",
)
@click.option("--issue", is_flag=True, help="Keep one issue about it on GitHub or GitLab; closed when clean.")
@format_options("text", "json")
@click.pass_context
def drift_command(ctx: Context, targets: tuple[str, ...], snapshot: Path | None, issue: bool, format: str) -> int:
    """Report edits made outside git: who, when, which audit entry. Exit 2 when there are any.

    \b
    reconciler drift
    reconciler drift --target neosc --json
    reconciler drift --snapshot snapshot.json
    reconciler drift --issue
    """
    from reconciler.reports.trail_text import drift_to_json, render_drift
    from reconciler.workflows.notifying import notify_drift
    from reconciler.workflows.watching import find_drift, snapshots_of

    session = session_of(ctx)
    planned, changes = find_drift(session, targets)
    ctx.ensure_object(State).afterwards.append(partial(notify_drift, session, planned, changes))
    failed = list(planned.failed)
    if snapshot is not None and planned.failed:
        note(f"warning: {snapshot} is not written, because a target could not be read")
    elif snapshot is not None:
        write_whole(snapshot, to_json(snapshots_of(planned)).encode(), mode=0o600)
    if wants_json(ctx):
        emit_json(drift_to_json(changes))
    else:
        emit(render_drift(changes, color=use_color(sys.stdout)))
    if issue:
        from reconciler.workflows.issues import report_drift

        try:
            done = report_drift(session, targets, planned, changes)
        except ReconcilerError as trouble:  # what was found is printed all the same
            failed.append(trouble)
        else:
            closed = f", {done.closed} closed" if done.closed else ""
            note(f"issue: {_ISSUE_WORDS[done.act.value]}{closed}")
    for error in failed:
        note(f"error: {error}")
    codes = [error.exit for error in failed]
    return worst([*codes, ExitCode.CHANGES if any(changes.values()) else ExitCode.DONE])


@command("log", short_help="Audit trail joined with git commits.")
@targets_option
@format_options("text", "json")
@click.pass_context
def log_command(ctx: Context, targets: tuple[str, ...], format: str) -> int:
    """Show the live audit trail joined with git: each entry with its commit, or OUTSIDE GIT.

    \b
    reconciler log
    reconciler log --target neosc --json
    """
    from reconciler.reports.trail_text import log_to_json, render_log
    from reconciler.workflows.watching import read_log

    entries = read_log(session_of(ctx), targets)
    if wants_json(ctx):
        emit_json(log_to_json(entries))
    else:
        emit(render_log(entries, color=use_color(sys.stdout)))
    return ExitCode.DONE
