"""The command import: from the live system into policy files."""

from __future__ import annotations

import click
from click import Context

from reconciler.cli.command import command
from reconciler.cli.options import format_options, session_of, targets_option, wants_json
from reconciler.cli.output import emit, emit_json
from reconciler.core.model import Json
from reconciler.core.safe import safe
from reconciler.errors import ExitCode
from reconciler.workflows.importing import UNCHANGED, ImportResult, NotImported, import_live

_PATH = 1000


@command("import", short_help="Write live policies into files.")
@targets_option
@click.option("--only", multiple=True, metavar="KEY", help="Only this policy, in git or not; repeatable.")
@format_options("text", "json")
@click.pass_context
def import_command(ctx: Context, targets: tuple[str, ...], only: tuple[str, ...], format: str) -> int:
    """Write live policies into files: new files for new ones, and in yours only the lines that differ.

    Nothing is committed and nothing is sent. Exit 1 when something live could not be written.

    \b
    reconciler import --target neosc
    reconciler import --only pol-session-recording
    """
    result = import_live(session_of(ctx), targets, only)
    if wants_json(ctx):
        emit_json(import_to_json(result))
    else:
        emit(render_import(result))
    return ExitCode.ERROR if result.skipped else ExitCode.DONE


def import_to_json(result: ImportResult) -> dict[str, Json]:
    """Return `reconciler.import/1`."""
    return {
        "format": "reconciler.import/1",
        "complete": result.complete,
        "files": [
            {"target": each.target, "path": each.path, "key": each.key, "status": each.status} for each in result.files
        ],
        "skipped": _entries(result.skipped, "reason"),
        "left_out": _entries(result.left_out, "pointers"),
        "not_live": _entries(result.not_live, "reason"),
    }


def _entries(entries: tuple[NotImported, ...], name: str) -> list[Json]:
    return [{"target": each.target, "key": each.key, name: each.reason} for each in entries]


def render_import(result: ImportResult) -> str:
    """Return what became of every file, what was not written and why, and what to do next."""
    lines = [f"{each.status:<10} {safe(each.path, _PATH)}  {safe(each.key, _PATH)}" for each in result.files]
    for word, entries in (("SKIPPED", result.skipped), ("left out", result.left_out), ("not live", result.not_live)):
        lines += [f"{word:<10} {safe(each.key, _PATH)}: {safe(each.reason, _PATH)}" for each in entries]
    written = sum(each.status != UNCHANGED for each in result.files)
    same = len(result.files) - written
    lines.append("" if lines else "Nothing is live, and nothing was written.")
    if not result.complete:
        lines.append("INCOMPLETE the list of live policies may not be whole")
    lines.append(f"Import     {written:,} written, {same:,} unchanged, {len(result.skipped):,} skipped")
    lines.append(
        "Next       reconciler plan, then commit; the next apply records what git owns"
        if written
        else "Next       reconciler plan"
    )
    return "\n".join(lines)
