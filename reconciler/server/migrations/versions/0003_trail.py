"""Tables of the audit trail's chain."""

from __future__ import annotations

revision = "0003_trail"
down_revision = "0002_enforcement"


def upgrade() -> None:
    """Nothing yet."""
