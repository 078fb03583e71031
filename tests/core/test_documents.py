"""YAML is read strictly: what is accepted, what is refused, where, and with which words."""

from __future__ import annotations

import json
import re
import tracemalloc
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import assume, example, given
from hypothesis import strategies as st

from reconciler.core.documents import (
    MAX_BYTES,
    MAX_DEPTH,
    MAX_DOCUMENTS,
    MAX_PROBLEMS,
    Document,
    excerpt,
    load_yaml,
    make_problem,
    read_documents,
)
from reconciler.core.model import Json, Problem, Severity
from reconciler.core.problems import FilesError
from reconciler.core.scalars import MAX_INTEGER, ScalarError, resolve_plain
from reconciler.core.syntax import is_refused
from reconciler.errors import Place

PATH = "policies/mfa.policy.yaml"
CODE = re.compile(r'"(yaml-[a-z0-9.]+|duplicate-key|file-too-large)"')


def read(text: str | bytes) -> tuple[Document, ...]:
    documents, problems = read_documents(text if isinstance(text, bytes) else text.encode(), PATH)
    assert problems == ()
    return documents


def refused(text: str | bytes) -> tuple[Problem, ...]:
    documents, problems = read_documents(text if isinstance(text, bytes) else text.encode(), PATH)
    assert documents == ()
    return problems


def only(text: str | bytes) -> Problem:
    problems = refused(text)
    assert len(problems) == 1, [(problem.code, problem.line, problem.column) for problem in problems]
    return problems[0]


def value(text: str) -> Json:
    return read(f"v: {text}\n")[0].value["v"]


# ------------------------------------------------------------------------------------------------- values


def test_a_policy_file_becomes_json_types_with_the_line_of_its_first_key() -> None:
    text = """\
# yaml-language-server: $schema=../../schemas/neosc.policy.schema.json
id: pol-mfa-required
name: MFA Required
rules: [Require MFA for login, "WebAuthn preferred"]
enabled: true
metadata:
  critical: true
  review_by: 2027-02-28
  threshold: 0.5
  owner: ~
"""

    (document,) = read(text)

    assert document.value == {
        "id": "pol-mfa-required",
        "name": "MFA Required",
        "rules": ["Require MFA for login", "WebAuthn preferred"],
        "enabled": True,
        "metadata": {"critical": True, "review_by": "2027-02-28", "threshold": 0.5, "owner": None},
    }
    assert (document.path, document.line, document.index) == (PATH, 2, 0)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("true", True),
        ("false", False),
        ("", None),
        ("~", None),
        ("null", None),
        ("Null", None),
        ("NULL", None),
        ("0", 0),
        ("-0", 0),
        ("+12", 12),
        ("-7", -7),
        ("0o17", 15),
        ("0x1F", 31),
        (str(2**53), 2**53),
        (str(-(2**53)), -(2**53)),
        ("1.5", 1.5),
        (".5", 0.5),
        ("-.5", -0.5),
        ("1.", 1.0),
        ("1e3", 1000.0),
        ("1.5E-3", 0.0015),
        ("0e400", 0.0),
        ("nUll", "nUll"),
        ("tRue", "tRue"),
        ("2027-02-28", "2027-02-28"),
        ("2027-02-28T10:00:00Z", "2027-02-28T10:00:00Z"),
        ("2026-13-45", "2026-13-45"),
        ("10.0.0.1", "10.0.0.1"),
        ("10.0.0.0/8", "10.0.0.0/8"),
        ("1.2.3", "1.2.3"),
        ("12:99", "12:99"),
        ("80:8080", "80:8080"),
        ("fe80::1", "fe80::1"),
        ("::1", "::1"),
        ("=", "="),
        ("<<", "<<"),
        ("a#b", "a#b"),
        ("a b", "a b"),
        ("no-one", "no-one"),
        ("'no'", "no"),
        ('"0777"', "0777"),
        ('"12:30"', "12:30"),
        ('"1"', "1"),
        ('"a\\tb\\nc"', "a\tb\nc"),
        ('"\\U0001F600"', "\U0001f600"),
        ("Zürich 東京 ⚠️", "Zürich 東京 ⚠️"),
        ("|\n  no\n  12:30", "no\n12:30\n"),
        (">\n  a\n  b\n", "a b\n"),
        ("[]", []),
        ("{}", {}),
        ("[1, [true, {a: null}]]", [1, [True, {"a": None}]]),
    ],
)
def test_scalars_follow_yaml_1_2_and_json(text: str, expected: Json) -> None:
    found = value(text)

    assert found == expected
    assert type(found) is type(expected)


