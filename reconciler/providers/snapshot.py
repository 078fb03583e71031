"""Live state on disk (`reconciler.snapshot/1`): written after a read, planned against where no token may be.

A scheduled job publishes it, a pull request from outside is planned against it (reliability.md 9.1). It holds what an
author can write, never the audit trail: a snapshot names nobody. It is read with as much distrust as a reply.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from reconciler.core.model import (
    Capabilities,
    Json,
    Listing,
    LivePolicy,
    Mutation,
    Receipt,
    TargetSettings,
    Trail,
)
from reconciler.core.safe import quoted, safe
from reconciler.errors import ReconcilerError
from reconciler.providers.history import Judged
from reconciler.providers.wire import (
    MAX_LIST_VALUES,
    WireError,
    decode_json,
    expect_array,
    expect_bool,
    expect_id,
    expect_object,
    expect_text,
)

FORMAT: Final = "reconciler.snapshot/1"
MAX_BYTES: Final = 64 * 1024 * 1024
_TIME: Final = "%Y-%m-%dT%H:%M:%SZ"
_TIME_TEXT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z")
_MODES: Final = ("STRICT", "MONITORING", None)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One read of one target, and which place it was read from."""

    name: str
    provider: str
    url: str
    listing: Listing


class SnapshotProvider:
    """`providers.base.Provider` over a snapshot: it can be read and never written to."""

    def __init__(self, snapshot: Snapshot, capabilities: Capabilities) -> None:
        self._snapshot, self._capabilities = snapshot, capabilities

    @property
    def name(self) -> str:
        return self._snapshot.provider

    @property
    def capabilities(self) -> Capabilities:
        return self._capabilities

    def fetch_listing(self) -> Listing:
        return self._snapshot.listing

    def fetch_one(self, policy_id: str) -> LivePolicy | None:
        return next((live for live in self._snapshot.listing.policies if live.id == policy_id), None)

    def fetch_trail(self) -> Trail:
        """A snapshot has no trail: who edited a policy is not for everybody who may read a pull request."""
        return Trail((), available=False, complete=False)

    def fetch_trail_parts(self) -> Iterator[Trail]:
        return iter((self.fetch_trail(),))

    def fetch_judged(self, after: int) -> Iterator[Judged] | None:
        """A snapshot has no requests, either: they name people, too."""
        return None

    def send(self, mutation: Mutation) -> Receipt:
        raise AssertionError("nothing is ever sent to a snapshot")


# ------------------------------------------------------------------------------------------------- writing


def snapshots_to_json(snapshots: Sequence[Snapshot], tool: str) -> dict[str, Json]:
    """Return `reconciler.snapshot/1` for the targets read, in their order."""
    return {"format": FORMAT, "tool": tool, "targets": [_to_json(each) for each in snapshots]}


def _to_json(snapshot: Snapshot) -> dict[str, Json]:
    listing = snapshot.listing
    return {
        "target": {"name": snapshot.name, "provider": snapshot.provider, "url": snapshot.url},
        "read_at": listing.read_at.astimezone(UTC).strftime(_TIME),
        "complete": listing.complete,
        "reason": listing.reason,
        "mode": listing.mode,
        "policies": [
            {"id": live.id, "key": live.natural_key, "enabled": live.enabled, "body": dict(live.body)}
            for live in listing.policies
        ],
    }


# ------------------------------------------------------------------------------------------------- reading


def parse_snapshots(data: bytes, *, where: str) -> tuple[Snapshot, ...]:
    """Return what a snapshot file holds; raise `ReconcilerError` (`snapshot-file`) when it is not one."""
    if len(data) > MAX_BYTES:
        raise _unfit(f"it is longer than {MAX_BYTES} bytes", where)
    try:
        value = expect_object(decode_json(data, "application/json", max_values=MAX_LIST_VALUES), "the snapshot")
        _expect_keys(value, "the snapshot", ("format", "tool", "targets"))
        if value["format"] != FORMAT:
            raise WireError(f"its format is not {FORMAT}")
        expect_text(value["tool"], "tool")
        found = tuple(
            _from_json(expect_object(entry, f"target {number}"), f"target {number}")
            for number, entry in enumerate(expect_array(value["targets"], "targets"), 1)
        )
    except WireError as error:
        raise _unfit(str(error), where) from error
    if len({each.name for each in found}) < len(found):
        raise _unfit("two of its reads are of one target", where)
    return found


