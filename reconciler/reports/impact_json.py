"""The `impact` of `reconciler.plan/1`: what the plan would have done to recorded events (semantics.md F)."""

from __future__ import annotations

from typing import Any, Final

from reconciler.core.impact import ChangeImpact, Day, Example, Fidelity, Impact
from reconciler.core.model import Json
from reconciler.reports.shapes import TIME, Unfit, fitting, list_of, or_none, read_count, read_object, read_text

_COUNTS: Final = (
    *("events", "actors", "newly_blocked", "newly_blocked_actors", "newly_allowed", "maybe_blocked", "maybe_allowed"),
    "consequential",
)
_CHANGE_COUNTS: Final = (
    *("newly_blocked", "throttled", "needs_approval", "consequential", "masked", "only", "maybe_blocked"),
    *("newly_allowed", "maybe_allowed", "newly_alerting", "no_longer_alerting", "blocked_actors", "in_scope"),
)
_EXAMPLE: Final = ("at", "actor", "action", "resource", "address", "policy")


def impact_to_json(impact: Impact) -> dict[str, Json]:
    """Return the object that stands under `impact`."""
    fidelity = impact.fidelity
    return {
        "from": impact.first,
        "to": impact.last,
        **{name: getattr(impact, name) for name in _COUNTS},
        "days": [
            {"date": day.date, "newly_blocked": day.newly_blocked, "newly_allowed": day.newly_allowed}
            for day in impact.days
        ],
        "fidelity": None
        if fidelity is None
        else {
            "compared": fidelity.compared,
            "agree": fidelity.agree,
            "reasons": [{"reason": reason, "count": count} for reason, count in fidelity.reasons],
        },
        "warnings": list(impact.warnings),
        "changes": [_change_to_json(change) for change in impact.changes],
    }


def _change_to_json(change: ChangeImpact) -> dict[str, Json]:
    return {
        "key": change.key,
        **{name: getattr(change, name) for name in _CHANGE_COUNTS},
        "actors": [{"actor": actor, "requests": requests} for actor, requests in change.actors],
        "first": [{name: getattr(example, name) for name in _EXAMPLE} for example in change.first],
        "coverage": dict(change.coverage),
        "not_replayed": list(change.not_replayed),
        "unchecked": list(change.unchecked),
    }


def impact_from_json(value: object, at: str) -> Impact:
    """Return the impact that *value* says; raises `Unfit` when anything in it is not as written."""
    names = ("from", "to", *_COUNTS, "days", "fidelity", "warnings", "changes")
    given = read_object(value, at, names)
    return Impact(
        first=or_none(fitting(TIME))(given["from"], f"{at}/from"),
        last=or_none(fitting(TIME))(given["to"], f"{at}/to"),
        **_counts(given, at, _COUNTS),
        days=list_of(_day)(given["days"], f"{at}/days"),
        fidelity=or_none(_fidelity)(given["fidelity"], f"{at}/fidelity"),
        warnings=list_of(read_text)(given["warnings"], f"{at}/warnings"),
        changes=list_of(_change)(given["changes"], f"{at}/changes"),
    )


def _counts(given: Any, at: str, names: tuple[str, ...]) -> dict[str, Any]:
    return {name: read_count(given[name], f"{at}/{name}") for name in names}


def _day(value: object, at: str) -> Day:
    given = read_object(value, at, ("date", "newly_blocked", "newly_allowed"))
    return Day(read_text(given["date"], f"{at}/date"), **_counts(given, at, ("newly_blocked", "newly_allowed")))


def _fidelity(value: object, at: str) -> Fidelity:
    given = read_object(value, at, ("compared", "agree", "reasons"))
    return Fidelity(
        **_counts(given, at, ("compared", "agree")), reasons=list_of(_reason)(given["reasons"], f"{at}/reasons")
    )


def _reason(value: object, at: str) -> tuple[str, int]:
    given = read_object(value, at, ("reason", "count"))
    return read_text(given["reason"], f"{at}/reason"), read_count(given["count"], f"{at}/count")


def _change(value: object, at: str) -> ChangeImpact:
    names = ("key", *_CHANGE_COUNTS, "actors", "first", "coverage", "not_replayed", "unchecked")
    given = read_object(value, at, names)
    return ChangeImpact(
        key=read_text(given["key"], f"{at}/key"),
        **_counts(given, at, _CHANGE_COUNTS),
        actors=list_of(_actor)(given["actors"], f"{at}/actors"),
        first=list_of(_example)(given["first"], f"{at}/first"),
        coverage=_coverage(given["coverage"], f"{at}/coverage"),
        not_replayed=list_of(read_text)(given["not_replayed"], f"{at}/not_replayed"),
        unchecked=list_of(read_text)(given["unchecked"], f"{at}/unchecked"),
    )


def _actor(value: object, at: str) -> tuple[str, int]:
    given = read_object(value, at, ("actor", "requests"))
    return read_text(given["actor"], f"{at}/actor"), read_count(given["requests"], f"{at}/requests")


def _example(value: object, at: str) -> Example:
    given = read_object(value, at, _EXAMPLE)
    texts = {name: read_text(given[name], f"{at}/{name}") for name in _EXAMPLE if name != "address"}
    return Example(**texts, address=or_none(read_text)(given["address"], f"{at}/address"))


def _coverage(value: object, at: str) -> tuple[tuple[str, float], ...]:
    if not isinstance(value, dict):
        raise Unfit(f"{at}: it must be an object")
    return tuple((name, _share(share, f"{at}/{name}")) for name, share in value.items())


def _share(value: object, at: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 1:
        raise Unfit(f"{at}: it must be a number from 0 to 1")
    return float(value)
