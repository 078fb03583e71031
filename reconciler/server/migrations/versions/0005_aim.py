"""Tables of the published AIM server's policies."""

from __future__ import annotations

revision = "0005_aim"
down_revision = "0004_preconditions"


def upgrade() -> None:
    """Nothing yet."""
