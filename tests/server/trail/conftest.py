"""A store whose clock the test moves."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from reconciler.server.store import Store, open_store
from tests.support.clocks import FakeClock


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def store(db: str, clock: FakeClock) -> Iterator[Store]:
    opened = open_store(db, clock=clock)
    yield opened
    opened.close()
