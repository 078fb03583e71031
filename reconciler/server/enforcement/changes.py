"""That a policy or the mode changed, noted in the change's own transaction: engines follow, the stream tells.

The trail calls `note` for every entry it adds, so no change of a policy can be forgotten here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import sqlalchemy as sa

from reconciler.core.canonical import digest
from reconciler.server.enforcement.tables import messages, policy_changes, progress

#: The systems whose policies all organizations share (systems.md 1.1).
SHARED: Final = frozenset({"neosc"})
SETTINGS: Final = "enforcement-settings"
#: Messages that are kept for readers who come back; older ones are forgotten.
KEPT_MESSAGES: Final = 10_000


def note(connection: sa.Connection, organization: str, entry: Mapping[str, Any], at: str) -> None:
    """Note what an entry of the trail tells of; one that is about neither a policy nor the mode changes nothing."""
    if not entry["success"]:
        return
    resource: str = entry["resource"]
    told = {"action": entry["action"], "by": entry["user_email"], "at": at, "commit": entry.get("annotation")}
    if resource == SETTINGS:
        tell(connection, organization, "mode", {"details": entry["details"], **told})
    elif resource.startswith("policy:"):
        system, policy_id = entry["system"], resource.removeprefix("policy:")[:128]
        shared = system in SHARED
        bump(connection, None if shared else organization)
        _remember(connection, "" if shared else organization, system, policy_id, told)
        tell(connection, organization, "policy", {"system": system, "policy_id": policy_id, **told})


def bump(connection: sa.Connection, organization: str | None) -> None:
    """Say that the policies of an organization (None: of every one) are others now; engines read them again."""
    moved = progress.update().values(policies=progress.c.policies + 1)
    connection.execute(moved if organization is None else moved.where(progress.c.organization == organization))


def list_tag(connection: sa.Connection, system: str, organization: str) -> str:
    """The tag of an organization's list of policies: another one after every change of one of them."""
    owner = "" if system in SHARED else organization
    newest = sa.select(sa.func.max(policy_changes.c.number)).where(
        policy_changes.c.system == system, policy_changes.c.organization == owner
    )
    number = connection.execute(newest).scalar() or 0
    return f'"{digest([system, organization, number]).removeprefix("sha256:")[:32]}"'


def tell(connection: sa.Connection, organization: str, name: str, data: Mapping[str, Any]) -> None:
    """Add a message to the real-time stream."""
    tell_all(connection, organization, [(name, data)])


def tell_all(connection: sa.Connection, organization: str, told: list[tuple[str, Mapping[str, Any]]]) -> None:
    """As `tell`, for several; all but the newest `KEPT_MESSAGES` are forgotten."""
    rows = [{"organization": organization, "name": name, "data": dict(data)} for name, data in told]
    connection.execute(messages.insert(), rows)
    newest = sa.select(sa.func.max(messages.c.number)).scalar_subquery()
    connection.execute(messages.delete().where(messages.c.number <= newest - KEPT_MESSAGES))


def _remember(
    connection: sa.Connection, organization: str, system: str, policy_id: str, told: Mapping[str, Any]
) -> None:
    own = (policy_changes.c.system == system, policy_changes.c.policy_id == policy_id)
    newest = connection.execute(sa.select(sa.func.max(policy_changes.c.number))).scalar() or 0
    connection.execute(policy_changes.delete().where(*own))
    key = {"system": system, "policy_id": policy_id, "organization": organization, "number": newest + 1}
    made = {"revision": told["commit"], "changed_by": told["by"], "changed_at": told["at"]}
    connection.execute(policy_changes.insert().values(**key, **made))
