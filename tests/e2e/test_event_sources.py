"""What is wrong with a source, a mapping or a folder is one located error, or an honest "unknown": never a number."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from reconciler.errors import ExitCode
from tests.support.program import Program, config_text, opena2a_target, program_in
from tests.support.repos import Repo, make_repo
from tests.support.servers import RunningServer, reference_server

pytestmark = pytest.mark.heavy

FILE = "policies/opena2a/network.yaml"


def network(*addresses: str) -> str:
    policy = {
        "name": "Office Network",
        "policy_type": "ip_allowlist",
        "severity": "high",
        "conditions": {"allowed_ips": list(addresses)},
        "actions": {"on_violation": "block"},
    }
    return json.dumps(policy)


def rows(count: int = 1500, **more: Any) -> list[dict[str, Any]]:
    return [
        {
            "event_id": f"e{at}",
            "ts_us": 1_772_409_600_000_000 + at,
            "actor_id": f"agent-{at % 3}",
            "action": "read",
            "resource": f"db/{at}",
            "source_ip": f"10.{at % 2}.0.{at % 200}",
            **more,
        }
        for at in range(count)
    ]


def lines(given: list[dict[str, Any]]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in given).encode()


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    with reference_server() as running:
        yield running


@pytest.fixture(scope="module")
def repo(tmp_path_factory: pytest.TempPathFactory, server: RunningServer) -> Repo:
    """What is live allows 10.0.0.0/8; what git has, 10.0.0.0/16."""
    config = config_text(opena2a=opena2a_target(server.opena2a_url))
    files = {"reconciler.yaml": config, FILE: network("10.0.0.0/8")}
    made = make_repo(tmp_path_factory.mktemp("place"), files)
    program_in(made, token=server.token).ok("apply", "--yes")
    made.commit({FILE: network("10.0.0.0/16")}, "Narrow")
    return made


@pytest.fixture
def program(repo: Repo, server: RunningServer) -> Program:
    return program_in(repo, token=server.token)


def parquet(given: list[dict[str, Any]]) -> Callable[[Path], None]:
    return lambda path: pq.write_table(pa.Table.from_pylist(given), path)


def changed(packed: bytes) -> bytes:
    middle = len(packed) // 2
    return packed[:middle] + bytes([packed[middle] ^ 0xFF]) + packed[middle + 1 :]


def cut_parquet(path: Path) -> None:
    parquet(rows())(path)
    path.write_bytes(path.read_bytes()[:-100])


SOURCES: dict[str, tuple[str, bytes | Callable[[Path], None], str]] = {
    "cut gz": ("log.jsonl.gz", gzip.compress(lines(rows()), mtime=0)[:-20], "cannot be read"),
    "changed gz": ("log.jsonl.gz", changed(gzip.compress(lines(rows()), mtime=0)), "cannot be read"),
    "cut zst": ("log.jsonl.zst", zstandard.compress(lines(rows()))[:-20], "it ends before its end"),
    "changed zst": ("log.jsonl.zst", changed(zstandard.compress(lines(rows()))), "cannot be read"),
    "no gz": ("log.jsonl.gz", lines(rows(3)), "cannot be read"),
    "cut Parquet": ("log.parquet", cut_parquet, "cannot be read"),
    "Parquet of another type": ("log.parquet", parquet(rows(source_ip=7)), "source_ip is not text"),
    "Parquet without a column": ("log.parquet", parquet([{"event_id": "e"}]), "ts_us is not there"),
    "cut CSV": ("log.csv", b'event_id,ts_us,actor_id\n"e1,1,a\n', "cannot be read"),
    "an empty file": ("log.jsonl", b"", "has no records"),
    "an empty folder": ("logs", lambda path: path.mkdir(), "has no files of events"),
}


@pytest.mark.parametrize("name", SOURCES)
def test_a_source_that_cannot_be_read_is_one_located_error(program: Program, tmp_path: Path, name: str) -> None:
    file, content, words = SOURCES[name]
    source, out = tmp_path / file, tmp_path / "events"
    if isinstance(content, bytes):
        source.write_bytes(content)
    else:
        content(source)

    done = program.run("events", "ingest", str(source), "--mapping", "reconciler", "--out", str(out))

    assert done.code == ExitCode.ERROR, done
    assert done.out == ""
    assert done.err.count("error[") == 1
    assert words in " ".join(done.err.split())
    assert file in done.err
    assert not out.exists()
    assert [path.name for path in tmp_path.iterdir()] == [file]


def test_a_mapping_with_an_unknown_column_is_an_error_at_its_line(program: Program, tmp_path: Path) -> None:
    (tmp_path / "log.jsonl").write_bytes(lines(rows(3)))
    mapping = tmp_path / "events.yaml"
    mapping.write_text("version: 1\ncolumns:\n  event_id: event_id\n  sourc_ip: ip\n")

    done = program.run(
        "events", "ingest", str(tmp_path / "log.jsonl"), "--mapping", str(mapping), "--out", str(tmp_path / "events")
    )

    assert done.code == ExitCode.ERROR
    assert "events.yaml:4" in done.err
    assert "did you mean source_ip" in done.err


def ingest(program: Program, place: Path, given: list[dict[str, Any]]) -> str:
    (place / "log.jsonl").write_bytes(lines(given))
    out = str(place / "events")
    program.ok("events", "ingest", str(place / "log.jsonl"), "--mapping", "reconciler", "--out", out)
    return out


def impact(program: Program, folder: str) -> Any:
    return program.ok("plan", "--events", folder, "--json").json()["impact"]


def test_with_all_columns_it_is_counted(program: Program, tmp_path: Path) -> None:
    found = impact(program, ingest(program, tmp_path, rows()))

    assert (found["newly_blocked"], found["maybe_blocked"]) == (750, 0)


def test_a_column_that_is_not_recorded_is_unknown_and_no_number(program: Program, tmp_path: Path) -> None:
    found = impact(program, ingest(program, tmp_path, rows(source_ip=None)))

    assert (found["newly_blocked"], found["newly_allowed"]) == (0, 0)
    assert found["changes"][0]["coverage"] == {"source_ip": 0.0}
    assert found["changes"][0]["in_scope"] == 1500


def test_a_constant_column_is_unknown_and_no_number(program: Program, tmp_path: Path) -> None:
    folder = ingest(program, tmp_path, rows(source_ip="10.9.9.9"))

    found = impact(program, folder)
    text = program.ok("plan", "--events", folder).out

    assert (found["newly_blocked"], found["changes"][0]["coverage"]) == (0, {"source_ip": 0.0})
    assert "source_ip has one value in all events, so it counts as not recorded" in " ".join(text.split())
    assert "recorded source_ip in none of 1,500 events in scope" in " ".join(text.split())


def test_a_policy_that_no_event_is_about_says_nothing(repo: Repo, program: Program, tmp_path: Path) -> None:
    folder = ingest(program, tmp_path, rows())
    scoped = {**json.loads(network("10.0.0.0/16")), "applies_to": "agent_id:nobody-*"}
    repo.write({FILE: json.dumps(scoped)})

    try:
        text = " ".join(program.ok("plan", "--events", folder).out.split())
    finally:
        repo.write({FILE: network("10.0.0.0/16")})

    assert "in scope no event, so the preview says nothing about this policy" in text


def break_a_day(folder: Path) -> str:
    path = next(folder.glob("date=*/*.parquet"))
    path.write_bytes(path.read_bytes()[:-9])
    return "is not what was written"


def lose_a_day(folder: Path) -> str:
    next(folder.glob("date=*/*.parquet")).unlink()
    return "lacks date="


def add_a_day(folder: Path) -> str:
    (folder / "date=2026-03-09").mkdir()
    pq.write_table(pa.Table.from_pylist(rows(3)), folder / "date=2026-03-09" / "events.parquet")
    return "is not in the manifest"


def empty(folder: Path) -> str:
    for path in sorted(folder.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    return "holds no events"


def boast(folder: Path) -> str:
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps({**manifest, "events": 10_000_000}))
    return "its manifest says 10,000,000"


@pytest.mark.parametrize("change", [break_a_day, lose_a_day, add_a_day, empty, boast])
def test_a_folder_that_is_not_as_it_was_written_is_one_error(
    program: Program, tmp_path: Path, change: Callable[[Path], str]
) -> None:
    folder = ingest(program, tmp_path, rows(30))
    words = change(Path(folder))

    planned = program.run("plan", "--events", folder)
    compared = program.run("impact", "--from", "HEAD~1", "--events", folder)

    for done in (planned, compared):
        assert done.code == ExitCode.ERROR, done
        assert words in " ".join(done.err.split())
        assert done.err.count("error[") == 1
        assert "newly" not in done.out
