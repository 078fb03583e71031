"""Tables of the web page."""

from __future__ import annotations

revision = "0006_pages"
down_revision = "0005_aim"


def upgrade() -> None:
    """Nothing yet."""
