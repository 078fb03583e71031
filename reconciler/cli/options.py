"""Options that several commands share, and the session every command works in."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable
from typing import Any, TypeVar

import click
from click import Context

from reconciler.cli.app import State
from reconciler.cli.names import complete_keys, complete_targets
from reconciler.cli.output import note
from reconciler.clock import SystemClock, SystemRandom
from reconciler.workflows.session import Session, open_session

_Command = TypeVar("_Command", bound=Callable[..., Any])


def targets_option(command: _Command) -> _Command:
    """`-t NAME`, repeatable; none means all."""
    return click.option(
        "-t",
        "--target",
        "targets",
        multiple=True,
        metavar="NAME",
        envvar="RECONCILER_TARGET",
        shell_complete=complete_targets,
        help="Target from reconciler.yaml; repeatable.",
    )(command)


def only_option(command: _Command) -> _Command:
    """`--only KEY`, repeatable; the plan is then incomplete."""
    return click.option(
        "--only",
        multiple=True,
        metavar="KEY",
        shell_complete=complete_keys,
        help="Only this policy; repeatable. Never deletes.",
    )(command)


def backend_options(command: _Command) -> _Command:
    """Add `--backend` and `--max-bytes`, for events in an engine that somebody has already."""
    limit = click.option(
        "--max-bytes",
        type=click.IntRange(min=1),
        metavar="N",
        help="With --backend: stop before anything is read if about more bytes than this would be.",
    )
    url = click.option(
        "--backend",
        metavar="URL",
        envvar="RECONCILER_BACKEND",
        help="Replay there: --events is a table of postgres://, sqlite://, duckdb://, pyspark://, trino:// …",
    )
    return url(limit(command))


def format_options(*formats: str) -> Callable[[_Command], _Command]:
    """`--format` with *formats*, and `--json` as its short form; the command gets one argument `format`."""

    def decorate(command: _Command) -> _Command:
        command = click.option(
            "--json", "as_json", is_flag=True, expose_value=False, callback=_promise_json, help="Same as --format json."
        )(command)
        return click.option(
            "--format",
            type=click.Choice(formats),
            default="text",
            callback=_choose_format,
            help="How the result is printed.",
        )(command)

    return decorate


def _promise_json(ctx: Context, _: click.Parameter, value: bool) -> None:
    if value:
        ctx.ensure_object(State).json = True


def _choose_format(ctx: Context, _: click.Parameter, value: str) -> str:
    state = ctx.ensure_object(State)
    if value == "json":
        state.json = True
    return value


def wants_json(ctx: Context) -> bool:
    """Whether stdout was promised to be JSON, by `--json` or `--format json`."""
    return ctx.ensure_object(State).json


def session_of(ctx: Context, *, only_reads: bool = False) -> Session:
    """Open the policies repository the command line points at; *only_reads* as `Session` says.

    What a command builds lives until it ends, so looking through it for garbage every 700 objects, as Python does by
    itself, is an eighth of a large plan. A server, which lives on, opens no session.
    """
    gc.set_threshold(100_000, 20, 20)
    return open_session(
        ctx.ensure_object(State).folder,
        environ=os.environ,
        clock=SystemClock(),
        random=SystemRandom(),
        notice=note,
        only_reads=only_reads,
    )
