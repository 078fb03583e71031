"""A PostgreSQL of the test's own, from Debian's package: one private cluster for a test run, a database for each test.

It listens on a socket file in a folder of its own and on nothing else, and ends with the process that started it.
"""

from __future__ import annotations

import getpass
import itertools
import os
import pwd
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

_ACCOUNT = "postgres"  # Debian's; the database refuses to run as root
_PATIENCE = 60.0


@dataclass
class Cluster:
    """A running PostgreSQL; `make_database` gives the URL of an empty database in it."""

    folder: Path
    user: str
    process: subprocess.Popen[bytes]
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def url(self, name: str) -> str:
        return f"postgresql://{self.user}@/{name}?host={self.folder}"

    def make_database(self) -> str:
        name = f"test_{next(self._numbers)}"
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name} TEMPLATE template0")
        return self.url(name)

    def drop_database(self, url: str) -> None:
        """Remove it, whoever is still connected."""
        name = re.search(r"/(test_\d+)\?", url)
        assert name is not None
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(f"DROP DATABASE {name[1]} WITH (FORCE)")


def find_programs() -> Path | None:
    """The folder with `initdb` and `postgres`, of the newest version that is installed; None when there is none."""
    found = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/initdb") if path.parent.is_dir()]
    if found:
        return max(found, key=lambda path: int(path.parent.name) if path.parent.name.isdecimal() else 0)
    initdb = shutil.which("initdb")
    return Path(initdb).resolve().parent if initdb else None


@contextmanager
def cluster(programs: Path) -> Iterator[Cluster]:
    """A fresh cluster for the length of the block. What is written need not outlive a power cut: nothing is synced."""
    folder = Path(tempfile.mkdtemp(prefix="reconciler-pg-"))
    user = getpass.getuser()
    prefix: list[str] = []
    if os.geteuid() == 0:
        user = _ACCOUNT
        account = pwd.getpwnam(user)
        os.chown(folder, account.pw_uid, account.pw_gid)
        prefix = ["setpriv", f"--reuid={user}", f"--regid={account.pw_gid}", "--clear-groups"]
    if sys.platform == "linux" and shutil.which("setpriv"):
        prefix = [*(prefix or ["setpriv"]), "--pdeathsig", "INT"]
    data, log = folder / "data", folder / "log"
    make: list[str | Path] = [*prefix, programs / "initdb", "--pgdata", data, "--username", user]
    make += ["--auth", "trust", "--encoding", "UTF8", "--locale", "C", "--no-sync"]
    serve: list[str | Path] = [*prefix, programs / "postgres", "-D", data, "-k", folder]
    for setting in ("listen_addresses=", "max_connections=200", "fsync=off"):
        serve += ["-c", setting]
    try:
        subprocess.run(make, check=True, capture_output=True, cwd=folder)
        with log.open("wb") as written:
            process = subprocess.Popen(
                serve, stdout=written, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, cwd=folder
            )
        try:
            running = Cluster(folder, user, process)
            _wait(running, log)
            yield running
        finally:
            _stop(process)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _wait(running: Cluster, log: Path) -> None:
    ends = time.monotonic() + _PATIENCE
    while True:
        try:
            psycopg.connect(running.url("postgres"), connect_timeout=5).close()
            return
        except psycopg.OperationalError:
            if running.process.poll() is not None or time.monotonic() > ends:
                raise AssertionError(f"PostgreSQL did not start:\n{log.read_text(errors='replace')}") from None
            time.sleep(0.05)


def _stop(process: subprocess.Popen[bytes]) -> None:
    """SIGINT ends its clients' sessions too; whoever does not listen is killed."""
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
