"""Strict decoding: what a hostile or broken server may answer, and what counts as its word."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.core.model import MISSING, Json
from reconciler.providers.wire import (
    MAX_VALUES,
    WireError,
    decode_json,
    expect_array,
    expect_bool,
    expect_count,
    expect_id,
    expect_object,
    is_id,
    kind_of,
    parse_retry_after,
)

JSON = "application/json"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b" ",
        b"{",
        b"[1,]",
        b"{'a':1}",
        b"[1] x",
        b"<html>",
        b"NaN",
        b"[Infinity]",
        b"[-Infinity]",
        b"[1e400]",
        b"[-1e999]",
        b'{"a":1,"a":1}',
        b'{"a":{"b":1,"b":2}}',
        b'{"a":1,"\\u0061":2}',
        b"[" * 66 + b"]" * 66,
        b"[" * 100_000,
        b"[" * 100_000 + b"]" * 100_000,
        b"9" * 5000,
        b"1." + b"1" * 5000,
        b'["\xff"]',
        b'["\xc0\xaf"]',
        b"\xef\xbb\xbf[]",
        '["x"]'.encode("utf-16"),
        b'["\\ud800"]',
        b'{"\\udfff":1}',
        b'["\n"]',
        b"01",
        b"nan",
        b"[" + b"[]," * MAX_VALUES + b"0]",
        b'["ab"' + b',"ab"' * MAX_VALUES + b"]",
    ],
)
def test_what_is_not_strict_json_is_refused(data: bytes) -> None:
    with pytest.raises(WireError):
        decode_json(data, JSON)


@pytest.mark.parametrize("text", ["," * MAX_VALUES, '\\",[{' * MAX_VALUES, "\\" * (MAX_VALUES + 1)])
def test_what_only_looks_like_many_values_is_one(text: str) -> None:
    value: Json = [text, ["a"] * (MAX_VALUES - 3)]

    assert decode_json(json.dumps(value).encode(), JSON) == value


@pytest.mark.parametrize(
    "content_type",
    [None, "", "text/html", "text/plain", "application/jsonx", "application/json; charset=latin-1", "json", "a\x00b"],
)
def test_what_does_not_say_it_is_json_is_refused(content_type: str | None) -> None:
    with pytest.raises(WireError, match="expected JSON, got content of type"):
        decode_json(b"[]", content_type)


@pytest.mark.parametrize(
    "content_type",
    [
        JSON,
        "Application/JSON",
        "application/json; charset=utf-8",
        'application/json;charset="UTF-8"',
        "application/problem+json",
    ],
)
def test_every_way_to_say_json_is_understood(content_type: str) -> None:
    assert decode_json(b"[]", content_type) == []


def test_sixty_four_levels_are_read_and_pairs_of_surrogates_are_one_character() -> None:
    assert kind_of(decode_json(b"[" * 64 + b"]" * 64, JSON)) == "an array"
    assert decode_json(b'["\\ud83d\\ude00"]', JSON) == ["\U0001f600"]


JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda below: st.lists(below, max_size=4) | st.dictionaries(st.text(), below, max_size=4),
    max_leaves=10,
)


@given(JSON_VALUES)
def test_what_is_written_strictly_is_read_back_equal(value: Json) -> None:
    data = json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")

    assert decode_json(data, JSON) == value


@given(st.binary(max_size=200))
def test_any_bytes_are_a_value_or_one_kind_of_error(data: bytes) -> None:
    with suppress(WireError):
        decode_json(data, JSON)


@pytest.mark.parametrize("text", ["pol-mfa-required", "policy_abc123", "A", "0.1", "a" * 128])
def test_ids_that_may_stand_in_a_url(text: str) -> None:
    assert is_id(text)


@pytest.mark.parametrize(
    "text", ["", ".", "..", "-a", "_a", ".a", "a/b", "../admin", "a b", "a%2e", "ä", "a\n", "a?x", "a#x", "a" * 129]
)
def test_ids_that_may_not(text: str) -> None:
    assert not is_id(text)
    with pytest.raises(WireError):
        expect_id(text, "the id")


def test_a_wrong_type_is_named_without_its_value() -> None:
    with pytest.raises(WireError, match=r"^expected true or false for enabled, got text$"):
        expect_bool("hunter2", "enabled")
    with pytest.raises(WireError, match=r"^expected an array for the list, got null$"):
        expect_array(None, "the list")
    with pytest.raises(WireError, match=r"^expected an object for it, got nothing$"):
        expect_object(MISSING, "it")
    with pytest.raises(WireError, match=r"got a boolean$"):
        expect_count(True, "total")
    with pytest.raises(WireError, match=r"got a number$"):
        expect_count(-1, "total")


DATE = "Fri, 20 Nov 2026 09:00:00 GMT"


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": " 7 "}, 7.0),
        ({"retry-after": "0"}, 1.0),
        ({"retry-after": "3600"}, 120.0),
        ({"retry-after": "-5"}, None),
        ({"retry-after": "1e9"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "١"}, None),
        ({"retry-after": "9" * 400}, None),
        ({"retry-after": "Fri, 20 Nov 2026 09:00:30 GMT", "date": DATE}, 30.0),
        ({"retry-after": "Fri, 20 Nov 2026 10:00:30 GMT", "date": DATE}, 120.0),
        ({"retry-after": "Fri, 20 Nov 2026 08:00:00 GMT", "date": DATE}, 1.0),
        ({"retry-after": "Fri Nov 20 09:00:30 2026", "date": DATE}, 30.0),
        ({"retry-after": "Friday, 20-Nov-26 09:00:30 GMT", "date": DATE}, 30.0),
        ({"retry-after": "Fri, 20 Nov 2026 09:00:30 GMT"}, None),
        ({"retry-after": "Fri, 20 Nov 2026 09:00:30 GMT", "date": "yesterday"}, None),
        ({"retry-after": "Fri, 99 Nov 2026 09:00:30 GMT", "date": DATE}, None),
    ],
)
def test_a_wait_is_taken_from_the_servers_own_clock_and_capped(headers: dict[str, str], seconds: float | None) -> None:
    assert parse_retry_after(headers) == seconds
