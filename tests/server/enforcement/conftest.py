"""A server whose clock is set by hand, and an admin with agents."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.evaluations import Agency, HandClock, agency
from tests.support.servers import RunningServer, reference_server


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def enforcing(db: str, clock: HandClock) -> Iterator[RunningServer]:
    with reference_server(db=db, clock=clock, neosc_crud=True) as running:
        yield running


@pytest.fixture
def agents(enforcing: RunningServer, clock: HandClock) -> Iterator[Agency]:
    with agency(enforcing, clock) as found:
        yield found
