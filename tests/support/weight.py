"""Long tables of cases: a few on every run, the others in `./run heavy`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest


def a_few(cases: Iterable[Any], every: int = 3) -> list[Any]:
    """Each *every*th case as it is, the others marked heavy; together they are all of them."""
    return [
        case
        if at % every == 0
        else pytest.param(*(case if isinstance(case, tuple) else (case,)), marks=pytest.mark.heavy)
        for at, case in enumerate(cases)
    ]
