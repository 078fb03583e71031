"""A server for a test, and clients that speak to it as an admin."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from tests.support.servers import RunningServer, reference_server


@pytest.fixture
def server() -> Iterator[RunningServer]:
    """As NeoSC is documented today: list and flip."""
    with reference_server() as running:
        yield running


@pytest.fixture
def crud_server() -> Iterator[RunningServer]:
    """With NeoSC's announced create, update and delete."""
    with reference_server(neosc_crud=True) as running:
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
