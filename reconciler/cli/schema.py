"""The command schema: print a schema, keep a repository's copies of them for editors up to date."""

from __future__ import annotations

from pathlib import Path

import click
from click import Context
from click.shell_completion import CompletionItem

from reconciler.cli.app import State
from reconciler.cli.command import command
from reconciler.cli.options import format_options, session_of, wants_json
from reconciler.cli.output import emit, emit_json
from reconciler.core.model import Json
from reconciler.errors import ExitCode, UsageError

_VERBS = ("print", "install", "check")
_SAYS = {
    "written": "written",
    "current": "as this version has it",
    "own": "the program's own",
    "older": "older than this version: reconciler schema install",
    "newer": "newer than this version: update reconciler",
    "edited": "edited by hand: reconciler schema install",
    "unreadable": "not JSON: reconciler schema install",
    "missing": "not there: reconciler schema install",
}


def _complete(ctx: Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    from reconciler.core.schema import load_schemas

    given = ctx.params.get("words") or ()
    offered = [*(() if given else _VERBS), *load_schemas().names]
    return [CompletionItem(name) for name in offered if name.startswith(incomplete)]


@command("schema", short_help="Print or install the policy JSON Schema.")
@click.argument("words", nargs=-1, metavar="[print NAME | install | check]", shell_complete=_complete)
@format_options("text", "json")
@click.pass_context
def schema_command(ctx: Context, words: tuple[str, ...], format: str) -> int:
    """List the schemas, print one, write copies for editors into schemas/, or check those copies (exit 1: not current).

    \b
    reconciler schema print neosc.policy
    reconciler schema install
    """
    from reconciler.core.schema import load_schemas
    from reconciler.workflows import schemas as work

    schemas = load_schemas()
    verb, names = (words[0], words[1:]) if words and words[0] in _VERBS else ("print", words)
    if len(names) > 1 or (verb != "print" and names):
        raise UsageError("too many words", where="schema", fix="write: print NAME, install, or check")
    if verb == "print":
        emit(work.print_schema(schemas, names[0]) if names else _listing(ctx))
        return ExitCode.DONE
    root = _root(ctx)
    copies = work.install_copies(schemas, root) if verb == "install" else work.check_copies(schemas, root)
    rows = [f"{copy.path:<40} {_SAYS[copy.state]}" for copy in copies]
    editor: list[Json] = []
    if verb == "install":
        from reconciler.workflows.session import read_config

        written = work.install_editor(root, read_config(session_of(ctx)).targets.values())
        rows += [f"{path:<40} {'written' if new else 'there already, left alone'}" for path, new in written.items()]
        editor = [{"path": path, "written": new} for path, new in written.items()]
    if wants_json(ctx):
        entries: list[Json] = [
            {"name": copy.name, "path": copy.path, "state": copy.state, "tool": copy.tool} for copy in copies
        ]
        emit_json({"format": "reconciler.schema/1", "copies": entries, "editor": editor})
    else:
        emit("\n".join(rows))
    return ExitCode.DONE if all(copy.is_good for copy in copies) else ExitCode.ERROR


def _listing(ctx: Context) -> str:
    from reconciler.cli.output import to_json
    from reconciler.core.schema import load_schemas

    titles = {name: str(schema.get("title", "")) for name, schema in sorted(load_schemas().raw.items())}
    if wants_json(ctx):
        entries: list[Json] = [{"name": name, "title": title} for name, title in titles.items()]
        return to_json({"format": "reconciler.schema/1", "schemas": entries})
    return "\n".join(f"{name:<20} {title}" for name, title in titles.items())


def _root(ctx: Context) -> Path:
    from reconciler.config import find_root

    return find_root(ctx.ensure_object(State).folder)
