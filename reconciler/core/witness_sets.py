"""The smallest member of some sets that is in none of others: an address, a text, an entry (semantics.md E.2, E.4).

Sets are as policies write them, in the kinds of `sets.py`. None is always an answer: no witness is shown then.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv6Address
from typing import Final

from reconciler.core.canonical import Schema, ascii_lower
from reconciler.core.globs import smallest_text
from reconciler.core.model import WitnessKind
from reconciler.core.sets import ALL, EU, EVERY_ADDRESS, Entries, parse_addresses, split_domains

#: No witness is longer; what is longer helps nobody to see what a change does.
LONGEST: Final = 200
#: More entries than this are not looked through.
_MOST_ENTRIES: Final = 20_000
#: Nobody's address, which sources write for "not known" (semantics.md C), and IPv4 written as IPv6, which is read as
#: IPv4 (B.6): no event comes from either.
_NEVER: Final = {4: [(0, 0)], 6: [(0, 0), (0xFFFF << 32, (0xFFFF << 32) + 2**32 - 1)]}
#: For a list of countries or words that leaves out only what it names.
_COUNTRIES: Final = (*sorted(EU), "au", "br", "ca", "ch", "gb", "in", "jp", "kp", "ng", "no", "sg", "tr", "us", "za")
_WORDS: Final = ("other", *(f"other-{number}" for number in range(2, 10)))


def member(schema: Schema, inside: Sequence[Entries], outside: Sequence[Entries]) -> tuple[WitnessKind, str] | None:
    """Return the smallest member of every set of *inside* that is in none of *outside*; *schema* says what sets are.

    None where there is none, or none that is short and quickly found.
    """
    if any(each is ALL for each in outside):
        return None
    wanted = [list(each) for each in inside if each is not ALL]
    unwanted = [entry for each in outside if each is not ALL for entry in each]
    if sum(map(len, wanted)) + len(unwanted) > _MOST_ENTRIES:
        return None
    if schema.get("x-case") == "insensitive":
        wanted, unwanted = [[ascii_lower(entry) for entry in each] for each in wanted], list(map(ascii_lower, unwanted))
    match schema.get("x-set", "plain"):
        case "cidr":
            return _found(WitnessKind.ADDRESS, _address(wanted, unwanted))
        case "glob":
            is_resource = schema.get("x-glob") == "resource"
            return _found(WitnessKind.TEXT, smallest_text(wanted, unwanted, resource=is_resource, most=LONGEST))
        case "country":
            code = _entry(list(map(_spelt_out, wanted)), _spelt_out(unwanted), _COUNTRIES)
            return _found(WitnessKind.ENTRY, code and code.upper())
        case "plain":
            return _found(WitnessKind.ENTRY, _entry(wanted, unwanted, _WORDS))
        case "domain":
            return _found(WitnessKind.ENTRY, _host(wanted, unwanted))
        case _:
            return None


def _found(kind: WitnessKind, value: str | None) -> tuple[WitnessKind, str] | None:
    return (kind, value) if value and len(value) <= LONGEST else None


def _entry(wanted: Sequence[Sequence[str]], unwanted: Iterable[str], others: Sequence[str]) -> str | None:
    """An entry of every list, or, where all are allowed, one of *others*."""
    left = set(unwanted)
    if not wanted:
        return next((word for word in others if word not in left), None)
    return min(set(wanted[0]).intersection(*wanted[1:]) - left, key=lambda entry: (len(entry), entry), default=None)


def _spelt_out(countries: Sequence[str]) -> list[str]:
    return [*(each for each in countries if each != "eu"), *(EU if "eu" in countries else ())]


# ------------------------------------------------------------------------------------------------- addresses


def _address(wanted: Sequence[Sequence[str]], unwanted: Sequence[str]) -> str | None:
    sets = [parse_addresses(each) for each in wanted]
    without = parse_addresses(unwanted)
    if without is None:
        return None
    for family, never in _NEVER.items():
        left = list(EVERY_ADDRESS[family])
        for each in sets:
            if each is None:
                return None
            left = _both(left, each[family])
        first = _first_outside(left, sorted([*without[family], *never]))
        if first is not None:
            return str(IPv4Address(first) if family == 4 else IPv6Address(first))
    return None


def _both(one: Sequence[tuple[int, int]], other: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """The addresses of two sorted lists of separate ranges."""
    found, a, b = [], 0, 0
    while a < len(one) and b < len(other):
        first, last = max(one[a][0], other[b][0]), min(one[a][1], other[b][1])
        if first <= last:
            found.append((first, last))
        if one[a][1] < other[b][1]:
            a += 1
        else:
            b += 1
    return found


def _first_outside(ranges: Sequence[tuple[int, int]], without: Sequence[tuple[int, int]]) -> int | None:
    """The first address in *ranges* that none of *without* holds; both are sorted."""
    at = 0
    for first, last in ranges:
        candidate = first
        while at < len(without) and without[at][0] <= candidate:
            candidate = max(candidate, without[at][1] + 1)
            if without[at][1] > last:  # it may reach into the next range
                break
            at += 1
        if candidate <= last:
            return candidate
    return None


# --------------------------------------------------------------------------------------------------- domains


def _host(wanted: Sequence[Sequence[str]], unwanted: Sequence[str]) -> str | None:
    """A host that an entry names, or the domain that `*.` stands before; addresses are left to the eye."""
    hosts, blocks = split_domains(unwanted)
    if blocks or any("*" in host.removeprefix("*.") for host in hosts):
        return None
    if not wanted:
        return next((each for each in ("other.example",) if not _has(hosts, each)), None)
    named, *others = wanted
    candidates = {host.removeprefix("*.") for host in split_domains(named)[0]} - {"*", "**"}
    candidates |= {"other.example"} if {"*", "**"} & set(named) else set()
    fitting = [each for each in candidates if "*" not in each and not _has(hosts, each)]
    fitting = [each for each in fitting if all(_has(set(other), each) for other in others)]
    return min(fitting, key=lambda host: (len(host), host), default=None)


def _has(entries: set[str], host: str) -> bool:
    labels = host.split(".")
    return host in entries or bool(entries & {"*", "**", *("*." + ".".join(labels[at:]) for at in range(len(labels)))})
