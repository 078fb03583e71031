"""Each live field → what put it there: a commit that was applied, a hand, or nobody knows.

Everything was read before. A ledger that agrees with live is the proof; the file's history only says which of the
commits behind an applied one it was. What nobody can prove is said to be unknown.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from reconciler.core.canonical import Schema, canonical, json_equal, key_schema, properties_of
from reconciler.core.diff import pointer_to
from reconciler.core.model import MISSING, Applied, Body, Drift, Json, Side

_SQUASHED = re.compile(r"\((?:#|!)([0-9]{1,9})\)\s*\Z")
_MERGED = re.compile(r"\AMerge pull request #([0-9]{1,9}) |^See merge request \S*!([0-9]{1,9})$", re.MULTILINE)


class By(StrEnum):
    """Who put a value there."""

    GIT = "git"
    HAND = "hand"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class AppliedAt:
    """A ledger entry and the time of the run that wrote it."""

    entry: Applied
    at: str


@dataclass(frozen=True, slots=True)
class Version:
    """What a policy's file said after one commit; None while it did not hold the policy."""

    commit: str
    body: Body | None


@dataclass(frozen=True, slots=True)
class FieldBlame:
    """One live field. `commit` and `applied_at` where git put it there, `drift` where a hand did."""

    pointer: str
    value: Json
    by: By
    commit: str | None = None
    applied_at: str | None = None
    drift: Drift | None = None


def blame_fields(
    live: Body,
    runs: Sequence[AppliedAt],
    versions: Sequence[Version],
    schema: Schema,
    who: Callable[[bool], Drift],
) -> tuple[FieldBlame, ...]:
    """Return every field of *live* (`enabled` is one) with what put it there, in schema order.

    *runs* are the ledger's entries of the policy and *versions* its file's, both newest first. *who(is_switch)* says
    who moved the switch or the content by hand. A list is one field.
    """
    return tuple(_blame(pointer, value, named, runs, versions, who) for pointer, value, named in _leaves(live, schema))


def pull_request_in(message: str) -> int | None:
    """Return the number of the pull or merge request that a commit's message names, None when it names none.

    >>> pull_request_in("Allow SSO (#42)"), pull_request_in("Merge pull request #7 from a/b"), pull_request_in("See #3")
    (42, 7, None)
    """
    found = _SQUASHED.search(message.partition("\n")[0]) or _MERGED.search(message)
    return None if found is None else int(next(group for group in found.groups() if group))


def _blame(
    pointer: str,
    value: Json,
    schema: Schema,
    runs: Sequence[AppliedAt],
    versions: Sequence[Version],
    who: Callable[[bool], Drift],
) -> FieldBlame:
    def agrees(body: Body | None) -> bool:
        side = MISSING if body is None else _at(body, pointer)
        return side is not MISSING and _agree(side, value, schema)

    if not runs or _at(_whole(runs[0].entry), pointer) is MISSING:
        return FieldBlame(pointer, value, By.UNKNOWN)
    if not agrees(_whole(runs[0].entry)):
        return FieldBlame(pointer, value, By.HAND, drift=who(pointer == "/enabled"))
    first = runs[0]
    for run in runs:
        if not agrees(_whole(run.entry)):
            break
        first = run
    commit = first.entry.commit
    since = [version.commit for version in versions]
    for version in versions[since.index(commit) :] if commit in since else ():
        if not agrees(version.body):
            break
        commit = version.commit
    return FieldBlame(pointer, value, By.GIT, commit=commit, applied_at=first.at)


def _leaves(value: Body, schema: Schema, at: str = "") -> Iterator[tuple[str, Json, Schema]]:
    known = [key for key in properties_of(schema) if key in value]
    for key in [*known, *sorted(value.keys() - {*known})]:
        held, named, pointer = value[key], key_schema(schema, key), pointer_to(at, key)
        if isinstance(held, dict) and held:
            yield from _leaves(held, named, pointer)
        elif held is not None:
            yield pointer, held, named


def _whole(entry: Applied) -> dict[str, Json]:
    return {**entry.body, "enabled": entry.enabled}


def _at(body: Body, pointer: str) -> Side:
    value: Json = dict(body)
    for token in pointer.split("/")[1:]:
        key = token.replace("~1", "/").replace("~0", "~")
        if not isinstance(value, dict) or value.get(key) is None:
            return MISSING
        value = value[key]
    return value


def _agree(a: Json, b: Json, schema: Schema) -> bool:
    return json_equal(a, b) or json_equal(canonical(a, schema), canonical(b, schema))
