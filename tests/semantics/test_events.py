"""Reading events: the columns of semantics.md C, what is refused, and what counts as not recorded."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.core.judge import make_validator
from reconciler.semantics.columns import COLUMNS
from reconciler.semantics.events import MADE, REQUIRED, Event, event_to_json, parse_event
from reconciler.semantics.faults import Fault
from reconciler.semantics.normal import host_of_url, parse_address, parse_host, parse_instant

SCHEMA = json.loads((Path(__file__).parents[2] / "schemas/event.schema.json").read_text(encoding="utf-8"))
LEAST = {"event_id": "ev-1", "ts_us": 1000, "actor_id": "agent-1", "action": "Read_File", "resource": "crm/eu/17"}


def event(**columns: object) -> Event:
    read = parse_event({**LEAST, **columns})
    assert isinstance(read, Event), read
    return read


def faults(**columns: object) -> tuple[Fault, ...]:
    read = parse_event({**LEAST, **columns})
    assert not isinstance(read, Event)
    return read


def test_five_columns_are_enough_and_all_others_are_not_recorded() -> None:
    read = event()

    assert (read.event_id, read.ts_us, read.actor_id, read.action, read.resource) == tuple(LEAST.values())
    assert {getattr(read, name) for name in COLUMNS if name not in (*REQUIRED, "seq")} == {None}
    assert read.action_key == "read_file"


@pytest.mark.parametrize("column", REQUIRED)
def test_a_required_column_can_be_neither_absent_nor_null(column: str) -> None:
    absent = parse_event({key: value for key, value in LEAST.items() if key != column})

    assert absent == parse_event({**LEAST, column: None})
    assert isinstance(absent, tuple)
    assert [(fault.pointer, fault.code) for fault in absent] == [(f"/{column}", "missing-key")]


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("event_id", ""),
        ("event_id", 7),
        ("actor_id", "a" * 513),
        ("actor_id", "a\0b"),
        ("actor_id", "\ud800"),
        ("resource", "r" * 4097),
        ("ts_us", -1),
        ("ts_us", 2**53),
        ("ts_us", True),
        ("ts_us", "1000"),
        ("ts_us", 1.5),
        ("ts_us", math.nan),
        ("seq", 2**63),
        ("actor_roles", "admin"),
        ("actor_roles", ["admin", None]),
        ("actor_roles", ["admin", ""]),
        ("actor_roles", ["x"] * 1001),
        ("country", "DEU"),
        ("country", "D1"),
        ("country", "ßß"),
        ("is_vpn", 1),
        ("is_vpn", "true"),
        ("decision", "maybe"),
        ("decision", ["allow"]),
        ("decision_source", "user"),
        ("trust_score", 100.5),
        ("trust_score", -1),
        ("trust_score", True),
        ("trust_score", "70"),
        ("bytes", -1),
        ("records", 2**63),
        ("extra", {"region": "eu"}),
    ],
)
def test_a_wrong_type_or_range_is_a_fault_at_its_column(column: str, value: object) -> None:
    assert [fault.pointer for fault in faults(**{column: value})] == [f"/{column}"]


def test_all_faults_come_at_once() -> None:
    found = faults(ts_us=-1, is_vpn=1, sourceip="10.0.0.1")

    assert {fault.pointer for fault in found} == {"/ts_us", "/is_vpn", "/sourceip"}
    assert next(fault for fault in found if fault.pointer == "/sourceip").fix == "write source_ip"


@pytest.mark.parametrize("value", [None, [], "event", 7])
def test_what_is_no_object_is_no_event(value: object) -> None:
    read = parse_event(value)

    assert isinstance(read, tuple)
    assert read[0].code == "not-an-object"


def test_no_roles_are_known_and_null_roles_are_not() -> None:
    assert event(actor_roles=[]).actor_roles == frozenset()
    assert event(actor_roles=None).actor_roles is None


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_score_that_is_no_number_is_missing_and_counted(value: float) -> None:
    read = event(trust_score=value)

    assert read.trust_score is None
    assert read.dropped == ("trust_score",)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10.0.0.1", "10.0.0.1"),
        (" 10.0.0.1 ", "10.0.0.1"),
        ("10.0.0.1:443", "10.0.0.1"),
        ("[::1]:443", "::1"),
        ("[::1]", "::1"),
        ("fe80::1%eth0", "fe80::1"),
        ("[fe80::1%eth0]:80", "fe80::1"),
        ("::ffff:10.0.0.1", "10.0.0.1"),
        ("[::ffff:10.0.0.1]:443", "10.0.0.1"),
        ("2001:DB8:0::1", "2001:db8::1"),
        ("0.0.0.0", "0.0.0.0"),
        ("010.0.0.1", None),
        ("10.0.0.01", None),
        ("10.0.0", None),
        ("10.0.0.1%eth0", None),
        ("[10.0.0.1]", None),
        ("10.0.0.1:port", None),
        ("10.0.0.0/8", None),
        ("s3.amazonaws.com", None),
        ("-", None),
        ("٣.٣.٣.٣", None),
    ],
)
def test_an_address_is_read_through_spaces_ports_zones_and_mapping(text: str, expected: str | None) -> None:
    read = event(source_ip=text)

    assert read.source_ip == expected
    assert read.dropped == (("source_ip",) if expected is None else ())
    address = parse_address(text)
    assert read.address == (None if address is None else (address.version, int(address)))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("mcp.example.com", "mcp.example.com"),
        ("MCP.Example.COM.", "mcp.example.com"),
        ("mcp.example.com:8443", "mcp.example.com"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("localhost", "localhost"),
        ("[::1]:443", "::1"),
        ("10.0.0.1:443", "10.0.0.1"),
        ("::ffff:10.0.0.1", "10.0.0.1"),
        ("a..b", None),
        ("a b", None),
        ("https://mcp.example.com", None),
        ("a" * 300, None),
        ("ü" * 70, None),
    ],
)
def test_a_host_has_one_form(text: str, expected: str | None) -> None:
    assert parse_host(text) == expected


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://mcp.example.com/sse", "mcp.example.com"),
        ("https://user:pass@MCP.Example.com.:8443/", "mcp.example.com"),
        ("http://[::1]:80/", "::1"),
        ("stdio://", None),
        ("mcp.example.com/sse", None),
        ("http://[::1", None),
    ],
)
def test_the_domain_of_a_server_is_the_host_of_its_url(url: str, expected: str | None) -> None:
    assert host_of_url(url) == expected
    assert event(mcp_url=url).mcp_domain == expected


def test_a_recorded_domain_wins_over_the_url() -> None:
    assert event(mcp_url="https://a.example/", mcp_domain="b.example").mcp_domain == "b.example"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01T00:00:00.0000019Z", 1),
        ("1970-01-01T01:00:00.5+01:00", 500_000),
        ("1970-01-01t00:00:01z", 1_000_000),
        ("1969-12-31T23:59:59Z", None),
        ("1970-01-01T00:00:00", None),
        ("2016-12-31T23:59:60Z", None),
        ("2026-02-30T00:00:00Z", None),
        ("2255-06-05T23:47:34.740992Z", None),
        ("2255-06-05T23:47:34.740991Z", 2**53 - 1),
        ("now", None),
    ],
)
def test_an_instant_needs_an_offset_and_is_floored_to_microseconds(text: str, expected: int | None) -> None:
    assert parse_instant(text) == expected


def test_a_zone_is_assumed_only_where_the_source_says_so() -> None:
    assert parse_instant("1970-01-01T01:00:00", assume=ZoneInfo("Europe/Berlin")) == 0


@pytest.mark.parametrize(
    ("resource", "expected"),
    [("crm/eu/17", "crm"), ("policy:pol-1", "policy"), ("a:b/c", "a"), ("a/b:c", "a"), ("db", None), ("/etc", None)],
)
def test_the_type_of_a_resource_is_the_text_before_its_first_separator(resource: str, expected: str | None) -> None:
    assert event(resource=resource).kind == expected
    assert event(resource=resource, resource_type="file").kind == "file"


def test_an_arrival_counter_wins_over_the_recorded_order() -> None:
    read = parse_event({**LEAST, "seq": 7}, seq=3)

    assert isinstance(read, Event)
    assert read.seq == 3


TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=20)
VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(-5, 200), st.floats(0, 100), TEXTS, st.lists(TEXTS, max_size=3), st.just("")
)


@given(st.dictionaries(st.sampled_from(sorted(COLUMNS)), VALUES, max_size=8))
def test_reading_agrees_with_the_schema_and_writing_gives_it_back(columns: dict[str, Any]) -> None:
    value = {**LEAST, **columns}

    read = parse_event(value)

    assert isinstance(read, Event) is make_validator(SCHEMA).is_valid(value)
    if isinstance(read, Event):
        again = parse_event(event_to_json(read))
        assert isinstance(again, Event)
        assert event_to_json(again) == event_to_json(read)


def test_the_schema_has_the_columns_of_the_record() -> None:
    fields = {name for name in Event.__dataclass_fields__ if name not in MADE}

    assert set(SCHEMA["properties"]) == set(COLUMNS) == fields
    assert tuple(SCHEMA["required"]) == REQUIRED


def test_every_example_of_the_schema_is_read() -> None:
    for name, column in SCHEMA["properties"].items():
        for example in column["examples"]:
            assert event(**{name: example}).dropped == ()
