"""Where the values and keys of a YAML text stand, found by a second pass over its events when somebody asks.

Positions are not kept while reading: nearly all files are read and never complained about (performance.md 2). The text
has been read before, so nothing is judged here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from yaml.cyaml import CParser  # type: ignore[attr-defined]  # exported, but not by the stubs
from yaml.error import YAMLError
from yaml.events import (
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from reconciler.core.excerpts import Spot, split_lines


def read_events(data: bytes) -> Callable[[], Any]:
    """Return what gives the next event of libyaml's parser each time it is called, and None at the end."""
    parse: Callable[[], Any] = CParser(data).get_event
    return parse


def is_empty(event: Any) -> bool:
    """Whether an event is the value of nothing written: what a document without content consists of."""
    return event.__class__ is ScalarEvent and not event.value and not event.style


def scalar_ranges(data: bytes) -> Iterator[tuple[int, int]]:
    """Yield the start and end index of every scalar, keys included, in order."""
    for event in iter(read_events(data), None):
        kind = event.__class__
        if kind is ScalarEvent:
            yield event.start_mark.index, event.end_mark.index


def spot_of(text: str, start: Any, end: Any) -> Spot:
    """Return the spot between two marks of the parser, at most to the end of its first line."""
    if end.line == start.line and end.column > start.column:
        return Spot(start.line + 1, start.column + 1, end.column - start.column)
    lines = split_lines(text)
    rest = lines[start.line][start.column :].rstrip() if start.line < len(lines) else ""
    return Spot(start.line + 1, start.column + 1, max(1, len(rest)))


@dataclass(slots=True)
class Node:
    """Where one value stands, and its key if it has one. A tree: flat pointers of long keys would fill the memory."""

    value: Spot
    key: Spot | None = None
    below: dict[str, Node] = field(default_factory=dict)

    def find(self, pointer: str) -> Node | None:
        """Return what a JSON pointer (RFC 6901) names; list indices are matched as they are written."""
        node: Node | None = self
        for part in pointer.split("/")[1:]:
            if node is None:
                return None
            node = node.below.get(part.replace("~1", "/").replace("~0", "~"))
        return node


@lru_cache(maxsize=4)
def find_nodes(text: str) -> tuple[Node, ...]:
    """Return the root of each non-empty document.

    Text that is not YAML, of a document that was never read, has none behind the place where it ends.
    """
    roots: list[Node] = []
    with suppress(YAMLError):
        roots.extend(_find_roots(text))
    return tuple(roots)


def _find_roots(text: str) -> Iterator[Node]:
    # Open collections: node, the event that began it, whether it is a mapping.
    stack: list[tuple[Node, Any, bool]] = []
    key: tuple[str, Spot] | None = None
    for event in iter(read_events(text.encode("utf-8", "replace")), None):
        kind = event.__class__
        if kind is ScalarEvent and key is None and stack and stack[-1][2]:
            key = event.value, spot_of(text, event.start_mark, event.end_mark)
        elif kind is ScalarEvent or kind is MappingStartEvent or kind is SequenceStartEvent:
            end = event.end_mark if kind is ScalarEvent else event.start_mark
            node = Node(spot_of(text, event.start_mark, end), key[1] if key else None)
            if stack:
                below = stack[-1][0].below
                below[key[0] if key else str(len(below))] = node
            key = None
            if kind is not ScalarEvent:
                stack.append((node, event, kind is MappingStartEvent))
            elif not stack and not is_empty(event):
                yield node
        elif kind is MappingEndEvent or kind is SequenceEndEvent:
            node, begin, _ = stack.pop()
            if begin.flow_style:
                node.value = spot_of(text, begin.start_mark, event.end_mark)
            if not stack:
                yield node


@dataclass(slots=True)
class Extent:
    """From where to where one value stands in a text, as indices, and each of its entries.

    A collection in block style ends where its last entry does, without the comments behind it. `entries` has the key's
    text (None in a list), where the key begins (in a list: the value), and the value.
    """

    start: int
    end: int
    kind: str
    flow: bool
    entries: list[tuple[str | None, int, Extent]] = field(default_factory=list)


def find_extents(text: str) -> tuple[Extent, ...]:
    """Return the extent of each non-empty document's root; the text has been read before."""
    roots: list[Extent] = []
    stack: list[Extent] = []
    key: tuple[str, int] | None = None
    for event in iter(read_events(text.encode("utf-8")), None):
        kind = event.__class__
        if kind is ScalarEvent and key is None and stack and stack[-1].kind == "mapping":
            key = event.value, event.start_mark.index
        elif kind is ScalarEvent or kind is MappingStartEvent or kind is SequenceStartEvent:
            start, end = event.start_mark.index, event.end_mark.index
            if kind is ScalarEvent:
                found = Extent(start, start + len(text[start:end].rstrip("\n")), "scalar", False)
            else:
                name = "mapping" if kind is MappingStartEvent else "sequence"
                found = Extent(start, start, name, bool(event.flow_style))
            if stack:
                stack[-1].entries.append((key[0], key[1], found) if key else (None, start, found))
            elif kind is not ScalarEvent or not is_empty(event):
                roots.append(found)
            key = None
            if kind is not ScalarEvent:
                stack.append(found)
        elif kind is MappingEndEvent or kind is SequenceEndEvent:
            done = stack.pop()
            done.end = (
                event.end_mark.index if done.flow else max([done.start, *(each.end for *_, each in done.entries)])
            )
    return tuple(roots)
