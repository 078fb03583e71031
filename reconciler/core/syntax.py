"""What libyaml gets wrong, says badly or accepts too much of, put right: guards on the text, and errors in our words.

libyaml reads YAML 1.1. It refuses some documents that YAML 1.2 allows and takes a few that no version allows. What it
refuses gets a named reason here (`yaml-tab`, `yaml-colon`, `yaml-document`, `yaml-directive`, `yaml-question`): a
smaller language than YAML 1.2, told in `docs/yaml.md`. What it takes wrongly is refused by the guards below; the test
over the YAML test suite shows that nothing is left.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from typing import Any

from yaml.error import MarkedYAMLError

from reconciler.core.excerpts import Spot, split_lines, spot_at
from reconciler.core.safe import escape, has_hidden, is_hidden


class SyntaxFault(ValueError):
    """Something that is not the YAML we read: code, sentence, place, what to say there, way out."""

    def __init__(
        self,
        code: str,
        message: str,
        spot: Spot,
        *,
        label: str = "",
        fix: str,
        related: tuple[tuple[int, int, int, str], ...] = (),
    ) -> None:
        super().__init__(message)
        self.code, self.message, self.spot = code, message, spot
        self.label, self.fix, self.related = label, fix, related


# ----------------------------------------------------------------------------------------------- characters

#: Unassigned, but reserved for characters that draw nothing, or no characters at all.
_RESERVED = re.compile("[\u2065\ufdd0-\ufdef\ufff0-\ufff8\ufffe\uffff\U000e0000-\U000e0fff]")
_BARE_CR = re.compile("\r(?!\n)")


def is_refused(char: str) -> bool:
    """Whether a file may not hold *char*, raw or escaped: what the eye misses or a terminal obeys.

    The list is that of `safe`, less line break, tab, and characters that this Python's Unicode does not know yet.
    """
    if char in "\n\t":
        return False
    if unicodedata.category(char) == "Cn":
        return _RESERVED.match(char) is not None or ord(char) & 0xFFFE == 0xFFFE
    return is_hidden(char)


def find_refused(text: str) -> Iterator[tuple[int, str]]:
    """Yield index and character of everything in a file's raw text that may not stand there, in order.

    A CR without LF is one of them: a line end to YAML, and to hardly any viewer.
    """
    if not has_hidden(text.replace("\n", "")):
        return
    wrong = {char for char in set(text) if char != "\r" and is_refused(char)}
    pattern = re.compile("|".join((*map(re.escape, sorted(wrong)), _BARE_CR.pattern)))
    for match in pattern.finditer(text):
        yield match.start(), match.group()


def moves_lines(char: str) -> bool:
    """Whether *char* ends a line for libyaml but for hardly anything else, so that its marks mean other lines."""
    return char in "\r\x85\u2028\u2029"


def describe(char: str) -> str:
    r"""Return the escape and, where Unicode has one, the name: `\u202e (right-to-left override)`."""
    name = unicodedata.name(char, "").lower()
    return f"{escape(char)} ({name})" if name else escape(char)


# --------------------------------------------------------------------------- what libyaml accepts and YAML does not

_HEADER = re.compile(r"[|>]([-+0-9]*)")


def check_block_scalar(text: str, start: Any, indent: int) -> None:
    """Refuse a block scalar whose header or first lines YAML would not allow.

    libyaml takes `># comment`, and blank lines indented deeper than the first line of text.
    """
    lines = split_lines(text)
    first = lines[start.line]
    header = _HEADER.match(first, start.column)
    if header is None:
        return
    if first[header.end() : header.end() + 1] == "#":
        raise _unseparated(Spot(start.line + 1, header.end() + 1))
    if any(char.isdigit() for char in header.group(1)):
        return
    blanks: list[tuple[int, int]] = []
    for number in range(start.line + 1, len(lines)):
        line = lines[number]
        depth = len(line) - len(line.lstrip(" "))
        if depth == len(line):
            blanks.append((number, depth))
            continue
        if depth <= indent:
            return
        for blank, width in blanks:
            if width > depth:
                raise SyntaxFault(
                    "yaml-syntax",
                    "a blank line is indented deeper than the text after it",
                    Spot(blank + 1, depth + 1, width - depth),
                    label="trailing blanks",
                    fix="remove the blanks of this line",
                )
        return


def check_indent(text: str, start: Any, end: Any, indent: int, *, brackets: bool) -> None:
    """Refuse continuation lines that do not stand deeper than *indent*, the column of the block around them.

    libyaml takes them at any column. A line of nothing but closing brackets may stand at the block's own column: YAML
    forbids it, everybody writes it, and nothing else can be meant.
    """
    lines = split_lines(text)
    for number in range(start.line + 1, min(end.line + 1, len(lines))):
        line = lines[number]
        depth = len(line) - len(line.lstrip(" "))
        if depth > indent:
            continue
        rest = line.lstrip(" \t")
        if not rest or (brackets and rest[0] == "#"):
            continue
        if brackets and rest[0] in "]}" and depth == len(line) - len(rest) == indent:
            continue
        if line[depth] == "\t":
            raise SyntaxFault(
                "yaml-tab",
                "a tab indents this line",
                Spot(number + 1, depth + 1),
                label="a tab",
                fix=f"indent with at least {indent + 1} blank{'s' if indent else ''} instead",
            )
        raise SyntaxFault(
            "yaml-syntax",
            "this line goes on with a value, but is not indented deeper than its key",
            Spot(number + 1, depth + 1, len(rest.rstrip())),
            label="belongs to the value above",
            fix=f"indent this line by at least {indent + 1} blank{'s' if indent else ''}",
            related=((start.line + 1, start.column + 1, 1, "the value begins here"),),
        )


_DIRECTIVE = re.compile(r"%YAML[ \t]+1\.2[ \t]*(?:[ \t]#.*)?")


def check_directives(text: str, event: Any, *, ended: bool) -> None:
    """Refuse every directive but `%YAML 1.2` at the top of the file or after `...`."""
    lines = split_lines(text)
    for number in range(event.start_mark.line, event.end_mark.line + 1):
        line = lines[number]
        if not line.startswith("%"):
            continue
        spot = Spot(number + 1, 1, len(line.rstrip()))
        if not _DIRECTIVE.fullmatch(line.rstrip()):
            raise SyntaxFault(
                "yaml-directive",
                "only the directive %YAML 1.2 is allowed",
                spot,
                label="another directive",
                fix="remove this line",
            )
        if not ended:
            raise SyntaxFault(
                "yaml-directive",
                "a directive stands behind a document that has not ended",
                spot,
                fix="remove this line, or write ... on a line before it",
            )


_SUSPECT = re.compile(r"\S#|\?\S")
_COMMENT_OR_QUESTION = re.compile(r"#[^\n]*|\?(?=\S)")


def may_have_bad_gaps(text: str) -> bool:
    """Whether `check_gaps` is worth a second pass: a `#` stands right behind something, or a `?` right before."""
    return ("#" in text or "?" in text) and _SUSPECT.search(text) is not None


def check_gaps(text: str, scalars: Iterator[tuple[int, int]]) -> None:
    """Refuse a comment that touches what is before it (`[a]#b`), and a `?` that touches what follows (`[?a]`).

    libyaml takes the first, which YAML forbids, and reads the second as a key mark, where YAML 1.2 reads text.
    *scalars* are the (start, end) indices of all scalars, in order; whatever lies between is structure and comments.
    """
    end = 0
    for start, next_end in (*scalars, (len(text), len(text))):
        # One character more than the gap, so that a look-ahead can see what follows.
        for found in _COMMENT_OR_QUESTION.finditer(text, end, min(start + 1, len(text))):
            at = found.start()
            if at >= start:
                continue
            if text[at] == "?":
                raise SyntaxFault(
                    "yaml-question",
                    "a question mark touches what follows",
                    spot_at(text, at),
                    label="text to YAML 1.2, a key mark to YAML 1.1",
                    fix="put the value in quotes",
                )
            if at and not text[at - 1].isspace():
                raise _unseparated(spot_at(text, at))
        end = next_end


def _unseparated(spot: Spot) -> SyntaxFault:
    return SyntaxFault(
        "yaml-syntax",
        "a comment begins right behind a value",
        spot,
        label="no blank before this",
        fix="write a blank before #, or put the value in quotes if # belongs to it",
    )


# ------------------------------------------------------------------------------------ what libyaml says when it stops

_INDENT_FIX = "compare the indentation of this line with the lines above; blanks only"

#: libyaml's words (the beginning is enough) to ours: code, sentence, label, fix.
_WORDS: tuple[tuple[str, tuple[str, str, str, str]], ...] = (
    ("did not find expected key", ("yaml-syntax", "this line does not fit the mapping it stands in", "", _INDENT_FIX)),
    ("did not find expected '-'", ("yaml-syntax", "this line does not fit the list it stands in", "", _INDENT_FIX)),
    (
        "did not find expected ',' or '}'",
        ("yaml-syntax", "a comma or a closing } is missing before this", "", "close the brace, or write a comma"),
    ),
    (
        "did not find expected ',' or ']'",
        ("yaml-syntax", "a comma or a closing ] is missing before this", "", "close the bracket, or write a comma"),
    ),
    (
        "did not find expected node content",
        ("yaml-syntax", "a value is missing before this", "", "write the value, or remove what announces it"),
    ),
    (
        "could not find expected ':'",
        (
            "yaml-syntax",
            "a key without its colon",
            "",
            "write a colon and a blank behind the key, or indent the line if it goes on with the value above",
        ),
    ),
    (
        "mapping values are not allowed",
        (
            "yaml-colon",
            "a colon stands where no key can be",
            "",
            "put the whole value in quotes if the colon belongs to it; else give the key a line of its own",
        ),
    ),
    (
        "block sequence entries are not allowed",
        ("yaml-syntax", "a list item stands where none can begin", "", "begin the list on the line after its key"),
    ),
    (
        "mapping keys are not allowed",
        ("yaml-syntax", "a ? stands where no key can be", "", "put the value in quotes if ? belongs to it"),
    ),
    (
        "found unknown escape character",
        (
            "yaml-syntax",
            "there is no such escape in a double-quoted text",
            "",
            r"write \\ for a backslash, or use single quotes, which know no escapes",
        ),
    ),
    (
        "found invalid Unicode character escape",
        (
            "yaml-syntax",
            "this escape is not a Unicode character",
            "",
            r"write the character itself; one beyond \uffff is \U and eight digits",
        ),
    ),
    (
        "did not find expected hexdecimal number",
        ("yaml-syntax", "this escape needs hexadecimal digits", "", r"write \xNN, \uNNNN or \UNNNNNNNN"),
    ),
    (
        "found unexpected document indicator",
        ("yaml-syntax", "a document mark stands inside a quoted text", "", "close the quote, or indent this line"),
    ),
    (
        "did not find expected comment or line break",
        ("yaml-syntax", "text follows a block mark on its own line", "", "begin the text on the next line"),
    ),
    (
        "found a tab character",
        ("yaml-tab", "a tab stands where only blanks may", "a tab", "write blanks instead of the tab"),
    ),
    (
        "did not find expected <document start>",
        (
            "yaml-document",
            "this stands outside of any document",
            "",
            "write --- on a line before a new document, or indent the line if it belongs to what is above",
        ),
    ),
)


def explain(text: str, error: MarkedYAMLError) -> SyntaxFault:
    """Return libyaml's error in our words, with a code of ours."""
    mark: Any = error.problem_mark or error.context_mark
    if mark is None:
        return SyntaxFault("yaml-syntax", "this is not YAML", Spot(1, 1), fix="see the lines around this place")
    problem, context = str(error.problem or ""), str(error.context or "")
    spot, char = Spot(mark.line + 1, mark.column + 1), text[mark.index : mark.index + 1]
    opened: tuple[tuple[int, int, int, str], ...] = ()
    start: Any = error.context_mark or mark
    if start.line != mark.line:
        opened = ((start.line + 1, start.column + 1, 1, "begins here"),)

    def fault(code: str, message: str, label: str, fix: str) -> SyntaxFault:
        return SyntaxFault(code, message, spot, label=label, fix=fix, related=opened)

    if "directive" in context or "directive" in problem or "incompatible YAML document" in problem:
        return SyntaxFault(
            "yaml-directive",
            "a line that begins with % is a directive, and only %YAML 1.2 is allowed",
            Spot(start.line + 1, start.column + 1, len(split_lines(text)[start.line].rstrip())),
            fix="remove this line, or indent it if it is text",
        )
    if "anchor" in context or "alias" in context:
        return fault(
            "yaml-anchor", "anchors and aliases are not allowed", "", "write the value out, or put it in quotes"
        )
    if "tag" in context or "tag" in problem:
        return fault("yaml-tag", "tags are not allowed", "", "remove the tag, or put the value in quotes")
    if problem == "found unexpected end of stream":
        return SyntaxFault(
            "yaml-syntax",
            "a quote is opened and never closed",
            Spot(start.line + 1, start.column + 1),
            label="opened here",
            fix="close the quote",
        )
    if char == "\t":
        return fault("yaml-tab", "a tab stands where only blanks may", "a tab", "write blanks instead of the tab")
    if problem.startswith("did not find expected ','") and char == ":":
        return fault(
            "yaml-colon",
            "this colon does not stand right behind a key, inside brackets that are still open",
            "",
            "close the bracket above first; or write key, colon and blank on one line",
        )
    if (char == ":" or "unexpected ':'" in problem) and not problem.startswith("mapping values"):
        return fault(
            "yaml-colon",
            "this colon has no key on its line, or touches what follows",
            "",
            "write key, colon and blank on one line; put a value that begins or ends with a colon in quotes",
        )
    if mark.column == 0 and text.startswith("...", mark.index):
        return fault("yaml-document", "this ends a document that has not begun", "", "remove this line")
    if problem == "found character that cannot start any token":
        shown = escape(char) if char and is_hidden(char) else char
        return fault("yaml-syntax", f"an unquoted value cannot begin with {shown}", "", "put the value in quotes")
    for words, ours in _WORDS:
        if problem.startswith(words):
            return fault(*ours)
    return fault("yaml-syntax", "this is not YAML", "", "see the lines around this place")
