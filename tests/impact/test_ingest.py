"""From records of some source to the folder of events: what is kept, what is refused, and where (semantics.md C)."""

from __future__ import annotations

import csv
import gzip
import json
import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from reconciler.cli.app import State
from reconciler.cli.events import ingest_command
from reconciler.errors import ReconcilerError
from reconciler.impact.ingest import ingest, mapping_names, open_mapping
from reconciler.impact.mapping import EventMapping
from reconciler.impact.store import read_manifest
from reconciler.semantics.events import Event

ROW = {"event_id": "e1", "ts_us": 1_772_409_600_000_000, "actor_id": "a", "action": "read", "resource": "db/1"}


def plain() -> EventMapping:
    return open_mapping("reconciler")


def lines(rows: Iterable[dict[str, Any]]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def numbered(count: int) -> list[dict[str, Any]]:
    return [{**ROW, "event_id": f"e{at}", "extra": f"{at * 7919 % 104729:x}"} for at in range(count)]


def broken(packed: bytes) -> bytes:
    """The same with a byte in its middle changed."""
    middle = len(packed) // 2
    return packed[:middle] + bytes([packed[middle] ^ 0xFF]) + packed[middle + 1 :]


def stored(folder: Path) -> list[dict[str, Any]]:
    found = []
    for path in sorted(folder.glob("date=*/*.parquet")):
        found += pq.ParquetFile(path).read().to_pylist()
    return found


#: One record as each source writes it, and what of it is an event.
RECORDS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "neosc-audit": (
        {
            "id": "log-1",
            "user_id": "u1",
            "user_email": "admin@example.com",
            "action": "toggle_policy",
            "resource": "policy:pol-1",
            "details": "Policy disabled",
            "timestamp": "2026-03-05T14:30:00.000Z",
            "success": True,
            "ip_address": "192.168.1.1",
        },
        {"event_id": "log-1", "actor_id": "u1", "resource_type": "policy", "actor_type": "user", "success": True},
    ),
    "aim-audit": (
        {
            "id": "x",
            "timestamp": "2026-03-05T14:30:00.000001Z",
            "agentId": "a1",
            "action": "verify",
            "ipAddress": "10.0.0.1",
            "metadata": {"action_type": "read_file", "resource": "hr/1", "trust_score": 0.57, "auto_approved": True},
        },
        {"actor_id": "a1", "action": "read_file", "resource": "hr/1", "trust_score": 0.57, "decision": "allow"},
    ),
    "aim-verification": (
        {
            "id": "v",
            "startedAt": "2026-03-05T14:30:00Z",
            "agentId": "a1",
            "action": "read",
            "resourceType": "hr/1",
            "source": "agent_reported",
            "result": "denied",
            "publicKey": "abc",
        },
        {"resource": "hr/1", "decision": "block", "decision_source": "agent_reported"},
    ),
    "ocsf": (
        {
            "metadata": {"uid": "m1", "tenant_uid": "t"},
            "time": 1_772_409_600_123,
            "actor": {"user": {"uid": "u", "groups": [{"name": "ops"}, {"name": "dev"}]}},
            "api": {"operation": "GetObject"},
            "resources": [{"uid": "r1", "type": "bucket"}],
            "src_endpoint": {"ip": "10.0.0.1"},
            "status_id": 1,
        },
        {"ts_us": 1_772_409_600_123_000, "actor_roles": frozenset(("ops", "dev")), "success": True, "tenant": "t"},
    ),
    "otel-genai": (
        {
            "span_id": "s1",
            "start_time_unix_nano": "1772409600123456789",
            "name": "execute_tool",
            "attributes": {
                "gen_ai.agent.id": "agent-1",
                "gen_ai.tool.name": "search",
                "server.address": "MCP.example.com",
            },
            "status": {"code": "ERROR"},
        },
        {"ts_us": 1_772_409_600_123_456, "actor_id": "agent-1", "mcp_domain": "mcp.example.com", "success": False},
    ),
    "cloudtrail": (
        {
            "eventID": "c1",
            "eventTime": "2026-03-05T14:30:00Z",
            "eventName": "GetObject",
            "eventSource": "s3.amazonaws.com",
            "userIdentity": {"arn": "arn:aws:iam::1:user/x", "type": "IAMUser"},
            "sourceIPAddress": "config.amazonaws.com",
            "errorCode": "AccessDenied",
            "additionalEventData": {"MFAUsed": "No", "bytesTransferredOut": 12.0},
        },
        {"source_ip": None, "decision": "block", "success": False, "mfa_verified": False, "bytes": 12},
    ),
}


@pytest.mark.parametrize("name", sorted(RECORDS))
def test_a_record_of_a_known_source_is_an_event(name: str) -> None:
    record, expected = RECORDS[name]

    event = open_mapping(name).event(record)

    assert isinstance(event, Event), event
    assert {column: getattr(event, column) for column in expected} == expected


