"""People who edit a live system behind git's back, each with a token of their own."""

from __future__ import annotations

import json
import urllib.request
from typing import Any

from tests.support.servers import RunningServer

ADMIN = "admin@example.com"


def call_neosc(server: RunningServer, method: str, path: str = "", body: Any = None, *, by: str = ADMIN) -> Any:
    """One call to NeoSC's policies."""
    return _call(server, f"{server.neosc_url}/policies{path}", method, body, by)


def call_opena2a(server: RunningServer, method: str, path: str = "", body: Any = None, *, by: str = ADMIN) -> Any:
    """One call to OpenA2A's policies."""
    return _call(server, f"{server.opena2a_url}/admin/security-policies{path}", method, body, by)


def live_opena2a(server: RunningServer) -> dict[str, Any]:
    """The live policies of OpenA2A by name."""
    return {policy["name"]: policy for policy in call_opena2a(server, "GET")["policies"]}


def _call(server: RunningServer, url: str, method: str, body: Any, by: str) -> Any:
    request = urllib.request.Request(
        url,
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={
            "Authorization": f"Bearer {server.store.add_token(by, 'admin')}",
            "Content-Type": "application/json",
        },
    )
    with urllib.request.urlopen(request) as reply:
        return json.loads(reply.read() or b"null")
