"""Lines of at most 80 columns made of coloured pieces, for every text a person reads in a terminal.

Colour is put on last, so that the text with its codes taken out is the text without colour, byte for byte. What comes
in here has passed `safe()`.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, TypeAlias

from reconciler.core.safe import for_log

WIDTH: Final = 80

#: A piece of a line: its text, and the name of its style (empty: none).
Piece: TypeAlias = tuple[str, str]
Line: TypeAlias = Sequence[Piece]

_STYLES: Final[Mapping[str, Mapping[str, str | bool]]] = {
    "danger": {"fg": "red", "bold": True},
    "red": {"fg": "red"},
    "yellow": {"fg": "yellow"},
    "green": {"fg": "green"},
    "cyan": {"fg": "cyan"},
    "bold": {"bold": True},
    "dim": {"dim": True},
    "strict": {"fg": "black", "bg": "yellow"},
    "monitoring": {"fg": "black", "bg": "cyan"},
}


def columns(text: str) -> int:
    """Return how many columns a terminal uses for *text*."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text
    )


def paint(lines: Iterable[Line], *, color: bool) -> str:
    """Return *lines* as one text without a final newline; no line ends in blanks, none is a command to a CI system."""
    tidy = [_tidy(line) for line in lines]
    if not color:
        return "\n".join("".join(text for text, _ in line) for line in tidy)
    import click

    def styled(piece: Piece) -> str:
        text, style = piece
        return click.style(text, **_STYLES[style]) if style and text.strip() else text  # type: ignore[arg-type]

    return "\n".join("".join(map(styled, line)) for line in tidy)


def _tidy(line: Line) -> list[Piece]:
    """A line without blanks at its end. One that a runner would obey loses its colours and the command.

    Runners look for `::` behind leading blanks, too, and for `##[` anywhere.
    """
    text = "".join(piece for piece, _ in line)
    harmless = for_log(text, prefix="")
    if harmless.lstrip().startswith("::"):
        harmless = harmless.replace("::", r"\x3a:", 1)
    if harmless != text:
        return [(harmless.rstrip(), "")]
    pieces = list(line)
    while pieces:
        piece, style = pieces[-1]
        if piece.rstrip():
            pieces[-1] = (piece.rstrip(), style)
            break
        pieces.pop()
    return pieces


def flush(left: Line, right: Line, width: int = WIDTH, *, indent: int = 11) -> list[Line]:
    """Return *left* with *right* at the right edge; on a line of its own when there is no room. Nothing is cut."""
    used, tail = sum(columns(text) for text, _ in left), sum(columns(text) for text, _ in right)
    if used + tail + 2 <= width or not tail:
        return [[*left, (" " * (width - used - tail) if tail else "", ""), *right]]
    return [*broken(left, width, indent), [(" " * max(0, width - tail), ""), *right]]


def broken(line: Line, width: int, indent: int) -> list[Line]:
    """Return a line broken at the edge as often as it must be, the rest indented; nothing is cut."""
    lines: list[list[Piece]] = [[]]
    room = width
    for text, style in line:
        for index, part in enumerate(_chunks(text, room, width - indent)):
            if index:
                lines.append([(" " * indent, "")])
                room = width - indent
            lines[-1].append((part, style))
            room -= columns(part)
    return [list(each) for each in lines]


def _chunks(text: str, first: int, other: int) -> Iterator[str]:
    """Cut *text* so that the first chunk has *first* columns and the next have *other*."""
    chunk, used, room = "", 0, first
    for char in text:
        wide = columns(char)
        if used + wide > room:
            yield chunk
            chunk, used, room = "", 0, max(other, 2)
        chunk += char
        used += wide
    yield chunk


def wrap(text: str, width: int = WIDTH, *, first: str = "", indent: int = 0, style: str = "") -> list[Line]:
    """Return *text* broken at blanks where it can be; words wider than a line are broken anywhere.

    *first* stands before it, the lines that follow are indented by *indent*. Runs of blanks inside a line stay.
    """
    lines: list[str] = []
    current, used = "", columns(first)
    for word in _words(text):
        size = columns(word.rstrip(" "))
        if current.strip() and used + size > width:
            lines.append(current)
            current, used = "", indent
        while used + columns(word.rstrip(" ")) > width:
            head, *_ = _chunks(word, width - used, width)
            lines.append(current + head)
            word, current, used = word[len(head) :], "", indent
        current += word
        used += columns(word)
    lines.append(current)
    return [[(first if number == 0 else " " * indent, ""), (line, style)] for number, line in enumerate(lines)]


def _words(text: str) -> Iterator[str]:
    """Split into words, each with the blanks behind it."""
    word = ""
    for char in text:
        if word.endswith(" ") and char != " ":
            yield word
            word = ""
        word += char
    if word:
        yield word
