"""The golden vectors: policies, events, and what has to come of them, as data that every engine runs.

A case says only what it is about. Left out, an event is `read` on `db/1` by actor `a`, a second after the one before;
`at` is seconds after Monday 2026-03-02 00:00 UTC, or RFC 3339 text. Left out, a policy is called `p`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from reconciler.semantics.normal import parse_instant

FOLDER = Path(__file__).parents[1] / "semantics/vectors"
MIDNIGHT_US = 1_772_409_600_000_000
KEYS = {
    *("name", "cites", "policy", "policies", "checks", "data", "all", "events", "mode", "composition"),
    *("outcomes", "enforced", "decisions", "error", "schema_accepts", "effect", "not_replayed", "unchecked"),
}


@dataclass(frozen=True)
class Vector:
    """One case. Expectations that it does not state are None."""

    name: str
    cites: str
    policies: list[dict[str, Any]]
    events: list[dict[str, Any]] = field(default_factory=list)
    checks: dict[str, Any] | None = None
    data: dict[str, Any] = field(default_factory=dict)
    mode: str = "monitoring"
    composition: str = "deny_overrides"
    outcomes: list[str] | None = None
    enforced: list[str] | None = None
    decisions: list[dict[str, Any]] | None = None
    error: str | None = None
    schema_accepts: bool | None = None
    effect: str | None = None
    not_replayed: list[str] | None = None
    unchecked: list[str] | None = None


def load_vectors() -> Iterator[Vector]:
    """Yield every case of every file; a key that nobody reads is an error, because it would test nothing."""
    for path in sorted(FOLDER.glob("*.json")):
        for case in json.loads(path.read_text(encoding="utf-8")):
            unknown = set(case) - KEYS
            if unknown:
                raise ValueError(f"{path.name}: {case['name']}: nobody reads {unknown}")
            yield vector(case)


def vector(case: dict[str, Any]) -> Vector:
    policies = case.get("policies") or [case["policy"]]
    rest = {key: value for key, value in case.items() if key not in ("policy", "policies", "events", "all")}
    return Vector(
        policies=[policy if "type" in policy else {"name": "p", **policy} for policy in policies],
        events=list(filled(case.get("events", []), case.get("all", {}))),
        **rest,
    )


def filled(events: list[dict[str, Any]], common: dict[str, Any]) -> Iterator[dict[str, Any]]:
    ts_us = MIDNIGHT_US - 1_000_000
    for index, event in enumerate(events):
        columns = {"event_id": f"e{index}", "actor_id": "a", "action": "read", "resource": "db/1", **common, **event}
        at = columns.pop("at", None)
        ts_us = ts_us + 1_000_000 if at is None else instant(at)
        yield {"ts_us": ts_us, **{key: value for key, value in columns.items() if value is not None}}


def instant(at: str | float) -> int:
    if isinstance(at, str):
        ts_us = parse_instant(at)
        assert ts_us is not None, at
        return ts_us
    return MIDNIGHT_US + round(at * 1_000_000)
