"""The command rollback: the files of another revision, and the plan that would follow."""

from __future__ import annotations

import sys

import click
from click import Context

from reconciler.cli.command import command
from reconciler.cli.options import format_options, session_of, targets_option, wants_json
from reconciler.cli.output import emit, emit_json, note, use_color
from reconciler.errors import worst


@command("rollback", short_help="Plan the return to an earlier revision.")
@click.argument("revision", metavar="REV")
@targets_option
@format_options("text", "json")
@click.pass_context
def rollback_command(ctx: Context, revision: str, targets: tuple[str, ...], format: str) -> int:
    """Write REV's policy folders into the working tree and show the plan. You commit and merge it.

    \b
    reconciler rollback HEAD~1
    reconciler rollback 3f9c2ab --target neosc
    """
    from reconciler.core.safe import safe
    from reconciler.reports.plan_json import plan_to_json, plans_to_json
    from reconciler.reports.plan_text import render_plan
    from reconciler.workflows.planning import plan_targets
    from reconciler.workflows.rollback import roll_back

    session = session_of(ctx)
    rolled = roll_back(session, revision, targets)
    lines = [f"Policy files as at {rolled.revision[:7]}; nothing is committed."]
    lines += [f"  {word:<8} {safe(path, 1000)}" for path, word in rolled.files.items()]
    if not rolled.files:
        lines = [f"Policy files are already as at {rolled.revision[:7]}."]
    if wants_json(ctx):
        note("\n".join(lines))
    else:
        emit("\n".join(lines))
    planned = plan_targets(session, targets)
    if planned.failed and not planned.made:
        raise planned.failed[0]
    plans = [each.plan for each in planned.made]
    if wants_json(ctx):
        emit_json(plan_to_json(plans[0]) if len(plans) == 1 and not planned.failed else plans_to_json(plans))
    else:
        emit("\n" + "\n".join(render_plan(plan, color=use_color(sys.stdout)) for plan in plans))
    for error in planned.failed:
        note(f"error: {error}")
    return worst([error.exit for error in planned.failed])
