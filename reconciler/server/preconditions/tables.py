"""Tables of idempotency keys and locks."""

from __future__ import annotations

import sqlalchemy as sa

from reconciler.server.tables import metadata

#: The reply of a mutation that was asked for under a key; gone after `replays.KEPT_SECONDS`.
idempotency_keys = sa.Table(
    "idempotency_keys",
    metadata,
    sa.Column("user_id", sa.ForeignKey("users.id"), primary_key=True),
    sa.Column("key", sa.String(255), primary_key=True),
    sa.Column("request", sa.String(64), nullable=False),
    sa.Column("status", sa.Integer, nullable=False),
    sa.Column("headers", sa.JSON, nullable=False),
    sa.Column("content", sa.JSON, nullable=False),
    sa.Column("stored_at", sa.Float, nullable=False, index=True),
)

#: A lock that was ever taken stays, so that its token only grows. `expires_at` is null once it is released.
locks = sa.Table(
    "locks",
    metadata,
    sa.Column("organization", sa.String(255), primary_key=True),
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("token", sa.BigInteger, nullable=False),
    sa.Column("holder", sa.String(255), nullable=False),
    sa.Column("ttl", sa.Integer, nullable=False),
    sa.Column("acquired_at", sa.String(32), nullable=False),
    sa.Column("expires_at", sa.Float),
)
