"""The command doctor: is everything there that a run needs?"""

from __future__ import annotations

import sys

import click
from click import Context

from reconciler.cli.app import State
from reconciler.cli.command import command
from reconciler.cli.options import format_options, session_of, targets_option, wants_json
from reconciler.cli.output import emit, emit_json, use_color


@command("doctor", short_help="Check config, token, network, clock, git history.")
@targets_option
@format_options("text", "json")
@click.pass_context
def doctor_command(ctx: Context, targets: tuple[str, ...], format: str) -> int:
    """Check config, token, network, clock and git history: one line each, with the fix. Reads only.

    Exit 1 when something is wrong, 75 when an API or a remote does not answer now.

    \b
    reconciler doctor
    reconciler doctor --target neosc --json
    """
    from reconciler.reports.doctor import diagnosis_to_json, render_diagnosis
    from reconciler.workflows.doctor import diagnose, exit_of

    found = diagnose(ctx.ensure_object(State).folder, lambda: session_of(ctx), targets)
    if wants_json(ctx):
        emit_json(diagnosis_to_json(found))
    else:
        emit(render_diagnosis(found, color=use_color(sys.stdout)))
    return exit_of(found)
