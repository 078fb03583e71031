"""How far a replay can be trusted: the current policies against the decisions on record (semantics.md D.5, F).

Here the live server is imitated, so a missing column violates or passes as it does there, and the mode counts.
"""

from __future__ import annotations

from functools import reduce
from typing import Any

import ibis
import ibis.expr.types as ir

from reconciler.core.impact import Fidelity
from reconciler.impact.columns import expression, negated
from reconciler.impact.lift import Values
from reconciler.impact.outcomes import UNKNOWN, outcomes
from reconciler.impact.replay import Version
from reconciler.impact.suspended import suspended


def fidelity(version: Version, events: ir.Table, values: Values, *, is_strict: bool) -> Fidelity:
    """Return how many recorded decisions a replay of *version* reproduces, and why it does not reproduce the others."""
    decision = expression(events, "decision")
    recorded = events.select("seq", decision=decision).filter(decision.isin(["allow", "block"]))
    blocked = _blocked(version, events, values) if is_strict else None
    if blocked is None:
        rows = recorded.mutate(blocks=ibis.literal(False), doubted=ibis.literal(False))
    else:
        joined = recorded.left_join(blocked, recorded.seq == blocked.b_seq)
        rows = joined.select(
            decision=joined["decision"],
            blocks=joined["b_seq"].notnull(),
            doubted=joined["doubted"].fill_null(False),
        )
    counts = rows.group_by(["decision", "blocks", "doubted"]).aggregate(n=rows.count()).to_pyarrow().to_pylist()
    agree = sum(row["n"] for row in counts if (row["decision"] == "block") == bool(row["blocks"]))
    reasons: dict[str, int] = {}
    for row in counts:
        if (row["decision"] == "block") != bool(row["blocks"]):
            reason = _reason(row)
            reasons[reason] = reasons.get(reason, 0) + row["n"]
    ordered = sorted(reasons.items(), key=lambda each: (-each[1], each[0]))
    return Fidelity(sum(row["n"] for row in counts), agree, tuple(ordered))


def _reason(row: dict[str, Any]) -> str:
    if row["blocks"]:
        return "blocked only because a column was not recorded" if row["doubted"] else "allowed then, blocked now"
    return "blocked then, allowed now"


def _blocked(version: Version, events: ir.Table, values: Values) -> ir.Table | None:
    """The events that the live server would block, and whether only a missing column says so; None for none."""
    several = []
    for program in version.values():
        if not program.enabled:
            continue
        rows = outcomes(program, events, values)
        if not program.effect.blocks:
            rows = rows.filter(rows.suspends)
        rows = rows.filter(rows.enforced)
        several.append(rows.select(b_seq=rows.seq, doubted=rows.outcome == UNKNOWN))
    held = suspended(version.values(), events, values)
    if held is not None:
        several.append(held.select(b_seq=held.seq, doubted=ibis.literal(False)))
    if not several:
        return None
    every = reduce(ibis.union, several)
    return every.group_by("b_seq").aggregate(doubted=negated(negated(every.doubted).any()))
