"""These tests see no git settings of this machine."""

from __future__ import annotations

import pytest

from tests.support.repos import ENVIRONMENT


@pytest.fixture(autouse=True)
def _own_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
