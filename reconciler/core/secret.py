"""A token that cannot be shown by accident, and the filter that takes it out of text we did not write.

Only the transport reveals it, in one place; everything else sees `***`.
"""

from __future__ import annotations

import base64
import hmac
import re
from functools import cached_property
from typing import Final

MASK: Final = "***"

#: A shorter secret is not looked for in texts: it would be found in ordinary words.
MIN_REDACTED: Final = 8

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

        As it is, percent-encoded, JSON- or HTML-escaped (each character in either way), in hex, and in base64 at any of
        the three alignments; so is whatever stands after `Bearer`, `Authorization:` or before the `@` of a URL.
        """
        if len(self._value) >= MIN_REDACTED:
            text = self._pattern.sub(MASK, text)
        return _CREDENTIALS.sub(lambda found: (found[1] or found[2] or "") + MASK, text)

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        spelled = "".join(_spellings(char) for char in self._value)
        data = self._value.encode()
        encoded = "|".join(re.escape(form) for form in sorted(_base64_forms(data), key=len, reverse=True))
        return re.compile(f"{spelled}|(?i:{data.hex()})|{encoded}")


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