# ---------------------------------------------------------------------------------- YAML 1.1 and other surprises

NORWAY = [
    *("y", "Y", "yes", "Yes", "YES", "n", "N", "no", "No", "NO"),
    *("True", "TRUE", "False", "FALSE"),
    *("on", "On", "ON", "off", "Off", "OFF"),
]


@pytest.mark.parametrize("word", NORWAY)
def test_a_boolean_of_yaml_1_1_is_an_error_that_says_what_to_write(word: str) -> None:
    problem = only(f"enabled: {word}\n")

    meant = "true" if word.lower() in ("y", "yes", "on", "true") else "false"
    assert (problem.code, problem.line, problem.column, problem.span) == ("yaml-1.1", 1, 10, len(word))
    assert problem.fix == f'write {meant}, or "{word}" in quotes if the text is meant'
    assert problem.excerpt == ((1, f"enabled: {word}"),)


@pytest.mark.parametrize("word", NORWAY)
def test_the_same_word_in_quotes_is_text_and_as_a_bare_key_an_error(word: str) -> None:
    assert value(f'"{word}"') == word
    assert value(f"'{word}'") == word
    assert read(f'"{word}": 1\n')[0].value == {word: 1}
    assert only(f"{word}: 1\n").code == "yaml-1.1"


@pytest.mark.parametrize(
    ("text", "fix"),
    [
        ("0777", 'write 511 or 777, whichever is meant, or "0777" in quotes'),
        ("-010", 'write -8 or -10, whichever is meant, or "-010" in quotes'),
        ("00", 'write 0, or "00" in quotes'),
        ("08", 'write the number without leading zeros, or "08" in quotes'),
        ("00.5", 'write the number without leading zeros, or "00.5" in quotes'),
        ("12:30", 'write the number 750, or "12:30" in quotes'),
        ("12:30:45", 'write the number 45045, or "12:30:45" in quotes'),
        ("1:00:00", 'write the number 3600, or "1:00:00" in quotes'),
        ("-1:30", 'write the number -90, or "-1:30" in quotes'),
        ("09:30", 'write the number 570, or "09:30" in quotes'),
        ("1:30.5", 'write "1:30.5" in quotes'),
        ("1_000", 'write 1000, or "1_000" in quotes'),
        ("1_0.5", 'write "1_0.5" in quotes'),
        ("0x1_F", 'write "0x1_F" in quotes'),
        ("0b11", 'write 3, or "0b11" in quotes'),
        ("-0x1F", 'write -31, or "-0x1F" in quotes'),
    ],
)
def test_a_number_of_yaml_1_1_is_an_error_that_says_what_to_write(text: str, fix: str) -> None:
    problem = only(f"v: {text}\n")

    assert (problem.code, problem.column, problem.span, problem.fix) == ("yaml-1.1", 4, len(text), fix)


@pytest.mark.parametrize(
    "text",
    [
        *(".inf", "-.inf", "+.Inf", ".INF", ".nan", ".NaN", ".NAN", "NaN", "Infinity", "-Infinity"),
        *("1e400", "-1e400", "1e-400", str(2**53 + 1), str(-(2**53) - 1)),
        *("9" * 5000, "0x" + "f" * 20, "0x" + "f" * 5000),
    ],
)
def test_a_number_that_json_readers_cannot_keep_is_an_error(text: str) -> None:
    problem = only(f"v: {text}\n")

    assert (problem.code, problem.line, problem.column) == ("yaml-number", 1, 4)
    assert len(problem.message) < 200


@given(st.text(alphabet="0123456789_.:+-eExobXyYnN ~TrueFalsNIif", min_size=1, max_size=12))
@example("1_0")
@example("0o7")
@example("-0b1")
@example("1:59.5_")
def test_what_is_accepted_without_quotes_means_the_same_to_yaml_1_1(text: str) -> None:
    # Given
    assume(text == text.strip() and ": " not in text and not text.endswith(":") and not text.startswith("- "))
    kind = yaml.resolver.Resolver().resolve(yaml.ScalarNode, text, (True, False)).rpartition(":")[2]

    # When
    try:
        found = resolve_plain(text)
    except ScalarError:
        return

    # Then
    if isinstance(found, bool):
        assert kind == "bool"
    elif isinstance(found, float):
        # 1e3 and -.5 are numbers in 1.2 only, and numbers are what everybody means by them.
        assert kind in ("float", "str")
    elif isinstance(found, int):
        assert kind == "int" or text.startswith("0o")
    elif found is None:
        assert kind == "null"
    else:
        assert kind in ("str", "timestamp", "value", "merge")


