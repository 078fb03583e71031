"""A server whose clock is set by hand, and for each test an organization with an admin and agents.

The server is shared by the tests of a file: organizations know nothing of each other.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

import pytest

from tests.support.evaluations import Agency, HandClock, agency
from tests.support.postgres import Cluster
from tests.support.servers import RunningServer, reference_server

ORGANIZATIONS = count(1)


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.heavy)])
def shared_db(request: pytest.FixtureRequest) -> Iterator[str]:
    """As `db`, for all tests of a file."""
    if request.param == "sqlite":
        yield ":memory:"
        return
    running: Cluster = request.getfixturevalue("postgres")
    url = running.make_database()
    yield url
    running.drop_database(url)


@pytest.fixture(scope="module")
def clock() -> HandClock:
    return HandClock()


@pytest.fixture(scope="module")
def enforcing(shared_db: str, clock: HandClock) -> Iterator[RunningServer]:
    with reference_server(db=shared_db, clock=clock, neosc_crud=True) as running:
        yield running


@pytest.fixture
def agents(enforcing: RunningServer, clock: HandClock) -> Iterator[Agency]:
    with agency(enforcing, clock, f"o{next(ORGANIZATIONS)}") as found:
        yield found
