"""Command lines that stand in other people's files: whether the program has the command and its flags."""

from __future__ import annotations

from collections.abc import Sequence

import click

from reconciler.cli.app import program


def check_command(words: Sequence[str]) -> None:
    """Fail unless *words* are `reconciler COMMAND ...` with flags that the command has; nothing is run."""
    assert words[0] == "reconciler"
    group = program.make_context("reconciler", [*words[1:]], resilient_parsing=False)
    name, command, arguments = program.resolve_command(group, [*group._protected_args, *group.args])
    assert isinstance(command, click.Command), name
    command.make_context(str(name), list(arguments), parent=group)
