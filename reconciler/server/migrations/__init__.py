"""The database's shape and its steps: every module with tables is imported here, the steps are in `versions/`.

A fresh database is made at once from `metadata`, an older one step by step; a test holds the two to be the same. A new
table is a new step, or a line in one that was never released. Alembic is loaded only where there is a step to take.
"""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa

from reconciler.errors import ConfigError
from reconciler.server import tables
from reconciler.server.aim import tables as aim
from reconciler.server.enforcement import tables as enforcement
from reconciler.server.pages import tables as pages
from reconciler.server.preconditions import tables as preconditions
from reconciler.server.tables import metadata
from reconciler.server.trail import tables as trail

#: Every module with tables: what is not imported is not in `metadata`.
MODULES: Final = (tables, aim, enforcement, preconditions, pages, trail)

#: The newest step, the one a database made from `metadata` is at.
HEAD: Final = "0008_decisions"

#: Alembic's own table: one row, the step the database is at.
_version = sa.Table(
    "alembic_version",
    sa.MetaData(),
    sa.Column("version_num", sa.String(32), nullable=False),
    sa.PrimaryKeyConstraint("version_num", name="alembic_version_pkc"),
)


def bring_up(connection: sa.Connection) -> None:
    """Make or upgrade the tables inside the caller's transaction, so that all steps are taken or none.

    `ConfigError` for a database whose tables are not ours, or newer than this program: neither is touched.
    """
    there = set(sa.inspect(connection).get_table_names())
    if _version.name not in there:
        if taken := sorted(there & metadata.tables.keys()):
            raise ConfigError(
                f"the database has a table `{taken[0]}` that this program did not make",
                where="--db",
                fix="give a database of its own",
            )
        metadata.create_all(connection)
        _version.create(connection)
        connection.execute(_version.insert().values(version_num=HEAD))
    elif connection.execute(sa.select(_version.c.version_num)).scalars().all() != [HEAD]:
        upgrade(connection)


def upgrade(connection: sa.Connection, step: str = HEAD) -> None:
    """Take every step up to *step*; from an empty database that is all of them."""
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    config = Config()
    config.set_main_option("script_location", "reconciler.server:migrations")
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, step)
    except CommandError as error:
        raise ConfigError(
            "the database was made by a newer version of this program",
            where="--db",
            fix="upgrade reconciler, or give another database",
        ) from error
