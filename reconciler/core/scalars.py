"""What an unquoted YAML scalar means: the YAML 1.2 core schema, and an error wherever YAML 1.1 means something else.

PyYAML, and much else that reads policies, follows 1.1, where `no` is false, `12:30` is 750 and `0777` is 511. Rather
than choose silently, such a scalar is refused with what to write instead (reliability.md D7). Dates stay text: no
JSON type is meant by them in either version that could be mistaken for another.
"""

from __future__ import annotations

import math
import re
from functools import lru_cache

from reconciler.core.model import Json
from reconciler.core.safe import quoted, safe

#: Largest integer that every JSON reader keeps exactly.
MAX_INTEGER = 2**53

#: Bounds what the memo tables keep alive.
MEMO_LENGTH = 64

_NULLS = frozenset(("", "~", "null", "Null", "NULL"))
_TRUE_1_1 = frozenset(("y", "Y", "yes", "Yes", "YES", "True", "TRUE", "on", "On", "ON"))
_FALSE_1_1 = frozenset(("n", "N", "no", "No", "NO", "False", "FALSE", "off", "Off", "OFF"))
_NON_FINITE = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)|-?Infinity|NaN")

_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9]*)")
_OTHER_BASE = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|(?:0|[1-9][0-9]*)(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")

_LEADING_ZERO = re.compile(r"[-+]?0[0-9]+(?:\.[0-9]*)?(?:[eE][-+]?[0-9]+)?")
_SEXAGESIMAL = re.compile(r"[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?")
_UNDERSCORE = re.compile(
    r"[-+]?(?=[^_]*_)(?:0x[0-9a-fA-F_]+|0b[01_]+|(?:[0-9][0-9_]*(?:\.[0-9_]*)?|\.[0-9][0-9_]*)(?:[eE][-+]?[0-9]+)?)"
)
_BINARY = re.compile(r"[-+]?0b[01]+")
_SIGNED_HEX = re.compile(r"[-+]0x[0-9a-fA-F]+")


class ScalarError(ValueError):
    """A plain scalar that may not stand unquoted: stable code, sentence, what to say under it, way out."""

    def __init__(self, code: str, message: str, label: str, fix: str) -> None:
        super().__init__(message)
        self.code, self.message, self.label, self.fix = code, message, label, fix


def resolve_plain(text: str) -> Json:
    """Return the JSON value of an unquoted scalar, or raise `ScalarError`. Not for keys, see `resolve_key`."""
    first = text[:1]
    if first and first in "-+.0123456789":
        return _number(text)
    if text == "true":
        return True
    if text == "false":
        return False
    if text in _NULLS:
        return None
    if text in _TRUE_1_1 or text in _FALSE_1_1:
        raise _not_1_2_boolean(text)
    if _NON_FINITE.fullmatch(text):
        raise _not_finite(text)
    return text


def resolve_key(text: str) -> str:
    """Return an unquoted key, which must be text under both YAML versions, or raise `ScalarError`."""
    if text == "<<":
        raise ScalarError(
            "yaml-merge",
            "merge keys are not allowed",
            "<< would pull in another mapping",
            'write the keys out, or "<<" in quotes if the text is meant',
        )
    value = resolve_plain(text)
    if isinstance(value, str):
        return value
    if not text:
        raise ScalarError("yaml-key", "a key is missing", "nothing stands before this colon", "write the key")
    name = "the null value" if value is None else "a boolean" if isinstance(value, bool) else "a number"
    raise ScalarError(
        "yaml-key",
        f"a key must be text, and {safe(text, 60)} is {name}",
        "not text without quotes",
        f"write {quoted(text)}, in quotes",
    )


#: The same, remembered, for scalars of up to `MEMO_LENGTH` characters: most values of 10,000 files are a few hundred.
memo_plain = lru_cache(maxsize=4096)(resolve_plain)
memo_key = lru_cache(maxsize=1024)(resolve_key)


def _number(text: str) -> Json:
    """Resolve a scalar that begins as a number does; most of them (dates, addresses, versions) are text."""
    if _INTEGER.fullmatch(text):
        return _integer(text, 10)
    if _FLOAT.fullmatch(text):
        return _float(text)
    if _OTHER_BASE.fullmatch(text):
        return _integer(text, 8 if text[1] == "o" else 16)
    if text == "-":
        raise _bare_dash()
    if _NON_FINITE.fullmatch(text):
        raise _not_finite(text)
    for pattern, explain in _AMBIGUOUS:
        if pattern.fullmatch(text):
            raise _ambiguous(text, *explain(text))
    return text


def _integer(text: str, base: int) -> int:
    # A million digits never reach int(), which is quadratic and refuses from 4,300 digits on.
    value = int(text, 8 if base == 8 else base) if len(text) < 30 else MAX_INTEGER + 1
    if abs(value) > MAX_INTEGER:
        raise ScalarError(
            "yaml-number",
            f"{safe(text, 40)} is too large for a number",
            "beyond 2^53, where JSON readers begin to round",
            f"write {quoted(text)} in quotes if it is an identifier, or a smaller number",
        )
    return value


def _float(text: str) -> float:
    value = float(text)
    if math.isinf(value) or (value == 0 and re.search("[1-9]", re.split("[eE]", text)[0])):
        raise ScalarError(
            "yaml-number",
            f"{safe(text, 40)} cannot be held as a number",
            "outside the range of a 64-bit float",
            f"write {quoted(text)} in quotes if text is meant, or a number between 1e-300 and 1e300",
        )
    return value


# ------------------------------------------------------------------------------------------------ what to write


def _not_1_2_boolean(text: str) -> ScalarError:
    meant = "true" if text in _TRUE_1_1 else "false"
    return ScalarError(
        "yaml-1.1",
        f"{text} is {meant} in YAML 1.1, but text in YAML 1.2"
        if text.lower() not in ("true", "false")
        else f"{text} is not how this file may spell {meant}",
        f"only {meant}, in lower case, is a boolean here",
        f'write {meant}, or "{text}" in quotes if the text is meant',
    )


def _not_finite(text: str) -> ScalarError:
    return ScalarError(
        "yaml-number",
        f"{text} is not a number that JSON has",
        "infinity and not-a-number cannot be sent or compared",
        f'write a finite number, or "{text}" in quotes if the text is meant',
    )


def _bare_dash() -> ScalarError:
    return ScalarError("yaml-syntax", "a lone - is not a value", "the mark of a list item", 'write "-" in quotes')


def _ambiguous(text: str, reading: str, instead: str) -> ScalarError:
    shown = safe(text, 40)
    return ScalarError(
        "yaml-1.1",
        f"{shown} means different things to YAML 1.1 and YAML 1.2",
        f"unquoted, {reading}",
        f'write {instead}"{shown}" in quotes',
    )


def _explain_leading_zero(text: str) -> tuple[str, str]:
    digits = text.lstrip("+-")
    if len(digits) < 20 and re.fullmatch("[0-7]+", digits):
        sign = "-" if text.startswith("-") else ""
        octal, decimal = f"{sign}{int(digits, 8)}", f"{sign}{int(digits)}"
        if octal == decimal:
            return "YAML 1.1 reads a number that begins with 0 in base 8", f"{decimal}, or "
        return f"YAML 1.1 reads this as {octal} (base 8)", f"{octal} or {decimal}, whichever is meant, or "
    return "YAML 1.1 and 1.2 differ on numbers that begin with 0", "the number without leading zeros, or "


def _explain_sexagesimal(text: str) -> tuple[str, str]:
    if "." in text or "_" in text or len(text) > 20:
        return "YAML 1.1 reads this as base 60", ""
    total = 0
    for part in text.lstrip("+-").split(":"):
        total = total * 60 + int(part)
    total = -total if text.startswith("-") else total
    return f"YAML 1.1 reads this as the number {total} (base 60)", f"the number {total}, or "


def _explain_underscore(text: str) -> tuple[str, str]:
    plain = text.replace("_", "")
    return "YAML 1.1 drops the underscores of a number", f"{safe(plain, 40)}, or " if _INTEGER.fullmatch(plain) else ""


def _explain_base(text: str) -> tuple[str, str]:
    if len(text) > 40:
        return "YAML 1.1 reads this as a number", ""
    return f"YAML 1.1 reads this as {int(text, 0)}", f"{int(text, 0)}, or "


_AMBIGUOUS = (
    (_LEADING_ZERO, _explain_leading_zero),
    (_SEXAGESIMAL, _explain_sexagesimal),
    (_UNDERSCORE, _explain_underscore),
    (_BINARY, _explain_base),
    (_SIGNED_HEX, _explain_base),
)
