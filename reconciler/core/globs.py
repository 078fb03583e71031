"""Wildcard patterns, and whether one list of them fits all that another fits (semantics.md B.2, E.4).

Decided exactly, on the sets of positions that a pattern can be at: breadth first over pairs of them, until one side
accepts a text that the other does not. Too much to look at is "cannot tell", never a guess.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

MAX_LENGTH = 512
#: Pairs of position sets, and single steps of positions, after which nobody knows (semantics.md E.4).
MAX_STATES = 20_000
_MAX_STEPS = 2_000_000


class _Wild(Enum):
    ONE = "one character"
    SEGMENT = "any text without /"
    ANY = "any text"


#: Patterns are compared over the characters they spell out, `/`, and this one, which stands for all others.
_OTHER = ""
#: What that one is in an example.
_LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"
_Token: TypeAlias = "str | _Wild"  # noqa: S105 - of a pattern
_Place: TypeAlias = "tuple[int, int]"


@dataclass(frozen=True, slots=True)
class Pattern:
    """A parsed pattern: texts of one character, and wildcards."""

    tokens: tuple[_Token, ...]

    @property
    def literal(self) -> str | None:
        """The only text it fits, when it has no wildcard."""
        return "".join(str(token) for token in self.tokens) if all(isinstance(t, str) for t in self.tokens) else None


def parse_pattern(text: str, *, resource: bool) -> Pattern | None:
    """Return the pattern that *text* spells; None when it is empty or over 512 characters.

    In a resource `*` and `?` stop at `/` and `**` does not; elsewhere nothing does. A backslash takes `*`, `?` or a
    backslash as it is.
    """
    if not 0 < len(text) <= MAX_LENGTH:
        return None
    tokens: list[_Token] = []
    at = 0
    while at < len(text):
        if text[at] == "\\" and text[at + 1 : at + 2] in ("*", "?", "\\"):
            tokens.append(text[at + 1])
            at += 2
        elif text.startswith("**", at):
            tokens.append(_Wild.ANY)
            at += 2
        else:
            wild = _Wild.SEGMENT if resource else _Wild.ANY
            tokens.append(wild if text[at] == "*" else _Wild.ONE if text[at] == "?" else text[at])
            at += 1
    return Pattern(tuple(tokens))


def is_within(inner: Sequence[str], outer: Sequence[str], *, resource: bool) -> bool | None:
    """Whether every text that one of *inner* fits, one of *outer* fits, too; None when that cannot be told.

    >>> is_within(["crm/*/eu/*", "crm/*/us/*"], ["crm/*/*/*"], resource=True)
    True
    """
    known = set(outer)
    missing = [text for text in dict.fromkeys(inner) if text not in known]
    if not missing:
        return True
    lefts = [parse_pattern(text, resource=resource) for text in missing]
    rights = [parse_pattern(text, resource=resource) for text in dict.fromkeys(outer)]
    if None in lefts or None in rights:
        return None
    theirs = _Automaton(tuple(pattern for pattern in rights if pattern is not None), resource)
    budget = _Budget(MAX_STATES, _MAX_STEPS)
    unsure = False
    for left in lefts:
        if left is not None:
            included = _search(left, theirs, budget)
            if included is False:
                return False
            unsure = unsure or included is None
    return None if unsure else True


def may_overlap(one: str, other: str, *, resource: bool) -> bool:
    """Whether some text fits both patterns; True when that cannot be told."""
    patterns = parse_pattern(one, resource=resource), parse_pattern(other, resource=resource)
    if patterns[0] is None or patterns[1] is None:
        return True
    left, right = _Automaton((patterns[0],), resource), _Automaton((patterns[1],), resource)
    alphabet = [*sorted(left.spelled | right.spelled | {"/"}), _OTHER]
    seen, waiting = {(left.start(), right.start())}, deque([(left.start(), right.start())])
    while waiting and len(seen) <= MAX_STATES:
        ours, others = waiting.popleft()
        if left.accepts(ours) and right.accepts(others):
            return True
        for character in alphabet:
            pair = left.step(ours, character), right.step(others, character)
            if pair[0] and pair[1] and pair not in seen:
                seen.add(pair)
                waiting.append(pair)
    return bool(waiting)


def smallest_text(
    inside: Sequence[Sequence[str]], outside: Sequence[str], *, resource: bool, most: int = 256
) -> str | None:
    """Return the shortest text, and of those the first, that a pattern of each list of *inside* fits and none of
    *outside*; None when there is none, or none of at most *most* characters was found within the budget.

    The empty text does not count: events have none.

    >>> smallest_text([["crm/*/*/*"]], ["crm/*/eu/*", "crm/*/us/*"], resource=True)
    'crm///'
    """
    lists = [*inside, outside]
    parsed = [[parse_pattern(text, resource=resource) for text in dict.fromkeys(each)] for each in lists]
    if any(pattern is None for each in parsed for pattern in each):
        return None
    several = [_Automaton(tuple(filter(None, each)), resource) for each in parsed]
    *wanted, unwanted = several
    spelled = frozenset[str]().union(*(each.spelled for each in several), {"/"})
    other = next((letter for letter in _LETTERS if letter not in spelled), None)
    alphabet = [*([] if other is None else [other]), *sorted(spelled - {"/"}), "/"]
    start = tuple(each.start() for each in several)
    seen, waiting, budget = {start}, deque([("", start)]), _Budget(MAX_STATES // 10, _MAX_STEPS // 20)
    while waiting and budget.states > 0 and budget.steps > 0:
        text, places = waiting.popleft()
        for character in alphabet if len(text) < most else ():
            budget.steps -= sum(map(len, places)) + 1
            after = tuple(each.step(at, character) for each, at in zip(several, places, strict=True))
            if after in seen or not all(after[: len(wanted)]):
                continue
            fits = all(each.accepts(at) for each, at in zip(wanted, after[:-1], strict=True))
            if fits and not unwanted.accepts(after[-1]):
                return text + character
            seen.add(after)
            waiting.append((text + character, after))
            budget.states -= 1
    return None


@dataclass(slots=True)
class _Budget:
    states: int
    steps: int


def _search(left: Pattern, theirs: _Automaton, budget: _Budget) -> bool | None:
    """Walk both sides over every text *left* fits, looking for one that *theirs* does not fit."""
    spelled = {token for token in left.tokens if isinstance(token, str)}
    alphabet = sorted(spelled)
    if left.literal is None:
        alphabet = [*sorted(spelled | theirs.spelled | {"/"}), _OTHER]
    mine = _Automaton((left,), theirs.resource)
    start = mine.start(), theirs.start()
    seen, waiting = {start}, deque([start])
    while waiting:
        ours, others = waiting.popleft()
        if mine.accepts(ours) and not theirs.accepts(others):
            return False
        for character in alphabet:
            budget.steps -= len(ours) + len(others)
            after = mine.step(ours, character)
            if not after:
                continue
            pair = after, theirs.step(others, character)
            if pair not in seen:
                seen.add(pair)
                waiting.append(pair)
                budget.states -= 1
            if budget.states < 0 or budget.steps < 0:
                return None
    return True


@dataclass(frozen=True, slots=True)
class _Automaton:
    """Patterns side by side; a state is a set of (pattern, position of its next token)."""

    patterns: tuple[Pattern, ...]
    resource: bool

    @property
    def spelled(self) -> frozenset[str]:
        return frozenset(t for pattern in self.patterns for t in pattern.tokens if isinstance(t, str))

    def start(self) -> frozenset[_Place]:
        return self._closed({(each, 0) for each in range(len(self.patterns))})

    def accepts(self, places: frozenset[_Place]) -> bool:
        return any(at == len(self.patterns[each].tokens) for each, at in places)

    def step(self, places: frozenset[_Place], character: str) -> frozenset[_Place]:
        after: set[_Place] = set()
        for each, at in places:
            tokens = self.patterns[each].tokens
            if at == len(tokens):
                continue
            token = tokens[at]
            if token is _Wild.ANY or (token is _Wild.SEGMENT and character != "/"):
                after.add((each, at))
            elif token == character or (token is _Wild.ONE and not (self.resource and character == "/")):
                after.add((each, at + 1))
        return self._closed(after)

    def _closed(self, places: set[_Place]) -> frozenset[_Place]:
        """With every place that is reached by letting wildcards of any length fit nothing."""
        closed = set(places)
        for each, at in places:
            tokens = self.patterns[each].tokens
            while at < len(tokens) and tokens[at] in (_Wild.ANY, _Wild.SEGMENT):
                at += 1
                closed.add((each, at))
        return frozenset(closed)
