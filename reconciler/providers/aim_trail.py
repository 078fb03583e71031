"""AIM's audit trail. No change of a policy is written there, but every read of the trail is, with its `User-Agent`.

So a change is marked by reading the trail with the change's own headers and its id as a filter: the entry of that read
ties commit, policy and operation together, beside the change and not in it (systems.md 3.2 row 3).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from reconciler.core.annotation import parse
from reconciler.core.model import Json, Trail, TrailEntry
from reconciler.providers.entries import entries_from_wire
from reconciler.providers.http import quote_id
from reconciler.providers.wire import Reply, expect_array, expect_object, is_id

TRAIL: Final = "/admin/audit-logs"
#: How many entries are asked for; the server has no limit of its own.
TRAIL_CAP: Final = 1000
READ: Final = f"{TRAIL}?limit={TRAIL_CAP}"
_POLICY: Final = "security_policy"
_SETTINGS: Final = "enforcement_settings"
_OPERATIONS: Final = ("create", "update", "toggle", "delete")


def mark_path(policy_id: str, operation: str) -> str:
    """The read that leaves a mark: of the entries about one policy and operation, one at most."""
    return f"{TRAIL}?entity_type={_POLICY}&entity_id={quote_id(policy_id)}&action={operation}&limit=1"


def trail_from_wire(reply: Reply) -> Trail:
    """Read `{"logs": […] or null, "total": n}`; `total` may be no more than the number of rows that came."""
    logs = expect_object(reply.value, "the audit log").get("logs")
    values = [] if logs is None else expect_array(logs, "logs")
    objects = [expect_object(value, f"audit entry {index}") for index, value in enumerate(values)]
    return Trail(_entries(objects), available=True, complete=len(values) < TRAIL_CAP)


def _entries(values: Sequence[dict[str, Json]]) -> tuple[TrailEntry, ...]:
    marks = {index: marked for index, value in enumerate(values) if (marked := _marked(value)) is not None}
    plain: list[Json] = [marks.get(index) or _about_the_mode(value) for index, value in enumerate(values)]
    beside = {marks[index].get("id") for index in marks}
    return tuple(replace(entry, beside=True) if entry.id in beside else entry for entry in entries_from_wire(plain))


def _marked(value: dict[str, Json]) -> dict[str, Json] | None:
    """The entry of a read that marks a change, as one about that policy; None for every other.

    Only our own grammar of a `User-Agent` makes one: somebody who looks at a policy's entries changes nothing.
    """
    notes = value.get("metadata")
    if value.get("action") != "view" or _either(value, "resource_type", "resourceType") != "audit_logs":
        return None
    if not isinstance(notes, dict) or parse(_either(value, "user_agent", "userAgent")) is None:
        return None
    policy_id = _either(notes, "filter_resource_id", "filterResourceId")
    operation = _either(notes, "filter_action", "filterAction")
    if _either(notes, "filter_resource_type", "filterResourceType") != _POLICY or not is_id(policy_id):
        return None
    if operation not in _OPERATIONS or not isinstance(value.get("id"), str):
        return None
    return {**value, "resource": f"policy:{policy_id}", "action": operation}


def _about_the_mode(value: dict[str, Json]) -> dict[str, Json]:
    """A change of the global mode is written there itself; it is found under the key that the mode has in git."""
    if _either(value, "resource_type", "resourceType") != _SETTINGS:
        return value
    return {**value, "resource": "policy:enforcement_mode"}


def _either(value: dict[str, Json], *keys: str) -> str:
    """The first text among *keys*: the oldest servers spell them with underscores, the others do not."""
    return next((found for key in keys if isinstance(found := value.get(key), str)), "")
