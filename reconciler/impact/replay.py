"""Two versions of the policies over the same events: what comes of each, before and after (semantics.md B.4, D.4).

Only changed policies are evaluated over all events. What the unchanged ones say is asked for the events that the change
touches, and nowhere else.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any, Final

import ibis
import ibis.expr.types as ir

from reconciler.impact.lift import Values
from reconciler.impact.narrow import narrowed, needed_by
from reconciler.impact.outcomes import UNKNOWN, VIOLATES, outcomes, states_of
from reconciler.impact.suspended import suspended
from reconciler.semantics.classify import Shift
from reconciler.semantics.nodes import is_stateful, parts
from reconciler.semantics.program import Effect, Program

#: Policies by key.
Version = Mapping[str, Program]
_NO_VOTE: Final = 0
_LOUD: Final = frozenset((Effect.ALERT, Effect.BLOCK, Effect.THROTTLE, Effect.APPROVAL, Effect.SUSPEND))


@dataclass(frozen=True, slots=True)
class Replay:
    """What a change does to the events of a table.

    `votes` has a row for each touched event and each policy that blocks it, or may, in one of the versions: `seq`,
    `policy`, `old`, `new` (0 not, 1 unknown, 2 blocks). `shifts` has a row for each touched event: `seq`, `ts_us`,
    `actor_id`, `old`, `new` (where it stands), `direct_old`, `direct_new` (without suspension) and `shift`, a value of
    `Shift`. `alerts` says for each changed policy how many events newly alert, and how many no longer do.
    """

    changed: tuple[str, ...]
    votes: ir.Table
    shifts: ir.Table
    alerts: Mapping[str, tuple[int, int]]


def changed_keys(old: Version, new: Version) -> tuple[str, ...]:
    """Return the policies whose outcomes or effects can differ: names, texts and priorities decide nothing."""
    return tuple(key for key in sorted({*old, *new}) if _meaning(old.get(key)) != _meaning(new.get(key)))


def _meaning(program: Program | None) -> Program | None:
    """What decides about an event; nothing where the policy is off."""
    if program is None or not program.enabled or not program.groups:
        return None
    plain = Program("", "", program.groups, program.effect, on_missing=program.on_missing, state=program.state)
    return replace(plain, on_missing=None) if program.on_missing is None else plain


@dataclass(frozen=True, slots=True)
class _Step:
    """A changed policy: its two versions, and what each says of the events on which they can differ.

    `small` are these events; None where they are all.
    """

    key: str
    old: Program | None
    new: Program | None
    small: ir.Table | None
    said: tuple[ir.Table | None, ir.Table | None]


def replay(old: Version, new: Version, events: ir.Table, values: Values | None = None) -> Replay:
    """Return what the change from *old* to *new* does to *events*; outcomes as they are known, as if in strict mode."""
    values = values or Values(events)
    changed = changed_keys(old, new)
    programs = [*old.values(), *(new[key] for key in changed if key in new)]
    steps = [
        _step(key, old.get(key), new.get(key), programs if len(changed) == 1 else None, events, values)
        for key in changed
    ]
    alerts = {step.key: _alerts(*step.said) for step in steps}
    pairs = [(step, _both(step.key, step.old, step.new, step.said)) for step in steps]
    differing = [votes.filter(votes.old != votes.new).select("seq") for _, votes in pairs if votes is not None]
    was = _held(old, changed, events, values)
    now = _held(new, changed, events, values)
    several = [*differing, *_either(was, now)]
    if not several:
        return Replay(changed, _no_votes(), _no_shifts(), alerts)
    touched = values.keep(reduce(ibis.union, several).distinct())
    alone = steps[0].small if len(steps) == 1 and was is None and now is None else None
    near = values.keep(
        (events if alone is None else alone).semi_join(touched, "seq").select(needed_by(programs, events))
    )
    votes = []
    for step, whole in pairs:
        table = whole
        if step.small is not None and len(several) > 1:  # what the others touch lies outside
            wider = _wider(step.small, near) if step.new is not None and is_stateful(step.new) else near
            table = _both(step.key, step.old, step.new, _said((step.old, step.new), wider, values))
        votes += [] if table is None else [table.semi_join(touched, "seq")]
    for key in sorted(set(old) - set(changed)):
        table = _asked(key, old[key], near, events, values)
        votes += [] if table is None else [table.semi_join(touched, "seq")]
    every = values.keep(reduce(ibis.union, votes)) if votes else _no_votes()
    held = [_everybody(version, changed, near, events, values) for version in (old, new)]
    return Replay(changed, every, values.keep(_shifts(near, every, _with(was, held[0]), _with(now, held[1]))), alerts)


def _step(
    key: str,
    old: Program | None,
    new: Program | None,
    programs: Iterable[Program] | None,
    events: ir.Table,
    values: Values,
) -> _Step:
    """Evaluate one changed policy; of the events it can differ on, what *programs* need is kept as well."""
    small = narrowed(old, new, events, values)
    if small is not None:
        wanted = programs if programs is not None else [each for each in (old, new) if each is not None]
        small = values.keep(small.select(needed_by(wanted, events)))
    looked = events if small is None else small
    return _Step(key, old, new, small, _said((old, new), looked, values))


def _said(
    versions: tuple[Program | None, Program | None], events: ir.Table, values: Values
) -> tuple[ir.Table | None, ir.Table | None]:
    """What both versions of a policy say, each evaluated once: SQLite's parser gives up on what nests deeper."""
    old, new = (_loud(program, events, values) for program in versions)
    return None if old is None else values.keep(old), None if new is None else values.keep(new)


