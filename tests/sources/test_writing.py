"""Policy files as text: new ones say what they should, and people's own keep every line that did not change."""

from __future__ import annotations

import difflib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.core.canonical import json_equal
from reconciler.core.documents import read_documents
from reconciler.sources.writing import CannotWrite, edit_file, new_file

HAND_WRITTEN = b"""\
# yaml-language-server: $schema=../../schemas/opena2a.policy.schema.json

# Why this is here:  it matters.
name:   "IP Allowlist"   # the vendor's name
policy_type: ip_allowlist

conditions:
    # office first
    allowed_ips:
    - 192.168.1.0/24   # office
    # both data centres
    - 10.0.0.0/8
    - '172.16.0.0/12'  # build machines
    block_vpn: yes-please
    hours: {from: 8, to: 18}   # local time

# what happens then
actions: {on_violation: block_request, notify_admins: true}
description: >-
  Folded
  text
metadata:
  owner: network-team
  review_by: 2027-02-28     # before the audit
  exceptions: []
"""
VALUE: dict[str, Any] = {
    "name": "IP Allowlist",
    "policy_type": "ip_allowlist",
    "conditions": {
        "allowed_ips": ["192.168.1.0/24", "10.0.0.0/8", "172.16.0.0/12"],
        "block_vpn": "yes-please",
        "hours": {"from": 8, "to": 18},
    },
    "actions": {"on_violation": "block_request", "notify_admins": True},
    "description": "Folded text",
    "metadata": {"owner": "network-team", "review_by": "2027-02-28", "exceptions": []},
}


def changed(**fields: Any) -> dict[str, Any]:
    return {**VALUE, **fields}


def conditions(**fields: Any) -> dict[str, Any]:
    return changed(conditions={**VALUE["conditions"], **fields})


def diff(before: bytes, after: bytes) -> list[str]:
    """The lines that went and came."""
    lines = difflib.unified_diff(before.decode().splitlines(), after.decode().splitlines(), n=0, lineterm="")
    return [line for line in list(lines)[2:] if not line.startswith("@@")]


def value_of(data: bytes, index: int = 0) -> Any:
    documents, problems = read_documents(data, "a.yaml")
    assert problems == ()
    return documents[index].value


def test_the_text_of_these_tests_is_what_it_says() -> None:
    assert value_of(HAND_WRITTEN) == VALUE


def test_the_same_value_gives_the_same_bytes() -> None:
    assert edit_file(HAND_WRITTEN, "a.yaml", 0, VALUE) is HAND_WRITTEN


@pytest.mark.parametrize(
    ("value", "lines"),
    [
        (
            changed(name="Allow"),
            ['-name:   "IP Allowlist"   # the vendor\'s name', '+name:   "Allow"   # the vendor\'s name'],
        ),
        (
            conditions(allowed_ips=["192.168.1.0/24", "10.0.0.0/8", "172.16.0.0/16"]),
            ["-    - '172.16.0.0/12'  # build machines", "+    - '172.16.0.0/16'  # build machines"],
        ),
        (
            conditions(allowed_ips=["192.168.1.0/24", "172.16.0.0/12"]),
            ["-    - 10.0.0.0/8"],
        ),
        (
            conditions(allowed_ips=["192.168.1.0/24", "10.0.0.0/8", "172.16.0.0/12", "fd00::/8"]),
            ["+    - fd00::/8"],
        ),
        (
            conditions(allowed_ips=["1.2.3.4", "192.168.1.0/24", "10.0.0.0/8", "172.16.0.0/12"]),
            ["+    - 1.2.3.4"],
        ),
        (
            conditions(hours={"from": 9, "to": 18}),
            ["-    hours: {from: 8, to: 18}   # local time", "+    hours: {from: 9, to: 18}   # local time"],
        ),
        (
            changed(actions={"on_violation": "alert"}),
            ["-actions: {on_violation: block_request, notify_admins: true}", "+actions: {on_violation: alert}"],
        ),
        (
            changed(metadata={**VALUE["metadata"], "review_by": "2028-02-29"}),
            ["-  review_by: 2027-02-28     # before the audit", "+  review_by: 2028-02-29     # before the audit"],
        ),
        (
            changed(metadata={**VALUE["metadata"], "exceptions": [{"a": "b"}]}),
            ["-  exceptions: []", "+  exceptions: [{a: b}]"],
        ),
        (
            {key: entry for key, entry in VALUE.items() if key != "description"},
            ["-description: >-", "-  Folded", "-  text"],
        ),
        (
            {
                **{key: entry for key, entry in VALUE.items() if key != "metadata"},
                "severity": "low",
                "metadata": VALUE["metadata"],
            },
            ["+severity: low"],
        ),
        (conditions(deep={"list": ["x"]}), ["+    deep:", "+      list:", "+        - x"]),
        (
            {key: entry for key, entry in VALUE.items() if key != "conditions"},
            [f"-{line}" for line in HAND_WRITTEN.decode().splitlines()[6:15]],
        ),
    ],
)
def test_only_the_lines_of_what_changed_change(value: dict[str, Any], lines: list[str]) -> None:
    done = edit_file(HAND_WRITTEN, "a.yaml", 0, value)

    assert diff(HAND_WRITTEN, done) == lines
    assert value_of(done) == value


def test_what_cannot_be_done_in_place_keeps_its_comments_all_the_same() -> None:
    value = changed(description="Now on one line", conditions={"allowed_ips": []})

    done = edit_file(HAND_WRITTEN, "a.yaml", 0, value)

    assert value_of(done) == value
    assert b"# the vendor's name" in done
    assert b"# before the audit" in done
    assert list(value_of(done)) == list(VALUE)


