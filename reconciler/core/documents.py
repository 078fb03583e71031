"""YAML text to documents with places: JSON types only, YAML 1.2 scalars, everything ambiguous or hostile an error.

One pass over the events of libyaml's parser guards and builds at once. libyaml never composes or constructs here: that
path overflows the C stack on deep input and expands aliases (reliability.md 0.2, D4 to D7). Positions are not kept;
they are found by a second pass when something is to be reported (performance.md 2).
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass, field
from typing import Any, Final

from yaml.error import MarkedYAMLError, YAMLError
from yaml.events import (
    AliasEvent,
    DocumentEndEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamEndEvent,
    StreamStartEvent,
)

from reconciler.core import syntax
from reconciler.core.excerpts import Spot, excerpt, problem_at, split_lines, spot_at
from reconciler.core.model import Json, Problem, Severity
from reconciler.core.places import find_nodes, is_empty, read_events, scalar_ranges, spot_of
from reconciler.core.problems import FilesError
from reconciler.core.safe import escape, quoted
from reconciler.core.scalars import MEMO_LENGTH, ScalarError, memo_key, memo_plain, resolve_key, resolve_plain
from reconciler.errors import Place

__all__ = ["Document", "Spot", "excerpt", "load_yaml", "make_problem", "problem_at", "read_documents"]

MAX_BYTES: Final = 1024 * 1024
MAX_DEPTH: Final = 64
MAX_DOCUMENTS: Final = 10_000
#: Counted in parser events; a mapping or list is two, any other value one.
MAX_EVENTS: Final = 200_000
MAX_PROBLEMS: Final = 100


@dataclass(frozen=True, slots=True)
class Document:
    """One YAML document: its value, and where it stands.

    `line` is that of the document's first key; `index` counts the file's non-empty documents from 0. `text` is the
    whole file. A `value` changed after reading (an overlay) keeps the places of what the file says.
    """

    value: dict[str, Json]
    path: str
    line: int
    index: int
    text: str = field(repr=False)

    def place(self, pointer: str, *, key: bool = False) -> Place | None:
        """Return where the value at a JSON pointer begins, or its key; None if the file has no such value."""
        spot = self.spot(pointer, key=key)
        return None if spot is None else Place(self.path, spot.line, spot.column)

    def spot(self, pointer: str, *, key: bool = False) -> Spot | None:
        """Return `place` with the number of characters; a value of several lines spans its first one."""
        roots = find_nodes(self.text)
        node = roots[self.index].find(pointer) if self.index < len(roots) else None
        if node is None:
            return None
        return (node.key or node.value) if key else node.value


def read_documents(data: bytes, path: str) -> tuple[tuple[Document, ...], tuple[Problem, ...]]:
    """Return the documents of a file, or none of them and every problem that keeps it from being read.

    Never raises for what a file holds. Reading goes on after a problem wherever the rest can still be understood, up
    to 100 problems. Empty documents are skipped; each other one must be a mapping.
    """
    reader = _Reader(path, mappings_only=True)
    roots = reader.read(data)
    if reader.problems:
        return (), tuple(sorted(reader.problems, key=lambda problem: problem.sort_key))
    return tuple(
        Document(value, path, line, index, reader.text)
        for index, (value, line) in enumerate(roots)
        if isinstance(value, dict)
    ), ()


def load_yaml(data: bytes, path: str = "<yaml>") -> list[Json]:
    """Return the value of every document, of any JSON type; an empty one is None. Raises `FilesError`."""
    reader = _Reader(path, mappings_only=False)
    roots = reader.read(data)
    if reader.problems:
        raise FilesError(reader.problems, files=1)
    return [value for value, _ in roots]


def make_problem(
    document: Document,
    code: str,
    message: str,
    pointer: str,
    *,
    key: bool = False,
    severity: Severity = Severity.ERROR,
    label: str = "",
    fix: str | None = None,
    allowed: tuple[str, ...] = (),
    why: str | None = None,
) -> Problem:
    """Return a problem with the value at *pointer*, or with its key, ready to print without the file.

    What the file does not say (a missing key, a value from an overlay) is placed at the nearest value around it.
    """
    spot, at = document.spot(pointer, key=key), pointer
    while spot is None and at:
        at = at.rpartition("/")[0]
        spot = document.spot(at, key=bool(at))
    return problem_at(
        document.text,
        document.path,
        code,
        message,
        spot or Spot(document.line, 1),
        pointer=pointer,
        severity=severity,
        label=label,
        fix=fix,
        allowed=allowed,
        why=why,
    )


# -------------------------------------------------------------------------------------------------- reading


class _Stop(Exception):
    """The rest of the file cannot be understood, or need not be."""


class _NoKey:
    """A mapping that waits for its next key."""


_NO_KEY: Final = _NoKey()


class _Reader:
    """One reading of one file; remembers its problems."""

    def __init__(self, path: str, *, mappings_only: bool) -> None:
        self.path = path
        self.mappings_only = mappings_only
        self.text = ""
        self.problems: list[Problem] = []
        self.roots: list[tuple[Json, int]] = []
        self.hidden: set[str] = set()

    def read(self, data: bytes) -> list[tuple[Json, int]]:
        try:
            self._decode(data)
            self._check_characters()
            # libyaml drops blanks behind the last line end of a file, which a block scalar may own.
            self._build(data + b"\n" if self.text[-1:] in (" ", "\t") else data)
        except _Stop:
            pass
        except syntax.SyntaxFault as fault:
            self._add_fault(fault)
        except MarkedYAMLError as error:
            # Behind an anchor or a tag libyaml may stumble over what YAML 1.2 allows.
            if not any(problem.code in ("yaml-anchor", "yaml-alias", "yaml-tag") for problem in self.problems):
                self._add_fault(syntax.explain(self.text, error))
        except YAMLError:
            if not self.problems:
                self._add("yaml-encoding", "this file is not text", Spot(1, 1), fix="save the file as UTF-8")
        return self.roots

    # ------------------------------------------------------------------------------------------- problems

    def _add(
        self,
        code: str,
        message: str,
        spot: Spot,
        *,
        label: str = "",
        fix: str,
        related: tuple[tuple[int, int, int, str], ...] = (),
    ) -> None:
        self.problems.append(
            problem_at(self.text, self.path, code, message, spot, label=label, fix=fix, related=related)
        )
        if len(self.problems) >= MAX_PROBLEMS:
            raise _Stop

    def _add_fault(self, fault: syntax.SyntaxFault) -> None:
        if len(self.problems) < MAX_PROBLEMS:
            self.problems.append(
                problem_at(
                    self.text,
                    self.path,
                    fault.code,
                    fault.message,
                    fault.spot,
                    label=fault.label,
                    fix=fault.fix,
                    related=fault.related,
                )
            )

    def _end(self, code: str, message: str, spot: Spot, fix: str) -> _Stop:
        self._add(code, message, spot, fix=fix)
        return _Stop()

    # ------------------------------------------------------------------------------------------ characters

    def _decode(self, data: bytes) -> None:
        if len(data) > MAX_BYTES:
            size, limit = f"{len(data):,}", f"{MAX_BYTES:,}"
            message = f"this file has {size} bytes, more than the {limit} a policy file may have"
            raise self._end("file-too-large", message, Spot(1, 1), "split the file")
        if data.startswith((b"\xff\xfe", b"\xfe\xff")):
            raise self._end("yaml-encoding", "this file is UTF-16, not UTF-8", Spot(1, 1), "save the file as UTF-8")
        if data.startswith(b"\xef\xbb\xbf"):
            fix = "save the file as UTF-8 without a byte order mark"
            raise self._end("yaml-encoding", "this file begins with a byte order mark", Spot(1, 1), fix)
        try:
            self.text = data.decode("utf-8")
        except UnicodeDecodeError as error:
            self.text = data.decode("utf-8", "replace")
            spot = spot_at(self.text, len(data[: error.start].decode("utf-8", "replace")))
            message = f"byte 0x{data[error.start]:02x} is not UTF-8"
            raise self._end("yaml-encoding", message, spot, "save the file as UTF-8") from None
        if "\0" in self.text:
            spot = spot_at(self.text, self.text.index("\0"))
            fix = "remove the byte; a file full of them is UTF-16 or not text"
            raise self._end("yaml-encoding", "this file has a NUL byte", spot, fix)

    def _check_characters(self) -> None:
        for index, char in syntax.find_refused(self.text):
            self.hidden.add(char)
            spot = spot_at(self.text, index)
            if char == "\r":
                message = r"a line ends in \r alone"
                fix = "save the file with LF line ends"
                self._add("yaml-invisible", message, spot, label="a line end that most editors do not show", fix=fix)
            else:
                self._add_invisible(char, spot, raw=True)
        if any(map(syntax.moves_lines, self.hidden)):
            raise _Stop

    def _add_invisible(self, char: str, spot: Spot, *, raw: bool) -> None:
        self._add(
            "yaml-invisible",
            f"the character {syntax.describe(char)} is not allowed",
            spot,
            label=f"{escape(char)} stands here" if raw else f"holds {escape(char)}",
            fix="remove it; what people review must be what is applied",
        )

    # -------------------------------------------------------------------------------------------- building

    def _build(self, data: bytes) -> None:  # one loop on purpose: it is what reading 10,000 files costs
        next_event = read_events(data)
        stack: list[tuple[Any, Any, Any, int, Any]] = []
        container: Any = None
        # Keys of the mapping being filled, with their marks; None in a list and outside of any document.
        seen: dict[str, Any] | None = None
        key: Any = _NO_KEY
        indent = -1
        opening: Any = None
        root_line, ended = 1, True
        # Only with one of these signs in the file can there be an anchor or a tag.
        marked = "&" in self.text or "!" in self.text
        value: Any

        for _ in range(MAX_EVENTS):
            event = next_event()
            kind = event.__class__
            if kind is ScalarEvent:
                value = event.value
                if marked and (event.anchor is not None or event.tag is not None):
                    self._add_properties(event)
                elif event.style:
                    self._check_styled(event, indent, is_key=seen is not None and key is _NO_KEY)
                else:
                    try:
                        if len(value) > MEMO_LENGTH:
                            value = resolve_key(value) if seen is not None and key is _NO_KEY else resolve_plain(value)
                        elif seen is not None and key is _NO_KEY:
                            value = memo_key(value)
                        else:
                            value = memo_plain(value)
                    except ScalarError as error:
                        spot = self._spot(event)
                        self._add(error.code, error.message, spot, label=error.label, fix=error.fix)
                if container is None:
                    root_line = event.start_mark.line + 1
            elif kind is MappingStartEvent or kind is SequenceStartEvent:
                if marked and (event.anchor is not None or event.tag is not None):
                    self._add_properties(event)
                if seen is not None and key is _NO_KEY:
                    raise self._end(
                        "yaml-key", "a key must be text, not a list or a mapping", self._spot(event), "write a text key"
                    )
                if len(stack) >= MAX_DEPTH:
                    message = f"this value is nested more than {MAX_DEPTH} levels deep"
                    raise self._end("yaml-depth", message, self._spot(event), "flatten the value")
                stack.append((container, key, seen, indent, opening))
                opening = event
                if kind is MappingStartEvent:
                    container, seen, key = {}, {}, _NO_KEY
                else:
                    container, seen = [], None
                if not event.flow_style:
                    indent = event.start_mark.column
                continue
            elif kind is MappingEndEvent or kind is SequenceEndEvent:
                value, start = container, opening
                if len(stack) == 1:
                    first = next(iter(seen.values()), start.start_mark) if seen is not None else start.start_mark
                    root_line = first.line + 1
                container, key, seen, indent, opening = stack.pop()
                outermost = start.flow_style and (opening is None or not opening.flow_style)
                if outermost and event.end_mark.line != start.start_mark.line:
                    syntax.check_indent(self.text, start.start_mark, event.end_mark, indent, brackets=True)
                event = start
            elif kind is AliasEvent:
                fix = "write the value out; a value used twice is reviewed twice"
                self._add("yaml-alias", "aliases are not allowed", self._spot(event), fix=fix)
                value = f"*{event.anchor}" if seen is not None and key is _NO_KEY else None
            elif kind is DocumentStartEvent:
                if len(self.roots) >= MAX_DOCUMENTS:
                    message = f"this file holds more than {MAX_DOCUMENTS:,} documents"
                    raise self._end("yaml-size", message, self._spot(event), "split the file")
                if event.version is not None or event.tags is not None:
                    syntax.check_directives(self.text, event, ended=ended)
                continue
            elif kind is DocumentEndEvent:
                ended = event.explicit
                continue
            elif kind is StreamStartEvent:
                continue
            elif kind is StreamEndEvent:
                break
            else:
                raise AssertionError(kind)

            if seen is not None:
                if key is not _NO_KEY:
                    container[key] = value
                    key = _NO_KEY
                    continue
                key = value
                mark = event.start_mark
                if seen.setdefault(value, mark) is not mark:
                    self._add_duplicate(event, seen[value])
                elif not value.isascii() and not unicodedata.is_normalized("NFC", value):
                    self._add(
                        "yaml-key",
                        f"the key {quoted(value)} is written with separate accents",
                        self._spot(event),
                        label="not in the composed form (NFC)",
                        fix="type the key again; two keys that look alike must be one",
                    )
            elif container is not None:
                container.append(value)
            else:
                self._add_root(value, event, root_line)
        else:
            raise self._end("yaml-size", "this file holds too many values", self._spot(event), "split the file")
        self._check_gaps(data)

    def _add_root(self, value: Json, event: Any, line: int) -> None:
        if isinstance(value, dict) or not self.mappings_only:
            self.roots.append((value, line))
        elif not is_empty(event):
            kind = "a list" if isinstance(value, list) else "a single value"
            self._add(
                "yaml-shape",
                f"a document must be a mapping of keys to values, and this is {kind}",
                self._spot(event),
                fix="begin the document with a key, such as name:",
            )

    def _add_properties(self, event: Any) -> None:
        """Report an anchor or a tag, both if there are both."""
        index = event.start_mark.index
        for present, sign, code, what in (
            (event.tag, "!", "yaml-tag", "tags"),
            (event.anchor, "&", "yaml-anchor", "anchors"),
        ):
            if present is not None:
                at = max(self.text.find(sign, index), index)
                end = next((i for i in range(at, len(self.text)) if self.text[i].isspace()), len(self.text))
                spot = spot_at(self.text, at, max(1, end - at))
                fix = "remove it; put the value in quotes if it is text" if sign == "!" else "remove it"
                self._add(code, f"{what} are not allowed", spot, fix=fix)

    def _add_duplicate(self, event: Any, first: Any) -> None:
        name, here = quoted(event.value), self._spot(event)
        rest = split_lines(self.text)[first.line][first.column :].rstrip()
        there = (first.line + 1, first.column + 1, max(1, len(rest)), "set here first")
        if here.line == first.line + 1:
            there, fix = (*there[:2], here.span, there[3]), "delete one of the two"
        else:
            fix = f"delete line {first.line + 1} or line {here.line}"
        label = "set again here; YAML would keep this one"
        self._add("duplicate-key", f"{name} is set twice", here, label=label, fix=fix, related=(there,))

    def _check_styled(self, event: Any, indent: int, *, is_key: bool) -> None:
        """Check a quoted or block scalar: escaped characters, and layout that libyaml is too lenient about."""
        value: str = event.value
        if not value.isprintable() or not value.isascii():
            for char in dict.fromkeys(value):
                if char not in self.hidden and (syntax.is_refused(char) or (is_key and char in "\n\t")):
                    self._add_invisible(char, self._spot(event), raw=False)
        start, end = event.start_mark, event.end_mark
        if start.line != end.line:
            if event.style in "|>":
                syntax.check_block_scalar(self.text, start, indent)
            else:
                syntax.check_indent(self.text, start, end, indent, brackets=False)

    def _check_gaps(self, data: bytes) -> None:
        if not self.problems and syntax.may_have_bad_gaps(self.text):
            syntax.check_gaps(self.text, scalar_ranges(data))

    def _spot(self, event: Any) -> Spot:
        return spot_of(self.text, event.start_mark, event.end_mark)