# --------------------------------------------------------------------------------------------------- attacks


@pytest.mark.parametrize(
    ("text", "code", "line", "column"),
    [
        # D4, D5: anchors, aliases, merge keys
        ("a: &x 1\n", "yaml-anchor", 1, 4),
        ("a: &x [1]\n", "yaml-anchor", 1, 4),
        ("a: &x {b: 1}\n", "yaml-anchor", 1, 4),
        ("&x a: 1\n", "yaml-anchor", 1, 1),
        ("&x\na: 1\n", "yaml-anchor", 1, 1),
        ("a: !t &x 1\n", "yaml-tag", 1, 4),
        ("a: *x\n", "yaml-alias", 1, 4),
        ("a: [b, *x]\n", "yaml-alias", 1, 8),
        ("*x : 1\n", "yaml-alias", 1, 1),
        ("<<: {a: 1}\n", "yaml-merge", 1, 1),
        ("a: {<<: {b: 1}}\n", "yaml-merge", 1, 5),
        ("a: 1\n<<: [{b: 1}]\n", "yaml-merge", 2, 1),
        # tags
        ("a: !!str 1\n", "yaml-tag", 1, 4),
        ("a: ! 1\n", "yaml-tag", 1, 4),
        ('a: ! "1"\n', "yaml-tag", 1, 4),
        ("a: !!python/object/apply:os.system [id]\n", "yaml-tag", 1, 4),
        ("a: !!binary aGk=\n", "yaml-tag", 1, 4),
        ("a: !!set {x}\n", "yaml-tag", 1, 4),
        ("a: !!timestamp 2027-01-01\n", "yaml-tag", 1, 4),
        ("a: !<tag:yaml.org,2002:str> x\n", "yaml-tag", 1, 4),
        ("!!map {a: 1}\n", "yaml-tag", 1, 1),
        ("a: !unknown!x y\n", "yaml-tag", 1, 4),
        ("%TAG ! tag:example.com,2000:\n---\na: 1\n", "yaml-directive", 1, 1),
        ("%YAML 1.1\n---\na: 1\n", "yaml-directive", 1, 1),
        ("%YAML 1.3\n---\na: 1\n", "yaml-directive", 1, 1),
        ("%YAML 1.2#x\n---\na: 1\n", "yaml-directive", 1, 1),
        ("%FOO\n---\na: 1\n", "yaml-directive", 1, 1),
        ("a: 1\n%YAML 1.2\n---\nb: 1\n", "yaml-directive", 2, 1),
        # keys
        ("a: 1\na: 2\n", "duplicate-key", 2, 1),
        ("a: 1\n'a': 2\n", "duplicate-key", 2, 1),
        ('a: 1\n"\\x61": 2\n', "duplicate-key", 2, 1),
        ("a:\n  b: 1\n  c: 2\n  b: 3\n", "duplicate-key", 4, 3),
        ("a: [{b: 1, b: 2}]\n", "duplicate-key", 1, 12),
        ("? a\n: 1\n? a\n: 2\n", "duplicate-key", 3, 3),
        ("1: x\n", "yaml-key", 1, 1),
        ("1.5: x\n", "yaml-key", 1, 1),
        ("1e3: x\n", "yaml-key", 1, 1),
        ("null: x\n", "yaml-key", 1, 1),
        ("~: x\n", "yaml-key", 1, 1),
        ("true: x\n", "yaml-key", 1, 1),
        ("0x1F: x\n", "yaml-key", 1, 1),
        ("[a]: x\n", "yaml-key", 1, 1),
        ("{a: 1}: x\n", "yaml-key", 1, 1),
        ("? [a]\n: x\n", "yaml-key", 1, 3),
        ("? \n: x\n", "yaml-key", 1, 2),
        ("e\u0301: 1\n", "yaml-key", 1, 1),
        ("0777: x\n", "yaml-1.1", 1, 1),
        ("12:30: x\n", "yaml-1.1", 1, 1),
        (".nan: x\n", "yaml-number", 1, 1),
        (": x\n", "yaml-colon", 1, 1),
        # characters
        ("a: b\u202ec\n", "yaml-invisible", 1, 5),
        ("a: b\u2066c\n", "yaml-invisible", 1, 5),
        ("a: b\u061cc\n", "yaml-invisible", 1, 5),
        ("a: b\u200bc\n", "yaml-invisible", 1, 5),
        ("a: b\u200dc\n", "yaml-invisible", 1, 5),
        ("a: b\u00adc\n", "yaml-invisible", 1, 5),
        ("a: b\u2028c\n", "yaml-invisible", 1, 5),
        ("a: b\u0085c\n", "yaml-invisible", 1, 5),
        ("a: b\ufeffc\n", "yaml-invisible", 1, 5),
        ("a: b\ue000c\n", "yaml-invisible", 1, 5),
        ("a: b\ufffec\n", "yaml-invisible", 1, 5),
        ("a: b\U000e0041c\n", "yaml-invisible", 1, 5),
        ("a: b\U0001fffec\n", "yaml-invisible", 1, 5),
        ("a: b\x1b[2J\n", "yaml-invisible", 1, 5),
        ("a: b\x07\n", "yaml-invisible", 1, 5),
        ("a: b\x7f\n", "yaml-invisible", 1, 5),
        ("a\u200b: 1\n", "yaml-invisible", 1, 2),
        ("a: 1 # \u202e nothing to see\n", "yaml-invisible", 1, 8),
        ("a: 1 # b\renabled: false\n", "yaml-invisible", 1, 9),
        ('a: "b\\u202ec"\n', "yaml-invisible", 1, 4),
        ('a: "\\e[2J"\n', "yaml-invisible", 1, 4),
        ('a: "\\0"\n', "yaml-invisible", 1, 4),
        ('a: "\\r"\n', "yaml-invisible", 1, 4),
        ('a: "\\N"\n', "yaml-invisible", 1, 4),
        ('"a\\u200b": 1\n', "yaml-invisible", 1, 1),
        ('"a\\nb": 1\n', "yaml-invisible", 1, 1),
        ('"a\\tb": 1\n', "yaml-invisible", 1, 1),
        ('a: "\\ud800"\n', "yaml-syntax", 1, 7),
        ('a: "\\udc00\\ud800"\n', "yaml-syntax", 1, 7),
        # shape
        ("- a\n", "yaml-shape", 1, 1),
        ("[a: 1]\n", "yaml-shape", 1, 1),
        ("just text\n", "yaml-shape", 1, 1),
        ("null\n", "yaml-shape", 1, 1),
        ("~\n", "yaml-shape", 1, 1),
        ('""\n', "yaml-shape", 1, 1),
        ("a: 1\n---\n- b\n", "yaml-shape", 3, 1),
        # syntax, and layout that libyaml takes
        ("a: [1\n", "yaml-syntax", 1, 6),
        ("a: {b: 1\n", "yaml-syntax", 1, 9),
        ("a: ]\n", "yaml-syntax", 1, 4),
        ("a: 'x\n", "yaml-syntax", 1, 4),
        ('a: "x\nb: 1\n', "yaml-syntax", 1, 4),
        ('a: "\\q"\n', "yaml-syntax", 1, 5),
        ("a: @x\n", "yaml-syntax", 1, 4),
        ("a: `x`\n", "yaml-syntax", 1, 4),
        ("a: %x\n", "yaml-syntax", 1, 4),
        ("a: b: c\n", "yaml-colon", 1, 5),
        ("a: 1\n  b: 2\n", "yaml-colon", 2, 4),
        ("a: 1\n b\nc\n", "yaml-syntax", 3, 2),
        ("  a: 1\nb: 2\n", "yaml-document", 2, 1),
        ("a:\n  - 1\n - 2\n", "yaml-syntax", 3, 2),
        ("a: 1\n...\nb: 2\n", "yaml-document", 3, 1),
        ("...\na: 1\n", "yaml-document", 1, 1),
        ("a:\n\tb: 1\n", "yaml-tab", 2, 1),
        ("a: [\n\t1]\n", "yaml-tab", 2, 1),
        ('a: "x\n\ty"\n', "yaml-tab", 2, 1),
        ("a: [1,\n2]\n", "yaml-syntax", 2, 1),
        ("a:\n  b: [1,\n  2]\n", "yaml-syntax", 3, 3),
        ('a: "x\ny"\n', "yaml-syntax", 2, 1),
        ("a: [1]#x\n", "yaml-syntax", 1, 7),
        ("a: [1,#x\n 2]\n", "yaml-syntax", 1, 7),
        ('a: "1"#x\n', "yaml-syntax", 1, 7),
        ("a: >#x\n  y\n", "yaml-syntax", 1, 5),
        ("a: |\n    \n  x\n", "yaml-syntax", 2, 3),
        ("a: [-]\n", "yaml-syntax", 1, 5),
        ("a: [?x]\n", "yaml-question", 1, 5),
        ("a: {x: :y}\n", "yaml-colon", 1, 8),
    ],
)
def test_bad_input_is_one_located_error(text: str, code: str, line: int, column: int) -> None:
    problems = refused(text)

    first = problems[0]
    assert (first.code, first.line, first.column) == (code, line, column)
    assert first.severity is Severity.ERROR
    assert first.path == PATH
    assert first.fix
    assert (line, text.replace("\r", "\n").split("\n")[line - 1]) in first.excerpt
    assert first.message.isprintable()
    assert len(problems) == 1 or code == "yaml-tag"