def test_one_document_of_several_is_changed_and_the_others_stay() -> None:
    data = b"---\n# first\nid: a\nenabled: true # one\n---\n\n---\n# second\nid: b\nenabled: true # two\n...\n"

    done = edit_file(data, "a.yaml", 1, {"id": "b", "enabled": False})

    assert diff(data, done) == ["-enabled: true # two", "+enabled: false # two"]


def test_json_is_yaml_and_keeps_its_lines() -> None:
    data = b'{\n  "id": "a",\n  "rules": [\n    "x",\n    "y"\n  ],\n  "enabled": true\n}'

    done = edit_file(data, "a.yaml", 0, {"id": "a", "rules": ["x", "z"], "enabled": False})

    assert diff(data, done) == ['-    "y"', '+    "z"', '-  "enabled": true', '+  "enabled": false']


def test_windows_line_ends_stay() -> None:
    data = b"id: a\r\nrules:\r\n  - x # first\r\n  - v\r\nenabled: true\r\n"

    done = edit_file(data, "a.yaml", 0, {"id": "a", "rules": ["x", "v", "z"], "enabled": False})

    assert done == b"id: a\r\nrules:\r\n  - x # first\r\n  - v\r\n  - z\r\nenabled: false\r\n"


def test_a_file_without_a_last_line_end_can_grow() -> None:
    done = edit_file(b"id: a\nrules:\n  - x", "a.yaml", 0, {"id": "a", "rules": ["x", "v"], "enabled": True})

    assert done == b"id: a\nrules:\n  - x\n  - v\nenabled: true\n"


@pytest.mark.parametrize(
    "text",
    ["no", "on", "12:30:45", "0777", "0x1F", "1e3", "null", "~", "", " a", "a ", "a: b", "a #b", "- a", "*a", "&a",
     "!a", "%a", "@a", "`a", "'", '"', "{a}", "[a", "a\nb", "a\n", "\t", "a\\b", "---", "...", "?", "é ✓", "x" * 500,
     "2027-01-31", "a, b", "=", "<<"],
)  # fmt: skip
def test_text_that_looks_like_something_else_stays_text(text: str) -> None:
    value: dict[str, Any] = {"id": "a", "name": text, "rules": [text, {"k": [text]}]}
    other: dict[str, Any] = {"id": "a", "name": "plain", "rules": ["plain", {"k": ["plain"]}]}

    new = new_file(value, "a.yaml", "s.json")
    edited = edit_file(new_file(other, "a.yaml", "s.json"), "a.yaml", 0, value)

    assert value_of(new) == value
    assert value_of(edited) == value


@pytest.mark.parametrize("text", ["\u202eabc", "a\u200bb", "\x1b[2J", "\ud800", "\x00", "\ufeff"])
def test_text_that_our_reader_refuses_is_not_written(text: str) -> None:
    with pytest.raises(CannotWrite):
        new_file({"id": "a", "name": text}, "a.yaml", "s.json")

    with pytest.raises(CannotWrite):
        edit_file(b"id: a\nname: b\n", "a.yaml", 0, {"id": "a", "name": text})


def test_a_new_file_begins_with_the_schema_for_editors_and_keeps_the_order() -> None:
    done = new_file({"id": "a", "rules": ["x"], "enabled": True, "n": 1}, "p/a.yaml", "../schemas/x.schema.json")

    assert done.decode().splitlines() == [
        "# yaml-language-server: $schema=../schemas/x.schema.json",
        "id: a",
        "rules:",
        "  - x",
        "enabled: true",
        '"n": 1',
    ]


KEYS = st.sampled_from(["a", "b", "c", "on", "d e"])
SCALARS = st.one_of(
    st.booleans(),
    st.integers(-9, 9),
    st.sampled_from([1.5, 1e30]),
    st.sampled_from(["x", "no", "a: b", "", "it's", "l\nm"]),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(KEYS, inner, max_size=3)),
    max_leaves=8,
)
DOCUMENTS = st.dictionaries(KEYS, VALUES, min_size=1, max_size=4)


@settings(deadline=None)  # the machine may be busy
@given(DOCUMENTS, DOCUMENTS)
def test_any_value_becomes_any_other_and_back(old: dict[str, Any], new: dict[str, Any]) -> None:
    first = new_file(old, "a.yaml", "s.json")

    second = edit_file(first, "a.yaml", 0, new)
    third = edit_file(second, "a.yaml", 0, old)

    assert json_equal(value_of(first), old)
    assert json_equal(value_of(second), new)
    assert json_equal(value_of(third), old)


@settings(deadline=None)  # the machine may be busy
@given(
    st.lists(st.sampled_from("abcde"), min_size=1, max_size=5),
    st.lists(st.sampled_from("abcde"), min_size=1, max_size=5),
)
def test_items_of_a_list_that_stay_keep_their_comments(old: list[str], new: list[str]) -> None:
    data = ("rules:\n" + "".join(f"  - {item} # about {item}\n" for item in old) + "# the end\nid: z\n").encode()

    done = edit_file(data, "a.yaml", 0, {"rules": new, "id": "z"})

    assert value_of(done) == {"rules": new, "id": "z"}
    assert done.endswith(b"# the end\nid: z\n")
    gone = [line for line in diff(data, done) if line.startswith("-")]
    assert len(gone) <= len(old)
