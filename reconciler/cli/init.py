"""The command init: a policies repository from nothing."""

from __future__ import annotations

from pathlib import Path

import click
from click import Context

from reconciler.cli.app import State
from reconciler.cli.command import command
from reconciler.cli.options import format_options, wants_json
from reconciler.cli.output import emit, emit_json
from reconciler.core.model import Json
from reconciler.errors import ExitCode


@command("init", short_help="Make a policies repo with schema, CI and pre-commit.")
@click.argument("folder", type=click.Path(path_type=Path), default=".", metavar="[DIR]")
@format_options("text", "json")
@click.pass_context
def init_command(ctx: Context, folder: Path, format: str) -> int:
    """Make a policies repository: settings, example policies, schemas, CI, pre-commit, editor. Never over a file.

    \b
    reconciler init my-policies
    cd my-policies && reconciler doctor
    """
    from reconciler.cli.start import find_samples
    from reconciler.core.safe import safe
    from reconciler.workflows.init import init

    made = init(ctx.ensure_object(State).folder / folder, find_samples())
    if wants_json(ctx):
        entries: list[Json] = [{"path": path, "written": new} for path, new in sorted(made.files.items())]
        emit_json(
            {
                "format": "reconciler.init/1",
                "folder": str(made.root),
                "git": made.git,
                "files": entries,
                "placeholders": list(made.placeholders),
            }
        )
        return ExitCode.DONE
    rows = [f"A policies repository in {safe(str(folder))}"]
    rows += [f"  {'written    ' if new else 'left alone '} {path}" for path, new in sorted(made.files.items())]
    if made.git:
        rows.append("  git init    branch main, no commit yet")
    elif not made.at_top:
        rows.append("  note        not the top of its repository: GitHub and GitLab look for CI files only there")
    if made.placeholders:
        rows += ["", f"Replace   OWNER in {made.placeholders[0]}"]
        rows += [f"                   {path}" for path in made.placeholders[1:]]
    rows += [
        "",
        "Next      write the addresses of your systems into reconciler.yaml, then",
        "          reconciler doctor",
    ]
    emit("\n".join(rows))
    return ExitCode.DONE
