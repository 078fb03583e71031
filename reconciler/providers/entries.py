"""Audit entries of both documented APIs, read tolerantly: what is not understood is kept as text to find commits in.

Only the frame is strict (a list of objects). Servers add fields freely, and an unknown one must not cost the proof.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

from reconciler.core.model import Json, TrailEntry
from reconciler.providers.wire import expect_object, is_id

_MAX_TEXTS: Final = 200
_RESOURCE = re.compile(r"(?:security[_-])?polic(?:y|ies)[:/](.+)", re.IGNORECASE)
_POLICY_TYPES: Final = frozenset(("policy", "policies", "security_policy", "security_policies", "security-policy"))


def entries_from_wire(values: Sequence[Json]) -> tuple[TrailEntry, ...]:
    """Return the entries, newest first; raise `WireError` when one is no object.

    The servers say newest first; when every entry has a readable time, that is what decides.
    """
    entries = [_entry(expect_object(value, f"audit entry {index}")) for index, value in enumerate(values)]
    times = [_time(entry.at) for entry in entries]
    known = [time for time in times if time is not None]
    if len(known) < len(entries):
        return tuple(entries)
    order = sorted(range(len(entries)), key=known.__getitem__, reverse=True)
    return tuple(entries[index] for index in order)


def _entry(value: dict[str, Json]) -> TrailEntry:
    success = value.get("success")
    return TrailEntry(
        id=_text(value, "id", "log_id") or _made_id(value),
        at=_text(value, "timestamp", "created_at", "createdAt", "at"),
        actor=_text(value, "user_email", "userEmail", "actor", "user_id", "userId") or None,
        action=_text(value, "action"),
        resource=_text(value, "resource", "resource_type", "resourceType"),
        details=_text(value, "details", "metadata"),
        policy_id=_policy_id(value),
        texts=tuple(text for _, text in zip(range(_MAX_TEXTS), _texts(value), strict=False)),
        success=success is not False,
    )


def _made_id(value: Mapping[str, Json]) -> str:
    """An id made of the content, for a trail that gives none: enough to tell a new entry from those there before."""
    content = json.dumps(value, sort_keys=True).encode()
    return "no-id-" + hashlib.sha256(content).hexdigest()[:16]


def _text(value: Mapping[str, Json], *keys: str) -> str:
    """The first of *keys* that is there, as text: numbers are spelled out, objects as JSON."""
    for key in keys:
        found = value.get(key)
        if isinstance(found, str):
            return found
        if isinstance(found, int | float) and not isinstance(found, bool):
            return str(found)
        if isinstance(found, dict | list) and found:
            return json.dumps(found, sort_keys=True)
    return ""


def _policy_id(value: Mapping[str, Json]) -> str | None:
    """The policy an entry is about: `policy:<id>`, or the type and the id apart."""
    found: str | None = None
    if match := _RESOURCE.fullmatch(_text(value, "resource")):
        found = match[1]
    elif _text(value, "resource_type", "resourceType", "entity_type").lower() in _POLICY_TYPES:
        found = _text(value, "resource_id", "resourceId", "entity_id")
    return found if found is not None and is_id(found) else None


def _texts(value: Json) -> Iterator[str]:
    """Every text below *value*, however deep; the decoder has capped the depth."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)


def _time(text: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found
