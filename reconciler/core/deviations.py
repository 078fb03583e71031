"""What a change does on an API whose policies work otherwise than the semantics page says.

How they deviate is a value of the provider's (`Capabilities.deviations`; semantics.md B.13, E.3 "Target exceptions");
an API without any keeps every direction as `risk.py` says it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from reconciler.core.inputs import Compared, PlanInput
from reconciler.core.match import Pair
from reconciler.core.model import Action, Body, Change, Deviations, Risk
from reconciler.core.risk import change_risk, join
from reconciler.core.safe import quoted, safe

_ENABLED = "/enabled"


def risks_there(inputs: PlanInput, pair: Pair, risks: Mapping[str, Risk]) -> Mapping[str, Risk]:
    """Return the direction of each field of a change on this API, given what they usually are.

    A policy that is only stored has none. The last enabled policy of a closed type tightens as it goes, since without
    one everything of its kind is blocked; the first one opens what was closed, unless it blocks as well.
    """
    there = inputs.capabilities.deviations
    types = _types(inputs, pair)
    if there is None or not types:
        return risks
    if types <= there.stored_types:
        return dict.fromkeys(risks, Risk.NEUTRAL)
    if _ENABLED in risks and len(types) == 1 and types <= there.closed_types:
        return {**risks, _ENABLED: _switch_risk(inputs, there, pair) or risks[_ENABLED]}
    return risks


def change_risk_there(
    action: Action, usual: Mapping[str, Risk], risks: Mapping[str, Risk], *, was_enabled: bool, enabled: bool
) -> Risk:
    """Return the direction of a whole change, where *risks* may be other than *usual*."""
    if risks == usual:
        return change_risk(action, risks.values(), was_enabled=was_enabled, enabled=enabled)
    return join(risks.values()) if action is Action.UPDATE else risks.get(_ENABLED, Risk.NEUTRAL)


def _switch_risk(inputs: PlanInput, there: Deviations, pair: Pair) -> Risk | None:
    """The direction of switching a policy of a closed type; None where it is the usual one.

    Another policy that comes with the same plan keeps the type open, and is live before this one goes.
    """
    was = pair.live is not None and pair.live.enabled
    now = pair.desired is not None and pair.desired.enabled
    if was and not now:
        return None if _others_live(inputs, pair) or _others_wanted(inputs, pair) else Risk.TIGHTENS
    if now and not was and not _others_live(inputs, pair):
        assert pair.desired is not None  # noqa: S101 - it is enabled
        blocks = pair.desired.body.get(there.effect_field) == there.blocking
        return Risk.NEUTRAL if blocks else Risk.WEAKENS
    return None


def _others_live(inputs: PlanInput, pair: Pair) -> bool:
    mine = None if pair.live is None else pair.live.id
    return any(
        each.enabled and each.id != mine and _type_of(inputs, each.body) in _types(inputs, pair)
        for each in inputs.live.policies
    )


def _others_wanted(inputs: PlanInput, pair: Pair) -> bool:
    return any(
        each.enabled and each.key != pair.key and _type_of(inputs, each.body) in _types(inputs, pair)
        for each in inputs.policies
    )


def _types(inputs: PlanInput, pair: Pair) -> frozenset[str]:
    sides = (pair.live, pair.desired)
    return frozenset(name for side in sides if side is not None and (name := _type_of(inputs, side.body)))


def _type_of(inputs: PlanInput, body: Body) -> str:
    name = body.get(inputs.capabilities.type_field)
    return name if isinstance(name, str) else ""


# ----------------------------------------------------------------------------------------------- warnings


def deviation_warnings(inputs: PlanInput, compared: Sequence[Compared], changes: Sequence[Change]) -> Iterator[str]:
    """Say what a reader of the plan would not guess from its directions."""
    there = inputs.capabilities.deviations
    if there is None:
        return
    by_key = {change.key: change for change in changes}
    for each in compared:
        change = by_key.get(each.pair.key)
        if change is not None:
            yield from _about(inputs, there, each.pair, change)
    yield from _about_ties(inputs, there, compared)


def _about(inputs: PlanInput, there: Deviations, pair: Pair, change: Change) -> Iterator[str]:
    key, types, api = quoted(pair.key), _types(inputs, pair), there.api
    if types and types <= there.stored_types:
        named = " and ".join(safe(name) for name in sorted(types))
        yield f"{key} has no effect: {api} stores {named} policies and evaluates none"
        return
    switch = _switch_risk(inputs, there, pair) if len(types) == 1 and types <= there.closed_types else None
    if switch is Risk.TIGHTENS:
        yield f"{key} is the last enabled {min(types)} policy: without one {api} blocks everything it is for"
    elif switch is not None:
        yield f"{key} is the first enabled {min(types)} policy: until now {api} blocks everything it is for"
    wanted = pair.desired
    blocks = wanted is not None and wanted.enabled and wanted.body.get(there.effect_field) == there.blocking
    is_tighter = any(field.risk is Risk.TIGHTENS for field in change.fields)
    if blocks and is_tighter and inputs.live.mode == "MONITORING":
        yield f"{key} blocks nothing while {api} is in MONITORING mode; it tightens once STRICT returns"


def _about_ties(inputs: PlanInput, there: Deviations, compared: Sequence[Compared]) -> Iterator[str]:
    """Policies of one type and rank: which of them decides is up to their age, which git does not say."""
    ranked: dict[tuple[str, str], list[str]] = defaultdict(list)
    for each in compared:
        desired, live = each.pair.desired, each.pair.live
        if desired is None or not desired.enabled or _type_of(inputs, desired.body) in there.stored_types:
            continue
        rank = desired.body.get(there.rank_field, None if live is None else live.body.get(there.rank_field))
        ranked[_type_of(inputs, desired.body), str(rank or 0)].append(each.pair.key)
    for (name, rank), keys in sorted(ranked.items()):
        if len(keys) > 1:
            some = ", ".join(quoted(key) for key in sorted(keys)[:5]) + (", .." if len(keys) > 5 else "")
            what = f"{safe(name)} policies of {there.rank_field} {safe(rank)}"
            yield f"{some} are {what}: {there.api} takes the youngest that applies"
