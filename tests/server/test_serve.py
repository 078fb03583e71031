"""The command `serve` as a process: what it prints, how it starts, how it ends."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
import sqlalchemy as sa

from reconciler.cli.serve import run_server
from reconciler.errors import ConfigError, ReconcilerError
from reconciler.server.accounts.first import OWNER, FirstSecrets, make_first_secrets
from reconciler.server.accounts.sessions import find_session, open_session
from reconciler.server.credentials import is_password
from reconciler.server.options import ServerOptions
from reconciler.server.store import open_store
from reconciler.server.tables import users
from tests.support.servers import CHEAP

GIVEN = "given-by-the-environment"


@contextmanager
def serving(*arguments: str, **environ: str) -> Iterator[tuple[subprocess.Popen[str], list[str]]]:
    """The command in a process of its own, and the lines it printed up to the address of the last API."""
    program = "import sys; from reconciler.cli.serve import serve_command as s; s(sys.argv[1:])"
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("RECONCILER_SERVER_")}
    with subprocess.Popen(
        [sys.executable, "-W", "error", "-c", program, "--port", "0", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**inherited, **environ},
    ) as process:
        try:
            assert process.stdout is not None
            yield process, [process.stdout.readline().strip() for _ in range(2)]
        finally:
            process.kill()


def test_the_first_start_prints_the_addresses_and_secrets_that_work() -> None:
    with serving() as (process, lines):
        assert process.stdout is not None
        word, token = process.stdout.readline().rsplit(" ", 1)
        url = lines[0].split()[1]
        reply = httpx.get(f"{url}/policies", headers={"Authorization": f"Bearer {token.strip()}"}, trust_env=False)
        words, password = process.stdout.readline().rsplit(" ", 1)
        page = httpx.get(process.stdout.readline().split()[1], trust_env=False, follow_redirects=True)
        login = {"email": OWNER, "password": password.strip()}
        logged_in = httpx.post(f"{url}/auth/login", json=login, trust_env=False)

        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate(timeout=20)

    assert [line.split()[0] for line in lines] == ["NeoSC", "OpenA2A"]
    assert "<h1>Log in</h1>" in page.text
    assert word == "admin token:"
    assert reply.status_code == 200
    assert words == "password of admin@localhost for the page:"
    assert (logged_in.status_code, logged_in.json()["user"]["role"]) == (200, "admin")
    assert rest == ""


@pytest.mark.heavy
def test_a_published_server_is_played_beside_the_documented_ones_and_takes_the_owners_password() -> None:
    with serving("--quirks", "aim:a1") as (process, lines):
        assert process.stdout is not None
        aim = process.stdout.readline().split()
        token = process.stdout.readline().rsplit(" ", 1)[1].strip()
        login = {"email": OWNER, "password": process.stdout.readline().rsplit(" ", 1)[1].strip()}
        logged_in = httpx.post(f"{aim[1]}/public/login", json=login, trust_env=False).json()["accessToken"]
        replies = [
            httpx.get(f"{aim[1]}/admin/security-policies", headers={"Authorization": f"Bearer {each}"}, trust_env=False)
            for each in (token, logged_in)
        ]

    assert [line.split()[0] for line in lines] == ["NeoSC", "OpenA2A"]
    assert aim[0] == "AIM"
    assert [(reply.status_code, reply.json()) for reply in replies] == [(200, [])] * 2


def test_a_second_start_and_a_given_token_print_none(tmp_path: Path) -> None:
    db = str(tmp_path / "server.db")

    outputs = []
    for environ in ({"RECONCILER_SERVER_TOKEN": GIVEN}, {}):
        with serving("--db", db, **environ) as (process, lines):
            headers = {"Authorization": f"Bearer {GIVEN}"}
            reply = httpx.get(f"{lines[1].split()[1]}/admin/security-policies", headers=headers, trust_env=False)
            process.send_signal(signal.SIGTERM)
            out, err = process.communicate(timeout=20)
            outputs.append((reply.status_code, out, GIVEN in err))

    assert outputs == [(200, "", False)] * 2


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_server_and_frees_its_port(number: signal.Signals) -> None:
    with serving() as (process, lines):
        port = int(lines[0].split()[1].split(":")[2].split("/")[0])
        httpx.get(f"http://127.0.0.1:{port}/", trust_env=False)

        process.send_signal(number)
        _, err = process.communicate(timeout=20)

    assert process.returncode == 1  # click's own; the program's main makes it 130
    assert "Traceback" not in err
    with socket.create_server(("127.0.0.1", port)):
        pass


def test_a_port_that_is_taken_is_an_error_with_a_way_out() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(ReconcilerError) as caught:
        run_server(db=None, port=taken.getsockname()[1], options=ServerOptions())

    assert "cannot listen" in caught.value.what
    assert "--port" in caught.value.fix


@pytest.mark.parametrize("token", ["short", "with a blank in it", "line\nbreak-in-the-token", "ünïcödé-tökens-are-not"])
def test_a_given_token_that_cannot_be_one_is_refused_and_not_shown(token: str) -> None:
    store = open_store()

    with pytest.raises(ConfigError) as caught:
        make_first_secrets(store, {"RECONCILER_SERVER_TOKEN": token})

    empty = not store.has_tokens()
    store.close()
    assert empty
    assert token not in str(caught.value)


def test_neosc_crud_is_off_unless_asked_for() -> None:
    codes = []
    for flags in ([], ["--neosc-crud"]):
        with serving(*flags) as (_, lines):
            codes.append(httpx.post(f"{lines[0].split()[1]}/policies", trust_env=False).status_code)

    assert codes == [405, 401]


@pytest.mark.parametrize("password", ["eleven chrs", "x" * 1025])
def test_a_given_password_that_is_none_is_refused_and_not_shown(password: str) -> None:
    store = open_store()

    with pytest.raises(ConfigError) as caught:
        make_first_secrets(store, {"RECONCILER_SERVER_PASSWORD": password})

    empty = not store.has_tokens()
    store.close()
    assert empty
    assert password not in str(caught.value)


def test_what_the_environment_gives_is_set_at_every_start_and_not_shown() -> None:
    store = open_store(password_cost=CHEAP)
    given = {"RECONCILER_SERVER_TOKEN": GIVEN, "RECONCILER_SERVER_PASSWORD": "a first password"}

    made = [make_first_secrets(store, given), make_first_secrets(store, given)]
    cookie = open_session(store, store.add_user(OWNER, "admin"))
    same = make_first_secrets(store, given)
    session = find_session(store, cookie)
    changed = make_first_secrets(store, {**given, "RECONCILER_SERVER_PASSWORD": "another password"})

    with store.read() as connection:
        stored = connection.execute(sa.select(users.c.password)).scalar_one()
    ended = find_session(store, cookie)
    store.close()
    assert [*made, same, changed] == [FirstSecrets(None, None)] * 4
    assert is_password("another password", stored)
    assert session is not None
    assert ended is None


def test_a_given_password_leaves_the_token_to_be_made() -> None:
    store = open_store(password_cost=CHEAP)

    made = make_first_secrets(store, {"RECONCILER_SERVER_PASSWORD": "a first password"})

    caller = store.find_caller(made.token or "")
    store.close()
    assert made.password is None
    assert caller is not None
    assert (caller.email, caller.role) == (OWNER, "admin")


def test_serve_limits_each_token_and_says_so() -> None:
    replies = []
    for flags in ([], ["--rate-limit", "2"]):
        with serving(*flags, RECONCILER_SERVER_TOKEN=GIVEN) as (_, lines):
            headers = {"Authorization": f"Bearer {GIVEN}"}
            url = f"{lines[0].split()[1]}/policies"
            replies.append([httpx.get(url, headers=headers, trust_env=False) for _ in range(3)])

    assert [[reply.status_code for reply in each] for each in replies] == [[200, 200, 200], [200, 200, 429]]
    assert [each[0].headers["x-ratelimit-limit"] for each in replies] == ["60000", "2"]
