"""`reconciler.plan/1` and `reconciler.plans/1` (design.md 5): written as documented, read with distrust.

A saved plan may come from anybody. Its shape is checked strictly, and its fingerprint against its content: a plan that
was edited after it was reviewed is not a plan.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from math import isfinite
from typing import Final, NoReturn

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
    Stance,
    TargetInfo,
    Witness,
    WitnessKind,
)
from reconciler.core.planform import change_to_json, make_fingerprint, not_done_to_json, target_to_json
from reconciler.errors import ReconcilerError
from reconciler.reports.impact_json import impact_from_json, impact_to_json
from reconciler.reports.shapes import (
    TIME,
    Unfit,
    fitting,
    list_of,
    or_none,
    read_bool,
    read_count,
    read_enum,
    read_object,
    read_text,
    read_true,
)

PLAN_FORMAT: Final = "reconciler.plan/1"
PLANS_FORMAT: Final = "reconciler.plans/1"

_SHA = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
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
        **({} if plan.impact is None else {"impact": impact_to_json(plan.impact)}),
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
    except Unfit as error:
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


def _plan(value: object) -> Plan:
    names = ("format", "tool", "fingerprint", "complete", "target", "git", "live", "changes", "held", "cannot")
    given = read_object(value, "", (*names, "unmanaged", "blocked", "overrides", "warnings", "summary"), ("impact",))
    if given["format"] != PLAN_FORMAT:
        raise Unfit(f"/format: it is not {PLAN_FORMAT}")
    git = read_object(given["git"], "/git", ("head", "last_applied", "dirty", "shallow"))
    live = read_object(given["live"], "/live", ("read_at", "count", "digest"), ("snapshot",))
    target = read_object(given["target"], "/target", ("name", "provider", "url", "mode"))
    summary = read_object(given["summary"], "/summary", _COUNTS)
    mode = or_none(read_text)(target["mode"], "/target/mode")
    if mode not in (None, "STRICT", "MONITORING"):
        raise Unfit("/target/mode: STRICT, MONITORING or null")
    return Plan(
        tool=read_text(given["tool"], "/tool"),
        fingerprint=fitting(_DIGEST)(given["fingerprint"], "/fingerprint"),
        complete=read_bool(given["complete"], "/complete"),
        target=TargetInfo(
            read_text(target["name"], "/target/name"),
            read_text(target["provider"], "/target/provider"),
            read_text(target["url"], "/target/url"),
            mode,
        ),
        git=GitInfo(
            fitting(_SHA)(git["head"], "/git/head"),
            or_none(fitting(_SHA))(git["last_applied"], "/git/last_applied"),
            read_bool(git["dirty"], "/git/dirty"),
            read_bool(git["shallow"], "/git/shallow"),
        ),
        live=LiveInfo(
            fitting(TIME)(live["read_at"], "/live/read_at"),
            read_count(live["count"], "/live/count"),
            fitting(_DIGEST)(live["digest"], "/live/digest"),
            "snapshot" in live and read_true(live["snapshot"], "/live/snapshot"),
        ),
        changes=list_of(_change)(given["changes"], "/changes"),
        held=list_of(_not_done)(given["held"], "/held"),
        cannot=list_of(_not_done)(given["cannot"], "/cannot"),
        unmanaged=list_of(read_text)(given["unmanaged"], "/unmanaged"),
        blocked=list_of(read_text)(given["blocked"], "/blocked"),
        overrides=list_of(_override)(given["overrides"], "/overrides"),
        warnings=list_of(read_text)(given["warnings"], "/warnings"),
        summary={name: read_count(summary[name], f"/summary/{name}") for name in _COUNTS},
        impact=impact_from_json(given["impact"], "/impact") if "impact" in given else None,
    )


def _change(value: object, at: str) -> Change:
    names = ("kind", "key", "id", "action", "origin", "risk", "critical", "adopts", "source", "commit", "fields")
    given = read_object(value, at, (*names, "drift", "calls", "guards"))
    kind = read_enum(Kind, given["kind"], f"{at}/kind")
    action = read_enum(Action, given["action"], f"{at}/action")
    fields = list_of(_field)(given["fields"], f"{at}/fields")
    calls = list_of(_call)(given["calls"], f"{at}/calls")
    operations = _operations(kind, action, fields)
    if len(operations) != len(calls):
        raise Unfit(f"{at}/calls: they do not settle this change")
    return Change(
        kind=kind,
        key=read_text(given["key"], f"{at}/key"),
        id=or_none(read_text)(given["id"], f"{at}/id"),
        action=action,
        origin=read_enum(Origin, given["origin"], f"{at}/origin"),
        risk=read_enum(Risk, given["risk"], f"{at}/risk"),
        critical=read_bool(given["critical"], f"{at}/critical"),
        adopts=read_bool(given["adopts"], f"{at}/adopts"),
        source=or_none(_source)(given["source"], f"{at}/source"),
        commit=or_none(_commit)(given["commit"], f"{at}/commit"),
        fields=fields,
        drift=or_none(_drift)(given["drift"], f"{at}/drift"),
        calls=tuple(Call(method, path, name) for (method, path), name in zip(calls, operations, strict=True)),
        guards=list_of(read_text)(given["guards"], f"{at}/guards"),
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
    given = read_object(value, at, ("pointer", "op", "risk", "origin"), ("live", "desired", "last_applied", "witness"))
    return FieldChange(
        read_text(given["pointer"], f"{at}/pointer"),
        read_enum(Op, given["op"], f"{at}/op"),
        given.get("live", MISSING),
        given.get("desired", MISSING),
        given.get("last_applied", MISSING),
        read_enum(Risk, given["risk"], f"{at}/risk"),
        read_enum(Origin, given["origin"], f"{at}/origin"),
        _witness(given["witness"], f"{at}/witness") if "witness" in given else None,
    )


def _witness(value: object, at: str) -> Witness:
    given = read_object(value, at, ("kind", "value", "was", "now"), ("of", "span_ms", "local"))
    kind = read_enum(WitnessKind, given["kind"], f"{at}/kind")
    return Witness(
        kind,
        _witness_value(kind, given["value"], f"{at}/value"),
        read_enum(Stance, given["was"], f"{at}/was"),
        read_enum(Stance, given["now"], f"{at}/now"),
        read_text(given["of"], f"{at}/of") if "of" in given else None,
        read_count(given["span_ms"], f"{at}/span_ms") if "span_ms" in given else None,
        read_text(given["local"], f"{at}/local") if "local" in given else None,
    )


def _witness_value(kind: WitnessKind, value: Json, at: str) -> str | int | float:
    if kind is WitnessKind.COUNT:
        return read_count(value, at)
    if kind is not WitnessKind.NUMBER:
        return read_text(value, at)
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
        raise Unfit(f"{at}: it is not a number")
    return value


def _call(value: object, at: str) -> tuple[str, str]:
    given = read_object(value, at, ("method", "path"))
    method = read_text(given["method"], f"{at}/method")
    if method not in ("POST", "PUT", "PATCH", "DELETE"):
        raise Unfit(f"{at}/method: POST, PUT, PATCH or DELETE")
    return method, read_text(given["path"], f"{at}/path")


def _source(value: object, at: str) -> Source:
    given = read_object(value, at, ("path", "line"))
    return Source(read_text(given["path"], f"{at}/path"), read_count(given["line"], f"{at}/line"))


def _commit(value: object, at: str) -> CommitInfo:
    given = read_object(value, at, ("sha", "author", "subject"))
    return CommitInfo(
        fitting(_SHA)(given["sha"], f"{at}/sha"),
        read_text(given["author"], f"{at}/author"),
        read_text(given["subject"], f"{at}/subject"),
    )


def _drift(value: object, at: str) -> Drift:
    given = read_object(value, at, ("actor", "at", "audit_id", "confidence"))
    actor, when, audit_id = (or_none(read_text)(given[name], f"{at}/{name}") for name in ("actor", "at", "audit_id"))
    return Drift(actor, when, audit_id, read_enum(Confidence, given["confidence"], f"{at}/confidence"))


def _not_done(value: object, at: str) -> NotDone:
    given = read_object(value, at, ("key", "action", "reason"))
    return NotDone(
        read_text(given["key"], f"{at}/key"),
        read_enum(Action, given["action"], f"{at}/action"),
        read_text(given["reason"], f"{at}/reason"),
    )


def _override(value: object, at: str) -> Override:
    given = read_object(value, at, ("guard", "policy", "reason", "owner", "until"), ("target",))
    return Override(
        guard=read_text(given["guard"], f"{at}/guard"),
        policy=read_text(given["policy"], f"{at}/policy"),
        target=or_none(read_text)(given.get("target"), f"{at}/target"),
        reason=read_text(given["reason"], f"{at}/reason"),
        owner=read_text(given["owner"], f"{at}/owner"),
        until=read_text(given["until"], f"{at}/until"),
    )
