"""What a policy demands, as a small tree of primitives that every engine interprets (semantics.md D.1).

A node is true, false, or null where a column it needs was not recorded; true is a violation once it stands as a clause.
Nodes that look back (`Count`, `Prev`, …) see the events that match the scope and filters of their policy, this one
included. Nothing here evaluates; `nodes.py` writes nodes as JSON and asks what they need.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

#: Columns whose values together say whose history is meant; none of them is everybody's.
Key: TypeAlias = "tuple[str, ...]"
Argument: TypeAlias = "str | int | float | bool | tuple[str, ...]"
Op: TypeAlias = Literal["<", "<=", ">", ">=", "="]
#: Columns that are made of recorded ones.
DERIVED: Final = {
    "action_key": ("action",),
    "address": ("source_ip",),
    "kind": ("resource_type", "resource"),
    "wanted": ("requested_capability", "action"),
}


# ------------------------------------------------------------------------------------------- of one event


@dataclass(frozen=True, slots=True)
class Lift:
    """The predicate `test` of `predicates.py`, made with `arguments`, of the values of some columns."""

    test: str
    columns: tuple[str, ...]
    arguments: tuple[Argument, ...] = ()


@dataclass(frozen=True, slots=True)
class Cmp:
    """A number column against a constant; the constant is in the scale of the data (semantics.md B.2)."""

    column: str
    op: Op
    value: int | float


@dataclass(frozen=True, slots=True)
class Is:
    """A column of true and false."""

    column: str


@dataclass(frozen=True, slots=True)
class Null:
    """Whether a column was not recorded; never null itself."""

    column: str


@dataclass(frozen=True, slots=True)
class LocalTime:
    """Whether the minute of the event, in a zone, is one of the week's; `minutes` is the set in hexadecimal."""

    zone: str
    minutes: str


# ------------------------------------------------------------------------------------------ of the history


@dataclass(frozen=True, slots=True)
class Adaptive:
    """Backing off: each window in a row that exceeded the base limit multiplies the limit once more (B.8)."""

    factor: str
    minimum: int


@dataclass(frozen=True, slots=True)
class Limit:
    """How many are allowed, to whom: patterns of actors first, then tiers of trust, then everybody (B.8).

    `tiers` are (score from which it counts, limit), lowest first.
    """

    base: int
    overrides: tuple[tuple[str, int], ...] = ()
    tiers: tuple[tuple[float, int], ...] = ()
    adaptive: Adaptive | None = None


@dataclass(frozen=True, slots=True)
class Count:
    """More events of the key within the window than the limit; `where` says which of them count.

    Sliding is (t − W, t]; tumbling is the window that W cuts time into, from its start to this event.
    """

    key: Key
    window_us: int
    limit: Limit
    tumbling: bool = False
    where: Node | None = None


@dataclass(frozen=True, slots=True)
class Sum:
    """At least so much of a column within the sliding window; null counts nothing."""

    key: Key
    window_us: int
    column: str
    least: int


@dataclass(frozen=True, slots=True)
class Distinct:
    """More different values of a column within the sliding window than `most`; null is no value."""

    key: Key
    window_us: int
    column: str
    most: int


@dataclass(frozen=True, slots=True)
class Prev:
    """A column compared with its previous recorded value: differs, or for sets: added, removed.

    With `patterns`: whether one of the added entries matches. False where there is no previous value.
    """

    key: Key
    column: str
    change: Literal["any", "added", "removed"] = "any"
    patterns: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Age:
    """Time since the first event of the key, 0 at that event, against a constant."""

    key: Key
    op: Op
    span_us: int


@dataclass(frozen=True, slots=True)
class Gap:
    """Time since the previous event of the key against a constant; false at the first one."""

    key: Key
    op: Op
    span_us: int


@dataclass(frozen=True, slots=True)
class Seen:
    """Number of earlier events of the key against a constant."""

    key: Key
    op: Op
    count: int


@dataclass(frozen=True, slots=True)
class Baseline:
    """A bucket far above those before it: more than `p`/`q` standard deviations over the mean of `buckets` (B.9)."""

    key: Key
    bucket_us: int
    buckets: int
    p: int
    q: int


# ---------------------------------------------------------------------------------------------- combined


@dataclass(frozen=True, slots=True)
class And:
    """Kleene's: false if one is false, else null if one is null."""

    nodes: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Or:
    """Kleene's: true if one is true, else null if one is null."""

    nodes: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """Null stays null."""

    node: Node


@dataclass(frozen=True, slots=True)
class Sure:
    """True where the node is true; null becomes false."""

    node: Node


Stateless: TypeAlias = "Lift | Cmp | Is | Null | LocalTime"
Stateful: TypeAlias = "Count | Sum | Distinct | Prev | Age | Gap | Seen | Baseline"
Node: TypeAlias = "Stateless | Stateful | And | Or | Not | Sure"
