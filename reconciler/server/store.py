"""Transactions, and the accounts and tokens in them. What a policy looks like on the wire is the dialects'.

One transaction holds a mutation and its audit entry, so neither is ever there without the other. Writers take turns:
SQLite gets `BEGIN IMMEDIATE`, other databases an advisory lock, so that a read inside a write transaction stays true.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.pool import StaticPool

from reconciler.clock import SystemClock, SystemRandom
from reconciler.core.ports import Clock, Random
from reconciler.errors import ConfigError
from reconciler.server.accounts.people import change_user, find_user_id, insert_user
from reconciler.server.accounts.scopes import read_scopes
from reconciler.server.accounts.tokens import find_token, insert_token
from reconciler.server.credentials import COST, Cost, hash_token, make_token
from reconciler.server.migrations import bring_up
from reconciler.server.tables import tokens

MEMORY: Final = ":memory:"
DEFAULT_ORGANIZATION: Final = "default"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who a request speaks for, with the role and the scopes of the token it showed.

    Nothing of another *organization* is there for them: not in lists, not by id, not in the trail. *credential* is the
    id of that token, or of the session.
    """

    user_id: str
    email: str
    role: str
    organization: str
    scopes: frozenset[str]
    credential: str = ""


class Store:
    """An open database. `read()` and `write()` are the only ways in; both end with the block, both from any thread."""

    def __init__(self, engine: sa.Engine, *, clock: Clock, random: Random, password_cost: Cost = COST) -> None:
        self._clock, self._random, self.password_cost = clock, random, password_cost
        self._engine, self._readers, self._writers = engine, *_engines(engine)
        self._turn = threading.RLock()
        self._writer: int | None = None
        # One connection is all an in-memory database has, so its readers take turns as well.
        self._read_turn = self._turn if isinstance(engine.pool, StaticPool) else nullcontext()

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """A transaction that sees one state of the database and changes nothing."""
        with self._read_turn, self._readers.connect() as connection, connection.begin() as transaction:
            yield connection
            transaction.rollback()

    @contextmanager
    def write(self) -> Iterator[sa.Connection]:
        """A transaction no other writer runs beside: committed whole at the end of the block, or not at all.

        A write inside a write would wait for itself, so it is an error.
        """
        with self._turn:
            if self._writer is not None:
                raise RuntimeError("a write inside a write")
            self._writer = threading.get_ident()
            try:
                with self._writers.connect() as connection, connection.begin():
                    _take_turn(connection)
                    yield connection
            finally:
                self._writer = None

    def close(self) -> None:
        """Let go of every connection. The store is of no use afterwards."""
        self._engine.dispose()

    def timestamp(self, *, milliseconds: bool = True) -> str:
        """The time now as the documents write it: `2026-03-05T14:30:00.000Z`, or to the second."""
        now = self._clock.now().isoformat(timespec="milliseconds" if milliseconds else "seconds")
        return now.removesuffix("+00:00") + "Z"

    def seconds(self) -> float:
        """The time now as seconds since 1970, for times that are reckoned with and not shown."""
        return self._clock.now().timestamp()

    def make_id(self, prefix: str) -> str:
        """A new id: *prefix* and 16 random hex characters."""
        return prefix + self._random.nonce()[:16]

    # ------------------------------------------------------------------------------------------ accounts

    def add_user(
        self, email: str, role: str, *, password: str | None = None, organization: str = DEFAULT_ORGANIZATION
    ) -> str:
        """Make an account, or give an existing one this role (and password), and return its id.

        An account that is there stays in its organization.
        """
        values = {"role": role} if password is None else {"role": role, "password": password}
        with self.write() as connection:
            user_id = self._user_id(connection, email, role, organization)
            change_user(connection, self, user_id, **values)
        return user_id

    def add_token(
        self,
        email: str,
        role: str,
        *,
        token: str | None = None,
        lifetime: float | None = None,
        scopes: Collection[str] | None = None,
        organization: str = DEFAULT_ORGANIZATION,
    ) -> str:
        """Store a token for this account, made when it is not there yet, and return it: the only time it is seen.

        The role is the token's: an account that is there keeps its own, and its organization. A given *token* that is
        already known stays as it is. *lifetime* is in seconds; without it the token never ends.
        """
        token = token or make_token()
        with self.write() as connection:
            if connection.execute(sa.select(tokens.c.hash).where(tokens.c.hash == hash_token(token))).first() is None:
                user_id = self._user_id(connection, email, role, organization)
                insert_token(connection, self, token, user_id, role, lifetime=lifetime, scopes=scopes)
        return token

    def has_tokens(self) -> bool:
        with self.read() as connection:
            return connection.execute(sa.select(tokens.c.hash).limit(1)).first() is not None

    def find_caller(self, token: str) -> Caller | None:
        """Whoever this token was made for; None when nobody, or when its time is over."""
        with self.read() as connection:
            row = find_token(connection, token, self.seconds())
        if row is None:
            return None
        return Caller(row.user_id, row.email, row.role, row.organization, read_scopes(row.scopes), row.id)

    def _user_id(self, connection: sa.Connection, email: str, role: str, organization: str) -> str:
        found = find_user_id(connection, email)
        return found or insert_user(connection, self, email=email, role=role, organization=organization)


