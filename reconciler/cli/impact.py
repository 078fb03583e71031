"""The command impact: two revisions of the policies over the same recorded events."""

from __future__ import annotations

from pathlib import Path

import click
from click import Context

from reconciler.cli.command import command
from reconciler.cli.options import backend_options, format_options, session_of, targets_option, wants_json
from reconciler.cli.output import emit, emit_json, note
from reconciler.core.safe import safe
from reconciler.errors import ExitCode, UsageError
from reconciler.reports.impact_json import impact_to_json
from reconciler.reports.impact_words import render_impact
from reconciler.workflows.previewing import Elsewhere, compare_revisions


@command("impact", short_help="What two revisions do to recorded events.")
@targets_option
@click.option("--from", "old", required=True, metavar="REV", help="The policies before.")
@click.option("--to", "new", default="HEAD", show_default=True, metavar="REV", help="The policies after.")
@click.option(
    "--events",
    required=True,
    type=click.Path(path_type=Path),
    metavar="DIR|TABLE",
    help="Events from `events ingest`; with --backend, a table.",
)
@backend_options
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Also write every touched event, raw, with its target, as Parquet.",
)
@format_options("text", "json")
@click.pass_context
def impact_command(
    ctx: Context,
    targets: tuple[str, ...],
    old: str,
    new: str,
    events: Path,
    backend: str | None,
    max_bytes: int | None,
    out: Path | None,
    format: str,
) -> int:
    """Replay recorded events against the policies of two revisions. Needs no token and no network.

    \b
    reconciler impact --from main --events events
    reconciler impact --from v1 --to v2 --events events --out impact.parquet
    reconciler impact --from main --backend postgres://db.example/audit --events security.events
    """
    place = elsewhere(backend, max_bytes)
    compared = compare_revisions(session_of(ctx), targets, old, new, events, elsewhere=place, out=out)
    if wants_json(ctx):
        emit_json(
            {
                "format": "reconciler.impact/1",
                "targets": [
                    {"target": each.target, "from": each.old, "to": each.new, "impact": impact_to_json(each.impact)}
                    for each in compared
                ],
            }
        )
    else:
        emit("\n\n".join(render_impact(each.target, each.old, each.new, each.impact) for each in compared))
    return ExitCode.DONE


def elsewhere(backend: str | None, max_bytes: int | None) -> Elsewhere | None:
    """Return where events are read that are in no folder; raises UsageError for a limit on nothing."""
    if backend is not None:
        return Elsewhere(backend, max_bytes, lambda text: note(safe(text, 1000)))
    if max_bytes is not None:
        raise UsageError("a folder of events is read whole", where="--max-bytes", fix="leave it out, or add --backend")
    return None
