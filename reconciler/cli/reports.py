"""`--report FORMAT=FILE`: more renderings of the same result, each into a file of its own; `-` is stdout."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from reconciler.cli.output import emit
from reconciler.errors import UsageError
from reconciler.workflows.files import write_whole

#: What a plan, and what problems of files, can be written as; `reports/formats.py` does it.
PLAN_FORMATS: Final = ("text", "json", "markdown", "html", "github", "gitlab", "sarif", "junit")
PROBLEM_FORMATS: Final = ("text", "json", "github", "gitlab", "sarif", "junit")

_Command = TypeVar("_Command", bound=Callable[..., Any])


def report_option(formats: Sequence[str]) -> Callable[[_Command], _Command]:
    """`--report FORMAT=FILE`, repeatable; the command gets one argument `report`: format → file."""

    def check(ctx: click.Context, param: click.Parameter, values: Sequence[str]) -> Mapping[str, str]:
        found: dict[str, str] = {}
        for value in values:
            name, _, file = value.partition("=")
            if name not in formats or not file:
                raise click.BadParameter(f"{value!r} is not FORMAT=FILE with one of {', '.join(formats)}")
            if name in found:
                raise click.BadParameter(f"{name} is asked for twice")
            found[name] = file
        return found

    return click.option(
        "--report",
        multiple=True,
        metavar="FORMAT=FILE",
        callback=check,
        help=f"Also write it as {', '.join(formats)}; repeatable.",
    )


def write_reports(wanted: Mapping[str, str], render: Callable[[str], str], *, format: str, json: bool) -> None:
    """Write what `render(format)` gives to each file; on stdout only beside text, which nobody parses."""
    if "-" in wanted.values() and (json or format != "text"):
        raise UsageError(
            "stdout is taken by --format", where="--report", fix="write the report to a file", code="usage"
        )
    for name, file in wanted.items():
        text = render(name)
        if file == "-":
            if text:
                emit(text)
        else:
            write_whole(Path(file), text.encode())
