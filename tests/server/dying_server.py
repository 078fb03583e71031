"""Run by `test_store.py`: every mutation of the server, once for every point of it at which the process can die.

A trial is a forked process over a copy of one database: it starts the server, sends itself one request, and kills
itself before its n-th statement or commit. The parent then reads what is left. One line of JSON per trial: what was
asked, n, how the process ended, whether any table but the trail changed, how many entries the trail gained, how many
replies were kept under the request's idempotency key.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import sqlalchemy as sa

from reconciler.server.app import create_app
from reconciler.server.main import make_server, running
from reconciler.server.options import ServerOptions
from reconciler.server.store import open_store

MFA = "/api/policies/pol-mfa-required"
POLICIES = "/v1/admin/security-policies"
TABLES = ("neosc_policies", "opena2a_policies", "settings", "tokens")
TOKEN = "a-token-for-the-dying-server"
LOGIN = {"email": "person@example.com", "password": "right one"}


def make_database(path: Path) -> str:
    """A database with the defaults, a policy, a person and a token; returns the policy's id."""
    store = open_store(str(path))
    store.add_user(LOGIN["email"], "admin", password=LOGIN["password"])
    store.add_token("gitops@example.com", "admin", token=TOKEN)
    with running(create_app(store, ServerOptions(neosc_crud=True))) as url:
        send(url, "GET", "/api/policies", None)
        made: str = send(url, "POST", POLICIES, {"name": "there", "policy_type": "trust_score"}).json()["policy"]["id"]
    store.close()
    return made


def send(url: str, method: str, path: str, body: Any, key: str = "") -> httpx.Response:
    headers = {"Authorization": f"Bearer {TOKEN}", **({"Idempotency-Key": key} if key else {})}
    # No TLS here, so none of the time it takes to read the machine's certificates.
    return httpx.request(method, url + path, json=body, headers=headers, trust_env=False, verify=False)


def read(path: Path) -> tuple[list[Any], int, int]:
    with closing(sqlite3.connect(path)) as database:
        rows = [database.execute(f"SELECT * FROM {table} ORDER BY 1").fetchall() for table in TABLES]
        counts = [
            database.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
            for table in ("audit_entries", "idempotency_keys")
        ]
        return rows, counts[0], counts[1]


def die_in(path: Path, request: tuple[str, str, Any], point: int) -> int:
    """The trial itself, in a process of its own; returns only when the request was over before the *point*."""
    store = open_store(str(path))
    with running(create_app(store, ServerOptions(neosc_crud=True))) as url:
        passed = 0

        def step(*_: object) -> None:
            nonlocal passed
            passed += 1
            if passed == point:
                os.kill(os.getpid(), signal.SIGKILL)

        sa.event.listen(sa.Engine, "before_cursor_execute", step)
        sa.event.listen(sa.Engine, "commit", step)
        status = send(url, *request, key="k").status_code
        sa.event.remove(sa.Engine, "before_cursor_execute", step)
        sa.event.remove(sa.Engine, "commit", step)
    store.close()
    return 0 if status in (200, 201) else 1


def _warm_up() -> None:
    """Do what a first server and a first client take their time for, once and not in every trial."""
    import encodings.idna  # noqa: F401

    import anyio._core._sockets  # noqa: F401

    store = open_store()
    make_server(create_app(store, ServerOptions(neosc_crud=True))).config.load()
    httpx.Client(trust_env=False, verify=False).close()
    store.close()


def main(folder: Path, stride: int) -> None:
    """Every point of every request, or every *stride*-th, beginning at another one for each request."""
    # Made in a child as well: a process that has had threads should not fork.
    template, trial = folder / "template.db", folder / "trial.db"
    receiver, sender = os.pipe()
    if os.fork() == 0:
        os.write(sender, make_database(template).encode())
        os._exit(0)
    os.wait()
    there = os.read(receiver, 100).decode()
    _warm_up()
    requests: list[tuple[str, str, Any]] = [
        ("PATCH", MFA, None),
        ("POST", "/api/policies", {"name": "x", "type": "access"}),
        ("PUT", MFA, {"description": "x"}),
        ("DELETE", MFA, None),
        ("POST", "/api/auth/login", LOGIN),
        ("POST", POLICIES, {"name": "x", "policy_type": "trust_score"}),
        ("PUT", f"{POLICIES}/{there}", {"description": "x"}),
        ("PATCH", f"{POLICIES}/{there}/toggle", {"enabled": False}),
        ("DELETE", f"{POLICIES}/{there}", None),
        ("PUT", "/v1/admin/enforcement-settings", {"enforcementMode": "strict"}),
    ]
    for number, request in enumerate(requests):
        point, ended = number % stride + 1 - stride, False
        while not ended:
            point += stride
            shutil.copyfile(template, trial)
            before = read(trial)
            if os.fork() == 0:
                os._exit(die_in(trial, request, point))
            _, status = os.wait()
            ended = not os.WIFSIGNALED(status)
            after = read(trial)
            for left in folder.glob("trial.db*"):
                left.unlink()
            result = {
                "request": f"{request[0]} {request[1]}",
                "point": point,
                "status": status,
                "changed": before[0] != after[0],
                "gained": after[1] - before[1],
                "kept": after[2] - before[2],
            }
            print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
