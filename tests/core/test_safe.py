"""Nothing untrusted reaches a terminal, a log or a page as anything but visible text."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.core.safe import (
    escape,
    for_log,
    for_markdown,
    for_markdown_block,
    has_hidden,
    is_hidden,
    quoted,
    safe,
    safe_multiline,
)

HIDDEN_CATEGORIES = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\x1b[2J", r"a\x1b[2J"),
        ("a\x9b2J", r"a\x9b2J"),
        ("\x1b]8;;http://evil\x07x", r"\x1b]8;;http://evil\x07x"),
        ("a\rb", r"a\rb"),
        ("a\nb", r"a\nb"),
        ("a\tb", r"a\tb"),
        ("a\bb", r"a\x08b"),
        ("\x00", r"\x00"),
        ("\x7f", r"\x7f"),
        ("admin\u202egpj", r"admin\u202egpj"),
        ("a\u061cb", r"a\u061cb"),
        ("a\u200eb\u200fc", r"a\u200eb\u200fc"),
        ("\u2066x\u2069", r"\u2066x\u2069"),
        ("pay\u200bpal", r"pay\u200bpal"),
        ("a\u200db", r"a\u200db"),
        ("a\u2060b", r"a\u2060b"),
        ("\ufeffa", r"\ufeffa"),
        ("\U000e0041", r"\U000e0041"),
        ("\U000e0101", r"\U000e0101"),
        ("a\u00adb", r"a\xadb"),
        ("a\u2028b\u2029c", r"a\u2028b\u2029c"),
        ("\ud800", r"\ud800"),
        ("\ue000", r"\ue000"),
        ("\uffff", r"\uffff"),
        ("\u3164", r"\u3164"),
        ("\u034f", r"\u034f"),
    ],
)
def test_what_the_eye_misses_or_a_terminal_obeys_becomes_a_visible_escape(text: str, shown: str) -> None:
    assert safe(text) == shown


@pytest.mark.parametrize("text", ["", "plain", "Zürich · 東京", "⚠️ critical", "a b", r"C:\new", "'\"`<&>"])
def test_printable_text_stays_as_it_is(text: str) -> None:
    assert safe(text) == text


def test_separate_accents_are_composed() -> None:
    assert safe("e\u0301") == "\u00e9"


def test_a_long_text_is_cut_and_says_so() -> None:
    assert safe("x" * 201) == "x" * 198 + ".."
    assert safe("x" * 200) == "x" * 200
    assert safe("abcdef", limit=5) == "abc.."


def test_an_escape_is_never_cut_in_two() -> None:
    assert safe("ab\u202ecd", limit=9) == "ab.."
    assert safe("ab\u202ecd", limit=10) == r"ab\u202ecd"


def test_quotes_are_put_around_a_safe_text() -> None:
    assert quoted("a\nb") == r'"a\nb"'


def test_lines_of_a_text_stay_lines_and_the_rest_is_counted() -> None:
    assert safe_multiline("a\x1b\r\nb\rc\n") == "a\\x1b\nb\\rc\n"
    assert safe_multiline("1\n2\n3", lines=2) == "1\n2\n.. 1 more lines"


@pytest.mark.parametrize("command", ["::add-mask::x", "::stop-commands::t", "::set-output name=a::b", "##[error]x"])
def test_no_line_of_a_log_begins_with_a_command(command: str) -> None:
    logged = for_log(safe_multiline(f"first\n{command}"))

    assert all(line.startswith("| ") for line in logged.split("\n"))
    assert "##[" not in logged


@pytest.mark.parametrize("command", ["##[add-mask]x", "##vso[task.setvariable]x", "##teamcity[x]", "###[group]x"])
def test_a_command_in_the_middle_of_a_line_is_broken_up(command: str) -> None:
    logged = for_log(f"policy {command}")

    assert r"\x23#" in logged
    assert "##[" not in logged
    assert "##vso[" not in logged
    assert "##teamcity[" not in logged


def test_a_heading_is_not_a_log_command() -> None:
    assert for_log("## Heading") == "| ## Heading"


@pytest.mark.parametrize(
    "text", ["[x](http://evil)", "@team", "a | b", "</code><img src=x>", "`x`", "**b**", "www.e.com"]
)
def test_markdown_can_be_formed_by_no_text(text: str) -> None:
    inner = for_markdown(text).removeprefix("<code>").removesuffix("</code>")

    assert not set(inner) & set("[]()@|<>`*_.!:\"'\\{}~+=$^%?")


def test_a_fence_is_longer_than_any_run_of_backticks() -> None:
    assert for_markdown_block("a", "diff") == "```diff\na\n```"
    assert for_markdown_block("a\n````\nb").startswith("`````\n")


@given(st.text(alphabet=st.characters(codec=None, categories=None)))
def test_no_hidden_character_is_in_a_safe_text(text: str) -> None:
    shown = safe(text)

    assert len(shown) <= 200
    assert not any(unicodedata.category(char) in HIDDEN_CATEGORIES for char in shown)
    assert not has_hidden(shown)
    assert safe(shown) == shown


@given(st.characters(codec=None, categories=None))
def test_escapes_are_plain_text_and_name_the_character(char: str) -> None:
    shown = escape(char)

    assert shown.isascii()
    assert shown.isprintable()
    assert shown.encode().decode("unicode_escape") == char


@given(st.text())
def test_a_text_has_hidden_characters_if_one_of_its_characters_is_hidden(text: str) -> None:
    assert has_hidden(text) == any(is_hidden(char) for char in text)
