"""Two versions of one object with defaults filled in and every key in its first spelling, ready to be judged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from reconciler.core.canonical import Schema, key_schema, properties_of, spelling_of
from reconciler.core.model import MISSING, Body, Json, Side


@dataclass(frozen=True, slots=True)
class Version:
    """One version of an object. `off` are the keys that a switch of the object turns off (`x-switches`)."""

    keys: Mapping[str, Json]
    off: frozenset[str] = frozenset()

    def get(self, key: str) -> Side:
        return self.keys.get(key, MISSING)


@dataclass(frozen=True, slots=True)
class Pair:
    """An object before and after, and the policy it stands in. The checks are those of the policy's metadata."""

    schema: Schema
    old: Version
    new: Version
    policy: Pair | None = None
    old_checks: Body | None = None
    new_checks: Body | None = None

    @property
    def top(self) -> Pair:
        return self.policy or self

    def child(self, key: str) -> Pair:
        """The object at *key*; empty where there is none."""
        schema = key_schema(self.schema, key)
        old, new = (_object(version.get(key)) for version in (self.old, self.new))
        return Pair(schema, make_version(old, schema), make_version(new, schema), self.top)

    def sides(self, key: str) -> tuple[Side, Side]:
        return self.old.get(key), self.new.get(key)


def make_pair(
    schema: Schema, old: Body, new: Body, old_checks: Body | None = None, new_checks: Body | None = None
) -> Pair:
    """Return two policies as a pair."""
    versions = make_version(old, schema), make_version(new, schema)
    return Pair(schema, *versions, old_checks=old_checks, new_checks=new_checks)


def make_version(written: Mapping[str, Json], schema: Schema) -> Version:
    """Return an object with other spellings renamed, null keys left out and defaults filled in, less what is off.

    Of two spellings in one object, which only a live system can hold, the first spelling counts.
    """
    keys: dict[str, Json] = {}
    for key, value in written.items():
        name = spelling_of(schema, key)
        if value is not None and (name == key or written.get(name) is None):
            keys[name] = value
    off: set[str] = set()
    for key, named in properties_of(schema).items():
        default = named.get("default")
        if default is not None and key not in keys:
            keys[key] = default
        if "x-switches" in named and keys.get(key) is False:
            off.update(named["x-switches"])
    return Version({key: value for key, value in keys.items() if key not in off}, frozenset(off))


def _object(side: Side) -> Mapping[str, Json]:
    return side if isinstance(side, dict) else {}