def _wider(small: ir.Table, near: ir.Table) -> ir.Table:
    """The events near, and with them those that a window of the policy needs whole."""
    more = small.anti_join(near.select("seq"), "seq")
    return ibis.union(near.select(*small.columns), more)


def _loud(program: Program | None, events: ir.Table, values: Values) -> ir.Table | None:
    """What one version of a policy says; None where nobody would hear of it."""
    if program is None or not program.enabled or not (program.effect in _LOUD or _quarantines(program)):
        return None
    return outcomes(program, events, values).select("seq", "outcome", "suspends")


def _alerts(old: ir.Table | None, new: ir.Table | None) -> tuple[int, int]:
    """How many events newly alert, and how many no longer do."""
    sure = [None if side is None else side.filter(side.outcome == VIOLATES) for side in (old, new)]
    return _beyond(sure[1], sure[0]), _beyond(sure[0], sure[1])


def _beyond(one: ir.Table | None, other: ir.Table | None) -> int:
    if one is None:
        return 0
    left = one if other is None else one.anti_join(other, "seq")
    return int(left.count().to_pyarrow().as_py())


def _both(key: str, old: Program | None, new: Program | None, said: tuple[ir.Table | None, ...]) -> ir.Table | None:
    """The votes of one policy in two versions."""
    sides = [_votes(program, rows) for program, rows in zip((old, new), said, strict=True)]
    if sides[0] is None and sides[1] is None:
        return None
    flat = [
        side.select("seq", old=side.outcome if at == 0 else _zero(), new=side.outcome if at == 1 else _zero())
        for at, side in enumerate(sides)
        if side is not None
    ]
    if len(flat) == 1:
        return flat[0].mutate(policy=ibis.literal(key))
    both = ibis.union(*flat)
    summed = both.group_by("seq").aggregate(old=both.old.max(), new=both.new.max())
    return summed.mutate(policy=ibis.literal(key))


def _zero() -> ir.Value:
    return ibis.literal(_NO_VOTE).cast("int64")


def _quarantines(program: Program) -> bool:
    """Whether one of its clauses suspends by itself."""
    return any(clause.state for group in program.groups for clause in group.clauses)


def _votes(program: Program | None, rows: ir.Table | None) -> ir.Table | None:
    """`seq` and `outcome` of the events that a policy blocks or may block; None where it never does."""
    if program is None or rows is None or not (program.effect.blocks or _quarantines(program)):
        return None
    if not program.effect.blocks:
        rows = rows.filter(rows.suspends)
    return rows.select("seq", outcome=rows.outcome.cast("int64"))


def _asked(key: str, program: Program, near: ir.Table, events: ir.Table, values: Values) -> ir.Table | None:
    """The votes of a policy that did not change, over as few events as its history allows."""
    if not program.enabled:
        return None
    said = outcomes(program, _reach(program, near, events), values).select("seq", "outcome", "suspends")
    side = _votes(program, values.keep(said))
    if side is None:
        return None
    return side.select("seq", old=side.outcome, new=side.outcome).mutate(policy=ibis.literal(key))


def _reach(program: Program, near: ir.Table, events: ir.Table) -> ir.Table:
    """The events that decide about those *near*: themselves, those of their actors, or all."""
    if not is_stateful(program):
        return near
    keys = [getattr(part, "key", None) for part in parts(program)]
    if all("actor_id" in key for key in keys if key is not None):
        return events.semi_join(near.select("actor_id").distinct(), "actor_id")
    return events


