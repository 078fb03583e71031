"""One policy's difference → the change that settles it, or why nothing is done (the table of design.md 6)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from reconciler.core.deviations import change_risk_there, risks_there
from reconciler.core.diff import FieldDiff, merge_for_put, policy_origin
from reconciler.core.exceptions import why
from reconciler.core.guard import guards_on, held_reason
from reconciler.core.inputs import MODE_KEY, Compared, PlanInput
from reconciler.core.model import (
    MISSING,
    Action,
    Applied,
    Body,
    Call,
    Change,
    FieldChange,
    Kind,
    LivePolicy,
    NotDone,
    Op,
    Origin,
    Policy,
    Risk,
    Source,
    Witness,
)
from reconciler.core.risk import field_label, policy_risk, whole_field_risk
from reconciler.core.witness import witness_of

ENABLED = "/enabled"
_NEVER = "this target says prune: never"


@dataclass(frozen=True, slots=True)
class Settled:
    """What a plan does about one policy. All None: in sync. `short`: held because the list may be short."""

    change: Change | None = None
    held: NotDone | None = None
    cannot: NotDone | None = None
    short: bool = False

    @property
    def is_nothing(self) -> bool:
        return self.change is None and self.held is None and self.cannot is None


_IN_SYNC = Settled()


def settle(inputs: PlanInput, compared: Compared) -> Settled:
    """Decide what is done about one compared policy.

    What the API has no call for is under `cannot`; then a hold counts, then whether the list is whole. A switch can be
    set where text cannot be sent: such a policy is in `cannot` and in the changes. What is missing from a list that may
    be cut off is held even where nothing could be created: it may be live, and nobody knows how.
    """
    pair, can = compared.pair, inputs.capabilities
    if pair.desired is None and pair.live is None:
        return Settled()
    if pair.desired is None:
        if inputs.settings.prune == "never":
            return Settled(cannot=NotDone(pair.key, Action.DELETE, _NEVER))
        if not can.delete:
            return Settled(cannot=NotDone(pair.key, Action.DELETE, can.cannot))
        return _unless_held(inputs, compared, Action.DELETE, compared.fields)
    if pair.live is None:
        if not can.create and inputs.live.complete:
            return Settled(cannot=NotDone(pair.key, Action.CREATE, can.cannot))
        return _unless_held(inputs, compared, Action.CREATE, compared.fields)
    fields, cannot = compared.fields, None
    if not fields:
        return _IN_SYNC
    content = [diff.pointer for diff in fields if diff.pointer != ENABLED]
    if content and not can.update:
        fields = tuple(diff for diff in fields if diff.pointer == ENABLED)
        cannot = NotDone(pair.key, Action.UPDATE, f"{can.cannot} ({', '.join(content)})")
        content = []
    if not fields:
        return Settled(cannot=cannot)
    toggle = Action.ENABLE if pair.desired.enabled else Action.DISABLE
    done = _unless_held(inputs, compared, Action.UPDATE if content else toggle, fields)
    return Settled(done.change, done.held, cannot, done.short)


def _unless_held(inputs: PlanInput, compared: Compared, action: Action, fields: Sequence[FieldDiff]) -> Settled:
    key = compared.pair.key
    hold = inputs.overrides.hold_on(key, inputs.now)
    if hold is not None:
        return Settled(held=NotDone(key, action, held_reason(hold)))
    if action in (Action.CREATE, Action.DELETE) and not inputs.live.complete:
        reason = f"the list of live policies may not be whole: {inputs.live.reason or 'nobody can tell'}"
        return Settled(held=NotDone(key, action, reason), short=True)
    return Settled(_make_change(inputs, compared, action, fields))


# ------------------------------------------------------------------------------------------------- a change


def _make_change(inputs: PlanInput, compared: Compared, action: Action, diffs: Sequence[FieldDiff]) -> Change:
    pair = compared.pair
    desired, live, applied = pair.desired, pair.live, pair.applied
    was_enabled = live is not None and live.enabled
    enabled = desired is not None and desired.enabled
    usual = _field_risks(compared, action, diffs, was_enabled=was_enabled, enabled=enabled)
    risks = risks_there(inputs, pair, usual)
    witnesses = _witnesses(compared, usual) if risks == usual and was_enabled and enabled else {}
    fields = tuple(
        FieldChange(
            diff.pointer,
            diff.op,
            diff.live,
            diff.desired,
            diff.last_applied,
            field_label(risks[diff.pointer]),
            diff.origin,
            witnesses.get(diff.pointer),
        )
        for diff in diffs
    )
    risk = change_risk_there(action, usual, risks, was_enabled=was_enabled, enabled=enabled)
    origin = _origin(compared, diffs)
    moved = any(diff.origin is not Origin.GIT and diff.pointer != ENABLED for diff in diffs) and live is not None
    path = desired.source.path if desired is not None else applied.path if applied is not None else ""
    critical = is_critical(desired, applied)
    return Change(
        kind=Kind.POLICY,
        key=pair.key,
        id=None if live is None else live.id,
        action=action,
        origin=origin,
        risk=risk,
        critical=critical,
        adopts=applied is None and live is not None,
        source=desired.source if desired is not None else None,
        commit=inputs.commits.get(path),
        fields=fields,
        drift=None if origin is Origin.GIT or applied is None else inputs.drift_of(applied, live, moved),
        calls=_calls(inputs, action, fields, live),
        guards=guards_on(
            kind=Kind.POLICY,
            action=action,
            risk=risk,
            critical=critical,
            fields=fields,
            require_override=inputs.settings.require_override,
        ),
        desired=desired,
        live=live,
        applied=applied,
        why=why(desired, applied, fields, compared.schema),
    )


def is_critical(desired: Policy | None, applied: Applied | None) -> bool:
    """Whether guards protect a policy: git says so, or said so when it was last applied.

    One commit cannot drop the protection and the policy at once.
    """
    return any(side is not None and side.metadata.get("critical") is True for side in (desired, applied))


def _origin(compared: Compared, diffs: Sequence[FieldDiff]) -> Origin:
    """Of the whole policy; of the switch alone where the content that differs cannot be sent."""
    if len(diffs) < len(compared.fields):
        return diffs[0].origin
    return policy_origin(compared.desired_body, compared.live_body, compared.applied_body, compared.schema)


def _field_risks(
    compared: Compared, action: Action, diffs: Sequence[FieldDiff], *, was_enabled: bool, enabled: bool
) -> dict[str, Risk]:
    pointers = [diff.pointer for diff in diffs]
    if action is not Action.UPDATE:
        return {
            pointer: whole_field_risk(action, pointer, was_enabled=was_enabled, enabled=enabled) for pointer in pointers
        }
    pair = compared.pair
    risks = policy_risk(
        compared.schema,
        *_bodies(compared),
        [pointer for pointer in pointers if pointer != ENABLED],
        old_checks=_checks(pair.applied),
        new_checks=_checks(pair.desired),
    )
    if ENABLED in pointers:
        risks[ENABLED] = Risk.TIGHTENS if enabled else Risk.WEAKENS
    return risks


def _bodies(compared: Compared) -> tuple[Body, Body]:
    """The whole body of an update before and after: with what is not ours, as it will be live."""
    pair = compared.pair
    assert pair.desired is not None  # noqa: S101 - an update has both sides
    assert pair.live is not None  # noqa: S101
    before: Body = {} if pair.applied is None else pair.applied.body
    return pair.live.body, merge_for_put(pair.desired.body, pair.live.body, before, compared.schema)


def _witnesses(compared: Compared, risks: Mapping[str, Risk]) -> dict[str, Witness]:
    """An example for each field whose direction is proven; keys that mean one thing together have one, on the first."""
    proven = [pointer for pointer, risk in risks.items() if risk in (Risk.TIGHTENS, Risk.WEAKENS)]
    if not proven or proven == [ENABLED] or compared.pair.desired is None or compared.pair.live is None:
        return {}
    found: dict[str, Witness] = {}
    old, new = _bodies(compared)
    for pointer in proven:
        witness = witness_of(compared.schema, old, new, pointer, risks[pointer])
        if witness is not None and witness not in found.values():
            found[pointer] = witness
    return found


def _checks(side: Policy | Applied | None) -> Body | None:
    checks = None if side is None else side.metadata.get("checks")
    return checks if isinstance(checks, dict) else None


def _calls(
    inputs: PlanInput, action: Action, fields: Sequence[FieldChange], live: LivePolicy | None
) -> tuple[Call, ...]:
    """The requests that settle a change, in their order: content first, then the switch."""
    can = inputs.capabilities
    if live is None:
        return (Call("POST", can.collection, "create"),)
    item, toggle_path = (path.replace("{id}", quote(live.id, safe="")) for path in (can.item, can.toggle_path))
    toggle = Call(can.toggle_method, toggle_path, "toggle")
    if action is Action.DELETE:
        return (Call("DELETE", item, "delete"),)
    if action is not Action.UPDATE:
        return (toggle,)
    update = Call(can.update_method, item, "update")
    return (update, toggle) if any(field.pointer == ENABLED for field in fields) else (update,)


# ----------------------------------------------------------------------------------------------- the mode


def settle_mode(inputs: PlanInput) -> Settled:
    """Decide what is done about the target's global mode; nothing when git does not speak of it."""
    if inputs.mode is None or (inputs.only and MODE_KEY not in inputs.only):
        return Settled()
    wanted, can = inputs.mode.lower(), inputs.capabilities
    if can.settings_path is None or inputs.live.mode is None:
        return Settled(cannot=NotDone(MODE_KEY, Action.UPDATE, "the live system has no enforcement settings"))
    live = inputs.live.mode.lower()
    if live == wanted:
        return Settled()
    hold = inputs.overrides.hold_on(MODE_KEY, inputs.now)
    if hold is not None:
        return Settled(held=NotDone(MODE_KEY, Action.UPDATE, held_reason(hold)))
    return Settled(_mode_change(inputs, wanted, live, can.settings_path))


