"""A server for a test, and clients that speak to it as an admin.

Whatever asks for `db`, directly or through a server, runs on SQLite in `./run test` and on PostgreSQL in `./run heavy`.
"""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from tests.support.postgres import Cluster, cluster, find_programs
from tests.support.servers import RunningServer, reference_server


@pytest.fixture(scope="session")
def postgres() -> Iterator[Cluster]:
    """A PostgreSQL for the whole run; without the package the test is skipped."""
    programs = find_programs()
    if programs is None:
        pytest.skip("needs PostgreSQL: apt-get install postgresql")
    with cluster(programs) as running:
        yield running


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.heavy)])
def db(request: pytest.FixtureRequest) -> Iterator[str]:
    """What to give to `open_store`: a fresh database, empty, that nobody else has."""
    if request.param == "sqlite":
        yield ":memory:"
        return
    running: Cluster = request.getfixturevalue("postgres")
    url = running.make_database()
    yield url
    running.drop_database(url)


@pytest.fixture
def server(db: str) -> Iterator[RunningServer]:
    """As NeoSC is documented today: list and flip."""
    with reference_server(db=db) as running:
        yield running


@pytest.fixture
def crud_server(db: str) -> Iterator[RunningServer]:
    """With NeoSC's announced create, update and delete."""
    with reference_server(db=db, neosc_crud=True) as running:
        yield running


def _client(base_url: str, token: str) -> httpx.Client:
    return httpx.Client(base_url=base_url, headers={"Authorization": f"Bearer {token}"}, trust_env=False, timeout=30)


@pytest.fixture
def neosc(server: RunningServer) -> Iterator[httpx.Client]:
    with _client(server.neosc_url, server.token) as client:
        yield client


@pytest.fixture
def neosc_crud(crud_server: RunningServer) -> Iterator[httpx.Client]:
    with _client(crud_server.neosc_url, crud_server.token) as client:
        yield client


@pytest.fixture
def opena2a(server: RunningServer) -> Iterator[httpx.Client]:
    with _client(f"{server.opena2a_url}/admin", server.token) as client:
        yield client
