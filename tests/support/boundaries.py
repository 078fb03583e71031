"""Policies that look back, and streams that lie on the borders of their own windows (semantics.md D.5).

Uniform timestamps hardly ever fall where two engines can differ. Here every instant is a multiple of the policy's own
window, or a microsecond or two beside it, many events share one, and windows are themselves multiples give or take one.
"""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import strategies as st

from reconciler.semantics.ast import Adaptive, Baseline, Cmp, Count, Distinct, Limit, Node, Sum
from reconciler.semantics.events import Event
from reconciler.semantics.nodes import parts
from reconciler.semantics.program import Clause, Effect, Group, Program, State
from tests.support.vectors import MIDNIGHT_US

_SECOND = 1_000_000
_KEY = ("actor_id",)
#: Windows that are whole, and a microsecond off.
SPANS = st.tuples(st.integers(1, 3), st.integers(-1, 1)).map(lambda pair: pair[0] * _SECOND + pair[1])
_LIMITS = st.integers(0, 3)


KINDS = ("sliding", "tumbling", "adaptive", "some", "sum", "distinct")


@st.composite
def nodes(draw: st.DrawFn, kind: str | None) -> Node:
    """One condition that looks back over a window."""
    span, kind = draw(SPANS), kind or draw(st.sampled_from(KINDS))
    match kind:
        case "sum":
            return Sum(_KEY, span, "bytes", draw(st.integers(1, 4)))
        case "distinct":
            return Distinct(_KEY, span, "resource", draw(st.integers(0, 4)))
        case "some":
            return Count(_KEY, span, Limit(draw(_LIMITS)), where=Cmp("records", ">", 0))
        case "adaptive":
            limit = Limit(draw(st.integers(1, 3)), adaptive=Adaptive("0.5", 1))
            return Count(_KEY, span, limit, tumbling=True)
        case _:
            return Count(_KEY, span, Limit(draw(_LIMITS)), tumbling=kind == "tumbling")


@st.composite
def looking_back(draw: st.DrawFn, kind: str | None = None) -> Program:
    """A policy with one such condition; half of them suspend, for a time or until reinstated."""
    clause = Clause("it", draw(nodes(kind)))
    if draw(st.booleans()):
        return Program("p", "rate_limit", (Group((clause,)),), Effect.BLOCK)
    state = State(draw(st.none() | SPANS))
    return Program("p", "rate_limit", (Group((clause,)),), Effect.SUSPEND, state=state)


def spans_of(program: Program) -> list[int]:
    """Every length of time that decides something in a policy, in microseconds."""
    found = [getattr(part, name, None) for part in parts(program) for name in ("window_us", "span_us", "bucket_us")]
    found += [part.buckets * part.bucket_us for part in parts(program) if isinstance(part, Baseline)]
    states = [program.state, *(clause.state for group in program.groups for clause in group.clauses)]
    found += [state.duration_us for state in states if state is not None]
    return sorted({span for span in found if span}) or [_SECOND]


@st.composite
def bordering(draw: st.DrawFn, program: Program) -> list[Event]:
    """Events at k·W + {−1, 0, 1, 2} of the policy's own windows W, in order, with many ties."""
    border = st.tuples(st.sampled_from(spans_of(program)), st.integers(0, 3), st.sampled_from([-1, 0, 0, 1, 2])).map(
        lambda drawn: MIDNIGHT_US // drawn[0] * drawn[0] + drawn[1] * drawn[0] + drawn[2]
    )
    row = st.tuples(
        st.sampled_from(draw(st.lists(border, min_size=2, max_size=6, unique=True))),
        st.sampled_from(["a", "a", "b"]),
        st.sampled_from(["read", "read", "reinstate"]),
        st.sampled_from("vwxyz"),
        st.sampled_from([0, 1, 2]),
    )
    rows = sorted(draw(st.lists(row, min_size=6, max_size=24)), key=lambda each: each[0])
    return [
        Event(f"e{seq}", ts_us, actor, action, resource, seq=seq, bytes=amount, records=amount % 2, action_key=action)
        for seq, (ts_us, actor, action, resource, amount) in enumerate(rows)
    ]


#: What such policies and events need: a narrow table compiles in a fraction of the time.
COLUMNS = ("seq", "ts_us", "actor_id", "action", "resource", "bytes", "records")


@dataclass(frozen=True)
class Case:
    """A policy and a stream on the borders of its windows; its text is what one needs to look at it."""

    program: Program
    events: list[Event]

    def __repr__(self) -> str:
        rows = [(each.ts_us - MIDNIGHT_US, *(getattr(each, name) for name in COLUMNS[2:])) for each in self.events]
        return f"{self.program.groups[0].clauses[0].node} {self.program.state} {rows}"


def cases(kind: str | None = None) -> st.SearchStrategy[Case]:
    """Policies and streams; of one kind of condition, or of all."""
    return looking_back(kind).flatmap(lambda program: st.builds(Case, st.just(program), bordering(program)))
