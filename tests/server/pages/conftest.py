"""A server whose clock the test moves, an admin and a plain user who are logged in, and a program with a token."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from tests.support.clocks import FakeClock
from tests.support.servers import RunningServer, reference_server
from tests.support.visitors import Visitor, program, visitor


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def site(db: str, clock: FakeClock) -> Iterator[RunningServer]:
    with reference_server(db=db, clock=clock, neosc_crud=True) as running:
        yield running


@pytest.fixture
def admin(site: RunningServer) -> Iterator[Visitor]:
    with visitor(site, "admin@example.com") as found:
        yield found


@pytest.fixture
def api(site: RunningServer) -> Iterator[httpx.Client]:
    with program(site) as client:
        client.get("/api/policies")  # NeoSC makes its three on the first list
        yield client
