"""Words for what differs inside two values that are already known to differ. Never the judge of whether they do.

deepdiff tells where; `core/canonical.py` alone tells whether. Its defaults would hide keys that begin with `__`
(reliability.md D1), so they are switched off, and a description that says less than the difference is none at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from reconciler.core.model import MISSING, Json, Side

#: Larger values are shown whole instead: comparing them takes longer than reading them helps.
MAX_ENTRIES = 100


@dataclass(frozen=True, slots=True)
class Inner:
    """One place inside a value: its path as people read it (`[0].multiplier`), and both sides."""

    path: str
    old: Side
    new: Side


def describe_entries(old: Sequence[Json], new: Sequence[Json]) -> tuple[Inner, ...]:
    """Return what differs inside two lists of as many objects, entry by entry; nothing where that says too little.

    Only for lists whose entries keep their places: with entries added, removed or moved, the entries themselves are the
    difference and are shown whole.
    """
    if len(old) != len(new) or len(old) > MAX_ENTRIES:
        return ()
    if not all(isinstance(entry, dict) for entry in (*old, *new)):
        return ()
    from deepdiff import DeepDiff

    found: list[Inner] = []
    tree = DeepDiff(list(old), list(new), view="tree", ignore_private_variables=False)
    for kind, changes in tree.items():
        for change in changes:
            path = _path_text(change.path(output_format="list"))
            added, removed = kind.endswith("_added"), kind.endswith("_removed")
            found.append(Inner(path, MISSING if added else change.t1, MISSING if removed else change.t2))
    return tuple(sorted(found, key=lambda inner: inner.path))


def _path_text(steps: Sequence[str | int]) -> str:
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps)
