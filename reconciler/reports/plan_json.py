"""`reconciler.plan/1` and `reconciler.plans/1` (design.md 5): written as documented, read with distrust.

A saved plan may come from anybody. Its shape is checked strictly, and its fingerprint against its content: a plan that
was edited after it was reviewed is not a plan.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import Final, NoReturn, TypeVar

from reconciler.core.model import (
    MISSING,
    Action,
    Call,
    Change,
    CommitInfo,
    Confidence,
    Drift,
    FieldChange,
    GitInfo,
    Json,
    Kind,
    LiveInfo,
    NotDone,
    Op,
    Origin,
    Override,
    Plan,
    Risk,
    Source,
    TargetInfo,
)
from reconciler.core.planform import change_to_json, make_fingerprint, not_done_to_json, target_to_json
from reconciler.errors import ReconcilerError

PLAN_FORMAT: Final = "reconciler.plan/1"
PLANS_FORMAT: Final = "reconciler.plans/1"

_SHA = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z")
_COUNTS: Final = (*(action.value for action in Action), "in_sync", "unmanaged", "cannot", "held")


def plan_to_json(plan: Plan) -> dict[str, Json]:
    """Return `reconciler.plan/1`, keys in the documented order."""
    return {
        "format": PLAN_FORMAT,
        "tool": plan.tool,
        "fingerprint": plan.fingerprint,
        "complete": plan.complete,
        "target": target_to_json(plan.target),
        "git": {
            "head": plan.git.head,
            "last_applied": plan.git.last_applied,
            "dirty": plan.git.dirty,
            "shallow": plan.git.shallow,
        },
        "live": {
            "read_at": plan.live.read_at,
            "count": plan.live.count,
            "digest": plan.live.digest,
            **({"snapshot": True} if plan.live.snapshot else {}),
        },
        "changes": [change_to_json(change) for change in plan.changes],
        "held": [not_done_to_json(entry) for entry in plan.held],
        "cannot": [not_done_to_json(entry) for entry in plan.cannot],
        "unmanaged": list(plan.unmanaged),
        "blocked": list(plan.blocked),
        "overrides": [_override_to_json(entry) for entry in plan.overrides],
        "warnings": list(plan.warnings),
        "summary": {name: plan.summary.get(name, 0) for name in _COUNTS},
    }


def plans_to_json(plans: Sequence[Plan]) -> dict[str, Json]:
    """Return `reconciler.plans/1`, for several targets."""
    return {"format": PLANS_FORMAT, "plans": [plan_to_json(plan) for plan in plans]}


def _override_to_json(entry: Override) -> dict[str, Json]:
    value: dict[str, Json] = {"guard": entry.guard, "policy": entry.policy}
    if entry.target is not None:
        value["target"] = entry.target
    return {**value, "reason": entry.reason, "owner": entry.owner, "until": entry.until}


# ------------------------------------------------------------------------------------------------ reading


class _Unfit(Exception):
    """What is wrong with a plan file, and where in it."""


def plans_from_text(data: bytes, *, where: str) -> list[Plan]:
    """Return the plans in a saved file, of either format; raise `ReconcilerError` (`plan-file`) when it is not one."""
    try:
        value = json.loads(data.decode("utf-8"), parse_constant=_no_constant, object_pairs_hook=_no_doubles)
    except (ValueError, RecursionError) as error:
        reason = str(error) if isinstance(error, _NotPlain) else "it is not JSON"
        raise _error(reason, where) from error
    if isinstance(value, dict) and value.get("format") == PLANS_FORMAT:
        plans = value.get("plans")
        if value.keys() != {"format", "plans"} or not isinstance(plans, list):
            raise _error(f"it is not {PLANS_FORMAT}", where)
        found = [plan_from_json(plan, where=where) for plan in plans]
        if len({plan.target.name for plan in found}) < len(found):
            raise _error("two of its plans are for one target", where)
        return found
    return [plan_from_json(value, where=where)]


def plan_from_json(value: object, *, where: str = "the plan") -> Plan:
    """Return the plan that *value* says; raise `ReconcilerError` (`plan-file`) when anything in it is not as written.

    Desired and live policies are not part of a saved plan, so it can be shown and compared, not carried out by itself.
    """
    try:
        plan = _plan(value)
    except _Unfit as error:
        raise _error(str(error), where) from error
    if make_fingerprint(plan.target, plan.changes, plan.held, plan.cannot) != plan.fingerprint:
        raise _error("its fingerprint does not fit what it says: it was edited, or another version made it", where)
    return plan


def _error(reason: str, where: str) -> ReconcilerError:
    return ReconcilerError(
        f"the plan cannot be used: {reason}",
        where=where,
        fix="make a new one: reconciler plan --out FILE",
        code="plan-file",
    )


class _NotPlain(ValueError):
    """JSON that two readers may read differently."""


def _no_constant(name: str) -> NoReturn:
    raise _NotPlain(f"it holds {name}, which is no JSON number")


def _no_doubles(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _NotPlain("a key stands twice in one object")
    return found


# ------------------------------------------------------------------------------------------------- shapes

_T = TypeVar("_T")
_E = TypeVar("_E", bound=StrEnum)


def _plan(value: object) -> Plan:
    names = ("format", "tool", "fingerprint", "complete", "target", "git", "live", "changes", "held", "cannot")
    given = _object(value, "", (*names, "unmanaged", "blocked", "overrides", "warnings", "summary"))
    if given["format"] != PLAN_FORMAT:
        raise _Unfit(f"/format: it is not {PLAN_FORMAT}")
    git = _object(given["git"], "/git", ("head", "last_applied", "dirty", "shallow"))
    live = _object(given["live"], "/live", ("read_at", "count", "digest"), ("snapshot",))
    target = _object(given["target"], "/target", ("name", "provider", "url", "mode"))
    summary = _object(given["summary"], "/summary", _COUNTS)
    mode = _or_none(_text)(target["mode"], "/target/mode")
    if mode not in (None, "STRICT", "MONITORING"):
        raise _Unfit("/target/mode: STRICT, MONITORING or null")
    return Plan(
        tool=_text(given["tool"], "/tool"),
        fingerprint=_fitting(_DIGEST)(given["fingerprint"], "/fingerprint"),
        complete=_bool(given["complete"], "/complete"),
        target=TargetInfo(
            _text(target["name"], "/target/name"),
            _text(target["provider"], "/target/provider"),
            _text(target["url"], "/target/url"),
            mode,
        ),
        git=GitInfo(
            _fitting(_SHA)(git["head"], "/git/head"),
            _or_none(_fitting(_SHA))(git["last_applied"], "/git/last_applied"),
            _bool(git["dirty"], "/git/dirty"),
            _bool(git["shallow"], "/git/shallow"),
        ),
        live=LiveInfo(
            _fitting(_TIME)(live["read_at"], "/live/read_at"),
            _count(live["count"], "/live/count"),
            _fitting(_DIGEST)(live["digest"], "/live/digest"),
            "snapshot" in live and _true(live["snapshot"], "/live/snapshot"),
        ),
        changes=_list(_change)(given["changes"], "/changes"),
        held=_list(_not_done)(given["held"], "/held"),
        cannot=_list(_not_done)(given["cannot"], "/cannot"),
        unmanaged=_list(_text)(given["unmanaged"], "/unmanaged"),
        blocked=_list(_text)(given["blocked"], "/blocked"),
        overrides=_list(_override)(given["overrides"], "/overrides"),
        warnings=_list(_text)(given["warnings"], "/warnings"),
        summary={name: _count(summary[name], f"/summary/{name}") for name in _COUNTS},
    )


def _change(value: object, at: str) -> Change:
    names = ("kind", "key", "id", "action", "origin", "risk", "critical", "adopts", "source", "commit", "fields")
    given = _object(value, at, (*names, "drift", "calls", "guards"))
    kind = _enum(Kind, given["kind"], f"{at}/kind")
    action = _enum(Action, given["action"], f"{at}/action")
    fields = _list(_field)(given["fields"], f"{at}/fields")
    calls = _list(_call)(given["calls"], f"{at}/calls")
    operations = _operations(kind, action, fields)
    if len(operations) != len(calls):
        raise _Unfit(f"{at}/calls: they do not settle this change")
    return Change(
        kind=kind,
        key=_text(given["key"], f"{at}/key"),
        id=_or_none(_text)(given["id"], f"{at}/id"),
        action=action,
        origin=_enum(Origin, given["origin"], f"{at}/origin"),
        risk=_enum(Risk, given["risk"], f"{at}/risk"),
        critical=_bool(given["critical"], f"{at}/critical"),
        adopts=_bool(given["adopts"], f"{at}/adopts"),
        source=_or_none(_source)(given["source"], f"{at}/source"),
        commit=_or_none(_commit)(given["commit"], f"{at}/commit"),
        fields=fields,
        drift=_or_none(_drift)(given["drift"], f"{at}/drift"),
        calls=tuple(Call(method, path, name) for (method, path), name in zip(calls, operations, strict=True)),
        guards=_list(_text)(given["guards"], f"{at}/guards"),
    )


def _operations(kind: Kind, action: Action, fields: Sequence[FieldChange]) -> tuple[str, ...]:
    """What each call of a change is for; the calls of a saved plan do not say it."""
    if kind is Kind.SETTINGS:
        return ("mode",)
    if action in (Action.CREATE, Action.DELETE):
        return (action.value,)
    if action is not Action.UPDATE:
        return ("toggle",)
    return ("update", "toggle") if any(field.pointer == "/enabled" for field in fields) else ("update",)


def _field(value: object, at: str) -> FieldChange:
    given = _object(value, at, ("pointer", "op", "risk", "origin"), ("live", "desired", "last_applied"))
    return FieldChange(
        _text(given["pointer"], f"{at}/pointer"),
        _enum(Op, given["op"], f"{at}/op"),
        given.get("live", MISSING),
        given.get("desired", MISSING),
        given.get("last_applied", MISSING),
        _enum(Risk, given["risk"], f"{at}/risk"),
        _enum(Origin, given["origin"], f"{at}/origin"),
    )


def _call(value: object, at: str) -> tuple[str, str]:
    given = _object(value, at, ("method", "path"))
    method = _text(given["method"], f"{at}/method")
    if method not in ("POST", "PUT", "PATCH", "DELETE"):
        raise _Unfit(f"{at}/method: POST, PUT, PATCH or DELETE")
    return method, _text(given["path"], f"{at}/path")


def _source(value: object, at: str) -> Source:
    given = _object(value, at, ("path", "line"))
    return Source(_text(given["path"], f"{at}/path"), _count(given["line"], f"{at}/line"))


def _commit(value: object, at: str) -> CommitInfo:
    given = _object(value, at, ("sha", "author", "subject"))
    return CommitInfo(
        _fitting(_SHA)(given["sha"], f"{at}/sha"),
        _text(given["author"], f"{at}/author"),
        _text(given["subject"], f"{at}/subject"),
    )


def _drift(value: object, at: str) -> Drift:
    given = _object(value, at, ("actor", "at", "audit_id", "confidence"))
    actor, when, audit_id = (_or_none(_text)(given[name], f"{at}/{name}") for name in ("actor", "at", "audit_id"))
    return Drift(actor, when, audit_id, _enum(Confidence, given["confidence"], f"{at}/confidence"))


def _not_done(value: object, at: str) -> NotDone:
    given = _object(value, at, ("key", "action", "reason"))
    return NotDone(
        _text(given["key"], f"{at}/key"),
        _enum(Action, given["action"], f"{at}/action"),
        _text(given["reason"], f"{at}/reason"),
    )


def _override(value: object, at: str) -> Override:
    given = _object(value, at, ("guard", "policy", "reason", "owner", "until"), ("target",))
    return Override(
        guard=_text(given["guard"], f"{at}/guard"),
        policy=_text(given["policy"], f"{at}/policy"),
        target=_or_none(_text)(given.get("target"), f"{at}/target"),
        reason=_text(given["reason"], f"{at}/reason"),
        owner=_text(given["owner"], f"{at}/owner"),
        until=_text(given["until"], f"{at}/until"),
    )


# --------------------------------------------------------------------------------------------------- types


def _object(value: object, at: str, required: Sequence[str], optional: Sequence[str] = ()) -> Mapping[str, Json]:
    if not isinstance(value, dict):
        raise _Unfit(f"{at or 'the whole'}: it must be an object")
    missing = [name for name in required if name not in value]
    if missing:
        raise _Unfit(f"{at}/{missing[0]}: it is missing")
    if len(value) > len(required) + sum(name in value for name in optional):
        raise _Unfit(f"{at or 'the whole'}: it has a key that a plan does not have")
    return value


def _text(value: object, at: str) -> str:
    if not isinstance(value, str):
        raise _Unfit(f"{at}: it must be text")
    return value


def _bool(value: object, at: str) -> bool:
    if not isinstance(value, bool):
        raise _Unfit(f"{at}: it must be true or false")
    return value


def _true(value: object, at: str) -> bool:
    if value is not True:
        raise _Unfit(f"{at}: it must be true, or not be there")
    return True


def _count(value: object, at: str) -> int:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= 2**53:
        raise _Unfit(f"{at}: it must be a whole number, not negative")
    return value


def _enum(kind: type[_E], value: object, at: str) -> _E:
    text = _text(value, at)
    if text not in [str(member) for member in kind]:
        raise _Unfit(f"{at}: it must be one of {', '.join(kind)}")
    return kind(text)


def _fitting(pattern: re.Pattern[str]) -> Callable[[object, str], str]:
    def read(value: object, at: str) -> str:
        text = _text(value, at)
        if not pattern.fullmatch(text):
            raise _Unfit(f"{at}: it is not written as plans write it")
        return text

    return read


def _or_none(read: Callable[[object, str], _T]) -> Callable[[object, str], _T | None]:
    return lambda value, at: None if value is None else read(value, at)


def _list(read: Callable[[object, str], _T]) -> Callable[[object, str], tuple[_T, ...]]:
    def read_all(value: object, at: str) -> tuple[_T, ...]:
        if not isinstance(value, list):
            raise _Unfit(f"{at}: it must be a list")
        return tuple(read(entry, f"{at}/{number}") for number, entry in enumerate(value))

    return read_all
