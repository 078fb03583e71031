"""The command group: which commands there are, how errors end, which exit code comes out.

Commands live in one module per help group and are imported when they are called. Nothing here knows what they do.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import click
from click import Command as PlainCommand
from click import Context
from click.exceptions import Abort, Exit

from reconciler import __version__
from reconciler.cli.command import Command
from reconciler.cli.streams import to_nowhere
from reconciler.errors import ExitCode, OutputError, ReconcilerError

#: Help group → command → (module, one line of help). The order is the order of the help page.
COMMANDS: Mapping[str, Mapping[str, tuple[str, str]]] = {
    "Start": {
        "demo": ("start", "Run a server, a repo and a first plan on this computer."),
        "init": ("init", "Make a policies repo with schema, CI and pre-commit."),
        "doctor": ("doctor", "Check config, token, network, clock, git history."),
    },
    "Review": {
        "validate": ("review", "Check files against the schema. No network needed."),
        "plan": ("review", "Show what apply would change. Never writes."),
        "show": ("review", "Print a saved plan in any format."),
        "comment": ("comment", "Put a saved plan on the pull request, once."),
        "impact": ("impact", "What two revisions do to recorded events."),
        "events": ("events", "Turn logs and audit trails into events to replay."),
    },
    "Change": {
        "apply": ("change", "Carry out a plan and sign each change with its commit."),
        "import": ("importing", "Write live policies into files."),
        "rollback": ("rollback", "Plan the return to an earlier revision."),
        "unlock": ("change", "Remove the lock a dead run left behind."),
    },
    "Watch": {
        "status": ("watch", "One line per policy: in sync, drifted, pending."),
        "drift": ("watch", "Report edits made outside git: who, when, what."),
        "log": ("watch", "Audit trail joined with git commits."),
        "blame": ("blame", "Where each live field comes from."),
    },
    "Look up": {
        "explain": ("explain", "Explain an error, a guard, a field or a policy."),
        "schema": ("schema", "Print or install the policy JSON Schema."),
        "completion": ("completion", "Shell completion for bash, zsh, fish."),
    },
    "Server": {
        "serve": ("serve", "Run the reference policy API."),
    },
}
_WHERE = {name: entry for group in COMMANDS.values() for name, entry in group.items()}

_EPILOG = (
    "Exit: 0 done or in sync, 1 error, 2 changes pending, 3 blocked by a guard, 4 apply stopped half-way or in doubt, "
    "5 plan is stale, 64 wrong usage, 75 try again later, 130 interrupted."
)


@dataclass(slots=True)
class State:
    """What the whole command line shares: the folder, and whether stdout was promised to be JSON.

    `afterwards` is done once the result is out, whatever it is, and changes neither it nor the exit code.
    """

    folder: Path = field(default_factory=Path.cwd)
    json: bool = False
    afterwards: list[Callable[[], None]] = field(default_factory=list)


class _Group(Command, click.Group):
    """A group that imports a command's module only when the command is called."""

    style = {"command_groups": {"*": [{"name": name, "commands": list(names)} for name, names in COMMANDS.items()]}}

    def list_commands(self, ctx: Context) -> list[str]:
        return list(_WHERE)

    def get_command(self, ctx: Context, cmd_name: str) -> PlainCommand | None:
        if cmd_name not in _WHERE:
            return None
        if _lists_only(ctx):
            return PlainCommand(name=cmd_name, help=_WHERE[cmd_name][1])
        module = importlib.import_module(f"reconciler.cli.{_WHERE[cmd_name][0]}")
        gc.enable()  # `main.py`
        command = getattr(module, f"{cmd_name.replace('-', '_')}_command")
        assert isinstance(command, PlainCommand)  # noqa: S101 - the table above names commands
        return command

    def get_help(self, ctx: Context) -> str:
        ctx.meta["reconciler.help"] = True
        return super().get_help(ctx)

    def resolve_command(self, ctx: Context, args: list[str]) -> tuple[str | None, PlainCommand | None, list[str]]:
        ctx.meta["reconciler.called"] = True
        if args and not args[0].startswith("-") and args[0] not in _WHERE and not ctx.resilient_parsing:
            import difflib

            near = difflib.get_close_matches(args[0], _WHERE, n=1)
            hint = f'; did you mean "{near[0]}"?' if near else "; reconciler --help lists them"
            ctx.fail(f"there is no command {args[0]!r}{hint}")
        return super().resolve_command(ctx, args)