# ---------------------------------------------------------------------------------------------- suspension


def _held(version: Version, changed: Iterable[str], events: ir.Table, values: Values) -> ir.Table | None:
    """The events whose actor a changed policy suspends."""
    found = suspended((version[key] for key in changed if key in version and version[key].enabled), events, values)
    return None if found is None else values.keep(found)


def _everybody(
    version: Version, changed: Iterable[str], near: ir.Table, events: ir.Table, values: Values
) -> ir.Table | None:
    """The events near whose actor an unchanged policy suspends."""
    several = [
        program
        for key, program in version.items()
        if key not in set(changed) and program.enabled and states_of(program)
    ]
    tables = [suspended([each], _reach_of_actors(each, near, events), values) for each in several]
    known = [table for table in tables if table is not None]
    return values.keep(reduce(lambda a, b: ibis.union(a, b, distinct=True), known)) if known else None


def _reach_of_actors(program: Program, near: ir.Table, events: ir.Table) -> ir.Table:
    """Triggers lie anywhere in the past of the actors near."""
    wide = _reach(program, near, events)
    return events.semi_join(near.select("actor_id").distinct(), "actor_id") if wide is near else wide


def _either(was: ir.Table | None, now: ir.Table | None) -> list[ir.Table]:
    """The events that are held in one version and not in the other."""
    if was is None or now is None:
        return [each for each in (was, now) if each is not None]
    return [was.anti_join(now, "seq"), now.anti_join(was, "seq")]


def _with(one: ir.Table | None, other: ir.Table | None) -> ir.Table | None:
    if one is None or other is None:
        return one if other is None else other
    return ibis.union(one, other, distinct=True)


# --------------------------------------------------------------------------------------------------- shifts


def _shifts(near: ir.Table, votes: ir.Table, was: ir.Table | None, now: ir.Table | None) -> ir.Table:
    doubted = (votes.old == UNKNOWN) != (votes.new == UNKNOWN)
    stands = votes.group_by("seq").aggregate(
        direct_old=votes.old.max(), direct_new=votes.new.max(), doubted=doubted.any()
    )
    stands = stands.rename(v_seq="seq")
    joined = near.left_join(stands, near.seq == stands.v_seq)
    rows = joined.select(
        seq=joined["seq"],
        ts_us=joined["ts_us"],
        actor_id=joined["actor_id"],
        direct_old=joined["direct_old"].fill_null(0),
        direct_new=joined["direct_new"].fill_null(0),
        doubted=joined["doubted"].fill_null(False),
    )
    rows = _hold(_hold(rows, was, "old"), now, "new")
    return rows.mutate(shift=_shift(rows)).drop("doubted")


def _hold(rows: ir.Table, held: ir.Table | None, side: str) -> ir.Table:
    """Where the event stands, with what suspends its actor."""
    if held is None:
        return rows.mutate(**{side: rows[f"direct_{side}"]})
    marks = held.select(h_seq=held.seq)
    joined = rows.left_join(marks, rows.seq == marks.h_seq)
    stands = ibis.ifelse(joined["h_seq"].notnull(), VIOLATES, joined[f"direct_{side}"])
    return joined.select(**{name: joined[name] for name in rows.columns}, **{side: stands})


def _shift(rows: ir.Table) -> ir.Value:
    """The table of semantics.md B.4."""
    return ibis.cases(
        ((rows.old == 0) & (rows.new == 2), Shift.NEWLY_BLOCKED.value),
        ((rows.old == 2) & (rows.new == 0), Shift.NEWLY_ALLOWED.value),
        (rows.new > rows.old, Shift.MAYBE_BLOCKED.value),
        (rows.new < rows.old, Shift.MAYBE_ALLOWED.value),
        ((rows.old == 1) & rows.doubted, Shift.UNKNOWN_CHANGE.value),
        else_=Shift.NONE.value,
    )


def _no_votes() -> Any:
    schema = {"seq": "int64", "old": "int64", "new": "int64", "policy": "string"}
    return ibis.memtable([], schema=schema)


def _no_shifts() -> Any:
    numbers = dict.fromkeys(("seq", "ts_us", "old", "new", "direct_old", "direct_new"), "int64")
    return ibis.memtable([], schema={**numbers, "actor_id": "string", "shift": "string"})
