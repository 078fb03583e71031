"""What holds when many ask at once, and when the process is killed in the middle of it."""

from __future__ import annotations

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
import sqlalchemy as sa

from reconciler.errors import ConfigError
from reconciler.server.credentials import hash_token
from reconciler.server.store import open_store
from reconciler.server.tables import users
from reconciler.server.trail.chain import AUDIT, append
from reconciler.server.trail.tables import audit_entries
from tests.support.postgres import Cluster
from tests.support.servers import reference_server

MFA = "pol-mfa-required"
TOKEN = "a-token-for-the-kill-test"


@pytest.fixture(params=["memory", "file", pytest.param("postgresql", marks=pytest.mark.heavy)])
def db(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "postgresql":
        cluster: Cluster = request.getfixturevalue("postgres")
        url = cluster.make_database()
        yield url
        cluster.drop_database(url)
    else:
        yield ":memory:" if request.param == "memory" else str(tmp_path / "server.db")


def test_200_flips_at_once_end_in_the_parity_of_their_entries(db: str) -> None:
    with reference_server(db=db) as server:
        headers = {"Authorization": f"Bearer {server.token}"}
        with httpx.Client(base_url=server.neosc_url, headers=headers, trust_env=False, timeout=60) as client:
            client.get("/policies")

            with ThreadPoolExecutor(40) as pool:
                replies = list(pool.map(lambda _: client.patch(f"/policies/{MFA}"), range(201)))

            enabled = client.get("/policies").json()[0]["enabled"]
            entries = client.get("/audit-logs").json()

    assert {reply.status_code for reply in replies} == {200}
    assert Counter(reply.json()["enabled"] for reply in replies) == {False: 101, True: 100}
    assert len(entries) == 201
    assert enabled is False
    assert [entry["details"] for entry in entries] == (["Policy disabled", "Policy enabled"] * 101)[:201]


def test_first_lists_at_once_make_the_defaults_once(db: str) -> None:
    with reference_server(db=db) as server:
        headers = {"Authorization": f"Bearer {server.token}"}
        with (
            httpx.Client(base_url=server.neosc_url, headers=headers, trust_env=False, timeout=60) as client,
            ThreadPoolExecutor(30) as pool,
        ):
            lists = list(pool.map(lambda _: client.get("/policies").json(), range(60)))

    assert len(lists[0]) == 3
    assert all(found == lists[0] for found in lists)


@pytest.mark.parametrize("db", ["file", pytest.param("postgresql", marks=pytest.mark.heavy)], indirect=True)
def test_first_lists_that_all_saw_no_policy_make_the_defaults_once(db: str) -> None:
    with reference_server(db=db) as server:
        headers = {"Authorization": f"Bearer {server.token}"}
        with (
            httpx.Client(base_url=server.neosc_url, headers=headers, trust_env=False, timeout=60) as client,
            ThreadPoolExecutor(10) as pool,
        ):
            with server.store.write():
                waiting = [pool.submit(client.get, "/policies") for _ in range(10)]
                while len(server.request_log) < 10:
                    time.sleep(0.01)
                time.sleep(0.3)  # each has read that there is nothing, and waits for its turn to write
                assert not any(each.done() for each in waiting)
            lists = [each.result().json() for each in waiting]

    assert len(lists[0]) == 3
    assert all(found == lists[0] for found in lists)


def test_creates_of_one_name_at_once_make_one_policy(db: str) -> None:
    with reference_server(db=db) as server:
        headers = {"Authorization": f"Bearer {server.token}"}
        url = f"{server.opena2a_url}/admin/security-policies"
        body = {"name": "one", "policy_type": "trust_score"}
        with (
            httpx.Client(headers=headers, trust_env=False, timeout=60) as client,
            ThreadPoolExecutor(20) as pool,
        ):
            codes = Counter(pool.map(lambda _: client.post(url, json=body).status_code, range(30)))
            total = client.get(url).json()["total"]

    assert codes == {201: 1, 409: 29}
    assert total == 1


@pytest.mark.parametrize("db", ["file", pytest.param("postgresql", marks=pytest.mark.heavy)], indirect=True)
def test_a_database_outlives_its_server(db: str) -> None:
    with reference_server(db=db) as server:
        headers = {"Authorization": f"Bearer {server.token}"}
        httpx.get(f"{server.neosc_url}/policies", headers=headers, trust_env=False)
        httpx.patch(f"{server.neosc_url}/policies/{MFA}", headers=headers, trust_env=False)

    with reference_server(db=db) as server:
        policies = httpx.get(f"{server.neosc_url}/policies", headers=headers, trust_env=False).json()
        entries = httpx.get(f"{server.neosc_url}/audit-logs", headers=headers, trust_env=False).json()

    assert [policy["enabled"] for policy in policies] == [False, True, True]
    assert len(entries) == 1


@pytest.mark.parametrize(
    "statement", [audit_entries.delete(), audit_entries.update().values(details="nothing"), sa.text("TRUNCATE {}")]
)
def test_an_audit_entry_cannot_be_changed_or_taken_away(db: str, statement: Any) -> None:
    if isinstance(statement, sa.TextClause):
        statement = sa.text("TRUNCATE audit_entries" if "postgresql" in db else "DELETE FROM audit_entries")
    with reference_server(db=db) as server:
        headers = {"Authorization": f"Bearer {server.token}"}
        httpx.get(f"{server.neosc_url}/policies", headers=headers, trust_env=False)
        httpx.patch(f"{server.neosc_url}/policies/{MFA}", headers=headers, trust_env=False)

        with pytest.raises(sa.exc.IntegrityError, match="append-only"), server.store.write() as connection:
            connection.execute(statement)

        entries = httpx.get(f"{server.neosc_url}/audit-logs", headers=headers, trust_env=False).json()
    assert [entry["details"] for entry in entries] == ["Policy disabled"]


@pytest.mark.parametrize(
    ("path", "shape"),
    [
        ("/api/policies", {"detail": "Internal Server Error"}),
        ("/v1/admin/security-policies", {"error": "Internal Server Error"}),
    ],
)
def test_a_broken_database_is_500_in_the_documented_shape_and_shows_no_secret(
    path: str, shape: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    with reference_server() as server:
        with server.store.write() as connection:
            connection.execute(sa.text("DROP TABLE tokens"))

        reply = httpx.get(server.url + path, headers={"Authorization": f"Bearer {server.token}"}, trust_env=False)

    assert (reply.status_code, reply.json()) == (500, shape)
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert "no such table: tokens" in caplog.text
    assert server.token not in caplog.text
    assert hash_token(server.token) not in caplog.text


def test_a_write_that_fails_leaves_nothing(db: str) -> None:
    store = open_store(db)

    with suppress(RuntimeError), store.write() as connection:
        columns = ("id", "system", "user_id", "user_email", "action", "resource", "details", "timestamp")
        append(connection, AUDIT, "x", [{**dict.fromkeys(columns, "x"), "success": True}])
        raise RuntimeError("half-way")

    with store.read() as connection:
        left = connection.execute(sa.select(audit_entries)).all()
    store.close()
    assert left == []


def test_a_write_inside_a_write_is_an_error_and_not_a_wait(db: str) -> None:
    store = open_store(db)

    with pytest.raises(RuntimeError, match="inside"), store.write(), store.write():
        pass

    with store.write():
        pass
    store.close()


@pytest.mark.parametrize("db", ["file", pytest.param("postgresql", marks=pytest.mark.heavy)], indirect=True)
def test_a_read_sees_one_state_while_others_write(db: str) -> None:
    store = open_store(db)
    count = sa.select(sa.func.count()).select_from(users)
    store.add_user("first@example.com", "user")

    with store.read() as connection:
        before = connection.execute(count).scalar()
        store.add_user("second@example.com", "user")
        after = connection.execute(count).scalar()

    with store.read() as connection:
        later = connection.execute(count).scalar()
    store.close()
    assert (before, after, later) == (1, 1, 2)


@pytest.mark.parametrize("db", ["file", pytest.param("postgresql", marks=pytest.mark.heavy)], indirect=True)
def test_writers_of_two_servers_take_turns(db: str) -> None:
    stores = [open_store(db) for _ in range(2)]
    user = stores[0].add_user("0@example.com", "user")

    def add(number: int) -> None:
        with stores[number % 2].write() as connection:
            name = connection.execute(sa.select(users.c.name).where(users.c.id == user)).scalar_one()
            connection.execute(users.update().where(users.c.id == user).values(name=str(int(name) + 1)))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(add, range(60)))

    with stores[0].read() as connection:
        name = connection.execute(sa.select(users.c.name)).scalar_one()
    for store in stores:
        store.close()
    assert name == "60"


@pytest.mark.parametrize("db", ["/nonexistent/folder/x.db", "nonsense://x", "postgresql+nodriver://u:hunter2@h/x"])
def test_a_database_that_cannot_be_opened_is_an_error_with_a_way_out(db: str) -> None:
    with pytest.raises(ConfigError) as caught:
        open_store(db)

    assert caught.value.fix
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_a_postgresql_that_does_not_answer_is_an_error_without_the_password(scheme: str) -> None:
    with pytest.raises(ConfigError, match=r"127\.0\.0\.1.*refused") as caught:
        open_store(f"{scheme}://u:hunter2@127.0.0.1:1/x")

    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("db", [pytest.param("postgresql", marks=pytest.mark.heavy)], indirect=True)
def test_connections_that_the_database_ended_are_made_anew(db: str) -> None:
    with reference_server(db=db) as server:
        headers = {"Authorization": f"Bearer {server.token}"}
        with httpx.Client(base_url=server.neosc_url, headers=headers, trust_env=False) as client:
            client.get("/policies")
            with psycopg.connect(db, autocommit=True) as connection:
                connection.execute(
                    "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
                    "WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )

            codes = [client.get("/policies").status_code, client.patch(f"/policies/{MFA}").status_code]

    assert codes == [200, 200]


@pytest.mark.parametrize("seconds", [0.3, 0.7])
def test_a_kill_between_mutations_leaves_each_with_its_entry(tmp_path: Path, seconds: float) -> None:
    path = tmp_path / "server.db"
    acknowledged = Counter[str]()
    for process, url in _served(path):
        stop = threading.Event()
        hands = [threading.Thread(target=_mutate, args=(url, stop, acknowledged)) for _ in range(4)]
        for hand in hands:
            hand.start()
        while not acknowledged["PATCH"]:
            time.sleep(0.01)
        time.sleep(seconds)

        process.send_signal(signal.SIGKILL)
        process.wait(10)
        stop.set()
        for hand in hands:
            hand.join()

    with closing(sqlite3.connect(path)) as database:
        checked = database.execute("PRAGMA integrity_check").fetchone()
        enabled = database.execute("SELECT enabled FROM neosc_policies WHERE id = ?", (MFA,)).fetchone()[0]
        actions = Counter(row[0] for row in database.execute("SELECT action FROM audit_entries"))
        made = {f"policy:{row[0]}" for row in database.execute("SELECT id FROM opena2a_policies")}
        told = {row[0] for row in database.execute("SELECT resource FROM audit_entries WHERE action = 'create_policy'")}
    assert checked == ("ok",)
    assert bool(enabled) is (actions["toggle_policy"] % 2 == 0)
    assert made == told
    assert acknowledged["PATCH"] <= actions["toggle_policy"] <= acknowledged["PATCH"] + 4
    assert acknowledged["POST"] <= actions["create_policy"] <= acknowledged["POST"] + 4
    assert acknowledged["PATCH"] > 0


@pytest.mark.parametrize(("stride", "killed"), [(5, 20), pytest.param(1, 150, marks=pytest.mark.heavy)])
def test_dying_at_any_point_of_any_mutation_leaves_the_change_with_its_entry_or_neither(
    tmp_path: Path, stride: int, killed: int
) -> None:
    program = Path(__file__).with_name("dying_server.py")

    done = subprocess.run(
        [sys.executable, str(program), str(tmp_path), str(stride)],
        capture_output=True,
        text=True,
        timeout=900,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )

    trials = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0, done.stderr
    for trial in trials:
        assert (trial["changed"], trial["gained"]) in ((False, 0), (True, 1)), trial
        assert trial["kept"] == (trial["changed"] and "login" not in trial["request"]), trial  # a login has no key
    survived = [trial for trial in trials if trial["status"] == 0]
    assert [trial["changed"] for trial in survived] == [True] * 10
    assert len(trials) - len(survived) >= killed
    assert {trial["status"] for trial in trials} == {0, signal.SIGKILL}


def _served(path: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A server process over *path*, and the URL it printed; whatever happens, it is gone afterwards."""
    program = "import sys; from reconciler.cli.serve import serve_command; serve_command(sys.argv[1:])"
    process = subprocess.Popen(
        [sys.executable, "-c", program, "--port", "0", "--db", str(path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "RECONCILER_SERVER_TOKEN": TOKEN},
    )
    with process:
        try:
            assert process.stdout is not None
            found = re.search(r"http://[^/]+", process.stdout.readline())
            assert found is not None
            httpx.get(f"{found[0]}/api/policies", headers={"Authorization": f"Bearer {TOKEN}"}, trust_env=False)
            yield process, found[0]
        finally:
            process.kill()


def _mutate(url: str, stop: threading.Event, acknowledged: Counter[str]) -> None:
    number = 0
    with httpx.Client(base_url=url, headers={"Authorization": f"Bearer {TOKEN}"}, trust_env=False) as client:
        while not stop.is_set():
            number += 1
            name = f"{threading.get_ident()}-{number}"
            try:
                if client.patch(f"/api/policies/{MFA}").status_code == 200:
                    acknowledged["PATCH"] += 1
                body = {"name": name, "policy_type": "trust_score"}
                if client.post("/v1/admin/security-policies", json=body).status_code == 201:
                    acknowledged["POST"] += 1
            except httpx.TransportError:
                return
