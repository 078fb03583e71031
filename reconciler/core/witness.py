"""The smallest example of which a changed field decides otherwise: its witness (semantics.md E.2).

Asked only for a field whose direction is proven. A witness really flips: an event that has it, and that nothing else
in the policy objects to, passes one version and violates the other. Where that cannot be promised at a glance (several
attributes at once, other keys that may hide it) there is none. `witness_sets.py` knows sets, `witness_counts.py` what
is counted, `witness_time.py` minutes of the week.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from reconciler.core.canonical import Schema, key_schema, properties_of, spelling_of
from reconciler.core.direction import entries_of
from reconciler.core.model import Body, Json, Risk, Side, Stance, Witness, WitnessKind
from reconciler.core.neighbours import contains, hours_of
from reconciler.core.pairs import Pair, Version, make_pair
from reconciler.core.rates import magnitude
from reconciler.core.sets import ALL, Entries
from reconciler.core.witness_counts import KEYS as COUNTED
from reconciler.core.witness_counts import Count, count_of
from reconciler.core.witness_sets import LONGEST, member
from reconciler.core.witness_time import minute_between


@dataclass(frozen=True, slots=True)
class _Column:
    """The keys of a condition that speak of one attribute: clauses that allow and deny, filters in and out."""

    allowed: tuple[str, ...] = ()
    denied: tuple[str, ...] = ()
    within: tuple[str, ...] = ()
    without: tuple[str, ...] = ()

    @property
    def keys(self) -> tuple[str, ...]:
        return (*self.allowed, *self.denied, *self.within, *self.without)


#: Keys by the attribute they speak of, and those beside which one attribute alone decides nothing.
_COLUMNS: Final = (
    _Column(("allowed_ips",), ("denied_ips",), (), ("except_ips",)),
    _Column(("allowed_resources",), ("restricted_resources",), ("resources",), ("except_resources",)),
    _Column(("allowed_actions",), ("restricted_actions",), ("actions",), ()),
    _Column(("allowed_countries",), ("denied_countries",)),
    _Column(("allowed_roles",), ("denied_roles",)),
    _Column(("allowed_purposes",)),
    _Column(("allowed_domains",), ("blocked_domains",)),
    _Column(("allowed_names",), ("blocked_names",)),
    _Column((), ("blocked_urls",)),
    _Column((), ("forbidden_capabilities", "blocked_capabilities")),
    _Column((), ("dangerous_capabilities",)),
    _Column((), (), ("resource_types",)),
    _Column((), (), ("data_types",)),
    _Column((), (), (), ("except_actors",)),
)
_COLUMN_OF: Final = {key: column for column in _COLUMNS for key in column.keys}
#: A key says nothing beside one of these.
_HIDDEN_BY: Final[Mapping[str, tuple[str, ...]]] = {
    "allowed_roles": ("required_roles",),
    "denied_roles": ("required_roles",),
    "allowed_domains": ("allowed_names",),
    "allowed_names": ("allowed_domains",),
    "forbidden_capabilities": ("required_capabilities",),
    "max_capability_count": ("required_capabilities",),
    "dangerous_capabilities": ("baseline_capabilities", "only_new"),
}
#: A key says nothing unless this switch is on.
_SWITCH: Final = {
    "dangerous_capabilities": "check_permission_escalation",
}
#: Under the value is a violation; over it; from it on.
_UNDER: Final = frozenset({"min_trust_score", "min_attestations", "min_confidence_score"})
_OVER: Final = {"max_records_per_request": "records", "max_capability_count": "capabilities"}
#: Beyond it a number is no number of JSON for everybody.
_MOST: Final = 2**53
_FROM: Final = {"data_threshold_mb": "MiB", "grace_period_days": "days"}


def witness_of(schema: Schema, old: Body, new: Body, pointer: str, risk: Risk) -> Witness | None:
    """Return the witness of the field at *pointer* on the way from *old* to *new*, whose proven direction is *risk*.

    Bodies are whole, as `policy_risk` takes them. Where the two are switched off or of another type there is none.
    """
    if risk not in (Risk.TIGHTENS, Risk.WEAKENS):
        return None
    top = make_pair(schema, old, new)
    head, _, rest = pointer.removeprefix("/").partition("/")
    if head == "conditions" and rest and "/" not in rest:
        pair = top.child("conditions")
        key = spelling_of(pair.schema, rest.replace("~1", "/").replace("~0", "~"))
    elif head in ("timezone", "applies_to") and not rest:
        pair, key = top.child("conditions"), head
    else:
        return None
    return _witness(pair, key, tightens=risk is Risk.TIGHTENS)


@dataclass(frozen=True, slots=True)
class _Sides:
    """The version that lets the witness pass, and the one that does not, in this order."""

    passes: Version
    violates: Version
    tightens: bool

    def stances(self, *, filters: bool = False) -> tuple[Stance, Stance]:
        pair = (Stance.OUTSIDE, Stance.INSIDE) if filters else (Stance.ALLOWED, Stance.VIOLATES)
        return pair if self.tightens else (pair[1], pair[0])


def _witness(pair: Pair, key: str, *, tightens: bool) -> Witness | None:
    versions = (pair.old, pair.new) if tightens else (pair.new, pair.old)
    sides = _Sides(*versions, tightens)
    if any(version.keys.get(name) for version in versions for name in _HIDDEN_BY.get(key, ())):
        return None
    switch = _SWITCH.get(key)
    if switch is not None and not all(version.keys.get(switch) is True for version in versions):
        return None
    if key == "timezone" or "x-time" in key_schema(pair.schema, key):
        return _minute(pair, sides)
    if key == "applies_to":
        return _scope(pair, sides)
    if key in COUNTED:
        return _counted(count_of(key, *versions), sides)
    if key in _COLUMN_OF:
        return _set(pair, key, sides)
    if key == "patterns":
        return _pattern(sides)
    return _number(key, sides)


# ----------------------------------------------------------------------------------------------------- sets


def _set(pair: Pair, key: str, sides: _Sides) -> Witness | None:
    """A member that the passing version lets through as a whole, and that the other one objects to by this key."""
    column, schema = _COLUMN_OF[key], key_schema(pair.schema, key)
    is_filter = key in (*column.within, *column.without)
    inside: list[Entries | None] = []
    outside: list[Entries | None] = []
    for name in (each for each in column.keys if each in properties_of(pair.schema)):
        passing, violating = (_entries(pair, name, version) for version in (sides.passes, sides.violates))
        grows = name in (*column.denied, *column.within)
        if name == key:
            (inside if grows else outside).append(violating)
            (outside if grows else inside).append(passing)
        elif name in (*column.within, *column.without):
            both = [violating] if is_filter else [passing, violating]
            (inside if name in column.within else outside).extend(both)
        elif not is_filter:
            (inside if name in column.allowed else outside).append(passing)
    known_inside, known_outside = _known(inside), _known(outside)
    if known_inside is None or known_outside is None:
        return None
    found = member(schema, known_inside, known_outside)
    return None if found is None else Witness(*found, *sides.stances(filters=is_filter))


def _known(several: list[Entries | None]) -> list[Entries] | None:
    known = [each for each in several if each is not None]
    return known if len(known) == len(several) else None


def _entries(pair: Pair, key: str, version: Version) -> Entries | None:
    """The entries that a version means by a key; `resource_match: contains` reads `x` as `**x**` (semantics.md B.7)."""
    side: Side = version.get(key)
    if key in ("allowed_resources", "restricted_resources") and version.keys.get("resource_match") == "contains":
        side = contains(side)
    return entries_of(key_schema(pair.schema, key), side)


def _scope(pair: Pair, sides: _Sides) -> Witness | None:
    """Who is newly looked at or no longer: where both versions speak of one attribute of actors, or of all."""
    tops = (pair.top.old, pair.top.new) if sides.tightens else (pair.top.new, pair.top.old)
    scopes = [entries_of({"x-set": "scope"}, version.get("applies_to")) for version in tops]
    if any(scope is None or scope is ALL for scope in scopes):
        return None
    lists = [list(scope) for scope in scopes if scope is not None and scope is not ALL]
    prefixes = {entry.partition(":")[0] for each in lists for entry in each} - {"all"}
    if len(prefixes) != 1:
        return None
    prefix = prefixes.pop()
    without = [_entries(pair, "except_actors", version) for version in (sides.passes, sides.violates)]
    excepted = [entry for each in without if each is not None and each is not ALL for entry in each]
    outside, inside = (ALL if "all" in each else [entry.partition(":")[2] for entry in each] for each in lists)
    if prefix in ("agent_id", "user"):
        found = member({"x-set": "glob"}, [inside], [outside, excepted])
    elif prefix in ("role", "tenant") and not excepted:
        found = member({"x-set": "plain"}, [inside], [outside])
    else:
        return None
    return found and Witness(found[0], f"{prefix}:{found[1]}", *sides.stances(filters=True))


def _pattern(sides: _Sides) -> Witness | None:
    """A pattern is found anywhere in an action: the shortest one that no other version finds (semantics.md B.10)."""
    lists = [version.keys.get("patterns", []) for version in (sides.passes, sides.violates)]
    if not all(isinstance(each, list) and all(isinstance(entry, str) for entry in each) for each in lists):
        return None
    passing, violating = ([str(entry).lower() for entry in each] for each in lists if isinstance(each, list))
    fresh = [each for each in violating if 0 < len(each) <= LONGEST and not any(other in each for other in passing)]
    shortest = min(fresh, key=lambda each: (len(each), each), default=None)
    return None if shortest is None else Witness(WitnessKind.TEXT, shortest, *sides.stances(), of="action")


# ----------------------------------------------------------------------------------------- numbers, minutes


def _number(key: str, sides: _Sides) -> Witness | None:
    """A value between the two: the smallest."""
    passing, violating = (_magnitude(key, version) for version in (sides.passes, sides.violates))
    if violating is None or _scale(sides.passes) != _scale(sides.violates):
        return None
    if key in _UNDER:
        value = Fraction(0) if passing is None else passing
        fits, of = 0 <= value < violating, None
    elif key in _OVER:
        if passing == 0 and key == "max_capability_count":
            passing = None
        value = Fraction(int(violating) + 1)
        fits, of = passing is None or value <= passing, _OVER[key]
        fits = fits and not (violating == 0 and key == "max_capability_count")
    elif key in _FROM:
        value = violating
        fits, of = value >= 0 and (passing is None or value < passing), _FROM[key]
    else:
        return None
    if not fits or value > _MOST:
        return None
    plain = int(value) if value.denominator == 1 else float(value)
    return Witness(WitnessKind.NUMBER, plain, *sides.stances(), of=of)


def _magnitude(key: str, version: Version) -> Fraction | None:
    value: Json = version.keys.get(key)
    return None if isinstance(value, str) else magnitude(value, "")


def _scale(version: Version) -> Json:
    return version.keys.get("trust_scale")


def _counted(found: Count | None, sides: _Sides) -> Witness | None:
    if found is None or max(found.number, found.span_ms) > _MOST:
        return None
    return Witness(WitnessKind.COUNT, found.number, *sides.stances(), of=found.of, span_ms=found.span_ms)


def _minute(pair: Pair, sides: _Sides) -> Witness | None:
    if "check_off_hours" in properties_of(pair.schema) and not all(
        version.keys.get("check_off_hours") is True for version in (pair.old, pair.new)
    ):
        return None
    old, new = hours_of(pair)
    (passing, zone), (violating, other_zone) = (old, new) if sides.tightens else (new, old)
    if passing is None or violating is None:
        return None
    found = minute_between(passing, zone, violating, other_zone, shown=new[1])
    return None if found is None else Witness(WitnessKind.MINUTE, found[0], *sides.stances(), local=found[1])
