"""Patterns, hosts and addresses as functions, against a second opinion."""

from __future__ import annotations

import re
from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.core.globs import is_within
from reconciler.semantics.ast import Lift
from reconciler.semantics.matching import in_addresses, in_domains, matcher
from reconciler.semantics.predicates import predicate

PATTERNS = st.lists(st.sampled_from(["a", "b", "A", "/", "*", "**", "?", "\\*", "\\\\", "["]), min_size=1, max_size=7)
TEXTS = st.text("abA/*\\[", max_size=8)


def as_regex(pattern: str, *, resource: bool) -> str:
    """A pattern as a regular expression, token by token (semantics.md B.2)."""
    found, at = "", 0
    one, many = ("[^/]", "[^/]*") if resource else (".", ".*")
    while at < len(pattern):
        two = pattern[at : at + 2]
        if two in ("\\*", "\\?", "\\\\"):
            found += re.escape(two[1])
        elif two == "**":
            found += ".*"
        else:
            found += {"*": many, "?": one}.get(pattern[at], re.escape(pattern[at]))
            at -= 1
        at += 2
    return found


@settings(max_examples=1500)
@given(st.lists(PATTERNS.map("".join), min_size=1, max_size=3), TEXTS, st.booleans())
def test_a_pattern_fits_what_a_regular_expression_fits(patterns: list[str], text: str, resource: bool) -> None:
    expected = any(re.fullmatch(as_regex(each, resource=resource), text, re.DOTALL) for each in patterns)

    assert matcher(patterns, resource=resource)(text) is expected


@settings(max_examples=500)
@given(PATTERNS.map("".join), TEXTS.filter(bool), st.booleans())
def test_a_pattern_fits_what_the_direction_of_risk_says_is_within_it(pattern: str, text: str, resource: bool) -> None:
    literal = re.sub(r"([*?\\])", r"\\\1", text)

    assert matcher([pattern], resource=resource)(text) is is_within([literal], [pattern], resource=resource)


@given(PATTERNS.map("".join), TEXTS)
def test_a_part_that_fits_is_enough_where_a_policy_says_contains(pattern: str, text: str) -> None:
    parts = (text[low:high] for low in range(len(text) + 1) for high in range(low, len(text) + 1))
    fits = matcher([pattern], resource=True)

    assert matcher([pattern], resource=True, contains=True)(text) is any(map(fits, parts))


def test_matching_takes_one_pass_however_many_stars_there_are() -> None:
    fits = matcher(["*a" * 200 + "b", "**a*" * 100 + "b"], resource=True)

    assert not fits("a" * 4096)


def test_a_pattern_that_is_none_fits_nothing() -> None:
    assert not matcher(["", "*" * 513])("x")


def test_folding_is_ascii_only() -> None:
    fits = matcher(["GRÜN*"], fold=True)

    assert fits("grÜnlich")
    assert not fits("grünlich")


ADDRESSES = st.integers(0, 255).map(lambda n: f"10.0.0.{n}")
BLOCKS = st.tuples(st.integers(24, 32), st.integers(0, 255)).map(
    lambda pair: str(ip_network(f"10.0.0.{pair[1]}/{pair[0]}", strict=False))
)


@given(st.lists(BLOCKS, min_size=1, max_size=6), ADDRESSES)
def test_an_address_is_in_a_list_when_it_is_in_one_of_its_blocks(blocks: list[str], text: str) -> None:
    address = ip_address(text)

    contains = in_addresses(blocks)

    assert contains((4, int(address))) is any(address in ip_network(block) for block in blocks)
    assert not contains((6, int(address)))


def test_an_entry_that_is_no_address_cannot_become_a_predicate() -> None:
    with pytest.raises(ValueError, match="no address"):
        in_addresses(["10.0.0.1/8"])


@pytest.mark.parametrize(
    ("entries", "host", "expected"),
    [
        (["*.Example.com"], "a.example.com", True),
        (["*.example.com"], "xample.com", False),
        (["*.com"], "a.b.com", True),
        (["example.com"], "a.example.com", False),
        (["10.0.0.0/8"], "10.0.0.1", True),
        (["2001:db8::/32"], "2001:db8::1", True),
        (["10.0.0.1"], "10.0.0.1", True),
        (["10.0.0.0/8"], "10.example", False),
        (["*"], "anything", True),
        ([], "anything", False),
    ],
)
def test_a_host_is_in_a_list_of_domains(entries: list[str], host: str, expected: bool) -> None:
    assert in_domains(entries)(host) is expected


@pytest.mark.parametrize(
    "lift",
    [
        Lift("nothing", ("action",)),
        Lift("matches", ("action",), (("a",), "backwards")),
        Lift("matches", ("action",), ()),
        Lift("differs", ("capabilities",), (("a",), "sideways")),
    ],
)
def test_a_predicate_that_nobody_can_make_is_refused(lift: Lift) -> None:
    with pytest.raises(ValueError):
        predicate(lift)


@pytest.mark.parametrize("count", [1, 16, 17, 40])
def test_a_list_is_matched_the_same_whether_its_answer_is_kept_or_not(count: int) -> None:
    holds = predicate(Lift("some_match", ("capabilities",), (("admin:*",), "plain")))
    plain = frozenset(f"read:{n}" for n in range(count))

    twice = [holds(plain), holds(plain), holds(plain | {"admin:x"}), holds(plain | {"admin:x"})]

    assert twice == [False, False, True, True]