def _mode_change(inputs: PlanInput, wanted: str, live: str, path: str) -> Change:
    applied = inputs.applied_settings
    before = applied.body.get(MODE_KEY) if applied is not None else None
    origin = Origin.GIT if before in (None, live) else Origin.DRIFT if before == wanted else Origin.BOTH
    risk = Risk.TIGHTENS if wanted == "strict" else Risk.WEAKENS
    field = FieldChange(f"/{MODE_KEY}", Op.REPLACE, live, wanted, MISSING if before is None else before, risk, origin)
    source = mode_source(inputs)
    return Change(
        kind=Kind.SETTINGS,
        key=MODE_KEY,
        id=MODE_KEY,
        action=Action.UPDATE,
        origin=origin,
        risk=risk,
        critical=False,
        adopts=applied is None,
        source=source,
        commit=inputs.commits.get(source.path),
        fields=(field,),
        drift=None if origin is Origin.GIT or applied is None else inputs.drift_of(applied, None, True),
        calls=(Call("PUT", path, "mode"),),
        guards=guards_on(
            kind=Kind.SETTINGS,
            action=Action.UPDATE,
            risk=risk,
            critical=False,
            fields=(field,),
            require_override=inputs.settings.require_override,
        ),
        desired=Policy(MODE_KEY, {MODE_KEY: wanted}, True, {}, source),
        live=LivePolicy(MODE_KEY, MODE_KEY, {MODE_KEY: live}, True, {}),
        applied=applied,
    )


def mode_source(inputs: PlanInput) -> Source:
    """Where the mode stands in git."""
    return Source(f"{inputs.settings.policies.rstrip('/')}/settings.yaml", 1)
