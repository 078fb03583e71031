"""The Change group: apply, unlock."""

from __future__ import annotations

import sys
from pathlib import Path

import rich_click as click
from click import Context

from reconciler.cli.options import format_options, only_option, session_of, targets_option, wants_json
from reconciler.cli.output import emit, emit_json, note, use_color
from reconciler.core.model import Plan
from reconciler.errors import UsageError, worst


@click.command("apply", short_help="Carry out a plan and sign each change with its commit.")
@click.argument("plan", required=False, type=click.Path(path_type=Path))
@targets_option
@only_option
@click.option("--yes", is_flag=True, help="Do not ask. Lifts no guard.")
@click.option(
    "--lock-timeout", type=click.FloatRange(min=0), default=0.0, metavar="S", help="Wait this long for another run."
)
@format_options("text", "json")
@click.pass_context
def apply_command(
    ctx: Context,
    plan: Path | None,
    targets: tuple[str, ...],
    only: tuple[str, ...],
    yes: bool,
    lock_timeout: float,
    format: str,
) -> int:
    """Make the live system match the commit at HEAD. Without a plan file it plans, shows, and asks.

    \b
    reconciler apply --target neosc
    reconciler apply plan.json --yes
    """
    from reconciler.cli.interrupt import stop_on_signals
    from reconciler.reports.plan_text import render_plan
    from reconciler.reports.run_json import run_to_json, runs_to_json
    from reconciler.reports.run_text import render_run
    from reconciler.workflows import apply

    session = session_of(ctx)
    saved = _saved_plans(plan, targets, only)
    names = [each.target.name for each in saved] if saved else _target_names(session, targets)
    as_json = wants_json(ctx)

    def confirm(shown: Plan) -> bool:
        if yes:
            return True
        if not sys.stdin.isatty():
            raise UsageError(
                "nobody is there to ask",
                where="apply",
                fix="add --yes when no terminal is attached",
                code="no-terminal",
            )
        print(render_plan(shown, color=use_color(sys.stderr)), file=sys.stderr)
        print(f"Type the target name ({shown.target.name}) to go on: ", end="", file=sys.stderr, flush=True)
        return sys.stdin.readline().strip() == shown.target.name

    runs = []
    with stop_on_signals() as stop:
        for position, name in enumerate(names):
            runs.append(
                apply(
                    session,
                    name,
                    saved=saved[position] if saved else None,
                    only=only,
                    confirm=confirm,
                    lock_timeout=lock_timeout,
                    stop=stop,
                    progress=lambda line: None if as_json else note(line),
                )
            )
    if as_json:
        emit_json(run_to_json(runs[0].report) if len(runs) == 1 else runs_to_json([run.report for run in runs]))
    else:
        emit("\n".join(render_run(run.report, color=use_color(sys.stdout)) for run in runs))
    return worst([run.exit for run in runs])
