"""Sets of texts as functions: patterns, hosts, addresses (semantics.md B.2, B.6, B.7).

Patterns and the texts they meet both come from people we do not know, so matching takes one pass over the text,
whatever the patterns; there is no backtracking.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import ip_address
from typing import Final

from reconciler.core.canonical import ascii_lower
from reconciler.core.globs import Pattern, parse_pattern
from reconciler.core.sets import parse_addresses

_CACHED: Final = 1024
#: Tokens of a pattern that stand for themselves are texts; the others have these names in `core.globs`.
_ANY, _SEGMENT, _ONE = (
    parsed.tokens[0] for text in ("**", "*", "?") if (parsed := parse_pattern(text, resource=True)) is not None
)


def matcher(
    patterns: Sequence[str], *, resource: bool = False, fold: bool = False, contains: bool = False
) -> Callable[[str], bool]:
    """Return whether a text fits one of the patterns; *contains*: whether some part of it does.

    A pattern that is none (empty, over 512 characters) fits nothing.
    """
    texts = [ascii_lower(text) if fold else text for text in patterns]
    parsed = [pattern for text in texts if (pattern := parse_pattern(text, resource=resource)) is not None]
    if contains:
        parsed = [Pattern((_ANY, *pattern.tokens, _ANY)) for pattern in parsed]
    tokens = [_collapsed(pattern) for pattern in parsed]
    literals = frozenset("".join(map(str, each)) for each in tokens if _is_text(each))
    starts = tuple("".join(map(str, each[:-1])) for each in tokens if each[-1] is _ANY and _is_text(each[:-1]))
    others = [each for each in tokens if not _is_text(each) and not (each[-1] is _ANY and _is_text(each[:-1]))]
    automaton = _Automaton.of(others, resource=resource) if others else None

    def fits(text: str) -> bool:
        if text in literals or (starts and text.startswith(starts)):
            return True
        return automaton is not None and automaton.fits(text)

    cached = lru_cache(maxsize=_CACHED)(fits) if automaton or len(starts) > 8 else fits
    return (lambda text: cached(ascii_lower(text))) if fold else cached


def _is_text(tokens: Sequence[object]) -> bool:
    return all(isinstance(token, str) for token in tokens)


def _collapsed(pattern: Pattern) -> tuple[object, ...]:
    """The tokens with no two wildcards of any length side by side: what stands beside `**` adds nothing to it."""
    tokens: list[object] = []
    for token in pattern.tokens:
        if token in (_ANY, _SEGMENT) and tokens and tokens[-1] in (_ANY, _SEGMENT):
            tokens[-1] = _ANY if _ANY in (token, tokens[-1]) else _SEGMENT
        else:
            tokens.append(token)
    return tuple(tokens)


@dataclass(frozen=True, slots=True)
class _Automaton:
    """Patterns side by side as bits of one integer: a bit is a place before a token, or a pattern's end."""

    start: int
    ends: int
    literals: dict[str, int]
    one: int
    stay: int
    stay_in_segment: int
    resource: bool

    @classmethod
    def of(cls, patterns: Iterable[Sequence[object]], *, resource: bool) -> _Automaton:
        starts = ends = one = stay = segment = 0
        literals: dict[str, int] = {}
        at = 0
        for tokens in patterns:
            starts |= 1 << at
            for token in tokens:
                if isinstance(token, str):
                    literals[token] = literals.get(token, 0) | 1 << at
                elif token is _ONE:
                    one |= 1 << at
                elif token is _ANY:
                    stay |= 1 << at
                else:
                    segment |= 1 << at
                at += 1
            ends |= 1 << at
            at += 1
        return cls(starts | (starts & (stay | segment)) << 1, ends, literals, one, stay, segment, resource)

    def fits(self, text: str) -> bool:
        places = self.start
        wild = self.stay | self.stay_in_segment
        nothing = self.resource
        for character in text:
            moving = places & self.literals.get(character, 0)
            staying = places & self.stay
            if not nothing or character != "/":
                moving |= places & self.one
                staying |= places & self.stay_in_segment
            places = moving << 1 | staying
            places |= (places & wild) << 1
            if not places:
                return False
        return bool(places & self.ends)


def in_addresses(entries: Sequence[str]) -> Callable[[tuple[int, int]], bool]:
    """Return whether an address (family, number) is in one of the entries; raises ValueError for an entry that is none.

    An IPv6 address is in no IPv4 entry (semantics.md B.6).
    """
    parsed = parse_addresses(entries)
    if parsed is None:
        raise ValueError("an entry is no address")
    firsts = {family: [first for first, _ in ranges] for family, ranges in parsed.items()}

    @lru_cache(maxsize=_CACHED)
    def contains(address: tuple[int, int]) -> bool:
        family, number = address
        at = bisect_right(firsts[family], number) - 1
        return at >= 0 and number <= parsed[family][at][1]

    return contains


def in_domains(entries: Sequence[str]) -> Callable[[str], bool]:
    """Return whether a host is one of the entries.

    `*.x` is x and every host below it, `*` any host, an address or a block is for hosts that are addresses.
    """
    folded = [ascii_lower(entry) for entry in entries]
    blocks = [
        entry for entry in folded if parse_addresses([entry]) is not None and "*" not in entry and "-" not in entry
    ]
    addresses = in_addresses(blocks)
    hosts = frozenset(folded) - set(blocks)
    below = frozenset(host.removeprefix("*.") for host in hosts if host.startswith("*."))

    @lru_cache(maxsize=_CACHED)
    def contains(host: str) -> bool:
        if "*" in hosts or "**" in hosts or host in hosts:
            return True
        try:
            address = ip_address(host)
        except ValueError:
            labels = host.split(".")
            return any(".".join(labels[at:]) in below for at in range(len(labels)))
        return addresses((address.version, int(address)))

    return contains