@pytest.mark.parametrize(
    ("data", "line", "column"),
    [
        (b"\xef\xbb\xbfa: 1\n", 1, 1),
        ("a: 1\n".encode("utf-16"), 1, 1),
        ("a: 1\n".encode("utf-16-be"), 1, 1),
        ("a: 1\n".encode("utf-16-le"), 1, 2),
        ("a: 1\n".encode("utf-32"), 1, 1),
        (b"a: 1\nb: \x00\n", 2, 4),
        (b"a: \xff\n", 1, 4),
        (b"a: \xc3\xbc\nb: x\xc3\n", 2, 5),
        ("a: ü\n".encode("latin-1"), 1, 4),
        (b"a: \xed\xa0\x80\n", 1, 4),
        (b"a: \xc0\xaf\n", 1, 4),
        (b"a: \xf4\x90\x80\x80\n", 1, 4),
    ],
)
def test_a_file_that_is_not_utf_8_text_is_refused_where_it_stops_being_so(data: bytes, line: int, column: int) -> None:
    problem = only(data)

    assert (problem.code, problem.line, problem.column) == ("yaml-encoding", line, column)


#: Name: file, code of the first problem (None: it is a good file).
HOSTILE: dict[str, tuple[bytes, str | None]] = {
    "brackets": (b"[" * 200_000, "yaml-depth"),
    "braces": (b"{a: " * 100_000, "yaml-depth"),
    "dashes": (b"- " * 50_000, "yaml-depth"),
    "closed brackets": (b"a: " + b"[" * 200_000 + b"]" * 200_000, "yaml-depth"),
    "block levels": (b"".join(b" " * i + b"a:\n" for i in range(1200)), "yaml-depth"),
    "question marks": (b"? " * 100_000, "yaml-key"),
    "alias bomb": (b"a: &a [x]\n" + b"".join(b"b%d: &b%d [*a,*a,*a]\n" % (i, i) for i in range(30)), "yaml-anchor"),
    "merge bomb": (b"a: &a {x: 1}\n" + b"".join(b"b%d: {<<: [*a,*a]}\n" % i for i in range(30)), "yaml-anchor"),
    "one byte too many": (b"a: " + b"x" * (MAX_BYTES - 2), "file-too-large"),
    "five megabytes": (b"x" * (5 * MAX_BYTES), "file-too-large"),
    "values": (b"a: [" + b"1," * 500_000 + b"]", "yaml-size"),
    "documents": (b"a: 1\n---\n" * (MAX_DOCUMENTS + 1), "yaml-size"),
    "empty documents": (b"---\n" * 200_000, "yaml-size"),
    "keys": (b"".join(b"k%d: 1\n" % i for i in range(101_000)), "yaml-size"),
    "duplicate keys": (b"a: 1\n" * 200_000, "duplicate-key"),
    "hidden characters": (("a: \u202e\n" * 100_000).encode(), "yaml-invisible"),
    "digits": (b"a: " + b"1" * 1_000_000, "yaml-number"),
    "digits and underscore": (b"a: " + b"1" * 1_000_000 + b"_", "yaml-1.1"),
    "base 60": (b"a: 1" + b":1" * 500_000, "yaml-1.1"),
    "long anchor": (b"a: &" + b"x" * 1_000_000 + b" y", "yaml-anchor"),
    "quotes": (b'a: "' + b'"' * 1_000_000, "yaml-syntax"),
    "tabs": (b"a:\t" * 100_000, "yaml-colon"),
    "blank lines of a block": (b"a: |\n" + b" \n" * 500_000 + b"  x\n", None),
    "signs that ask for a second pass": (b"".join(b'k%d: "a#b"\n' % i for i in range(60_000)), None),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_size_and_depth_end_in_a_located_error(name: str) -> None:
    data, code = HOSTILE[name]

    documents, problems = read_documents(data, PATH)

    assert bool(documents) is (code is None)
    assert len(problems) <= MAX_PROBLEMS
    assert all(problem.line and problem.column for problem in problems)
    assert (problems[0].code if problems else None) == code


def test_the_limits_themselves_are_allowed() -> None:
    nested = "[" * (MAX_DEPTH - 1) + "]" * (MAX_DEPTH - 1)
    scalar = "x" * (MAX_BYTES - 4)

    assert len(read("---\na: 1\n" * MAX_DOCUMENTS)) == MAX_DOCUMENTS
    assert read(f"a: {nested}\n")
    assert only(f"a: [{nested}]\n").code == "yaml-depth"
    assert read(f"a: {scalar}\n")[0].value == {"a": scalar}
    assert only(f"a: {scalar}x\n").code == "file-too-large"


@given(st.binary(max_size=300) | st.text(alphabet=" \n\t:-?[]{},#&*!|>'\"%@`~<=ab01_.\r\u202e\x00é", max_size=60))
def test_no_bytes_make_the_reader_raise(data: bytes | str) -> None:
    raw = data if isinstance(data, bytes) else data.encode()

    documents, problems = read_documents(raw, PATH)

    assert not (documents and problems)
    for document in documents:
        json.dumps(document.value, allow_nan=False)
        assert document.place("") is not None
    for problem in problems:
        assert problem.line
        assert problem.column
        assert problem.fix


# ------------------------------------------------------------------------------------------------- documents


def test_several_documents_have_their_own_lines_and_empty_ones_are_skipped() -> None:
    documents = read("---\n---\n# nothing\n---\n\na: 1\n---\nb: 2\n...\n---\n{}\n---\n")

    assert [(document.value, document.line, document.index) for document in documents] == [
        ({"a": 1}, 6, 0),
        ({"b": 2}, 8, 1),
        ({}, 11, 2),
    ]
    assert documents[1].place("/b") == Place(PATH, 8, 4)


@pytest.mark.parametrize("text", ["", "\n", "# only a comment\n", "---\n", "%YAML 1.2\n---\n"])
def test_a_file_without_a_document_has_none_and_no_problem(text: str) -> None:
    assert read(text) == ()


def test_the_directive_of_yaml_1_2_is_allowed_at_the_top_and_after_an_end_mark() -> None:
    documents = read("# head\n%YAML 1.2 # ours\n---\na: 1\n...\n%YAML 1.2\n---\nb: 1\n")

    assert [document.line for document in documents] == [4, 8]


def test_a_closing_bracket_may_stand_under_its_key() -> None:
    assert value("[\n  1,\n  # two\n  2\n]") == [1, 2]
    assert read("a:\n  b: {\n    c: 1\n  }\n")[0].value == {"a": {"b": {"c": 1}}}
    assert only("a:\n  b: {\n    c: 1\n}\n").code == "yaml-syntax"


def test_windows_line_ends_read_like_any_other() -> None:
    (document,) = read("a: |\r\n  x\r\n  y\r\nb: 1\r\n")

    assert document.value == {"a": "x\ny\n", "b": 1}
    assert document.place("/b") == Place(PATH, 4, 4)


def test_all_problems_of_a_file_are_reported_at_once_and_no_document() -> None:
    problems = refused("a: yes\na: 0777\nb: *x\nc: [.inf, !!str d]\n1: \u200b\n---\n- e\n---\nf: 1\n")

    assert [(problem.code, problem.line) for problem in problems] == [
        ("yaml-1.1", 1),
        ("duplicate-key", 2),
        ("yaml-1.1", 2),
        ("yaml-alias", 3),
        ("yaml-number", 4),
        ("yaml-tag", 4),
        ("yaml-key", 5),
        ("yaml-invisible", 5),
        ("yaml-shape", 7),
    ]


def test_a_syntax_error_ends_the_file_but_not_what_was_found_before_it() -> None:
    assert [problem.code for problem in refused("a: yes\nb: [\n")] == ["yaml-1.1", "yaml-syntax"]


def test_at_most_a_hundred_problems_are_reported() -> None:
    assert len(refused("a: yes\n---\n" * 500)) == MAX_PROBLEMS


def test_a_duplicate_key_shows_both_places() -> None:
    problem = only("name: MFA\nenabled: true   # on\ntype: access\n\nenabled: false\n")

    assert problem.message == '"enabled" is set twice'
    assert (problem.line, problem.column, problem.span) == (5, 1, 7)
    assert problem.label == "set again here; YAML would keep this one"
    assert problem.related == ((2, 1, len("enabled: true   # on"), "set here first"),)
    assert problem.excerpt == ((2, "enabled: true   # on"), (5, "enabled: false"))
    assert problem.fix == "delete line 2 or line 5"


def test_the_same_key_in_two_mappings_is_no_duplicate() -> None:
    assert value("[{a: 1}, {a: 2}]") == [{"a": 1}, {"a": 2}]


def test_an_invisible_character_is_named_in_the_message() -> None:
    assert only("a: b\u202ec\n").message == r"the character \u202e (right-to-left override) is not allowed"


def test_a_message_never_carries_the_text_of_the_file_unescaped() -> None:
    problems = refused(b'"\\e]0;x\\a": 1\n"\\e]0;x\\a": 2\n')

    assert {problem.code for problem in problems} == {"yaml-invisible", "duplicate-key"}
    assert all(problem.message.isprintable() for problem in problems)


def test_a_line_too_long_to_print_is_left_out_of_the_excerpt() -> None:
    problem = only("a: yes\nb: [" + "x, " * 3000 + "x]\n")

    assert problem.excerpt == ((1, "a: yes"),)
    assert only("b: [" + "x, " * 3000 + "no]\n").excerpt == ()


# ---------------------------------------------------------------------------------------------------- places

NESTED = """\
# comment
name: MFA
rules:
  - first
  - {kind: ip, range: [10.0.0.0/8,
      "x"]}
a/b: {c~d: 1}
text: |
  one
  two
empty:
"""


@pytest.mark.parametrize(
    ("pointer", "value_spot", "key_spot"),
    [
        ("", (2, 1, 9), None),
        ("/name", (2, 7, 3), (2, 1, 4)),
        ("/rules", (4, 3, 7), (3, 1, 5)),
        ("/rules/0", (4, 5, 5), None),
        ("/rules/1", (5, 5, 30), None),
        ("/rules/1/kind", (5, 12, 2), (5, 6, 4)),
        ("/rules/1/range", (5, 23, 12), (5, 16, 5)),
        ("/rules/1/range/1", (6, 7, 3), None),
        ("/a~1b", (7, 6, 8), (7, 1, 3)),
        ("/a~1b/c~0d", (7, 12, 1), (7, 7, 3)),
        ("/text", (8, 7, 1), (8, 1, 4)),
        ("/empty", (11, 7, 1), (11, 1, 5)),
    ],
)
def test_every_value_and_every_key_has_a_place(
    pointer: str, value_spot: tuple[int, int, int], key_spot: tuple[int, int, int] | None
) -> None:
    (document,) = read(NESTED)

    assert document.spot(pointer) == value_spot
    assert document.spot(pointer, key=True) == (key_spot or value_spot)
    assert document.place(pointer) == Place(PATH, *value_spot[:2])


def test_what_the_file_does_not_say_has_no_place() -> None:
    (document,) = read(NESTED)

    assert document.place("/nothing") is None
    assert document.place("/rules/2") is None
    assert document.place("/rules/01") is None
    assert document.place("/name/x", key=True) is None
    assert replace(document, index=7).place("/name") is None
    assert replace(document, text="[").place("/name") is None


def test_places_cost_no_more_than_the_file_however_long_its_keys_are() -> None:
    (document,) = read(f"? {'k' * 500_000}\n: [" + "x," * 100_000 + "]\n")
    tracemalloc.start()

    spot = document.spot(f"/{'k' * 500_000}/99999")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert spot == (2, 4 + 2 * 99_999, 1)
    assert peak < 100 * MAX_BYTES


def test_a_problem_carries_what_is_needed_to_print_it() -> None:
    (document,) = read("name: x\nseverity: medum\n")

    problem = make_problem(
        document,
        "unknown-value",
        'severity cannot be "medum"',
        "/severity",
        label='did you mean "medium"?',
        fix="write medium",
        allowed=("high", "medium"),
        why="severity decides which guards must approve a change",
    )

    assert problem == Problem(
        code="unknown-value",
        severity=Severity.ERROR,
        message='severity cannot be "medum"',
        path=PATH,
        line=2,
        column=11,
        pointer="/severity",
        fix="write medium",
        span=5,
        label='did you mean "medium"?',
        allowed=("high", "medium"),
        why="severity decides which guards must approve a change",
        excerpt=((2, "severity: medum"),),
    )


def test_a_problem_with_what_is_missing_stands_at_the_nearest_thing_around_it() -> None:
    (document,) = read("name: x\nmetadata:\n  owner: z\n")

    deep = make_problem(document, "missing-key", "…", "/metadata/review/by", severity=Severity.WARNING)
    top = make_problem(document, "missing-key", "…", "/id")

    assert (deep.line, deep.column, deep.pointer) == (2, 1, "/metadata/review/by")
    assert deep.severity is Severity.WARNING
    assert (top.line, top.column, top.excerpt) == (1, 1, ((1, "name: x"),))


def test_a_problem_with_a_key_underlines_the_key() -> None:
    (document,) = read("nme: x\n")

    problem = make_problem(document, "unknown-key", "…", "/nme", key=True)

    assert (problem.line, problem.column, problem.span) == (1, 1, 3)


def test_an_excerpt_has_the_lines_asked_for_once_and_in_order() -> None:
    assert excerpt("a\r\nb\nc", [3, 1, 3, 9, 0]) == ((1, "a"), (3, "c"))


# ------------------------------------------------------------------------------------------------------ laws


class Dumper(yaml.SafeDumper):
    """Writes text in quotes or blocks, so that YAML 1.1 and 1.2 cannot differ on it, and never an alias."""

    text_style = '"'

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _represent_text(dumper: Dumper, data: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", data, style=dumper.text_style)


Dumper.add_representer(str, _represent_text)


class SingleDumper(Dumper):
    text_style = "'"


class LiteralDumper(Dumper):
    text_style = "|"


visible = st.characters(codec="utf-8", categories=("L", "M", "N", "P", "S", "Zs")).filter(lambda c: not is_refused(c))
texts = st.text(alphabet=visible | st.sampled_from("\n\t #:-'\"?"), max_size=20)
keys = st.text(alphabet=st.characters(codec="ascii", categories=("L", "N", "P", "S", "Zs")), max_size=10)
numbers = st.integers(-MAX_INTEGER, MAX_INTEGER) | st.floats(allow_nan=False, allow_infinity=False)
values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4),
    max_leaves=12,
)
mappings = st.dictionaries(keys, values, max_size=4)


