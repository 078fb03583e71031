"""Sets of addresses, patterns, domains, scopes and minutes, against brute force wherever that is possible."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from itertools import product
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.core.globs import MAX_LENGTH, is_within, may_overlap, parse_pattern
from reconciler.core.minutes import WEEK, growth_of_minutes, week_set
from reconciler.core.model import Json
from reconciler.core.sets import ALL, EU, Entries, Growth, growth, parse_addresses

# ---------------------------------------------------------------------------------------------------- addresses


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (["10.0.0.0/8"], ["10.0.0.0/9", "10.128.0.0/9"], Growth.SAME),
        (["10.0.0.0-10.255.255.255"], ["10.*"], Growth.SAME),
        (["192.168.*"], ["192.168.0.0/16"], Growth.SAME),
        (["10.0.0.1"], ["10.0.0.1/32"], Growth.SAME),
        (["10.0.0.0/24", "10.0.0.7"], ["10.0.0.0/24"], Growth.SAME),
        (["10.0.0.0/25", "10.0.0.128-10.0.0.255"], ["10.0.0.0/24"], Growth.SAME),
        (["10.0.0.0/24"], ["10.0.0.0/23"], Growth.GREW),
        (["10.0.0.0/24"], ["10.0.0.1-10.0.0.255"], Growth.SHRANK),
        (["10.0.0.0/24"], ["10.0.1.0/24"], Growth.CROSSED),
        (["0.0.0.0/0"], ["0.0.0.0/0", "::1"], Growth.GREW),
        (["::ffff:0:0/96"], ["0.0.0.0/0"], Growth.CROSSED),
        (ALL, ["0.0.0.0/0", "::/0"], Growth.SAME),
        (ALL, ["0.0.0.0/0"], Growth.SHRANK),
        (["0.0.0.0/0"], ALL, Growth.GREW),
        ([], ["::1"], Growth.GREW),
        (["2001:db8::/33", "2001:db8:8000::/33"], ["2001:DB8::/32"], Growth.SAME),
        (["10.0.0.1/8"], ["10.0.0.0/8"], Growth.UNSURE),  # host bits
        (["192.168.1*"], ["192.168.0.0/16"], Growth.UNSURE),
        (["10.0.0.9-10.0.0.1"], ["10.0.0.0/8"], Growth.UNSURE),
        (["10.0.0.1-::1"], ["10.0.0.0/8"], Growth.UNSURE),
        (["fe80::1%eth0"], ["fe80::1"], Growth.UNSURE),
        (["*"], ["10.0.0.0/8"], Growth.UNSURE),
        (["1.2.3.4.*"], ["10.0.0.0/8"], Growth.UNSURE),
        (["office"], ["10.0.0.0/8"], Growth.UNSURE),
    ],
)
def test_addresses_compare_as_sets_of_addresses(old: Entries, new: Entries, expected: Growth) -> None:
    assert growth(old, new, kind="cidr") is expected


OCTETS = st.integers(0, 15)
ENTRIES = st.one_of(
    OCTETS.map(lambda n: f"10.0.0.{n}"),
    st.tuples(OCTETS, OCTETS).map(lambda ab: f"10.0.0.{min(ab)}-10.0.0.{max(ab)}"),
    st.tuples(st.integers(28, 32), OCTETS).map(lambda p: f"10.0.0.{p[1] >> (32 - p[0]) << (32 - p[0])}/{p[0]}"),
)


@settings(max_examples=1000)
@given(st.lists(ENTRIES, max_size=5), st.lists(ENTRIES, max_size=5))
def test_address_sets_agree_with_counting_addresses(old: list[str], new: list[str]) -> None:
    def members(entries: list[str]) -> set[int]:
        parsed = parse_addresses(entries)
        assert parsed is not None
        return {n for first, last in parsed[4] for n in range(first, last + 1)}

    def by_hand(entries: list[str]) -> set[int]:
        found = set()
        for entry in entries:
            low, _, rest = entry.partition("-")
            base, _, bits = low.partition("/")
            first = int(IPv4Address(base))
            found |= set(
                range(first, (int(IPv4Address(rest)) if rest else first + 2 ** (32 - int(bits or 32)) - 1) + 1)
            )
        return found

    before, after = by_hand(old), by_hand(new)

    assert (members(old), members(new)) == (before, after)
    assert growth(old, new, kind="cidr") is growth_by_hand(before, after)


def growth_by_hand(before: set[int] | set[str], after: set[int] | set[str]) -> Growth:
    if before == after:
        return Growth.SAME
    return Growth.GREW if before < after else Growth.SHRANK if after < before else Growth.CROSSED


# ------------------------------------------------------------------------------------------------------ patterns


@pytest.mark.parametrize(
    ("inner", "outer", "resource", "expected"),
    [
        (["crm/*/eu/*", "crm/*/us/*"], ["crm/*/*/*"], True, True),
        (["crm/*/*/*"], ["crm/*/eu/*", "crm/*/us/*"], True, False),
        (["a*"], ["a**"], True, True),
        (["a**"], ["a*"], True, False),
        (["a**"], ["a*"], False, True),
        (["*"], ["**"], True, True),
        (["**"], ["*"], True, False),
        (["?"], ["*"], True, True),
        (["a/b"], ["a?b"], True, False),
        (["a/b"], ["a?b"], False, True),
        (["a?"], ["ab", "ac"], False, False),
        (["a\\*"], ["a*"], True, True),
        (["a*"], ["a\\*"], True, False),
        (["a\\b"], ["a\\\\b"], True, True),
        (["é*"], ["*"], True, True),
        (["**a**"], ["**"], True, True),
        (["**", "x"], ["*/*", "**"], True, True),
        (["*", "*/**"], ["**"], True, True),
        (["**"], ["*", "*/**"], True, True),
        ([], ["a"], True, True),
        (["a"], [], True, False),
        ([""], ["a"], True, None),
        (["a"], ["x" * (MAX_LENGTH + 1)], True, None),
    ],
)
def test_patterns_compare_by_what_they_fit(
    inner: list[str], outer: list[str], resource: bool, expected: bool | None
) -> None:
    assert is_within(inner, outer, resource=resource) is expected


TEXTS = ["".join(text) for size in range(6) for text in product("ab/", repeat=size)]
PATTERNS = st.lists(st.sampled_from(["a", "b", "/", "*", "**", "?", "\\*"]), min_size=1, max_size=4).map("".join)


def fits(pattern: str, text: str, resource: bool) -> bool:
    """The grammar of semantics.md B.2 as a regular expression, written apart from the code under test."""
    wild = "[^/]" if resource else "."
    parts = re.findall(r"\\[*?\\]|\*\*|.", pattern, re.DOTALL)
    regex = "".join(
        ".*" if part == "**" else wild + "*" if part == "*" else wild if part == "?" else re.escape(part[-1])
        for part in parts
    )
    return re.fullmatch(regex, text, re.DOTALL) is not None


@settings(max_examples=1000)
@given(st.lists(PATTERNS, max_size=3), st.lists(PATTERNS, max_size=3), st.booleans())
def test_inclusion_agrees_with_trying_texts(inner: list[str], outer: list[str], resource: bool) -> None:
    answer = is_within(inner, outer, resource=resource)

    witnesses = [
        text
        for text in TEXTS
        if any(fits(each, text, resource) for each in inner) and not any(fits(each, text, resource) for each in outer)
    ]
    if answer is True:
        assert witnesses == []
    # Without a witness here, the texts that tell may hold other characters (`*`, or one that no pattern spells out).
    if witnesses:
        assert answer is False


@settings(max_examples=500)
@given(PATTERNS, PATTERNS, st.booleans())
def test_overlap_agrees_with_trying_texts(one: str, other: str, resource: bool) -> None:
    both = [text for text in TEXTS if fits(one, text, resource) and fits(other, text, resource)]

    if both:
        assert may_overlap(one, other, resource=resource)


def test_patterns_that_share_no_text_do_not_overlap() -> None:
    assert not may_overlap("ci-*", "batch-*", resource=False)
    assert not may_overlap("a/*", "a/*/b", resource=True)
    assert may_overlap("ci-*", "*-1", resource=False)
    assert may_overlap("", "a", resource=False)


def test_patterns_that_take_too_long_to_compare_are_unsure() -> None:
    inner = ["**a" + "?" * 40 + "**b" + "?" * 40]
    outer = ["**b" + "?" * 60, "**a" + "?" * 61 + "*"]

    assert is_within(inner, outer, resource=True) is None
    assert growth(inner, outer, kind="glob", resource=True) is Growth.UNSURE


def test_ten_thousand_patterns_are_compared_when_one_is_added() -> None:
    many = [f"tenant/{number}/*" for number in range(10_000)]

    assert growth(many, [*many, "other/**"], kind="glob", resource=True) is Growth.GREW


def test_a_pattern_without_wildcards_knows_its_text() -> None:
    literal, wild = parse_pattern("a\\*b", resource=True), parse_pattern("a*", resource=True)

    assert literal is not None
    assert literal.literal == "a*b"
    assert wild is not None
    assert wild.literal is None


# -------------------------------------------------------------------------------------------------- other kinds


@pytest.mark.parametrize(
    ("kind", "old", "new", "expected"),
    [
        ("plain", ["a"], ["a", "b"], Growth.GREW),
        ("plain", ["a"], ["A"], Growth.CROSSED),
        ("plain", ALL, ["a"], Growth.SHRANK),
        ("country", ["EU"], sorted(EU), Growth.SAME),
        ("country", ["de", "eu"], ["EU"], Growth.SAME),
        ("country", ["EU"], ["EU", "US"], Growth.GREW),
        ("country", ["EU", "GB"], ["EU"], Growth.SHRANK),
        ("domain", ["*.example.com"], ["*.example.com", "example.com"], Growth.SAME),
        ("domain", ["a.example.com"], ["*.example.com"], Growth.GREW),
        ("domain", ["*.a.example.com"], ["*.example.com"], Growth.GREW),
        ("domain", ["example.com"], ["badexample.com", "example.com"], Growth.GREW),
        ("domain", ["*.example.com"], ["*.ample.com"], Growth.CROSSED),
        ("domain", ["*.example.com"], ["*"], Growth.GREW),
        ("domain", ALL, ["*"], Growth.SAME),
        ("domain", ALL, ["localhost"], Growth.SHRANK),
        ("domain", ["10.0.0.0/8"], ["10.0.0.1"], Growth.SHRANK),
        ("domain", ["10.0.0.0/8"], ["*.0.0.1"], Growth.CROSSED),
        ("domain", ["a*.example.com"], ["b.example.com"], Growth.UNSURE),
        ("scope", ["all"], ["role:admin", "all"], Growth.SAME),
        ("scope", ["role:admin"], ["all"], Growth.GREW),
        ("scope", ["role:admin"], ["role:admin", "user:bob"], Growth.GREW),
        ("scope", ["agent_id:ci-1"], ["agent_id:ci-*"], Growth.GREW),
        ("scope", ["agent_id:ci-*", "agent_id:ci-1"], ["agent_id:ci-*"], Growth.SAME),
        ("scope", ["user:*"], ["agent_id:*"], Growth.CROSSED),
        ("scope", ["trust_score_below:30"], ["trust_score_below:40"], Growth.GREW),
        ("scope", ["trust_score_below:30"], ["trust_score_below:x"], Growth.UNSURE),
        ("scope", ["agent_type:llm"], ["all_agents"], Growth.GREW),
        ("scope", ["agent_type:user"], ["all_agents"], Growth.CROSSED),
        ("made-up", ["a"], ["b"], Growth.UNSURE),
    ],
)
def test_other_sets_compare_by_what_they_hold(kind: str, old: Entries, new: Entries, expected: Growth) -> None:
    turned = {Growth.GREW: Growth.SHRANK, Growth.SHRANK: Growth.GREW}

    assert growth(old, new, kind=kind) is expected
    assert growth(new, old, kind=kind) is turned.get(expected, expected)


def test_case_is_ignored_only_where_it_is_said() -> None:
    assert growth(["READ_*"], ["read_*"], kind="glob", fold=True) is Growth.SAME
    assert growth(["READ_*"], ["read_*"], kind="glob") is Growth.CROSSED


# ------------------------------------------------------------------------------------------------------ minutes

WORK = ["mon", "tue", "wed", "thu", "fri"]


def minutes(start: Json, end: Json, days: Json) -> int:
    found = week_set(start, end, days)
    assert found is not None
    return found


def test_hours_are_minutes_of_the_week_with_the_end_left_out() -> None:
    found = minutes("08:30", 9, ["Monday", "SUN"])

    assert [n for n in range(WEEK) if found >> n & 1] == [
        *range(8 * 60 + 30, 9 * 60),
        *range(6 * 1440 + 8 * 60 + 30, 6 * 1440 + 9 * 60),
    ]


def test_hours_over_midnight_belong_to_the_day_they_start_on() -> None:
    found = minutes(22, "06:00", ["fri"])

    saturday_three, friday_three = 5 * 1440 + 180, 4 * 1440 + 180
    assert found >> saturday_three & 1
    assert not found >> friday_three & 1
    assert minutes(22, 6, ["sun"]) & 1, "the night of Sunday ends on Monday"


@pytest.mark.parametrize(
    ("start", "end", "days"),
    [
        *((8, 8, WORK), (24, 3, WORK), (8, 25, WORK), (8.5, 9, WORK), (True, 9, WORK), ("8:00", 9, WORK)),
        *(("24:30", 9, WORK), (8, 9, []), (8, 9, "mon"), (8, 9, ["funday"]), (8, 9, [1]), (None, 9, WORK)),
    ],
)
def test_hours_that_cannot_be_read_are_unknown(start: Json, end: Json, days: Json) -> None:
    assert week_set(start, end, days) is None


def test_all_day_every_day_is_every_minute_in_any_zone() -> None:
    every = minutes(0, 24, [*WORK, "sat", "sun"])

    assert every == (1 << WEEK) - 1
    assert growth_of_minutes(every, "UTC", every, "Not/AZone") is Growth.SAME


@pytest.mark.parametrize(
    ("old", "old_zone", "new", "new_zone", "expected"),
    [
        ((8, 18), "UTC", (9, 17), "UTC", Growth.SHRANK),
        ((8, 18), "UTC", (9, 19), "UTC", Growth.CROSSED),
        ((8, 18), "Europe/Berlin", (8, 18), "Europe/Paris", Growth.SAME),
        ((8, 18), "Europe/Berlin", (8, 18), "UTC", Growth.CROSSED),
        ((9, 17), "Europe/Berlin", (6, 18), "UTC", Growth.GREW),
        ((9, 17), "America/New_York", (13, 22), "UTC", Growth.GREW),
        ((9, 17), "America/New_York", (13, 21), "UTC", Growth.CROSSED),  # right in summer only
        ((8, 18), "UTC", (9, 17), "Not/AZone", Growth.UNSURE),
        ((8, 18), "UTC", (9, 17), "../../etc/passwd", Growth.UNSURE),
        ((8, 18), "UTC", (9, 17), "/etc/passwd", Growth.UNSURE),
        ((8, 18), "UTC", (9, 17), "Europe", Growth.UNSURE),
        ((8, 18), "UTC", (9, 17), "", Growth.UNSURE),
    ],
)
def test_hours_in_two_zones_compare_as_instants(
    old: tuple[int, int], old_zone: str, new: tuple[int, int], new_zone: str, expected: Growth
) -> None:
    found = growth_of_minutes(minutes(*old, WORK), old_zone, minutes(*new, WORK), new_zone)

    assert found is expected


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.sampled_from(range(0, 24, 3)), min_size=4, max_size=4),
    st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata"]),
    st.sampled_from(["UTC", "Europe/London", "Australia/Lord_Howe"]),
)
def test_an_inclusion_of_hours_holds_at_every_sampled_instant_of_a_year(hours: list[int], one: str, other: str) -> None:
    if hours[0] == hours[1] or hours[2] == hours[3]:
        return
    old, new = minutes(hours[0], hours[1], WORK), minutes(hours[2], hours[3], WORK)

    found = growth_of_minutes(old, one, new, other)

    for step in range(0, 366 * 24, 5):
        instant = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=step)
        before, after = (
            mask >> (local.weekday() * 1440 + local.hour * 60 + local.minute) & 1
            for mask, local in ((old, instant.astimezone(ZoneInfo(one))), (new, instant.astimezone(ZoneInfo(other))))
        )
        assert not (found in (Growth.SAME, Growth.GREW) and before > after)
        assert not (found in (Growth.SAME, Growth.SHRANK) and after > before)
