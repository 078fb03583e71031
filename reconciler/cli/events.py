"""The command events: recorded traffic, from files and from live audit trails."""

from __future__ import annotations

import sys
from pathlib import Path

import click
from click import Context

from reconciler.cli.command import Command, command
from reconciler.cli.options import format_options, session_of, targets_option, wants_json
from reconciler.cli.output import emit, emit_json, note
from reconciler.core.model import Json
from reconciler.core.safe import safe
from reconciler.errors import ExitCode
from reconciler.workflows.pulling import pull_events
from reconciler.workflows.recording import Recorded, ingest_source


class _Events(Command, click.Group):
    """A group whose pages look as all others."""


@click.group("events", cls=_Events, short_help="Turn logs and audit trails into events to replay.")
def events_command() -> None:
    """Turn logs and audit trails into a folder of events, which plan and impact replay."""


@command("ingest", short_help="Read records of a log.")
@click.argument("source", type=click.Path(path_type=Path))
@click.option("--mapping", required=True, metavar="NAME|FILE", help="How a record becomes an event.")
@click.option("--out", required=True, type=click.Path(path_type=Path), metavar="DIR", help="The folder to write.")
@format_options("text", "json")
@click.pass_context
def ingest_command(ctx: Context, source: Path, mapping: str, out: Path, format: str) -> int:
    """Write the records of a file or a folder (JSONL, gz, zst, CSV, Parquet) as a folder of events.

    \b
    reconciler events ingest audit.jsonl --mapping neosc-audit --out events
    reconciler events ingest logs/ --mapping events.yaml --out events
    """
    _print(ctx, ingest_source(source, mapping, out, _progress), out)
    return ExitCode.DONE


@command("pull", short_help="Read a live audit trail.")
@targets_option
@click.option("--out", required=True, type=click.Path(path_type=Path), metavar="DIR", help="The folder to add to.")
@format_options("text", "json")
@click.pass_context
def pull_command(ctx: Context, targets: tuple[str, ...], out: Path, format: str) -> int:
    """Add to a folder of events what is new in a target's audit trail, and the requests its server judged.

    Some trails keep only their newest entries: pull on a schedule. One folder is the history of one system.

    \b
    reconciler events pull --target neosc --out events
    """
    _print(ctx, pull_events(session_of(ctx), targets, out, _progress), out)
    return ExitCode.DONE


events_command.add_command(ingest_command)
events_command.add_command(pull_command)


def _progress(count: int) -> None:
    """One line on a terminal that is written over; nothing anywhere else."""
    if sys.stderr.isatty():
        print(f"\r{count:,} records read", end="", file=sys.stderr, flush=True)


def _print(ctx: Context, recorded: Recorded, out: Path) -> None:
    if sys.stderr.isatty():
        print("\r\x1b[K", end="", file=sys.stderr, flush=True)
    for text in recorded.warnings:
        note(f"warning: {safe(text, 500)}")
    if wants_json(ctx):
        emit_json(recorded_to_json(recorded))
    else:
        emit(render(recorded, out))


def recorded_to_json(recorded: Recorded) -> dict[str, Json]:
    """Return `reconciler.events/1`: what the folder holds now."""
    stored = recorded.stored
    return {
        "format": "reconciler.events/1",
        "events": stored.events,
        "added": recorded.added,
        "days": stored.days,
        "first_us": stored.first_us,
        "last_us": stored.last_us,
        "duplicates": stored.duplicates,
        "rejected": stored.rejected,
        "columns": {name: dict(facts) for name, facts in stored.columns.items()},
    }


def render(recorded: Recorded, out: Path) -> str:
    """Return what the folder holds, and what a replay will not know."""
    stored = recorded.stored
    lines = [
        f"{stored.events:,} events of {stored.days:,} days in {safe(str(out), 500)}, {recorded.added:,} of them new."
    ]
    if stored.duplicates:
        lines.append(f"{stored.duplicates:,} records had the id of another one and count once.")
    if stored.rejected:
        lines.append(f"{stored.rejected:,} records are no events and are left out.")
    absent = [name for name, facts in stored.columns.items() if facts["null_share"] == 1]
    partly = [
        f"{name} ({100 * float(str(facts['null_share'])):.1f} % not recorded)"
        for name, facts in stored.columns.items()
        if 0 < float(str(facts["null_share"])) < 1
    ]
    if partly:
        lines.append("Recorded in part: " + ", ".join(partly) + ".")
    if absent:
        lines.append("Not recorded: " + ", ".join(absent) + ".")
    for name in stored.constant:
        lines.append(f"warning: {name} has one value in all events, so replays take it for not recorded.")
    return "\n".join(lines)
