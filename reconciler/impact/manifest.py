"""Whether a manifest can be believed: its shape, and that the folder holds the files it lists and no others.

A folder of events may come from an artifact that somebody else made, so nothing in it is taken on trust.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, Final

from reconciler.semantics.columns import COLUMNS

_LISTS: Final = ("constants", "trust_constant")
_COUNTS: Final = ("events", "days", "duplicates", "rejected")


def fault_of(value: Mapping[str, Any]) -> str | None:
    """Return what is wrong with the shape of a decoded manifest; None for nothing.

    >>> fault_of({"events": -1})
    'has a manifest whose events is no count'
    """
    for name in _COUNTS:
        if not _is_count(value.get(name)):
            return f"has a manifest whose {name} is no count"
    for name in ("first_us", "last_us"):
        if (value.get(name) is not None or value["events"]) and not _is_count(value.get(name)):
            return f"has a manifest whose {name} is no time"
    columns, mapping, files = value.get("columns"), value.get("mapping"), value.get("files")
    if not isinstance(columns, dict) or not all(map(_is_known, columns, columns.values())):
        return "has a manifest whose columns cannot be read"
    if not isinstance(mapping, dict) or not all(_are_texts(mapping.get(name, [])) for name in _LISTS):
        return "has a manifest without its mapping"
    if not isinstance(files, dict) or not all(map(_is_inside, files)):
        return "has a manifest with a file outside the folder"
    return None


def unlisted(folder: Path, files: Iterable[str]) -> str | None:
    """Return a file of events that is there and not in the manifest: nobody knows whose events it holds."""
    listed = {*files}
    there = (path.relative_to(folder).as_posix() for path in sorted(folder.glob("date=*/*.parquet")))
    return next((name for name in there if name not in listed), None)


def rows_of(paths: Iterable[Path]) -> int:
    """Return how many rows Parquet files say they hold; ValueError for one that is none."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return sum(int(pq.read_metadata(path).num_rows) for path in paths)
    except (pa.ArrowException, OSError) as error:
        raise ValueError(str(error).splitlines()[0]) from error


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _are_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


def _is_known(name: object, facts: object) -> bool:
    """A column of ours with its share of nulls and its number of values."""
    if name not in COLUMNS or not isinstance(facts, dict):
        return False
    share = facts.get("null_share")
    is_share = isinstance(share, int | float) and not isinstance(share, bool) and 0 <= share <= 1
    return is_share and _is_count(facts.get("distinct")) and isinstance(facts.get("constant"), bool)


def _is_inside(name: object) -> bool:
    return isinstance(name, str) and not PurePosixPath(name).is_absolute() and ".." not in PurePosixPath(name).parts
