"""The command blame: where each live field of a policy comes from."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click
from click import Context

from reconciler.cli.command import command
from reconciler.cli.options import format_options, session_of, targets_option, wants_json
from reconciler.cli.output import emit, emit_json, use_color
from reconciler.core.blame import By, FieldBlame
from reconciler.core.model import Confidence, Json
from reconciler.core.safe import quoted, safe
from reconciler.errors import ExitCode
from reconciler.reports.layout import Line, paint, wrap
from reconciler.reports.view import field_name, short, value_text
from reconciler.workflows.blaming import Origin, PolicyBlame, blame

_WHOLE = 4 * 1024 * 1024


@command("blame", short_help="Where each live field comes from.")
@click.argument("key", metavar="KEY")
@targets_option
@format_options("text", "json")
@click.pass_context
def blame_command(ctx: Context, key: str, targets: tuple[str, ...], format: str) -> int:
    """Show for each live field of a policy the commit, author and pull request, or who set it by hand, or unknown.

    \b
    reconciler blame pol-mfa-required
    reconciler blame "Rate Limit Enforcement" --target opena2a --json
    """
    found = blame(session_of(ctx), key, targets)
    if wants_json(ctx):
        emit_json(blame_to_json(key, found))
    else:
        emit(render_blame(found, color=use_color(sys.stdout)))
    return ExitCode.DONE


def blame_to_json(key: str, found: Sequence[PolicyBlame]) -> dict[str, Json]:
    """Return `reconciler.blame/1`: the fields of every target, one after the other."""
    fields: list[Json] = [_field_to_json(policy, field) for policy in found for field in policy.fields]
    return {"format": "reconciler.blame/1", "key": key, "fields": fields}


def _field_to_json(policy: PolicyBlame, field: FieldBlame) -> dict[str, Json]:
    origin = policy.origins.get(field.commit) if field.commit is not None else None
    commit = None if origin is None else origin.commit
    drift = field.drift
    return {
        "target": policy.target,
        "pointer": field.pointer,
        "value": field.value,
        "by": field.by.value,
        "commit": None if commit is None else {"sha": commit.sha, "author": commit.author, "subject": commit.subject},
        "pull_request": None if origin is None else origin.pull_request,
        "applied_at": field.applied_at,
        "drift": None
        if drift is None
        else {
            "actor": drift.actor,
            "at": drift.at,
            "audit_id": drift.audit_id,
            "confidence": drift.confidence.value,
        },
    }


def render_blame(found: Sequence[PolicyBlame], *, color: bool = False) -> str:
    """Return each field with its value, and below it where it comes from."""
    lines: list[Line] = []
    for policy in found:
        if lines:
            lines.append([])
        lines.append([(safe(policy.key, _WHOLE), "bold"), ("  at ", ""), (safe(policy.target), "bold")])
        for field in policy.fields:
            text = f"{safe(field_name(field.pointer), _WHOLE)}: {safe(value_text(field.value), _WHOLE)}"
            lines += wrap(text, first="  ", indent=4)
            origin = policy.origins.get(field.commit) if field.commit is not None else None
            lines += wrap(_words(field, origin), first="    ", indent=6, style=_STYLES[field.by])
    return paint(lines, color=color)


_STYLES = {By.GIT: "dim", By.HAND: "cyan", By.UNKNOWN: "yellow"}


def _words(field: FieldBlame, origin: Origin | None) -> str:
    """Where a field comes from, in one sentence."""
    if field.by is By.GIT and origin is not None:
        request = f", pull request #{origin.pull_request}" if origin.pull_request is not None else ""
        commit = origin.commit
        at = safe((field.applied_at or "").partition(".")[0].replace("T", " ").removesuffix("+00:00"))
        return f"git {short(commit.sha)} {safe(commit.author)} {quoted(commit.subject)}{request}, applied {at}Z"
    drift = field.drift
    if field.by is By.HAND and drift is not None:
        if drift.confidence is Confidence.UNKNOWN or drift.actor is None:
            return "by hand, author unknown"
        likely = "likely " if drift.confidence is Confidence.LIKELY else ""
        audit = f" (audit {safe(drift.audit_id)})" if drift.audit_id else ""
        return f"by hand, {likely}{safe(drift.actor)} at {safe(drift.at or 'a time not said')}{audit}"
    return "unknown: git never said it, or never applied it from here"