def snapshot_of(snapshots: Sequence[Snapshot], target: TargetSettings, *, where: str) -> Snapshot:
    """Return the read of *target*; raise when there is none, or when it was read from another place."""
    for each in snapshots:
        if each.name != target.name:
            continue
        if (each.provider, each.url) != (target.provider, target.url):
            raise ReconcilerError(
                f"the snapshot of target {target.name} was read from another place: {safe(each.provider)} at "
                f"{safe(each.url)}",
                where=where,
                fix="take a new one: reconciler drift --snapshot FILE",
                code="snapshot-target",
            )
        return each
    known = ", ".join(safe(each.name) for each in snapshots) or "none"
    raise ReconcilerError(
        f"the snapshot has no read of target {target.name}; it has: {known}",
        where=where,
        fix=f"take a new one: reconciler drift --snapshot FILE -t {target.name}",
        code="snapshot-target",
    )


def _from_json(value: Mapping[str, Json], what: str) -> Snapshot:
    _expect_keys(value, what, ("target", "read_at", "complete", "reason", "mode", "policies"))
    target = expect_object(value["target"], f"target of {what}")
    _expect_keys(target, f"target of {what}", ("name", "provider", "url"))
    complete = expect_bool(value["complete"], f"complete of {what}")
    reason = None if value["reason"] is None else expect_text(value["reason"], f"reason of {what}")
    mode = value["mode"]
    if mode not in _MODES:
        raise WireError(f"mode of {what} is not STRICT, MONITORING or null")
    policies = tuple(
        _policy(entry, f"policy {number} of {what}")
        for number, entry in enumerate(expect_array(value["policies"], f"policies of {what}"), 1)
    )
    if complete and len({live.id for live in policies}) < len(policies):
        raise WireError(f"{what} says it is complete, but two of its policies have one id")
    return Snapshot(
        name=expect_text(target["name"], f"name of {what}"),
        provider=expect_text(target["provider"], f"provider of {what}"),
        url=expect_text(target["url"], f"url of {what}"),
        listing=Listing(
            policies=policies,
            complete=complete,
            reason=reason,
            read_at=_time(value["read_at"], f"read_at of {what}"),
            mode=mode if isinstance(mode, str) else None,
        ),
    )


def _policy(value: Json, what: str) -> LivePolicy:
    given = expect_object(value, what)
    _expect_keys(given, what, ("id", "key", "enabled", "body"))
    body = expect_object(given["body"], f"body of {what}")
    return LivePolicy(
        id=expect_id(given["id"], f"id of {what}"),
        natural_key=expect_text(given["key"], f"key of {what}"),
        body=body,
        enabled=expect_bool(given["enabled"], f"enabled of {what}"),
        raw=body,
    )


def _time(value: Json, what: str) -> datetime:
    text = expect_text(value, what)
    try:
        if not _TIME_TEXT.fullmatch(text):
            raise ValueError
        return datetime.strptime(text, _TIME).replace(tzinfo=UTC)
    except ValueError as error:
        raise WireError(f"{what} is not a time such as 2026-11-20T09:14:07Z") from error


def _expect_keys(value: Mapping[str, Json], what: str, names: Sequence[str]) -> None:
    missing = [name for name in names if name not in value]
    if missing:
        raise WireError(f"{what} has no {missing[0]}")
    odd = sorted(value.keys() - set(names))
    if odd:
        raise WireError(f"{what} has a key that a snapshot does not have: {quoted(odd[0])}")


def _unfit(reason: str, where: str) -> ReconcilerError:
    return ReconcilerError(
        f"the snapshot cannot be used: {reason}",
        where=where,
        fix="take a new one: reconciler drift --snapshot FILE",
        code="snapshot-file",
    )
