"""The command events: recorded traffic, from files and from live audit trails."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import click
from click import Context

from reconciler.cli.command import Command, command
from reconciler.cli.options import format_options, session_of, targets_option, wants_json
from reconciler.cli.output import emit, emit_json, note
from reconciler.core.model import Json
from reconciler.core.safe import safe
from reconciler.errors import ExitCode
from reconciler.reports.impact_words import percent
from reconciler.reports.view import count
from reconciler.workflows.pulling import pull_events
from reconciler.workflows.recording import Recorded, ingest_source

_BAR: Final = 24


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
    with _cleared():
        recorded = ingest_source(source, mapping, out, _bar)
    _print(ctx, recorded, out)
    return ExitCode.DONE


@command("pull", short_help="Read what a live system remembers.")
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
    with _cleared():
        recorded = pull_events(session_of(ctx), targets, out, _tally)
    _print(ctx, recorded, out)
    return ExitCode.DONE


events_command.add_command(ingest_command)
events_command.add_command(pull_command)


def _bar(records: int, share: float) -> None:
    """A bar on a terminal, drawn over the one before; nothing anywhere else."""
    filled = round(_BAR * min(share, 1.0))
    _draw(f"[{'#' * filled}{'.' * (_BAR - filled)}] {share:4.0%}  {records:,} records")


def _tally(records: int) -> None:
    """The same where nobody knows how much is to come."""
    _draw(f"{records:,} records")


def _draw(line: str) -> None:
    if sys.stderr.isatty():
        print(f"\r{line}\x1b[K", end="", file=sys.stderr, flush=True)


@contextmanager
def _cleared() -> Iterator[None]:
    """What was drawn is gone afterwards, also where an error follows it."""
    try:
        yield
    finally:
        _draw("")


def _print(ctx: Context, recorded: Recorded, out: Path) -> None:
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
        "warnings": list(recorded.warnings),
        "columns": {name: dict(facts) for name, facts in stored.columns.items()},
    }


def render(recorded: Recorded, out: Path) -> str:
    """Return what the folder holds, and what a replay will not know."""
    stored = recorded.stored
    lines = [
        f"{count(stored.events, 'event')} of {stored.days:,} day{'s' * (stored.days != 1)} in {safe(str(out), 500)}, "
        f"{recorded.added:,} of them new."
    ]
    if stored.duplicates:
        lines.append(f"{count(stored.duplicates, 'record')} had the id of another one, which counts.")
    if stored.rejected:
        lines.append(f"{count(stored.rejected, 'record')} left out, being no events.")
    lines += _unknown(stored.columns)
    for name in stored.constant:
        lines.append(f"warning: {name} has one value in all events, so replays take it for not recorded.")
    return "\n".join(lines)


def _unknown(columns: Mapping[str, Mapping[str, Json]]) -> Iterator[str]:
    """Which columns were recorded in part, those of one share together, and how many never."""
    by_share: dict[float, list[str]] = {}
    for name, facts in columns.items():
        by_share.setdefault(float(str(facts["null_share"])), []).append(name)
    absent = by_share.pop(1.0, [])
    by_share.pop(0.0, None)
    for share, names in sorted(by_share.items()):
        yield f"Recorded in {percent(1 - share)} of them: {', '.join(names)}."
    if absent:
        yield f"Never recorded: {count(len(absent), 'column')}; --json lists them."
