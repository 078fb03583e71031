"""The predicates that `Lift` names: functions of the values of one event, the same ones in every engine (D.1, D.2).

A maker takes the arguments that stand in the tree and returns the predicate. Arguments come from `compile.py`, which
has checked them; a maker that cannot use one raises ValueError. No predicate ever sees null.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any, Final, TypeAlias

from reconciler.core.canonical import ascii_lower
from reconciler.core.sets import EU
from reconciler.semantics.ast import Lift
from reconciler.semantics.matching import in_addresses, in_domains, matcher

#: Takes one value per column.
Predicate: TypeAlias = Callable[..., bool]
#: How patterns are read: `/` separates segments; no separator; no separator and no ASCII case, in the text as well, or
#: in the pattern only because the text is folded already; some part of a resource.
HOWS: Final = ("resource", "plain", "fold", "folded", "contains")
#: Agents have few lists, and each sends the same ones all day: answers are kept for small lists, and not for many.
_SMALL: Final = 16
_KEPT: Final = 256


def predicate(lift: Lift) -> Predicate:
    """Return the function that a node names; raises ValueError for a name or arguments that are none."""
    maker = _MAKERS.get(lift.test)
    if maker is None:
        raise ValueError(f"no predicate is called {lift.test!r}")
    try:
        made: Predicate = maker(*lift.arguments)
    except TypeError as error:
        raise ValueError(f"{lift.test}: {error}") from error
    return made


def _matcher(patterns: Iterable[str], how: str) -> Callable[[str], bool]:
    if how not in HOWS:
        raise ValueError(f"patterns cannot be read as {how!r}")
    texts = [ascii_lower(text) for text in patterns] if how == "folded" else list(patterns)
    return matcher(texts, resource=how in ("resource", "contains"), fold=how == "fold", contains=how == "contains")


def _some_match(patterns: tuple[str, ...], how: str) -> Predicate:
    fits = _matcher(patterns, how)
    return _remembered(lambda values: any(map(fits, values)))


def _every_pattern(patterns: tuple[str, ...], how: str) -> Predicate:
    """Whether each pattern fits one of the values."""
    several = [_matcher((pattern,), how) for pattern in patterns]
    return _remembered(lambda values: all(any(map(fits, values)) for fits in several))


def _remembered(holds: Predicate) -> Predicate:
    """The same answers, of which those for small lists are not found twice."""
    kept = lru_cache(maxsize=_KEPT)(holds)
    return lambda entries, *rest: kept(entries, *rest) if len(entries) <= _SMALL else holds(entries, *rest)


def _grants() -> Predicate:
    """Whether one of the granted patterns, which are data, fits the capability that is wanted."""

    def grants(granted: frozenset[str], wanted: str) -> bool:
        if wanted in granted:
            return True
        wild = [each for each in granted if "*" in each or "?" in each or "\\" in each]
        return bool(wild) and matcher(wild)(wanted)

    return _remembered(grants)


def _one_of(values: tuple[str, ...]) -> Predicate:
    return frozenset(values).__contains__


def _country_in(codes: tuple[str, ...]) -> Predicate:
    members = {ascii_lower(code) for code in codes}
    return frozenset(code.upper() for code in members | (EU if "eu" in members else set())).__contains__


def _meets(values: tuple[str, ...], *, fold: bool = False) -> Predicate:
    """Whether one of the entries is listed."""
    wanted = frozenset(map(ascii_lower, values) if fold else values)
    if fold:
        return lambda entries: not wanted.isdisjoint(map(ascii_lower, entries))
    return lambda entries: not wanted.isdisjoint(entries)


def _differs(baseline: tuple[str, ...], direction: str) -> Predicate:
    known = frozenset(baseline)
    tests: Mapping[str, Predicate] = {
        "any": lambda entries: entries != known,
        "added": lambda entries: not entries <= known,
        "removed": lambda entries: not entries >= known,
    }
    if direction not in tests:
        raise ValueError(f"no set differs in direction {direction!r}")
    return tests[direction]


def _mentions(texts: tuple[str, ...]) -> Predicate:
    """Whether one of the texts is part of one of the values, without regard to ASCII case."""
    wanted = [ascii_lower(text) for text in texts]
    return lambda *values: any(text in value for value in map(ascii_lower, values) for text in wanted)


def _apart(span: int) -> Predicate:
    return lambda later, earlier: later - earlier >= span


_MAKERS: Final[Mapping[str, Callable[..., Any]]] = {
    "address_in": in_addresses,
    "apart": _apart,
    "country_in": _country_in,
    "differs": _differs,
    "domain_in": in_domains,
    "every_pattern": _every_pattern,
    "grants": _grants,
    "holds": lambda values: frozenset(values).issubset,
    "is_empty": lambda: lambda entries: not entries,
    "matches": _matcher,
    "meets": _meets,
    "meets_folded": lambda values: _meets(values, fold=True),
    "mentions": _mentions,
    "more_than": lambda most: lambda entries: len(entries) > most,
    "one_of": _one_of,
    "some_match": _some_match,
}