def _lists_only(ctx: Context) -> bool:
    """Whether only the one-liners are wanted: for the group's own help page, or to complete a command's name."""
    return bool(ctx.meta.get("reconciler.help")) or (ctx.resilient_parsing and "reconciler.called" not in ctx.meta)


def _show_help(ctx: Context, _: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        click.echo(ctx.get_help())
        ctx.exit()


@click.group(
    cls=_Group,
    epilog=_EPILOG,
    add_help_option=False,
    context_settings={"auto_envvar_prefix": "RECONCILER", "max_content_width": 80},
)
@click.option("-C", "--repo", type=click.Path(path_type=Path), default=".", help="Policies repository.")
@click.option("-h", "--help", is_flag=True, is_eager=True, expose_value=False, callback=_show_help, help="Show this.")
@click.version_option(__version__, "--version", message="reconciler %(version)s", help="Show the version and exit.")
@click.pass_context
def program(ctx: Context, repo: Path) -> None:
    """Keep security policies in git; make the live API match, with a reason.

    \b
    reconciler demo          try it now, nothing to configure
    reconciler plan          what would change, and who asked for it
    reconciler apply         make it so
    """
    state = ctx.ensure_object(State)
    state.folder = repo


def run(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code; every error ends here, in words."""
    state = State()
    try:
        return _run(arguments, state)
    finally:
        for job in state.afterwards:
            try:
                job()
            except KeyboardInterrupt:
                break
            except Exception:  # noqa: BLE001 - a bug: it keeps its traceback, and the result stays what it was
                _print_traceback()


def _run(arguments: Sequence[str], state: State) -> int:
    instruction = os.environ.get("_RECONCILER_COMPLETE")
    if instruction:
        from click.shell_completion import shell_complete

        return shell_complete(program, {}, "reconciler", "_RECONCILER_COMPLETE", instruction)
    try:
        with program.make_context("reconciler", list(arguments), obj=state) as ctx:
            result = program.invoke(ctx)
        return int(result) if isinstance(result, int) else int(ExitCode.DONE)
    except Exit as stop:
        return int(stop.exit_code)
    except (Abort, KeyboardInterrupt):
        print("interrupted", file=sys.stderr)
        return int(ExitCode.INTERRUPTED)
    except click.ClickException as error:
        error.show()
        return int(ExitCode.USAGE)
    except BrokenPipeError:
        to_nowhere(sys.stdout)
        return int(ExitCode.ERROR)
    except ReconcilerError as error:
        return _report(error, json=state.json)
    except Exception as error:  # noqa: BLE001 - a bug: it keeps its traceback, and stdout keeps its promise
        _print_traceback()
        return _report(_internal(error), json=state.json)


def _print_traceback() -> None:
    import traceback

    traceback.print_exc()


def _internal(error: Exception) -> ReconcilerError:
    return ReconcilerError(
        f"a bug in reconciler ({type(error).__name__}); nothing is known about what was done",
        where="reconciler",
        fix="run reconciler status, and report the lines above",
        code="internal",
    )


def _report(error: ReconcilerError, *, json: bool) -> int:
    from reconciler.cli.output import emit_json, use_color
    from reconciler.core.problems import FilesError
    from reconciler.reports import problems as report

    if isinstance(error, FilesError):
        text = report.render_problems(error.problems, files=error.files, color=use_color(sys.stderr))
        value = report.problems_to_json(error.problems)
    else:
        text = report.render_error(error, color=use_color(sys.stderr))
        value = report.error_to_json(error)
    print(text, file=sys.stderr)
    if json:
        with contextlib.suppress(OutputError):  # it may be the very error that is told
            emit_json(value)
    return int(error.exit)