def test_every_mapping_ships_and_opens() -> None:
    assert {"aim-audit", "aim-verification", "cloudtrail", "neosc-audit", "ocsf", "opena2a-audit", "otel-genai"} <= {
        *mapping_names()
    }
    assert all(open_mapping(name).columns for name in mapping_names())


def test_every_format_gives_the_same_events(tmp_path: Path) -> None:
    rows = [{**ROW, "event_id": f"e{at}", "actor_roles": ["b", "a"], "success": True, "bytes": at} for at in range(3)]
    with (tmp_path / "a.csv").open("w", newline="") as file:
        table = csv.DictWriter(file, rows[0])
        table.writeheader()
        table.writerows({**row, "actor_roles": json.dumps(row["actor_roles"])} for row in rows)
    (tmp_path / "a.jsonl").write_bytes(lines(rows))
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(lines(rows)))
    (tmp_path / "a.jsonl.zst").write_bytes(zstandard.compress(lines(rows)))
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet")

    results = []
    for name in ("a.csv", "a.jsonl", "a.jsonl.gz", "a.jsonl.zst", "a.parquet"):
        ingest(tmp_path / name, plain(), tmp_path / "out")
        results.append(stored(tmp_path / "out"))

    assert [row["actor_roles"] for row in results[0]] == [["a", "b"]] * 3
    assert [row["bytes"] for row in results[0]] == [0, 1, 2]
    assert all(result == results[0] for result in results)


def test_a_file_of_several_frames_is_read_to_its_end(tmp_path: Path) -> None:
    rows = numbered(40)
    (tmp_path / "in.jsonl.zst").write_bytes(
        b"".join(zstandard.compress(lines(rows[at : at + 7])) for at in range(0, 40, 7))
    )

    found, _ = ingest(tmp_path / "in.jsonl.zst", plain(), tmp_path / "out")

    assert found.events == 40


def test_a_folder_of_sources_with_a_broken_one_writes_nothing(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "a.jsonl").write_bytes(lines(numbered(3)))
    (tmp_path / "logs" / "b.jsonl.zst").write_bytes(zstandard.compress(lines(numbered(500)))[:-3])

    with pytest.raises(ReconcilerError, match=r"b\.jsonl\.zst: cannot be read: it ends before its end"):
        ingest(tmp_path / "logs", plain(), tmp_path / "out")

    assert not (tmp_path / "out").exists()


def test_how_far_a_source_is_read_is_told_by_its_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reconciler.impact.ingest._TOLD_EVERY", 100)
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "a.jsonl").write_bytes(lines(numbered(2000)))
    (tmp_path / "logs" / "b.jsonl.gz").write_bytes(gzip.compress(lines(numbered(2000))))
    told: list[tuple[int, float]] = []

    ingest(tmp_path / "logs", plain(), tmp_path / "out", progress=lambda count, share: told.append((count, share)))

    assert [count for count, _ in told] == [*range(100, 4001, 100), 4000]
    assert told == sorted(told)
    assert 0 < told[0][1] < 0.5 < told[-2][1] <= told[-1][1] == 1


def test_a_parquet_column_of_times_is_read_and_one_of_another_type_is_refused(tmp_path: Path) -> None:
    at = datetime(2026, 3, 2, 0, 0, 0, 7, tzinfo=UTC)
    table = pa.Table.from_pylist([{**ROW, "ts_us": at, "event_id": "a"}])
    zoneless = pa.Table.from_pylist([{**ROW, "ts_us": at.replace(tzinfo=None), "event_id": "a"}])
    numbers = pa.Table.from_pylist([{**ROW, "source_ip": 7, "event_id": "a"}])
    for name, each in (("good", table), ("zoneless", zoneless), ("numbers", numbers)):
        pq.write_table(each, tmp_path / f"{name}.parquet")

    ingest(tmp_path / "good.parquet", plain(), tmp_path / "out")

    assert [row["ts_us"] for row in stored(tmp_path / "out")] == [1_772_409_600_000_007]
    with pytest.raises(ReconcilerError, match=r"zoneless\.parquet:1: no record is an event: ts_us is not"):
        ingest(tmp_path / "zoneless.parquet", plain(), tmp_path / "out")
    with pytest.raises(ReconcilerError, match=r"numbers\.parquet:1: no record is an event: source_ip is not text"):
        ingest(tmp_path / "numbers.parquet", plain(), tmp_path / "out")


def test_a_folder_may_have_any_name(tmp_path: Path) -> None:
    out = tmp_path / 'it\'s "here"; DROP TABLE events --' / "out"
    (tmp_path / "in.jsonl").write_bytes(lines([ROW]))

    found, _ = ingest(tmp_path / "in.jsonl", plain(), out)

    assert found.events == 1
    assert [row["event_id"] for row in stored(out)] == ["e1"]


