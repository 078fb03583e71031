"""Shell completion of targets, policy keys and the words of `explain`. Whatever goes wrong, nothing is offered."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click import Context
from click.shell_completion import CompletionItem

from reconciler.core.safe import has_hidden
from reconciler.errors import ReconcilerError

if TYPE_CHECKING:
    from reconciler.workflows.session import Session

VARIABLE = "_RECONCILER_COMPLETE"
_SPECIAL = re.compile(r"[^A-Za-z0-9_.@/:=+,%-]")


def complete_targets(ctx: Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Offer the targets of reconciler.yaml."""
    return _offer(lambda: _targets(ctx), incomplete)


def complete_keys(ctx: Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Offer the keys of the policies in the working tree; with `-t`, of those targets only."""
    return _offer(lambda: _keys(ctx), incomplete)


def complete_words(ctx: Context, incomplete: str) -> list[CompletionItem]:
    """Offer everything that `explain` can explain."""
    from reconciler.core.fields import field_pages
    from reconciler.core.guard import GUARDS
    from reconciler.core.schema import load_schemas
    from reconciler.reports.pages import code_pages

    known = [*code_pages(), *GUARDS, *(page.path for page in field_pages(load_schemas()))]
    return [*_offer(lambda: known, incomplete), *_offer(lambda: _keys(ctx), incomplete)]


def _targets(ctx: Context) -> Iterable[str]:
    from reconciler.workflows.names import target_names

    return target_names(_session(ctx))


def _keys(ctx: Context) -> Iterable[str]:
    from reconciler.workflows.names import policy_keys

    chosen = tuple(ctx.params.get("targets") or ())
    return {key for keys in policy_keys(_session(ctx), chosen).values() for key in keys}


def _session(ctx: Context) -> Session:
    from reconciler.clock import SystemClock, SystemRandom
    from reconciler.workflows.session import open_session

    folder = ctx.find_root().params.get("repo") or Path()
    return open_session(folder, environ=os.environ, clock=SystemClock(), random=SystemRandom())


def _offer(names: Callable[[], Iterable[str]], incomplete: str) -> list[CompletionItem]:
    """The names that begin with *incomplete*, sorted. One that hides characters is for copying, never for offering."""
    try:
        found = sorted(set(names()))
    except (ReconcilerError, OSError):
        return []
    return [CompletionItem(_shown(name)) for name in found if name.startswith(incomplete) and not has_hidden(name)]


def _shown(name: str) -> str:
    """The name as the shell needs it: bash puts it on the command line as it is, zsh and fish quote it themselves.

    Keys come from files of others, so `$(…)` in one must not become a command.
    """
    return _SPECIAL.sub(r"\\\g<0>", name) if os.environ.get(VARIABLE, "").startswith("bash") else name
