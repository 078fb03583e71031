"""Text from git, APIs and events made harmless for people's eyes: terminal, CI log, Markdown, HTML.

Every untrusted string passes one of these functions on its way to a human channel (reliability.md 3.6). Machine
formats escape by `json.dumps` with `ensure_ascii` and need none of this.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

_NAMED = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}

#: Categories that are never shown as themselves: controls, formats, surrogates, private use, unassigned, and the two
#: separators that some viewers take for line ends.
_HIDDEN_CATEGORIES = frozenset(("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"))

#: Letters and marks that Unicode calls default-ignorable: nothing is drawn for them. The last two variation
#: selectors stay: they stand in ordinary emoji.
_IGNORABLE = "\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\ufe00-\ufe0d\uffa0\U000e0100-\U000e01ef"
_IGNORABLE_PATTERN = re.compile(f"[{_IGNORABLE}]")

#: `##[command]` (Actions), `##vso[` and `##teamcity[`: obeyed by some runners anywhere in a line.
_LOG_COMMAND = re.compile(r"#(?=#\w*\[)")

_CELL_SAFE = frozenset(" -,/")


@lru_cache(maxsize=4096)
def is_hidden(char: str) -> bool:
    """Whether *char* must be shown as an escape: it moves, hides or draws nothing (reliability.md 3.6)."""
    return unicodedata.category(char) in _HIDDEN_CATEGORIES or _IGNORABLE_PATTERN.match(char) is not None


def has_hidden(text: str) -> bool:
    """Whether *text* has any character that `safe` would escape; line breaks and tabs count."""
    if text.isascii():
        return not text.isprintable()
    if text.isprintable():
        return _IGNORABLE_PATTERN.search(text) is not None
    return any(map(is_hidden, text))


def escape(char: str) -> str:
    r"""Return the visible form of one character: `\n`, `\x1b`, `\u202e`, `\U000e0041`."""
    code = ord(char)
    if char in _NAMED:
        return _NAMED[char]
    if code <= 0xFF:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def safe(text: str, limit: int = 200) -> str:
    r"""Return *text* on one line, with nothing in it that a terminal, a log or an eye could be fooled by.

    NFC; controls, bidi and zero-width marks, surrogates, private-use and unassigned characters become visible escapes.
    A result over *limit* characters is cut and ends in `..`; an escape is never cut in two. Colours are not the data's
    to set, so ESC is escaped like any control.

    >>> safe("a\x1b[2Jb")
    'a\\x1b[2Jb'
    """
    text = text[: limit + 1] if text.isascii() else unicodedata.normalize("NFC", text[: 4 * limit + 4])
    if has_hidden(text):
        pieces = [escape(char) if is_hidden(char) else char for char in text]
    elif len(text) <= limit:
        return text
    else:
        pieces = list(text)
    return _cut(pieces, limit)


def _cut(pieces: list[str], limit: int) -> str:
    whole = "".join(pieces)
    if len(whole) <= limit:
        return whole
    kept, used = [], 0
    for piece in pieces:
        used += len(piece)
        if used > max(limit - 2, 0):
            break
        kept.append(piece)
    return "".join(kept) + ".."


def quoted(text: str, limit: int = 60) -> str:
    """Return *text* made safe and put in double quotes, as messages name a value."""
    return f'"{safe(text, limit)}"'


def safe_multiline(text: str, limit: int = 200, lines: int = 1000) -> str:
    r"""Return *text* with its own line ends kept and every line made safe; more than *lines* are counted, not shown.

    CRLF is one line end; a bare CR is none, it is escaped.
    """
    parts = text.replace("\r\n", "\n").split("\n")
    shown = [safe(part, limit) for part in parts[:lines]]
    if len(parts) > lines:
        shown.append(f".. {len(parts) - lines} more lines")
    return "\n".join(shown)


def for_log(text: str, prefix: str = "| ") -> str:
    r"""Return *text*, already made safe line by line, so that no CI system takes a line of it for a command.

    Every line gets *prefix*, so none begins with `::`; `##[` is broken up wherever it stands, because runners
    look for it in the middle of a line, too.

    >>> for_log("::stop-commands::x")
    '| ::stop-commands::x'
    """
    return "\n".join(prefix + _LOG_COMMAND.sub(r"\\x23", line) for line in text.split("\n"))


def for_markdown(text: str, limit: int = 200) -> str:
    """Return *text* as a code span that is safe anywhere in GitHub Markdown, table cells included.

    All punctuation becomes character references, so that no link, image, mention, tag or table bar can be formed.
    """
    plain = safe(text, limit)
    return f"<code>{''.join(c if c.isalnum() or c in _CELL_SAFE else f'&#{ord(c)};' for c in plain)}</code>"


def for_markdown_block(text: str, language: str = "") -> str:
    """Return *text*, already made safe line by line, in a fence longer than any run of backticks in it."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text}\n{fence}"
