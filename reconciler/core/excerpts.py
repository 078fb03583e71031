"""Places in a text file, and problems that carry the lines a reader needs to see, so nobody opens the file again."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

from reconciler.core.model import Problem, Severity

#: A longer line is left out of excerpts, so that 100 problems of one file stay small.
MAX_EXCERPT_LINE = 4000

_LINE_END = re.compile("\r\n|\r|\n")


class Spot(NamedTuple):
    """Where to put the carets: line and column from 1, and how many characters."""

    line: int
    column: int
    span: int = 1


@lru_cache(maxsize=4)
def split_lines(text: str) -> tuple[str, ...]:
    """Return the lines of *text* without their ends, as a YAML reader counts them: LF, CRLF or CR."""
    return tuple(_LINE_END.split(text))


def excerpt(text: str, lines: Iterable[int]) -> tuple[tuple[int, str], ...]:
    """Return these lines of *text* with their numbers (from 1), in order, once each.

    Numbers outside the file and lines too long to print are left out.
    """
    whole = split_lines(text)
    wanted = sorted({line for line in lines if 1 <= line <= len(whole)})
    return tuple((line, whole[line - 1]) for line in wanted if len(whole[line - 1]) <= MAX_EXCERPT_LINE)


def spot_at(text: str, index: int, span: int = 1) -> Spot:
    """Return the line and column of the character at *index*."""
    starts = _line_starts(text)
    line = bisect_right(starts, index)
    return Spot(line, index - starts[line - 1] + 1, span)


@lru_cache(maxsize=4)
def _line_starts(text: str) -> tuple[int, ...]:
    return (0, *(end.end() for end in _LINE_END.finditer(text)))


def problem_at(
    text: str,
    path: str,
    code: str,
    message: str,
    spot: Spot,
    *,
    pointer: str | None = None,
    severity: Severity = Severity.ERROR,
    label: str = "",
    fix: str | None = None,
    allowed: tuple[str, ...] = (),
    why: str | None = None,
    related: tuple[tuple[int, int, int, str], ...] = (),
) -> Problem:
    """Return a problem at *spot*, with its line and those of *related* cut out of *text*.

    A spot behind the last character moves to the end of the last line that has any text.
    """
    whole = split_lines(text)
    if spot.line > len(whole) or (spot.line == len(whole) > 1 and not whole[-1]):
        last = max((number for number, line in enumerate(whole, 1) if line.strip()), default=1)
        spot = Spot(last, len(whole[last - 1].rstrip()) + 1, 1)
    return Problem(
        code=code,
        severity=severity,
        message=message,
        path=path,
        line=spot.line,
        column=spot.column,
        pointer=pointer,
        fix=fix,
        span=max(1, spot.span),
        label=label,
        allowed=allowed,
        why=why,
        related=related,
        excerpt=excerpt(text, (spot.line, *(line for line, *_ in related))),
    )
