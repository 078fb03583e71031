"""One form for equal meaning, and equality of JSON values (design.md 6, reliability.md 0.2 D1-D3).

The schema says which lists are sets, which texts ignore case, what an absent key stands for. Which keys of a policy are
ours at all is not decided here, see `diff.py`. Schemas are the inlined schema of one policy type: no `$ref` inside.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from ipaddress import ip_network
from typing import Any, TypeAlias, cast

from reconciler.core.model import Json

#: A JSON Schema. Its values are whatever JSON has; every reader here checks what it takes out.
Schema: TypeAlias = Mapping[str, Any]

_EMPTY: Schema = {}
_LOWER = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyz")


# ------------------------------------------------------------------------------------------------ equality


def json_equal(a: Json, b: Json) -> bool:
    """Whether two JSON values are the same value: `1` is `1.0`, and `true` is never `1`.

    >>> json_equal([1, {"a": 2.0}], [1.0, {"a": 2}]), json_equal(True, 1)
    (True, False)
    """
    return a is b or (a == b and _same_kinds(a, b))


def _same_kinds(a: Json, b: Json) -> bool:
    """Whether two values that are equal to Python have `true` and `false` at the same places.

    Texts are passed by: this is asked for every policy of a plan.
    """
    if isinstance(a, dict) and isinstance(b, dict):
        for key, value in a.items():  # noqa: SIM110 - loops, because they are faster
            if value.__class__ is not str and not _same_kinds(value, b[key]):
                return False
        return True
    if isinstance(a, list) and isinstance(b, list):
        for one, other in zip(a, b, strict=True):
            if one.__class__ is not str and not _same_kinds(one, other):
                return False
        return True
    return isinstance(a, bool) is isinstance(b, bool)


def canonical_json(value: Json) -> str:
    """Return the one JSON text of a value: keys sorted, no blanks, ASCII only, whole numbers without a point.

    Two values have the same text exactly when they are `json_equal`.
    """
    return json.dumps(_plain(value), sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def digest(value: Json) -> str:
    """Return `sha256:` and the hash of a value's canonical text.

    >>> digest(1.0) == digest(1)
    True
    """
    return "sha256:" + hashlib.sha256(canonical_json(value).encode("ascii")).hexdigest()


def _plain(value: Json) -> Json:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value


def ascii_lower(text: str) -> str:
    """Fold ASCII letters only: nothing else in a policy ignores case (semantics.md B.2)."""
    return text.translate(_LOWER)


# -------------------------------------------------------------------------------------------------- schemas


def properties_of(schema: Schema) -> Mapping[str, Schema]:
    """The keys a schema names, in its order."""
    named = schema.get("properties")
    return named if isinstance(named, Mapping) else {}


def entry_schema(schema: Schema) -> Schema | None:
    """The schema of a map's entries; None when the object is not a map from texts of the author's to values."""
    entries = schema.get("additionalProperties")
    return entries if isinstance(entries, Mapping) and not properties_of(schema) else None


def key_schema(schema: Schema, key: str) -> Schema:
    """The schema of one key of an object; an empty one for a key the schema does not know."""
    named = properties_of(schema).get(key)
    if named is not None:
        return named
    entries = schema.get("additionalProperties")
    return entries if isinstance(entries, Mapping) else _EMPTY


def item_schema(schema: Schema) -> Schema:
    items = schema.get("items")
    return items if isinstance(items, Mapping) else _EMPTY


def key_field(schema: Schema) -> str | None:
    """The field that entries of a keyed list are matched by."""
    kind = schema.get("x-list")
    return kind.removeprefix("keyed:") if isinstance(kind, str) and kind.startswith("keyed:") else None


def spelling_of(schema: Schema, key: str) -> str:
    """The first spelling of a key: what `x-alias-of` names, or the key itself."""
    name = key_schema(schema, key).get("x-alias-of")
    return name if isinstance(name, str) else key


def default_of(schema: Schema, key: str, present: Mapping[str, Json]) -> Json:
    """What leaving out *key* means in an object that has *present*; None when no value can say it.

    No default when another spelling of the key is there.
    """
    default = cast(Json, key_schema(schema, key).get("default"))
    if default is None or present.get(key) is not None:
        return None
    name = spelling_of(schema, key)
    other = any(value is not None and spelling_of(schema, each) == name for each, value in present.items())
    return None if other else default


def keyed_entries(value: Json, schema: Schema) -> dict[str, Json] | None:
    """The entries of a keyed list by the text of their key; None where a key is missing, no scalar or there twice."""
    field = key_field(schema)
    if field is None or not isinstance(value, list):
        return None
    entries: dict[str, Json] = {}
    for entry in value:
        key = entry.get(field) if isinstance(entry, dict) else None
        if key is None or isinstance(key, (dict, list)):
            return None
        text = key if isinstance(key, str) else canonical_json(key)
        if text in entries:
            return None
        entries[text] = entry
    return entries


# ------------------------------------------------------------------------------------------- canonical form


def canonical(value: Json, schema: Schema) -> Json:
    """Return the form of a value that all values of equal meaning share.

    Sets are sorted and hold nothing twice, keyed lists are sorted by their key, defaults are filled in, a null key is
    as absent. Where the value is not what the schema says it is taken as it stands, so that it differs.
    """
    if isinstance(value, dict):
        return _canonical_object(value, schema)
    if isinstance(value, list):
        return _canonical_list(value, schema)
    if isinstance(value, str) and schema.get("x-case") == "insensitive":
        return ascii_lower(value)
    return value


def _canonical_object(value: Mapping[str, Json], schema: Schema) -> dict[str, Json]:
    form = {key: canonical(item, key_schema(schema, key)) for key, item in value.items() if item is not None}
    for key, named in properties_of(schema).items():
        default = default_of(schema, key, value) if "default" in named else None
        if default is not None:
            form[key] = canonical(default, named)
    return form


def _canonical_list(value: Sequence[Json], schema: Schema) -> list[Json]:
    items = item_schema(schema)
    form = [canonical(item, items) for item in value]
    if schema.get("x-list") == "set":
        return list(
            {canonical_json(item): item for item in sorted(map(_entry_of(schema), form), key=canonical_json)}.values()
        )
    entries = keyed_entries(form, schema)
    return form if entries is None else [entries[key] for key in sorted(entries)]


def _entry_of(schema: Schema) -> Any:
    fold = schema.get("x-case") == "insensitive"
    addresses = schema.get("x-set") == "cidr"

    def entry(item: Json) -> Json:
        if not isinstance(item, str):
            return item
        if addresses:
            return _address_text(item)
        return ascii_lower(item) if fold else item

    return entry


def _address_text(text: str) -> str:
    """One spelling of an address or a CIDR block; anything else as it stands.

    >>> _address_text("2001:DB8:0::/32"), _address_text("10.0.0.1/32"), _address_text("192.168.*")
    ('2001:db8::/32', '10.0.0.1', '192.168.*')
    """
    try:
        network = ip_network(text)
    except ValueError:
        return text
    return str(network.network_address) if network.num_addresses == 1 else str(network)
