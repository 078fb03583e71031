"""Bearer tokens as rows: made, found, listed without their secret, taken back."""

from __future__ import annotations

import hmac
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from reconciler.server.accounts.scopes import choose_scopes, read_scopes, write_scopes
from reconciler.server.credentials import hash_token
from reconciler.server.tables import tokens, users

if TYPE_CHECKING:
    from reconciler.server.store import Store


def insert_token(
    connection: sa.Connection,
    store: Store,
    token: str,
    user_id: str,
    role: str,
    *,
    lifetime: float | None,
    name: str = "",
    scopes: Collection[str] | None = None,
) -> str:
    """Store *token*, hashed, and return the id it is spoken of by. Those whose time is over are forgotten.

    *lifetime* is in seconds, None for ever; without *scopes* it has the usual ones of its role.
    """
    now = store.seconds()
    connection.execute(tokens.delete().where(tokens.c.expires_at <= now))
    row = {"hash": hash_token(token), "id": store.make_id("tok-"), "user_id": user_id, "name": name, "role": role}
    connection.execute(
        tokens.insert().values(
            **row,
            scopes=write_scopes(choose_scopes(role, scopes)),
            created_at=store.timestamp(),
            expires_at=None if lifetime is None else now + lifetime,
        )
    )
    return row["id"]


def find_token(connection: sa.Connection, token: str, now: float) -> sa.Row[Any] | None:
    """The token's row with its owner's `email` and `organization`; None for one that is not ours, or is over."""
    wanted = hash_token(token)
    query = sa.select(tokens, users.c.email, users.c.organization).join(users).where(tokens.c.hash == wanted)
    row = connection.execute(query).first()
    if row is None or not hmac.compare_digest(row.hash, wanted):
        return None
    return None if row.expires_at is not None and row.expires_at <= now else row


def list_tokens(
    connection: sa.Connection, organization: str, now: float, token_id: str | None = None
) -> list[Mapping[str, Any]]:
    """The tokens of an organization that are not over, or one of them, oldest first; nothing that could be shown."""
    shown = (tokens.c.id, tokens.c.name, tokens.c.user_id, users.c.email, tokens.c.role, tokens.c.scopes)
    is_open = sa.or_(tokens.c.expires_at.is_(None), tokens.c.expires_at > now)
    query = (
        sa.select(*shown, tokens.c.created_at, tokens.c.expires_at)
        .join(users)
        .where(users.c.organization == organization, is_open)
        .order_by(tokens.c.created_at, tokens.c.id)
    )
    if token_id is not None:
        query = query.where(tokens.c.id == token_id)
    rows = connection.execute(query).mappings()
    return [{**row, "scopes": sorted(read_scopes(row["scopes"]))} for row in rows]


def remove_token(connection: sa.Connection, token_id: str) -> None:
    """Take a token back; the next request that shows it is 401."""
    connection.execute(tokens.delete().where(tokens.c.id == token_id))
