"""The Change group: apply, unlock."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

import click
from click import Context

from reconciler.cli.app import State
from reconciler.cli.command import command
from reconciler.cli.interrupt import pass_signals_to, stop_on_signals
from reconciler.cli.options import format_options, only_option, session_of, targets_option, wants_json
from reconciler.cli.output import emit, emit_json, note, use_color
from reconciler.cli.review import read_plans
from reconciler.core.model import Outcome, Plan
from reconciler.core.safe import safe
from reconciler.errors import ExitCode, OutputError, ReconcilerError, UsageError, worst
from reconciler.reports.plan_text import render_plan
from reconciler.reports.run_json import run_to_json, runs_to_json
from reconciler.reports.run_text import render_run
from reconciler.workflows.applying import Run, apply, remove_lock
from reconciler.workflows.looping import Child, follow, is_looped, loop, parse_every
from reconciler.workflows.notifying import notify_error, notify_run
from reconciler.workflows.session import Session, read_config


@command("apply", short_help="Carry out a plan and sign each change with its commit.")
@click.argument("plan", required=False, type=click.Path(path_type=Path))
@targets_option
@only_option
@click.option(
    "--reviewed",
    type=click.Path(path_type=Path),
    metavar="PLAN",
    help="Go on only if no more gets weaker than in this plan.",
)
@click.option("--yes", is_flag=True, help="Do not ask. Lifts no guard.")
@click.option("--every", metavar="TIME", help="Apply again and again, for example every 5m; needs --yes.")
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
    reviewed: Path | None,
    yes: bool,
    every: str | None,
    lock_timeout: float,
    format: str,
) -> int:
    """Make the live system match the commit at HEAD. Without a plan file it plans, shows, and asks.

    \b
    reconciler apply --target neosc
    reconciler apply plan.json --yes
    reconciler apply --yes --every 5m
    """

    session = session_of(ctx)
    if every is not None:
        if plan is not None:
            raise UsageError("a saved plan is applied once", where="--every", fix="leave out the plan or --every")
        return _loop(ctx, session, parse_every(every), targets, only, reviewed, yes, lock_timeout)
    afterwards = ctx.ensure_object(State).afterwards
    if is_looped(session):
        try:
            follow(session)
        except ReconcilerError as error:
            afterwards += [partial(notify_error, session, name, error) for name in _target_names(session, targets)]
            raise
    saved = _saved_plans(plan, targets, only)
    names = [each.target.name for each in saved] if saved else _target_names(session, targets)
    agreed = _reviewed_plans(reviewed, names)
    as_json = wants_json(ctx)

    def confirm(shown: Plan) -> bool:
        if yes:
            return True
        if not sys.stdin.isatty():
            raise UsageError(
                "nobody is there to ask",
                where="apply",
                fix="add --yes where no terminal is attached",
                code="no-terminal",
            )
        print(render_plan(shown, color=use_color(sys.stderr)), file=sys.stderr)
        print(f"Type the target name ({shown.target.name}) to go on: ", end="", file=sys.stderr, flush=True)
        return sys.stdin.readline().strip() == shown.target.name

    runs: list[Run] = []
    failed: list[ReconcilerError] = []
    with stop_on_signals() as stop:
        for position, name in enumerate(names):
            try:
                run = apply(
                    session,
                    name,
                    saved=saved[position] if saved else None,
                    reviewed=agreed.get(name),
                    only=only,
                    confirm=confirm,
                    lock_timeout=lock_timeout,
                    stop=stop,
                    progress=_tell if sys.stderr.isatty() else _silent,
                )
                runs.append(run)
                afterwards.append(partial(notify_run, session, run, drift=is_looped(session)))
            except ReconcilerError as error:
                afterwards.append(partial(notify_error, session, name, error))
                if len(names) == 1:
                    raise
                failed.append(error)
                note(f"error: {name}: {error}")
    try:
        if as_json:
            for run in runs:
                if run.error is not None:  # the machine format has no place for it
                    note(f"error: {safe(run.error, 1000)}")
            emit_json(run_to_json(runs[0]) if len(runs) == 1 and not failed else runs_to_json(runs, failed))
        elif runs:
            emit("\n".join(render_run(run, color=use_color(sys.stdout)) for run in runs))
    except OutputError as error:  # what was done is done and recorded, so the runs decide the exit code
        note("\n".join([f"error: {error}", *(render_run(run, color=use_color(sys.stderr)) for run in runs)]))
    return worst([*(run.exit for run in runs), *(error.exit for error in failed)])


def _loop(
    ctx: Context,
    session: Session,
    every: float,
    targets: tuple[str, ...],
    only: tuple[str, ...],
    reviewed: Path | None,
    yes: bool,
    lock_timeout: float,
) -> int:
    """Run the same command line without `--every` again and again, until somebody stops it."""
    if not yes:
        raise UsageError("nobody is asked in a loop", where="--every", fix="add --yes")
    _target_names(session, targets)
    arguments = [
        "-C",
        str(ctx.ensure_object(State).folder.absolute()),
        "apply",
        "--yes",
        f"--lock-timeout={lock_timeout}",
    ]
    arguments += [f"--target={name}" for name in targets] + [f"--only={key}" for key in only]
    arguments += [f"--reviewed={reviewed.absolute()}"] if reviewed is not None else []
    arguments += ["--json"] if wants_json(ctx) else []
    child = Child(arguments, session.environ, note)
    with pass_signals_to(child.stop):
        loop(every, child.run, clock=session.clock, random=session.random, stop=child.is_stopping, notice=note)
    return ExitCode.INTERRUPTED


def _silent(outcome: Outcome, number: int, total: int) -> None:
    return None


def _tell(outcome: Outcome, number: int, total: int) -> None:
    """One line of progress for people, on stderr."""
    note(f"{number}/{total} {outcome.status} {outcome.action} {safe(outcome.key)}")


def _saved_plans(path: Path | None, targets: tuple[str, ...], only: tuple[str, ...]) -> list[Plan]:
    """Return the plans of a saved file, those of *targets* when some are named."""
    if path is None:
        return []
    if only:
        raise UsageError("a saved plan is applied whole", where="--only", fix="plan again with --only", code="usage")
    plans = read_plans(path)
    chosen = [plan for plan in plans if not targets or plan.target.name in targets]
    if not chosen:
        raise UsageError(
            "the plan file has no plan for this target", where="--target", fix="plan that target", code="usage"
        )
    return chosen


def _reviewed_plans(path: Path | None, names: list[str]) -> dict[str, Plan]:
    """Return the reviewed plans of these targets by name; every one of them must have been reviewed."""
    if path is None:
        return {}
    plans = {plan.target.name: plan for plan in read_plans(path)}
    for name in names:
        if name not in plans:
            raise UsageError(
                f"the reviewed plan has nothing about target {name}",
                where="--reviewed",
                fix="name the plan that was reviewed for this target",
            )
    return plans


def _target_names(session: Session, targets: tuple[str, ...]) -> list[str]:
    """Return the targets to apply to: those named, or the only one there is."""
    if targets:
        return list(dict.fromkeys(targets))
    names = list(read_config(session).targets)
    if len(names) > 1:
        raise UsageError(
            f"there are {len(names)} targets: {', '.join(names)}", where="apply", fix="name one with -t", code="usage"
        )
    return names


@command("unlock", short_help="Remove the lock a dead run left behind.")
@targets_option
@click.option("--nonce", required=True, metavar="NONCE", help="The nonce that the refused run printed.")
@format_options("text", "json")
@click.pass_context
def unlock_command(ctx: Context, targets: tuple[str, ...], nonce: str, format: str) -> int:
    """Remove the lock with this nonce; any other lock stays.

    \b
    reconciler unlock --target neosc --nonce 4f1c…
    """
    session = session_of(ctx)
    [name] = _target_names(session, targets)[:1]
    holder = remove_lock(session, name, nonce)
    if wants_json(ctx):
        emit_json({"format": "reconciler.unlock/1", "target": name, "holder": holder})
    else:
        emit(f"Unlocked {name}; the lock was held by {holder}.")
    return ExitCode.DONE
