"""The 2020-12 JSON Schema Test Suite through our validator: a closed registry, no network.

All required tests must pass. How far the optional ones do stands in `json_schema_suite.tsv`; `--update-golden` rewrites
it, and review reads the diff.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from reconciler.core.judge import make_validator

SUITE = Path(__file__).parents[2] / "../shared/corpora/json-schema-test-suite"
DRAFT = SUITE / "tests/draft2020-12"
TABLE = Path(__file__).with_name("json_schema_suite.tsv")
REQUIRED_TESTS = 1299

pytestmark = pytest.mark.skipif(not SUITE.is_dir(), reason="the JSON Schema Test Suite is not beside the checkout")


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        pytest.fail("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@cache
def remotes() -> dict[str, Any]:
    """The schemas the suite expects at localhost:1234, less those of other drafts (they name their draft's folder)."""
    found = {}
    for path in sorted((SUITE / "remotes").rglob("*.json")):
        address = path.relative_to(SUITE / "remotes").as_posix()
        if not address.startswith(("draft3/", "draft4/", "draft6/", "draft7/", "draft2019-09/", "v1/")):
            found[f"http://localhost:1234/{address}"] = json.loads(path.read_text(encoding="utf-8"))
    return found


def cases_of(path: Path) -> Iterator[tuple[str, Any, Any, bool]]:
    for case in json.loads(path.read_text(encoding="utf-8")):
        for test in case["tests"]:
            yield f"{case['description']}: {test['description']}", case["schema"], test["data"], test["valid"]


def verdict(schema: Any, data: Any, *, formats: bool) -> bool | str:
    try:
        return make_validator(schema, remotes(), formats=formats).is_valid(data)
    except Exception as error:  # noqa: BLE001 - recorded by name: an optional test may ask for what Python cannot do
        return type(error).__name__


def required_files() -> list[Path]:
    return sorted(DRAFT.glob("*.json"))


@pytest.mark.parametrize("path", required_files(), ids=lambda path: path.stem)
def test_every_required_test_passes(path: Path) -> None:
    failed = [name for name, schema, data, valid in cases_of(path) if verdict(schema, data, formats=False) is not valid]

    assert failed == []


def test_the_suite_is_all_there() -> None:
    assert sum(1 for path in required_files() for _ in cases_of(path)) == REQUIRED_TESTS


def test_how_far_the_optional_tests_pass_is_written_down(golden: Callable[[Path, str], None]) -> None:
    rows = ["file\tpassed\tof"]
    for path in sorted((DRAFT / "optional").rglob("*.json")):
        formats = path.parent.name == "format" or path.stem == "format-assertion"
        results = [verdict(schema, data, formats=formats) is valid for _, schema, data, valid in cases_of(path)]
        rows.append(f"{path.relative_to(DRAFT).as_posix()}\t{sum(results)}\t{len(results)}")

    golden(TABLE, "\n".join(rows) + "\n")
