"""`reconciler.notice/1`: what a web address is told of drift and of failed runs.

It leaves for a place that a file in git names, so it says which policies, what was done to them and by whom, and never
what is in them: no bodies, no fields, no texts of the server or of an error.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

from reconciler.core.model import Change, Json, Outcome, Status
from reconciler.core.secret import Secret
from reconciler.errors import ExitCode

NOTICE_FORMAT: Final = "reconciler.notice/1"
MOST: Final = 100
_LONGEST: Final = 512


def drift_notice(target: str, head: str, changes: Sequence[Change]) -> dict[str, Json]:
    """Return what is told of edits made outside git: `event` "drift"."""
    return _notice(
        "drift",
        target,
        head,
        {
            "changes": [_change(change) for change in changes[:MOST]],
            "more": max(len(changes) - MOST, 0),
        },
    )


def failure_notice(
    target: str, head: str | None, code: ExitCode, outcomes: Sequence[Outcome] = (), error: str | None = None
) -> dict[str, Json]:
    """Return what is told of a run that did not do all it should: `event` "failure".

    Only the changes that were not made are listed. *error* is the code of the error that ended the run.
    """
    open_ends = [outcome for outcome in outcomes if outcome.status not in (Status.APPLIED, Status.ALREADY)]
    return _notice(
        "failure",
        target,
        head,
        {
            "exit": int(code),
            "error": error,
            "outcomes": [_outcome(outcome) for outcome in open_ends[:MOST]],
            "more": max(len(open_ends) - MOST, 0),
        },
    )


def stamp(notice: Mapping[str, Json], at: datetime, nonce: str) -> bytes:
    """Return the bytes to be signed and sent: *notice* with its moment and an id of its own.

    `id` differs for each notice and is the same when it is sent again; `finding` is the same as long as what is told
    is the same, so that a receiver can keep still about what it has told people already.
    """
    text = json.dumps(notice, sort_keys=True, ensure_ascii=True)
    finding = "sha256:" + hashlib.sha256(text.encode("ascii")).hexdigest()
    moment = at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    head: dict[str, Json] = {"format": NOTICE_FORMAT, "id": nonce, "at": moment, "finding": finding}
    return json.dumps({**head, **notice}, ensure_ascii=True).encode("ascii")


def signed(body: bytes, secret: Secret) -> dict[str, str]:
    """Return the header that shows who sent *body*, byte by byte as it is."""
    return {"X-Reconciler-Signature": f"sha256={secret.sign(body)}"}


def _notice(kind: str, target: str, head: str | None, rest: Mapping[str, Json]) -> dict[str, Json]:
    return {"event": kind, "target": target, "head": head, **rest}


def _change(change: Change) -> dict[str, Json]:
    drift = change.drift
    return {
        "key": _cut(change.key),
        "action": change.action.value,
        "origin": change.origin.value,
        "actor": _cut(drift.actor) if drift is not None else None,
        "at": _cut(drift.at) if drift is not None else None,
        "audit_id": _cut(drift.audit_id) if drift is not None else None,
        "confidence": drift.confidence.value if drift is not None else None,
    }


def _outcome(outcome: Outcome) -> dict[str, Json]:
    return {
        "key": _cut(outcome.key),
        "action": outcome.action.value,
        "status": outcome.status.value,
        "commit": outcome.commit,
    }


def _cut(text: str | None) -> str | None:
    return None if text is None else text[:_LONGEST]
