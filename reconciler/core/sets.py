"""Whether a set that a policy names grew or shrank: addresses, patterns, domains, countries, scopes, texts.

A set may be `ALL`. What cannot be read or decided is `Growth.UNSURE`. Which way growing goes is `risk.py`'s
(semantics.md B.6, B.7, E.3, E.4).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import Enum, StrEnum
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Final, TypeAlias

from reconciler.core.canonical import ascii_lower
from reconciler.core.globs import is_within


class _All(Enum):
    ALL = "all"


#: The set that has everything in it.
ALL: Final = _All.ALL
Entries: TypeAlias = "Sequence[str] | _All"

#: Addresses as sorted, separate, inclusive ranges, by family: an IPv6 address is in no IPv4 range (semantics.md B.6).
Addresses: TypeAlias = "Mapping[int, Sequence[tuple[int, int]]]"

EVERY_ADDRESS: Addresses = {4: [(0, 2**32 - 1)], 6: [(0, 2**128 - 1)]}

#: Members of the European Union since 2020, for `EU` in a list of countries (semantics.md B.6).
EU: Final = frozenset(
    {
        *("at", "be", "bg", "cy", "cz", "de", "dk", "ee", "es", "fi", "fr", "gr", "hr", "hu", "ie", "it", "lt", "lu"),
        *("lv", "mt", "nl", "pl", "pt", "ro", "se", "si", "sk"),
    }
)


class Growth(StrEnum):
    """How the new set relates to the old one."""

    SAME = "same"
    GREW = "grew"
    SHRANK = "shrank"
    CROSSED = "crossed"
    UNSURE = "unsure"


def growth(old: Entries, new: Entries, *, kind: str = "plain", resource: bool = False, fold: bool = False) -> Growth:
    """Return how *new* relates to *old*; *kind* is what `x-set` says, *fold* ignores ASCII case.

    >>> growth(["10.0.0.0/8"], ["10.0.0.0/9", "10.128.0.0/9"], kind="cidr")
    <Growth.SAME: 'same'>
    """
    if old == new:
        return Growth.SAME
    if fold:
        old, new = _folded(old), _folded(new)
    if kind == "cidr":
        return _growth_of_addresses(old, new)
    within = _WITHIN.get(kind)
    if kind == "glob":
        within = _resources_within if resource else _names_within
    if within is None:
        return Growth.UNSURE
    return growth_from(_subset(old, new, within), _subset(new, old, within))


def growth_from(old_in_new: bool | None, new_in_old: bool | None) -> Growth:
    """Return the growth that two inclusions say; None is "cannot tell"."""
    if old_in_new is None or new_in_old is None:
        return Growth.UNSURE
    if old_in_new:
        return Growth.SAME if new_in_old else Growth.GREW
    return Growth.SHRANK if new_in_old else Growth.CROSSED


def _subset(a: Entries, b: Entries, within: Callable[[Sequence[str], Sequence[str]], bool | None]) -> bool | None:
    if b is ALL:
        return True
    return within(["**"] if a is ALL else a, b) if a is not ALL or within in _HAVE_EVERYTHING else False


def _folded(entries: Entries) -> Entries:
    return entries if entries is ALL else [ascii_lower(entry) for entry in entries]


# ------------------------------------------------------------------------------------------------- addresses


def parse_addresses(entries: Iterable[str]) -> Addresses | None:
    """Return the addresses that entries stand for; None when one of them cannot be read.

    An entry is an address, a CIDR block without host bits, a range `a-b`, or an IPv4 prefix on whole octets with a
    trailing `*`.
    """
    ranges: dict[int, list[tuple[int, int]]] = {4: [], 6: []}
    for entry in entries:
        parsed = _range_of(entry)
        if parsed is None:
            return None
        ranges[parsed[0]].append(parsed[1:])
    return {family: _merged(each) for family, each in ranges.items()}


def _range_of(entry: str) -> tuple[int, int, int] | None:
    try:
        if entry.endswith(".*"):
            octets = entry.removesuffix(".*").split(".")
            if not 1 <= len(octets) <= 3:
                return None
            first = ip_address(".".join([*octets, *["0"] * (4 - len(octets))]))
            return 4, int(first), int(first) + 256 ** (4 - len(octets)) - 1
        if "-" in entry:
            first, last = map(ip_address, entry.split("-", 1))
            if first.version != last.version or int(first) > int(last) or _has_zone(first) or _has_zone(last):
                return None
            return first.version, int(first), int(last)
        network = ip_network(entry)
    except ValueError:
        return None
    if _has_zone(network.network_address):
        return None
    return network.version, int(network.network_address), int(network.broadcast_address)


def _has_zone(address: IPv4Address | IPv6Address) -> bool:
    return isinstance(address, IPv6Address) and address.scope_id is not None


def _merged(ranges: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for first, last in sorted(ranges):
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = merged[-1][0], max(merged[-1][1], last)
        else:
            merged.append((first, last))
    return merged


def _growth_of_addresses(old: Entries, new: Entries) -> Growth:
    before = EVERY_ADDRESS if old is ALL else parse_addresses(old)
    after = EVERY_ADDRESS if new is ALL else parse_addresses(new)
    if before is None or after is None:
        return Growth.UNSURE
    return growth_from(addresses_within(before, after), addresses_within(after, before))


def addresses_within(inner: Addresses, outer: Addresses) -> bool:
    """Whether every address of *inner* is in *outer*."""
    for family, ranges in inner.items():
        others, at = outer[family], 0
        for first, last in ranges:
            while at < len(others) and others[at][1] < first:
                at += 1
            if at == len(others) or not (others[at][0] <= first and last <= others[at][1]):
                return False
    return True


# -------------------------------------------------------------------------------------------- other entries


def _resources_within(inner: Sequence[str], outer: Sequence[str]) -> bool | None:
    return is_within(inner, outer, resource=True)


def _names_within(inner: Sequence[str], outer: Sequence[str]) -> bool | None:
    return is_within(inner, outer, resource=False)


def _texts_within(inner: Sequence[str], outer: Sequence[str]) -> bool | None:
    return set(inner) <= set(outer)


def _countries_within(inner: Sequence[str], outer: Sequence[str]) -> bool | None:
    return _countries(inner) <= _countries(outer)


def _countries(entries: Sequence[str]) -> set[str]:
    codes = {ascii_lower(entry) for entry in entries}
    return codes - {"eu"} | EU if "eu" in codes else codes


def _scopes_within(inner: Sequence[str], outer: Sequence[str]) -> bool | None:
    """`applies_to`: `all` is everybody; `agent_id:` and `user:` hold patterns, `trust_score_below:` a number."""
    if "all" in outer:
        return True
    for scope in set(inner) - set(outer):
        prefix, colon, value = scope.partition(":")
        same = [each.partition(":")[2] for each in outer if colon and each.startswith(prefix + ":")]
        if prefix in ("agent_id", "user") and colon:
            included = is_within([value], same, resource=False) if same else False
            if included is not True:
                return included
        elif prefix == "trust_score_below":
            try:
                if not any(float(value) <= float(each) for each in same):
                    return False
            except ValueError:
                return None
        elif not (prefix == "agent_type" and value not in ("user", "system") and "all_agents" in outer):
            return False
    return True


def _domains_within(inner: Sequence[str], outer: Sequence[str]) -> bool | None:
    """`*.x` is x and all below it, `*` everything; addresses and blocks are for hosts that are addresses."""
    if "*" in outer or "**" in outer:
        return True
    hosts, blocks = split_domains(outer)
    wanted, wanted_blocks = split_domains(inner)
    here, there = parse_addresses(wanted_blocks), parse_addresses(blocks)
    if here is None or there is None:
        return None
    if any("*" in host.removeprefix("*.") and host not in ("*", "**") for host in (*hosts, *wanted)):
        return None
    suffixes = {host[2:] for host in hosts if host.startswith("*.")}
    return addresses_within(here, there) and all(_has_host(host, hosts, suffixes) for host in wanted)


def _has_host(host: str, hosts: set[str], suffixes: set[str]) -> bool:
    if host in hosts:
        return True
    labels = host.removeprefix("*.").split(".")
    return host not in ("*", "**") and any(".".join(labels[at:]) in suffixes for at in range(len(labels)))


def split_domains(entries: Sequence[str]) -> tuple[set[str], set[str]]:
    blocks = {entry for entry in entries if _range_of(entry) is not None and "-" not in entry and "*" not in entry}
    return {entry for entry in entries if entry not in blocks}, blocks


_WITHIN: Mapping[str, Callable[[Sequence[str], Sequence[str]], bool | None]] = {
    "plain": _texts_within,
    "country": _countries_within,
    "scope": _scopes_within,
    "domain": _domains_within,
}
#: Where a list of entries can be everything: `**`, `*`.
_HAVE_EVERYTHING = (_resources_within, _names_within, _domains_within)
