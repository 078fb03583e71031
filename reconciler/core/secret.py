"""A token that cannot be shown by accident, and the filter that takes it out of text we did not write.

Only the transport reveals it, in one place; everything else sees `***`.
"""

from __future__ import annotations

import base64
import hmac
import re
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import Final

from reconciler.core.model import Json

MASK: Final = "***"

#: A shorter secret is not looked for in texts: it would be found in ordinary words.
MIN_REDACTED: Final = 8

#: In policies a shorter one is not looked for either: there a word that is taken out would be drift for ever.
MIN_MASKED: Final = 16

#: A character that is not spelled as itself is spelled with one of these.
_ESCAPES: Final = ("%", "\\", "&#")

#: What follows these is a credential, whoever's it is (reliability.md 8).
_CREDENTIALS = re.compile(
    r"(authorization[\"']?\s*[:=]\s*[\"']?(?:(?:bearer|basic|token)\s+)?|\bbearer\s+)[^\s\"',;<>]{3,}"
    r"|(://)[^\s/@\"'<>]+(?=@)",
    re.IGNORECASE,
)


class Secret:
    """A value whose `str`, `repr`, format, copy and pickle are `***`.

    >>> f"{Secret('s3cr3t-t0k3n')} {[Secret('s3cr3t-t0k3n')]}"
    '*** [***]'
    """

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The value itself, for the `Authorization` header and nothing else."""
        return self._value

    def is_same(self, other: Secret) -> bool:
        """Whether *other* has the same value."""
        return hmac.compare_digest(self._value.encode(), other._value.encode())

    def sign(self, data: bytes) -> str:
        """Return the HMAC-SHA256 of *data* under the secret, in hex (RFC 2104)."""
        return hmac.new(self._value.encode(), data, "sha256").hexdigest()

    def __repr__(self) -> str:
        return MASK

    def __format__(self, spec: str) -> str:
        return format(MASK, spec)

    def __reduce__(self) -> tuple[type[Secret], tuple[str]]:
        return Secret, (MASK,)

    def __getstate__(self) -> object:
        return None

    def redact(self, text: str) -> str:
        """Return *text* with the secret replaced in every spelling a server may answer it in.

        As it is, percent-encoded, JSON- or HTML-escaped (each character in either way), in hex, in base64 at any of the
        three alignments, backwards or with its halves exchanged; so is whatever stands after `Bearer`,
        `Authorization:` or before the `@` of a URL.
        """
        if len(self._value) >= MIN_REDACTED:
            text = self._pattern.sub(MASK, text)
        return _CREDENTIALS.sub(lambda found: (found[1] or found[2] or "") + MASK, text)

    def mask(self, value: Json) -> Json:
        """Return *value*, data and not prose, with the secret replaced in every text and key; the same if it has none.

        Nothing else is taken out, and only a secret of at least 16 characters is.
        """
        if len(self._value) < MIN_MASKED or not self._stands_in(list(_texts(value))):
            return value
        return _map_texts(value, lambda text: self._pattern.sub(MASK, text))

    def _stands_in(self, texts: Sequence[str]) -> bool:
        """Whether the pattern is found in *texts*. It is slow, so it looks only where it alone can tell."""
        whole = "\n".join(texts)
        if any(form in whole for form in self._forms) or self._value.encode().hex() in whole.lower():
            return True
        if not any(mark in whole for mark in _ESCAPES):
            return False
        return any(self._pattern.search(text) for text in texts if any(mark in text for mark in _ESCAPES))

    @cached_property
    def _forms(self) -> tuple[str, ...]:
        """The spellings that have no choice in them, longest first."""
        value, half = self._value, len(self._value) // 2
        turned = {value[half:] + value[:half], value[::-1], value[:half][::-1] + value[half:][::-1]}
        return tuple(sorted({value, *turned, *_base64_forms(value.encode())}, key=len, reverse=True))

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        spelled = "".join(_spellings(char) for char in self._value)
        others = "|".join(re.escape(form) for form in self._forms)
        return re.compile(f"{spelled}|(?i:{self._value.encode().hex()})|{others}")


def _spellings(char: str) -> str:
    code = ord(char)
    escaped = rf"(?i:%{code:02x}|\\u{code:04x}|&#0*{code};|&#x0*{code:x};)"
    return rf"(?:\\?{re.escape(char)}|{escaped})"


def _base64_forms(data: bytes) -> set[str]:
    """The characters that depend on *data* alone, wherever it starts in the encoded text."""
    forms = set()
    for before in range(3):
        text = base64.b64encode(b"\0" * before + data).decode().rstrip("=")
        skipped = (0, 2, 3)[before]
        spare = (before + len(data)) % 3
        sure = text[skipped : len(text) - (1 if spare else 0)]
        forms |= {sure, sure.replace("+", "-").replace("/", "_")}
    return {form for form in forms if len(form) >= MIN_REDACTED}


def _texts(value: Json) -> Iterator[str]:
    """Every text in *value*, keys too; iterative, so that depth cannot hurt it."""
    left: list[Json] = [value]
    while left:
        item = left.pop()
        if isinstance(item, str):
            yield item
        elif isinstance(item, list):
            left += item
        elif isinstance(item, dict):
            yield from item
            left += item.values()


def _map_texts(value: Json, change: Callable[[str], str]) -> Json:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, list):
        return [_map_texts(item, change) for item in value]
    if isinstance(value, dict):
        return {change(key): _map_texts(item, change) for key, item in value.items()}
    return value
