"""Snapshot files: what is written is read again, and anything else is refused in words."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.core.model import Listing, LivePolicy, TargetSettings
from reconciler.core.schema import load_schemas
from reconciler.errors import ReconcilerError
from reconciler.providers.base import Provider
from reconciler.providers.registry import capabilities_of
from reconciler.providers.snapshot import (
    Snapshot,
    SnapshotProvider,
    parse_snapshots,
    snapshot_of,
    snapshots_to_json,
)
from reconciler.providers.wire import MAX_VALUES

TARGET = TargetSettings(name="neosc", provider="neosc", url="http://127.0.0.1:8800/api", policies="policies/neosc")
READ_AT = datetime(2026, 11, 20, 9, 14, 7, tzinfo=UTC)


def live(policy_id: str = "pol-mfa-required", **body: Any) -> LivePolicy:
    content = {"id": policy_id, "name": "MFA Required", **body}
    return LivePolicy(policy_id, policy_id, content, True, content)


def snapshot(*policies: LivePolicy, **listing: Any) -> Snapshot:
    read = {"complete": True, "reason": None, "read_at": READ_AT, "mode": None, **listing}
    return Snapshot("neosc", "neosc", TARGET.url, Listing(policies or (live(),), **read))


def written(*snapshots: Snapshot) -> Any:
    return snapshots_to_json(snapshots or (snapshot(),), "0.1.0")


def parse(value: Any) -> tuple[Snapshot, ...]:
    return parse_snapshots(json.dumps(value).encode(), where="snapshot.json")


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@given(
    bodies=st.lists(st.dictionaries(st.text(), JSON, max_size=4), max_size=4),
    complete=st.booleans(),
    mode=st.sampled_from(["STRICT", "MONITORING", None]),
    reason=st.none() | st.text(),
)
def test_what_is_written_is_read_again(bodies: list[Any], complete: bool, mode: str | None, reason: str | None) -> None:
    policies = tuple(
        LivePolicy(f"id-{number}", f"name {number}", body, number % 2 == 0, body) for number, body in enumerate(bodies)
    )
    before = Snapshot("neosc", "neosc", TARGET.url, Listing(policies, complete, reason, READ_AT, mode))

    value = written(before)

    assert load_schemas().check("snapshot", value) == ()
    assert parse(value) == (before,)


def test_a_snapshot_holds_more_policies_than_one_reply() -> None:
    rules = ["x"] * (MAX_VALUES // 2)

    value = written(snapshot(live("pol-a", rules=rules), live("pol-b", rules=rules)))

    assert parse(value)[0].listing.policies[1].body["rules"] == rules


def spoil(path: str, new: Any) -> Callable[[Any], None]:
    """Return what puts *new* at a path such as `targets/0/mode`; `...` takes the key away."""

    def change(value: Any) -> None:
        *steps, last = [int(step) if step.isdigit() else step for step in path.split("/")]
        for step in steps:
            value = value[step]
        if new is ...:
            del value[last]
        else:
            value[last] = new

    return change


@pytest.mark.parametrize(
    ("path", "new"),
    [
        ("format", "reconciler.snapshot/2"),
        ("format", ...),
        ("tool", 1),
        ("extra", 1),
        ("targets", {}),
        ("targets/0", []),
        ("targets/0/target/name", None),
        ("targets/0/target/token", "x"),
        ("targets/0/read_at", "2026-11-20 09:14:07"),
        ("targets/0/read_at", "2026-13-20T09:14:07Z"),
        ("targets/0/read_at", 0),
        ("targets/0/complete", 1),
        ("targets/0/complete", "true"),
        ("targets/0/reason", False),
        ("targets/0/mode", "strict"),
        ("targets/0/mode", ["STRICT"]),
        ("targets/0/policies", None),
        ("targets/0/policies/0/id", "../admin"),
        ("targets/0/policies/0/id", 7),
        ("targets/0/policies/0/enabled", "true"),
        ("targets/0/policies/0/enabled", 1),
        ("targets/0/policies/0/body", []),
        ("targets/0/policies/0/raw", {}),
        ("targets/0/policies/0/key", ...),
    ],
)
def test_a_shape_that_is_not_a_snapshots_is_refused(path: str, new: Any) -> None:
    value = copy.deepcopy(written())
    spoil(path, new)(value)

    with pytest.raises(ReconcilerError) as refused:
        parse(value)

    assert refused.value.code == "snapshot-file"
    assert refused.value.where == "snapshot.json"
    assert load_schemas().check("snapshot", value) != () or "time" in refused.value.what


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"\xff\xfe",
        b'{"format": NaN}',
        b'{"format": "reconciler.snapshot/1", "format": "reconciler.snapshot/1", "tool": "", "targets": []}',
        b"[" * 100_000,
        b'{"a":' * 200 + b"1" + b"}" * 200,
    ],
)
def test_bytes_that_are_no_plain_json_are_refused(data: bytes) -> None:
    with pytest.raises(ReconcilerError, match="the snapshot cannot be used"):
        parse_snapshots(data, where="snapshot.json")


def test_a_file_over_the_limit_is_refused_before_it_is_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reconciler.providers.snapshot.MAX_BYTES", 10)

    with pytest.raises(ReconcilerError, match="longer than 10 bytes"):
        parse(written())


def test_a_read_that_calls_itself_complete_has_no_id_twice() -> None:
    with pytest.raises(ReconcilerError, match="two of its policies have one id"):
        parse(written(snapshot(live(), live())))

    [read] = parse(written(snapshot(live(), live(), complete=False, reason="one id twice")))
    assert not read.listing.complete


def test_two_reads_of_one_target_are_refused() -> None:
    with pytest.raises(ReconcilerError, match="of one target"):
        parse(written(snapshot(), snapshot()))


def test_the_read_of_another_target_or_place_is_never_taken() -> None:
    with pytest.raises(ReconcilerError, match="no read of target prod"):
        snapshot_of([snapshot()], TargetSettings("prod", "neosc", TARGET.url, "policies"), where="--live")
    with pytest.raises(ReconcilerError, match="from another place"):
        snapshot_of(
            [snapshot()], TargetSettings("neosc", "neosc", "http://127.0.0.1:1/api", "policies"), where="--live"
        )

    assert snapshot_of([snapshot()], TARGET, where="--live") == snapshot()


def test_its_provider_reads_and_knows_nobody() -> None:
    provider: Provider = SnapshotProvider(snapshot(), capabilities_of(TARGET))

    assert provider.name == "neosc"
    assert provider.fetch_listing() == snapshot().listing
    assert provider.fetch_one("pol-mfa-required") == live()
    assert provider.fetch_one("other") is None
    assert not provider.fetch_trail().available
