"""Dated exceptions of a policy: what it reads as while they last, and why it changes when they begin and end.

`metadata.exceptions` is a list of `{reason, owner, until, set}`. Until the end of the day `until`, UTC, the desired
policy is the one that `set`, a merge patch (RFC 7396), makes of it. The next run after that day restores it without a
commit: git says what to do on every day, and the clock is an argument.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Final

from reconciler.core.annotation import ENDED, GRANTED
from reconciler.core.canonical import Schema, json_equal
from reconciler.core.guard import is_in_force
from reconciler.core.model import (
    MISSING,
    Applied,
    Body,
    Exceptions,
    FieldChange,
    Json,
    Policy,
    PolicyException,
    Side,
)
from reconciler.core.safe import quoted, safe
from reconciler.core.schema import merge_patch

if TYPE_CHECKING:
    from reconciler.core.diff import FieldDiff

#: An exception that ends so many days from now is worth a word.
SOON: Final = 7

#: Behind every day there is.
MAX_DAY: Final = "~"

_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


def apply_exceptions(policy: Policy, now: datetime) -> Policy:
    """Return what git asks for at *now*: *policy* as it reads under its exceptions in force, in list order.

    One without a valid last day is not granted. The metadata stays as it is: an exception changes no protection.

    >>> policy = Policy("pol-a", {}, True, {"exceptions": [{"until": "2026-11-20", "set": {"enabled": False}}]}, None)
    >>> apply_exceptions(policy, datetime(2026, 11, 20, 23, tzinfo=UTC)).enabled
    False
    >>> apply_exceptions(policy, datetime(2026, 11, 21, tzinfo=UTC)).enabled
    True
    """
    given = list(_parse(policy.metadata))
    if not given:
        return policy
    known = [entry for entry in given if _is_day(entry.until)]
    granted = tuple(entry for entry in known if is_in_force(entry.until, now))
    ended = tuple(entry for entry in known if entry not in granted)
    state = Exceptions(policy.body, policy.enabled, granted, ended, len(given) - len(known))
    body, enabled = _patched(state, granted)
    return replace(policy, body=body, enabled=enabled, exceptions=state)


def readings(policy: Policy) -> Iterator[dict[str, Json]]:
    """Yield what a policy's file reads as, `enabled` and metadata included, on each last day of its exceptions.

    Whether a file is valid must not depend on the day: two exceptions may be sound alone and not together.
    """
    state = policy.exceptions
    if state is None:
        return
    lasting = [entry for entry in _parse(policy.metadata) if _is_day(entry.until)]
    for day in sorted({entry.until for entry in lasting}):
        body, enabled = _patched(state, [entry for entry in lasting if entry.until >= day])
        yield {**body, "enabled": enabled, "metadata": dict(policy.metadata)}


def why(policy: Policy | None, applied: Applied | None, fields: Sequence[FieldChange], schema: Schema) -> str | None:
    """Return why a policy changes although nobody may have touched its file; None when git or a person moved it.

    Granted: a field is not yet as an exception in force wants it. Ended: a field is as last-applied left it under an
    exception that it knew (the ledger keeps metadata), and that is over.
    """
    if policy is None or policy.exceptions is None:
        return None
    state = policy.exceptions
    wanted = _with_enabled(policy.body, policy.enabled)
    pointers = {diff.pointer for diff in _moved(wanted, _with_enabled(state.body, state.enabled), schema)}
    if any(_is_about(field.pointer, pointers) and not _same(field.desired, field.last_applied) for field in fields):
        return GRANTED
    return ENDED if ended_with(policy, applied, fields, schema) else None


def ended_with(
    policy: Policy, applied: Applied | None, fields: Sequence[FieldChange], schema: Schema
) -> tuple[PolicyException, ...]:
    """Return the exceptions whose end is why some of *fields* go back to what git says, in list order.

    A scheduled run may have been missed for days, so every day on which one ended is looked at.
    """
    state = policy.exceptions
    if state is None or applied is None:
        return ()
    before = list(_parse(applied.metadata))
    ended = [entry for entry in state.ended if any(_is_same_exception(entry, other) for other in before)]
    wanted = _with_enabled(policy.body, policy.enabled)
    left = {field.pointer: field.last_applied for field in fields}
    days = set()
    for day in sorted({entry.until for entry in ended}, reverse=True):
        lasting = [entry for entry in _parse(policy.metadata) if entry in state.granted or entry in ended]
        then = _with_enabled(*_patched(state, [entry for entry in lasting if entry.until >= day]))
        for diff in _moved(wanted, then, schema):
            if diff.pointer in left and _same(diff.live, left[diff.pointer]):
                del left[diff.pointer]
                days.add(day)
    return tuple(entry for entry in ended if entry.until >= min(days, default=MAX_DAY))


def exception_warnings(
    policy: Policy, applied: Applied | None, fields: Sequence[FieldChange], schema: Schema, now: datetime
) -> Iterator[str]:
    """Yield a line on every exception of a policy; *fields* are those that a run would change."""
    state = policy.exceptions
    if state is None:
        return
    for entry in state.granted:
        days = (date.fromisoformat(entry.until) - now.astimezone(UTC).date()).days
        ends = f", ends in {days} {'day' if days == 1 else 'days'}" if days else ", ends today"
        yield (
            f"exception until {entry.until}{ends if days <= SOON else ''} on {quoted(policy.key)} "
            f"by {safe(entry.owner)}: {safe(entry.reason)}"
        )
    over = ended_with(policy, applied, fields, schema)
    for entry in state.ended:
        so = "so the policy is restored" if entry in over else "and changes nothing; remove it"
        yield (
            f"exception on {quoted(policy.key)} by {safe(entry.owner)} ended on {entry.until}, {so}: "
            f"{safe(entry.reason)}"
        )
    if state.broken:
        what = "exception" if state.broken == 1 else "exceptions"
        yield f"{quoted(policy.key)} has {state.broken} {what} without a valid last day: not granted"


def warnings_about(key: str, warnings: Iterable[str]) -> tuple[str, ...]:
    """Return those of a plan's warnings that speak of an exception of one policy, to be shown beside its change.

    A saved plan holds nothing else of exceptions. Other policies' texts stand behind the key and cannot pass for it.
    """
    start = re.compile(rf"exception (?:until {_DAY.pattern}(?:, ends [a-z0-9 ]+)? )?on {re.escape(quoted(key))} by ")
    return tuple(line for line in warnings if start.match(line))


# ------------------------------------------------------------------------------------------------ helpers


def _parse(metadata: Body) -> Iterator[PolicyException]:
    """The exceptions of checked metadata, those without a valid day with an empty one."""
    entries = metadata.get("exceptions")
    for entry in entries if isinstance(entries, list) else ():
        if isinstance(entry, dict) and isinstance(entry.get("set"), dict):
            patch = entry["set"]
            assert isinstance(patch, dict)  # noqa: S101 - looked at above; this tells mypy
            yield PolicyException(
                _text(entry.get("reason")), _text(entry.get("owner")), _text(entry.get("until")), patch
            )


def _text(value: Json) -> str:
    return value if isinstance(value, str) else ""


def _is_day(text: str) -> bool:
    """Whether a text is a day written as the schema demands; `fromisoformat` alone reads week dates, too."""
    if not _DAY.fullmatch(text):
        return False
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


def _patched(state: Exceptions, entries: Iterable[PolicyException]) -> tuple[Body, bool]:
    value: Json = dict(_with_enabled(state.body, state.enabled))
    for entry in entries:
        value = merge_patch(value, {key: part for key, part in entry.set.items() if key != "metadata"})
    assert isinstance(value, dict)  # noqa: S101 - a patch that is an object makes one
    enabled = value.pop("enabled", True)
    return value, enabled is not False


def _with_enabled(body: Body, enabled: bool) -> Body:
    return {**body, "enabled": enabled}


def _moved(wanted: Body, other: Body, schema: Schema) -> tuple[FieldDiff, ...]:
    from reconciler.core.diff import diff_policy

    return diff_policy(wanted, other, other, schema)


def _is_about(pointer: str, others: Iterable[str]) -> bool:
    """Whether one of *others* is this field, lies in it or holds it: creating lists whole top-level keys."""
    return any(
        pointer == other or pointer.startswith(other + "/") or other.startswith(pointer + "/") for other in others
    )


def _same(a: Side, b: Side) -> bool:
    if a is MISSING or b is MISSING:
        return a is b
    return json_equal(a, b)


def _is_same_exception(a: PolicyException, b: PolicyException) -> bool:
    return a.until == b.until and json_equal(dict(a.set), dict(b.set))
