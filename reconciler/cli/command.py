"""Commands whose help pages are rich-click's, which is imported only when a page or a usage line is shown.

Parsing needs click alone; rich and rich-click cost as much again as click does (performance.md 1).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import click
from click import Context

if TYPE_CHECKING:
    from rich_click import RichContext

#: How every help page looks.
STYLE: Mapping[str, object] = {"theme": "default-nu", "max_width": 80, "commands_before_options": True}


class Command(click.Command):
    """A command that parses as click does and shows itself as rich-click does."""

    def get_help(self, ctx: Context) -> str:
        return rich_context(ctx).get_help()

    def get_usage(self, ctx: Context) -> str:
        return rich_context(ctx).get_usage()

    def get_help_option(self, ctx: Context) -> click.Option | None:
        option = super().get_help_option(ctx)
        if option is not None:
            option.callback = _show_help
        return option


def command(name: str, *, short_help: str | None = None) -> Callable[[Callable[..., Any]], Command]:
    """Return `click.command` for one of our commands."""
    return click.command(name, cls=Command, short_help=short_help)


def _show_help(ctx: Context, _: click.Parameter, value: bool) -> None:
    """Print the page as it is: `click.echo` would take out the colours that rich decided on."""
    if value and not ctx.resilient_parsing:
        print(ctx.get_help())
        ctx.exit()


def rich_context(ctx: Context) -> RichContext:
    """Return rich-click's view of *ctx*: a command with the same words and parameters, for rendering only.

    A group has the commands of its `get_command`, so that one which answers with stand-ins imports nothing.
    """
    from rich_click import RichCommand, RichContext, RichGroup

    plain = ctx.command
    given: dict[str, Any] = {
        "name": plain.name,
        "params": plain.params,
        "help": plain.help,
        "epilog": plain.epilog,
        "short_help": plain.short_help,
        "add_help_option": plain.add_help_option,
    }
    if isinstance(plain, click.Group):
        listed = [plain.get_command(ctx, name) for name in plain.list_commands(ctx)]
        shown = [RichCommand(name=each.name, help=each.help) for each in listed if each is not None]
        view: RichCommand = RichGroup(**given, commands=shown)
    else:
        view = RichCommand(**given)
    style = {**STYLE, **getattr(plain, "style", {})}
    parent = None if ctx.parent is None else rich_context(ctx.parent)
    return RichContext(
        view,
        parent=parent,
        info_name=ctx.info_name,
        max_content_width=ctx.max_content_width,
        terminal_width=ctx.terminal_width,
        rich_help_config=style,
    )
