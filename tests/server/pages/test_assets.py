"""The files that pages load: ours or listed, unchanged, and kept by browsers for as long as they are the same."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import httpx
import pytest

from reconciler.server.pages import assets
from tests.support.checkout import ROOT
from tests.support.servers import RunningServer, reference_server

STATIC = Path(assets.__file__).parent / "static"
VENDOR = STATIC / "vendor"
LISTED = tomllib.loads((VENDOR / "vendor.toml").read_text())["file"]


@pytest.fixture(scope="module")
def running() -> Iterator[RunningServer]:
    with reference_server() as server:
        yield server


@pytest.mark.parametrize("entry", LISTED, ids=lambda entry: entry["path"])
def test_a_file_of_others_is_unchanged_and_says_whose_it_is(entry: dict[str, str]) -> None:
    content = (VENDOR / entry["path"]).read_bytes()

    assert sha256(content).hexdigest() == entry["sha256"]
    assert all(entry[key] for key in ("name", "version", "licence", "source"))


def test_every_file_of_others_is_listed() -> None:
    assert {path.name for path in VENDOR.iterdir()} == {"vendor.toml", *(entry["path"] for entry in LISTED)}


def test_the_checker_that_the_browser_tests_load_is_unchanged() -> None:
    rows = re.findall(r"^\| `(axe-core/[^`]+)` \|.*\| `([0-9a-f]{64})` \|$", _vendor_readme(), re.MULTILINE)

    assert len(rows) == 2
    for name, digest in rows:
        assert sha256((ROOT / "tests" / "vendor" / name).read_bytes()).hexdigest() == digest


def test_a_file_under_its_own_address_is_kept_for_ever(running: RunningServer) -> None:
    reply = httpx.get(running.url + assets.asset_url("page.css"), trust_env=False)

    assert reply.status_code == 200
    assert reply.content == (STATIC / "page.css").read_bytes()
    assert reply.headers["content-type"] == "text/css; charset=utf-8"
    assert reply.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert reply.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("address", ["/static/page.css", "/static/page.css?v=0123456789abcdef"])
def test_a_file_under_another_address_is_asked_for_each_time(running: RunningServer, address: str) -> None:
    first = httpx.get(running.url + address, trust_env=False)

    again = httpx.get(running.url + address, headers={"If-None-Match": first.headers["etag"]}, trust_env=False)
    other = httpx.get(running.url + address, headers={"If-None-Match": '"0123456789abcdef"'}, trust_env=False)

    assert first.headers["cache-control"] == "no-cache"
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", first.headers["etag"])
    assert other.status_code == 200


@pytest.mark.parametrize(
    "name",
    ["nothing.css", "../page.css", "%2e%2e/app.py", "..%2fapp.py", "vendor/vendor.toml", "vendor", "", "page.css/"],
)
def test_nothing_else_is_served(running: RunningServer, name: str) -> None:
    assert httpx.get(f"{running.url}/static/{name}", trust_env=False).status_code == 404


def _vendor_readme() -> str:
    return (ROOT / "tests" / "vendor" / "README.md").read_text()
