"""The Review group: validate, plan, show. None of these ever writes to a live system."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click import Context

from reconciler.cli.command import command
from reconciler.cli.options import (
    backend_options,
    format_options,
    only_option,
    session_of,
    targets_option,
    wants_json,
)
from reconciler.cli.output import emit, emit_json, note, to_json, use_color
from reconciler.cli.reports import PLAN_FORMATS, PROBLEM_FORMATS, report_option, write_reports
from reconciler.core.model import Json, Plan
from reconciler.errors import ExitCode, ReconcilerError, worst
from reconciler.workflows.files import write_whole

if TYPE_CHECKING:
    from reconciler.providers.snapshot import Snapshot

MAX_PLAN_BYTES = 256 * 1024 * 1024


@command("validate", short_help="Check files against the schema. No network needed.")
@targets_option
@click.option("--since", metavar="REV", help="Only files that differ from this revision.")
@report_option(PROBLEM_FORMATS)
@format_options(*PROBLEM_FORMATS)
@click.pass_context
def validate_command(
    ctx: Context, targets: tuple[str, ...], since: str | None, report: Mapping[str, str], format: str
) -> int:
    """Check every policy file, reconciler.yaml and overrides.yaml against the schemas. Needs no network.

    \b
    reconciler validate
    reconciler validate --since origin/main
    reconciler validate --json
    reconciler validate --report sarif=found.sarif --report github=-
    """
    import sys

    from reconciler.core.safe import safe
    from reconciler.reports.problems import problems_to_json, render_problems
    from reconciler.workflows.session import validate

    found = validate(session_of(ctx, only_reads=True), targets, since=since)

    def render_as(name: str) -> str:
        from reconciler.reports.formats import render_problems_as

        return render_problems_as(name, found.problems, files=found.files)

    write_reports(report, render_as, format=format, json=wants_json(ctx))
    if wants_json(ctx):
        emit_json(problems_to_json(found.problems))
    elif format != "text":
        emit(render_as(format))
    elif found.problems:
        emit(render_problems(found.problems, files=found.files, color=use_color(sys.stdout)))
    else:
        what = "Valid" if since is None else f"Valid since {safe(since)}"
        emit(f"{what}: {found.files} files, {found.policies} policies. Nothing was sent to the API.")
    return ExitCode.ERROR if found.has_errors else ExitCode.DONE


@command("plan", short_help="Show what apply would change. Never writes.")
@targets_option
@only_option
@click.option("--commit", metavar="REV", help="Plan this commit's files instead of the working tree's.")
@click.option(
    "--live",
    type=click.Path(path_type=Path),
    metavar="SNAPSHOT",
    help="Plan against this file of `drift --snapshot`; needs no token, and apply refuses the plan.",
)
@click.option(
    "--events",
    type=click.Path(path_type=Path),
    metavar="DIR|TABLE",
    help="Replay these recorded events: what would the plan have blocked?",
)
@backend_options
@click.option("--detailed-exitcode", is_flag=True, help="Exit 2 when changes are pending, 3 when a guard blocks.")
@click.option("--out", type=click.Path(path_type=Path), metavar="FILE", help="Save the plan for apply and show.")
@click.option("-q", "quiet", is_flag=True, help="Only the four last lines.")
@click.option("--oneline", is_flag=True, help="One line per policy.")
@click.option("--full", is_flag=True, help="Unchanged fields as well.")
@report_option(PLAN_FORMATS)
@format_options(*PLAN_FORMATS)
@click.pass_context
def plan_command(
    ctx: Context,
    targets: tuple[str, ...],
    only: tuple[str, ...],
    commit: str | None,
    live: Path | None,
    events: Path | None,
    backend: str | None,
    max_bytes: int | None,
    detailed_exitcode: bool,
    out: Path | None,
    quiet: bool,
    oneline: bool,
    full: bool,
    report: Mapping[str, str],
    format: str,
) -> int:
    """Show what apply would change and who asked for it. Never writes to the live system.

    \b
    reconciler plan
    reconciler plan --target neosc --out plan.json --detailed-exitcode
    reconciler plan --live snapshot.json --commit HEAD
    reconciler plan --events events --report markdown=plan.md
    reconciler plan --report markdown=plan.md --report sarif=plan.sarif
    """
    import sys

    from reconciler.reports.plan_text import render_plan
    from reconciler.workflows.planning import plan_targets

    snapshots = None if live is None else read_snapshots(live)
    session = session_of(ctx, only_reads=True)
    planned = plan_targets(session, targets, commit=commit, only=only, live=snapshots)
    plans = [each.plan for each in planned.made]
    if events is not None:
        from reconciler.cli.impact import elsewhere
        from reconciler.workflows.previewing import with_impact

        place = elsewhere(backend, max_bytes)
        plans = [with_impact(session, each, events, elsewhere=place).plan for each in planned.made]
    if out is not None and plans:
        write_whole(out, to_json(_plans_json(plans, whole=not planned.failed)).encode())
    style = "quiet" if quiet else "oneline" if oneline else "full" if full else "default"
    if planned.failed and not plans:
        raise planned.failed[0]
    write_reports(report, lambda name: _render_as(name, plans), format=format, json=wants_json(ctx))
    if wants_json(ctx):
        emit_json(_plans_json(plans, whole=not planned.failed))
    elif format != "text":
        emit(_render_as(format, plans))
    else:
        emit("\n".join(render_plan(plan, color=use_color(sys.stdout), style=style) for plan in plans))
    for error in planned.failed:
        note(f"error: {error}")
    codes = [error.exit for error in planned.failed]
    if detailed_exitcode:
        codes += [_detailed(plan.blocked, plan.changes or plan.held) for plan in plans]
    return worst(codes)


def _render_as(name: str, plans: Sequence[Plan]) -> str:
    from reconciler.reports.formats import render_plans

    return render_plans(name, plans)


def _plans_json(plans: Sequence[Plan], *, whole: bool = True) -> dict[str, Json]:
    """One plan by itself; several, or what is left of several, in a list."""
    from reconciler.reports.plan_json import plan_to_json, plans_to_json

    return plan_to_json(plans[0]) if len(plans) == 1 and whole else plans_to_json(plans)


def _detailed(blocked: object, pending: object) -> ExitCode:
    return ExitCode.BLOCKED if blocked else ExitCode.CHANGES if pending else ExitCode.DONE


@command("show", short_help="Print a saved plan in any format.")
@click.argument("plan", type=click.Path(path_type=Path))
@click.option("-q", "quiet", is_flag=True, help="Only the four last lines.")
@click.option("--oneline", is_flag=True, help="One line per policy.")
@click.option("--full", is_flag=True, help="Unchanged fields as well.")
@report_option(PLAN_FORMATS)
@format_options(*PLAN_FORMATS)
@click.pass_context
def show_command(
    ctx: Context, plan: Path, quiet: bool, oneline: bool, full: bool, report: Mapping[str, str], format: str
) -> int:
    """Print a plan that `plan --out` saved.

    \b
    reconciler show plan.json
    reconciler show plan.json --json
    reconciler show plan.json --format html >plan.html
    """
    import sys

    from reconciler.reports.plan_text import render_plan

    plans = read_plans(plan)
    write_reports(report, lambda name: _render_as(name, plans), format=format, json=wants_json(ctx))
    style = "quiet" if quiet else "oneline" if oneline else "full" if full else "default"
    if wants_json(ctx):
        emit_json(_plans_json(plans))
    elif format != "text":
        emit(_render_as(format, plans))
    else:
        emit("\n".join(render_plan(each, color=use_color(sys.stdout), style=style) for each in plans))
    return ExitCode.DONE


def read_plans(path: Path) -> list[Plan]:
    """Return the plans in a saved file (`reconciler.plan/1` or `reconciler.plans/1`), fingerprints checked."""
    from reconciler.reports.plan_json import plans_from_text

    data = _read_saved(path, MAX_PLAN_BYTES, "plan", "reconciler plan --out FILE")
    return plans_from_text(data, where=str(path))


def read_snapshots(path: Path) -> Sequence[Snapshot]:
    """Return the reads in a snapshot file (`reconciler.snapshot/1`)."""
    from reconciler.providers.snapshot import MAX_BYTES, parse_snapshots

    data = _read_saved(path, MAX_BYTES, "snapshot", "reconciler drift --snapshot FILE")
    return parse_snapshots(data, where=str(path))


def _read_saved(path: Path, limit: int, what: str, writer: str) -> bytes:
    """Return the bytes of a file that *writer* wrote; no more than *limit* are taken."""
    try:
        with open(path, "rb") as file:
            data = file.read(limit + 1)
    except OSError as error:
        raise ReconcilerError(
            f"the {what} cannot be read ({error.strerror or type(error).__name__})",
            where=str(path),
            fix=f"name a file that `{writer}` wrote",
            code=f"{what}-file",
        ) from error
    if len(data) > limit:
        raise ReconcilerError(
            f"the {what} file is too large", where=str(path), fix=f"make a new {what}", code=f"{what}-file"
        )
    return data
