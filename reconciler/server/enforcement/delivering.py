"""Notices of alerts to `--alert-webhook`."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from reconciler.core.model import Json
from reconciler.server.enforcement.tables import deliveries


def queue_notices(connection: sa.Connection, organization: str, alerts: Sequence[dict[str, Json]], now: float) -> None:
    """Have alerts delivered, once this transaction is committed."""
    fixed = {"organization": organization, "state": "waiting", "attempts": 0, "due_at": now}
    connection.execute(deliveries.insert(), [{**fixed, "finding_id": each["id"], "notice": each} for each in alerts])
