"""Trees as JSON and back, and what a tree needs: columns, history (semantics.md D.1, D.4)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any, Final, TypeAlias

from reconciler.core.model import Json
from reconciler.semantics import ast, program
from reconciler.semantics.ast import DERIVED, Cmp, Distinct, Is, Lift, LocalTime, Node, Null, Prev, Sum
from reconciler.semantics.program import Effect, OnMissing, Program, State

_KINDS: Final = {
    kind.__name__: kind
    for module in (ast, program)
    for kind in vars(module).values()
    if isinstance(kind, type) and is_dataclass(kind) and kind.__module__ == module.__name__
}
_ENUMS: Final = {"missing": OnMissing, "on_missing": OnMissing, "effect": Effect}
_Tree: TypeAlias = Any  # a node, a policy or one of their parts; checked by the classes that they are read into


def to_json(tree: _Tree) -> Json:
    """Return a node or a program as JSON: objects with `is`, their kind, and what departs from its defaults."""
    if is_dataclass(tree) and not isinstance(tree, type):
        form: dict[str, Json] = {"is": type(tree).__name__}
        for each in fields(tree):
            value = getattr(tree, each.name)
            if value != each.default:
                form[each.name] = to_json(value)
        return form
    if isinstance(tree, tuple):
        return [to_json(entry) for entry in tree]
    scalar: Json = tree.value if isinstance(tree, Enum) else tree
    return scalar


def from_json(form: Json) -> _Tree:
    """Return what `to_json` wrote; raises ValueError for anything else. Meant for our own files only."""
    if isinstance(form, list):
        return tuple(from_json(entry) for entry in form)
    if not isinstance(form, dict):
        return form
    kind = _KINDS.get(str(form.get("is")))
    if kind is None:
        raise ValueError(f"no node is called {form.get('is')!r}")
    values: dict[str, Any] = {name: from_json(value) for name, value in form.items() if name != "is"}
    for name, choice in _ENUMS.items():
        if isinstance(values.get(name), str):
            values[name] = choice(values[name])
    try:
        return kind(**values)
    except TypeError as error:
        raise ValueError(f"{form['is']}: {error}") from error


def parts(tree: _Tree) -> Iterator[_Tree]:
    """Yield a tree and everything below it, outermost first."""
    yield tree
    if isinstance(tree, tuple):
        for entry in tree:
            yield from parts(entry)
    elif is_dataclass(tree) and not isinstance(tree, type):
        for each in fields(tree):
            value = getattr(tree, each.name)
            if is_dataclass(value) or isinstance(value, tuple):
                yield from parts(value)


def columns(tree: _Tree) -> frozenset[str]:
    """Return the recorded columns whose values decide (semantics.md D.4); time and order where there is a history."""
    found: set[str] = set()
    for part in parts(tree):
        match part:
            case Lift(columns=several):
                found.update(several)
            case Cmp(column=one) | Is(column=one) | Null(column=one):
                found.add(one)
            case LocalTime():
                found.add("ts_us")
            case Sum(key=key, column=one) | Distinct(key=key, column=one) | Prev(key=key, column=one):
                found.update((*key, one, "ts_us", "seq"))
            case ast.Count(key=key, limit=limit):
                found.update((*key, "ts_us", "seq"))
                found.update(["actor_id"] if limit.overrides else [], ["trust_score"] if limit.tiers else [])
            case ast.Age(key=key) | ast.Gap(key=key) | ast.Seen(key=key) | ast.Baseline(key=key):
                found.update((*key, "ts_us", "seq"))
            case State():
                found.update(("actor_id", "action", "ts_us", "seq"))
            case _:
                pass
    return frozenset(real for name in found for real in DERIVED.get(name, (name,)))


def history_us(tree: _Tree) -> int:
    """Return how far back an event can matter through windows; `remembers` says whether anything older can."""
    spans = [0]
    for part in parts(tree):
        match part:
            case ast.Count(window_us=window, tumbling=tumbling):
                spans.append(window * (2 if tumbling else 1))
            case Sum(window_us=window) | Distinct(window_us=window):
                spans.append(window)
            case ast.Baseline(bucket_us=bucket, buckets=buckets):
                spans.append(bucket * (buckets + 1))
            case State(duration_us=int(duration)):
                spans.append(duration)
            case _:
                pass
    return max(spans)


def remembers(tree: _Tree) -> bool:
    """Whether a value from any time ago can decide: previous values, first events, open suspensions, backing off."""
    lasting = (Prev, ast.Age, ast.Gap, ast.Seen, ast.Adaptive)
    return any(
        isinstance(part, lasting) or (isinstance(part, State) and part.duration_us is None) for part in parts(tree)
    )


def is_stateful(tree: Program) -> bool:
    """Whether an earlier event can decide."""
    return history_us(tree) > 0 or remembers(tree)


def any_of(nodes: tuple[Node, ...]) -> Node:
    """Return the one node, or all of them under `Or`."""
    return nodes[0] if len(nodes) == 1 else ast.Or(nodes)


def all_of(nodes: tuple[Node, ...]) -> Node | None:
    """Return the one node, or all of them under `And`; None for none."""
    if not nodes:
        return None
    return nodes[0] if len(nodes) == 1 else ast.And(nodes)
