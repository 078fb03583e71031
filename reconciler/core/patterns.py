"""Regular expressions of JSON Schema (ECMA-262) in Python's words, where the two mean different things.

`$` is the end and never the place before a last newline, `\\d` and `\\w` are ASCII, `\\p{…}` is a Unicode category
(reliability.md D9). Anything else is left to Python, which refuses what it does not know.
"""

from __future__ import annotations

import re
import sys
import unicodedata
from functools import lru_cache
from typing import Final

_CLASSES: Final = {"d": "0-9", "w": "A-Za-z0-9_"}
_NEGATED: Final = {"D": "[^0-9]", "W": "[^A-Za-z0-9_]"}
_PROPERTY: Final = re.compile(r"\\([pP])\{(?:General_Category=|gc=)?([A-Za-z_]+)\}")
_CATEGORIES: Final = {
    "Letter": "L",
    "Lowercase_Letter": "Ll",
    "Uppercase_Letter": "Lu",
    "Mark": "M",
    "Number": "N",
    "Decimal_Number": "Nd",
    "digit": "Nd",
    "Punctuation": "P",
    "Symbol": "S",
    "Separator": "Z",
    "Other": "C",
}


@lru_cache(maxsize=1024)
def compile_pattern(pattern: str) -> re.Pattern[str]:
    r"""Return *pattern* compiled with the meaning JSON Schema gives it; raises `re.error` for one Python cannot know.

    >>> bool(compile_pattern("^a$").search("a\n")), bool(compile_pattern(r"^\d$").search("\u0665"))
    (False, False)
    """
    pieces, at, in_class = [], 0, False
    while at < len(pattern):
        char = pattern[at]
        if char == "\\":
            piece, at = _escape(pattern, at, in_class)
            pieces.append(piece)
            continue
        if char == "[" and not in_class:
            in_class = True
        elif char == "]":
            in_class = False
        pieces.append(r"\Z" if char == "$" and not in_class else char)
        at += 1
    return re.compile("".join(pieces))


def _escape(pattern: str, at: int, in_class: bool) -> tuple[str, int]:
    """Translate the escape at *at*; return it and where the pattern goes on."""
    if match := _PROPERTY.match(pattern, at):
        ranges = _ranges_of(_CATEGORIES.get(match[2], match[2]), negated=match[1] == "P")
        return ranges if in_class else f"[{ranges}]", match.end()
    name = pattern[at + 1 : at + 2]
    if name in _CLASSES:
        return _CLASSES[name] if in_class else f"[{_CLASSES[name]}]", at + 2
    if name in _NEGATED and not in_class:
        return _NEGATED[name], at + 2
    return pattern[at : at + 2], at + 2


@lru_cache(maxsize=16)
def _ranges_of(category: str, *, negated: bool) -> str:
    """The code points of a Unicode general category (`L`, `Lu` …) as ranges of a character class."""
    ranges: list[list[int]] = []
    for code in range(sys.maxunicode + 1):
        if unicodedata.category(chr(code)).startswith(category) != negated:
            if ranges and ranges[-1][1] == code - 1:
                ranges[-1][1] = code
            else:
                ranges.append([code, code])
    if not ranges:
        raise re.error(f"no Unicode category {category}")
    return "".join(f"\\U{low:08x}-\\U{high:08x}" for low, high in ranges)
