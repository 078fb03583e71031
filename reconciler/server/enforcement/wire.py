"""Findings as they are shown: in lists, in the real-time stream, in notices. All three show the same."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from reconciler.core.model import Json

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_FIELDS: Final = (
    *("id", "kind", "is_alert", "severity", "status", "actor_id", "action", "resource", "event_id", "seq"),
    *("system", "policy_id", "policy_name", "policy_type", "revision", "effect", "clauses", "notify_admins"),
    *("decision", "mode"),
)
_SETTLED: Final = ("acknowledged_by", "acknowledged_at", "resolved_by", "resolved_at", "reason")


def finding_to_wire(row: Mapping[str, Any]) -> dict[str, Json]:
    """A row of `findings`; who settled it is null until somebody did."""
    return {
        **{name: row[name] for name in _FIELDS},
        "at": instant(row["ts_us"]),
        **{name: row.get(name) for name in _SETTLED},
    }


def instant(ts_us: int) -> str:
    """Microseconds since 1970 as text.

    >>> instant(1_772_421_247_123_456)
    '2026-03-02T03:14:07.123456Z'
    """
    return (_EPOCH + timedelta(microseconds=ts_us)).isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"
