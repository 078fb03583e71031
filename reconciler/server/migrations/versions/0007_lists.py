"""The last change of a list of policies, found without looking at each of them."""

from __future__ import annotations

from alembic import op

revision = "0007_lists"
down_revision = "0006_pages"


def upgrade() -> None:
    op.create_index(
        op.f("ix_policy_changes_system_organization_number"),
        "policy_changes",
        ["system", "organization", "number"],
        unique=False,
    )
