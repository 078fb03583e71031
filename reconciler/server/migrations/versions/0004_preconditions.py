"""Tables of idempotency keys and locks."""

from __future__ import annotations

revision = "0004_preconditions"
down_revision = "0003_trail"


def upgrade() -> None:
    """Nothing yet."""