def test_events_are_sorted_numbered_split_by_day_and_counted_once(tmp_path: Path) -> None:
    day = 86_400_000_000
    rows = [
        {**ROW, "event_id": "late", "ts_us": ROW["ts_us"] + day},
        {**ROW, "event_id": "b"},
        {**ROW, "event_id": "a"},
        {**ROW, "event_id": "b", "action": "again"},
    ]
    (tmp_path / "in.jsonl").write_bytes(lines(rows))

    found, _ = ingest(tmp_path / "in.jsonl", plain(), tmp_path / "out")

    assert [(row["event_id"], row["seq"]) for row in stored(tmp_path / "out")] == [("a", 0), ("b", 1), ("late", 2)]
    assert sorted(path.name for path in (tmp_path / "out").glob("date=*")) == ["date=2026-03-02", "date=2026-03-03"]
    assert (found.events, found.days, found.duplicates) == (3, 2, 1)
    assert replace(read_manifest(tmp_path / "out"), known=found.known) == found


def test_a_column_that_never_changes_says_nothing_unless_the_mapping_trusts_it(tmp_path: Path) -> None:
    rows = [{**ROW, "event_id": f"e{at}", "source_ip": "192.168.1.1", "country": "DE"} for at in range(1000)]
    (tmp_path / "in.jsonl").write_bytes(lines(rows))
    trusting = tmp_path / "trusting.yaml"
    columns = "".join(f"  {name}: {name}\n" for name in rows[0])
    trusting.write_text(f"version: 1\ntrust_constant: [country]\ncolumns:\n{columns}")

    found, _ = ingest(tmp_path / "in.jsonl", open_mapping(str(trusting)), tmp_path / "out")

    assert found.constant == ("source_ip",)


def test_records_that_are_no_events_are_counted_and_the_first_are_located(tmp_path: Path) -> None:
    broken = b'{"event_id": "e2", \n' + lines([{**ROW, "event_id": "e3", "ts_us": "soon"}, {"event_id": "e4"}])
    (tmp_path / "in.jsonl").write_bytes(lines([ROW]) + broken)

    found, refused = ingest(tmp_path / "in.jsonl", plain(), tmp_path / "out")

    assert (found.events, found.rejected, refused.count) == (1, 3, 3)
    assert [re.sub(r"^.*/", "", said) for said in refused.said] == [
        "in.jsonl:2: is no JSON",
        "in.jsonl:3: ts_us is not a whole number",
        "in.jsonl:4: ts_us is not there",
    ]


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("in.jsonl", b"", "no record is an event"),
        ("in.jsonl", b"[1]\n", "is no JSON object"),
        ("in.jsonl.gz", gzip.compress(lines([ROW]) * 9, mtime=0)[:-12], "cannot be read"),
        ("in.jsonl.gz", gzip.compress(lines([ROW]), mtime=0)[:-9] + b"\0" * 9, "cannot be read"),
        ("in.jsonl.gz", broken(gzip.compress(lines(numbered(500)), mtime=0)), "cannot be read"),
        ("in.jsonl.gz", b"", "cannot be read"),
        ("in.jsonl.zst", b"no zstd", "cannot be read"),
        ("in.jsonl.zst", b"", "cannot be read"),
        ("in.jsonl.zst", zstandard.compress(lines(numbered(500)))[:-3], "it ends before its end"),
        ("in.jsonl.zst", 2 * zstandard.compress(lines(numbered(500)))[:-3], "cannot be read"),
        ("in.csv", b'event_id,ts_us\n"1,2\n', "cannot be read"),
        ("in.csv", b"event_id,ts_us\n\xff,2\n", "cannot be read"),
        ("in.csv", b"", "has no records"),
        ("in.parquet", b"", "cannot be read"),
        ("in.parquet", b"PAR1 nothing PAR1", "cannot be read"),
        ("in.txt", lines([ROW]), "says no format"),
        ("in.csv", b"event_id,ts_us\n1,2,3\n", "another number of fields"),
    ],
)
def test_a_source_without_events_is_one_located_error(tmp_path: Path, name: str, data: bytes, words: str) -> None:
    (tmp_path / name).write_bytes(data)

    with pytest.raises(ReconcilerError) as error:
        ingest(tmp_path / name, plain(), tmp_path / "out")

    assert words in str(error.value)
    assert str(tmp_path / name) in str(error.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("version: 2\ncolumns: {}\n", 1, "version"),
        ("version: 1\ncolums: {}\n", 2, "did you mean columns"),
        ("version: 1\ncolumns:\n  event_id: id\n  sourc_ip: ip\n", 4, "did you mean source_ip"),
        ("version: 1\ncolumns:\n  event_id: id\n", 3, "does not say where ts_us stands"),
        ("version: 1\ncolumns:\n  ts_us: {path: at, as: minutes}\n", 3, "form of an instant"),
        ("version: 1\ncolumns:\n  bytes: {path: at, as: kilo}\n", 3, "nothing is read as"),
        ("version: 1\ncolumns:\n  bytes: a..b\n", 3, "is no path"),
        ("version: 1\nassume_timezone: Mars/Olympus\ncolumns: {}\n", 2, "is no time zone"),
        ("version: 1\nconstants: {is_vpn: maybe}\ncolumns: {}\n", 2, "is not true or false"),
    ],
)
def test_a_mapping_that_will_not_do_is_one_located_error(tmp_path: Path, text: str, line: int, words: str) -> None:
    path = tmp_path / "events.yaml"
    path.write_text(text)

    with pytest.raises(ReconcilerError) as error:
        open_mapping(str(path))

    assert words in str(error.value)
    assert str(error.value).startswith(f"{path}:{line}")


