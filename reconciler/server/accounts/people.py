"""Accounts as rows: who there is in an organization, and what becomes of what they hold when they change."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from reconciler.server.credentials import hash_password
from reconciler.server.tables import recovery_codes, second_factors, sessions, tokens, users

if TYPE_CHECKING:
    from reconciler.server.store import Store

ROLES: Final = ("admin", "user")


def find_user_id(connection: sa.Connection, email: str) -> str | None:
    """The id of the account with this address, in whatever organization it is."""
    query = sa.select(users.c.id).where(users.c.email == email.strip().lower())
    return connection.execute(query).scalar()


def insert_user(
    connection: sa.Connection, store: Store, *, email: str, role: str, organization: str, name: str | None = None
) -> str:
    """Make an account without a password and return its id. Its address must be nobody's yet."""
    if role not in ROLES:
        raise ValueError(f"no such role: {role}")
    email, user_id = email.strip().lower(), store.make_id("user-")
    row = {"id": user_id, "email": email, "name": name or email.partition("@")[0], "organization": organization}
    connection.execute(users.insert().values(**row, role=role, created_at=store.timestamp()))
    return user_id


def change_user(
    connection: sa.Connection, store: Store, user_id: str, *, but_session: str | None = None, **values: Any
) -> None:
    """Change name, role or password of an account.

    A new password or role ends its sessions, but the one with the id *but_session*; a role below admin ends its admin
    tokens, too, since a token keeps the role it was made with.
    """
    if "password" in values:
        values["password"] = hash_password(values["password"], store.password_cost)
    connection.execute(users.update().where(users.c.id == user_id).values(**values))
    if values.keys() & {"password", "role"}:
        mine = (sessions.c.user_id == user_id, sessions.c.id != (but_session or ""))
        connection.execute(sessions.delete().where(*mine))
    if values.get("role", "admin") != "admin":
        connection.execute(tokens.delete().where(tokens.c.user_id == user_id, tokens.c.role == "admin"))


def remove_user(connection: sa.Connection, user_id: str) -> None:
    """Remove an account with all it holds; what it did stays in the trail."""
    for table in (tokens, sessions, recovery_codes, second_factors):
        connection.execute(table.delete().where(table.c.user_id == user_id))
    connection.execute(users.delete().where(users.c.id == user_id))


def list_users(connection: sa.Connection, organization: str, user_id: str | None = None) -> list[Mapping[str, Any]]:
    """The accounts of an organization, or one of them, oldest first, without their secrets."""
    factor = sa.and_(second_factors.c.user_id == users.c.id, second_factors.c.confirmed)
    shown = (users.c.id, users.c.email, users.c.name, users.c.organization, users.c.role)
    query = (
        sa.select(
            *shown,
            second_factors.c.user_id.is_not(None).label("mfa_enabled"),
            users.c.password.is_not(None).label("has_password"),
            users.c.created_at,
        )
        .select_from(users.outerjoin(second_factors, factor))
        .where(users.c.organization == organization)
        .order_by(users.c.created_at, users.c.id)
    )
    if user_id is not None:
        query = query.where(users.c.id == user_id)
    return [dict(row) for row in connection.execute(query).mappings()]
