"""The command completion: the script that teaches a shell our commands, options, targets and policy keys."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from reconciler.cli.app import program
from reconciler.cli.command import command
from reconciler.cli.names import VARIABLE
from reconciler.cli.output import emit
from reconciler.errors import ExitCode


@command("completion", short_help="Shell completion for bash, zsh, fish.")
@click.argument("shell", type=click.Choice(("bash", "zsh", "fish")))
def completion_command(shell: str) -> int:
    """Print the completion script of a shell. It completes commands, options, targets and policy keys.

    \b
    reconciler completion bash > ~/.local/share/bash-completion/completions/reconciler
    reconciler completion fish > ~/.config/fish/completions/reconciler.fish
    """
    make = get_completion_class(shell)
    assert make is not None  # noqa: S101 - the choice above names click's own three
    emit(make(program, {}, "reconciler", VARIABLE).source())
    return ExitCode.DONE
