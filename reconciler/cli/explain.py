"""The command explain: what a code, a guard, a field or a policy's key means."""

from __future__ import annotations

import click
from click import Context
from click.shell_completion import CompletionItem

from reconciler.cli.command import command
from reconciler.cli.options import format_options, session_of, wants_json
from reconciler.cli.output import emit, emit_json
from reconciler.errors import ExitCode


def _complete(ctx: Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    from reconciler.cli.names import complete_words

    return complete_words(ctx, incomplete)


@command("explain", short_help="Explain an error, a guard, a field or a policy.")
@click.argument("word", required=False, metavar="[CODE|GUARD|FIELD|KEY]", shell_complete=_complete)
@format_options("text", "json")
@click.pass_context
def explain_command(ctx: Context, word: str | None, format: str) -> int:
    """Explain an error code, a guard, a field of a file, or a policy of this repository. Needs no network.

    \b
    reconciler explain unknown-key
    reconciler explain conditions.max_requests_per_hour
    """
    from reconciler.reports import explain as report

    if word is None:
        if wants_json(ctx):
            emit_json(report.index_to_json())
        else:
            emit(report.render_index())
        return ExitCode.DONE
    from reconciler.workflows.explain import explain

    found = explain(word, lambda: session_of(ctx))
    if wants_json(ctx):
        emit_json(report.explanation_to_json(found))
    else:
        emit(report.render_explanation(found))
    return ExitCode.DONE
