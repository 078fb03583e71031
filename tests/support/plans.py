"""Whole plans for tests of what is made of them: one as people meet it, one full of hostile text, one of any size."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from reconciler.core.impact import ChangeImpact, Day, Example, Fidelity, Impact
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
    Kind,
    LiveInfo,
    NotDone,
    Op,
    Origin,
    Override,
    Plan,
    Risk,
    Side,
    Source,
    Stance,
    TargetInfo,
    Witness,
    WitnessKind,
)
from reconciler.core.planform import make_fingerprint

HEAD = "3f9c2ab0" * 5
OLDER = "7d2e9011" * 5

_CALLS = {
    Action.CREATE: Call("POST", "/policies", "create"),
    Action.UPDATE: Call("PUT", "/policies/{id}", "update"),
    Action.ENABLE: Call("PATCH", "/policies/{id}", "toggle"),
    Action.DISABLE: Call("PATCH", "/policies/{id}", "toggle"),
    Action.DELETE: Call("DELETE", "/policies/{id}", "delete"),
}


def field(
    pointer: str,
    live: Side = MISSING,
    desired: Side = MISSING,
    risk: Risk = Risk.NEUTRAL,
    origin: Origin = Origin.GIT,
) -> FieldChange:
    """One field from *live* to *desired*; what was applied last follows from its origin."""
    op = Op.ADD if live is MISSING else Op.REMOVE if desired is MISSING else Op.REPLACE
    return FieldChange(pointer, op, live, desired, desired if origin is Origin.DRIFT else live, risk, origin)


def change(
    key: str,
    action: Action = Action.UPDATE,
    risk: Risk = Risk.NEUTRAL,
    *fields: FieldChange,
    origin: Origin = Origin.GIT,
    critical: bool = False,
    guards: Sequence[str] = (),
    commit: CommitInfo | None = None,
    drift: Drift | None = None,
    path: str | None = None,
    line: int = 1,
) -> Change:
    """One change of a policy whose id is its key."""
    if origin is not Origin.GIT and drift is None:
        drift = Drift("admin@example.com", "2026-11-19T02:14:55Z", "log-4821", Confidence.EXACT)
    call = _CALLS[action]
    return Change(
        kind=Kind.POLICY,
        key=key,
        id=None if action is Action.CREATE else key,
        action=action,
        origin=origin,
        risk=risk,
        critical=critical,
        adopts=False,
        source=None if action is Action.DELETE else Source(path or f"policies/{key}.yaml", line),
        commit=commit or CommitInfo(HEAD, "alice", "Allow the cut-over"),
        fields=tuple(fields),
        drift=drift,
        calls=(replace(call, path=call.path.replace("{id}", key)),),
        guards=tuple(guards),
    )


def plan(*changes: Change, target: str = "prod", **facts: object) -> Plan:
    """A plan of these changes with a true fingerprint and summary; *facts* replace other parts."""
    counts = Counter(each.action.value for each in changes)
    made = Plan(
        tool="0.1.0",
        fingerprint="",
        complete=True,
        target=TargetInfo(target, "opena2a", "https://policies.example.com/v1", "STRICT"),
        git=GitInfo(HEAD, OLDER, dirty=False, shallow=False),
        live=LiveInfo("2026-11-20T09:14:07Z", 11, "sha256:" + "0" * 64),
        changes=changes,
        held=(),
        cannot=(),
        unmanaged=(),
        blocked=(),
        overrides=(),
        warnings=(),
        summary={name: counts[name] for name in ("create", "update", "enable", "disable", "delete")} | {"in_sync": 6},
    )
    made = replace(made, **facts)  # type: ignore[arg-type]
    lengths = {"unmanaged": len(made.unmanaged), "cannot": len(made.cannot), "held": len(made.held)}
    fingerprint = make_fingerprint(made.target, made.changes, made.held, made.cannot)
    return replace(made, fingerprint=fingerprint, summary={**made.summary, **lengths})


def sample_plan() -> Plan:
    """What a reviewer meets: something of everything, in no particular order."""
    earlier = CommitInfo(OLDER, "bob", "Give CI more room")
    return plan(
        change(
            "ip-allowlist",
            Action.CREATE,
            Risk.TIGHTENS,
            field("/enabled", desired=True, risk=Risk.TIGHTENS),
            field("/conditions", desired={"allowed_ips": ["10.0.0.0/8", "172.16.0.0/12"], "block_vpn": True}),
        ),
        change(
            "rate-limit-enforcement",
            Action.UPDATE,
            Risk.MIXED,
            field("/conditions/max_requests_per_hour", 1000, 5000, Risk.WEAKENS),
            field("/conditions/burst/per_minute", 100, 80, Risk.TIGHTENS),
            field("/conditions/exempt_agents", desired=["ci-runner"], risk=Risk.UNKNOWN),
            commit=earlier,
            line=9,
        ),
        change(
            "pol-session-recording",
            Action.UPDATE,
            Risk.TIGHTENS,
            field("/conditions/retention", "7d", "30d", Risk.TIGHTENS, Origin.DRIFT),
            origin=Origin.DRIFT,
            critical=True,
        ),
        change(
            "pol-mfa-required",
            Action.DISABLE,
            Risk.WEAKENS,
            field("/enabled", True, False, Risk.WEAKENS),
            critical=True,
            guards=["critical-disabled"],
            line=6,
        ),
        change(
            "max-trust-score",
            Action.DELETE,
            Risk.WEAKENS,
            field("/conditions", {"min_trust_score": 70, "evaluation_frequency": "continuous"}),
            field("/actions", {"on_violation": "suspend_agent", "notify_admins": True}),
            field("/enabled", True, risk=Risk.WEAKENS),
            critical=True,
            guards=["critical-deleted"],
        ),
        blocked=("critical-disabled",),
        overrides=(
            Override("critical-deleted", "max-trust-score", None, "Replaced by tiers", "security", "2026-12-01"),
        ),
        cannot=(NotDone("pol-geo", Action.UPDATE, "NeoSC can only list and toggle"),),
        unmanaged=("legacy-geo",),
        warnings=('override of weakens for "pol-old" by bob ended on 2026-11-01 and lifts nothing',),
    )


def hostile_impact(text: str, key: str) -> Impact:
    """A preview with *text* in every place that recorded events can fill."""
    example = Example(text, text, text, text, text, text)
    one = ChangeImpact(
        key,
        newly_blocked=12,
        newly_allowed=1,
        maybe_blocked=3,
        blocked_actors=1,
        in_scope=20,
        actors=((text, 12),),
        first=(example,) * 10,
        coverage=((text, 0.5),),
        not_replayed=(text,),
        unchecked=(text,),
    )
    return Impact(
        20,
        1,
        "2026-03-02T00:00:00Z",
        "2026-03-03T00:00:00Z",
        (one, ChangeImpact(text)),
        newly_blocked=12,
        newly_blocked_actors=1,
        consequential=2,
        days=(Day("2026-03-02", 12, 1),),
        fidelity=Fidelity(20, 19, ((text, 1),)),
        warnings=(text,),
    )


def hostile_plan(text: str) -> Plan:
    """A plan with *text* in every place that a contributor, the live system or a plan file can fill."""
    commit = CommitInfo(HEAD, text, text)
    drift = Drift(text, text, text, Confidence.EXACT)
    shown = Witness(WitnessKind.ENTRY, text, Stance.VIOLATES, Stance.ALLOWED, of=text, local=text)
    values: tuple[FieldChange, ...] = (
        replace(field(f"/conditions/{text}", text, f"x{text}", Risk.WEAKENS), witness=shown),
        replace(field("/text", "a", "b", Risk.TIGHTENS), witness=replace(shown, kind=WitnessKind.TEXT)),
        replace(field("/minute", "a", "b", Risk.TIGHTENS), witness=replace(shown, kind=WitnessKind.MINUTE)),
        field("/list", [text, 1, 2, 3, 4, 5], [6, 7, f"{text} {text}", 8], Risk.UNKNOWN),
        field("/object", MISSING, {text: [text, {text: text}]}, Risk.TIGHTENS),
        field("/gone", text, MISSING, Risk.NEUTRAL),
    )
    changes = [
        change(
            f"{action.value}-{text}", action, risk, *values, commit=commit, path=f"policies/{text}.yaml", guards=[text]
        )
        for action, risk in zip(
            Action, (Risk.TIGHTENS, Risk.MIXED, Risk.TIGHTENS, Risk.WEAKENS, Risk.WEAKENS), strict=True
        )
    ]
    changes += [
        change(
            f"{origin.value}-{text}", Action.UPDATE, Risk.UNKNOWN, *values, origin=origin, drift=drift, commit=commit
        )
        for origin in (Origin.DRIFT, Origin.BOTH)
    ]
    return plan(
        *changes,
        impact=hostile_impact(text, changes[1].key),
        target=text,
        tool=text,
        held=(NotDone(text, Action.DELETE, text),),
        cannot=(NotDone(text, Action.UPDATE, text),),
        unmanaged=(text,),
        blocked=(text, "too-many-deletes"),
        overrides=(Override(text, text, None, text, text, text),),
        warnings=(text,),
        complete=False,
    )
