"""Changes the text of a YAML document where its value changes, and nowhere else: every other byte stays.

People's files keep their comments, order, quotes and line breaks; a diff shows what changed and nothing beside it. What
cannot be done in place raises `CannotEdit`; whoever calls reads the result back and has another way.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from reconciler.core.canonical import canonical_json, json_equal
from reconciler.core.model import Json
from reconciler.core.places import Extent, find_extents
from reconciler.core.scalars import ScalarError, resolve_plain

#: Returns the lines of a mapping or list in block style, without indentation.
Render = Callable[[Json], str]

_PLAIN = re.compile(r"[A-Za-z0-9_/(][A-Za-z0-9_./()@+=%*-]*(?: [A-Za-z0-9_./()@+=%*][A-Za-z0-9_./()@+=%*-]*)*")
_DASH = re.compile(r" *- +")


class CannotEdit(Exception):
    """This change cannot be made in place."""


def edit(text: str, index: int, old: Mapping[str, Json], new: Mapping[str, Json], render: Render) -> str:
    """Return *text* with the document number *index* saying *new* instead of *old*.

    Lines end in LF, the last one too when it did not. A key that comes stands behind the key before it in *new*.
    """
    editor = _Editor(text if text.endswith("\n") else text + "\n", render)
    editor.change(find_extents(text)[index], dict(old), dict(new))
    return editor.result()


def scalar_text(value: Json, quote: str = "") -> str:
    """Return a scalar on one line, plain where every reader takes it for the same, else in double quotes.

    >>> scalar_text("30-day retention"), scalar_text("no"), scalar_text("it's", "'")
    ('30-day retention', '"no"', "'it''s'")
    """
    if not isinstance(value, str):
        return json.dumps(value, allow_nan=False)
    if quote == "'" and value.isprintable():
        return "'" + value.replace("'", "''") + "'"
    return value if not quote and is_plain(value) else json.dumps(value, ensure_ascii=False)


def is_plain(text: str) -> bool:
    """Whether a text may stand without quotes, inside brackets too."""
    try:
        return _PLAIN.fullmatch(text) is not None and resolve_plain(text) == text
    except ScalarError:
        return False


@dataclass(frozen=True, slots=True)
class _Change:
    start: int
    end: int
    text: str


class _Editor:
    """Collects changes of one text; remembers what comes at which place."""

    def __init__(self, text: str, render: Render) -> None:
        self.text, self.render = text, render
        self.changes: list[_Change] = []

    def result(self) -> str:
        out, at = [], 0
        # Stable: what is inserted at one place stays in the order in which it was found.
        for change in sorted(self.changes, key=lambda change: (change.start, change.end)):
            if change.start < at:
                raise CannotEdit("two changes overlap")
            out += [self.text[at : change.start], change.text]
            at = change.end
        return "".join([*out, self.text[at:]])

    # ----------------------------------------------------------------------------------------------- values

    def change(self, extent: Extent, old: Json, new: Json) -> None:
        if json_equal(old, new):
            return
        if isinstance(old, dict) and isinstance(new, dict) and old.keys() & new.keys() and extent.kind == "mapping":
            self._mapping(extent, old, new)
        elif isinstance(old, list) and isinstance(new, list) and old and new and extent.kind == "sequence":
            self._sequence(extent, old, new)
        else:
            self._replace(extent, new)

    def _replace(self, extent: Extent, new: Json) -> None:
        if extent.kind != "scalar" and not extent.flow:
            raise CannotEdit("a collection in block style goes")
        old = self.text[extent.start : extent.end]
        quote = old[:1] if old[:1] in ("'", '"') else ""
        if "\n" in old and extent.kind == "scalar":
            raise CannotEdit("a text of several lines")
        if extent.start == extent.end:
            raise CannotEdit("there is nothing written to replace")
        self.changes.append(_Change(extent.start, extent.end, _flow_text(new, quote)))

    # --------------------------------------------------------------------------------------------- mappings

    def _mapping(self, extent: Extent, old: dict[str, Json], new: dict[str, Json]) -> None:
        if extent.flow and old.keys() != new.keys():
            self._replace_flow(extent, new)
            return
        entries = {str(key): (start, value) for key, start, value in extent.entries}
        if len(entries) != len(extent.entries) or entries.keys() != old.keys():
            raise CannotEdit("the text has other keys than the value")
        for key, (start, held) in entries.items():
            if key not in new:
                self._remove_lines(start, held)
            else:
                self.change(held, old[key], new[key])
        before: Extent | None = None
        first = extent.entries[0]
        column = first[1] - self._line_start(first[1])
        for key, value in new.items():
            if key in entries:
                before = entries[key][1]
            elif before is not None:
                self._insert_behind(before, column, {key: value})
            else:
                self._insert_before(first[1], column, {key: value})

    def _replace_flow(self, extent: Extent, new: Json) -> None:
        old = self.text[extent.start : extent.end]
        if "\n" in old:
            raise CannotEdit("brackets over several lines")
        self.changes.append(_Change(extent.start, extent.end, _flow_text(new, "")))

    # ------------------------------------------------------------------------------------------------ lists

    def _sequence(self, extent: Extent, old: list[Json], new: list[Json]) -> None:
        steps = list(_steps(old, new))
        in_place = all(tag == "replace" and i2 - i1 == j2 - j1 for tag, i1, i2, j1, j2 in steps)
        if extent.flow and not in_place:
            self._replace_flow(extent, new)
            return
        items = [value for *_, value in extent.entries]
        for tag, i1, i2, j1, j2 in steps:
            shared = min(i2 - i1, j2 - j1) if tag == "replace" else 0
            for offset in range(shared):
                self.change(items[i1 + offset], old[i1 + offset], new[j1 + offset])
            for value in items[i1 + shared : i2]:
                self._remove_lines(self._dash(value), value)
            if j1 + shared < j2:
                added = new[j1 + shared : j2]
                behind = i1 + shared - 1
                if behind >= 0:
                    dash = self._dash(items[behind])
                    self._insert_behind(items[behind], dash - self._line_start(dash), added)
                else:
                    dash = self._dash(items[0])
                    self._insert_before(dash, dash - self._line_start(dash), added)

    def _dash(self, item: Extent) -> int:
        """Where the dash of a list's item stands; it must be alone before the item."""
        start = self._line_start(item.start)
        if not _DASH.fullmatch(self.text[start : item.start]):
            raise CannotEdit("an item that shares its line")
        return start + self.text[start : item.start].index("-")

    # ------------------------------------------------------------------------------------------------ lines

    def _line_start(self, at: int) -> int:
        return self.text.rfind("\n", 0, at) + 1

    def _line_end(self, at: int) -> int:
        """The index behind the line break that ends the line of *at*."""
        found = self.text.find("\n", at)
        return len(self.text) if found < 0 else found + 1

    def _remove_lines(self, start: int, value: Extent) -> None:
        begin = self._line_start(start)
        if self.text[begin:start].strip(" "):
            raise CannotEdit("an entry that shares its line")
        end = self._line_end(max(value.end, start))
        rest = self.text[value.end : end].strip()
        if rest and not rest.startswith("#"):
            raise CannotEdit("an entry that shares its line")
        self.changes.append(_Change(begin, end, ""))

    def _insert_behind(self, before: Extent, column: int, value: Json) -> None:
        at = self._line_end(before.end)
        rest = self.text[before.end : at].strip()
        if rest and not rest.startswith("#"):
            raise CannotEdit("an entry that shares its line")
        self.changes.append(_Change(at, at, self._indented(value, column)))

    def _insert_before(self, start: int, column: int, value: Json) -> None:
        at = self._line_start(start)
        if self.text[at:start].strip(" "):
            raise CannotEdit("an entry that shares its line")
        self.changes.append(_Change(at, at, self._indented(value, column)))

    def _indented(self, value: Json, column: int) -> str:
        lines = self.render(value).splitlines()
        return "".join(f"{' ' * column}{line}\n" if line else "\n" for line in lines)


def _steps(old: Sequence[Json], new: Sequence[Json]) -> Iterator[tuple[str, int, int, int, int]]:
    """How one list becomes the other, leaving out what stays."""
    before, after = ([canonical_json(item) for item in side] for side in (old, new))
    matcher = SequenceMatcher(None, before, after, autojunk=False)
    yield from (step for step in matcher.get_opcodes() if step[0] != "equal")


def _flow_text(value: Json, quote: str) -> str:
    """A value on one line, as it may stand inside brackets."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{scalar_text(key)}: {_flow_text(entry, '')}" for key, entry in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_flow_text(item, "") for item in value) + "]"
    return scalar_text(value, quote)