def test_a_folder_of_something_else_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_bytes(lines([ROW]))
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("years")

    with pytest.raises(ReconcilerError, match="something else"):
        ingest(tmp_path / "in.jsonl", plain(), tmp_path / "out")

    assert (tmp_path / "out" / "thesis.txt").read_text() == "years"


def test_a_day_that_was_changed_or_lost_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_bytes(lines([ROW]))
    ingest(tmp_path / "in.jsonl", plain(), tmp_path / "out")
    path = next((tmp_path / "out").glob("date=*/*.parquet"))

    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(ReconcilerError, match="another sha256"):
        read_manifest(tmp_path / "out")

    path.unlink()
    with pytest.raises(ReconcilerError, match="lacks date=2026-03-02"):
        read_manifest(tmp_path / "out")


def changed(key: str, value: Any) -> Callable[[Path], None]:
    """What changes one key of a folder's manifest."""

    def change(folder: Path) -> None:
        manifest = json.loads((folder / "manifest.json").read_text())
        (folder / "manifest.json").write_text(json.dumps({**manifest, key: value}))

    return change


def add_a_file(folder: Path) -> None:
    (folder / "date=2026-03-03").mkdir()
    day = next(folder.glob("date=*/*.parquet"))
    (folder / "date=2026-03-03" / "events.parquet").write_bytes(day.read_bytes())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (add_a_file, "is not in the manifest"),
        (changed("events", 7), "holds 1 events, and its manifest says 7"),
        (changed("events", "many"), "events is no count"),
        (changed("first_us", None), "first_us is no time"),
        (changed("columns", {"source_ip": {"null_share": 2}}), "columns cannot be read"),
        (changed("columns", [1]), "columns cannot be read"),
        (changed("mapping", None), "without its mapping"),
        (changed("mapping", {"constants": [{}]}), "without its mapping"),
        (changed("files", {}), "is not in the manifest"),
        (changed("files", {"../else.parquet": "sha256:0"}), "outside the folder"),
        (changed("files", {"/etc/passwd": "sha256:0"}), "outside the folder"),
        (changed("format", "reconciler.events/2"), "another format"),
        (lambda folder: (folder / "manifest.json").write_text("{" * 9), "cannot be read"),
        (lambda folder: (folder / "manifest.json").write_text("[" * 100_000), "cannot be read"),
    ],
)
def test_a_manifest_that_disagrees_with_its_folder_is_one_error(
    tmp_path: Path, change: Callable[[Path], Any], words: str
) -> None:
    (tmp_path / "in.jsonl").write_bytes(lines([ROW]))
    ingest(tmp_path / "in.jsonl", plain(), tmp_path / "out")
    change(tmp_path / "out")

    with pytest.raises(ReconcilerError) as error:
        read_manifest(tmp_path / "out")

    assert words in str(error.value)
    assert str(tmp_path / "out") in str(error.value)


def test_a_terminal_sees_a_bar_and_a_pipe_sees_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("reconciler.impact.ingest._TOLD_EVERY", 10)
    (tmp_path / "in.jsonl").write_bytes(lines(numbered(40)))
    arguments = [str(tmp_path / "in.jsonl"), "--mapping", "reconciler", "--out", str(tmp_path / "out")]

    ingest_command(arguments, standalone_mode=False, obj=State())
    piped = capsys.readouterr()
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    ingest_command(arguments, standalone_mode=False, obj=State())
    terminal = capsys.readouterr()

    assert piped.err == ""
    assert piped.out == terminal.out != ""
    drawn = terminal.err.split("\r")
    assert "[########################] 100%  40 records\x1b[K" in drawn
    assert drawn[-1] == "\x1b[K"