def open_store(
    db: str | None = None, *, clock: Clock | None = None, random: Random | None = None, password_cost: Cost = COST
) -> Store:
    """Open a database and bring its tables up to date. *db* is `:memory:` (default), a path, or a database URL.

    A new SQLite file can be read by its owner only. Only tests want passwords at another cost.
    """
    try:
        engine = _make_engine(db or MEMORY)
        try:
            with _engines(engine)[1].connect() as connection, connection.begin():
                _take_turn(connection)
                bring_up(connection)
        except BaseException:
            engine.dispose()
            raise
    except (sa.exc.SQLAlchemyError, ModuleNotFoundError, OSError) as error:
        raise ConfigError(
            f"cannot open the database: {_short(error)}",
            where="--db",
            fix="give a path in a folder that exists, :memory:, or a URL whose driver is installed",
        ) from error
    return Store(engine, clock=clock or SystemClock(), random=random or SystemRandom(), password_cost=password_cost)


def _make_engine(db: str) -> sa.Engine:
    url = sa.make_url(db) if "://" in db else sa.URL.create("sqlite", database=db)
    if url.drivername in ("postgres", "postgresql"):
        url = url.set(drivername="postgresql+psycopg")
    if url.get_backend_name() != "sqlite":
        # A pooled connection may have ended with the database's restart: `pre_ping` finds that out before it is used.
        return sa.create_engine(url, hide_parameters=True, pool_size=10, max_overflow=40, pool_pre_ping=True)
    if url.database in (None, "", MEMORY):
        engine = sa.create_engine(
            "sqlite://", hide_parameters=True, poolclass=StaticPool, connect_args={"check_same_thread": False}
        )
    else:
        os.close(os.open(Path(url.database), os.O_CREAT | os.O_RDWR, 0o600))
        engine = sa.create_engine(
            url,
            hide_parameters=True,
            pool_size=10,
            max_overflow=40,
            connect_args={"timeout": 15, "check_same_thread": False},
        )
    sa.event.listen(engine, "connect", _prepare)
    sa.event.listen(engine, "begin", _begin)
    return engine


def _engines(engine: sa.Engine) -> tuple[sa.Engine, sa.Engine]:
    """The same pool for readers and for writers.

    A reader of PostgreSQL keeps the state its first statement saw. A writer must not: what it sees begins after its
    turn has come.
    """
    if engine.dialect.name != "postgresql":
        return engine, engine.execution_options(writes=True)
    readers = engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
    return readers, engine.execution_options(isolation_level="READ COMMITTED")


def _take_turn(connection: sa.Connection) -> None:
    """Wait until no other process writes; SQLite has done so when the transaction began."""
    if connection.dialect.name == "postgresql":
        connection.execute(sa.text("SELECT pg_advisory_xact_lock(8800)"))


def _prepare(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # the driver would begin by itself, later than we mean it to
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA foreign_keys = ON")


def _begin(connection: sa.Connection) -> None:
    writes = connection.get_execution_options().get("writes")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _short(error: BaseException) -> str:
    origin = getattr(error, "orig", None) or error
    return str(origin).splitlines()[0] if str(origin) else type(origin).__name__
