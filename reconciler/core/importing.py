"""What a policy file should say so that git and the live policy agree: the way of `import`, live → file.

Values only; how they become text is `sources/writing.py`'s matter. What already means the same keeps its spelling.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from reconciler.core.canonical import (
    Schema,
    canonical,
    canonical_json,
    default_of,
    item_schema,
    json_equal,
    key_schema,
    keyed_entries,
    properties_of,
)
from reconciler.core.diff import pointer_to
from reconciler.core.model import MISSING, Body, Json, Side

METADATA: Final = "metadata"
MAX_SLUG: Final = 80


@dataclass(frozen=True, slots=True)
class Imported:
    """A document's new value, in the order it is to be written, and pointers of live fields no schema knows."""

    value: dict[str, Json]
    left_out: tuple[str, ...]


def import_new(live: Body, schema: Schema) -> Imported:
    """Return the document of a live policy that no file has: its fields in schema order, without nulls."""
    work = _Import(lambda pointer: False)
    value = work.clean(dict(live), schema, "")
    assert isinstance(value, dict)  # noqa: S101 - an object stays one
    value.pop(METADATA, None)
    return Imported(value, tuple(work.left_out))


def import_into(
    written: Body, desired: Body, live: Body, schema: Schema, ignored: Callable[[str], bool] = lambda pointer: False
) -> Imported:
    """Return what the document *written* has to say so that it asks for what is *live*.

    *desired* is what it asks for now, with overlays and exceptions, which stay. `enabled` is a field like others, and
    the metadata is kept. A live key that git did not speak of comes in unless it only says the default; fields under an
    ignore rule stay as they are.
    """
    work = _Import(ignored)
    return Imported(work.merge(written, desired, live, schema, ""), tuple(work.left_out))


def file_name(key: str) -> str:
    """Return the file name, without suffix, for a policy's key: letters, digits and hyphens, whatever the key holds.

    >>> file_name("Rate Limit / Enforcement"), file_name("../../etc/passwd"), file_name("日本")
    ('rate-limit-enforcement', 'etc-passwd', 'policy')
    """
    plain = unicodedata.normalize("NFKD", key).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain)[:MAX_SLUG].strip("-") or "policy"


def other_file_name(key: str) -> str:
    """Return a name for the same key when the first one is taken.

    >>> other_file_name("日本")
    'policy-cf2abf0c'
    """
    return f"{file_name(key)}-{hashlib.sha256(key.encode('utf-8', 'surrogatepass')).hexdigest()[:8]}"


@dataclass(slots=True)
class _Import:
    """One import; remembers what it leaves out."""

    ignored: Callable[[str], bool]
    left_out: list[str] = field(default_factory=list)

    def merge(self, written: Body, desired: Body, live: Body, schema: Schema, at: str) -> dict[str, Json]:
        merged = {}
        for key in _order(written, live, schema):
            pointer = pointer_to(at, key)
            if self.ignored(pointer) or pointer == f"/{METADATA}":
                side: Side = _side(written, key)
            elif _side(live, key) is MISSING:
                side = _without_live(key, written, desired, live, schema)
            else:
                side = self._with_live(key, written, desired, live, schema, pointer)
            if side is not MISSING:
                merged[key] = side
            elif key in written and written[key] is None:
                merged[key] = None  # says nothing, and may go on saying it
        return merged

    def _with_live(self, key: str, written: Body, desired: Body, live: Body, schema: Schema, pointer: str) -> Side:
        ours, wanted, found = _side(written, key), _side(desired, key), _side(live, key)
        named = key_schema(schema, key)
        if wanted is MISSING and ours is MISSING:
            if not _is_known(schema, key):
                self.left_out.append(pointer)
                return MISSING
            return MISSING if _is_default(found, key, desired, schema) else self.clean(found, named, pointer)
        if found is MISSING or wanted is MISSING or _agree(wanted, found, named):
            return ours  # as live already, or taken out by an overlay whatever the file says
        if isinstance(ours, dict) and isinstance(wanted, dict) and isinstance(found, dict):
            return self.merge(ours, wanted, found, named, pointer)
        taken = self.clean(found, named, pointer)
        return _in_order(ours, taken, named) if isinstance(ours, list) and isinstance(taken, list) else taken

    def clean(self, value: Side, schema: Schema, at: str) -> Json:
        """A live value as a file may say it: no nulls, no keys that no schema knows, in schema order."""
        if value is MISSING:
            return None
        if isinstance(value, list):
            return [self.clean(item, item_schema(schema), f"{at}/{number}") for number, item in enumerate(value)]
        if not isinstance(value, dict):
            return value
        cleaned = {}
        for key in _order({}, value, schema):
            if value.get(key) is None:
                continue
            if _is_known(schema, key):
                cleaned[key] = self.clean(value[key], key_schema(schema, key), pointer_to(at, key))
            else:
                self.left_out.append(pointer_to(at, key))
        return cleaned


def _without_live(key: str, written: Body, desired: Body, live: Body, schema: Schema) -> Side:
    """What is written stays where it means the same as nothing, or where something above it takes it out anyway."""
    wanted = _side(desired, key)
    if wanted is MISSING:
        return _side(written, key)
    return _side(written, key) if _is_default(wanted, key, live, schema) else MISSING


def _order(written: Body, live: Body, schema: Schema) -> list[str]:
    """The file's own order; a key that comes stands behind the one before it in the schema, unknown ones at the end."""
    order = list(written)
    before: str | None = None
    for key in [*properties_of(schema), *sorted(live.keys() - properties_of(schema).keys())]:
        if key in live and key not in order:
            order.insert(order.index(before) + 1 if before is not None else 0, key)
        if key in order:
            before = key
    return order


def _is_known(schema: Schema, key: str) -> bool:
    return key in properties_of(schema) or schema.get("additionalProperties", True) is not False


def _is_default(value: Side, key: str, present: Body, schema: Schema) -> bool:
    default = default_of(schema, key, {name: entry for name, entry in present.items() if name != key})
    return default is not None and value is not MISSING and _agree(value, default, key_schema(schema, key))


def _in_order(ours: list[Json], found: list[Json], schema: Schema) -> list[Json]:
    """A list where order means nothing: the entries that stay as the file has them, then those that come."""
    if schema.get("x-list") == "set":
        before, after = ({canonical_json(canonical([item], schema)): item for item in side} for side in (ours, found))
    else:
        mine, theirs = keyed_entries(ours, schema), keyed_entries(found, schema)
        if mine is None or theirs is None:
            return found
        before, after = mine, theirs
    items = item_schema(schema)
    stay = [
        before[name] if _agree(before[name], after[name], items) else after[name] for name in before if name in after
    ]
    return [*stay, *(item for name, item in after.items() if name not in before)]


def _agree(a: Json, b: Json, schema: Schema) -> bool:
    return json_equal(a, b) or json_equal(canonical(a, schema), canonical(b, schema))


def _side(body: Mapping[str, Json], key: str) -> Side:
    value = body.get(key)
    return MISSING if value is None else value