def typed(found: Any) -> Any:
    """Make `==` strict: True is not 1, 1 is not 1.0."""
    if isinstance(found, dict):
        return {key: typed(inner) for key, inner in found.items()}
    if isinstance(found, list):
        return [typed(inner) for inner in found]
    return type(found).__name__, found


@given(values)
def test_json_is_read_as_what_it_says(written: Any) -> None:
    spaced = json.dumps(written, ensure_ascii=False)
    indented = json.dumps(written, ensure_ascii=False, indent=2)

    assert typed(load_yaml(spaced.encode())) == typed([written])
    assert typed(load_yaml(indented.encode())) == typed([written])


@given(mappings, st.sampled_from([Dumper, SingleDumper, LiteralDumper]), st.booleans())
def test_what_yaml_writers_write_is_read_back_equal(written: Any, dumper: type[Dumper], flow: bool) -> None:
    text = yaml.dump(written, Dumper=dumper, allow_unicode=True, default_flow_style=flow)

    (document,) = read(text)

    assert typed(document.value) == typed(written)


@given(mappings)
def test_every_pointer_of_a_document_has_a_place_with_that_value(written: Any) -> None:
    (document,) = read(json.dumps(written, ensure_ascii=False, indent=1))

    def walk(pointer: str, inner: Any) -> None:
        spot = document.spot(pointer)
        assert spot is not None
        line = document.text.split("\n")[spot.line - 1]
        assert line[spot.column - 1 :].startswith(json.dumps(inner, ensure_ascii=False, indent=1).split("\n")[0])
        if isinstance(inner, dict):
            for key, below in inner.items():
                at = f"{pointer}/{key.replace('~', '~0').replace('/', '~1')}"
                named = document.spot(at, key=True)
                assert named is not None
                assert document.text.split("\n")[named.line - 1][named.column - 1 :].startswith(json.dumps(key))
                walk(at, below)
        elif isinstance(inner, list):
            for index, below in enumerate(inner):
                walk(f"{pointer}/{index}", below)

    walk("", written)


def test_load_yaml_takes_any_json_value_and_raises_all_problems() -> None:
    assert load_yaml(b"1\n---\n- a\n---\n") == [1, ["a"], None]

    with pytest.raises(FilesError) as caught:
        load_yaml(b"[yes, no]")

    assert [problem.column for problem in caught.value.problems] == [2, 7]


# ------------------------------------------------------------------------------------------------------ docs


def test_every_code_of_the_reader_stands_in_its_page() -> None:
    root = Path(__file__).parents[2]
    modules = [root / "reconciler" / "core" / f"{name}.py" for name in ("documents", "scalars", "syntax")]
    page = (root / "docs" / "yaml.md").read_text(encoding="utf-8")

    used = {code for path in modules for code in CODE.findall(path.read_text(encoding="utf-8"))}

    assert len(used) == 20
    assert {code for code in used if f"`{code}`" not in page} == set()
