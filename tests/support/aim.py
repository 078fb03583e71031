"""A published AIM server for a test, with a way to its inside: who it takes for logged in, and what it does next.

`with aim_server("aim:a1") as aim:` then `aim.url`, `aim.token` (or `aim.credentials`, for a login), `aim.policies()`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from starlette.routing import Mount

from reconciler.core.ports import Clock
from reconciler.server.aim.app import Running
from reconciler.server.aim.tables import aim_entries, aim_policies
from reconciler.server.aim.tokens import Claims
from reconciler.server.app import create_app
from reconciler.server.edge import App, Receive, Send
from reconciler.server.main import running
from reconciler.server.options import ServerOptions
from reconciler.server.store import Store, open_store
from tests.support.servers import CHEAP

EMAIL = "gitops@example.com"
PASSWORD = "correct-horse-battery-staple"


@dataclass
class AimServer:
    """Where it is and what is in it. `before` is called with method and path of every request."""

    url: str
    store: Store
    inside: Running
    requests: list[tuple[str, str]] = field(default_factory=list)
    before: Callable[[str, str], object] = lambda method, path: None

    @property
    def token(self) -> str:
        """A token of the admin's, as a login gives it."""
        return self.inside.signer.make(Claims(self.store.add_user(EMAIL, "admin"), "default", EMAIL, "admin"))

    @property
    def credentials(self) -> str:
        """The admin's email and password, set now."""
        self.store.add_user(EMAIL, "admin", password=PASSWORD)
        return f"{EMAIL}:{PASSWORD}"

    @property
    def mutations(self) -> list[tuple[str, str]]:
        """The changes asked for; a login changes nothing."""
        return [each for each in self.requests if each[0] != "GET" and "/admin/" in each[1]]

    def policies(self) -> dict[str, dict[str, Any]]:
        """What is stored, by name."""
        with self.store.read() as connection:
            return {row["name"]: dict(row) for row in connection.execute(sa.select(aim_policies)).mappings()}

    def entries(self) -> list[dict[str, Any]]:
        """The audit log, oldest first."""
        with self.store.read() as connection:
            found = connection.execute(sa.select(aim_entries).order_by(aim_entries.c.seq)).mappings()
            return [dict(row) for row in found]

    def edit(self, name: str, **fields: Any) -> None:
        """What a person does behind git's back."""
        with self.store.write() as connection:
            connection.execute(aim_policies.update().where(aim_policies.c.name == name).values(**fields))

    def add(self, name: str, **fields: Any) -> str:
        """A policy that was there before; returns its id."""
        policy_id = f"00000000-0000-4000-8000-{len(self.policies()):012}"
        row = {
            "id": policy_id,
            "organization": "default",
            "name": name,
            "description": "made by hand",
            "policy_type": "trust_score_low",
            "enforcement_action": "alert_only",
            "severity_threshold": "medium",
            "rules": {"trust_threshold": 0.3},
            "applies_to": "all_agents",
            "is_enabled": True,
            "priority": 50,
            "created_at": "2026-03-05T14:30:00.123456Z",
            "updated_at": "2026-03-05T14:30:00.123456Z",
            "created_by": "user-1",
            **fields,
        }
        with self.store.write() as connection:
            connection.execute(aim_policies.insert().values(**row))
        return policy_id


class _Watched:
    """ASGI: tell of a request before it is answered."""

    def __init__(self, app: App, tell: Callable[[str, str], object]) -> None:
        self.app, self.tell = app, tell

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            self.tell(scope["method"], scope["path"])
        await self.app(scope, receive, send)


@contextmanager
def aim_server(quirk: str = "aim", *, clock: Clock | None = None, db: str = ":memory:") -> Iterator[AimServer]:
    """A server of one generation over a fresh (or the given) database, with one admin."""
    store = open_store(db, clock=clock, password_cost=CHEAP)
    app = create_app(store, ServerOptions(quirks=frozenset({quirk})))
    [inside] = [route.app.state.aim for route in app.routes if isinstance(route, Mount) and route.path == "/api/v1"]  # type: ignore[attr-defined]
    made: list[AimServer] = []

    def tell(method: str, path: str) -> None:
        made[0].requests.append((method, path))
        made[0].before(method, path)

    try:
        with running(_Watched(app, tell)) as url:
            made.append(AimServer(f"{url}/api/v1", store, inside))
            yield made[0]
    finally:
        store.close()
