"""What Alembic runs the steps in: the connection, and so the transaction, of whoever asked for them."""

from __future__ import annotations

from alembic import context

from reconciler.server.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
with context.begin_transaction():
    context.run_migrations()
